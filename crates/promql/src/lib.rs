//! Evaluation of PromQL: a text becomes a checked [`Query`], a [`Source`] gives series, and
//! [`instant`] or [`range`] give the [`Answer`] that Prometheus would give. Pure and synchronous:
//! no socket, no file, no clock; time limits and cancellation come in through [`Limits`].
//!
//! Reading order: [`query`] and [`matchers`] (what is asked), [`source`] (what is there),
//! [`answer`] and [`error`] (what comes back), `functions` (the library: pure functions over values
//! and points), `plan` (the checked form of a query), `eval` (the walk over a plan).

pub mod answer;
pub mod error;
mod eval;
pub mod functions;
pub mod matchers;
mod notes;
mod plan;
pub mod query;
pub mod source;

pub use answer::{Answer, InstantSample, Limits, Stop, Value};
pub use error::{Error, ErrorKind};
pub use eval::{instant, range};
pub use matchers::{MatchOp, Matcher, Matchers};
pub use promql_parser::parser::value::ValueType;
pub use query::{Query, Selector};
pub use source::{MemorySource, Select, Series, Source, SourceError};
