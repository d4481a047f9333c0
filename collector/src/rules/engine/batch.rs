//! The expressions of a rule, evaluated from the source.

use hallwatch_model::{Labels, Timestamp, chain};
use hallwatch_promql::{InstantSample, Limits, Query, Source, Value, instant};

use super::Options;
use super::conditions::{Expressions, Result};
use crate::rules::rule::Rule;

/// What the rule's own, `clear` and `expect` say, evaluated from the source.
pub(super) struct Batch<'e> {
    pub(super) rule: &'e Rule,
    pub(super) now: Timestamp,
    pub(super) source: &'e dyn Source,
    pub(super) options: &'e Options,
}

impl Batch<'_> {
    fn query(&self, query: &Query) -> Result {
        let limits = Limits { lookback: self.options.lookback, ..Limits::default() };
        let answer = instant(query, self.now, self.source, &limits).map_err(|e| chain(&e))?;
        match answer.value {
            Value::Vector(vector) => Ok(vector),
            Value::Scalar(time, value) => {
                Ok(vec![InstantSample { labels: Labels::empty(), time, value }])
            }
            Value::String(..) | Value::Matrix(_) => {
                Err("the result is not a vector or a scalar".into())
            }
        }
    }
}

impl Expressions for Batch<'_> {
    fn own(&self) -> Result {
        self.query(&self.rule.query)
    }

    fn clear(&self) -> Result {
        let clear = self.rule.alerting().and_then(|alerting| alerting.clear.as_ref());
        clear.map_or(Ok(Vec::new()), |clear| self.query(&clear.query))
    }

    fn expect(&self) -> Result {
        let expect = self.rule.alerting().and_then(|alerting| alerting.expect.as_ref());
        expect.map_or(Ok(Vec::new()), |expect| self.query(&expect.condition.query))
    }
}
