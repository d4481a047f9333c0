//! How an error is told to people: with its causes. An error's own text never repeats its cause.

use std::error::Error;

/// An error with its causes, each after a colon, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read {what}")]
    struct Outer {
        what: &'static str,
        #[source]
        source: Inner,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("line {line} is too long")]
    struct Inner {
        line: usize,
        #[source]
        source: std::fmt::Error,
    }

    #[test]
    fn every_cause_is_told_in_turn() {
        let source = Inner { line: 7, source: std::fmt::Error };
        let last = std::fmt::Error.to_string();
        assert_eq!(chain(&std::fmt::Error), last);
        let told = chain(&Outer { what: "a file", source });
        assert_eq!(told, format!("cannot read a file: line 7 is too long: {last}"));
    }
}
