//! What is wrong with a text, and the error that holds all of it.

use std::fmt;
use std::ops::Range;

use crate::render;
use crate::source::Source;
use crate::suggest::visible;

/// The most problems kept of one text; more are only counted, so that a hostile text cannot fill
/// the memory or the terminal.
pub const MAX_PROBLEMS: usize = 1000;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The bytes that are wrong.
    pub span: Range<usize>,
    /// What is wrong, in one line, lower case, no full stop.
    pub message: String,
    /// A few words that stand at the carets; may be empty.
    pub label: String,
    /// What would be right.
    pub help: Option<String>,
}

/// Collects the problems of one text, of any format.
#[derive(Debug)]
pub struct Problems<'s> {
    source: &'s Source,
    list: List,
}

/// At most [`MAX_PROBLEMS`] problems, and how many more there were.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    kept: Vec<Problem>,
    left_out: usize,
}

impl List {
    pub(crate) fn push(&mut self, problem: Problem) {
        let Problem { span, message, label, help } = problem;
        let problem = Problem {
            span,
            message: visible(&message, false),
            label: visible(&label, false),
            help: help.map(|help| visible(&help, true)),
        };
        if self.kept.len() >= MAX_PROBLEMS {
            self.left_out += 1;
        } else if !self.kept.contains(&problem) {
            self.kept.push(problem);
        }
    }
}

impl<'s> Problems<'s> {
    /// None yet.
    #[must_use]
    pub fn new(source: &'s Source) -> Self {
        Self { source, list: List::default() }
    }

    pub(crate) fn of(source: &'s Source, list: List) -> Self {
        Self { source, list }
    }

    /// The text whose problems these are.
    #[must_use]
    pub fn source(&self) -> &'s Source {
        self.source
    }

    /// One more. Control characters are escaped, a repetition is dropped, and what exceeds [`MAX_PROBLEMS`] is only counted.
    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.kept.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.kept.len() + self.list.left_out
    }

    /// What [`Invalid::render`] would print, or nothing when there are none.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        if self.is_empty() {
            return String::new();
        }
        Self::of(self.source, self.list.clone()).into_invalid().render(color)
    }

    /// `value`, when there are no problems.
    ///
    /// # Errors
    /// When there are, all of them.
    pub fn into_result<T>(self, value: T) -> Result<T, Invalid> {
        if self.is_empty() { Ok(value) } else { Err(self.into_invalid()) }
    }

    pub(crate) fn into_invalid(self) -> Invalid {
        let List { mut kept, left_out } = self.list;
        kept.sort_by_key(|p| (p.span.start, p.span.end));
        let findings = kept.into_iter().map(|p| Finding::new(self.source, p)).collect();
        Invalid { findings, left_out }
    }
}

/// A problem with its place spelt out: plain data, for machines.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The text's name, usually a file's path.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// The bytes that are wrong.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// A few words about the very place; may be empty.
    pub label: String,
    /// What would be right.
    pub help: Option<String>,
    pub(crate) source: Source,
}

impl Finding {
    fn new(source: &Source, problem: Problem) -> Self {
        let Problem { span, message, label, help } = problem;
        let position = source.position(span.start);
        Self {
            file: source.name().to_owned(),
            line: position.line,
            column: position.column,
            span,
            message,
            label,
            help,
            source: source.clone(),
        }
    }
}

/// All problems of a text, or of several texts that belong together. At least one.
///
/// Displays as [`render`](Self::render) without colour.
#[derive(Clone, Debug)]
pub struct Invalid {
    findings: Vec<Finding>,
    left_out: usize,
}

impl Invalid {
    /// The problems: text by text, by position.
    #[must_use]
    pub fn problems(&self) -> &[Finding] {
        &self.findings
    }

    /// How many more than [`problems`](Self::problems) there were.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// These problems, followed by those of another text.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.findings.extend(other.findings);
        self.left_out += other.left_out;
        self
    }

    /// Every problem with its line, carets and help, and how many there are. No line break at the
    /// end. `color` is for terminals: escape sequences.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        render::render(self, color)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Invalid {}
