//! The plant on loopback, seen by independent peers.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

mod broker;
mod support;

mod control;
mod modbus;
mod mqtt;
mod registers;
mod scenario;
mod states;
