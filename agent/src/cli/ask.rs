//! Questions to the engineer: answered at the terminal, or beforehand in a file.
//!
//! In a file each line is `key = answer`; what begins with `#` is for people. A key that ends in
//! `.*` answers all that begin like it and have no line of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use super::{Failed, load};

/// Where answers come from.
#[derive(Debug)]
pub(crate) enum Ask {
    Terminal,
    File { path: PathBuf, answers: BTreeMap<String, String>, used: BTreeSet<String> },
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'q> {
    /// What it is called in a file.
    pub(crate) key: &'q str,
    /// What is asked.
    pub(crate) text: &'q str,
    /// What no answer means.
    pub(crate) default: Option<&'q str>,
}

impl Ask {
    /// The answers in a file, or at the terminal.
    pub(crate) fn new(answers: Option<&Path>) -> Result<Self, Failed> {
        let Some(path) = answers else { return Ok(Self::Terminal) };
        let text = load::read_text(path).map_err(|error| {
            Failed::no_input(format!("could not read the answers {}: {error}", path.display()))
        })?;
        let answers = parse(&text).map_err(|(line, message)| {
            Failed::new(super::CONFIGURATION, format!("{}:{line}: {message}", path.display()))
                .hint("a line is `key = answer`")
        })?;
        Ok(Self::File { path: path.to_owned(), answers, used: BTreeSet::new() })
    }

    /// An answer that `check` takes. At the terminal it is asked again until there is one.
    pub(crate) fn ask<T>(
        &mut self,
        question: Question<'_>,
        mut check: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<T, Failed> {
        loop {
            let answer = self.answer(question)?;
            let wrong = match check(&answer) {
                Ok(value) => return Ok(value),
                Err(message) => message,
            };
            match self {
                Self::Terminal => {
                    let _ = writeln!(io::stderr(), "  {wrong}");
                }
                Self::File { path, .. } => {
                    let message = format!("{}: `{}`: {wrong}", path.display(), question.key);
                    return Err(Failed::new(super::CONFIGURATION, message));
                }
            }
        }
    }

    /// Any answer.
    pub(crate) fn text(&mut self, question: Question<'_>) -> Result<String, Failed> {
        self.ask(question, |answer| Ok(answer.to_owned()))
    }

    /// Yes or no.
    pub(crate) fn yes(&mut self, question: Question<'_>) -> Result<bool, Failed> {
        self.ask(question, |answer| match answer.to_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("answer yes or no".into()),
        })
    }

    /// What was answered although nobody asked: a mistyped key.
    pub(crate) fn unused(&self) -> Vec<&str> {
        match self {
            Self::Terminal => Vec::new(),
            Self::File { answers, used, .. } => {
                answers.keys().filter(|key| !used.contains(*key)).map(String::as_str).collect()
            }
        }
    }

    fn answer(&mut self, question: Question<'_>) -> Result<String, Failed> {
        match self {
            Self::Terminal => terminal(question),
            Self::File { path, answers, used } => {
                let theme = question.key.split('.').next().unwrap_or_default();
                let keys = [question.key.to_owned(), format!("{theme}.*")];
                let found = keys.iter().find_map(|key| answers.get_key_value(key));
                if let Some((key, answer)) = found {
                    used.insert(key.clone());
                    return Ok(answer.clone());
                }
                question.default.map(str::to_owned).ok_or_else(|| {
                    let key = question.key;
                    let message = format!("{} has no answer to `{key}`", path.display());
                    Failed::new(super::CONFIGURATION, message)
                        .hint(format!("add `{key} = …` ({})", question.text))
                })
            }
        }
    }
}

fn terminal(question: Question<'_>) -> Result<String, Failed> {
    let lost = |error: io::Error| Failed::failure(format!("could not read the answer: {error}"));
    let mut err = io::stderr().lock();
    let prompt = match question.default {
        Some("") | None => format!("{}: ", question.text),
        Some(default) => format!("{} [{default}]: ", question.text),
    };
    err.write_all(prompt.as_bytes()).and_then(|()| err.flush()).map_err(lost)?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).map_err(lost)? == 0 {
        let _ = writeln!(err);
        return Err(Failed::failure(format!("the input ended before `{}`", question.key))
            .hint("answers can be given beforehand with --answers FILE"));
    }
    match (line.trim(), question.default) {
        ("", Some(default)) => Ok(default.to_owned()),
        (answer, _) => Ok(answer.to_owned()),
    }
}

/// Keys with their answers; or the first line that is wrong, from 1.
fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, String)> {
    let mut answers = BTreeMap::new();
    for (line, at) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, answer) = line.split_once('=').ok_or((at, "there is no `=`".to_owned()))?;
        let (key, answer) = (key.trim(), answer.trim());
        let inner = answer.strip_prefix('"').and_then(|answer| answer.strip_suffix('"'));
        let answer = inner.unwrap_or(answer);
        if answers.insert(key.to_owned(), answer.to_owned()).is_some() {
            return Err((at, format!("`{key}` is answered twice")));
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Ask {
        let answers = parse(text).unwrap();
        Ask::File { path: "answers".into(), answers, used: BTreeSet::new() }
    }

    fn question<'q>(key: &'q str, default: Option<&'q str>) -> Question<'q> {
        Question { key, text: "what", default }
    }

    #[test]
    fn answers_come_from_a_file() {
        let mut answers = ask("# who\nby = \"J. Doe\"\npoint.a = no, 3 K off\npoint.* =\nx=1\n");
        assert_eq!(answers.text(question("by", None)).unwrap(), "J. Doe");
        assert_eq!(answers.text(question("point.a", None)).unwrap(), "no, 3 K off");
        assert_eq!(answers.text(question("point.b", None)).unwrap(), "");
        assert_eq!(answers.text(question("id", Some("gw-1"))).unwrap(), "gw-1");
        assert_eq!(answers.unused(), ["x"]);
        let failed = answers.text(question("site", None)).unwrap_err();
        assert_eq!(failed.message.as_deref(), Some("answers has no answer to `site`"));
        let failed = answers.yes(question("x", None)).unwrap_err();
        assert_eq!(failed.message.as_deref(), Some("answers: `x`: answer yes or no"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        assert_eq!(parse("a = 1\nb").unwrap_err().0, 2);
        assert_eq!(parse("a = 1\n\na = 2").unwrap_err(), (3, "`a` is answered twice".into()));
    }
}
