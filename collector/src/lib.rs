//! The collector: hears the agents, keeps what they say, alerts, pages, and answers queries.
//!
//! Reading order: [`config`] (what is asked of it), [`api`] and [`page`] (what it tells),
//! [`telemetry`] (what it tells about itself).

//pub mod api;
pub mod config;
pub mod telemetry;

pub use config::Config;
