//! x
mod archive;
mod agents;
mod forms;
mod health;
mod writer;
/// x
pub struct Error;
/// x
pub fn run() {}
