//! What touches the world: the journal's file, the brokers, the devices, the clocks.

pub(crate) mod broker;
pub(crate) mod clock;
pub mod journal;
pub(crate) mod modbus;
pub mod uplink;
