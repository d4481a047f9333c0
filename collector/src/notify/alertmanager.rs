//! What an Alertmanager is to be told now, as Prometheus would. Pure: alerts and the time in.
//!
//! What fires is told again every minute, with an end that lies a few minutes ahead: Alertmanager
//! resolves by itself what it hears of no more, so silence of the collector must not last that
//! long. An alert that is held fires still, and is told of like any other. Grouping, repeating and
//! telling once is Alertmanager's: both collectors of a pair tell it the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};
use serde_json::{Map, Value, json};

use super::alert::NotifiedAlert;
use super::fingerprint::fingerprint;

/// How often what fires, and what was resolved of late, is told again: Prometheus'
/// `--rules.alert.resend-delay`.
pub const RESEND: Duration = Duration::from_secs(60);
/// How far ahead of the telling the end of what fires is: Prometheus' four times the longer of its
/// resend delay and the interval of its rules. Here the telling does not wait for the rules.
pub const VALID: Duration = Duration::from_secs(4 * 60);
/// How long a resolved alert is told of, as long as in Prometheus.
pub const RESOLVED_FOR: Duration = Duration::from_secs(15 * 60);
/// The most alerts of one request, as in Prometheus.
pub const MAX_BATCH: usize = 256;
/// So much earlier than the news of it was decided on can an alert have been resolved: by the time
/// of its samples.
const SLACK: Duration = Duration::from_secs(60);

/// What one Alertmanager has accepted. It is not kept over a restart: then all is told again.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    alerts: BTreeMap<u64, (Timestamp, Span)>,
}

type Span = (Timestamp, Option<Timestamp>);

fn span(alert: &NotifiedAlert) -> Span {
    (alert.starts_at, alert.ends_at)
}

impl Accepted {
    /// Those of `alerts` that are to be told now. `undelivered`: since when there is news that no
    /// Alertmanager has accepted.
    #[must_use]
    pub fn due<'a>(
        &self,
        alerts: &'a [NotifiedAlert],
        undelivered: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<&'a NotifiedAlert> {
        let due =
            |alert: &&NotifiedAlert| self.left(alert, undelivered, now) == Some(Duration::ZERO);
        alerts.iter().filter(due).collect()
    }

    /// For how long nothing of `alerts` is due; `None` when nothing ever will be.
    #[must_use]
    pub fn next(&self, alerts: &[NotifiedAlert], now: Timestamp) -> Option<Duration> {
        alerts.iter().filter_map(|alert| self.left(alert, None, now)).min()
    }

    /// These were accepted at `now`.
    pub fn note<'a>(
        &mut self,
        alerts: impl IntoIterator<Item = &'a NotifiedAlert>,
        now: Timestamp,
    ) {
        let told = alerts.into_iter().map(|alert| (fingerprint(&alert.labels), (now, span(alert))));
        self.alerts.extend(told);
    }

    /// Forgets all others.
    pub fn keep(&mut self, alerts: &[NotifiedAlert]) {
        let known: BTreeSet<u64> = alerts.iter().map(|alert| fingerprint(&alert.labels)).collect();
        self.alerts.retain(|alert, _| known.contains(alert));
    }

    /// How long until `alert` is to be told; `None`: no more.
    fn left(
        &self,
        alert: &NotifiedAlert,
        undelivered: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Duration> {
        let accepted = self.alerts.get(&fingerprint(&alert.labels));
        let accepted = accepted.filter(|(_, accepted)| *accepted == span(alert));
        let over = alert.ends_at.filter(|end| now.since(*end) >= RESOLVED_FOR);
        match (over, accepted) {
            (Some(end), None) if undelivered.is_some_and(|since| end + SLACK >= since) => {
                Some(Duration::ZERO)
            }
            (Some(_), _) => None,
            // A clock that was set back must not silence it.
            (None, Some((at, _))) if *at <= now => Some(RESEND.saturating_sub(now.since(*at))),
            (None, _) => Some(Duration::ZERO),
        }
    }
}

/// The body of `POST /api/v2/alerts` that tells of `alerts`.
#[must_use]
pub fn body(alerts: &[&NotifiedAlert], now: Timestamp) -> String {
    let alerts = alerts.iter().map(|alert| {
        // Alertmanager refuses what ends before it begins, and takes an end in the future for
        // firing: a clock that was set back must not lead to either.
        let end = alert.ends_at.map_or(now + VALID, |end| end.min(now));
        let start = alert.starts_at.min(end);
        let annotations = alert.annotations.iter().map(|(name, text)| (&**name, &**text));
        json!({
            "labels": texts(&alert.labels),
            "annotations": annotations.map(|(n, t)| (n.to_owned(), t.into())).collect::<Map<_, _>>(),
            "startsAt": start.to_string(),
            "endsAt": end.to_string(),
            "generatorURL": alert.generator_url,
        })
    });
    Value::Array(alerts.collect()).to_string()
}

fn texts(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|label| (label.name.to_string(), (&*label.value).into())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(seconds)
    }

    fn alert(device: &str, start: u64, end: Option<u64>) -> NotifiedAlert {
        NotifiedAlert {
            labels: Labels::from_pairs([("alertname", "A"), ("device", device)]),
            annotations: vec![("summary".into(), "it \"fails\"".into())],
            starts_at: at(start),
            ends_at: end.map(at),
            generator_url: "http://h/graph".into(),
        }
    }

    #[test]
    fn what_is_due() {
        let firing = alert("a", 0, None);
        let resolved = alert("a", 0, Some(100));
        for (name, told, is, undelivered, now, expected) in [
            ("new", None, &firing, None, 5, Some(0)),
            ("just told", Some((&firing, 5)), &firing, None, 20, Some(45)),
            ("told a minute ago", Some((&firing, 5)), &firing, None, 65, Some(0)),
            ("told in the future", Some((&firing, 500)), &firing, None, 65, Some(0)),
            ("resolved since", Some((&firing, 95)), &resolved, None, 100, Some(0)),
            ("fires again", Some((&resolved, 100)), &firing, None, 101, Some(0)),
            ("resolved, told", Some((&resolved, 100)), &resolved, None, 110, Some(50)),
            ("resolved, told long ago", Some((&resolved, 100)), &resolved, None, 900, Some(0)),
            ("resolved a quarter ago", Some((&resolved, 100)), &resolved, None, 1000, None),
            ("and nobody knows", None, &resolved, Some(110), 3000, Some(0)),
            ("and nobody knows of another", None, &resolved, Some(2000), 3000, None),
            ("and this one knows", Some((&resolved, 100)), &resolved, Some(110), 3000, None),
        ] {
            let mut accepted = Accepted::default();
            if let Some((told, when)) = told {
                accepted.note([told], at(when));
            }
            let left = accepted.left(is, undelivered.map(at), at(now));
            assert_eq!(left, expected.map(Duration::from_secs), "{name}");
        }
    }

    #[test]
    fn the_body_is_what_prometheus_would_send() {
        let (a, b) = (alert("a", 0, None), alert("b", 10, Some(20)));
        let expected = json!([
            {
                "labels": { "alertname": "A", "device": "a" },
                "annotations": { "summary": "it \"fails\"" },
                "startsAt": "2023-11-14T22:13:20Z",
                "endsAt": "2023-11-14T22:18:20Z",
                "generatorURL": "http://h/graph",
            },
            {
                "labels": { "alertname": "A", "device": "b" },
                "annotations": { "summary": "it \"fails\"" },
                "startsAt": "2023-11-14T22:13:30Z",
                "endsAt": "2023-11-14T22:13:40Z",
                "generatorURL": "http://h/graph",
            },
        ]);
        let got: Value = serde_json::from_str(&body(&[&a, &b], at(60))).unwrap();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_clock_that_was_set_back_neither_revives_nor_breaks_an_alert() {
        for end in [None, Some(900)] {
            let got: Value = serde_json::from_str(&body(&[&alert("a", 800, end)], at(60))).unwrap();
            let time = |name: &str| got[0][name].as_str().unwrap().to_owned();
            assert!(time("startsAt") <= time("endsAt"), "{got}");
            assert!(end.is_none() || time("endsAt") == at(60).to_string(), "{got}");
        }
    }

    proptest! {
        /// An Alertmanager that answers now and then: what it was told of last is never older than
        /// what it believes by it, and every end of an alert reaches it in time.
        #[test]
        fn whoever_answers_never_loses_an_alert(
            steps in prop::collection::vec((1u64..40, any::<bool>(), 0usize..3, any::<bool>()), 1..80)
        ) {
            let mut accepted = Accepted::default();
            let mut alerts: Vec<NotifiedAlert> = Vec::new();
            let mut told: BTreeMap<u64, (Timestamp, Span)> = BTreeMap::new();
            let mut second = 0;
            for (wait, changes, which, answers) in steps {
                second += wait;
                let now = at(second);
                if changes {
                    let device = ["a", "b", "c"][which];
                    let known = alerts.iter().position(|alert| {
                        alert.labels.get("device") == Some(device)
                    });
                    let firing = known.is_some_and(|known| alerts[known].ends_at.is_none());
                    let start = known.map_or(second, |known| {
                        alerts[known].starts_at.since(at(0)).as_secs()
                    });
                    let next = if firing {
                        alert(device, start, Some(second))
                    } else {
                        alert(device, second, None)
                    };
                    match known {
                        Some(known) => alerts[known] = next,
                        None => alerts.push(next),
                    }
                }
                let due = accepted.due(&alerts, None, now);
                if answers {
                    for alert in &due {
                        told.insert(fingerprint(&alert.labels), (now, span(alert)));
                    }
                    let due: Vec<NotifiedAlert> = due.into_iter().cloned().collect();
                    accepted.note(&due, now);
                    for alert in &alerts {
                        let Some((when, what)) = told.get(&fingerprint(&alert.labels)) else {
                            prop_assert!(alert.ends_at.is_some_and(|end| now.since(end) >= RESOLVED_FOR));
                            continue;
                        };
                        if alert.ends_at.is_none_or(|end| now.since(end) < RESOLVED_FOR) {
                            prop_assert_eq!(*what, span(alert));
                            prop_assert!(now.since(*when) < RESEND);
                        }
                    }
                    let next = accepted.next(&alerts, now);
                    prop_assert!(next != Some(Duration::ZERO), "nothing is due right after");
                }
                accepted.keep(&alerts);
            }
        }
    }
}
