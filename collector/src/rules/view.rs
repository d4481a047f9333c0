//! What the engine shows of itself: plain data for the API and the page.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::Timestamp;

use super::alert::Alert;
use super::push::{Fallback, HistoricalAlert, Usage};
use super::rule::{Chatter, NoData};

/// All groups, and what was resolved of late.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The groups, in the order of the files.
    pub groups: Vec<GroupView>,
    /// Alerts that were resolved in the last 15 minutes, the newest last; at most 1,000.
    pub resolved: Vec<Alert>,
}

/// What is known of the rules beside what Prometheus tells.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// All rules and alerts.
    pub view: View,
    /// The rules that are evaluated in batch.
    pub fallbacks: Vec<Fallback>,
    /// Alerts that were learnt of too late, the newest last.
    pub digest: Vec<HistoricalAlert>,
    /// What the engine takes.
    pub usage: Usage,
    /// How the last reload went.
    pub reload: Reload,
}

impl Inside {
    /// The alerts that are held.
    pub fn held(&self) -> impl Iterator<Item = &Alert> {
        let rules = self.view.groups.iter().flat_map(|group| &group.rules);
        let alerting = rules.filter_map(|rule| rule.alerting.as_ref());
        alerting.flat_map(|alerting| &alerting.alerts).filter(|alert| alert.held.is_some())
    }
}

/// How the last reload of the rules went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// When the rules that are evaluated were loaded.
    pub loaded_at: Option<Timestamp>,
    /// When a reload was refused after that, and why.
    pub refused: Option<(Timestamp, String)>,
}

/// A group of rules.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// The file it stands in.
    pub file: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// How often it is evaluated.
    pub interval: Duration,
    /// The most alerts or series of a rule; 0 is no limit.
    pub limit: usize,
    /// When it was evaluated last.
    pub last_evaluation: Option<Timestamp>,
    /// Its rules.
    pub rules: Vec<RuleView>,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct RuleView {
    /// The alert's or the series' name.
    pub name: Arc<str>,
    /// The expression.
    pub query: String,
    /// Labels as written, templates not filled in.
    pub labels: Vec<(Arc<str>, String)>,
    /// How the last evaluation went.
    pub health: Health,
    /// When it was evaluated last.
    pub last_evaluation: Option<Timestamp>,
    /// What only alerting rules have; `None` for a recording rule.
    pub alerting: Option<AlertingView>,
}

/// What only alerting rules have.
#[derive(Clone, Debug)]
pub struct AlertingView {
    /// How long the expression must hold before an alert fires.
    pub hold: Duration,
    /// How long an alert goes on firing after that.
    pub keep_firing: Duration,
    /// Annotations as written, templates not filled in.
    pub annotations: Vec<(Arc<str>, String)>,
    /// What must hold before an alert is resolved.
    pub clear: Option<String>,
    /// The `deadband` that `clear` was made of.
    pub deadband: Option<f64>,
    /// What must follow the expression.
    pub expect: Option<ExpectView>,
    /// When an alert is called flapping; `None`: never.
    pub flapping: Option<Chatter>,
    /// What becomes of an alert whose inputs go away.
    pub no_data: NoData,
    /// The active alerts, by labels.
    pub alerts: Vec<Alert>,
}

/// What must follow when an expression begins to hold.
#[derive(Clone, Debug)]
pub struct ExpectView {
    /// The expression.
    pub query: String,
    /// How soon it must hold.
    pub within: Duration,
    /// The labels in which both must agree; absent: all that both have.
    pub on: Option<Vec<Arc<str>>>,
}

/// How an evaluation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// There was none yet.
    Unknown,
    /// Well.
    Ok,
    /// It failed, for this reason.
    Err(String),
}

impl Health {
    /// As Prometheus spells it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Err(_) => "err",
        }
    }
}
