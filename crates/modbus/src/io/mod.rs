//! Connections and timeouts: the only part that touches the world.

pub mod client;
pub mod endpoint;
mod exchange;
