//! HTTP.
pub mod number;
pub mod time;
pub mod reply;
