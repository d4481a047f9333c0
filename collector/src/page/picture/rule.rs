//! The alerts of one rule together: what their row on the page says before it is opened.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::alert::Alert;

/// The alerts of a rule that has more than one, those that are not in the picture among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Rule {
    /// The rule's name.
    pub(super) name: String,
    /// What its alerts have in common, beside the name.
    pub(super) severity: String,
    /// How many there are.
    pub(super) total: usize,
    /// How many of them fire; the others are pending.
    pub(super) firing: usize,
    /// How many are held.
    pub(super) held: usize,
    /// How many are flapping.
    pub(super) flapping: usize,
    /// How many are not told of.
    pub(super) suppressed: usize,
    /// From how many alerts those follow.
    pub(super) causes: usize,
    /// What people call one of these; empty for none.
    pub(super) cause: String,
    /// Since when the oldest is active, of those that are as the most urgent one is: firing or not,
    /// told of or not. In milliseconds.
    pub(super) since: i64,
    /// At how many devices, or racks, rooms and sites where no device is named.
    pub(super) places: usize,
    /// At which sites.
    pub(super) sites: BTreeSet<String>,
    /// What each of them says is the matter; empty when that differs.
    pub(super) summary: String,
    /// What each of them says is to be done; empty when that differs.
    pub(super) action: String,
}

/// What tells the rows of the page apart.
pub(super) fn key(alert: &Alert) -> (&str, &str) {
    (&alert.name, &alert.severity)
}

/// All rules with more than one alert. The `alerts` are sorted, the most urgent first.
pub(super) fn rules(alerts: &[Alert]) -> Vec<Rule> {
    let mut of: BTreeMap<_, Vec<&Alert>> = BTreeMap::new();
    for alert in alerts {
        of.entry(key(alert)).or_default().push(alert);
    }
    of.into_values()
        .filter(|alerts| alerts.len() > 1)
        .filter_map(|alerts| together(&alerts))
        .collect()
}

fn together(alerts: &[&Alert]) -> Option<Rule> {
    let first = alerts.first()?;
    let count = |is: fn(&Alert) -> bool| alerts.iter().filter(|alert| is(alert)).count();
    let different = |text: fn(&Alert) -> &str| -> BTreeSet<&str> {
        alerts.iter().map(|alert| text(alert)).filter(|text| !text.is_empty()).collect()
    };
    let common = |text: fn(&Alert) -> &str| {
        let same = alerts.iter().all(|alert| text(alert) == text(first));
        if same { text(first).to_owned() } else { String::new() }
    };
    let alike = alerts.iter().filter(|alert| {
        (alert.is_firing(), alert.is_suppressed()) == (first.is_firing(), first.is_suppressed())
    });
    let cause = alerts.iter().find(|alert| alert.is_suppressed());
    Some(Rule {
        name: first.name.clone(),
        severity: first.severity.clone(),
        total: alerts.len(),
        firing: count(Alert::is_firing),
        held: count(|alert| alert.held),
        flapping: count(|alert| alert.flapping.is_some()),
        suppressed: count(Alert::is_suppressed),
        causes: different(|alert| &alert.suppressed_by).len(),
        cause: cause.map(|alert| alert.follows_from.clone()).unwrap_or_default(),
        since: alike.map(|alert| alert.since).min().unwrap_or(first.since),
        places: different(Alert::place).len(),
        sites: different(|alert| &alert.site).into_iter().map(str::to_owned).collect(),
        summary: common(|alert| &alert.summary),
        action: common(|alert| &alert.action),
    })
}
