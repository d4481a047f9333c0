//! The collector of Hallwatch.

pub mod notify;
pub mod rules;
pub mod state;
