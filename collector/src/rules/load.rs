//! From rule files to rules: every mistake in all files at once.

mod check;
mod locate;
pub(super) mod semantics;
mod units;

use std::ops::Range;
use std::sync::Arc;

use hallwatch_config::suggest;
use hallwatch_config::{Invalid, Problem, Problems, Source};

use super::rule::RuleSet;
use super::{inputs, tree};
use tree::{Kind, Node};

/// The longest rule file, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// Reads Prometheus rule files: names (usually paths) and texts.
///
/// # Errors
/// When there is anything wrong, all of it.
pub fn load(sources: &[(&str, &str)]) -> Result<RuleSet, Invalid> {
    let mut rules = RuleSet::default();
    let mut invalid: Option<Invalid> = None;
    for (name, text) in sources {
        let source = Source::new(*name, *text);
        let mut desk = Desk {
            text,
            file: (*name).into(),
            problems: Problems::new(&source),
            warnings: Problems::new(&source),
        };
        let parsed = if text.len() > MAX_BYTES {
            let message = format!("the file has more than {} MiB", MAX_BYTES >> 20);
            Err(Problem { span: 0..0, message, label: String::new(), help: None })
        } else {
            tree::parse(text)
        };
        match parsed {
            Ok(root) => rules.groups.extend(root.iter().flat_map(|root| desk.file(root))),
            Err(problem) => desk.problems.push(problem),
        }
        if let Err(warnings) = desk.warnings.into_result(()) {
            rules.warnings.extend_from_slice(warnings.problems());
        }
        if let Err(found) = desk.problems.into_result(()) {
            invalid = Some(match invalid {
                Some(before) => before.and(found),
                None => found,
            });
        }
    }
    match invalid {
        Some(invalid) => Err(invalid),
        None => {
            inputs::resolve(&mut rules);
            Ok(rules)
        }
    }
}

/// Collects what is wrong with one file.
pub(super) struct Desk<'s> {
    pub(super) text: &'s str,
    pub(super) file: Arc<str>,
    pub(super) problems: Problems<'s>,
    pub(super) warnings: Problems<'s>,
}

/// The keys of a mapping, each once.
pub(super) struct Fields<'n> {
    /// Where the mapping stands: its first key.
    pub(super) span: Range<usize>,
    known: Vec<(&'static str, &'n Node, &'n Node)>,
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.known.iter().find(|(known, ..)| *known == name).map(|(.., value)| *value)
    }

    /// Where the key itself stands.
    pub(super) fn key(&self, name: &str) -> Option<&'n Node> {
        self.known.iter().find(|(known, ..)| *known == name).map(|(_, key, _)| *key)
    }
}

impl Desk<'_> {
    pub(super) fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>, label: &str) {
        self.problems.push(Problem {
            span: span.clone(),
            message: message.into(),
            label: label.to_owned(),
            help: None,
        });
    }

    pub(super) fn wrong_with(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem {
            span: span.clone(),
            message: message.into(),
            label: label.to_owned(),
            help: Some(help.into()),
        });
    }

    /// The keys of a mapping; unknown and repeated ones are problems.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&'static str],
    ) -> Option<Fields<'n>> {
        let Kind::Map(pairs) = &node.kind else {
            let message = format!("{what} must be a mapping, this is {}", node.noun());
            self.wrong_with(&node.span, message, "", format!("its keys are {}", quoted(known)));
            return None;
        };
        let mut fields = Fields { span: node.span.clone(), known: Vec::new() };
        if let Some((first, _)) = pairs.first() {
            fields.span = first.span.clone();
        }
        for (key, value) in pairs {
            let Kind::Scalar(name) = &key.kind else {
                self.wrong(&key.span, "a key must be a word", "");
                continue;
            };
            match known.iter().find(|known| **known == name.text) {
                Some(name) if fields.get(name).is_some() => {
                    self.wrong(&key.span, format!("`{name}` is given twice"), "the second one");
                }
                Some(name) => fields.known.push((name, key, value)),
                None => {
                    let help = semantics::called_here(&name.text)
                        .map_or_else(|| suggest::help(&name.text, "keys", known), str::to_owned);
                    let message = format!("unknown key `{}` in {what}", shown(&name.text));
                    self.wrong_with(&key.span, message, "not known here", help);
                }
            }
        }
        Some(fields)
    }

    /// The items of a list.
    pub(super) fn items<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) => items,
            Kind::Scalar(scalar) if scalar.is_null() => &[],
            _ => {
                let message = format!("`{what}` must be a list, this is {}", node.noun());
                self.wrong_with(&node.span, message, "", "items start with `- `");
                &[]
            }
        }
    }

    /// A text that is not empty.
    pub(super) fn word<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = self.scalar(node, what)?;
        if text.trim().is_empty() {
            self.wrong(&node.span, format!("`{what}` is empty"), "something must stand here");
            return None;
        }
        Some(text)
    }

    /// A text.
    pub(super) fn scalar<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.is_null() => Some(""),
            Kind::Scalar(scalar) => Some(&scalar.text),
            _ => {
                self.wrong(
                    &node.span,
                    format!("`{what}` must be a text, this is {}", node.noun()),
                    "",
                );
                None
            }
        }
    }
}

/// "`a`, `b`".
fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A text from outside as it may stand in a message.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() { cut + "…" } else { cut }
}
