//! Prometheus rule files, and the alerts that they raise.
//!
//! [`load`] reads files and reports every mistake with its place. An [`Engine`] evaluates the
//! rules against a `hallwatch_promql::Source` and says what changed and why. It behaves as
//! Prometheus does, but for one thing: an alert whose inputs have gone away is not resolved. It is
//! *held*, pending or firing as it was, until there is evidence; `no_data: resolve` in a rule gives
//! Prometheus' behaviour back, `no_data: fire` takes missing data for trouble.
//!
//! Reading order: [`rule`] (what a file says), [`load`], `template`, [`alert`] (the state machine),
//! `flapping`, `reason`, `inputs` and `evidence` (what an alert rests on), [`engine`] (batch), [`push`]
//! (by samples), [`view`], [`explain`], [`library`]; the tools [`unittest`], [`export`], [`backtest`].

pub mod alert;
pub mod backtest;
mod duration;
pub mod engine;
mod evidence;
pub mod explain;
pub mod export;
mod flapping;
mod humanize;
mod inputs;
pub mod library;
mod load;
mod overlay;
pub mod push;
mod reason;
pub mod rule;
mod template;
mod tree;
pub mod unittest;
pub mod view;

pub use alert::{Alert, AlertState, Cause, Held, Memory, Reason};
pub use duration::{format as format_duration, parse as parse_duration};
pub use engine::{Engine, Evaluation, Options, SavedAlert, Transition};
pub use flapping::{Changes, Flaps};
pub use load::load;
pub use push::{Fallback, Feed, Handle, HistoricalAlert, PushEngine, Pushed, Received, Usage};
pub use rule::{Alerting, Chatter, Condition, Expect, Flapping, Group, NoData, Rule, RuleSet};
pub use template::Template;
pub(crate) use template::link;
pub use view::{Health, Inside, Reload, View};
