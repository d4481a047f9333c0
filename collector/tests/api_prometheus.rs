//! The HTTP API beside Debian's Prometheus: every endpoint that Grafana, `promtool` and people use,
//! asked in the same words, right and wrong ones. The same status, the same kind of error, the same
//! answer; what is not the same is listed with the reason.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod prometheus;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use hallwatch_model::Labels;
use prometheus::{Pair, Reply, STALE, T0, Timeline, ask};
use serde_json::{Map, Value as Json};

/// How much of the answers has to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Same {
    /// All of it.
    All,
    /// All, whatever the order of a list.
    Set,
    /// The status, the type of the error, and its text.
    Error,
    /// The status and the type of the error: the text is a parser's.
    Kind,
    /// The names of the fields: the values are of a process.
    Fields,
    /// Not the same, for a reason.
    Not(&'static str),
}

type Request = (&'static str, &'static [(&'static str, &'static str)], Same);

const NEWER: &str = "Prometheus 2.42 has no `limit` here yet, newer ones do";

const LOOKBACK: &str = "Prometheus 2.42 does not know `lookback_delta` yet, newer ones refuse this";

const REQUESTS: &[Request] = {
    use Same::{All, Error, Fields, Kind, Not, Set};
    &[
        // Instant queries: every form of a time, every type of a result.
        ("query", &[("query", "g"), ("time", "1699999260")], Set),
        ("query", &[("query", "g"), ("time", "1699999260.25")], Set),
        ("query", &[("query", "g"), ("time", "1.69999926e9")], Set),
        ("query", &[("query", "g"), ("time", "2023-11-14T22:01:00Z")], Set),
        ("query", &[("query", "g"), ("time", "2023-11-14T23:01:00.5+01:00")], Set),
        ("query", &[("query", "g[2m]"), ("time", "1699999260")], Set),
        ("query", &[("query", "sort(g)"), ("time", "1699999260")], All),
        ("query", &[("query", "sort_desc(g)"), ("time", "1699999260")], All),
        ("query", &[("query", "topk(2, g)"), ("time", "1699999260")], All),
        ("query", &[("query", "1"), ("time", "1699999260.371")], All),
        ("query", &[("query", "time()"), ("time", "1699999260.371")], All),
        ("query", &[("query", "\"a\\\"<b>\""), ("time", "5")], All),
        ("query", &[("query", "1e-9 * g"), ("time", "1699999260")], Set),
        ("query", &[("query", "g / 0"), ("time", "1699999260")], Set),
        ("query", &[("query", "g"), ("time", "1699999260"), ("timeout", "10s")], Set),
        (
            "query",
            &[("query", "g"), ("time", "1699999510"), ("lookback_delta", "1s")],
            Not(LOOKBACK),
        ),
        ("query", &[("query", "g"), ("time", "1699999500"), ("lookback_delta", "10m")], Set),
        ("query", &[("query", "g"), ("time", "1699999260"), ("query", "s")], Set),
        ("query", &[("query", "g"), ("time", "1699999260"), ("limit", "1")], Not(NEWER)),
        ("query", &[("query", "g"), ("time", "1699999260"), ("stats", "all")], Fields),
        ("query", &[("query", "nothing"), ("time", "1699999260")], All),
        ("query", &[("query", "sum(g) by (job)"), ("time", "-1")], All),
        ("query", &[], Kind),
        ("query", &[("query", "")], Kind),
        ("query", &[("query", "g{")], Kind),
        ("query", &[("query", "rate(g)")], Kind),
        ("query", &[("query", "g"), ("time", "x")], Error),
        ("query", &[("query", "g"), ("time", "")], Set),
        ("query", &[("query", "g"), ("time", "1"), ("timeout", "x")], Error),
        ("query", &[("query", "g"), ("time", "1"), ("timeout", "")], Set),
        ("query", &[("query", "g"), ("time", "1"), ("lookback_delta", "x")], Not(LOOKBACK)),
        ("query", &[("query", "g * on (job) g"), ("time", "1699999260")], Kind),
        ("query", &[("query", "label_replace(g, \"a\", \"b\", \"job\", \"(\")")], Kind),
        // Range queries.
        (
            "query_range",
            &[("query", "g"), ("start", "1699999200"), ("end", "1699999500"), ("step", "15")],
            All,
        ),
        (
            "query_range",
            &[("query", "g"), ("start", "1699999203.5"), ("end", "1699999500"), ("step", "1m")],
            All,
        ),
        (
            "query_range",
            &[
                ("query", "g"),
                ("start", "2023-11-14T22:00:00Z"),
                ("end", "2023-11-14T22:05:00Z"),
                ("step", "0.5m"),
            ],
            Error,
        ),
        (
            "query_range",
            &[
                ("query", "g"),
                ("start", "2023-11-14T22:00:00Z"),
                ("end", "2023-11-14T22:05:00Z"),
                ("step", "1m30s"),
            ],
            All,
        ),
        (
            "query_range",
            &[("query", "g"), ("start", "1699999200"), ("end", "1699999200"), ("step", "1")],
            All,
        ),
        (
            "query_range",
            &[("query", "7"), ("start", "1699999200"), ("end", "1699999260"), ("step", "30.5")],
            All,
        ),
        (
            "query_range",
            &[
                ("query", "g"),
                ("start", "1699999200"),
                ("end", "1699999500"),
                ("step", "15"),
                ("stats", "all"),
            ],
            Fields,
        ),
        (
            "query_range",
            &[
                ("query", "rate(c_total[1m7s])"),
                ("start", "1699999200"),
                ("end", "1699999500"),
                ("step", "15"),
            ],
            All,
        ),
        (
            "query_range",
            &[("query", "nothing"), ("start", "1699999200"), ("end", "1699999500"), ("step", "15")],
            All,
        ),
        (
            "query_range",
            &[
                ("query", "g"),
                ("start", "1699999200"),
                ("end", "1699999500"),
                ("step", "15"),
                ("limit", "1"),
            ],
            Not(NEWER),
        ),
        ("query_range", &[("query", "g"), ("end", "1"), ("step", "1")], Error),
        ("query_range", &[("query", "g"), ("start", "1"), ("step", "1")], Error),
        ("query_range", &[("query", "g"), ("start", "1"), ("end", "2")], Error),
        ("query_range", &[("query", "g"), ("start", "2"), ("end", "1"), ("step", "1")], Error),
        ("query_range", &[("query", "g"), ("start", "1"), ("end", "2"), ("step", "0")], Error),
        ("query_range", &[("query", "g"), ("start", "1"), ("end", "2"), ("step", "-1")], Error),
        ("query_range", &[("query", "g"), ("start", "1"), ("end", "2"), ("step", "x")], Error),
        ("query_range", &[("query", "g"), ("start", "1"), ("end", "2"), ("step", "NaN")], Kind),
        ("query_range", &[("query", "g"), ("start", "1"), ("end", "2"), ("step", "1e300")], Error),
        ("query_range", &[("query", "g"), ("start", "NaN"), ("end", "2"), ("step", "1")], Kind),
        ("query_range", &[("query", "g"), ("start", "0"), ("end", "11001"), ("step", "1")], Error),
        ("query_range", &[("query", "g"), ("start", "0"), ("end", "11000"), ("step", "1")], All),
        ("query_range", &[("query", "g[1m]"), ("start", "0"), ("end", "11"), ("step", "1")], Kind),
        ("query_range", &[("query", "\"x\""), ("start", "0"), ("end", "11"), ("step", "1")], Kind),
        ("query_range", &[("query", "g{"), ("start", "0"), ("end", "11"), ("step", "1")], Kind),
        (
            "query_range",
            &[("query", "g"), ("start", "0"), ("end", "11"), ("step", "1"), ("timeout", "x")],
            Error,
        ),
        // Series and labels.
        ("series", &[("match[]", "g")], All),
        ("series", &[("match[]", "g"), ("match[]", "{job=\"db\"}")], All),
        ("series", &[("match[]", "{__name__=~\"g|s\", job!=\"db\"}")], All),
        ("series", &[("match[]", "g"), ("start", "1699999200"), ("end", "1699999300")], All),
        ("series", &[("match[]", "g"), ("start", "1"), ("end", "2")], All),
        ("series", &[("match[]", "nothing")], All),
        ("series", &[("match[]", "g"), ("limit", "1")], Not(NEWER)),
        ("series", &[], Error),
        ("series", &[("match[]", "")], Kind),
        ("series", &[("match[]", "{}")], Kind),
        ("series", &[("match[]", "{job=~\".*\"}")], Error),
        ("series", &[("match[]", "g[5m]")], Kind),
        ("series", &[("match[]", "g + g")], Kind),
        ("series", &[("match[]", "g"), ("start", "x")], Error),
        ("series", &[("match[]", "g"), ("end", "x")], Error),
        ("labels", &[], All),
        ("labels", &[("match[]", "g")], All),
        ("labels", &[("match[]", "g"), ("match[]", "s")], All),
        ("labels", &[("match[]", "nothing")], All),
        ("labels", &[("start", "1"), ("end", "2")], All),
        ("labels", &[("match[]", "{}")], Kind),
        ("labels", &[("match[]", "g{")], Kind),
        ("labels", &[("start", "x")], Error),
        ("labels", &[("limit", "1")], Not(NEWER)),
        ("label/job/values", &[], All),
        ("label/__name__/values", &[], All),
        ("label/__name__/values", &[("match[]", "{job=\"db\"}")], All),
        ("label/job/values", &[("match[]", "g"), ("match[]", "s")], All),
        ("label/none/values", &[], All),
        ("label/job/values", &[("start", "1"), ("end", "2")], All),
        ("label/a-b/values", &[], Error),
        ("label/0/values", &[], Error),
        ("label/job/values", &[("match[]", "{}")], Kind),
        ("label/job/values", &[("end", "x")], Error),
        // The rest of what Grafana asks.
        ("format_query", &[("query", "sum  by(a)(b)")], All),
        (
            "format_query",
            &[(
                "query",
                "sum(rate(c_total{job=\"api\"}[5m]))by(job)/ignoring(a)group_left count(g)",
            )],
            All,
        ),
        ("format_query", &[("query", "(g)+on(job)(s offset 5m)")], All),
        ("format_query", &[("query", "g{")], Kind),
        ("query_exemplars", &[("query", "g"), ("start", "1"), ("end", "2")], All),
        ("query_exemplars", &[("query", "g"), ("start", "2"), ("end", "1")], Error),
        ("query_exemplars", &[("query", "g{"), ("start", "1"), ("end", "2")], Kind),
        ("query_exemplars", &[("query", "g"), ("start", "x"), ("end", "2")], Kind),
        ("metadata", &[("metric", "nothing")], All),
        ("metadata", &[("limit", "0")], All),
        ("metadata", &[("limit", "x")], Error),
        ("rules", &[], All),
        ("rules", &[("type", "alert")], All),
        ("rules", &[("type", "x")], Kind),
        ("alerts", &[], All),
        ("targets", &[], All),
        ("targets", &[("state", "active")], All),
        ("targets", &[("state", "dropped")], All),
        ("alertmanagers", &[], All),
        ("targets/metadata", &[], All),
        ("scrape_pools", &[], All),
        ("nothing", &[], Not("Prometheus has a text for people here")),
        ("status/buildinfo", &[], Fields),
        ("status/runtimeinfo", &[], Fields),
        ("status/config", &[], Fields),
        ("status/tsdb", &[], Fields),
        ("status/walreplay", &[], Fields),
    ]
};

#[tokio::test]
async fn the_same_questions_have_the_same_answers() {
    let pair = Pair::start(&data(40)).await;
    let mut wrong = String::new();
    for (endpoint, parameters, same) in REQUESTS {
        let path = format!("/api/v1/{endpoint}");
        for method in ["GET", "POST"] {
            let ours = ask(&pair.ours, method, &path, parameters).await;
            let theirs = ask(&pair.theirs, method, &path, parameters).await;
            let different = if theirs.status == 405 {
                (ours.status != 405).then(|| "the method".to_owned())
            } else {
                differ(*same, &ours, &theirs)
            };
            if let Some(different) = different {
                wrong += &format!(
                    "{method} {endpoint} {parameters:?}: {different}\n  hallwatch  {} {}\n  prometheus {} {}\n",
                    ours.status, ours.body, theirs.status, theirs.body
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn differ(same: Same, ours: &Reply, theirs: &Reply) -> Option<String> {
    if let Same::Not(_) = same {
        return (ours.body == theirs.body).then(|| "no longer different".to_owned());
    }
    if ours.status != theirs.status {
        return Some("the status".to_owned());
    }
    match same {
        Same::All => (ours.body != theirs.body).then(|| "the answer".to_owned()),
        Same::Set => (sorted(&ours.body) != sorted(&theirs.body)).then(|| "the answer".to_owned()),
        Same::Kind | Same::Error => {
            let keys = if same == Same::Kind {
                &["status", "errorType"][..]
            } else {
                &["status", "errorType", "error"]
            };
            keys.iter()
                .find(|key| ours.body[**key] != theirs.body[**key])
                .map(|key| (*key).to_owned())
        }
        Same::Fields => missing(&ours.body, &theirs.body, "").map(|at| format!("no {at}")),
        Same::Not(_) => None,
    }
}

/// The first field that is missing or of another type.
fn missing(ours: &Json, theirs: &Json, at: &str) -> Option<String> {
    match (ours, theirs) {
        (Json::Object(ours), Json::Object(theirs)) => theirs.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            ours.get(key).map_or_else(|| Some(at.clone()), |ours| missing(ours, value, &at))
        }),
        (Json::Array(ours), Json::Array(theirs)) => match (ours.first(), theirs.first()) {
            (Some(ours), Some(theirs)) => missing(ours, theirs, &format!("{at}[0]")),
            _ => None,
        },
        (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => None,
        _ => Some(format!("{at} of this type")),
    }
}

fn sorted(body: &Json) -> Json {
    let mut body = body.clone();
    if let Some(result) = body.pointer_mut("/data/result").and_then(Json::as_array_mut) {
        let text = |series: &Json| {
            let metric: Map<String, Json> =
                series["metric"].as_object().cloned().unwrap_or_default();
            let mut pairs: Vec<String> = metric.iter().map(|(k, v)| format!("{k}={v}")).collect();
            pairs.sort();
            pairs
        };
        result.sort_by_key(text);
    }
    body
}

/// So many samples of some series.
fn data(length: u32) -> Vec<Timeline> {
    let mut all = Vec::new();
    for (number, (name, job)) in [
        ("c_total", "api"),
        ("c_total", "db"),
        ("g", "api"),
        ("g", "db"),
        ("s", "api"),
        ("z", "web"),
    ]
    .into_iter()
    .enumerate()
    {
        let first = u32::try_from(number).unwrap();
        let value = |i: u32| match name {
            "c_total" => f64::from(1000 + i * (first + 1)),
            "s" if i == 7 => STALE,
            _ => f64::from(i * 7 % 11) + f64::from(first) / 4.0,
        };
        let points = (0..length).map(|i| (T0 + i64::from(i) * 15_000, value(i))).collect();
        all.push(Timeline { labels: Labels::metric(name, [("job", job)]), points });
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compressed_as_they_are_by_prometheus() {
    let pair = Pair::start(&data(40)).await;
    let path = "/api/v1/query?query=g[5m]&time=1699999507";
    let plain =
        ask(&pair.ours, "GET", "/api/v1/query", &[("query", "g[5m]"), ("time", "1699999507")]);
    let plain = plain.await.body;
    for base in [&pair.ours, &pair.theirs] {
        for (accepts, compressed) in
            [("gzip", true), ("gzip, deflate, br", true), ("identity", false)]
        {
            let curl = Command::new("curl")
                .args([
                    "--silent",
                    "--globoff",
                    "--max-time",
                    "30",
                    "--dump-header",
                    "-",
                    "--header",
                ])
                .args([format!("Accept-Encoding: {accepts}"), format!("{base}{path}")])
                .output()
                .expect("curl is needed: apt-get install curl");
            let end = curl.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            let (head, body) = curl.stdout.split_at(end + 4);
            let head = String::from_utf8_lossy(head).to_lowercase();
            assert_eq!(
                head.contains("content-encoding: gzip"),
                compressed,
                "{base} {accepts}: {head}"
            );
            let text = if compressed { unpacked(body) } else { body.to_vec() };
            assert_eq!(serde_json::from_slice::<Json>(&text).unwrap(), plain, "{base} {accepts}");
        }
    }
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .args(["--decompress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is needed: apt-get install gzip");
    gzip.stdin.take().unwrap().write_all(packed).unwrap();
    let output = gzip.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// What Grafana asks at `now` for a panel: the ends are rounded down to steps, and
/// `$__rate_interval` is the larger of the step with a scrape more, and four scrapes.
fn panel(now: i64, step: i64) -> [String; 4] {
    const SCRAPE: i64 = 15_000;
    const SHOWN: i64 = 300_000;
    let rate_interval = (step + SCRAPE).max(4 * SCRAPE) / 1000;
    let aligned = |time: i64| (time / step * step / 1000).to_string();
    let query = format!("sum by (job) (rate(c_total[{rate_interval}s]))");
    [query, aligned(now - SHOWN), aligned(now), (step / 1000).to_string()]
}

#[tokio::test]
async fn a_panel_that_is_refreshed_does_not_jitter() {
    let all = data(100);
    let between = |from: i64, to: i64| -> Vec<Timeline> {
        let cut = |timeline: &Timeline| {
            let points = timeline.points.iter().filter(|(time, _)| (from..to).contains(time));
            Timeline { labels: timeline.labels.clone(), points: points.copied().collect() }
        };
        all.iter().map(cut).filter(|timeline| !timeline.points.is_empty()).collect()
    };
    for step in [15_000, 20_000, 60_000] {
        let mut known = T0 + 600_000;
        let mut pair = Pair::start(&between(T0, known)).await;
        let mut shown = BTreeMap::new();
        let mut points = 0;
        // Refreshed at odd moments while samples come in.
        for refresh in 1..60 {
            let now = T0 + 600_000 + refresh * 7_300;
            pair.record(&between(known, now + 1)).await;
            known = now + 1;
            let [query, start, end, step] = panel(now, step);
            let parameters =
                [("query", &*query), ("start", &*start), ("end", &*end), ("step", &*step)];
            let answer = ask(&pair.ours, "GET", "/api/v1/query_range", &parameters).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            for series in answer.body["data"]["result"].as_array().unwrap() {
                for point in series["values"].as_array().unwrap() {
                    points += 1;
                    let key = (series["metric"].to_string(), point[0].to_string());
                    let value = point[1].to_string();
                    let before = shown.entry(key.clone()).or_insert_with(|| value.clone());
                    assert_eq!(*before, value, "{key:?} changed at refresh {refresh}");
                }
            }
        }
        assert!(points > 5 * shown.len(), "hardly anything was shown twice");
    }
}
