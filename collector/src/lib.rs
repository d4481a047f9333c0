//! The collector: hears the agents, keeps what they say, alerts, pages, and answers queries.
//!
//! Reading order: [`config`] (what is asked of it), [`ingest`] and [`store`] (what it takes and
//! keeps), [`gaps`] (what is missing), [`rules`], [`notify`] and [`state`] (what is wrong, who is told, what of that survives),
//! [`disk`] (room for all of that), [`peer`] (the other collector of a pair), [`sink`] (who gets a copy), [`api`] and [`page`] (what it shows), [`telemetry`] (what it tells
//! about itself), [`run()`] (how it all moves).

pub mod config;

pub mod ingest;
pub mod store;

pub mod gaps;

pub mod notify;
pub mod peer;
pub mod rules;
pub mod state;

pub mod sink;

pub mod topology;

pub mod api;
pub mod page;
pub mod telemetry;

pub mod clock;
pub mod disk;
mod run;

pub use config::Config;
pub use run::{Error, run};
