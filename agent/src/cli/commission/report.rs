//! The report of a commissioning: for the file of the site, in Markdown and in JSON.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use hallwatch_agent::profile::Inspected;
use serde_json::{Value as Json, json};

use crate::cli::screen::clean;
use crate::cli::{Failed, show};

/// The version of the JSON document.
const FORMAT: u32 = 1;
/// Reports of one device within one second.
const MOST: u32 = 100;

/// What the engineer said of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is right.
    Confirmed,
    /// This is to be said.
    Noted(String),
    /// There was no value.
    Missing,
    /// Nothing.
    Skipped,
}

impl Outcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Noted(_) => "noted",
            Self::Missing => "missing",
            Self::Skipped => "skipped",
        }
    }

    fn note(&self) -> Option<&str> {
        match self {
            Self::Noted(text) => Some(text),
            _ => None,
        }
    }
}

/// A point as it was when the engineer looked.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    name: String,
    place: String,
    raw: String,
    value: String,
    reason: Option<String>,
    json: Json,
    outcome: Outcome,
    time: String,
}

impl Checked {
    pub(super) fn new(point: &Inspected<'_>, outcome: Outcome, time: String) -> Self {
        let (mut value, unit) = show::value(point);
        if !unit.is_empty() {
            let _ = write!(value, " {unit}");
        }
        for state in show::states(point, false) {
            let _ = write!(value, "; {state}");
        }
        Self {
            name: point.info.name.to_owned(),
            place: show::place(&point.info),
            raw: show::raw(point),
            value,
            reason: show::reason(point),
            json: show::point_json(point),
            outcome,
            time,
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) device: String,
    /// Tenant, site and agent, when there was a configuration.
    pub(super) agent: Option<String>,
    pub(super) place: String,
    pub(super) address: String,
    pub(super) unit: u8,
    pub(super) profile: String,
    pub(super) model: String,
    pub(super) confidence: &'static str,
    pub(super) sources: Vec<String>,
    pub(super) identity: Vec<(String, String)>,
    pub(super) by: String,
    pub(super) started: String,
    pub(super) finished: String,
    pub(super) is_complete: bool,
    pub(super) points: Vec<Checked>,
}

impl Report {
    /// Whether nothing is left to be done.
    pub(super) fn is_good(&self) -> bool {
        let is_confirmed = |point: &Checked| point.outcome == Outcome::Confirmed;
        self.is_complete && self.points.iter().all(is_confirmed)
    }

    pub(super) fn summary(&self) -> String {
        let [confirmed, noted, missing, skipped] = self.counts();
        let mut text =
            format!("{confirmed} confirmed, {noted} noted, {missing} missing, {skipped} skipped");
        if !self.is_complete {
            text.push_str(", stopped before the end");
        }
        text
    }

    fn counts(&self) -> [usize; 4] {
        ["confirmed", "noted", "missing", "skipped"]
            .map(|word| self.points.iter().filter(|point| point.outcome.word() == word).count())
    }

    pub(super) fn json(&self) -> Json {
        let [confirmed, noted, missing, skipped] = self.counts();
        let points: Vec<Json> = self
            .points
            .iter()
            .map(|point| {
                let mut json = point.json.clone();
                if let Some(json) = json.as_object_mut() {
                    json.insert("outcome".into(), point.outcome.word().into());
                    json.insert("note".into(), point.outcome.note().into());
                    json.insert("time".into(), point.time.clone().into());
                }
                json
            })
            .collect();
        let identity = self.identity.iter().map(|(what, text)| (what.clone(), json!(text)));
        json!({
            "format": FORMAT,
            "version": env!("CARGO_PKG_VERSION"),
            "device": self.device,
            "agent": self.agent,
            "address": self.address,
            "unit": self.unit,
            "profile": self.profile,
            "model": self.model,
            "confidence": self.confidence,
            "sources": self.sources,
            "identity": identity.collect::<serde_json::Map<_, _>>(),
            "by": self.by,
            "started": self.started,
            "finished": self.finished,
            "complete": self.is_complete,
            "summary": {
                "confirmed": confirmed,
                "noted": noted,
                "missing": missing,
                "skipped": skipped,
            },
            "points": points,
        })
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = format!("# Commissioning of {}\n\n", escape(&self.device));
        let mut fact = |name: &str, value: &str| {
            let _ = writeln!(text, "- {name}: {}", escape(value));
        };
        fact("by", &self.by);
        fact("from", &self.started);
        fact("to", &self.finished);
        if let Some(agent) = &self.agent {
            fact("agent", agent);
        }
        fact("device", &self.place);
        for (what, value) in &self.identity {
            fact(what, value);
        }
        fact("profile", &format!("{} ({})", self.profile, self.model));
        fact("confidence of the profile", self.confidence);
        for source in &self.sources {
            fact("source of the profile", source);
        }
        fact("hallwatch-agent", env!("CARGO_PKG_VERSION"));
        fact("result", &self.summary());
        text.push_str(
            "\n| point | at | raw | value | result | note |\n|---|---|---|---|---|---|\n",
        );
        for point in &self.points {
            let note = point.outcome.note().or(point.reason.as_deref()).unwrap_or_default();
            let cells = [
                point.name.as_str(),
                &point.place,
                &point.raw,
                &point.value,
                point.outcome.word(),
                note,
            ];
            let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }

    /// Writes both; neither ever replaces another report.
    pub(super) fn save(&self, directory: &Path) -> Result<[PathBuf; 2], Failed> {
        let named = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let device: String = self.device.chars().map(named).collect();
        let time: String = self.started.chars().filter(|c| *c != ':' && *c != '-').collect();
        let json = format!("{:#}\n", self.json());
        for number in 1..MOST {
            let again = if number > 1 { format!("-{number}") } else { String::new() };
            let stem = format!("commissioning-{device}-{time}{again}");
            let paths = ["md", "json"].map(|kind| directory.join(format!("{stem}.{kind}")));
            let [markdown_path, json_path] = &paths;
            match write(markdown_path, &self.markdown()).and_then(|()| write(json_path, &json)) {
                Ok(()) => return Ok(paths),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Failed::failure(format!(
                        "could not save the report in {}: {error}",
                        directory.display()
                    )));
                }
            }
        }
        Err(Failed::failure(format!("too many reports of {} in one second", self.device)))
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Text that means nothing in Markdown.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in clean(text).chars() {
        if matches!(c, '|' | '\\' | '`' | '*' | '<' | '[' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_cannot_break_the_report() {
        assert_eq!(escape("a|b\n# c <b> `x`"), "a\\|b\u{b7}# c \\<b> \\`x\\`");
    }
}
