//! Sockets and clocks: the plant as it looks from the network.

mod clock;
pub mod control;
pub(crate) mod modbus;
pub(crate) mod mqtt;

pub(crate) use clock::{Clock, unix_seconds};
