//! A first look at a text: where its syntax is broken and how deep it nests, before anything is
//! built from it.

use std::ops::Range;

use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Span};

use crate::problem::MAX_PROBLEMS;

/// How deep arrays and inline tables may nest. The parser itself allows 80, and 80 dotted keys in
/// each: a tree that deep overflows the stack when it is dropped. Measured without optimization in
/// a thread of 2 MiB: 16 hold, 40 do not.
pub(crate) const MAX_NESTING: usize = 8;

/// What a first look finds. Escapes and numbers are not looked into.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// The first bracket that opens one level too many.
    pub(crate) too_deep: Option<Range<usize>>,
    pub(crate) flaws: Vec<Flaw>,
    /// How many more flaws than [`MAX_PROBLEMS`] there are.
    pub(crate) left_out: usize,
}

/// One place where the syntax is broken.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) kind: FlawKind,
    /// Where the parser noticed.
    pub(crate) noticed: Range<usize>,
    /// Where the broken construct begins.
    pub(crate) begins: Range<usize>,
    pub(crate) message: String,
}

/// What a flaw does to the lines after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlawKind {
    /// The parser goes on behind it.
    Harmless,
    /// A key alone: the parser drops the rest of the text.
    LoneKey,
    /// `[header` or `[[header`: the parser drops what follows, up to the next header's end. This
    /// would close it.
    OpenHeader(&'static str),
    /// An array or inline table without end: it swallows what follows.
    OpenValue,
}

pub(crate) fn outline(text: &str) -> Outline {
    let tokens = toml_parser::Source::new(text).lex().into_vec();
    let mut depth = Depth { open: 0, first_beyond: None };
    let mut found = Outline::default();
    parse_document(&tokens, &mut depth, &mut |error: ParseError| {
        if found.flaws.len() < MAX_PROBLEMS {
            found.flaws.push(Flaw::new(&error, text.len()));
        } else {
            found.left_out += 1;
        }
    });
    found.too_deep = depth.first_beyond.map(|span| range(span, text.len()));
    found
}

impl Flaw {
    fn new(error: &ParseError, end: usize) -> Self {
        let noticed = error.unexpected().or(error.context()).map_or(0..0, |span| range(span, end));
        let begins = error.context().map_or(noticed.clone(), |span| range(span, end));
        let kind = match (error.description(), error.expected()) {
            ("key with no value", _) => FlawKind::LoneKey,
            ("unclosed table" | "unclosed array table", Some([Expected::Literal(close)])) => {
                FlawKind::OpenHeader(close)
            }
            ("unclosed array" | "unclosed inline table", _) => FlawKind::OpenValue,
            _ => FlawKind::Harmless,
        };
        Self { kind, noticed, begins, message: message(error) }
    }
}

fn message(error: &ParseError) -> String {
    let expected = error.expected().unwrap_or_default().iter().map(|expected| match expected {
        Expected::Literal("\n") => "a line break".to_owned(),
        Expected::Literal(text) => format!("`{text}`"),
        Expected::Description(text) => (*text).to_owned(),
        _ => "something else".to_owned(),
    });
    let expected: Vec<String> = expected.collect();
    if expected.is_empty() {
        return error.description().to_owned();
    }
    format!("{}, expected {}", error.description(), expected.join(" or "))
}

/// Within the text, whatever the parser says.
fn range(span: Span, end: usize) -> Range<usize> {
    let start = span.start().min(end);
    start..span.end().clamp(start, end)
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
