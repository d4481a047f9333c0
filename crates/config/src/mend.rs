//! A broken text made readable as far as possible, so that the lines behind a slip are checked in
//! the same run.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::outline::{Flaw, FlawKind};
use crate::source::Source;

/// A text without the flaws that make the parser drop what follows them: lone keys are blanked,
/// headers are closed.
#[derive(Debug)]
pub(crate) struct Mended<'s> {
    pub(crate) text: Cow<'s, str>,
    pub(crate) insertions: Insertions,
}

/// What the mended text has more than the source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Insertions(Vec<Insertion>);

#[derive(Clone, Debug)]
struct Insertion {
    /// Where, in the source.
    at: usize,
    bytes: usize,
}

impl Insertions {
    /// Where in the source the span of the mended text is.
    pub(crate) fn undo(&self, span: Range<usize>) -> Range<usize> {
        let start = self.undo_at(span.start);
        start..self.undo_at(span.end).max(start)
    }

    fn undo_at(&self, offset: usize) -> usize {
        let mut more = 0;
        for Insertion { at, bytes } in &self.0 {
            if offset <= at + more {
                break;
            }
            if offset < at + more + bytes {
                return *at;
            }
            more += bytes;
        }
        offset - more
    }
}

impl<'s> Mended<'s> {
    pub(crate) fn new(source: &'s Source, flaws: &[Flaw]) -> Self {
        let mut text = Cow::Borrowed(source.text());
        let mut insertions = Vec::new();
        // From the end, so that the places before stay where they are.
        let mut from_end: Vec<&Flaw> = flaws.iter().collect();
        from_end.sort_by_key(|flaw| std::cmp::Reverse(flaw.noticed.start));
        let mut touched = BTreeSet::new();
        for flaw in from_end {
            let at = source.text().floor_char_boundary(flaw.noticed.start);
            let line = source.line_of(at);
            if matches!(flaw.kind, FlawKind::Harmless | FlawKind::OpenValue)
                || !touched.insert(line)
            {
                continue;
            }
            match flaw.kind {
                FlawKind::LoneKey => {
                    let line = source.line_range(line);
                    text.to_mut().replace_range(line.clone(), &" ".repeat(line.len()));
                }
                FlawKind::OpenHeader(close) => {
                    text.to_mut().insert_str(at, close);
                    insertions.push(Insertion { at, bytes: close.len() });
                }
                FlawKind::Harmless | FlawKind::OpenValue => {}
            }
        }
        insertions.reverse();
        Self { text, insertions: Insertions(insertions) }
    }
}
