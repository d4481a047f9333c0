//! What a rule file says, checked.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_config::Finding;
use hallwatch_promql::Query;

use super::inputs::Input;
use super::template::Template;

/// All rules, of all files.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// The groups, file by file.
    pub groups: Vec<Group>,
    /// What is not wrong but probably not meant, such as metrics that nobody writes.
    pub warnings: Vec<Finding>,
}

/// Rules that are evaluated together, one after the other.
#[derive(Debug)]
pub struct Group {
    /// The file it stands in.
    pub file: Arc<str>,
    /// Its name, unique in its file.
    pub name: Arc<str>,
    /// How often it is evaluated; absent: as often as the engine is asked to.
    pub interval: Option<Duration>,
    /// The most alerts or series a rule may yield; 0 is no limit.
    pub limit: usize,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// An alerting or a recording rule.
#[derive(Debug)]
pub struct Rule {
    /// The alert's name, or the name of the series that is recorded.
    pub name: Arc<str>,
    /// The expression.
    pub query: Query,
    /// Labels to add, with templates in alerting rules.
    pub labels: Vec<(Arc<str>, Template)>,
    /// What the rule is for.
    pub purpose: Purpose,
    /// The series that it reads.
    pub(super) inputs: Vec<Input>,
}

/// What a rule is for.
#[derive(Debug)]
pub enum Purpose {
    /// It writes a series.
    Record,
    /// It raises alerts.
    Alert(Alerting),
}

/// What only alerting rules have.
#[derive(Debug)]
pub struct Alerting {
    /// How long the expression must hold before the alert fires.
    pub hold: Duration,
    /// How long the alert goes on firing after the expression has ceased to hold.
    pub keep_firing: Duration,
    /// Texts for people.
    pub annotations: Vec<(Arc<str>, Template)>,
    /// What to do when the inputs go away.
    pub no_data: NoData,
}

/// What becomes of an alert whose inputs go away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoData {
    /// It stays as it is until there is evidence.
    #[default]
    Hold,
    /// It fires, and an input that goes missing raises one.
    Fire,
    /// It resolves, as in Prometheus.
    Resolve,
}

impl NoData {
    /// The words of a rule file.
    pub(super) const WORDS: [(&str, Self); 3] =
        [("hold", Self::Hold), ("fire", Self::Fire), ("resolve", Self::Resolve)];
}

impl Rule {
    /// Whether it has something to say of inputs that are gone.
    pub(super) fn asks_for_data(&self) -> bool {
        self.alerting().is_some_and(|alerting| alerting.no_data == NoData::Fire)
    }

    /// What only alerting rules have.
    #[must_use]
    pub fn alerting(&self) -> Option<&Alerting> {
        match &self.purpose {
            Purpose::Alert(alerting) => Some(alerting),
            Purpose::Record => None,
        }
    }
}
