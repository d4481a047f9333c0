//! Evaluation of PromQL: a text becomes a checked [`Query`], a [`Source`] gives series, and
//! [`instant`] or [`range`] give the [`Answer`] that Prometheus would give. Pure and synchronous:
//! no socket, no file, no clock; time limits and cancellation come in through [`Limits`].
//!
//! ```
//! use hallwatch_model::{Labels, Timestamp};
//! use hallwatch_promql::{Limits, MemorySource, Query, Value, instant};
//!
//! let mut source = MemorySource::new();
//! source.push(&Labels::metric("load_watts", [("rack", "7")]), Timestamp::from_millis(0), 250.0);
//! let query = Query::parse("load_watts / 1000")?;
//! let answer = instant(&query, Timestamp::from_millis(60_000), &source, &Limits::default())?;
//! let Value::Vector(samples) = answer.value else { panic!("an instant vector") };
//! assert_eq!(samples[0].value, 0.25);
//! assert_eq!(samples[0].labels.to_string(), r#"{rack="7"}"#);
//! # Ok::<(), hallwatch_promql::Error>(())
//! ```
//!
//! Reading order: [`query`], [`matchers`] and `pattern` (what is asked), [`source`] (what is there),
//! [`answer`], `kept` and [`error`] (what comes back), `functions` (the library: pure functions over values
//! and points), `plan` (the checked form of a query), `eval` (the walk over a plan), [`incremental`]
//! (a query as operators that samples move).

pub mod answer;
pub mod error;
mod eval;
pub mod functions;
pub mod incremental;
mod kept;
pub mod matchers;
mod notes;
mod pattern;
mod plan;
pub mod query;
pub mod source;

pub use answer::{Answer, InstantSample, Limits, Stop, Value};
pub use error::{Error, ErrorKind};
pub use eval::{instant, instant_of_kept, range};
pub use kept::Kept;
pub use matchers::{MatchOp, Matcher, Matchers};
pub use pattern::from_go;
pub use promql_parser::parser::value::ValueType;
pub use query::{Query, Selector};
pub use source::{
    Budget, Found, GivenUp, Last, MemorySource, Purpose, Select, Series, Source, SourceError,
    Summaries, Summarised, Want,
};
