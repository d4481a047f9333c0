//! The rules of one site, or of everything, with their own event time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::incremental::{Change, Graph, RootId, WatchId};

use crate::rules::engine::Options;
use crate::rules::engine::run::RuleRun;
use crate::rules::rule::{Condition, Rule};
use crate::rules::view::Health;

/// Whose a series is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Site {
    tenant: String,
    site: String,
}

impl Site {
    pub(super) fn of(labels: &Labels) -> Self {
        let get = |name| labels.get(name).unwrap_or("");
        Self::named(get("tenant"), get("site"))
    }

    pub(super) fn named(tenant: &str, site: &str) -> Self {
        Self { tenant: tenant.to_owned(), site: site.to_owned() }
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(super) fn site(&self) -> &str {
        &self.site
    }
}

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) graph: Graph,
    /// Event time.
    pub(super) now: Timestamp,
    pub(super) runs: BTreeMap<usize, Run>,
    /// Rules that have something to say at every tick.
    pub(super) busy: BTreeSet<usize>,
    of_root: HashMap<RootId, usize>,
    /// Of `clear` and `expect`.
    of_condition: HashMap<RootId, usize>,
    of_watch: HashMap<WatchId, Vec<usize>>,
    /// By agent: up to when it has sent everything.
    pub(super) watermarks: HashMap<String, Timestamp>,
    /// When timers of alerts run out.
    due: BTreeSet<(Timestamp, usize)>,
    ticks: u32,
}

/// A rule in a shard.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) rule: RuleRun,
    /// Its results; `None` for a rule that is evaluated in batch.
    pub(super) roots: Option<Roots>,
    pub(super) due: Option<Timestamp>,
    /// What it wrote last.
    pub(super) wrote: HashMap<Labels, (u64, Timestamp)>,
}

/// Where the results of a rule's expressions are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roots {
    pub(super) own: RootId,
    pub(super) clear: Option<RootId>,
    pub(super) expect: Option<RootId>,
}

impl Run {
    pub(super) fn new(rule: Arc<Rule>, key: Arc<str>) -> Self {
        let rule = RuleRun::new(rule, key);
        Self { rule, roots: None, due: None, wrote: HashMap::new() }
    }

    /// Whether a change of this condition could change an alert.
    fn waits_for(&self, condition: RootId) -> bool {
        match self.roots {
            Some(roots) if roots.clear == Some(condition) => self.rule.waits_to_be_cleared(),
            _ => self.rule.waits(),
        }
    }
}

impl Shard {
    pub(super) fn new(lookback: Duration) -> Self {
        Self {
            graph: Graph::new(lookback),
            now: Timestamp::MIN,
            runs: BTreeMap::new(),
            busy: BTreeSet::new(),
            of_root: HashMap::new(),
            of_condition: HashMap::new(),
            of_watch: HashMap::new(),
            watermarks: HashMap::new(),
            due: BTreeSet::new(),
            ticks: 0,
        }
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.graph.advance(self.now);
    }

    /// Makes the operators of a rule.
    pub(super) fn connect(&mut self, rule: usize, pushed: bool) {
        let Some(run) = self.runs.get_mut(&rule) else { return };
        for input in run.rule.rule.all_inputs() {
            let watch = self.graph.watch(&input.matchers);
            let readers = self.of_watch.entry(watch).or_default();
            if readers.last() != Some(&rule) {
                readers.push(rule);
            }
        }
        if !pushed {
            return;
        }
        let of = &run.rule.rule;
        let Ok(own) = self.graph.add(&of.query) else { return };
        let mut add = |condition: Option<&Condition>| {
            let root = self.graph.add(&condition?.query).ok()?;
            self.of_condition.insert(root, rule);
            Some(root)
        };
        let alerting = of.alerting();
        let clear = add(alerting.and_then(|alerting| alerting.clear.as_ref()));
        let expect = alerting.and_then(|alerting| alerting.expect.as_ref());
        let expect = add(expect.map(|expect| &expect.condition));
        run.roots = Some(Roots { own, clear, expect });
        self.of_root.insert(own, rule);
    }

    pub(super) fn forget_operators(&mut self) {
        self.of_root.clear();
        self.of_condition.clear();
        self.of_watch.clear();
        self.runs.values_mut().for_each(|run| run.rule.forget_signatures());
    }

    /// The rules that something has changed for.
    pub(super) fn changed(&mut self) -> Vec<usize> {
        let mut rules = Vec::new();
        for change in self.graph.changes() {
            match change {
                Change::Root(root) => {
                    rules.extend(self.of_root.get(&root));
                    let waits =
                        |rule: &&usize| self.runs.get(rule).is_some_and(|run| run.waits_for(root));
                    rules.extend(self.of_condition.get(&root).filter(waits));
                }
                Change::Watch(watch) => {
                    let readers = self.of_watch.get(&watch).into_iter().flatten();
                    let matters = |rule: &&usize| {
                        self.runs.get(rule).is_some_and(|run| {
                            run.rule.rests_on_data() || run.rule.rule.asks_for_data()
                        })
                    };
                    rules.extend(readers.filter(matters));
                }
            }
        }
        rules
    }

    /// The rules of which a timer has run out.
    pub(super) fn timers(&mut self) -> Vec<usize> {
        let mut rules = Vec::new();
        while let Some((at, rule)) = self.due.first().copied() {
            if at > self.now {
                break;
            }
            self.due.pop_first();
            if let Some(run) = self.runs.get_mut(&rule) {
                run.due = None;
            }
            rules.push(rule);
        }
        rules
    }

    pub(super) fn set_timer(&mut self, rule: usize, options: &Options) {
        let Some(run) = self.runs.get_mut(&rule) else { return };
        let next = run.rule.due(options, self.now);
        if next == run.due {
            return;
        }
        if let Some(old) = run.due {
            self.due.remove(&(old, rule));
        }
        run.due = next;
        if let Some(next) = next {
            self.due.insert((next, rule));
        }
    }

    /// Takes note of whether a rule has something to say when nothing changes.
    pub(super) fn set_busy(&mut self, rule: usize) {
        let Some(run) = self.runs.get(&rule) else { return };
        let quiet = !run.rule.rests_on_data()
            && run.roots.is_some_and(|roots| self.graph.is_empty(roots.own))
            && !run.rule.rule.asks_for_data()
            && run.rule.written_nothing()
            && run.rule.health == Health::Ok;
        if quiet {
            self.busy.remove(&rule);
        } else {
            self.busy.insert(rule);
        }
    }

    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        let alerts = self.due.first().map(|(at, _)| *at);
        match (alerts, self.graph.next_timer()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Once in a while: looking costs something.
    pub(super) fn is_time_to_look(&mut self) -> bool {
        self.ticks = self.ticks.wrapping_add(1);
        self.ticks.is_multiple_of(256)
    }
}
