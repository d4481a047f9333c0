//! Who is notified, and how.

use std::time::Duration;

use hallwatch_config::{FromValue as _, Section, Spanned, Url, Value};

use super::some_text;

/// How long one attempt may take, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Someone who is notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// Where its notifications are sent.
    pub channel: Channel,
}

/// Where notifications are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// To whoever takes Alertmanager's webhook JSON.
    Webhook(Webhook),
    /// To Alertmanager, which notifies people in its own way.
    Alertmanager(Alertmanager),
}

/// An HTTP endpoint for notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// `http` or `https`.
    pub url: Url,
    /// How long one attempt may take, 100 ms to 2 min.
    pub timeout: Duration,
}

/// An Alertmanager, or a cluster of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alertmanager {
    /// `http` or `https`; `/api/v2/alerts` is added. At least one, all different.
    pub urls: Vec<Url>,
    /// How long one attempt may take, 100 ms to 2 min.
    pub timeout: Duration,
}

/// Every `[[receiver]]` that is right.
pub(super) fn receivers(root: &mut Section<'_>) -> Vec<Receiver> {
    let mut names = Vec::new();
    let mut receivers = Vec::new();
    for mut section in root.sections("receiver") {
        let name = section.checked("name", some_text);
        let channel = channel(&mut section);
        names.extend(name.clone());
        if let (Some(name), Some(channel)) = (name, channel) {
            receivers.push(Receiver { name: name.value, channel });
        }
    }
    root.unique("receiver", &names);
    receivers
}

/// `webhook` or `alertmanager`.
fn channel(section: &mut Section<'_>) -> Option<Channel> {
    section.known(&["webhook", "alertmanager"]);
    match (section.has("webhook"), section.has("alertmanager")) {
        (true, false) => section.section("webhook").and_then(webhook).map(Channel::Webhook),
        (false, true) => {
            section.section("alertmanager").and_then(alertmanager).map(Channel::Alertmanager)
        }
        (false, false) => {
            let message = "a receiver has neither `webhook` nor `alertmanager`";
            let help = "add `webhook = { url = \"https://…\" }` or \
                        `alertmanager = { url = \"http://…:9093\" }`";
            section.problem(section.span(), message, "", Some(help.into()));
            None
        }
        (true, true) => {
            // What is wrong within them is told, too.
            section.section("webhook").and_then(webhook);
            let span = section.value("alertmanager").map(|value| value.span());
            section.section("alertmanager").and_then(alertmanager);
            let message = "a receiver has both `webhook` and `alertmanager`";
            let help = "make two receivers of it: each is told everything";
            let span = span.unwrap_or_else(|| section.span());
            section.problem(span, message, "one too many", Some(help.into()));
            None
        }
    }
}

fn webhook(mut section: Section<'_>) -> Option<Webhook> {
    let url = section.required_url("url", &["http", "https"]);
    let timeout = timeout(&mut section);
    Some(Webhook { url: url?, timeout })
}

fn alertmanager(mut section: Section<'_>) -> Option<Alertmanager> {
    let timeout = timeout(&mut section);
    if !section.has("urls") {
        section.known(&["urls"]);
        let url = section.required_url("url", &["http", "https"])?;
        return Some(Alertmanager { urls: vec![url], timeout });
    }
    let single = section.value("url").map(|value| value.span());
    if let Some(span) = single {
        let help = "write all of the cluster into `urls`".to_owned();
        section.problem(span, "`url` and `urls` are both given", "one too many", Some(help));
    }
    let given = section.value("urls")?;
    let elements = given.elements()?;
    if elements.is_empty() {
        let help = "for example `urls = [\"http://am-1:9093\", \"http://am-2:9093\"]`".to_owned();
        section.problem(given.span(), "no Alertmanager is named", "empty", Some(help));
    }
    let urls: Vec<Spanned<Url>> = elements.iter().filter_map(member).collect();
    section.unique("Alertmanager", &urls);
    (!urls.is_empty())
        .then(|| Alertmanager { urls: urls.into_iter().map(|url| url.value).collect(), timeout })
}

/// One of a cluster.
fn member(value: &Value<'_>) -> Option<Spanned<Url>> {
    let url = Url::from_value(value)?;
    if matches!(url.scheme(), "http" | "https") {
        return Some(Spanned { value: url, span: value.span() });
    }
    let message = format!("{} cannot have the scheme `{}`", value.name(), url.scheme());
    value.refuse(message, "not possible here", Some("possible are `http`, `https`".into()))
}

fn timeout(section: &mut Section<'_>) -> Duration {
    let range = Duration::from_millis(100)..=Duration::from_secs(120);
    section.ranged("timeout", range, TIMEOUT)
}
