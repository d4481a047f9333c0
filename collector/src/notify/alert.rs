//! An alert as receivers see it.

use std::sync::Arc;

use hallwatch_model::{Labels, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rules::{AlertState, Transition, link};

/// An alert as receivers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifiedAlert {
    /// What identifies it.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Vec<(Arc<str>, String)>,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it was resolved; `None` while it fires.
    pub ends_at: Option<Timestamp>,
    /// A page that shows the expression.
    pub generator_url: String,
}

impl NotifiedAlert {
    /// What receivers see of a change, or `None` when it does not concern them: pending alerts, and
    /// alerts that are held.
    #[must_use]
    pub fn from_transition(transition: &Transition, external_url: &str) -> Option<Self> {
        let ends_at = match (transition.from, transition.to) {
            (from, to) if from == to => return None,
            (_, AlertState::Firing) => None,
            (_, AlertState::Resolved) => Some(transition.at),
            _ => return None,
        };
        let alert = &transition.alert;
        Some(Self {
            labels: alert.labels.clone(),
            annotations: annotations(&alert.annotations, external_url),
            starts_at: alert.fired_at.unwrap_or(transition.at),
            ends_at,
            generator_url: generator_url(external_url, &transition.query),
        })
    }
}

/// The annotations, with a `runbook_url` that can be followed from anywhere: the shipped rules name
/// pages of the collector.
fn annotations(all: &[(Arc<str>, String)], external_url: &str) -> Vec<(Arc<str>, String)> {
    let absolute = |(name, text): &(Arc<str>, String)| {
        let is_path = !text.contains("://") && !text.starts_with("//");
        let text = match (&**name, external_url.trim_end_matches('/')) {
            ("runbook_url", base) if is_path && !base.is_empty() => {
                format!("{base}/{}", text.trim_start_matches('/'))
            }
            _ => text.clone(),
        };
        (name.clone(), text)
    };
    all.iter().map(absolute).collect()
}

/// The page of Prometheus' own interface that shows an expression.
fn generator_url(external_url: &str, expression: &str) -> String {
    external_url.trim_end_matches('/').to_owned() + &link(expression, 1)
}

/// [`NotifiedAlert`] as it is kept on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AlertRow {
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    starts_at: i64,
    ends_at: Option<i64>,
    generator_url: String,
}

impl From<&NotifiedAlert> for AlertRow {
    fn from(alert: &NotifiedAlert) -> Self {
        let text = |(name, value): &(Arc<str>, String)| (name.to_string(), value.clone());
        Self {
            labels: pairs(&alert.labels),
            annotations: alert.annotations.iter().map(text).collect(),
            starts_at: alert.starts_at.as_millis(),
            ends_at: alert.ends_at.map(Timestamp::as_millis),
            generator_url: alert.generator_url.clone(),
        }
    }
}

impl From<AlertRow> for NotifiedAlert {
    fn from(row: AlertRow) -> Self {
        Self {
            labels: labels(&row.labels),
            annotations: row.annotations.into_iter().map(|(n, v)| (n.into(), v)).collect(),
            starts_at: Timestamp::from_millis(row.starts_at),
            ends_at: row.ends_at.map(Timestamp::from_millis),
            generator_url: row.generator_url,
        }
    }
}

pub(crate) fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect()
}

pub(crate) fn labels(pairs: &[(String, String)]) -> Labels {
    Labels::from_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runbook_of_the_collector_can_be_reached_from_anywhere() {
        for (given, base, expected) in [
            ("/runbooks/A.md", "https://h/hall/", "https://h/hall/runbooks/A.md"),
            ("runbooks/A.md", "https://h/hall/", "https://h/hall/runbooks/A.md"),
            ("/runbooks/A.md", "http://h:8600", "http://h:8600/runbooks/A.md"),
            ("/runbooks/A.md", "", "/runbooks/A.md"),
            ("https://wiki/A", "http://h:8600", "https://wiki/A"),
            ("//wiki/A", "http://h:8600", "//wiki/A"),
        ] {
            let all = [("runbook_url".into(), given.into()), ("action".into(), "/look".into())];
            let got: Vec<String> =
                annotations(&all, base).into_iter().map(|(_, text)| text).collect();
            assert_eq!(got, [expected, "/look"], "{given} {base}");
        }
    }

    #[test]
    fn the_generator_url_is_escaped() {
        assert_eq!(
            generator_url("http://h:8600/", "up{a=\"b\"} == 0"),
            "http://h:8600/graph?g0.expr=up%7Ba%3D%22b%22%7D+%3D%3D+0&g0.tab=1"
        );
    }
}
