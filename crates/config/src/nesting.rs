//! A bound on nesting, before anything is built from the text.

use std::ops::Range;

use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, Span};

/// How deep arrays and inline tables may nest. The parser itself allows 80, and 80 dotted keys in
/// each: a tree that deep overflows the stack when it is dropped.
pub(crate) const MAX_NESTING: usize = 16;

/// The first bracket in `text` that opens one level too many.
pub(crate) fn too_deep(text: &str) -> Option<Range<usize>> {
    let tokens = toml_parser::Source::new(text).lex().into_vec();
    let mut depth = Depth { open: 0, first_beyond: None };
    parse_document(&tokens, &mut depth, &mut ());
    depth.first_beyond.map(|span| span.start()..span.end())
}

struct Depth {
    open: usize,
    first_beyond: Option<Span>,
}

impl Depth {
    /// Whether the parser shall look into what opens here.
    fn enter(&mut self, span: Span) -> bool {
        self.open += 1;
        let allowed = self.open <= MAX_NESTING;
        if !allowed {
            self.first_beyond.get_or_insert(span);
        }
        allowed
    }
}

impl EventReceiver for Depth {
    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.enter(span)
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.open = self.open.saturating_sub(1);
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.enter(span)
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.open = self.open.saturating_sub(1);
    }
}
