//! `/api/v1/rules` and `/api/v1/alerts`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hallwatch_model::{Labels, Timestamp};
use serde::{Serialize, Serializer};

use super::Api;
use super::number::write_exponent;
use super::params::Params;
use super::reply::{Refusal, success};
use crate::rules::Inside;

/// All rules as Prometheus tells them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RulesForm {
    /// The groups, in the order of the files.
    pub groups: Vec<GroupForm>,
    /// What Prometheus does not tell.
    #[serde(skip)]
    pub inside: Arc<Inside>,
}

/// A group of rules.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupForm {
    /// Its name.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// Its rules, in order.
    pub rules: Vec<RuleForm>,
    /// Seconds between evaluations.
    pub interval: f64,
    /// How many alerts a rule may make; 0 is any number.
    pub limit: usize,
    /// How long the last evaluation took, in seconds.
    pub evaluation_time: f64,
    /// When that was.
    #[serde(serialize_with = "rfc3339")]
    pub last_evaluation: Timestamp,
}

/// A rule. What only alerting rules have is `None` in a recording rule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleForm {
    /// `inactive`, `pending` or `firing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// The alert's or the recorded metric's name.
    pub name: String,
    /// The expression.
    pub query: String,
    /// `for`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// `keep_firing_for`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<f64>,
    /// Labels that the rule adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations, as templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Its alerts that are pending or firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Vec<AlertForm>>,
    /// `ok`, `err` or `unknown`.
    pub health: &'static str,
    /// What went wrong in the last evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How long the last evaluation took, in seconds.
    pub evaluation_time: f64,
    /// When that was.
    #[serde(serialize_with = "rfc3339")]
    pub last_evaluation: Timestamp,
    /// The additional keys of the rule, where it has any. Not of Prometheus.
    #[serde(flatten)]
    pub additional: AdditionalForm,
    /// `alerting` or `recording`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// The keys of a rule that Prometheus does not have; those that are there.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdditionalForm {
    /// `clear`, be it made of a deadband.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<String>,
    /// `expect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// `within`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    /// `on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<String>>,
}

/// What is known of an alert beside what Prometheus tells; only what there is to tell.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownForm {
    /// Since when it is held.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_rfc3339")]
    pub held_since: Option<Timestamp>,
    /// Why it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_cause: Option<String>,
    /// How often it changed of late, while it is flapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flapping: Option<usize>,
}

/// An alert that is pending or firing.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertForm {
    /// Its labels.
    #[serde(serialize_with = "labels")]
    pub labels: Labels,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: &'static str,
    /// Since when.
    #[serde(serialize_with = "rfc3339")]
    pub active_at: Timestamp,
    /// Its expression's value at the last evaluation.
    #[serde(serialize_with = "exponent")]
    pub value: f64,
    /// Held for lack of data. Not of Prometheus; told only when it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// What else is known of it. Not of Prometheus.
    #[serde(flatten)]
    pub known: KnownForm,
    /// The labels of the alert that it follows from, and that is told of in its place. Not of
    /// Prometheus; told only when it is so.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_labels")]
    pub suppressed_by: Option<Labels>,
}

fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    // Go's zero time stands for "never".
    if *time == Timestamp::MIN {
        return serializer.serialize_str("0001-01-01T00:00:00Z");
    }
    serializer.collect_str(time)
}

fn some_rfc3339<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

fn labels<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|label| (&*label.name, &*label.value)))
}

fn some_labels<S: Serializer>(labels: &Option<Labels>, serializer: S) -> Result<S::Ok, S::Error> {
    match labels {
        Some(found) => self::labels(found, serializer),
        None => serializer.serialize_none(),
    }
}

fn exponent<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::new();
    write_exponent(&mut text, *value);
    serializer.serialize_str(&text)
}

/// The rules, filtered by `type`, `rule_name[]`, `rule_group[]` and `file[]`.
pub(super) async fn rules(State(api): State<Api>, params: Params) -> Result<Response, Refusal> {
    let kind = match params.get("type").map(str::to_lowercase).as_deref() {
        None => None,
        Some("alert") => Some("alerting"),
        Some("record") => Some("recording"),
        Some(other) => {
            return Err(Refusal::parameter("type", format!("not supported value {other:?}")));
        }
    };
    let wanted = |key: &str, value: &str| {
        let mut all = params.all(key).peekable();
        all.peek().is_none() || all.any(|wanted| wanted == value)
    };
    let form = api.rules.borrow().clone();
    let mut groups = Vec::new();
    for group in &form.groups {
        if !wanted("rule_group[]", &group.name) || !wanted("file[]", &group.file) {
            continue;
        }
        let rules: Vec<RuleForm> = group
            .rules
            .iter()
            .filter(|rule| kind.is_none_or(|kind| kind == rule.kind))
            .filter(|rule| wanted("rule_name[]", &rule.name))
            .cloned()
            .collect();
        if !rules.is_empty() || group.rules.is_empty() {
            groups.push(GroupForm { rules, ..group.clone() });
        }
    }
    Ok(success(&RulesForm { groups, inside: Arc::default() }))
}

#[derive(Serialize)]
struct Alerts<'a> {
    alerts: Vec<&'a AlertForm>,
}

/// The alerts that are pending or firing.
pub(super) async fn alerts(State(api): State<Api>) -> Response {
    let form = api.rules.borrow().clone();
    let rules = form.groups.iter().flat_map(|group| &group.rules);
    success(&Alerts { alerts: rules.filter_map(|rule| rule.alerts.as_ref()).flatten().collect() })
}
