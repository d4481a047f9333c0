//! Random queries on random timelines: what operators say when samples move them must be what
//! batch evaluation says at the same time.
//!
//! At every step samples are pushed (some late, some of times that have not come), time advances,
//! and both are asked. Queries without a part that changes with time alone must agree after
//! `settle`, all must agree after `tick`. Values are multiples of 1/4, so that sums are exact in
//! any order; one case in eight has values that are not, and there only the last bits of sums may
//! differ.
//!
//! `HALLWATCH_SEEDS=7,8,9` runs other seeds, `HALLWATCH_SEEDS=0..100000` many.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Missing, Timestamp};
use hallwatch_promql::incremental::{Graph, Obstacle, RootId};
use hallwatch_promql::{Limits, MemorySource, Query, Value, instant};

const SEEDS: std::ops::Range<u64> = 0..1_000;
const LOOKBACK: Duration = Duration::from_secs(40);

/// A xorshift generator: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.below(2);
        }
        random
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

fn selector(random: &mut Random) -> String {
    random
        .one(&[
            "m0",
            "m1",
            "m2",
            r#"m0{a="x"}"#,
            r#"m1{b=~"1|2"}"#,
            r#"m0{c!="p"}"#,
            r#"m2{a=~"x.*"}"#,
            r#"{__name__=~"m0|m1"}"#,
            r#"m1{c=""}"#,
        ])
        .to_owned()
}

fn offset(random: &mut Random) -> &'static str {
    if random.below(5) == 0 {
        random.one(&[" offset 5s", " offset 17s", " offset 45s"])
    } else {
        ""
    }
}

fn window(random: &mut Random) -> String {
    let range = random.one(&["[7s]", "[15s]", "[30s]", "[60s]", "[95s]"]);
    format!("{}{range}{}", selector(random), offset(random))
}

/// What follows an operator between two vectors; the second for sets only.
fn matching(random: &mut Random, sets: bool) -> &'static str {
    if sets {
        return random.one(&[
            "",
            "",
            "on (a)",
            "on (a, b)",
            "ignoring (c)",
            "ignoring (b, c)",
            "on ()",
        ]);
    }
    random.one(&[
        "",
        "",
        "on (a, b)",
        "on (a, b, c)",
        "ignoring (c)",
        "on (a) group_left ()",
        "on (a, b) group_left (c)",
        "on (a) group_right ()",
        "ignoring (c) group_right (c)",
    ])
}

fn scalar(random: &mut Random, depth: u32) -> String {
    match random.below(10) {
        0..=6 => format!("{}", random.below(9) as f64 / 2.0),
        7 if depth > 0 => format!("scalar({})", vector(random, depth - 1)),
        8 => "(time() % 20)".into(),
        _ => "-1".into(),
    }
}

/// What one operator calculates only where a sample says that it may hold.
fn compared(random: &mut Random) -> String {
    let op = random.one(&[">", ">", ">=", "<", "<=", "==", "!="]);
    let bound =
        random.one(&["0", "0.05", "0.1", "0.25", "0.5", "1", "2", "3", "4.3", "-1", "(1 + 2)"]);
    let what = match random.below(8) {
        0 => selector(random),
        1 => {
            format!("quantile_over_time({}, {})", random.one(&["0.5", "0.9", "2"]), window(random))
        }
        _ => {
            let f = random.one(&[
                "rate",
                "increase",
                "avg_over_time",
                "min_over_time",
                "max_over_time",
            ]);
            format!("{f}({})", window(random))
        }
    };
    if random.below(4) == 0 {
        format!("({bound} {op} {what})")
    } else {
        format!("({what} {op} {bound})")
    }
}

fn vector(random: &mut Random, depth: u32) -> String {
    if depth == 0 || random.below(6) == 0 {
        return format!("{}{}", selector(random), offset(random));
    }
    let inner = depth - 1;
    let grouping =
        random.one(&["", "by (a) ", "by (a, b) ", "without (c) ", "without (a, b) ", "by () "]);
    match random.below(30) {
        0..=2 => {
            let f = random.one(&[
                "rate",
                "increase",
                "delta",
                "irate",
                "idelta",
                "changes",
                "resets",
                "deriv",
                "avg_over_time",
                "sum_over_time",
                "count_over_time",
                "present_over_time",
                "min_over_time",
                "max_over_time",
                "first_over_time",
                "last_over_time",
                "stddev_over_time",
                "stdvar_over_time",
                "mad_over_time",
                "ts_of_max_over_time",
                "ts_of_min_over_time",
                "ts_of_last_over_time",
                "ts_of_first_over_time",
            ]);
            format!("{f}({})", window(random))
        }
        3 => {
            let window = window(random);
            match random.below(3) {
                0 => format!("quantile_over_time({}, {window})", random.one(&["0.5", "0.9", "2"])),
                1 => format!("predict_linear({window}, {})", scalar(random, 0)),
                _ => format!(
                    "double_exponential_smoothing({window}, 0.5, {})",
                    random.one(&["0.25", "0.75"])
                ),
            }
        }
        4 | 5 => {
            let f = random.one(&[
                "abs",
                "ceil",
                "sgn",
                "-",
                "sqrt",
                "hour",
                "timestamp",
                "exp",
                "sort",
                "round",
            ]);
            format!("{f}({})", vector(random, inner))
        }
        6 => match random.below(4) {
            0 => format!(
                "clamp({}, {}, {})",
                vector(random, inner),
                scalar(random, inner),
                scalar(random, inner)
            ),
            1 => format!("clamp_min({}, {})", vector(random, inner), scalar(random, inner)),
            2 => format!("clamp_max({}, {})", vector(random, inner), scalar(random, inner)),
            _ => format!("round({}, {})", vector(random, inner), random.one(&["0.5", "2"])),
        },
        7..=9 => {
            let op = random.one(&[
                "+", "-", "*", "/", ">", "<", "==", "!=", ">= bool", "< bool", "%", "^", "atan2",
            ]);
            let (v, s) = (vector(random, inner), scalar(random, inner));
            if random.below(4) == 0 {
                format!("({s} {op} ({v}))")
            } else {
                format!("(({v}) {op} {s})")
            }
        }
        10..=13 => {
            let op = random.one(&["+", "-", "*", ">", "<", "==", "!= bool", "/"]);
            let matching = matching(random, false);
            format!("(({}) {op} {matching} ({}))", vector(random, inner), vector(random, inner))
        }
        14..=17 => {
            let op = random.one(&["and", "or", "unless"]);
            let matching = matching(random, true);
            format!("(({}) {op} {matching} ({}))", vector(random, inner), vector(random, inner))
        }
        18..=21 => {
            let op =
                random.one(&["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]);
            format!("{op} {grouping}({})", vector(random, inner))
        }
        // Of equal values any may be taken: the order of the series decides, which only a
        // selector's is.
        22 => {
            let op = random.one(&["topk", "bottomk"]);
            format!(
                "{op} {grouping}({}, {})",
                random.one(&["1", "2", "3"]),
                random.one(&["m0", "m1 > 1", "-m2"])
            )
        }
        23 => match random.below(3) {
            0 => format!(
                "quantile {grouping}({}, {})",
                random.one(&["0.5", "0.9", "-1"]),
                vector(random, inner)
            ),
            1 => format!("histogram_quantile({}, rate(h[30s]))", random.one(&["0.5", "0.9"])),
            _ => format!("histogram_quantile({}, sum by (a, le) (h))", random.one(&["0.5", "0.9"])),
        },
        24 => match random.below(4) {
            0 => format!("absent({})", vector(random, inner)),
            1 => format!("absent_over_time({})", window(random)),
            2 => format!("vector({})", scalar(random, inner)),
            _ => format!("absent({})", selector(random)),
        },
        25..=28 => compared(random),
        _ => match random.below(3) {
            0 => format!(r#"label_replace({}, "c", "$1", "a", "(.*)")"#, vector(random, inner)),
            1 => format!(r#"label_join({}, "d", "-", "a", "b")"#, vector(random, inner)),
            _ => format!(r#"label_replace({}, "a", "z", "b", "1")"#, vector(random, inner)),
        },
    }
}

/// What can change with time alone from one moment to the next.
fn is_timed(query: &str) -> bool {
    let query = query.replace("idelta(", "").replace("irate(", "");
    ["rate(", "increase(", "delta(", "predict_linear(", "time()", "timestamp("]
        .iter()
        .any(|name| query.contains(name))
}

/// Of equal values `topk` takes those of the series that came first: a graph that was made anew, or
/// a query that was added later, has met them in another order than the source of batch.
fn picks(query: &str) -> bool {
    query.contains("topk") || query.contains("bottomk")
}

struct Series {
    labels: Labels,
    /// Chances in 16 that a step brings a sample, and the first step that may.
    density: u64,
    begins: u64,
    counter: bool,
    value: f64,
}

fn series(random: &mut Random) -> Vec<Series> {
    let mut all = Vec::new();
    for name in ["m0", "m1", "m2"] {
        for (a, b) in [("x", "1"), ("x", "2"), ("y", "1"), ("xy", "2")] {
            for c in ["", "p", "q"] {
                if random.below(3) > 0 {
                    all.push(Labels::metric(name, [("a", a), ("b", b), ("c", c)]));
                }
            }
        }
    }
    for a in ["x", "y"] {
        for le in ["1", "2", "4", "+Inf", "broken"] {
            all.push(Labels::metric("h", [("a", a), ("le", le)]));
        }
    }
    all.into_iter()
        .map(|labels| Series {
            counter: labels.name() != Some("m2") && random.below(2) == 0,
            labels,
            density: [16, 15, 8, 2][usize::try_from(random.below(4)).unwrap()],
            begins: if random.below(3) == 0 { random.below(30) } else { 0 },
            value: random.below(5) as f64,
        })
        .collect()
}

impl Series {
    fn next(&mut self, random: &mut Random, wild: bool) -> f64 {
        match random.below(24) {
            0 => return f64::NAN,
            1 => return to_float(Err(Missing::Timeout)),
            2 => return to_float(Err(Missing::DeviceOffline)),
            3 if wild => return f64::INFINITY,
            4 => self.value = 0.0,
            5..=9 => self.value = random.below(17) as f64 / 4.0,
            10..=15 if self.counter => self.value += random.below(8) as f64 / 4.0,
            _ => {}
        }
        if wild { self.value * 1.1 + 0.1 } else { self.value }
    }
}

type Result = std::result::Result<BTreeMap<Labels, f64>, ()>;

fn batch(query: &Query, now: Timestamp, source: &MemorySource) -> Result {
    let limits = Limits { lookback: LOOKBACK, ..Limits::default() };
    let answer = instant(query, now, source, &limits).map_err(|_| ())?;
    Ok(match answer.value {
        Value::Vector(samples) => samples.into_iter().map(|s| (s.labels, s.value)).collect(),
        Value::Scalar(_, value) => BTreeMap::from([(Labels::empty(), value)]),
        _ => BTreeMap::new(),
    })
}

fn pushed(graph: &Graph, root: RootId) -> Result {
    let rows = graph.result(root).map_err(|_| ())?;
    let count = rows.len();
    let rows: BTreeMap<Labels, f64> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "a series stands there twice");
    Ok(rows)
}

fn same(a: &Result, b: &Result, wild: bool) -> bool {
    let equal = |a: f64, b: f64| {
        a.to_bits() == b.to_bits()
            || (a.is_nan() && b.is_nan())
            || (wild && (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0))
    };
    match (a, b) {
        (Ok(a), Ok(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|((la, va), (lb, vb))| la == lb && equal(*va, *vb))
        }
        (Err(()), Err(())) => true,
        _ => false,
    }
}

struct Case {
    seed: u64,
    random: Random,
    wild: bool,
    source: MemorySource,
    graph: Graph,
    queries: Vec<(Query, RootId)>,
    /// Samples of times that have not come: they are pushed, but batch must not see them.
    log: Vec<String>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut graph = Graph::new(LOOKBACK);
        let mut queries = Vec::new();
        // Several in one graph, so that they share operators.
        while queries.len() < 3 {
            let text = vector(&mut random, 3);
            let query = Query::parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {text}: {e}"));
            let root = graph.add(&query).unwrap_or_else(|e| panic!("seed {seed}: {text}: {e}"));
            queries.push((query, root));
        }
        let wild = seed % 8 == 7;
        let (source, log) = (MemorySource::new(), Vec::new());
        Self { seed, random, wild, source, graph, queries, log }
    }

    fn push(&mut self, labels: &Labels, time: i64, value: f64) {
        let time = Timestamp::from_millis(time);
        self.source.push(labels, time, value);
        if let Some(series) = self.graph.series(labels) {
            self.graph.push(series, time, value);
        }
        self.log.push(format!("{} {labels} {value} {:x}", time.as_millis(), value.to_bits()));
    }

    fn check(&mut self, now: Timestamp, ticked: bool) {
        for (query, root) in &self.queries {
            if !ticked && is_timed(query.text()) {
                continue;
            }
            let (expected, found) = (batch(query, now, &self.source), pushed(&self.graph, *root));
            // Their last bits depend on the order too.
            let bits = ["std", "avg"].iter().any(|name| query.text().contains(name));
            if !same(&expected, &found, self.wild || bits) {
                let log = self.log.join("\n");
                panic!(
                    "HALLWATCH_SEEDS={}\n{log}\n{}\nat {} {}\nbatch  {expected:?}\npushed {found:?}",
                    self.seed,
                    query.text(),
                    now.as_millis(),
                    if ticked { "after a tick" } else { "pushed" }
                );
            }
        }
    }

    fn run(&mut self) {
        let mut all = series(&mut self.random);
        let mut now = 1_000_000;
        for step in 0..45 {
            // Now and then nothing comes for longer than anything is remembered.
            now += match self.random.below(30) {
                0 => 50_000,
                1 => 250_000,
                2 => 1,
                _ => 1000 * i64::try_from(self.random.below(8) + 1).unwrap(),
            };
            let early = self.random.below(2) == 0;
            if early {
                self.graph.advance(Timestamp::from_millis(now));
            }
            for one in &mut all {
                if step < one.begins || self.random.below(16) >= one.density {
                    continue;
                }
                let value = one.next(&mut self.random, self.wild);
                let late = match self.random.below(20) {
                    0 => i64::try_from(self.random.below(60_000)).unwrap(),
                    1 => 1000 * i64::try_from(self.random.below(30)).unwrap(),
                    2 => -2500,
                    _ => i64::try_from(self.random.below(3)).unwrap() * 500,
                };
                let labels = one.labels.clone();
                self.push(&labels, now - late, value);
            }
            let at = Timestamp::from_millis(now);
            if !early {
                self.graph.advance(at);
            }
            self.graph.settle();
            self.check(at, false);
            if self.random.below(3) > 0 {
                self.graph.tick();
                self.check(at, true);
            }
            if self.random.below(12) == 0 {
                let text = vector(&mut self.random, 2);
                let query = Query::parse(&text).unwrap();
                // What a new query reads must have been kept: only selectors without a past.
                if !text.contains('[') && !text.contains("offset") && !picks(&text) {
                    let root = self.graph.add(&query).unwrap();
                    self.queries.push((query, root));
                    self.replay();
                    self.graph.tick();
                    self.check(at, true);
                }
            }
            if self.random.below(25) == 0 && !self.queries.iter().any(|(q, _)| picks(q.text())) {
                self.rebuild(at);
            }
        }
    }

    /// Series that nobody read until now were not kept.
    fn replay(&mut self) {
        for line in self.log.clone() {
            let mut words = line.rsplitn(3, ' ');
            let bits = u64::from_str_radix(words.next().unwrap(), 16).unwrap();
            let rest = words.nth(1).unwrap();
            let (time, labels) = rest.split_once(' ').unwrap();
            let time = Timestamp::from_millis(time.parse().unwrap());
            let labels = self.known(labels);
            if let Some(series) = self.graph.series(&labels) {
                self.graph.push(series, time, f64::from_bits(bits));
            }
        }
    }

    fn known(&self, text: &str) -> Labels {
        use hallwatch_promql::{Matchers, Select, Source as _};
        let matchers = Matchers::parse(r#"{__name__!=""}"#).unwrap();
        let (start, end) = (Timestamp::MIN, Timestamp::MAX);
        let all = self.source.select(&Select::new(&matchers, start, end)).unwrap();
        all.into_iter().find(|series| series.labels.to_string() == text).unwrap().labels
    }

    /// As after a restart, or when most series are gone: a new graph from what the old one kept.
    fn rebuild(&mut self, now: Timestamp) {
        let mut graph = Graph::new(LOOKBACK);
        for (query, root) in &mut self.queries {
            *root = graph.add(query).unwrap();
        }
        graph.advance(now);
        for (labels, samples) in self.graph.kept() {
            if let Some(series) = graph.series(labels) {
                for (time, value) in samples {
                    graph.push(series, time, value);
                }
            }
        }
        self.graph = graph;
        self.graph.tick();
        self.check(now, true);
    }
}

fn seeds() -> Vec<u64> {
    let Ok(text) = std::env::var("HALLWATCH_SEEDS") else { return SEEDS.collect() };
    match text.split_once("..") {
        Some((from, to)) => (from.parse().unwrap()..to.parse().unwrap()).collect(),
        None => text.split(',').map(|seed| seed.parse().unwrap()).collect(),
    }
}

#[test]
fn pushed_is_what_batch_says() {
    for seed in seeds() {
        Case::new(seed).run();
    }
}

#[test]
fn what_cannot_be_pushed_says_why() {
    for (text, obstacle) in [
        ("max_over_time(rate(x[1m])[5m:10s])", Obstacle::Subquery),
        ("x @ 5", Obstacle::FixedTime),
        ("x offset -5s", Obstacle::Future),
        (r#"count_values("v", x)"#, Obstacle::CountValues),
        ("limitk(2, x)", Obstacle::Limit),
        ("sum by (__name__) (x)", Obstacle::GroupByName),
        (r#"label_replace(x, "a", "b", "c", "(")"#, Obstacle::Argument),
        ("histogram_fraction(0, 1, x)", Obstacle::Histogram),
        (r#""text""#, Obstacle::Type),
    ] {
        assert_eq!(Graph::supports(&Query::parse(text).unwrap()), Err(obstacle), "{text}");
    }
}

#[test]
fn what_was_only_watched_can_be_read_later() {
    use hallwatch_promql::Matchers;
    use hallwatch_promql::incremental::Change;

    let mut graph = Graph::new(LOOKBACK);
    let watch = graph.watch(&Matchers::parse("x").unwrap());
    let labels = Labels::metric("x", [("a", "1")]);
    let series = graph.series(&labels).unwrap();
    let push = |graph: &mut Graph, second: i64, value: f64| {
        let time = Timestamp::from_millis(second * 1000);
        graph.advance(time);
        graph.push(series, time, value);
        graph.settle();
        graph.changes()
    };
    assert_eq!(push(&mut graph, 1, 1.0), [Change::Watch(watch)]);
    assert_eq!(push(&mut graph, 2, 2.0), []);
    assert_eq!(push(&mut graph, 3, to_float(Err(Missing::DeviceOffline))), [Change::Watch(watch)]);
    assert_eq!(push(&mut graph, 4, 4.0), [Change::Watch(watch)]);
    assert_eq!(push(&mut graph, 5, 5.0), []);
    let root = graph.add(&Query::parse("x * 2").unwrap()).unwrap();
    assert_eq!(push(&mut graph, 6, 6.0), [Change::Root(root)]);
    assert_eq!(graph.result(root).unwrap()[0].1, 12.0);
    let sum = graph.add(&Query::parse("sum(x)").unwrap()).unwrap();
    graph.settle();
    assert_eq!(graph.result(sum).unwrap()[0].1, 6.0);
    // A watch ends when the last value grows old, not the first.
    graph.changes();
    graph.advance(Timestamp::from_millis(45_999));
    graph.settle();
    assert_eq!(graph.changes(), []);
    graph.advance(Timestamp::from_millis(46_000));
    graph.settle();
    assert!(graph.changes().contains(&Change::Watch(watch)));
}

#[test]
fn a_query_that_comes_late_reads_the_newest_of_what_was_watched() {
    use hallwatch_promql::Matchers;

    let mut graph = Graph::new(LOOKBACK);
    graph.watch(&Matchers::parse("x").unwrap());
    let series = graph.series(&Labels::metric("x", [])).unwrap();
    for second in 1..=3_i32 {
        let time = Timestamp::from_millis(i64::from(second) * 1000);
        graph.advance(time);
        graph.push(series, time, f64::from(second));
        graph.settle();
    }
    let root = graph.add(&Query::parse("x").unwrap()).unwrap();
    graph.settle();
    assert_eq!(graph.result(root).unwrap()[0].1, 3.0);
}
