//! The collector: hears the agents, keeps what they say, alerts, pages, and answers queries.
//!
//! Reading order: [`config`] (what is asked of it), [`rules`] (what is wrong), [`sink`] (who gets a
//! copy), [`api`] and [`page`] (what it tells), [`telemetry`] (what it tells about itself).

pub mod config;

pub mod rules;

pub mod sink;

pub mod api;
pub mod page;
pub mod telemetry;

pub mod clock;

pub use config::Config;
