//! The engine that samples push: a rule is looked at when a sample, or a timer on event time, has
//! changed what it says; the interval only drives what changes with time alone.
//!
//! Rules whose series never meet across sites (see [`Query::keeps_apart`]) are evaluated for each
//! site alone, in a *shard* with its own event time: a site that is cut off holds up nobody. All
//! others are in the shard of everything. Event time of a site is the watermark of its agents, but
//! never later than the collector's clock, and never more than [`Timing::wait`] before it.
//!
//! Rules that cannot be pushed are evaluated in batch at the interval of their group.
//!
//! [`Query::keeps_apart`]: hallwatch_promql::Query::keeps_apart

mod feed;
mod history;
mod pass;
mod report;
mod routes;
mod schedule;
mod seed;
mod shard;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::incremental::{Graph, Obstacle};
use hallwatch_promql::{Matchers, Query, Source};

use super::alert::{Alert, Reason};
use super::engine::{Evaluation, Options, SavedAlert};
use super::rule::{Group, Rule, RuleSet};
pub use feed::Feed;
pub use history::HistoricalAlert;
use history::Histories;
pub use report::{Fallback, Usage};
pub use routes::Handle;
use routes::{Route, Routes, Target};
use schedule::Schedule;
use shard::{Run, Shard, Site};

/// So many series are looked up before the first of them is pushed, see [`Graph::foresee`]: what is
/// loaded of them has to stay in the fastest cache until then.
const FORESEEN: usize = 32;

/// How event time relates to the collector's clock.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How far a site's event time may stay behind the clock while its watermark does not move. A
    /// sample that comes later than that is history.
    pub wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { wait: Duration::from_secs(10) }
    }
}

/// What came from an agent, or from the collector itself.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The samples.
    pub samples: &'a [(Labels, Sample)],
    /// The agent, by a name that is unique in its site, and up to when it has sent everything.
    pub watermark: Option<(&'a str, Timestamp)>,
    /// The agent says that this is old.
    pub backfill: bool,
}

/// A sample of a series that was met.
#[derive(Clone, Copy, Debug)]
pub struct Pushed {
    /// The series.
    pub handle: Handle,
    /// Its time.
    pub time: Timestamp,
    /// The value, or why there is none, as `hallwatch_model::sample::to_float` makes it.
    pub value: f64,
}

/// All rules and their alerts.
#[derive(Debug)]
pub struct PushEngine {
    options: Options,
    timing: Timing,
    groups: Vec<GroupInfo>,
    schedule: Schedule,
    rules: Vec<RuleInfo>,
    /// The first is that of everything.
    shards: Vec<Shard>,
    by_site: HashMap<Site, usize>,
    routes: Routes,
    /// Rules by the metric names that they read; those that read others too.
    interest: HashMap<String, Vec<usize>>,
    nameless: Vec<usize>,
    /// What is to be looked at: rule and shard.
    work: BTreeSet<(usize, usize)>,
    orphans: Vec<SavedAlert>,
    resolved: VecDeque<Alert>,
    histories: Histories,
}

#[derive(Debug)]
struct GroupInfo {
    group: Arc<Group>,
    interval: Duration,
    last: Option<Timestamp>,
    /// Its rules, by number.
    rules: Range<usize>,
}

#[derive(Clone, Debug)]
struct RuleInfo {
    rule: Arc<Rule>,
    key: Arc<str>,
    group: usize,
    /// Evaluated for each site alone.
    local: bool,
    obstacle: Option<Obstacle>,
    /// What it reads, and what its alerts rest on.
    reads: Arc<[Matchers]>,
}

impl PushEngine {
    /// An engine for `rules` that goes on with the alerts that were `saved`. Call
    /// [`PushEngine::seed`] to give it the past that the rules read.
    #[must_use]
    pub fn new(rules: RuleSet, saved: Vec<SavedAlert>, options: Options, timing: Timing) -> Self {
        let mut names = HashMap::<String, usize>::new();
        let (mut groups, mut infos) = (Vec::new(), Vec::new());
        for mut group in rules.groups {
            let interval = group.interval.unwrap_or(options.interval);
            for rule in std::mem::take(&mut group.rules) {
                let name = format!("{}/{}", group.name, rule.name);
                let count = names.entry(name.clone()).or_insert(0);
                *count += 1;
                let key = if *count == 1 { name } else { format!("{name}#{count}") };
                infos.push(RuleInfo::new(rule, key.into(), groups.len(), &group));
            }
            groups.push(GroupInfo { group: Arc::new(group), interval, last: None, rules: 0..0 });
        }
        together(&mut infos);
        let mut engine = Self::of(groups, infos, options, timing);
        for saved in saved {
            let found = engine
                .rules
                .iter()
                .position(|info| info.key == saved.rule && info.rule.alerting().is_some());
            let Some(index) = found else {
                engine.orphans.push(saved);
                continue;
            };
            let shard = engine.shard_for(index, &saved.alert.result);
            engine.ensure_run(index, shard);
            if let Some(run) = engine.shards[shard].runs.get_mut(&index) {
                run.rule.restore(saved.alert);
            }
        }
        engine
    }

    fn of(
        mut groups: Vec<GroupInfo>,
        rules: Vec<RuleInfo>,
        options: Options,
        timing: Timing,
    ) -> Self {
        let everything = Shard::new(options.lookback);
        for (number, group) in groups.iter_mut().enumerate() {
            let first = rules.partition_point(|info| info.group < number);
            group.rules = first..rules.partition_point(|info| info.group <= number);
        }
        let mut engine = Self {
            options,
            timing,
            schedule: Schedule::of(&groups),
            groups,
            rules,
            shards: vec![everything],
            by_site: HashMap::new(),
            routes: Routes::default(),
            interest: HashMap::new(),
            nameless: Vec::new(),
            work: BTreeSet::new(),
            orphans: Vec::new(),
            resolved: VecDeque::new(),
            histories: Histories::default(),
        };
        for index in 0..engine.rules.len() {
            for matchers in engine.rules[index].reads.iter() {
                let readers = match matchers.metric_name().filter(|name| !name.is_empty()) {
                    Some(name) => engine.interest.entry(name.to_owned()).or_default(),
                    None => &mut engine.nameless,
                };
                if readers.last() != Some(&index) {
                    readers.push(index);
                }
            }
            if !engine.rules[index].local {
                engine.ensure_run(index, 0);
            }
        }
        engine
    }

    /// Takes what was received, and looks at the rules that it concerns. `now` is the collector's
    /// clock.
    pub fn receive(
        &mut self,
        received: Received<'_>,
        now: Timestamp,
        source: &dyn Source,
    ) -> Evaluation {
        let handles = received.samples.iter().map(|(labels, sample)| Pushed {
            handle: self.routes.meet(labels),
            time: sample.time,
            value: to_float(sample.value),
        });
        let pushed: Vec<Pushed> = handles.collect();
        if let Some((agent, upto)) = received.watermark
            && let Some(first) = pushed.first()
        {
            let shard = self.site_of(first.handle);
            self.note_watermark(shard, agent, upto);
        }
        self.take(&pushed, received.backfill, now, source)
    }

    /// As [`PushEngine::receive`], for those who keep handles. What a void handle names is left
    /// out, see [`PushEngine::is_valid`].
    pub fn take(
        &mut self,
        pushed: &[Pushed],
        backfill: bool,
        now: Timestamp,
        source: &dyn Source,
    ) -> Evaluation {
        let mut concerned = BTreeSet::from([0]);
        if let Some(first) = pushed.first() {
            concerned.insert(self.site_of(first.handle));
        }
        // Before the samples are pushed: what has come is taken at once, what has not has to be kept.
        for shard in &concerned {
            let time = self.event_time(*shard, now);
            self.shards[*shard].advance(time);
        }
        let mut old: Vec<Pushed> = Vec::new();
        let (mut last, earliest) = (0, now - self.timing.wait);
        for part in pushed.chunks(FORESEEN) {
            self.foresee(part);
            for one in part {
                let shard = self.site_of(one.handle);
                let late = one.time < earliest;
                if late && (backfill || !self.shards[shard].watermarks.is_empty()) {
                    old.push(*one);
                    continue;
                }
                if shard != last {
                    concerned.insert(shard);
                    last = shard;
                }
                self.push_value(one.handle, one.time, one.value);
            }
        }
        if old.is_empty() {
            if !backfill {
                for shard in &concerned {
                    self.histories.live(*shard, now);
                }
            }
        } else {
            self.backfill(&old, now, source);
        }
        self.pass_or_tick(concerned, now, source)
    }

    /// An agent of a site has sent everything up to this time.
    pub fn watermark(&mut self, tenant: &str, site: &str, agent: &str, upto: Timestamp) {
        let shard = self.shard_of(Site::named(tenant, site));
        self.note_watermark(shard, agent, upto);
    }

    fn note_watermark(&mut self, shard: usize, agent: &str, upto: Timestamp) {
        let watermarks = &mut self.shards[shard].watermarks;
        match watermarks.get_mut(agent) {
            Some(known) => *known = (*known).max(upto),
            None => {
                watermarks.insert(agent.to_owned(), upto);
            }
        }
    }

    /// When the interval of a group has passed, everything is looked at: what rules have recorded
    /// must not grow old before they had the chance to record it again.
    fn pass_or_tick(
        &mut self,
        concerned: BTreeSet<usize>,
        now: Timestamp,
        source: &dyn Source,
    ) -> Evaluation {
        if self.schedule.is_due(&self.groups, now) {
            return self.tick(now, source);
        }
        let mut evaluation = Evaluation::default();
        self.pass(&concerned, None, now, source, &mut evaluation);
        evaluation
    }

    /// Takes a sample, for those who keep handles. Call [`PushEngine::look`] afterwards. False when
    /// the handle is void: resolve it again.
    #[must_use]
    pub fn push(&mut self, handle: Handle, sample: Sample) -> bool {
        self.push_value(handle, sample.time, to_float(sample.value));
        self.is_valid(handle)
    }

    fn push_value(&mut self, handle: Handle, time: Timestamp, value: f64) {
        self.find_targets(handle);
        let targets = self.routes.get(handle).and_then(|route| route.targets.as_ref());
        for Target { shard, series } in targets.into_iter().flatten().flatten() {
            self.shards[*shard as usize].graph.push(*series, time, value);
        }
    }

    /// Loads what pushing these samples will look at.
    #[inline]
    fn foresee(&self, part: &[Pushed]) {
        let routes = part.iter().filter_map(|one| self.routes.get(one.handle)?.targets.as_ref());
        let graphs = routes.flatten().flatten().filter_map(|Target { shard, series }| {
            Some((&self.shards.get(*shard as usize)?.graph, *series))
        });
        graphs.clone().for_each(|(graph, series)| graph.foresee(series));
        graphs.for_each(|(graph, series)| graph.foresee_samples(series));
    }

    fn push_to(&mut self, labels: &Labels, sample: Sample) {
        let handle = self.resolve(labels);
        self.push_value(handle, sample.time, to_float(sample.value));
    }

    /// Looks at the rules that samples have changed, as of `now`.
    pub fn look(&mut self, now: Timestamp, source: &dyn Source) -> Evaluation {
        let all = (0..self.shards.len()).collect();
        self.pass_or_tick(all, now, source)
    }

    /// Lets time pass, and evaluates the groups whose interval has passed.
    pub fn tick(&mut self, now: Timestamp, source: &dyn Source) -> Evaluation {
        let mut evaluation = Evaluation::default();
        for mut orphan in std::mem::take(&mut self.orphans) {
            let changes = orphan.alert.end(Reason::RuleRemoved, now);
            evaluation.note(&orphan.rule, &"".into(), &orphan.alert, changes, now);
            evaluation.ended.push((orphan.rule, orphan.alert.labels));
        }
        let due = self.schedule.take(&mut self.groups, now);
        let all = (0..self.shards.len()).collect();
        self.pass(&all, Some(&due), now, source, &mut evaluation);
        self.histories.expire(now);
        self.compact();
        evaluation
    }

    /// The series with these labels.
    pub fn resolve(&mut self, labels: &Labels) -> Handle {
        let handle = self.routes.meet(labels);
        self.find_targets(handle);
        handle
    }

    /// As [`PushEngine::resolve`]; which rules read it is found out with its first sample.
    pub fn meet(&mut self, labels: &Labels) -> Handle {
        self.routes.meet(labels)
    }

    /// Whether the series can still be named by this handle.
    #[must_use]
    pub fn is_valid(&self, handle: Handle) -> bool {
        self.routes.is_valid(handle)
    }

    /// Finds out where the samples of a series go, unless that is known.
    #[inline]
    fn find_targets(&mut self, handle: Handle) {
        if self.routes.get(handle).is_some_and(|route| route.targets.is_none()) {
            self.look_for_targets(handle);
        }
    }

    fn look_for_targets(&mut self, handle: Handle) {
        let Some(labels) = self.routes.labels(handle).cloned() else { return };
        let name = labels.name().unwrap_or("");
        let named = self.interest.get(name).into_iter().flatten();
        let matches = |index: &&usize| {
            self.rules[**index].reads.iter().any(|matchers| matchers.matches(&labels))
        };
        let interested: Vec<usize> = named.chain(&self.nameless).filter(matches).copied().collect();
        let site = if interested.is_empty() { None } else { Some(self.site(&labels)) };
        for index in interested {
            let shard = if self.rules[index].local { site.unwrap_or(0) } else { 0 };
            self.ensure_run(index, shard);
        }
        let targets = [Some(0), site].map(|shard| {
            let shard = shard?;
            let series = self.shards[shard].graph.series(&labels)?;
            Some(Target { shard: short(shard), series })
        });
        let known = self.routes.get(handle).and_then(|route| route.site);
        let route = Route { site: site.map(short).or(known), targets: Some(targets) };
        self.routes.set(handle, route);
    }

    /// The shard of the site that a series is of; that of everything when the handle is void.
    #[inline]
    fn site_of(&mut self, handle: Handle) -> usize {
        match self.routes.get(handle) {
            Some(Route { site: Some(site), .. }) => *site as usize,
            Some(route) => self.find_site(handle, *route),
            None => 0,
        }
    }

    fn find_site(&mut self, handle: Handle, route: Route) -> usize {
        let Some(labels) = self.routes.labels(handle).cloned() else { return 0 };
        let site = self.site(&labels);
        self.routes.set(handle, Route { site: Some(short(site)), ..route });
        site
    }

    /// The shard of the site that a series is of.
    fn site(&mut self, labels: &Labels) -> usize {
        self.shard_of(Site::of(labels))
    }

    fn shard_of(&mut self, site: Site) -> usize {
        if let Some(known) = self.by_site.get(&site) {
            return *known;
        }
        self.shards.push(Shard::new(self.options.lookback));
        let shard = self.shards.len() - 1;
        let reached = self.shards[0].now;
        self.shards[shard].advance(reached);
        self.by_site.insert(site, shard);
        shard
    }

    fn shard_for(&mut self, rule: usize, result: &Labels) -> usize {
        if self.rules[rule].local { self.site(result) } else { 0 }
    }

    fn ensure_run(&mut self, rule: usize, shard: usize) {
        let of = &mut self.shards[shard];
        if of.runs.contains_key(&rule) {
            return;
        }
        let info = &self.rules[rule];
        of.runs.insert(rule, Run::new(info.rule.clone(), info.key.clone()));
        of.connect(rule, info.obstacle.is_none());
        of.busy.insert(rule);
        self.work.insert((rule, shard));
    }

    /// Makes the operators anew when most of their series are gone: series come and go, and what is
    /// kept of them must not grow for ever.
    fn compact(&mut self) {
        const WORTH_IT: usize = 1000;
        let gone = |shard: &Shard| {
            let series = shard.graph.series_count();
            series > WORTH_IT && shard.graph.forgotten() * 2 > series
        };
        // Series that nobody reads have a handle too.
        let read: usize = self.shards.iter().map(|shard| shard.graph.series_count()).sum();
        let unread = self.routes.len() > 4 * read + 100 * WORTH_IT;
        let mut worth_it = false;
        for shard in &mut self.shards {
            worth_it |= shard.is_time_to_look() && gone(shard);
        }
        if !worth_it && !unread {
            return;
        }
        self.routes = Routes::after(&self.routes);
        let mut kept = Vec::new();
        for (number, shard) in self.shards.iter_mut().enumerate() {
            kept.extend(shard.graph.kept().map(|(labels, samples)| (labels.clone(), samples)));
            shard.graph = Graph::new(self.options.lookback);
            shard.graph.advance(shard.now);
            shard.forget_operators();
            let rules: Vec<usize> = shard.runs.keys().copied().collect();
            for rule in rules {
                shard.connect(rule, self.rules[rule].obstacle.is_none());
                self.work.insert((rule, number));
            }
        }
        // A series may have been kept in two shards: pushed twice it is still the same.
        for (labels, samples) in kept {
            for (time, value) in samples {
                let value = hallwatch_model::sample::from_float(value);
                self.push_to(&labels, Sample { time, value });
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 sites")]
fn short(shard: usize) -> u32 {
    shard as u32
}

impl RuleInfo {
    fn new(rule: Rule, key: Arc<str>, group: usize, of: &Group) -> Self {
        const SITE: [&str; 2] = ["tenant", "site"];
        let obstacle = rule.queries().find_map(|query| Graph::supports(query).err());
        let relabels = rule.labels.iter().any(|(name, _)| SITE.contains(&&**name));
        let on = rule.alerting().and_then(|alerting| alerting.expect.as_ref()?.on.as_ref());
        let meets =
            on.is_some_and(|on| !SITE.iter().all(|name| on.iter().any(|of| **of == **name)));
        let apart = !meets && rule.queries().all(|query| query.keeps_apart(&SITE));
        let local = obstacle.is_none() && of.limit == 0 && !relabels && apart;
        let selectors = rule.queries().flat_map(Query::selectors).map(|selector| selector.matchers);
        let reads =
            selectors.chain(rule.all_inputs().map(|input| input.matchers.clone())).collect();
        Self { rule: Arc::new(rule), key, group, local, obstacle, reads }
    }
}

/// What reads a series that is recorded for all sites together is evaluated there too.
fn together(rules: &mut [RuleInfo]) {
    loop {
        let recorded: BTreeSet<Arc<str>> = rules
            .iter()
            .filter(|info| !info.local && info.rule.alerting().is_none())
            .map(|info| info.rule.name.clone())
            .collect();
        let mut changed = false;
        for info in rules.iter_mut().filter(|info| info.local) {
            let reads = |matchers: &Matchers| match matchers.metric_name() {
                Some(name) => recorded.contains(name),
                None => !recorded.is_empty(),
            };
            if info.reads.iter().any(reads) {
                info.local = false;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}
