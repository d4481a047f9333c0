//! Alertmanager's webhook message, version 4.

use std::collections::BTreeMap;

use hallwatch_model::{Labels, Timestamp};
use serde::Serialize;

use super::alert::NotifiedAlert;
use super::fingerprint::fingerprint;
use super::route::Notification;

/// What Go prints for a time that is not set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'n> {
    receiver: &'n str,
    status: &'static str,
    alerts: Vec<Alert<'n>>,
    group_labels: BTreeMap<&'n str, &'n str>,
    common_labels: BTreeMap<&'n str, &'n str>,
    common_annotations: BTreeMap<&'n str, &'n str>,
    #[serde(rename = "externalURL")]
    external_url: &'n str,
    version: &'static str,
    group_key: &'n str,
    truncated_alerts: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'n> {
    status: &'static str,
    labels: BTreeMap<&'n str, &'n str>,
    annotations: BTreeMap<&'n str, &'n str>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'n str,
    fingerprint: String,
}

/// The message for `notification`.
///
/// # Errors
/// Never in practice: texts and numbers can be written as JSON.
pub fn body(notification: &Notification) -> Result<String, serde_json::Error> {
    let alerts: Vec<Alert<'_>> = notification.alerts.iter().map(Alert::new).collect();
    let firing = notification.alerts.iter().any(|alert| alert.ends_at.is_none());
    let message = Message {
        receiver: &notification.receiver,
        status: if firing { "firing" } else { "resolved" },
        group_labels: texts(&notification.group_labels),
        common_labels: common(alerts.iter().map(|alert| &alert.labels)),
        common_annotations: common(alerts.iter().map(|alert| &alert.annotations)),
        alerts,
        external_url: &notification.external_url,
        version: "4",
        group_key: &notification.group_key,
        truncated_alerts: 0,
    };
    serde_json::to_string(&message)
}

impl<'n> Alert<'n> {
    fn new(alert: &'n NotifiedAlert) -> Self {
        Self {
            status: if alert.ends_at.is_none() { "firing" } else { "resolved" },
            labels: texts(&alert.labels),
            annotations: alert.annotations.iter().map(|(n, v)| (&**n, &**v)).collect(),
            starts_at: alert.starts_at.to_string(),
            ends_at: alert
                .ends_at
                .map_or_else(|| NO_TIME.to_owned(), |at: Timestamp| at.to_string()),
            generator_url: &alert.generator_url,
            fingerprint: format!("{:016x}", fingerprint(&alert.labels)),
        }
    }
}

fn texts(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().map(|label| (&*label.name, &*label.value)).collect()
}

/// What all have.
fn common<'m, 'n: 'm>(
    mut all: impl Iterator<Item = &'m BTreeMap<&'n str, &'n str>>,
) -> BTreeMap<&'n str, &'n str> {
    let Some(first) = all.next() else { return BTreeMap::new() };
    all.fold(first.clone(), |mut common, next| {
        common.retain(|name, value| next.get(name) == Some(value));
        common
    })
}
