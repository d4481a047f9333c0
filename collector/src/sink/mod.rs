//! Databases that get a copy of every sample, read from the store's log by cursor: one that is down
//! for a night is caught up in the morning.

pub mod influx;
mod line;

pub use line::{Lines, Nameless, encode};
