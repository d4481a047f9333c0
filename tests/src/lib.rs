//! The harness of the whole-site tests: the binaries as processes, with the real peers, on free
//! loopback ports, each test in a directory of its own.

pub mod brokers;
pub mod complete;
pub mod disk;
pub mod faults;
pub mod journal;
pub mod namespace;
pub mod pager;
pub mod peers;
pub mod powercut;
pub mod process;
pub mod prometheus;
pub mod site;
pub mod wait;
