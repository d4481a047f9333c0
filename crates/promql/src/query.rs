//! A query: parsed and checked once, evaluated as often as needed.

use std::fmt;
use std::panic::catch_unwind;
use std::time::Duration;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr};

use crate::error::Error;
use crate::matchers::Matchers;
use crate::plan::{self, Kind, Node};

/// The longest query, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// A checked PromQL expression.
pub struct Query {
    text: String,
    expr: Expr,
    pub(crate) plan: Node,
}

impl Query {
    /// Parses and checks `text`.
    ///
    /// # Errors
    /// When it is not PromQL, has a type error, or is longer or deeper than any honest query.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_TEXT {
            return Err(Error::TooComplex);
        }
        plan::register_functions();
        let tokens = plan::scan(text)?;
        // The parser is known to panic on some nonsense. What is known is refused by `scan`; what is
        // not known must not end the process either.
        let parsed = catch_unwind(|| parser::parse(text));
        let broken = |_| Err("the parser cannot cope with this".to_owned());
        let expr = parsed.unwrap_or_else(broken).map_err(|reason| Error::Parse { reason })?;
        let plan = plan::lower(&expr, text, &tokens)?;
        Ok(Self { text: text.to_owned(), expr, plan })
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What kind of value it has.
    #[must_use]
    pub fn kind(&self) -> ValueType {
        self.expr.value_type()
    }

    /// The parser's tree.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Every selector in it, in the order of the text: the inputs of the query.
    #[must_use]
    pub fn selectors(&self) -> Vec<Selector> {
        let mut found = Vec::new();
        self.plan.visit(&mut |node| {
            let (select, range) = match &node.kind {
                Kind::Select(select) => (select, Duration::ZERO),
                Kind::Window { select, range } => {
                    (select, Duration::from_millis(range.unsigned_abs()))
                }
                _ => return,
            };
            found.push(Selector { matchers: select.matchers.clone(), range });
        });
        found
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Query").field(&self.text).finish()
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An input of a query.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Which series.
    pub matchers: Matchers,
    /// How far back a range selector reaches; zero for an instant selector.
    pub range: Duration,
}
