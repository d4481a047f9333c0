//! What touches the world: the journal's file, the brokers, the devices, the clocks.

pub mod broker;
pub mod clock;
pub(crate) mod findings;
pub mod journal;
pub mod line;
pub(crate) mod modbus;
pub mod uplink;
