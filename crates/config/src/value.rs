//! One value, and what it can be read as.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::{Deref, Range, RangeInclusive};
use std::path::PathBuf;

use toml::de::DeValue;

use crate::desk::{Desk, tick};
use crate::section::in_text_order;
use crate::suggest;

/// A value and the bytes it stands in. Compares and displays as the value.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Spanned<T> {
    /// What `change` makes of the value, at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), span: self.span }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Display> Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: Eq> Eq for Spanned<T> {}

/// What can be read from one TOML value.
pub trait FromValue: Sized {
    /// What it looks like in TOML, for help: `"10s"`, with the quotes.
    fn example() -> String;

    /// Reads it, or hands in what is wrong and returns `None`.
    fn from_value(value: &Value<'_>) -> Option<Self>;
}

/// What can be confined to a range.
pub trait Ranged: FromValue {
    /// Reads it as long as it lies in `range`; messages name that range and no other.
    fn from_value_in(value: &Value<'_>, range: &RangeInclusive<Self>) -> Option<Self>;

    /// The value as one would write it.
    fn show(&self) -> String;
}

/// One TOML value on its way to a [`FromValue`].
#[derive(Clone, Debug)]
pub struct Value<'a> {
    pub(crate) node: &'a toml::Spanned<DeValue<'a>>,
    /// What messages call it: the key in backticks.
    name: String,
    desk: &'a Desk<'a>,
}

impl<'a> Value<'a> {
    pub(crate) fn new(
        node: &'a toml::Spanned<DeValue<'a>>,
        name: String,
        desk: &'a Desk<'a>,
    ) -> Self {
        Self { node, name, desk }
    }

    /// The bytes it stands in.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.node.span()
    }

    /// What messages call it: its key in backticks, or "an element of" that.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The string, when it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self.node.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The string; that it is none is a problem. `example` is TOML, with the quotes.
    #[must_use]
    pub fn text(&self, wanted: &str, example: &str) -> Option<&'a str> {
        self.as_str().or_else(|| self.wrong_type(wanted, &self.such_as(example)))
    }

    /// The elements, when it is an array; that it is none is a problem.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(array) = self.node.get_ref() else {
            return self.wrong_type("an array", &self.such_as("[…]"));
        };
        let name = format!("an element of {}", self.name);
        Some(array.iter().map(|node| Value::new(node, name.clone(), self.desk)).collect())
    }

    /// The entries, when it is a table, in the order of the text; that it is none is a problem.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(Spanned<String>, Value<'a>)>> {
        let DeValue::Table(table) = self.node.get_ref() else {
            return self.wrong_type("a table", &self.such_as("{ name = … }"));
        };
        let mut entries = Vec::with_capacity(table.len());
        for (key, node) in table.iter() {
            let key = Spanned { value: key.get_ref().to_string(), span: key.span() };
            let value = Value::new(node, tick(&key.value), self.desk);
            entries.push((key, value));
        }
        entries.sort_by(|(a, _), (b, _)| in_text_order(&a.span, &b.span));
        Some(entries)
    }

    /// What `check` makes of the string. An error becomes a problem: its display is the message.
    pub fn checked<T, E: Display>(
        &self,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Spanned<T>> {
        let text = self.text("a string", "\"…\"")?;
        match check(text) {
            Ok(value) => Some(Spanned { value, span: self.span() }),
            Err(error) => {
                self.refuse(format!("{} is not valid: {error}", self.name), "not valid", None)
            }
        }
    }

    /// What stands for the word.
    #[must_use]
    pub fn choice<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let example = format!("\"{}\"", all.first().unwrap_or(&"…"));
        let text = self.text("a word", &example)?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| meaning.clone()).or_else(|| {
            let message = format!("{} cannot be {}", self.name, tick(text));
            self.refuse(message, "not known", Some(suggest::help(text, "words", &all)))
        })
    }

    /// Records that it must be `wanted`, such as "a string". Always `None`.
    pub fn wrong_type<T>(&self, wanted: &str, help: &str) -> Option<T> {
        let label = match self.node.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.refuse(format!("{} must be {wanted}", self.name), label, Some(help.to_owned()))
    }

    /// Records what is wrong with it. Always `None`.
    pub fn refuse<T>(
        &self,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) -> Option<T> {
        // An empty span is the parser's stand-in for a value it could not find, and has reported.
        if !self.span().is_empty() {
            self.desk.push(self.span(), message, label, help);
        }
        None
    }

    /// "for example `port = 502`".
    #[must_use]
    pub fn such_as(&self, example: &str) -> String {
        match self.name.strip_prefix("an element of ") {
            Some(_) => format!("for example `{example}`"),
            None => format!("for example `{} = {example}`", self.name.trim_matches('`')),
        }
    }
}

impl FromValue for String {
    fn example() -> String {
        "\"…\"".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        value.text("a string", "\"…\"").map(str::to_owned)
    }
}

impl FromValue for bool {
    fn example() -> String {
        "true".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        match value.node.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => value.wrong_type("true or false", &value.such_as("true")),
        }
    }
}

impl FromValue for PathBuf {
    fn example() -> String {
        "\"/var/lib/hallwatch\"".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a path", &Self::example())?;
        if text.is_empty() || text.contains('\0') {
            let help = Some(value.such_as(&Self::example()));
            return value.refuse(format!("{} is not a path", value.name), "not a path", help);
        }
        Some(text.into())
    }
}

impl FromValue for SocketAddr {
    fn example() -> String {
        "\"127.0.0.1:9464\"".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let text = value.text("an address with a port", &Self::example())?;
        text.parse().ok().or_else(|| {
            let help =
                format!("write an IP address and a port, {}", value.such_as(&Self::example()));
            let message = format!("{} is not an address with a port", value.name);
            value.refuse(message, "not an address", Some(help))
        })
    }
}

impl<T: FromValue> FromValue for Spanned<T> {
    fn example() -> String {
        T::example()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        Some(Self { value: T::from_value(value)?, span: value.span() })
    }
}

/// All elements are read, so that all problems are known; one bad one spoils the whole.
impl<T: FromValue> FromValue for Vec<T> {
    fn example() -> String {
        format!("[{}]", T::example())
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let read: Vec<Option<T>> = value.elements()?.iter().map(T::from_value).collect();
        read.into_iter().collect()
    }
}

/// All entries are read, so that all problems are known; one bad one spoils the whole.
impl<T: FromValue> FromValue for BTreeMap<String, T> {
    fn example() -> String {
        format!("{{ name = {} }}", T::example())
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let read: Vec<Option<(String, T)>> = value
            .entries()?
            .into_iter()
            .map(|(key, value)| T::from_value(&value).map(|value| (key.value, value)))
            .collect();
        read.into_iter().collect()
    }
}
