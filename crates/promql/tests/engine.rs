//! The engine beyond what scripts can say: missing values, limits, hostile queries, and that a range
//! query is the same as many instant ones.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hallwatch_model::sample::{Missing, to_float};
use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::{
    Answer, Error, ErrorKind, Limits, MatchOp, Matchers, MemorySource, Query, Select, Series,
    Source, SourceError, Stop, Value, ValueType, instant, range,
};
use proptest::prelude::*;

fn source(series: &[(&str, &[f64])]) -> MemorySource {
    let mut source = MemorySource::new();
    for (name, values) in series {
        let labels = Labels::metric(name, [("room", "a")]);
        for (time, value) in (0..).zip(*values) {
            source.push(&labels, Timestamp::from_millis(time * 60_000), *value);
        }
    }
    source
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn ask(text: &str, seconds: i64, source: &dyn Source) -> Result<Answer, Error> {
    instant(&Query::parse(text)?, at(seconds), source, &Limits::default())
}

fn only_value(answer: Result<Answer, Error>) -> Option<f64> {
    match answer.expect("an answer").value {
        Value::Vector(samples) => samples.first().map(|sample| sample.value),
        other => panic!("no vector: {other:?}"),
    }
}

#[test]
fn a_missing_reading_ends_a_series_for_selectors_and_is_no_sample_of_a_window() {
    for missing in [Missing::Timeout, Missing::DeviceOffline, Missing::Exception(2)] {
        let source = source(&[("t_celsius", &[20.0, 21.0, to_float(Err(missing)), 23.0])]);
        assert_eq!(only_value(ask("t_celsius", 60, &source)), Some(21.0));
        assert_eq!(only_value(ask("t_celsius", 120, &source)), None);
        assert_eq!(only_value(ask("t_celsius", 179, &source)), None);
        assert_eq!(only_value(ask("t_celsius", 180, &source)), Some(23.0));
        assert_eq!(only_value(ask("count_over_time(t_celsius[10m])", 180, &source)), Some(3.0));
        assert_eq!(only_value(ask("absent(t_celsius)", 120, &source)), Some(1.0));
        assert_eq!(only_value(ask("absent(t_celsius)", 180, &source)), None);
    }
    let nan = source(&[("t_celsius", &[f64::NAN])]);
    assert!(only_value(ask("t_celsius", 0, &nan)).is_some_and(f64::is_nan), "NaN is a value");
}

#[test]
fn a_query_knows_its_kind_and_its_inputs() {
    let query = Query::parse("sum(rate(a_total{room=~'x|y'}[5m])) / on() b @ 5 > 1").unwrap();
    assert_eq!(query.kind(), ValueType::Vector);
    let found: Vec<(String, u64)> = query
        .selectors()
        .iter()
        .map(|selector| (selector.matchers.to_string(), selector.range.as_secs()))
        .collect();
    assert_eq!(
        found,
        [
            (r#"{__name__="a_total",room=~"x|y"}"#.to_owned(), 300),
            (r#"{__name__="b"}"#.to_owned(), 0)
        ]
    );
    assert_eq!(Query::parse("1 + 1").unwrap().kind(), ValueType::Scalar);
}

#[test]
fn matchers_stand_alone_and_tell_an_index_what_to_look_up() {
    let matchers = Matchers::parse(r#"up{room=~"a|b", rack!~"1.*", row!=""}"#).unwrap();
    let by_op = |op| matchers.iter().find(|matcher| matcher.op == op).unwrap();
    assert_eq!(by_op(MatchOp::Equal).only_values(), Some(&["up".to_owned()][..]));
    assert_eq!(by_op(MatchOp::Matches).only_values().map(<[String]>::len), Some(2));
    assert_eq!(by_op(MatchOp::NotMatches).only_values(), None);
    let labels = |rack| Labels::metric("up", [("room", "b"), ("rack", rack), ("row", "9")]);
    assert!(matchers.matches(&labels("2")));
    assert!(!matchers.matches(&labels("12")));
    assert_eq!(matchers.metric_name(), Some("up"));
    for bad in
        ["1", "up + up", "up[5m]", "up offset 1m", "{}", "{a=~\".*\"}", "{a=\"b\" or c=\"d\"}"]
    {
        assert!(Matchers::parse(bad).is_err(), "{bad}");
    }
    let dot = Matchers::parse(r#"{a=~"x.y"}"#).unwrap();
    assert!(dot.matches(&Labels::from_pairs([("a", "x\ny")])), "a dot is any character");
}

#[test]
fn limits_hold_and_errors_have_their_kind() {
    let source = source(&[("a", &[1.0; 100]), ("b", &[1.0; 100])]);
    let kind = |text: &str, limits: &Limits<'_>| {
        let query = Query::parse(text)?;
        range(&query, at(0), at(5940), Duration::from_secs(60), &source, limits)
    };
    let kind =
        |text: &str, limits: &Limits<'_>| kind(text, limits).map_err(|error| error.kind()).err();
    let limits = Limits::default();
    assert_eq!(kind("a + b", &limits), None);
    let few = Limits { max_samples: 150, ..limits };
    assert_eq!(kind("a", &few), Some(ErrorKind::TooManySamples));
    assert_eq!(kind("1", &few), None);
    assert_eq!(kind("sum_over_time(a[1y:1ms])", &limits), Some(ErrorKind::TooManySamples));
    assert_eq!(kind("a", &Limits { max_steps: 99, ..limits }), Some(ErrorKind::BadData));
    assert_eq!(kind("a[5m]", &limits), Some(ErrorKind::BadData));
    assert_eq!(kind("a +", &limits), Some(ErrorKind::BadData));
    assert_eq!(kind("info(a)", &limits), Some(ErrorKind::BadData));
    assert_eq!(kind("{room='a'} + on(x) a", &limits), Some(ErrorKind::Execution));
    for (stop, expected) in
        [(Stop::Timeout, ErrorKind::Timeout), (Stop::Canceled, ErrorKind::Canceled)]
    {
        let asked = AtomicUsize::new(0);
        let later = || (asked.fetch_add(1, Ordering::Relaxed) >= 3).then_some(stop);
        assert_eq!(kind("sum(a) + sum(b)", &Limits { stop: &later, ..limits }), Some(expected));
    }
    let query = Query::parse("a").unwrap();
    let backwards = range(&query, at(1), at(0), Duration::from_secs(1), &source, &limits);
    assert!(matches!(backwards, Err(Error::EndBeforeStart)));
    let no_step = range(&query, at(0), at(1), Duration::ZERO, &source, &limits);
    assert!(matches!(no_step, Err(Error::Step)));
}

/// A long chain of operations must not run out of what it may hold: what is done with is let go.
#[test]
fn a_long_query_holds_no_more_than_a_short_one() {
    let source = source(&[("a", &[1.0; 100])]);
    let text = vec!["a"; 200].join(" + ");
    let limits = Limits { max_samples: 1_000, ..Limits::default() };
    let query = Query::parse(&text).unwrap();
    let answer = range(&query, at(0), at(5940), Duration::from_secs(60), &source, &limits);
    assert!(answer.is_ok(), "{answer:?}");
}

#[test]
fn a_failing_source_is_an_internal_error_that_says_what_was_read() {
    struct Broken;
    impl Source for Broken {
        fn select(&self, _: &Select<'_>) -> Result<Vec<Series>, SourceError> {
            Err(SourceError("disk gone".into()))
        }
    }
    let error = ask("a{b='c'}", 0, &Broken).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(error.to_string(), r#"cannot read the series of {__name__="a",b="c"}"#);
}

#[test]
fn a_selector_is_read_once_however_often_it_stands_in_a_query() {
    struct Counting(MemorySource, Cell<usize>);
    impl Source for Counting {
        fn select(&self, request: &Select<'_>) -> Result<Vec<Series>, SourceError> {
            self.1.set(self.1.get() + 1);
            self.0.select(request)
        }
    }
    let source = Counting(source(&[("a", &[1.0, 2.0, 3.0]), ("b", &[4.0])]), Cell::new(0));
    let answer = ask("a / (a + on(room) b) + sum_over_time(a[2m]) - a", 120, &source).unwrap();
    assert_eq!(source.1.get(), 2, "one for each name");
    assert_eq!(answer.samples_read, 4);
    assert_eq!(only_value(Ok(answer)), Some(3.0 / 7.0 + 5.0 - 3.0));
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Query>();
}

#[test]
fn hostile_queries_are_refused_and_never_break_anything() {
    let nested = |open: &str, close: &str, depth| open.repeat(depth) + "a" + &close.repeat(depth);
    let deep = [
        nested("(", ")", 500),
        nested("(", ")", 199),
        nested("-(", ")", 99),
        nested("sum(", ")", 199),
        nested("topk(1,", ")", 199),
        nested("count_values('x',", ")", 199),
        nested("abs(", ")", 199),
        nested("round(", ")", 199),
        nested("vector(scalar(", "))", 99),
        nested("a + on() (", ")", 99),
        nested("histogram_quantile(0.5,", ")", 199),
        nested("max_over_time((", ")[5m:1m])", 99),
        nested("quantile_over_time(0.5, (", ")[5m:1m])", 99),
        nested("predict_linear((", ")[5m:1m], 1)", 99),
        nested("absent_over_time((", ")[5m:1m])", 99),
        nested("label_join(", ", 'x', 'y')", 199),
        vec!["a"; 199].join(" or "),
        nested("(", ")", 20_000),
        nested("sum(", ")", 255),
        nested("abs(", ")", 300),
        nested("-", "", 5_000),
        vec!["a"; 250].join(" or "),
        vec!["a"; 20_000].join("+"),
        "{".repeat(50_000),
        "a".repeat(100_000),
    ];
    let source = source(&[("a", &[1.0])]);
    for text in deep {
        // Refused or answered; either is fine, a crash is not.
        let answer = ask(&text, 0, &source);
        assert!(answer.is_ok() || answer.is_err_and(|error| error.kind() == ErrorKind::BadData));
    }
    let odd = [
        "a[1e300]",
        "a[-5m]",
        "a[1e18:1]",
        "a[5m:1e300]",
        "a offset 1e300",
        "a offset -1e300",
        "a offset 99999999999999999y",
        "a[99999999999999999999y]",
        "a @ 1e300",
        "a @ -1e18",
        "a @ 9e15",
        "a @ NaN",
        "a[NaN]",
        "a[Inf]",
        "a offset Inf",
        "sum_over_time(a[0])",
        "a[5m:0]",
        "a[0x7fffffffffffffff]",
        "\"\\",
        "a{b=\"\\xff\"}",
        "a{b=~\"(((((((((a{1000}){1000}){1000})\"}",
        "label_replace(a, 'x', '$99999999999999', 'room', '(.*)')",
    ];
    for text in odd {
        let _answer = ask(text, 0, &source);
        for time in [Timestamp::MIN, Timestamp::MAX] {
            if let Ok(query) = Query::parse(text) {
                let _answer = instant(&query, time, &source, &Limits::default());
            }
        }
    }
}

/// Words that queries are made of, in any order: most are nonsense, some are queries.
fn nonsense() -> impl Strategy<Value = String> {
    let words: &'static [&'static str] = &[
        "a",
        "b",
        "sum",
        "by",
        "(",
        ")",
        "(",
        ")",
        "[5m]",
        "[5m:1m]",
        "{",
        "}",
        "room",
        "=",
        "=~",
        "\"a\"",
        "+",
        "-",
        "*",
        "/",
        "offset",
        "1m",
        "@",
        "10",
        "1e9",
        "start()",
        "rate",
        "abs",
        "topk",
        ",",
        "5",
        "on",
        "ignoring",
        "group_left",
        "bool",
        ">",
        "==",
        "and",
        "or",
        "unless",
        "inf",
        "nan",
        "\"",
        "'",
        "#",
        "\n",
        "ä",
        "`",
        "[",
        "]",
        ":",
        "0x",
        "1e",
        "absent",
        "without",
        "quantile_over_time",
    ];
    prop::collection::vec(prop::sample::select(words), 1..25).prop_map(|words| words.join(" "))
}

/// Queries from a grammar, all of them valid.
fn vector_query() -> impl Strategy<Value = String> {
    let range = prop::sample::select(&["1m", "150s", "4m", "5m:1m", "10m:90s", "4m:7s"][..]);
    let shift = prop::sample::select(
        &["", "", " offset 1m", " offset -2m", " @ 400", " @ end()", " @ start()"][..],
    );
    let name = prop::sample::select(&["a", "b", "{room='a'}", "nothing"][..]);
    let over = prop::sample::select(
        &[
            "rate",
            "increase",
            "delta",
            "irate",
            "idelta",
            "avg_over_time",
            "sum_over_time",
            "min_over_time",
            "max_over_time",
            "count_over_time",
            "last_over_time",
            "stddev_over_time",
            "changes",
            "resets",
            "deriv",
            "mad_over_time",
            "absent_over_time",
            "ts_of_max_over_time",
        ][..],
    );
    let leaf = prop_oneof![
        (name.clone(), shift.clone()).prop_map(|(name, shift)| format!("{name}{shift}")),
        (over, name.clone(), range.clone(), shift.clone())
            .prop_map(|(f, name, range, shift)| format!("{f}({name}[{range}]{shift})")),
        (0.0..1.0f64, name.clone(), range.clone(), shift).prop_map(
            |(q, name, range, shift)| format!("quantile_over_time({q}, {name}[{range}]{shift})")
        ),
        (name, range).prop_map(|(name, range)| format!("predict_linear({name}[{range}], 60)")),
        Just("vector(time())".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let aggregate = prop::sample::select(
            &["sum", "avg", "min", "max", "count", "stddev", "group", "topk(1,", "bottomk(2,", "quantile(0.3,"][..],
        );
        let by = prop::sample::select(&["", "by (room)", "by (__name__)", "without (room)"][..]);
        let op = prop::sample::select(&["+", "-", "*", "/", "%", "^", ">", "<= bool", "=="][..]);
        let matched = prop::sample::select(&["", "on(room)", "ignoring(x)", "on(room) group_left()"][..]);
        let set = prop::sample::select(&["and", "or", "unless"][..]);
        let unary = prop::sample::select(
            &["abs(", "-(", "absent(", "timestamp(", "vector(scalar(", "clamp_min(2, ", "round("][..],
        );
        prop_oneof![
            (aggregate, by, inner.clone()).prop_map(|(op, by, inner)| match op.strip_suffix(',') {
                Some(call) => {
                    let (op, param) = call.split_once('(').unwrap_or((call, ""));
                    format!("{op} {by} ({param}, {inner})")
                }
                None => format!("{op} {by} ({inner})"),
            }),
            (inner.clone(), op.clone(), matched, inner.clone())
                .prop_map(|(a, op, matched, b)| format!("({a} {op} {matched} {b})")),
            (inner.clone(), op).prop_map(|(a, op)| format!("({a} {op} 2)")),
            (inner.clone(), set, inner.clone()).prop_map(|(a, set, b)| format!("({a} {set} {b})")),
            (unary, inner.clone()).prop_map(|(f, inner)| match f {
                "clamp_min(2, " => format!("clamp_min({inner}, 2)"),
                "vector(scalar(" => format!("vector(scalar({inner}))"),
                _ => format!("{f}{inner})"),
            }),
            inner.prop_map(|inner| format!("max_over_time(({inner})[3m:45s])")),
        ]
    })
}

fn samples() -> impl Strategy<Value = Vec<Option<f64>>> {
    let value = prop_oneof![
        10 => (-20i8..20).prop_map(|value| Some(f64::from(value) / 4.0)),
        2 => Just(None),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::INFINITY)),
        1 => Just(Some(to_float(Err(Missing::Timeout)))),
    ];
    prop::collection::vec(value, 20)
}

proptest! {
    #[test]
    fn nonsense_never_panics(text in nonsense(), time in any::<i64>()) {
        let source = source(&[("a", &[1.0, 2.0]), ("b", &[3.0])]);
        if let Ok(query) = Query::parse(&text) {
            let limits = Limits { max_samples: 100_000, ..Limits::default() };
            let _answer = instant(&query, Timestamp::from_millis(time), &source, &limits);
        }
    }

    #[test]
    fn a_range_query_is_many_instant_queries(
        text in vector_query(),
        values in prop::collection::vec(samples(), 3),
        start in 0i64..600,
        step in prop::sample::select(&[15i64, 30, 60, 77][..]),
    ) {
        let mut source = MemorySource::new();
        let series = [("a", "a"), ("a", "b"), ("b", "a")];
        for ((name, room), values) in series.iter().zip(&values) {
            let labels = Labels::metric(name, [("room", *room)]);
            for (i, value) in (0..).zip(values).filter_map(|(i, value)| Some((i, (*value)?))) {
                source.push(&labels, at(i * 45), value);
            }
        }
        // What `@ start()` and `@ end()` mean depends on the query.
        let end = start + 6 * step;
        let fixed = |text: &str| {
            text.replace("@ start()", &format!("@ {start}")).replace("@ end()", &format!("@ {end}"))
        };
        let query = Query::parse(&text).unwrap();
        let single = Query::parse(&fixed(&text)).unwrap();
        let limits = Limits::default();
        let whole = range(&query, at(start), at(end), Duration::from_secs(step.unsigned_abs()), &source, &limits);
        let mut failed = false;
        let mut points: Vec<(Labels, i64, u64)> = Vec::new();
        let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
        for i in 0..=6 {
            match instant(&single, at(start + i * step), &source, &limits) {
                Err(_) => failed = true,
                Ok(answer) => {
                    let Value::Vector(samples) = answer.value else { panic!("no vector") };
                    points.extend(samples.into_iter().map(|s| (s.labels, s.time.as_millis(), bits(s.value))));
                }
            }
        }
        match whole {
            Err(_) => prop_assert!(failed, "{} fails only as a range query", text),
            Ok(answer) => {
                prop_assert!(!failed, "{} fails only as an instant query", text);
                let Value::Matrix(series) = answer.value else { panic!("no matrix") };
                let mut found: Vec<(Labels, i64, u64)> = Vec::new();
                let unique = series.is_sorted_by(|a, b| a.labels < b.labels);
                prop_assert!(unique, "{} gives series twice or unsorted", text);
                for series in series {
                    let pairs = series.times.iter().zip(&series.values);
                    found.extend(pairs.map(|(time, value)| (series.labels.clone(), *time, bits(*value))));
                }
                found.sort();
                points.sort();
                prop_assert_eq!(found, points, "{}", text);
            }
        }
    }
}
