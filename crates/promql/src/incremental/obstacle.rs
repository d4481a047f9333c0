//! Why a query stays with batch evaluation.

use thiserror::Error;

/// What in a query cannot be kept up to date sample by sample.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// A subquery.
    #[error("a subquery asks for the past of an expression, which operators do not keep")]
    Subquery,
    /// `@`.
    #[error("`@` fixes the time, however much time passes")]
    FixedTime,
    /// A negative offset.
    #[error("a negative `offset` asks for samples that are not there yet")]
    Future,
    /// `count_values`.
    #[error("`count_values` makes a series of every value")]
    CountValues,
    /// `limitk`, `limit_ratio`.
    #[error("`limitk` and `limit_ratio` take series in the order of the store")]
    Limit,
    /// `fill`, `fill_left`, `fill_right`.
    #[error("`fill` makes series of those that are not there")]
    Fill,
    /// `by (__name__)`.
    #[error("a grouping by the metric name depends on which series are there")]
    GroupByName,
    /// Functions that few rules use.
    #[error("this function of histograms is only there in batch evaluation")]
    Histogram,
    /// A regular expression or a label name that is wrong; a smoothing factor that is wrong or no
    /// number.
    #[error("an argument is wrong or no constant, which only batch evaluation copes with")]
    Argument,
    /// A text or a range vector.
    #[error("the result is not a vector or a scalar")]
    Type,
}
