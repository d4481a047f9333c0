//! The nouns that agent and collector share: what a reading is, what a series is called, and how
//! both travel. Values in, values out: no socket, no file, no clock.
//!
//! Reading order: [`time`], [`id`], [`labels`], [`sample`], [`vocabulary`], [`batch`], [`topic`],
//! [`wire`]; beside them [`chain`], which tells an error with its causes.

pub mod batch;
mod chain;
pub mod id;
pub mod labels;
pub mod sample;
pub mod time;
pub mod topic;
pub mod vocabulary;
pub mod wire;

pub use batch::{Ack, Batch, Describe, Event, Gap, Reading, Readings, SeriesId, Status};
pub use chain::chain;
pub use id::{AgentPath, Id, IdError};
pub use labels::{Label, Labels};
pub use sample::{Missing, Sample, Value};
pub use time::{Timestamp, Uptime};
pub use topic::{Topic, TopicKind};
pub use wire::WireError;
