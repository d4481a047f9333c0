//! The collector of Hallwatch.

pub mod rules;
