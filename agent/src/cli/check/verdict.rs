//! What was found out about one thing.

use serde_json::{Value as Json, json};

use crate::cli::screen::Style;

/// The word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// As it should be.
    Ok,
    /// Not there, and need not be yet.
    Absent,
    /// Nothing was heard, which may be well: sensors speak when they like.
    Quiet,
    /// It answers, but does not look like what its profile is for.
    Doubtful,
    /// Some values are there.
    Partly,
    /// It answers, but gives no value.
    Refused,
    /// It does not answer.
    Silent,
    /// There is no connection.
    Unreachable,
    /// Anything else.
    Failed,
}

impl Word {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Absent => "absent",
            Self::Quiet => "quiet",
            Self::Doubtful => "doubtful",
            Self::Partly => "partly",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
        }
    }

    pub(super) const fn is_bad(self) -> bool {
        !matches!(self, Self::Ok | Self::Absent | Self::Quiet | Self::Doubtful)
    }

    pub(super) const fn style(self) -> Style {
        match self {
            Self::Ok => Style::Good,
            Self::Absent | Self::Quiet | Self::Doubtful => Style::Warning,
            _ => Style::Bad,
        }
    }
}

/// What was found out about one thing.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) word: Word,
    pub(super) detail: String,
    pub(super) problems: Vec<String>,
    pub(super) hint: Option<String>,
}

impl Verdict {
    pub(super) fn new(name: &str, what: impl Into<String>, word: Word) -> Self {
        Self {
            name: name.to_owned(),
            what: what.into(),
            word,
            detail: String::new(),
            problems: Vec::new(),
            hint: None,
        }
    }

    pub(super) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    pub(super) fn problem(mut self, problem: impl Into<String>) -> Self {
        self.problems.push(problem.into());
        self
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(super) fn json(&self) -> Json {
        json!({
            "name": self.name,
            "what": self.what,
            "verdict": self.word.text(),
            "ok": !self.word.is_bad(),
            "detail": self.detail,
            "problems": self.problems,
            "hint": self.hint,
        })
    }
}
