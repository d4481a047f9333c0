//! Every query of every dashboard, on the collector and on VictoriaMetrics fed by the sink.

use std::time::Duration;

use hallwatch_model::vocabulary;
use hallwatch_tests::peers::VictoriaMetrics;
use hallwatch_tests::prometheus;
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;
use serde_json::Value as Json;

fn dashboard() -> Json {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/noc-overview.json");
    let text = std::fs::read_to_string(path).expect("the dashboard");
    serde_json::from_str(&text).expect("JSON")
}

/// Panel titles and queries, with Grafana's variables filled in.
fn queries(dashboard: &Json) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut queries = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().expect("an expression");
            let expr = expr.replace("$site", ".*").replace("$__rate_interval", "1m");
            assert!(!expr.contains('$'), "a variable that is not known here: {expr}");
            queries.push((panel["title"].as_str().expect("a title").to_owned(), expr));
        }
    }
    queries
}

#[test]
fn they_use_the_vocabulary_and_explain_themselves() {
    let dashboard = dashboard();
    assert!(queries(&dashboard).len() >= 20);
    for (title, expr) in queries(&dashboard) {
        let known = vocabulary::METRICS.iter().any(|metric| expr.contains(metric.name));
        assert!(known, "{title} queries no metric of the vocabulary: {expr}");
    }
    let mut ids = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        ids.push(panel["id"].as_u64().expect("an id"));
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().is_some_and(|d| d.ends_with('.')), "{panel}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "two panels have one id");
}

#[test]
fn the_provisioning_names_what_is_there() {
    let read = |path: &str| {
        let path = format!("{}/../dashboards/provisioning/{path}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        serde_saphyr::from_str::<Json>(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    let source = &read("datasources/hallwatch.yaml")["datasources"][0];
    assert_eq!(source["type"], "prometheus");
    assert_eq!(source["uid"], "hallwatch");
    let variables = dashboard()["templating"]["list"].as_array().expect("variables").clone();
    assert_eq!(variables[0]["current"]["value"], source["uid"]);
    let provider = &read("dashboards/hallwatch.yaml")["providers"][0];
    assert_eq!(provider["type"], "file");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_has_a_finite_answer_on_both_stores() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = VictoriaMetrics::start(directory.path()).await;
    let site = Site::start(Options { sink: Some(database.url()), ..Options::default() }).await;
    // Something must fire for the table of firing alerts.
    site.cause("utility-off").await;
    site.reads(r#"ALERTS{alertname="UtilityLost",alertstate="firing"}"#, Duration::from_secs(60))
        .await;
    for (title, expr) in queries(&dashboard()) {
        for base in [site.api.clone(), database.url()] {
            let what = format!("{title}: an answer of {base} to {expr}");
            let series = wait_for(&what, Duration::from_secs(60), async || {
                let answer = prometheus::try_query(&base, &expr).await;
                answer.ok().filter(|series| !series.is_empty())
            })
            .await;
            for one in series {
                assert!(one.last().is_finite(), "{title}: {base}: {one:?}");
            }
        }
    }
}
