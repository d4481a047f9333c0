//! Where all sections and values of one text hand in their problems.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::problem::{List, Problem, Problems};
use crate::source::{Position, Source};
use crate::suggest::shown;

/// One per text that is read; shared by all of its sections and values.
#[derive(Debug)]
pub(crate) struct Desk<'s> {
    source: &'s Source,
    problems: RefCell<List>,
    /// Lines with syntax errors. What is found there besides is a consequence.
    broken_lines: BTreeSet<usize>,
}

impl<'s> Desk<'s> {
    pub(crate) fn new(source: &'s Source, errors: &[toml::de::Error]) -> Self {
        let mut problems = List::default();
        let mut broken_lines = BTreeSet::new();
        for error in errors {
            let span = error.span().map(|span| into_text(source, span));
            if let Some(span) = &span {
                broken_lines.insert(source.line_of(span.start));
            }
            problems.push(Problem {
                span: span.unwrap_or(0..0),
                message: error.message().to_owned(),
                label: String::new(),
                help: None,
            });
        }
        Self { source, problems: RefCell::new(problems), broken_lines }
    }

    /// Records what is wrong, unless it stands in a line that could not be parsed anyway.
    pub(crate) fn push(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        if !self.broken_lines.contains(&self.source.line_of(span.start)) {
            let (message, label) = (message.into(), label.into());
            self.problems.borrow_mut().push(Problem { span, message, label, help });
        }
    }

    /// Records that `key` is missing, unless it stands in a line that could not be parsed.
    pub(crate) fn push_missing(
        &self,
        span: Range<usize>,
        key: &str,
        place: &str,
        help: impl Into<String>,
    ) {
        let lost = |line: &usize| self.source.text()[self.source.line_range(*line)].contains(key);
        if !self.broken_lines.iter().any(lost) {
            let message = format!("{} is missing{place}", tick(key));
            self.problems.borrow_mut().push(Problem {
                span,
                message,
                label: String::new(),
                help: Some(help.into()),
            });
        }
    }

    pub(crate) fn position(&self, span: &Range<usize>) -> Position {
        self.source.position(span.start)
    }

    pub(crate) fn into_problems(self) -> Problems<'s> {
        Problems::of(self.source, self.problems.into_inner())
    }
}

/// `text` in backticks, fit for a message.
pub(crate) fn tick(text: &str) -> String {
    format!("`{}`", shown(text))
}

/// A parser's span may lie behind the end or be reversed; it must not take anyone down.
fn into_text(source: &Source, span: Range<usize>) -> Range<usize> {
    let end = source.text().len();
    let start = span.start.min(end);
    start..span.end.clamp(start, end)
}
