//! Connections and timeouts: the only part that touches the world.

pub mod any;
pub mod client;
pub mod endpoint;
mod exchange;
pub mod options;
pub mod serial;
pub mod tls;
