//! An alert as the page shows it.

use hallwatch_model::{Labels, Timestamp};
use serde::Serialize;

/// An alert that is pending or firing.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    /// All labels: what tells it from others.
    pub key: String,
    /// The rule's name.
    pub name: String,
    /// `critical`, `warning`, `info` or whatever the rule says.
    pub severity: String,
    /// `pending` or `firing`.
    pub state: String,
    /// Its inputs are gone: it would have been resolved for lack of data, and is not.
    pub held: bool,
    /// Since when it is held, in milliseconds.
    pub held_since: Option<i64>,
    /// Which inputs are gone; empty unless it is held.
    pub held_because: String,
    /// How often it changed, when it is flapping: it keeps firing until it is calm.
    pub flapping: Option<usize>,
    /// The `key` of the alert that it follows from; it is not told of then. Empty for none.
    pub suppressed_by: String,
    /// Since when it is active, in milliseconds.
    pub since: i64,
    /// Whom it concerns.
    pub tenant: String,
    /// Where.
    pub site: String,
    /// Where exactly.
    pub room: String,
    /// Where exactly.
    pub rack: String,
    /// What.
    pub device: String,
    /// What is the matter.
    pub summary: String,
    /// Why that happens.
    pub cause: String,
    /// What it means.
    pub consequence: String,
    /// What to do.
    pub action: String,
}

impl Alert {
    /// An alert with these labels and annotations.
    pub fn new<'a>(
        labels: &Labels,
        annotation: impl Fn(&str) -> Option<&'a str>,
        state: &str,
        held: bool,
        since: Timestamp,
    ) -> Self {
        let label = |name: &str| labels.get(name).unwrap_or_default().to_owned();
        let annotated = |name: &str| annotation(name).unwrap_or_default().to_owned();
        Self {
            key: labels.to_string(),
            name: label("alertname"),
            severity: label("severity"),
            state: state.to_owned(),
            held,
            held_since: None,
            held_because: String::new(),
            flapping: None,
            suppressed_by: String::new(),
            since: since.as_millis(),
            tenant: label("tenant"),
            site: label("site"),
            room: label("room"),
            rack: label("rack"),
            device: label("device"),
            summary: annotated("summary"),
            cause: annotation("cause").or(annotation("description")).unwrap_or_default().to_owned(),
            consequence: annotated("consequence"),
            action: annotated("action"),
        }
    }
}

/// The most urgent first.
pub(super) fn rank(severity: &str) -> u8 {
    match severity {
        "critical" => 0,
        "info" => 2,
        _ => 1,
    }
}
