//! The edge agent: reads devices, journals every reading, delivers until it is acknowledged.

pub mod uplink;
