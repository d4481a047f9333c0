//! The Prometheus HTTP API, over a real store and a real socket, byte for byte.
//!
//! What is wanted was taken from Prometheus 2.42 where that has the same answer.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use hallwatch_collector::api::{AlertForm, Api, GroupForm, RuleForm, RulesForm};
use hallwatch_collector::page::Health;
use hallwatch_collector::store::{Options, Store};
use hallwatch_collector::telemetry::Telemetry;
use hallwatch_model::{Labels, Missing, Sample, Timestamp, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// 2026-11-21T16:00:00Z.
const T0: i64 = 1_795_276_800_000;

struct Server {
    address: std::net::SocketAddr,
    telemetry: Telemetry,
    picture: watch::Sender<Arc<str>>,
    health: watch::Sender<Arc<Vec<Health>>>,
    _rules: watch::Sender<Arc<RulesForm>>,
    _store: Store,
    _folder: tempfile::TempDir,
}

fn clock() -> Timestamp {
    Timestamp::from_millis(T0 + 30_250)
}

async fn server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), &Options::default()).unwrap();
    let site = |name, device, more: &[(&'static str, &'static str)]| {
        let base = [("tenant", "acme"), ("site", "fra-1"), ("device", device)];
        Labels::metric(name, base.into_iter().chain(more.iter().copied()))
    };
    let at = |seconds: i64, value: Value| Sample {
        time: Timestamp::from_millis(T0 + seconds * 1000),
        value,
    };
    let load = site("ups_load_ratio", "ups-a", &[]);
    let odd = site("ups_load_ratio", "ups-<b> \"ü\"", &[]);
    let samples = [
        (load.clone(), at(0, Ok(0.25))),
        (load.clone(), at(10, Ok(0.5))),
        (load.clone(), at(20, Ok(1e-7))),
        (load, at(30, Ok(0.1))),
        (odd.clone(), at(0, Ok(0.75))),
        (odd, at(10, Err(Missing::Timeout))),
        (site("meter_voltage_volts", "meter-1", &[("phase", "l1")]), at(20, Ok(230.0))),
    ];
    store.record(&samples, clock()).unwrap();
    let telemetry = Telemetry::new().unwrap();
    let (rules_sender, rules) = watch::channel(Arc::new(rules()));
    let part =
        Health { part: "broker".into(), ok: true, text: "connected".into(), essential: true };
    let (health_sender, health) = watch::channel(Arc::new(vec![part]));
    let (picture_sender, picture) = watch::channel("".into());
    let archive = Arc::new(store.reader());
    let api = Api::new(archive, rules, health, picture, telemetry.clone(), clock);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let guarded = hallwatch_collector::api::Guarded::new(listener);
    tokio::spawn(async move { axum::serve(guarded, api.router()).await });
    Server {
        address,
        telemetry,
        picture: picture_sender,
        health: health_sender,
        _rules: rules_sender,
        _store: store,
        _folder: folder,
    }
}

fn rules() -> RulesForm {
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    let labels = Labels::from_pairs([("alertname", "UpsOnBattery"), ("severity", "critical")]);
    let alert = AlertForm {
        labels,
        annotations: texts(&[("summary", "UPS on battery")]),
        state: "firing",
        active_at: Timestamp::from_millis(T0 + 250),
        value: 1.0,
        held: true,
        known: hallwatch_collector::api::KnownForm::default(),
        suppressed_by: None,
    };
    let alerting = RuleForm {
        state: Some("firing"),
        name: "UpsOnBattery".into(),
        query: "ups_on_battery == 1".into(),
        duration: Some(5.0),
        keep_firing_for: Some(0.0),
        labels: Some(texts(&[("severity", "critical")])),
        annotations: Some(texts(&[("summary", "UPS on battery")])),
        alerts: Some(vec![alert]),
        health: "ok",
        last_error: None,
        evaluation_time: 0.5,
        last_evaluation: Timestamp::from_millis(T0),
        additional: hallwatch_collector::api::AdditionalForm::default(),
        kind: "alerting",
    };
    let recording = RuleForm {
        state: None,
        name: "site:load".into(),
        duration: None,
        keep_firing_for: None,
        labels: None,
        annotations: None,
        alerts: None,
        health: "err",
        last_error: Some("no".into()),
        last_evaluation: Timestamp::MIN,
        kind: "recording",
        ..alerting.clone()
    };
    RulesForm {
        inside: Arc::default(),
        groups: vec![GroupForm {
            name: "power".into(),
            file: "power.yaml".into(),
            rules: vec![alerting, recording],
            interval: 1.0,
            limit: 0,
            evaluation_time: 0.5,
            last_evaluation: Timestamp::from_millis(T0),
        }],
    }
}

/// One request on a connection of its own: status and body.
async fn ask(server: &Server, head: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let text = format!(
        "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    // A server that refuses a large body may close before it has read all of it.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    let (status, _, body) = ask(server, &format!("GET {path} HTTP/1.1"), "").await;
    (status, body)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A `GET` of an endpoint with parameters.
async fn api(server: &Server, endpoint: &str, parameters: &[(&str, &str)]) -> (u16, String) {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    get(server, &format!("/api/v1/{endpoint}?{}", pairs.join("&"))).await
}

fn ok(data: &str) -> (u16, String) {
    (200, format!(r#"{{"status":"success","data":{data}}}"#))
}

#[tokio::test]
async fn instant_queries() {
    let server = server().await;
    let series =
        r#""metric":{"__name__":"ups_load_ratio","device":"ups-a","site":"fra-1","tenant":"acme"}"#;
    let cases: Vec<(&str, &str, String)> = vec![
        (
            "ups_load_ratio",
            "1795276830",
            format!(
                r#"{{"resultType":"vector","result":[{{{series},"value":[1795276830,"0.1"]}}]}}"#
            ),
        ),
        (
            "ups_load_ratio{device=\"ups-a\"}",
            "2026-11-21T17:00:25.5+01:00",
            format!(
                r#"{{"resultType":"vector","result":[{{{series},"value":[1795276825.500,"1e-07"]}}]}}"#
            ),
        ),
        ("nothing", "1795276830", r#"{"resultType":"vector","result":[]}"#.into()),
        ("1e-7", "1.5", r#"{"resultType":"scalar","result":[1.5,"0.0000001"]}"#.into()),
        ("-1/0", "3", r#"{"resultType":"scalar","result":[3,"-Inf"]}"#.into()),
        (
            "vector(1e21)",
            "0.0001",
            r#"{"resultType":"vector","result":[{"metric":{},"value":[0,"1e+21"]}]}"#.into(),
        ),
        (
            "vector(NaN)",
            "-1.5",
            r#"{"resultType":"vector","result":[{"metric":{},"value":[-1.500,"NaN"]}]}"#.into(),
        ),
        ("\"a<\\\"b\"", "-1.5", r#"{"resultType":"string","result":[-1.5,"a<\"b"]}"#.into()),
        (
            "ups_load_ratio{device=\"ups-a\"}[15s]",
            "1795276830",
            format!(
                r#"{{"resultType":"matrix","result":[{{{series},"values":[[1795276820,"1e-07"],[1795276830,"0.1"]]}}]}}"#
            ),
        ),
    ];
    for (query, time, wanted) in cases {
        let found = api(&server, "query", &[("query", query), ("time", time)]).await;
        assert_eq!(found, ok(&wanted), "{query}");
    }
    // Without a time, now.
    let found = api(&server, "query", &[("query", "time()")]).await;
    assert_eq!(found, ok(r#"{"resultType":"scalar","result":[1795276830.25,"1795276830.25"]}"#));
    // Names of anyone's making come back whole.
    let found = api(&server, "query", &[("query", "ups_load_ratio"), ("time", "1795276800")]).await;
    assert!(found.1.contains(r#""device":"ups-<b> \"ü\"""#), "{}", found.1);
}

#[tokio::test]
async fn range_queries() {
    let server = server().await;
    let range = async |query, start, end, step| {
        let parameters = [("query", query), ("start", start), ("end", end), ("step", step)];
        api(&server, "query_range", &parameters).await
    };
    let found = range("sum(ups_load_ratio)", "1795276800", "1795276820", "10s").await;
    assert_eq!(
        found,
        ok(
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1795276800,"1"],[1795276810,"0.5"],[1795276820,"1e-07"]]}]}"#
        )
    );
    let found = range("1/0", "0", "2", "1.5").await;
    assert_eq!(
        found,
        ok(
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"+Inf"],[1.500,"+Inf"]]}]}"#
        )
    );
    // 11,000 intervals are 11,001 points, and allowed.
    let (status, body) = range("1", "0", "11000", "1").await;
    assert_eq!((status, body.matches("\"1\"").count()), (200, 11_001));
}

#[tokio::test]
async fn forms_are_as_good_as_urls_and_come_first() {
    let server = server().await;
    let head = "POST /api/v1/query?query=2 HTTP/1.1";
    let (status, headers, body) = ask(&server, head, "query=1&time=3").await;
    assert_eq!((status, body), ok(r#"{"resultType":"scalar","result":[3,"1"]}"#));
    assert!(headers.contains("content-type: application/json"), "{headers}");
    assert!(headers.contains("x-content-type-options: nosniff"), "{headers}");
    let body = "match[]=meter_voltage_volts&match%5B%5D=nothing";
    let (_, _, body) = ask(&server, "POST /api/v1/series HTTP/1.1", body).await;
    assert_eq!(
        body,
        r#"{"status":"success","data":[{"__name__":"meter_voltage_volts","device":"meter-1","phase":"l1","site":"fra-1","tenant":"acme"}]}"#
    );
}

#[tokio::test]
async fn series_labels_and_metadata() {
    let server = server().await;
    let every = r#"["__name__","device","phase","site","tenant"]"#;
    assert_eq!(api(&server, "labels", &[]).await, ok(every));
    let found = api(&server, "labels", &[("match[]", "ups_load_ratio")]).await;
    assert_eq!(found, ok(r#"["__name__","device","site","tenant"]"#));
    let found = api(&server, "label/__name__/values", &[]).await;
    assert_eq!(found, ok(r#"["meter_voltage_volts","ups_load_ratio"]"#));
    let found = api(&server, "label/device/values", &[("match[]", "{phase!=\"\"}")]).await;
    assert_eq!(found, ok(r#"["meter-1"]"#));
    assert_eq!(api(&server, "label/nothing/values", &[]).await, ok("[]"));
    let found = api(&server, "label/__name__/values", &[("limit", "1")]).await;
    let cut = r#"["meter_voltage_volts"],"warnings":["results truncated due to limit"]"#;
    assert_eq!(found, ok(cut));
    let found =
        api(&server, "series", &[("match[]", "ups_load_ratio"), ("start", "9"), ("end", "1")]);
    assert_eq!(found.await, ok("[]"));
    let found = api(&server, "metadata", &[("metric", "ups_on_battery")]).await;
    assert_eq!(
        found,
        ok(
            r#"{"ups_on_battery":[{"type":"gauge","help":"1 while the load is fed from the battery.","unit":""}]}"#
        )
    );
    let (_, body) = api(&server, "metadata", &[("limit", "3")]).await;
    assert_eq!(body.matches("\"help\"").count(), 3);
}

#[tokio::test]
async fn rules_and_alerts() {
    let server = server().await;
    let alert = r#"{"labels":{"alertname":"UpsOnBattery","severity":"critical"},"annotations":{"summary":"UPS on battery"},"state":"firing","activeAt":"2026-11-21T16:00:00.25Z","value":"1e+00","held":true}"#;
    assert_eq!(api(&server, "alerts", &[]).await, ok(&format!(r#"{{"alerts":[{alert}]}}"#)));
    let alerting = format!(
        r#"{{"state":"firing","name":"UpsOnBattery","query":"ups_on_battery == 1","duration":5.0,"keepFiringFor":0.0,"labels":{{"severity":"critical"}},"annotations":{{"summary":"UPS on battery"}},"alerts":[{alert}],"health":"ok","evaluationTime":0.5,"lastEvaluation":"2026-11-21T16:00:00Z","type":"alerting"}}"#
    );
    let recording = r#"{"name":"site:load","query":"ups_on_battery == 1","health":"err","lastError":"no","evaluationTime":0.5,"lastEvaluation":"0001-01-01T00:00:00Z","type":"recording"}"#;
    let group = |rules: &str| {
        ok(&format!(
            r#"{{"groups":[{{"name":"power","file":"power.yaml","rules":[{rules}],"interval":1.0,"limit":0,"evaluationTime":0.5,"lastEvaluation":"2026-11-21T16:00:00Z"}}]}}"#
        ))
    };
    assert_eq!(api(&server, "rules", &[]).await, group(&format!("{alerting},{recording}")));
    assert_eq!(api(&server, "rules", &[("type", "alert")]).await, group(&alerting));
    assert_eq!(api(&server, "rules", &[("type", "record")]).await, group(recording));
    assert_eq!(api(&server, "rules", &[("rule_name[]", "site:load")]).await, group(recording));
    assert_eq!(api(&server, "rules", &[("file[]", "x")]).await, ok(r#"{"groups":[]}"#));
}

#[tokio::test]
async fn every_mistake_has_the_answer_that_prometheus_gives() {
    let server = server().await;
    /// Endpoint, parameters, status, and the whole error where it is to be Prometheus' own.
    type Case = (&'static str, &'static [(&'static str, &'static str)], u16, &'static str);
    let cases: &[Case] = &[
        (
            "query",
            &[("query", "up"), ("time", "abc")],
            400,
            r#"invalid parameter "time": Invalid time value for 'time': cannot parse "abc" to a valid timestamp"#,
        ),
        (
            "query",
            &[("query", "up"), ("timeout", "x")],
            400,
            r#"invalid parameter "timeout": cannot parse "x" to a valid duration"#,
        ),
        (
            "query_range",
            &[("query", "up")],
            400,
            r#"invalid parameter "start": cannot parse "" to a valid timestamp"#,
        ),
        (
            "query_range",
            &[("query", "up"), ("start", "5"), ("end", "1"), ("step", "1")],
            400,
            r#"invalid parameter "end": end timestamp must not be before start time"#,
        ),
        (
            "query_range",
            &[("query", "up"), ("start", "5"), ("end", "10"), ("step", "0")],
            400,
            r#"invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
        ),
        (
            "query_range",
            &[("query", "up"), ("start", "5"), ("end", "10"), ("step", "x")],
            400,
            r#"invalid parameter "step": cannot parse "x" to a valid duration"#,
        ),
        (
            "query_range",
            &[("query", "up"), ("start", "5"), ("end", "10"), ("step", "1e300")],
            400,
            r#"invalid parameter "step": cannot parse "1e300" to a valid duration. It overflows int64"#,
        ),
        (
            "query_range",
            &[("query", "up"), ("start", "0"), ("end", "11001"), ("step", "1")],
            400,
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "query_range",
            &[("query", "up[5m]"), ("start", "0"), ("end", "11"), ("step", "1")],
            400,
            r#"invalid expression type "range vector" for range query, must be Scalar or instant Vector"#,
        ),
        (
            "query_range",
            &[("query", "\"x\""), ("start", "0"), ("end", "11"), ("step", "1")],
            400,
            r#"invalid expression type "string" for range query, must be Scalar or instant Vector"#,
        ),
        ("series", &[], 400, "no match[] parameter provided"),
        ("series", &[("match[]", "{}")], 400, ""),
        (
            "series",
            &[("match[]", "{a=~\".*\"}")],
            400,
            r#"invalid parameter "match[]": match[] must contain at least one non-empty matcher"#,
        ),
        (
            "series",
            &[("match[]", "up"), ("start", "x")],
            400,
            r#"invalid parameter "start": Invalid time value for 'start': cannot parse "x" to a valid timestamp"#,
        ),
        (
            "series",
            &[("match[]", "up"), ("limit", "-1")],
            400,
            r#"invalid parameter "limit": limit must be a non-negative number"#,
        ),
        ("label/a-b/values", &[], 400, r#"invalid label name: "a-b""#),
        ("metadata", &[("limit", "x")], 400, "limit must be a number"),
        (
            "rules",
            &[("type", "foo")],
            400,
            r#"invalid parameter "type": not supported value "foo""#,
        ),
        (
            "query",
            &[("query", "ups_load_ratio * on(site) ups_load_ratio"), ("time", "1795276800")],
            422,
            "",
        ),
        ("query", &[("query", "up{")], 400, ""),
        ("query", &[], 400, ""),
        ("query", &[("query", "rate(up)")], 400, ""),
        ("nothing", &[], 404, ""),
    ];
    for (endpoint, parameters, status, wanted) in cases {
        let (found, body) = api(&server, endpoint, parameters).await;
        assert_eq!(found, *status, "{endpoint} {parameters:?}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"], "error");
        let kind = match status {
            404 => "not_found",
            422 => "execution",
            _ => "bad_data",
        };
        assert_eq!(body["errorType"], kind, "{endpoint} {parameters:?}");
        let error = body["error"].as_str().unwrap();
        assert!(!error.is_empty() && (wanted.is_empty() || error == *wanted), "{error}");
    }
    let (status, _, _) = ask(&server, "DELETE /api/v1/query HTTP/1.1", "").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn what_is_too_large_or_too_slow_is_refused() {
    let server = server().await;
    let long = format!("/api/v1/query?query={}", "1".repeat(20_000));
    assert_eq!(get(&server, &long).await.0, 414);
    let form = format!("query={}", "1".repeat(2 << 20));
    let (status, _, body) = ask(&server, "POST /api/v1/query HTTP/1.1", &form).await;
    assert_eq!(status, 413, "{body}");
    // A thousandth of a second is not enough for a million points.
    let query = "sum(sum_over_time(vector(1)[11000s:1s])) + sum(sum_over_time(vector(2)[9h:1s]))";
    let parameters =
        [("query", query), ("timeout", "1ms"), ("start", "0"), ("end", "11000"), ("step", "1")];
    let (status, body) = api(&server, "query_range", &parameters).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains(r#""errorType":"timeout""#), "{body}");
}

#[tokio::test]
async fn a_query_ends_when_its_asker_goes_away() {
    let server = server().await;
    let query =
        encoded("sum(sum_over_time(vector(1)[11000s:1s])) + sum_over_time(vector(2)[9h:1s])");
    let path = format!("/api/v1/query_range?query={query}&start=0&end=11000&step=1&timeout=2m");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    drop(stream);
    let canceled = server.telemetry.queries.with_label_values(&["canceled"]);
    for _ in 0..200 {
        if canceled.get() == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it goes on although nobody waits");
}

#[tokio::test]
async fn it_tells_about_itself() {
    let server = server().await;
    let (status, body) = get(&server, "/api/v1/status/buildinfo").await;
    assert_eq!(status, 200);
    assert!(body.contains(r#""version":"2.42.0","revision":"hallwatch-"#), "{body}");
    assert_eq!(get(&server, "/healthz").await, (200, "ok\n".into()));
    let (status, body) = get(&server, "/readyz").await;
    let wanted = r#"{"ready":true,"parts":[{"part":"broker","ok":true,"text":"connected","essential":true}]}"#;
    assert_eq!((status, body.as_str()), (200, wanted));
    let part =
        Health { part: "broker".into(), ok: false, text: "no connection".into(), essential: true };
    server.health.send_replace(Arc::new(vec![part]));
    let (status, body) = get(&server, "/readyz").await;
    let wanted = r#"{"ready":false,"parts":[{"part":"broker","ok":false,"text":"no connection","essential":true}]}"#;
    assert_eq!((status, body.as_str()), (503, wanted));
    server.telemetry.batches_stored.inc_by(7);
    let (status, body) = get(&server, "/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("\nhallwatch_collector_batches_stored_total 7\n"), "{body}");
    assert!(body.contains("\nhallwatch_collector_http_requests_total{code=\"200\"}"), "{body}");
}

#[tokio::test]
async fn the_page_is_guarded_and_fed() {
    let server = server().await;
    let (status, headers, body) = ask(&server, "GET / HTTP/1.1", "").await;
    assert_eq!(status, 200);
    assert!(headers.contains("content-security-policy: default-src 'none';"), "{headers}");
    // What the policy would block must not be there.
    assert!(!body.contains("<style") && !body.contains(" style=") && !body.contains(" onclick"));
    // Relative: a proxy may serve the page under a path.
    for path in ["page/page.css", "page/page.js", "page/icon.svg"] {
        assert!(body.contains(&format!("\"{path}\"")), "{path}");
        assert_eq!(get(&server, &format!("/{path}")).await.0, 200, "{path}");
    }
    for path in ["/page/page.js", "/page/graph.js"] {
        let script = get(&server, path).await.1;
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
            assert!(!script.contains(markup), "text must never become markup: {markup}");
        }
    }
    // Where the link of every notification leads.
    let (status, headers, body) = ask(&server, "GET /graph?g0.expr=up&g0.tab=1 HTTP/1.1", "").await;
    assert_eq!(status, 200);
    assert!(headers.contains("content-security-policy: default-src 'none';"), "{headers}");
    assert!(!body.contains("<style") && !body.contains(" style=") && !body.contains(" onclick"));

    server.picture.send_replace(r#"{"now":0}"#.into());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut heard = String::new();
    let mut read = async |until: &str| {
        let mut bytes = [0; 4096];
        while !heard.contains(until) {
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "{heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, read("text/event-stream")).await.unwrap();
    server.picture.send_replace(r#"{"now":1}"#.into());
    let wanted = "event: picture\ndata: {\"now\":1}\n\n";
    tokio::time::timeout(limit, read(wanted)).await.unwrap();
    assert_eq!(server.telemetry.pages_open.get(), 1);
    drop(server.picture);
    tokio::time::timeout(limit, read("0\r\n\r\n")).await.unwrap();
}

#[tokio::test]
async fn runbook_pages_are_where_the_annotations_of_rules_lead() {
    let server = server().await;
    let ask = async |path: &str, accept: &str| {
        ask(&server, &format!("GET {path} HTTP/1.1\r\nAccept: {accept}"), "").await
    };
    for (path, heading) in [
        ("/runbooks/utility-lost.md", "# UtilityLost\n"),
        ("/runbooks/utility-lost", "# UtilityLost\n"),
        ("/runbooks/", "# Runbooks\n"),
        ("/runbooks/README.md", "# Runbooks\n"),
    ] {
        let (status, headers, body) = ask(path, "*/*").await;
        assert_eq!(status, 200, "{path}");
        assert!(headers.contains("content-type: text/markdown; charset=utf-8"), "{headers}");
        assert!(headers.contains("content-security-policy: default-src 'none';"), "{headers}");
        assert!(body.contains(heading), "{path}: {body}");
    }
    let (_, headers, _) = ask("/runbooks/smoke.md", "text/html,*/*;q=0.8").await;
    assert!(headers.contains("content-type: text/plain; charset=utf-8"), "{headers}");
    for path in
        ["/runbooks/nothing.md", "/runbooks/..%2f..%2fCargo.toml", "/runbooks/%ff", "/runbooks/a/b"]
    {
        let status = ask(path, "*/*").await.0;
        assert!(status == 404 || status == 400, "{path}: {status}");
    }
}

#[tokio::test]
async fn what_grafana_asks_beside_samples() {
    let server = server().await;
    let (code, body) = api(&server, "format_query", &[("query", "sum  by(a)(b)")]).await;
    assert_eq!((code, body), ok(r#""sum by (a) (b)""#));
    let times = [("query", "up"), ("start", "0"), ("end", "10")];
    assert_eq!(api(&server, "query_exemplars", &times).await, ok("[]"));
    let none = r#"{"activeTargets":[],"droppedTargets":[]}"#;
    assert_eq!(api(&server, "targets", &[]).await, ok(none));
    for endpoint in ["status/config", "status/flags", "status/runtimeinfo"] {
        let (code, body) = api(&server, endpoint, &[]).await;
        assert!(code == 200 && body.starts_with(r#"{"status":"success","data":{"#), "{body}");
    }
    let (code, body) = api(&server, "status/tsdb", &[("limit", "1")]).await;
    let metrics = r#""seriesCountByMetricName":[{"name":"ups_load_ratio","value":2}]"#;
    assert!(code == 200 && body.contains(metrics), "{body}");
    let asked = [("query", "ups_load_ratio"), ("stats", "all")];
    let (code, body) = api(&server, "query", &asked).await;
    assert!(code == 200 && body.contains(r#""stats":{"timings":{"evalTotalTime":"#), "{body}");
    assert!(body.contains(r#""totalQueryableSamples":"#), "{body}");
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_can_read_that() {
    let server = server().await;
    let path = "/api/v1/status/flags";
    for (accepts, packed) in [("gzip", true), ("identity", false)] {
        let head = format!("GET {path} HTTP/1.1\r\nAccept-Encoding: {accepts}");
        let (code, head, _) = ask(&server, &head, "").await;
        assert_eq!(code, 200);
        assert_eq!(head.to_lowercase().contains("content-encoding: gzip"), packed, "{head}");
    }
}

#[tokio::test]
async fn the_admin_api_is_for_programs_on_this_machine() {
    let server = server().await;
    let delete = "POST /api/v1/admin/tsdb/delete_series?match[]=ups_load_ratio HTTP/1.1";
    for foreign in [
        "Origin: http://evil.example",
        "X-Forwarded-For: 10.0.0.1",
        "Sec-Fetch-Site: none",
        "Host: evil.example",
    ] {
        let (code, _, body) = ask(&server, &format!("{delete}\r\n{foreign}"), "").await;
        assert!(code == 403 && body.contains(r#""errorType":"forbidden""#), "{code} {body}");
    }
    // Who was refused is counted, for rules.
    let (_, metrics) = get(&server, "/metrics").await;
    let counted = "hallwatch_collector_logins_refused_total{interface=\"admin\"} 4\n";
    assert!(metrics.contains(counted), "{metrics}");
    let (code, body) = get(&server, "/api/v1/admin/tsdb/delete_series?match[]=up").await;
    assert_eq!(code, 405, "{body}");
    let (code, _, body) = ask(&server, "POST /api/v1/admin/tsdb/delete_series HTTP/1.1", "").await;
    assert!(code == 400 && body.contains("no match[] parameter provided"), "{body}");
    assert_eq!(get(&server, "/api/v1/admin/tsdb/deletions").await, ok("[]"));
}
