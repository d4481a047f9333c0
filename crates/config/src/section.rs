//! One table, asked key by key.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use toml::de::{DeTable, DeValue};

use crate::desk::{Desk, tick};
use crate::suggest;
use crate::value::{FromValue, Ranged, Spanned, Value};

/// One TOML table. Every getter makes its key a known one; when the section is dropped, each key
/// that is still unknown becomes a problem. So ask for all keys first and use `?` last: what is
/// never reached is never known.
///
/// A getter that finds a bad value records the problem and returns `None` (or the default).
#[derive(Debug)]
pub struct Section<'a> {
    pub(crate) table: &'a DeTable<'a>,
    /// The keys that lead here, such as `device.modbus_tcp`; empty for the root.
    pub(crate) path: String,
    pub(crate) span: Range<usize>,
    pub(crate) known: BTreeSet<String>,
    /// Keys that should be there, with the help; told at the end, when it is clear which unknown
    /// keys are these, mistyped.
    missing: Vec<(String, String)>,
    pub(crate) desk: &'a Desk<'a>,
}

impl<'a> Section<'a> {
    pub(crate) fn root(table: &'a DeTable<'a>, desk: &'a Desk<'a>) -> Self {
        Self::new(table, String::new(), 0..0, desk)
    }

    pub(crate) fn new(
        table: &'a DeTable<'a>,
        path: String,
        span: Range<usize>,
        desk: &'a Desk<'a>,
    ) -> Self {
        Self { table, path, span, known: BTreeSet::new(), missing: Vec::new(), desk }
    }

    /// The value of `key`; that it is missing is a problem, too.
    pub fn required<T: FromValue>(&mut self, key: &str) -> Option<T> {
        let value = self.value(key);
        if value.is_none() {
            self.missing(key, &format!("add `{key} = {}`", T::example()));
        }
        T::from_value(&value?)
    }

    /// The value of `key`, when it is there.
    pub fn optional<T: FromValue>(&mut self, key: &str) -> Option<T> {
        T::from_value(&self.value(key)?)
    }

    /// The value of `key`, or `default` when it is not there.
    pub fn or<T: FromValue>(&mut self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of `key`, which must lie in `range`, or `default` when it is not there.
    pub fn ranged<T: Ranged>(&mut self, key: &str, range: RangeInclusive<T>, default: T) -> T {
        self.optional_ranged(key, range).unwrap_or(default)
    }

    /// The value of `key`, when it is there; it must lie in `range`.
    pub fn optional_ranged<T: Ranged>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T> {
        T::from_value_in(&self.value(key)?, &range)
    }

    /// The value of `key`, which must be there and lie in `range`.
    pub fn required_ranged<T: Ranged>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T> {
        let value = self.value(key);
        if value.is_none() {
            let (from, to) = (range.start().show(), range.end().show());
            self.missing(key, &format!("add `{key} = …`, from {from} to {to}"));
        }
        T::from_value_in(&value?, &range)
    }

    /// What stands for the word at `key`, or `default` when it is not there.
    pub fn choice<T: Clone>(&mut self, key: &str, words: &[(&str, T)], default: T) -> T {
        self.optional_choice(key, words).unwrap_or(default)
    }

    /// What stands for the word at `key`, when it is there.
    pub fn optional_choice<T: Clone>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.value(key)?.choice(words)
    }

    /// What stands for the word at `key`, which must be there.
    pub fn required_choice<T: Clone>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let value = self.value(key);
        if value.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.missing(key, &format!("add `{key}`: one of {}", suggest::list(&all)));
        }
        value?.choice(words)
    }

    /// What `check` makes of the string at `key`, which must be there. An error becomes a problem:
    /// its display is the message.
    pub fn checked<T, E: Display>(
        &mut self,
        key: &str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Spanned<T>> {
        let value = self.value(key);
        if value.is_none() {
            self.missing(key, &format!("add `{key} = \"…\"`"));
        }
        value?.checked(check)
    }

    /// What `check` makes of the string at `key`, when it is there.
    pub fn checked_optional<T, E: Display>(
        &mut self,
        key: &str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Spanned<T>> {
        self.value(key)?.checked(check)
    }

    /// What `check` makes of each string of the array at `key`; empty when it is not there.
    /// Elements that are refused are left out.
    pub fn checked_list<T, E: Display>(
        &mut self,
        key: &str,
        check: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<Spanned<T>> {
        let elements = self.value(key).and_then(|value| value.elements()).unwrap_or_default();
        elements.iter().filter_map(|element| element.checked(&check)).collect()
    }

    /// The value at `key` as it is, when it is there.
    pub fn value(&mut self, key: &str) -> Option<Value<'a>> {
        self.known(&[key]);
        let node = self.table.get(key)?;
        Some(Value::new(node, tick(key), self.desk))
    }

    /// Whether `key` is there. Does not make it known.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Makes keys known that are only asked for under some condition.
    pub fn known(&mut self, keys: &[&str]) {
        self.known.extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// Makes all keys known: someone else reads this section.
    pub fn ignore_rest(&mut self) {
        self.known.extend(self.table.keys().map(|key| key.get_ref().clone().into_owned()));
    }

    /// Records a problem that only the caller can see. The span may be of any part of the text.
    pub fn problem(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.desk.push(span, message, label, help);
    }

    /// Records that there is no `what` (singular, such as `profile`) of this name among `known`.
    pub fn no_such<'k>(
        &mut self,
        what: &str,
        name: &Spanned<impl Display>,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let text = name.value.to_string();
        let help = suggest::help(&text, &format!("{what}s"), &known);
        let message = format!("no {what} named {}", tick(&text));
        self.desk.push(name.span.clone(), message, "not found", Some(help));
    }

    /// Records each name that stands before in `names`, too. `what` is singular, such as `device`.
    pub fn unique<'n, T: Ord + Display + 'n>(
        &mut self,
        what: &str,
        names: impl IntoIterator<Item = &'n Spanned<T>>,
    ) {
        let mut seen: BTreeMap<&T, &Range<usize>> = BTreeMap::new();
        for name in names {
            if let Some(first) = seen.get(&name.value) {
                let message = format!("two {what}s are named {}", tick(&name.value.to_string()));
                let at = self.desk.position(first);
                let help = format!("the first is at line {}, column {}", at.line, at.column);
                self.desk.push(name.span.clone(), message, "used before", Some(help));
            } else {
                seen.insert(&name.value, &name.span);
            }
        }
    }

    /// The section's header, such as `[device]`; for the root, the start of the text.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The keys that lead here, such as `device.modbus_tcp`; empty for the root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Ends the section: every key not asked for becomes a problem. Dropping does the same.
    pub fn finish(self) {
        drop(self);
    }

    /// Records that `key` is missing here.
    pub(crate) fn missing(&mut self, key: &str, help: &str) {
        self.missing.push((key.to_owned(), help.to_owned()));
    }

    /// " in `device.modbus_tcp`", or nothing for the root.
    pub(crate) fn place(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" in {}", tick(&self.path)) }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        let mut mistyped: BTreeSet<&str> = BTreeSet::new();
        for (key, value) in self.table.iter() {
            let name: &str = key.get_ref();
            if self.known.contains(name) {
                continue;
            }
            let is_table = match value.get_ref() {
                DeValue::Table(_) => true,
                DeValue::Array(array) => {
                    array.iter().all(|element| element.get_ref().is_table()) && !array.is_empty()
                }
                _ => false,
            };
            let message = format!(
                "unknown {} {}{}",
                if is_table { "section" } else { "key" },
                tick(name),
                self.place()
            );
            let help = suggest::help(name, "keys", &known);
            mistyped.extend(suggest::nearest(name, &known));
            self.desk.push(key.span(), message, "not known", Some(help));
        }
        for (key, help) in &self.missing {
            if !mistyped.contains(key.as_str()) {
                self.desk.push_missing(self.span(), key, &self.place(), help.as_str());
            }
        }
    }
}

/// By where they stand in the text: the parser keeps tables by name.
pub(crate) fn in_text_order(a: &Range<usize>, b: &Range<usize>) -> Ordering {
    a.start.cmp(&b.start)
}
