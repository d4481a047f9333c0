//! The edge agent: reads devices, journals every reading, delivers until it is acknowledged.

pub mod io;
pub mod uplink;
