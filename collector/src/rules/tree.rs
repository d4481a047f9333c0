//! A YAML text as a tree in which everything knows where it stands.

use std::collections::HashMap;
use std::ops::Range;

use hallwatch_config::Problem;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

/// The deepest nesting; a rule file needs six levels.
const MAX_DEPTH: usize = 32;
/// The most nodes, those that aliases repeat included; bounds what a few nested aliases can become.
const MAX_NODES: usize = 500_000;

/// A value and its bytes in the text.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    Map(Vec<(Node, Node)>),
    List(Vec<Node>),
}

#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) style: ScalarStyle,
}

impl Node {
    /// What it is, for messages.
    pub(super) fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() => "nothing",
            Kind::Scalar(_) => "a text",
            Kind::Map(_) => "a mapping",
            Kind::List(_) => "a list",
        }
    }

    /// Where in `source` the bytes `range` of this scalar's text stand. Indentation, folding and
    /// quotes are skipped by counting the characters that are not white space.
    pub(super) fn within(&self, source: &str, range: Range<usize>) -> Range<usize> {
        let Kind::Scalar(scalar) = &self.kind else { return self.span.clone() };
        let start = scalar.offset(source, &self.span, range.start);
        let last = range.end.max(range.start + 1) - 1;
        let end = scalar.offset(source, &self.span, scalar.text.floor_char_boundary(last));
        let width =
            source.get(end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        start..(end + width).max(start + 1).min(self.span.end.max(start + 1))
    }
}

impl Scalar {
    /// Whether YAML takes it for no value.
    pub(super) fn is_null(&self) -> bool {
        self.style == ScalarStyle::Plain && matches!(&*self.text, "" | "~" | "null")
    }

    fn offset(&self, source: &str, span: &Range<usize>, at: usize) -> usize {
        let Some(raw) = source.get(span.clone()) else { return span.start };
        let before = self.text.get(..at).unwrap_or(&self.text);
        let wanted = before.chars().filter(|c| !c.is_whitespace()).count();
        // The header of a block (`|-`) or the opening quote is not content.
        let header = match self.style {
            ScalarStyle::Plain => 0,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
            ScalarStyle::Literal | ScalarStyle::Folded if raw.starts_with(['|', '>']) => {
                raw.find('\n').map_or(raw.len(), |end| end + 1)
            }
            ScalarStyle::Literal | ScalarStyle::Folded => 0,
        };
        let mut seen = 0;
        let mut escaped = false;
        for (i, c) in raw.char_indices().skip_while(|(i, _)| *i < header) {
            let escape = match self.style {
                ScalarStyle::DoubleQuoted => c == '\\',
                ScalarStyle::SingleQuoted => c == '\'',
                _ => false,
            };
            if c.is_whitespace() || (escape && !escaped) {
                escaped = escape;
                continue;
            }
            escaped = false;
            if seen == wanted {
                return span.start + i;
            }
            seen += 1;
        }
        span.end.saturating_sub(1).max(span.start)
    }
}

/// The one document of `text`, or `None` when it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Problem> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
            problem(at..at, error.info(), "not YAML")
        })?;
        let range = span.byte_range().unwrap_or(0..0);
        builder.event(event, range)?;
    }
    Ok(builder.root)
}

fn problem(span: Range<usize>, message: impl Into<String>, label: &str) -> Problem {
    Problem { span, message: message.into(), label: label.to_owned(), help: None }
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

struct Open {
    node: Node,
    /// A mapping's key that waits for its value.
    key: Option<Node>,
    anchor: usize,
    /// How many nodes there were when it was opened.
    nodes: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Range<usize>) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let kind = Kind::Scalar(Scalar { text: text.into_owned(), style });
                self.close(Node { span, kind }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.open(span, Kind::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.open(span, Kind::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut open) = self.open.pop() else { return Ok(()) };
                open.node.span.end = span.start.max(open.node.span.start);
                let nodes = self.nodes - open.nodes;
                self.close(open.node, open.anchor, nodes)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((mut node, nodes)) => {
                    self.count(nodes, &span)?;
                    node.span = span;
                    self.place(node)
                }
                None => Err(problem(span, "an alias within what it stands for", "repeats itself")),
            },
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(problem(span, "a second document in one file", "only one is read"))
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, span: Range<usize>, kind: Kind, anchor: usize) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(problem(span, format!("nested deeper than {MAX_DEPTH} levels"), "here"));
        }
        self.count(1, &span)?;
        let nodes = self.nodes;
        self.open.push(Open { node: Node { span, kind }, key: None, anchor, nodes });
        Ok(())
    }

    fn close(&mut self, node: Node, anchor: usize, nodes: usize) -> Result<(), Problem> {
        if matches!(node.kind, Kind::Scalar(_)) {
            self.count(1, &node.span)?;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), nodes.max(1)));
        }
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.kind, open.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(pairs), Some(key)) => pairs.push((key, node)),
            (Kind::Map(_), None) => open.key = Some(node),
            (Kind::Scalar(_), _) => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, span: &Range<usize>) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(problem(span.clone(), format!("more than {MAX_NODES} values"), "here"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar<'n>(node: &'n Node, path: &[&str]) -> &'n Node {
        path.iter().fold(node, |node, key| match &node.kind {
            Kind::Map(pairs) => {
                let found = pairs
                    .iter()
                    .find(|(name, _)| matches!(&name.kind, Kind::Scalar(s) if s.text == **key));
                &found.unwrap().1
            }
            _ => panic!("{key} in {}", node.noun()),
        })
    }

    #[test]
    fn finds_a_byte_of_a_value_in_every_style() {
        let cases = [
            ("plain", "a: up == XX\n"),
            ("plain over lines", "a: up\n   == XX\n"),
            ("single", "a: 'up == XX'\n"),
            ("single with a quote", "a: 'up{b=''c''} == XX'\n"),
            ("double", "a: \"up == XX\"\n"),
            ("double with escapes", "a: \"up{b=\\\"c\\\"} == XX\"\n"),
            ("literal", "a: |\n  up\n    == XX\n"),
            ("folded", "a: >-\n  up\n  == XX\n\nb: 1\n"),
            ("after what takes several bytes", "a: 'äö == XX'\n"),
        ];
        for (name, text) in cases {
            let root = parse(text).unwrap().unwrap();
            let node = scalar(&root, &["a"]);
            let Kind::Scalar(value) = &node.kind else { panic!("{name}") };
            let at = value.text.find("XX").unwrap();
            let place = node.within(text, at..at + 2);
            assert_eq!(
                &text[place],
                "XX",
                "{name}: {:?} of {:?}",
                value.text,
                &text[node.span.clone()]
            );
        }
    }

    #[test]
    fn a_few_nested_aliases_do_not_become_a_billion_values() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let of = format!("*a{}", i - 1);
            text += &format!("a{i}: &a{i} [{}]\n", [of.as_str(); 9].join(", "));
        }
        assert!(parse(&text).unwrap_err().message.contains("more than"));
        let deep = "[".repeat(40) + &"]".repeat(40);
        assert!(parse(&deep).unwrap_err().message.contains("deeper"));
    }

    #[test]
    fn refuses_what_is_not_one_document() {
        assert!(parse("").unwrap().is_none());
        assert!(parse("a: [1").is_err());
        assert!(parse("a: 1\n---\nb: 1\n").is_err());
        assert!(parse("a: &x [*x]").is_err());
        assert!(parse("a: *nowhere").is_err());
    }
}
