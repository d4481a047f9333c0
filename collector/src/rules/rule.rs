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
    Alert(Box<Alerting>),
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
    /// What must hold before a firing alert is resolved: hysteresis.
    pub clear: Option<Condition>,
    /// The `deadband` that `clear` was made of.
    pub deadband: Option<f64>,
    /// What must follow the expression, and by when: a sequence.
    pub expect: Option<Expect>,
    /// What is done about an alert that comes and goes.
    pub flapping: Flapping,
}

/// A second expression of a rule.
#[derive(Debug)]
pub struct Condition {
    /// The expression.
    pub query: Query,
    /// The series that it reads.
    pub(super) inputs: Vec<Input>,
}

/// What must follow when an expression begins to hold.
#[derive(Debug)]
pub struct Expect {
    /// What must hold then.
    pub condition: Condition,
    /// How soon.
    pub within: Duration,
    /// The labels in which both must agree; absent: all that both have.
    pub on: Option<Vec<Arc<str>>>,
}

/// What a rule does about an alert that comes and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flapping {
    /// What the engine does.
    #[default]
    Default,
    /// Nothing.
    Off,
    /// It keeps firing, beyond this.
    Beyond(Chatter),
}

/// How often an alert may fire and be resolved before it is called flapping. ISA-18.2 calls an alarm
/// that comes three times in a minute chattering; what pages people is judged over longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chatter {
    /// So many changes are still well.
    pub changes: usize,
    /// In this time, which is also how long it must be calm before it is resolved.
    pub within: Duration,
}

impl Chatter {
    /// It fires for the fifth time in ten minutes.
    pub const DEFAULT: Self = Self { changes: 8, within: Duration::from_secs(600) };
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

    /// All its expressions: the rule's own, `clear` and `expect`.
    pub(super) fn queries(&self) -> impl Iterator<Item = &Query> {
        let conditions = self.alerting().into_iter().flat_map(Alerting::conditions);
        std::iter::once(&self.query).chain(conditions.map(|condition| &condition.query))
    }

    /// The series that any of its expressions reads.
    pub(super) fn all_inputs(&self) -> impl Iterator<Item = &Input> {
        let conditions = self.alerting().into_iter().flat_map(Alerting::conditions);
        self.inputs.iter().chain(conditions.flat_map(|condition| &condition.inputs))
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

impl Alerting {
    /// `clear` and `expect`, where they are.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.clear.iter().chain(self.expect.as_ref().map(|expect| &expect.condition))
    }
}
