//! Where all sections and values of one text hand in their problems.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::mend::Insertions;
use crate::outline::{Flaw, FlawKind};
use crate::problem::{List, Problem, Problems};
use crate::source::{Position, Source};
use crate::suggest::shown;

/// One per text that is read; shared by all of its sections and values.
#[derive(Debug)]
pub(crate) struct Desk<'s> {
    source: &'s Source,
    /// What the text that was parsed has more than the source: spans are of the parsed text.
    insertions: Insertions,
    problems: RefCell<List>,
    /// Lines with syntax errors. What is found there besides is a consequence.
    broken_lines: BTreeSet<usize>,
    /// Where something without end began and swallowed what follows it.
    swallowed_from: Option<usize>,
}

impl<'s> Desk<'s> {
    /// With the problems that `flaws` are.
    pub(crate) fn new(source: &'s Source, insertions: Insertions, flaws: Vec<Flaw>) -> Self {
        let mut desk = Self {
            source,
            insertions,
            problems: RefCell::default(),
            broken_lines: BTreeSet::new(),
            swallowed_from: None,
        };
        let opens = flaws.iter().filter(|flaw| flaw.kind == FlawKind::OpenValue);
        desk.swallowed_from = opens.map(|flaw| flaw.begins.start).min();
        for flaw in flaws {
            let open = flaw.kind == FlawKind::OpenValue;
            let (span, label) =
                if open { (flaw.begins, "begins here") } else { (flaw.noticed.clone(), "") };
            desk.broken_lines.insert(source.line_of(flaw.noticed.start));
            // What was swallowed is no longer read as what it is.
            if desk.swallowed_from.is_none_or(|from| span.start <= from) {
                desk.push_syntax(span, &flaw.message, label, None);
            }
        }
        desk
    }

    /// Records what the parser itself says about the parsed text.
    pub(crate) fn push_parser_errors(&mut self, errors: Vec<toml::de::Error>) {
        let end = self.source.text().len();
        let lines_before = self.broken_lines.clone();
        for error in errors {
            let span = self.insertions.undo(error.span().unwrap_or(0..0));
            let start = span.start.min(end);
            let span = start..span.end.clamp(start, end);
            if lines_before.contains(&self.source.line_of(start)) {
                continue;
            }
            if self.swallowed_from.is_some_and(|from| start > from) {
                continue;
            }
            // A string of several lines without end.
            if start == end && error.message().starts_with("invalid multi-line") {
                self.swallowed_from = Some(end);
            }
            // The parser's own words for both of these are the same, and puzzling.
            let text = &self.source.text().get(span.clone()).unwrap_or_default();
            if !error.message().starts_with("string values must be quoted") {
                self.push_syntax(span, error.message(), "", None);
            } else if text.is_empty() {
                self.push_syntax(span, "no value after `=`", "", None);
            } else {
                let help = format!("texts need quotes: `\"{}\"`", shown(text));
                self.push_syntax(span, "not a TOML value", "", Some(help));
            }
        }
    }

    fn push_syntax(
        &mut self,
        span: Range<usize>,
        message: &str,
        label: &str,
        help: Option<String>,
    ) {
        self.broken_lines.insert(self.source.line_of(span.start));
        let (message, label) = (message.to_owned(), label.to_owned());
        self.problems.get_mut().push(Problem { span, message, label, help });
    }

    /// Records what is wrong, unless a syntax error explains it.
    pub(crate) fn push(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        let span = self.insertions.undo(span);
        let swallowed = self.swallowed_from.is_some_and(|from| span.start >= from);
        if !swallowed && !self.broken_lines.contains(&self.source.line_of(span.start)) {
            let (message, label) = (message.into(), label.into());
            self.problems.borrow_mut().push(Problem { span, message, label, help });
        }
    }

    /// Records that `key` is missing, unless it may stand where the text could not be parsed.
    pub(crate) fn push_missing(
        &self,
        span: Range<usize>,
        key: &str,
        place: &str,
        help: impl Into<String>,
    ) {
        let lost = |line: &usize| self.source.text()[self.source.line_range(*line)].contains(key);
        if self.swallowed_from.is_some() || self.broken_lines.iter().any(lost) {
            return;
        }
        let span = self.insertions.undo(span);
        let message = format!("{} is missing{place}", tick(key));
        let problem = Problem { span, message, label: String::new(), help: Some(help.into()) };
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn position(&self, span: &Range<usize>) -> Position {
        self.source.position(self.insertions.undo(span.clone()).start)
    }

    pub(crate) fn into_problems(self) -> Problems<'s> {
        Problems::of(self.source, self.problems.into_inner())
    }
}

/// `text` in backticks, fit for a message.
pub(crate) fn tick(text: &str) -> String {
    format!("`{}`", shown(text))
}
