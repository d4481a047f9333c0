//! Evaluation that is pushed: a query becomes operators with state, a sample moves only the state
//! that depends on it, and time moves the rest by timers.
//!
//! A [`Graph`] holds the operators of any number of queries; equal parts are there once. Samples
//! are given to [`Graph::push`], event time to [`Graph::advance`]; [`Graph::settle`] carries both
//! through the operators. After it, what a query says is what [`crate::instant`] would say at that
//! time, but for values that change with time alone from one moment to the next (`time()`, the
//! extrapolation of `rate`): those follow at the next [`Graph::tick`]. The functions are the same
//! as of batch evaluation: `crate::functions`.
//!
//! What cannot be kept up to date this way is an [`Obstacle`], and stays with batch evaluation.
//! Sorting has no meaning here: results have no order. Of equal values, `topk` and `bottomk` keep
//! those of the series that came first.
//!
//! Reading order: `obstacle`, `graph` (the whole), `series`, `buffer`, `tape`
//! and `timers` (what comes in), `node`
//! (rows of an operator), `compile` (from plan to operators); then the operators: `leaf` and `guard`,
//! `each`, `scalar`, `aggregate`, `matched` (groups of both sides), `sets`, `join`, `relabel`, `root`.

mod aggregate;
mod buffer;
mod compile;
mod each;
mod graph;
mod guard;
mod join;
mod leaf;
mod locality;
mod matched;
mod memory;
mod node;
mod obstacle;
mod relabel;
mod root;
mod scalar;
mod series;
mod sets;
mod tape;
mod timers;

pub use graph::{Change, Graph, RootId, SeriesId, WatchId};
pub use memory::Memory;
pub use obstacle::Obstacle;
