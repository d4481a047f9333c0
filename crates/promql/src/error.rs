//! What can go wrong with a query, in the words of Prometheus.

use std::time::Duration;

use hallwatch_model::Labels;
use thiserror::Error;

use crate::answer::Stop;
use crate::source::SourceError;

/// How the HTTP API tells errors apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The question is wrong: `bad_data`, status 400.
    BadData,
    /// The question could not be answered on these data: `execution`, status 422.
    Execution,
    /// It took too long: `timeout`, status 503.
    Timeout,
    /// Nobody waits for the answer any more: `canceled`, status 499.
    Canceled,
    /// It would have read more samples than allowed: `execution`, status 422.
    TooManySamples,
    /// The source failed: `internal`, status 500.
    Internal,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// The text is not PromQL.
    #[error("parse error: {reason}")]
    Parse {
        /// What the parser says.
        reason: String,
    },
    /// The text is longer or deeper than any honest query.
    #[error("parse error: the expression is longer or nested deeper than allowed")]
    TooComplex,
    /// PromQL that Hallwatch does not evaluate.
    #[error("parse error: {what} is not supported")]
    Unsupported {
        /// The function or the syntax.
        what: &'static str,
    },
    /// The value of the expression has no place in a range query.
    #[error(
        "invalid expression type \"{found}\" for range query, must be Scalar or instant Vector"
    )]
    RangeOf {
        /// `range vector` or `string`.
        found: &'static str,
    },
    /// A range query with a step that is not above zero.
    #[error(
        "zero or negative query resolution step widths are not accepted. Try a positive integer"
    )]
    Step,
    /// A range query that ends before it starts.
    #[error("end timestamp must not be before start time")]
    EndBeforeStart,
    /// More steps than allowed.
    #[error(
        "exceeded maximum resolution of {limit} points per timeseries. Try decreasing the query \
         resolution (?step=XX)"
    )]
    TooManySteps {
        /// How many are allowed.
        limit: usize,
    },
    /// More samples than allowed.
    #[error(
        "query processing would load too many samples into memory in query execution (limit {limit})"
    )]
    TooManySamples {
        /// How many are allowed.
        limit: usize,
    },
    /// The time is up.
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// Nobody waits any more.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// Two series of the result have the same labels.
    #[error("vector cannot contain metrics with the same labelset")]
    SameLabels,
    /// Two series on the "one" side belong to one match group.
    #[error(
        "found duplicate series for the match group {group} on the {side} hand-side of the \
         operation: [{first}, {second}];many-to-many matching not allowed: matching labels must be \
         unique on one side"
    )]
    ManyToMany {
        /// The labels matched on.
        group: String,
        /// `left` or `right`.
        side: &'static str,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// Many series on the left meet one on the right, and nothing says that this is meant.
    #[error(
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
    )]
    ManyToOne,
    /// The included labels make two results the same.
    #[error("multiple matches for labels: grouping labels must ensure unique matches")]
    GroupingNotUnique,
    /// A regular expression that is none.
    #[error("invalid regular expression in {function}(): {pattern}")]
    Regex {
        /// The function that it was given to.
        function: &'static str,
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
    /// A label name that is none.
    #[error("invalid {what} {name}")]
    LabelName {
        /// What the name was for, such as `destination label name in label_replace():`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A parameter of an aggregation that is not a number.
    #[error("{what} value is NaN")]
    NotANumber {
        /// `Parameter` or `Ratio`.
        what: &'static str,
    },
    /// A parameter of an aggregation that no integer can hold.
    #[error("Scalar value {value} overflows int64")]
    ParameterOverflow {
        /// As it was given.
        value: f64,
    },
    /// A smoothing factor outside of the open interval from 0 to 1.
    #[error("invalid {what} factor. Expected: 0 < {symbol} < 1, got: {value}")]
    Factor {
        /// `smoothing` or `trend`.
        what: &'static str,
        /// `sf` or `tf`.
        symbol: &'static str,
        /// As it was given.
        value: f64,
    },
    /// The source could not give the series.
    #[error("cannot read the series of {matchers}")]
    Source {
        /// Which series.
        matchers: String,
        /// Why not.
        #[source]
        source: SourceError,
    },
}

impl Error {
    /// How the HTTP API reports it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Parse { .. }
            | Self::TooComplex
            | Self::Unsupported { .. }
            | Self::RangeOf { .. }
            | Self::Step
            | Self::EndBeforeStart
            | Self::TooManySteps { .. } => ErrorKind::BadData,
            Self::TooManySamples { .. } => ErrorKind::TooManySamples,
            Self::Timeout => ErrorKind::Timeout,
            Self::Canceled => ErrorKind::Canceled,
            Self::Source { .. } => ErrorKind::Internal,
            _ => ErrorKind::Execution,
        }
    }

    pub(crate) fn duplicate(group: &Labels, side: &'static str, a: &Labels, b: &Labels) -> Self {
        let mut both = [braced(a), braced(b)];
        both.sort();
        let [first, second] = both;
        Self::ManyToMany { group: braced(group), side, first, second }
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Timeout => Self::Timeout,
            Stop::Canceled => Self::Canceled,
        }
    }
}

/// All labels in braces, the metric name among them: how Prometheus prints series in errors.
fn braced(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|label| format!("{}={:?}", label.name, label.value)).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A duration in milliseconds, at most what a timestamp can hold.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
