//! What can happen, and what can be done.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_link as link;
use hallwatch_model::{Ack, AgentPath, Labels, Sample, Timestamp};

use crate::api::RulesForm;
use crate::notify::io::Report;
use crate::page::{self, SiteFacts};
use crate::run::alerting::News;
use crate::run::writer::{Done, Job};
use crate::store;

/// Everything that can happen.
#[derive(Debug)]
pub(in crate::run) enum Event {
    /// The connection to the broker tells something.
    Broker(link::Event),
    /// The store is done with something.
    Store(Done),
    /// A second has passed.
    Second,
    /// It is time to evaluate the rules.
    Interval,
    /// The rules were evaluated.
    Evaluated(Evaluated),
    /// An attempt to notify has ended.
    Report(Report),
}

/// What an evaluation came to.
#[derive(Debug)]
pub(in crate::run) struct Evaluated {
    pub(in crate::run) samples: Vec<(Labels, Sample)>,
    pub(in crate::run) at: Timestamp,
    pub(in crate::run) took: Duration,
    /// Of everything, at the interval; otherwise of what samples have changed.
    pub(in crate::run) interval: bool,
    pub(in crate::run) notifications: usize,
    /// What there is to be seen now, if it is another.
    pub(in crate::run) shown: Option<Shown>,
}

/// What there is to be seen of rules and alerts.
#[derive(Debug)]
pub(in crate::run) struct Shown {
    pub(in crate::run) rules: Arc<RulesForm>,
    pub(in crate::run) alerts: Arc<Vec<page::Alert>>,
    pub(in crate::run) failing: (usize, Option<String>),
    /// Alerts that are not told of, because they follow from others.
    pub(in crate::run) suppressed: usize,
    /// The disk is full: alerts and messages are not on it.
    pub(in crate::run) in_memory: bool,
}

/// Everything that can be done.
#[derive(Debug)]
pub(in crate::run) enum Action {
    /// Hand a job to the store.
    Store(Job),
    /// Tell an agent what is on disk.
    Acknowledge(AgentPath, Ack),
    /// Evaluate the rules.
    Evaluate,
    /// Look at the rules that what was stored concerns.
    Push(News),
    /// Show rules and alerts through the API.
    ShowRules(Arc<RulesForm>),
    /// Make a picture for the pages that are open.
    Paint(Vec<SiteFacts>, Arc<Vec<page::Alert>>),
    /// Let the senders look into the outbox.
    Send,
    /// Tell the router that a notification was given up.
    GivenUp(String, Labels),
    /// End the process: only a restart tells what is stored.
    End(store::Error),
}
