//! The function library: pure functions over values and points. Batch evaluation and anything that
//! evaluates step by step use the same ones.

pub mod aggregate;
pub mod binary;
pub mod calendar;
pub mod histogram;
pub mod label;
pub mod math;
pub mod moving;
pub mod sum;
pub mod summary;
pub mod window;
