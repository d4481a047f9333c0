//! What touches the world: the journal's file, the brokers, the devices, the clocks.

pub mod uplink;
