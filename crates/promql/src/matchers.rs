//! Which series are meant.

use std::fmt;

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;
use promql_parser::label as parsed;
use promql_parser::parser::VectorSelector;
use regex::Regex;

use crate::error::Error;
use crate::pattern::from_go;
use crate::query::Query;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

/// One condition on a label. A label that a series does not have counts as empty.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name; the metric name is `__name__`.
    pub name: String,
    /// How it is compared.
    pub op: MatchOp,
    /// What with: a text, or a regular expression that must match the whole value.
    pub value: String,
    pattern: Option<Pattern>,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// The regular expression was only a list of texts, such as `a|b|c`.
    OneOf(Vec<String>),
    Regex(Regex),
}

impl Matcher {
    /// Equality with a text.
    #[must_use]
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), pattern: None }
    }

    fn from_parsed(matcher: &parsed::Matcher) -> Result<Self, Error> {
        let (op, pattern) = match &matcher.op {
            parsed::MatchOp::Equal => (MatchOp::Equal, None),
            parsed::MatchOp::NotEqual => (MatchOp::NotEqual, None),
            parsed::MatchOp::Re(regex) => (MatchOp::Matches, Some(regex)),
            parsed::MatchOp::NotRe(regex) => (MatchOp::NotMatches, Some(regex)),
        };
        let pattern = pattern.map(|regex| Pattern::new(&matcher.value, regex)).transpose()?;
        Ok(Self { name: matcher.name.clone(), op, value: matcher.value.clone(), pattern })
    }

    /// Whether a label with this value (empty when there is none) is meant.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.pattern {
            None => self.value == value,
            Some(Pattern::OneOf(texts)) => texts.iter().any(|text| text == value),
            Some(Pattern::Regex(regex)) => regex.is_match(value),
        };
        found == matches!(self.op, MatchOp::Equal | MatchOp::Matches)
    }

    /// The only values that this can match, if it is an equality or a plain list (`=~"a|b"`): what
    /// an index can look up.
    #[must_use]
    pub fn only_values(&self) -> Option<&[String]> {
        match (self.op, &self.pattern) {
            (MatchOp::Equal, _) => Some(std::slice::from_ref(&self.value)),
            (MatchOp::Matches, Some(Pattern::OneOf(texts))) => Some(texts),
            _ => None,
        }
    }
}

impl Pattern {
    fn new(text: &str, parsed: &Regex) -> Result<Self, Error> {
        if !text.contains(|c: char| r".+*?()[]{}^$\".contains(c)) {
            return Ok(Self::OneOf(text.split('|').map(str::to_owned).collect()));
        }
        // The parser has anchored it, and escaped what Go takes literally and Rust does not. In
        // Prometheus, `.` also matches a line feed.
        let anchored = parsed.as_str();
        let dotall = anchored.strip_prefix("^(?:").map(|rest| format!("^(?s:{rest}"));
        let built = Regex::new(&from_go(dotall.as_deref().unwrap_or(anchored)));
        built.map(Self::Regex).map_err(|error| Error::Parse { reason: error.to_string() })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Matches => "=~",
            MatchOp::NotMatches => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

/// Conditions that must all hold.
#[derive(Clone, Debug)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// All of these.
    #[must_use]
    pub fn new(all: Vec<Matcher>) -> Self {
        Self(all)
    }

    /// Reads a series selector, such as `up{site="a"}`: what `match[]` holds in the HTTP API.
    ///
    /// # Errors
    /// When the text is not a plain instant vector selector.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let query = Query::parse(text)?;
        match query.expr() {
            promql_parser::parser::Expr::VectorSelector(selector)
                if selector.offset.is_none() && selector.at.is_none() =>
            {
                Self::from_selector(selector)
            }
            _ => Err(Error::Parse { reason: "expected a series selector".into() }),
        }
    }

    pub(crate) fn from_selector(selector: &VectorSelector) -> Result<Self, Error> {
        if !selector.matchers.or_matchers.is_empty() {
            return Err(Error::Unsupported { what: "`or` between matchers" });
        }
        let name = selector.name.as_deref().map(|name| Matcher::equal(METRIC_NAME, name));
        let rest = selector.matchers.matchers.iter().map(Matcher::from_parsed);
        Ok(Self(name.into_iter().map(Ok).chain(rest).collect::<Result<_, _>>()?))
    }

    /// Each condition.
    pub fn iter(&self) -> std::slice::Iter<'_, Matcher> {
        self.0.iter()
    }

    /// Whether the series with these labels is meant.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.matches(labels.get(&matcher.name).unwrap_or("")))
    }

    /// The metric name, when it is asked for by equality.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        let named = |m: &&Matcher| m.name == METRIC_NAME && m.op == MatchOp::Equal;
        self.0.iter().find(named).map(|matcher| matcher.value.as_str())
    }
}

impl<'a> IntoIterator for &'a Matchers {
    type Item = &'a Matcher;
    type IntoIter = std::slice::Iter<'a, Matcher>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(Matcher::to_string).collect();
        write!(f, "{{{}}}", all.join(","))
    }
}
