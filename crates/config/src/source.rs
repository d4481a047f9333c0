//! The text that is read, and where in it something stands.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text and the name it goes by in messages, usually a file's path. Cheap to clone.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    name: String,
    text: String,
    /// Where each line starts, in bytes; the first is 0.
    line_starts: Vec<usize>,
}

/// Where a byte stands, as people and editors count: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

impl Source {
    /// The text `text` by the name `name`. A byte order mark at its start is left out; all
    /// offsets are of the text without it.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, mut text) = (name.into(), text.into());
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        let after_breaks =
            text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        let line_starts = [0].into_iter().chain(after_breaks).collect();
        Self(Arc::new(Inner { name, text, line_starts }))
    }

    /// What the text is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Where the byte `offset` stands; what lies behind the end stands at the end.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text().floor_char_boundary(offset);
        let line = self.line_of(offset);
        let start = self.line_start(line);
        let column = self.text()[start..offset].chars().count() + 1;
        Position { line, column }
    }

    /// The number, from 1, of the line the byte `offset` is in.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.0.line_starts.partition_point(|start| *start <= offset).max(1)
    }

    /// The bytes of line `line`, from 1, without its line break.
    pub(crate) fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.line_start(line);
        let end = self.0.line_starts.get(line).map_or(self.text().len(), |next| next - 1);
        let end = if self.text()[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    fn line_start(&self, line: usize) -> usize {
        self.0.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text().len())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?}, {} bytes)", self.name(), self.text().len())
    }
}
