//! The collector of Hallwatch.

pub mod store;
