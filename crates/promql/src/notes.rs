//! Warnings and infos, in Prometheus' wording.

use std::collections::BTreeSet;
use std::fmt;

/// Where in the text of the query, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}:{})", self.line, self.column)
    }
}

/// What a query had to say beside its value; each sentence once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
}

impl Notes {
    pub(crate) fn warn(&mut self, sentence: impl fmt::Display, at: Position) {
        self.warnings.insert(format!("PromQL warning: {sentence} {at}"));
    }

    pub(crate) fn info(&mut self, sentence: impl fmt::Display, at: Position) {
        self.infos.insert(format!("PromQL info: {sentence} {at}"));
    }

    /// An info about all of the query.
    pub(crate) fn remark(&mut self, sentence: impl fmt::Display) {
        self.infos.insert(format!("PromQL info: {sentence}"));
    }

    pub(crate) fn into_parts(self) -> (Vec<String>, Vec<String>) {
        (self.warnings.into_iter().collect(), self.infos.into_iter().collect())
    }
}

/// As Go's `%g` prints a float.
pub(crate) fn go_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else if value != 0.0 && !(1e-4..1e21).contains(&value.abs()) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        format!("{mantissa}e{sign}{digits:0>2}")
    } else {
        value.to_string()
    }
}
