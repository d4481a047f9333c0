//! An alert as the page shows it.

use std::collections::BTreeMap;

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

    pub(super) fn is_firing(&self) -> bool {
        self.state == "firing"
    }
}

/// How many alerts there are, shown or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Firing, by severity; one that is not known counts as a warning.
    critical: usize,
    warning: usize,
    info: usize,
    /// Not firing yet.
    pending: usize,
    held: usize,
    suppressed: usize,
    flapping: usize,
}

impl Counts {
    pub(super) fn of(alerts: &[Alert]) -> Self {
        let mut counts = Self::default();
        for alert in alerts {
            match (alert.is_firing(), rank(&alert.severity)) {
                (false, _) => counts.pending += 1,
                (true, 0) => counts.critical += 1,
                (true, 1) => counts.warning += 1,
                (true, _) => counts.info += 1,
            }
            counts.held += usize::from(alert.held);
            counts.suppressed += usize::from(!alert.suppressed_by.is_empty());
            counts.flapping += usize::from(alert.flapping.is_some());
        }
        counts
    }
}

/// Alerts of one rule that are not in the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LeftOut {
    pub(super) name: String,
    pub(super) severity: String,
    pub(super) count: usize,
}

/// Leaves `most` alerts: of every rule the most urgent ones, so that a rule with very many does not
/// hide another.
pub(super) fn cut(alerts: &mut Vec<Alert>, most: usize) -> Vec<LeftOut> {
    if alerts.len() <= most {
        return Vec::new();
    }
    alerts.sort_by_cached_key(|alert| {
        let since = std::cmp::Reverse(alert.since);
        (!alert.is_firing(), rank(&alert.severity), since, alert.key.clone())
    });
    let rule = |alert: &Alert| (alert.name.clone(), alert.severity.clone());
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    let mut places: Vec<(usize, Alert)> = Vec::with_capacity(alerts.len());
    for alert in alerts.drain(..) {
        let place = counts.entry(rule(&alert)).or_default();
        *place += 1;
        places.push((*place, alert));
    }
    places.sort_by_key(|(place, _)| *place);
    let mut left_out: BTreeMap<_, usize> = BTreeMap::new();
    for (_, alert) in places.drain(most..) {
        *left_out.entry(rule(&alert)).or_default() += 1;
    }
    alerts.extend(places.into_iter().map(|(_, alert)| alert));
    let left_out = left_out.into_iter();
    left_out.map(|((name, severity), count)| LeftOut { name, severity, count }).collect()
}

/// The most urgent first.
pub(super) fn rank(severity: &str) -> u8 {
    match severity {
        "critical" => 0,
        "info" => 2,
        _ => 1,
    }
}
