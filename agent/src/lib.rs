//! The edge agent: reads devices, journals every reading, delivers until it is acknowledged.
//!
//! Reading order: [`config`]; [`poll`], [`profile`], [`sensor`] and [`uplink`] (from the field),
//! [`ranges`], [`dictionary`] and [`outbox`] (towards the collectors), [`agent`] (all decisions),
//! [`io`] and [`mod@run`] (the world), [`error`].

pub mod config;

pub mod poll;
pub mod profile;
pub mod sensor;
pub mod uplink;

pub mod dictionary;
pub mod outbox;
pub mod ranges;

pub mod agent;

pub mod error;
pub mod io;
pub mod run;

pub use config::Config;
pub use error::Error;
pub use run::run;
