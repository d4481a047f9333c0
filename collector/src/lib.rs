//! The collector of Hallwatch.

pub mod ingest;
pub mod store;
