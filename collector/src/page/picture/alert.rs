//! An alert as the page shows it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hallwatch_model::{Labels, Timestamp};
use serde::Serialize;

use super::rule::key;

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
    /// What people call that one.
    pub follows_from: String,
    /// How many alerts are not told of because they follow from this one, in the picture or not.
    pub(super) followers: usize,
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
            follows_from: String::new(),
            followers: 0,
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

    /// The same, which is not told of because it follows from `cause`.
    #[must_use]
    pub fn following(mut self, cause: &Labels) -> Self {
        let name = ["alertname", "device"].iter().filter_map(|name| cause.get(name));
        self.follows_from = name.collect::<Vec<_>>().join(" ");
        self.suppressed_by = cause.to_string();
        self
    }

    pub(super) fn is_firing(&self) -> bool {
        self.state == "firing"
    }

    pub(super) fn is_suppressed(&self) -> bool {
        !self.suppressed_by.is_empty()
    }

    /// Where it is, as narrowly as is known.
    pub(super) fn place(&self) -> &str {
        let places = [&self.device, &self.rack, &self.room, &self.site];
        places.into_iter().find(|place| !place.is_empty()).map_or("", String::as_str)
    }

    /// Sorts the most urgent first, as the page does. What only follows from another stands after
    /// what is to be mended.
    fn urgency(&self) -> impl Ord {
        let severity = rank(&self.severity);
        (!self.is_firing(), self.is_suppressed(), severity, Reverse(self.since), &self.key)
    }
}

/// Sorts the most urgent first, and counts for each what follows from it.
pub(super) fn prepare(alerts: &mut [Alert]) {
    let mut followers: BTreeMap<String, usize> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert.is_suppressed()) {
        *followers.entry(alert.suppressed_by.clone()).or_default() += 1;
    }
    for alert in &mut *alerts {
        alert.followers = followers.get(&alert.key).copied().unwrap_or_default();
    }
    alerts.sort_by(|a, b| a.urgency().cmp(&b.urgency()));
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
            counts.suppressed += usize::from(alert.is_suppressed());
            counts.flapping += usize::from(alert.flapping.is_some());
        }
        counts
    }
}

/// Leaves `most` of the sorted alerts: of every rule the most urgent ones, so that a rule with very
/// many does not hide another.
pub(super) fn cut(alerts: &mut Vec<Alert>, most: usize) {
    if alerts.len() <= most {
        return;
    }
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    alerts.sort_by_cached_key(|alert| {
        let (name, severity) = key(alert);
        let place = counts.entry((name.to_owned(), severity.to_owned())).or_default();
        *place += 1;
        *place
    });
    alerts.truncate(most);
}

/// The most urgent first.
pub(super) fn rank(severity: &str) -> u8 {
    match severity {
        "critical" => 0,
        "info" => 2,
        _ => 1,
    }
}
