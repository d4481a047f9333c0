//! .

pub mod profile;
