//! The engine that samples push: the same as in batch whatever goes missing, and what batch does not
//! have: milliseconds, event time by site, and history.
//!
//! `HALLWATCH_ORACLE_SEEDS=7,8,9` runs other seeds, `HALLWATCH_ORACLE_SEEDS=0..5000` many.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod rules_random;

use std::fmt::Write;
use std::time::Duration;

use hallwatch_collector::notify::{self, Router};
use hallwatch_collector::rules::{AlertState, Evaluation, Options, PushEngine, Received};
use hallwatch_collector::state::State;
use hallwatch_model::{Labels, Missing, Sample, Timestamp};
use hallwatch_promql::MemorySource;
use rules_random::{Both, Random, pushed, rules, seeds};

fn expression(random: &mut Random, before: &[String]) -> String {
    let metric = random.one(&["m0", "m1", r#"m0{a="x"}"#, r#"m1{site=~"s1|s2"}"#]);
    let c = random.below(4);
    let op = random.one(&[">", "<", "==", ">="]);
    match random.below(20) {
        0..=3 => format!("{metric} {op} {c}"),
        4 => format!("sum by (tenant, site) ({metric}) {op} {c}"),
        5 => format!("sum by (a) ({metric}) {op} {c}"),
        6 => format!("m0 > {c} and on (tenant, site, a) m1 > {c}"),
        7 => format!("m0 > {c} unless on (a) m1 > {c}"),
        8 => format!("m0 > {c} or m1 > {c}"),
        9 => format!("m0 - on (tenant, site, a) m1 {op} {c}"),
        10 => format!("rate({metric}[45s]) > 0"),
        11 => format!("max_over_time({metric}[35s]) {op} {c}"),
        12 => format!("absent({metric} > {c})"),
        13 => format!("count by (site) ({metric} > {c}) > 1"),
        14 => format!("time() - timestamp({metric}) > {}", c * 10),
        15 => format!("{metric} offset 20s {op} {c}"),
        16 => format!("max_over_time(({metric} {op} bool {c})[35s:10s]) == 1"),
        17 => format!("absent_over_time({metric}[25s])"),
        _ => match before.last() {
            Some(name) if name.starts_with("r:") => format!("{name} {op} {c}"),
            Some(name) => format!(r#"count by (site) (ALERTS{{alertname="{name}"}}) > 0"#),
            None => format!("vector({c}) > 1"),
        },
    }
}

/// What `clear` and `expect` may be.
fn condition(random: &mut Random) -> String {
    let metric = random.one(&["m0", "m1", r#"m0{a="x"}"#]);
    let (c, op) = (random.below(4), random.one(&[">", "<", "==", "<="]));
    let text = match random.below(8) {
        0..=3 => format!("{metric} {op} {c}"),
        4 => format!("sum by (tenant, site) ({metric}) {op} {c}"),
        5 => format!("max by (a) ({metric}) {op} {c}"),
        6 => format!("max_over_time({metric}[35s]) {op} {c}"),
        _ => format!("max_over_time(({metric} {op} bool {c})[35s:10s]) == 1"),
    };
    serde_json::to_string(&text).unwrap()
}

fn rule_file(random: &mut Random) -> String {
    let mut file = String::from("groups:\n- name: g\n  rules:\n");
    let mut names = Vec::new();
    for i in 0..=random.below(5) {
        let expression = serde_json::to_string(&expression(random, &names)).unwrap();
        if random.below(4) == 0 {
            writeln!(file, "  - record: r:{i}\n    expr: {expression}").unwrap();
            names.push(format!("r:{i}"));
            continue;
        }
        writeln!(file, "  - alert: A{i}\n    expr: {expression}").unwrap();
        names.push(format!("A{i}"));
        let sequence = random.below(4) == 0;
        if sequence {
            let expect = condition(random);
            let within = random.below(5) * 10 + 5;
            writeln!(file, "    expect: {expect}\n    within: {within}s").unwrap();
            file += random.one(&["", "    on: [tenant, site]\n", "    on: [a]\n", "    on: []\n"]);
        } else if random.below(2) == 0 {
            writeln!(file, "    for: {}s", random.below(5) * 10).unwrap();
        }
        if random.below(3) == 0 {
            writeln!(file, "    clear: {}", condition(random)).unwrap();
        }
        file += random.one(&[
            "",
            "",
            "    flapping: off\n",
            "    flapping: {changes: 2, within: 90s}\n",
            "    flapping: {changes: 3}\n",
        ]);
        if random.below(3) == 0 {
            writeln!(file, "    keep_firing_for: {}s", random.below(4) * 10 + 5).unwrap();
        }
        let no_data = random.one(&["hold", "hold", "fire", "resolve"]);
        writeln!(file, "    no_data: {no_data}").unwrap();
        writeln!(
            file,
            "    annotations:\n      summary: '{{{{ $labels.site }}}} {{{{ $value }}}}'"
        )
        .unwrap();
    }
    file
}

fn options() -> Options {
    Options {
        interval: Duration::from_secs(10),
        lookback: Duration::from_secs(45),
        ..Options::default()
    }
}

fn engine(text: &str) -> PushEngine {
    pushed(text, Vec::new(), options())
}

fn case(seed: u64) {
    let mut random = Random::new(seed);
    let text = rule_file(&mut random);
    let mut engines = Both::new(&text, options());
    let mut all: Vec<(Labels, u64, f64)> = Vec::new();
    for name in ["m0", "m1"] {
        for site in ["s1", "s2"] {
            for a in ["x", "y"] {
                let labels = [("tenant", "t"), ("site", site), ("a", a)];
                all.push((
                    Labels::metric(name, labels),
                    [16, 13, 6][usize::try_from(random.below(3)).unwrap()],
                    1.0,
                ));
            }
        }
    }
    let mut now = 1_000_000;
    for step in 0..40 {
        now += if random.below(15) == 0 { 60_000 } else { 10_000 };
        let at = Timestamp::from_millis(now);
        let mut news: Vec<(Labels, Sample)> = Vec::new();
        for (labels, density, value) in &mut all {
            if random.below(16) >= *density {
                continue;
            }
            if random.below(3) == 0 {
                *value = random.value();
            }
            let value = match random.below(14) {
                0 => Err(Missing::DeviceOffline),
                1 => Ok(f64::NAN),
                _ => Ok(*value),
            };
            news.push((labels.clone(), Sample { time: at, value }));
        }
        let place = format!("HALLWATCH_ORACLE_SEEDS={seed} step {step}\n{text}");
        engines.step(&news, at, &place);
        if random.below(12) == 0 {
            engines.restart(at, &place);
        }
    }
}

#[test]
fn whatever_goes_missing_it_is_as_in_batch() {
    seeds(0..1_000).into_iter().for_each(case);
}

const LOAD: &str = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: load > 1\n";

fn load_of(site: &str, second: i64, value: f64) -> (Labels, Sample) {
    let labels = Labels::metric("load", [("tenant", "t"), ("site", site)]);
    (labels, Sample { time: at(second), value: Ok(value) })
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + second * 1000)
}

fn receive(engine: &mut PushEngine, samples: &[(Labels, Sample)], now: i64) -> Vec<String> {
    let watermark = samples.iter().map(|(_, sample)| sample.time).max().unwrap();
    let received = Received { samples, watermark: Some(("gw-1", watermark)), backfill: false };
    changes(&engine.receive(received, at(now), &MemorySource::new()))
}

fn tick(engine: &mut PushEngine, now: i64) -> Vec<String> {
    changes(&engine.tick(at(now), &MemorySource::new()))
}

fn changes(evaluation: &Evaluation) -> Vec<String> {
    let told = evaluation.transitions.iter().map(|change| {
        let site = change.alert.labels.get("site").unwrap_or("-");
        let second = change.at.since(at(0)).as_secs();
        format!("{site} {} -> {} at {second}", change.from.word(), change.to.word())
    });
    told.collect()
}

#[test]
fn an_alert_does_not_wait_for_the_interval() {
    let mut engine = engine(LOAD);
    assert_eq!(receive(&mut engine, &[load_of("a", 1, 2.0)], 1), ["a inactive -> firing at 1"]);
    assert_eq!(receive(&mut engine, &[load_of("a", 2, 0.0)], 2), ["a firing -> resolved at 2"]);
}

#[test]
fn a_site_that_is_cut_off_holds_up_no_other() {
    let held = LOAD.replace("expr: load > 1", "expr: load > 1\n    for: 3s");
    let mut engine = engine(&held);
    receive(&mut engine, &[load_of("a", 1, 2.0)], 1);
    receive(&mut engine, &[load_of("b", 1, 2.0)], 1);
    // b says nothing more: its time stands still, the time of a goes on.
    assert_eq!(receive(&mut engine, &[load_of("a", 4, 2.0)], 4), ["a pending -> firing at 4"]);
    assert!(tick(&mut engine, 5).is_empty());
    // But it stands still no longer than the wait.
    assert_eq!(tick(&mut engine, 14), ["b pending -> firing at 4"]);
}

#[test]
fn a_clock_that_is_ahead_is_not_followed() {
    let held = LOAD.replace("expr: load > 1", "expr: load > 1\n    for: 30s");
    let mut engine = engine(&held);
    receive(&mut engine, &[load_of("a", 1, 2.0)], 1);
    let received = Received {
        samples: &[load_of("a", 2, 2.0)],
        watermark: Some(("gw-1", at(1_000_000))),
        backfill: false,
    };
    let source = MemorySource::new();
    assert!(engine.receive(received, at(2), &source).transitions.is_empty());
    assert!(tick(&mut engine, 3).is_empty());
}

#[test]
fn what_comes_too_late_pages_nobody_and_resolves_nothing() {
    let mut engine = engine(LOAD);
    receive(&mut engine, &[load_of("a", 100, 0.0)], 100);
    receive(&mut engine, &[load_of("b", 100, 3.0)], 100);
    tick(&mut engine, 200);
    let late = |site: &str, second: i64, value: f64| [load_of(site, second, value)];
    for (second, value) in [(110, 2.0), (111, 5.0), (112, 0.0)] {
        assert!(receive(&mut engine, &late("a", second, value), 200).is_empty(), "{second}");
        assert!(receive(&mut engine, &late("b", second, 0.0), 200).is_empty(), "{second}");
    }
    let digest: Vec<_> = engine.digest().collect();
    let [alert] = &digest[..] else { panic!("{digest:?}") };
    assert_eq!((alert.fired_at, alert.resolved_at), (at(110), Some(at(112))));
    assert_eq!((alert.labels.get("site"), alert.value), (Some("a"), 2.0));
    let view = engine.view();
    let alerts = &view.groups[0].rules[0].alerting.as_ref().unwrap().alerts;
    let [firing] = &alerts[..] else { panic!("{alerts:?}") };
    assert_eq!((firing.labels.get("site"), firing.state), (Some("b"), AlertState::Firing));
    // News are news again.
    assert_eq!(receive(&mut engine, &late("a", 201, 2.0), 201), ["a inactive -> firing at 201"]);
}

#[test]
fn what_an_agent_calls_old_is_old_even_where_no_watermark_is_known() {
    let mut engine = engine(LOAD);
    let source = MemorySource::new();
    let samples = [load_of("a", 1, 2.0)];
    let received = Received { samples: &samples, watermark: None, backfill: true };
    assert!(changes(&engine.receive(received, at(30), &source)).is_empty());
    assert_eq!(engine.digest().count(), 1);
    let digest = engine.changed_digest().unwrap();
    assert!(engine.changed_digest().is_none(), "until it changes again");
    let mut next = self::engine(LOAD);
    next.restore_digest(digest.clone());
    assert!(next.digest().eq(&digest));
    // Of the same samples, were they news, people are told.
    let news = Received { samples: &samples, watermark: None, backfill: false };
    assert_eq!(changes(&next.receive(news, at(30), &source)), ["a inactive -> firing at 30"]);
}

#[test]
fn a_backlog_after_a_restart_tells_nothing_of_what_people_were_told_before() {
    let mut before = engine(LOAD);
    receive(&mut before, &[load_of("a", 100, 3.0)], 100);
    receive(&mut before, &[load_of("b", 100, 0.0)], 100);
    let saved = before.save();
    assert_eq!(saved.len(), 1);
    let mut next = pushed(LOAD, saved, options());
    tick(&mut next, 200);
    // What was read while the collector was not there.
    for (site, second, value) in
        [("a", 130, 4.0), ("b", 130, 0.0), ("b", 140, 2.0), ("a", 140, 5.0)]
    {
        assert!(receive(&mut next, &[load_of(site, second, value)], 200).is_empty(), "{second}");
    }
    let sites: Vec<_> = next.digest().map(|alert| alert.labels.get("site").unwrap()).collect();
    assert_eq!(sites, ["b"], "of a people know");
}

/// As written to disk and read back.
fn restarted(evaluations: &[Evaluation]) -> PushEngine {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::open(folder.path()).unwrap();
    let mut router = Router::new(notify::Options::default(), &[], Vec::new());
    for evaluation in evaluations {
        state.commit(evaluation, &mut router, &[]).unwrap();
    }
    drop(state);
    let state = State::open(folder.path()).unwrap();
    pushed(LOAD, state.alerts().unwrap(), options())
}

#[test]
fn a_backlog_after_a_restart_tells_of_what_came_after_an_alert_that_was_resolved() {
    let mut before = engine(LOAD);
    let mut push = |second, value| {
        let samples = [load_of("a", second, value)];
        let received =
            Received { samples: &samples, watermark: Some(("gw-1", at(second))), backfill: false };
        before.receive(received, at(second), &MemorySource::new())
    };
    let evaluations = [push(100, 3.0), push(101, 0.0)];
    let mut next = restarted(&evaluations);
    tick(&mut next, 200);
    for (second, value) in [(130, 4.0), (160, 0.0)] {
        assert!(receive(&mut next, &[load_of("a", second, value)], 200).is_empty(), "{second}");
    }
    assert_eq!(digest(&next), ["a 130 - 160"]);

    // Rows of before do not say when an alert was resolved.
    let mut saved = before.save();
    let [dormant] = &mut saved[..] else { panic!("{saved:?}") };
    assert_eq!(dormant.alert.state, AlertState::Inactive);
    dormant.alert.resolved_at = None;
    let mut next = pushed(LOAD, saved, options());
    tick(&mut next, 200);
    receive(&mut next, &[load_of("a", 130, 4.0)], 200);
    assert_eq!(digest(&next), ["a 130 -"]);
}

/// Site, and from when until when.
fn digest(engine: &PushEngine) -> Vec<String> {
    let told = engine.digest().map(|alert| {
        let second = |time: Timestamp| time.since(at(0)).as_secs();
        let site = alert.labels.get("site").unwrap_or("-");
        let until = alert.resolved_at.map_or(String::new(), |at| format!(" {}", second(at)));
        format!("{site} {} -{until}", second(alert.fired_at))
    });
    told.collect()
}

/// A site that has been cut off, with what the store has of it.
struct CutOff {
    engine: PushEngine,
    store: MemorySource,
}

impl CutOff {
    fn new() -> Self {
        Self::of(LOAD)
    }

    fn of(rules: &str) -> Self {
        let mut new = Self { engine: engine(rules), store: MemorySource::new() };
        new.take("a", 100, 0.0, 100);
        new.engine.tick(at(200), &new.store);
        new
    }

    fn take(&mut self, site: &str, second: i64, value: f64, now: i64) {
        let (labels, sample) = load_of(site, second, value);
        self.store.push(&labels, sample.time, value);
        let samples = [(labels, sample)];
        let received =
            Received { samples: &samples, watermark: Some(("gw-1", sample.time)), backfill: false };
        self.engine.receive(received, at(now), &self.store);
    }

    fn backlog(&mut self, samples: &[(i64, f64)], now: i64) {
        for (second, value) in samples {
            self.take("a", *second, *value, now);
        }
    }
}

#[test]
fn one_alert_of_a_backlog_is_one_whatever_interrupts_the_backlog() {
    let reload = |site: &mut CutOff| {
        site.engine.reload(rules(LOAD), at(200), &site.store).unwrap();
    };
    let news = |site: &mut CutOff| site.take("a", 206, 2.0, 206);
    let restart = |site: &mut CutOff| {
        let digest = site.engine.digest().cloned().collect();
        site.engine = pushed(LOAD, site.engine.save(), options());
        site.engine.seed(at(200), &site.store).unwrap();
        site.engine.restore_digest(digest);
        site.engine.tick(at(201), &site.store);
    };
    let idle = |site: &mut CutOff| {
        site.engine.tick(at(1000), &site.store);
    };
    type Interrupt<'i> = &'i dyn Fn(&mut CutOff);
    let interruptions: [(&str, Interrupt<'_>); 4] =
        [("reload", &reload), ("news", &news), ("restart", &restart), ("idle", &idle)];
    for (name, interrupt) in interruptions {
        let mut site = CutOff::new();
        site.backlog(&[(110, 2.0), (111, 5.0)], 200);
        assert_eq!(digest(&site.engine), ["a 110 -"], "{name}");
        interrupt(&mut site);
        site.backlog(&[(112, 5.0), (113, 0.0)], 206);
        assert_eq!(digest(&site.engine), ["a 110 - 113"], "{name}");
        site.backlog(&[(114, 5.0), (115, 0.0)], 206);
        assert_eq!(digest(&site.engine), ["a 110 - 113", "a 114 - 115"], "{name}");
    }
}

#[test]
fn the_end_of_another_alert_ends_no_alert_of_a_backlog() {
    // The backlog ends while the alert fires; then people are told of it.
    let mut site = CutOff::new();
    site.backlog(&[(110, 2.0)], 200);
    site.take("a", 201, 2.0, 201);
    site.engine.tick(at(1000), &site.store);
    site.take("a", 1000, 0.0, 1000);
    // The next day there is another one, which began before the site was cut off.
    site.take("a", 5000, 2.0, 5000);
    site.engine.tick(at(5100), &site.store);
    site.backlog(&[(5010, 3.0), (5020, 0.0)], 5100);
    assert_eq!(digest(&site.engine), ["a 110 -"]);

    // And here one that began after.
    let mut site = CutOff::new();
    site.backlog(&[(110, 2.0)], 200);
    site.engine.tick(at(1000), &site.store);
    site.take("a", 5000, 0.0, 5000);
    site.engine.tick(at(5100), &site.store);
    site.backlog(&[(5010, 3.0), (5020, 0.0)], 5100);
    assert_eq!(digest(&site.engine), ["a 110 -", "a 5010 - 5020"]);

    // And one that was pending when it was cut off.
    let mut site = CutOff::of(&LOAD.replace("load > 1", "load > 1\n    for: 30s"));
    site.backlog(&[(110, 2.0), (140, 2.0)], 200);
    site.take("a", 201, 0.0, 201);
    site.engine.tick(at(1000), &site.store);
    site.take("a", 5000, 2.0, 5000);
    site.engine.tick(at(5100), &site.store);
    site.backlog(&[(5010, 3.0), (5040, 3.0), (5050, 0.0)], 5100);
    assert_eq!(digest(&site.engine), ["a 140 -", "a 5040 - 5050"]);
}

#[test]
fn a_backlog_of_one_site_tells_nothing_of_another() {
    let mut site = CutOff::new();
    site.take("b", 105, 3.0, 105);
    site.engine.tick(at(200), &site.store);
    site.backlog(&[(110, 2.0), (111, 0.0)], 200);
    assert_eq!(digest(&site.engine), ["a 110 - 111"]);
}

#[test]
fn other_rules_go_on_where_these_were() {
    let held = LOAD.replace("expr: load > 1", "expr: load > 1\n    for: 10s");
    let mut engine = engine(&held);
    let mut source = MemorySource::new();
    for second in 1..=6 {
        for site in ["a", "b"] {
            let (labels, sample) = load_of(site, second, 2.0);
            source.push(&labels, sample.time, 2.0);
            receive(&mut engine, &[(labels, sample)], second);
        }
    }
    let more = format!("{held}  - alert: B\n    expr: load > 3\n");
    engine.reload(rules(&more), at(6), &source).unwrap();
    assert!(tick(&mut engine, 6).is_empty(), "nothing has happened");
    // Each site has kept its time: b is silent, and not waited for by a.
    assert_eq!(receive(&mut engine, &[load_of("a", 11, 2.0)], 11), ["a pending -> firing at 11"]);
    assert_eq!(tick(&mut engine, 21), ["b pending -> firing at 11"]);
    engine.reload(rules(&more.replace("alert: A", "alert: C")), at(21), &source).unwrap();
    let said = tick(&mut engine, 22);
    assert!(said.contains(&"a firing -> resolved at 22".to_owned()), "{said:?}");
    assert!(said.contains(&"b firing -> resolved at 22".to_owned()), "{said:?}");
}

#[test]
fn rules_that_cannot_be_pushed_are_named() {
    let text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: load > 1\n  - alert: B\n    expr: max_over_time(rate(load[1m])[5m:10s]) > 1\n";
    let engine = engine(text);
    let fallbacks = engine.fallbacks();
    let [only] = &fallbacks[..] else { panic!("{fallbacks:?}") };
    assert_eq!(&*only.rule, "g/B");
    assert!(only.obstacle.to_string().contains("subquery"));
}

#[test]
fn what_came_and_went_is_forgotten() {
    let mut engine = engine(LOAD);
    let source = MemorySource::new();
    for round in 0..40 {
        let now = round * 100;
        let samples: Vec<(Labels, Sample)> = (0..60)
            .map(|number| {
                let device = format!("d{round}-{number}");
                let labels = [("tenant", "t"), ("site", "a"), ("device", &*device)];
                let sample = Sample { time: at(now), value: Ok(2.0) };
                (Labels::metric("load", labels), sample)
            })
            .collect();
        let received = Received { samples: &samples, watermark: None, backfill: false };
        engine.receive(received, at(now), &source);
        for second in 0..30 {
            engine.tick(at(now + second), &source);
        }
    }
    assert!(engine.usage().memory.series < 1500, "{:?}", engine.usage());
    let view = engine.view();
    let alerts = view.groups[0].rules[0].alerting.as_ref().unwrap().alerts.len();
    assert_eq!(alerts, 2400, "they are held");
}

const SUM: &str = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum by (tenant, site) (load) > 1\n  - alert: B\n    expr: junk > 100\n";

fn of_device(metric: &str, device: &str, second: i64, value: f64) -> (Labels, Sample) {
    let labels = Labels::metric(metric, [("tenant", "t"), ("site", "a"), ("device", device)]);
    (labels, Sample { time: at(second), value: Ok(value) })
}

/// The devices that the only alert rests on.
fn rests_on(engine: &PushEngine) -> Vec<String> {
    let view = engine.view();
    let alerts = &view.groups[0].rules[0].alerting.as_ref().unwrap().alerts;
    let [alert] = &alerts[..] else { panic!("one alert, not {alerts:?}") };
    alert.inputs.iter().map(|labels| labels.get("device").unwrap().to_owned()).collect()
}

#[test]
fn an_alert_rests_on_what_came_later_too() {
    let mut engine = engine(SUM);
    receive(&mut engine, &[of_device("load", "d1", 1, 2.0)], 1);
    assert_eq!(rests_on(&engine), ["d1"]);
    receive(&mut engine, &[of_device("load", "d2", 2, 0.5)], 2);
    assert_eq!(rests_on(&engine), ["d1", "d2"]);
    let mut gone = of_device("load", "d2", 3, 0.0);
    gone.1.value = Err(Missing::Timeout);
    receive(&mut engine, &[gone], 3);
    assert_eq!(rests_on(&engine), ["d1"]);
}

#[test]
fn an_alert_rests_on_what_comes_as_its_operators_are_made_anew() {
    let mut engine = engine(SUM);
    let junk = (0..1500).map(|number| of_device("junk", &format!("j{number}"), 0, 1.0));
    let all: Vec<_> = [of_device("load", "d1", 0, 2.0)].into_iter().chain(junk).collect();
    receive(&mut engine, &all, 0);
    let read = |engine: &PushEngine| engine.usage().memory.series;
    assert_eq!((rests_on(&engine), read(&engine)), (vec!["d1".to_owned()], 1501));
    // All but one series end, and some time later nothing is kept of them.
    let anew = (1..10_000).find(|second| {
        receive(&mut engine, &[of_device("load", "d1", *second, 2.0)], *second);
        read(&engine) == 1 || {
            tick(&mut engine, *second);
            read(&engine) == 1
        }
    });
    let second = anew.unwrap() + 1;
    let both = [of_device("load", "d1", second, 2.0), of_device("load", "d2", second, 0.5)];
    receive(&mut engine, &both, second);
    assert_eq!(rests_on(&engine), ["d1", "d2"]);
}
