//! The simulated site on the command line: the plant alone ([`plant`]), or the plant with broker,
//! agent, collector and a pager in one process ([`demo`]).

pub mod demo;
pub mod plant;
pub mod site;

mod broker;
mod error;
mod pages;

pub use error::Error;
