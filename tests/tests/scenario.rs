//! What happens when the power goes: the right pages, in the right order, and their end.

use std::process::Command;
use std::time::Duration;

use hallwatch_tests::peers::program;
use hallwatch_tests::prometheus;
use hallwatch_tests::site::{Options, Site};

const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn utility_lost_and_the_generator_fails_to_start() {
    // At the speed of life: the delays of rules and plant have to fit each other.
    let site = Site::start(Options::default()).await;
    site.cause("generator-will-not-start").await;
    site.cause("utility-off").await;

    for name in ["UtilityLost", "UpsOnBattery", "GeneratorFailedToStart"] {
        let alert = site.pager.alert(name, "firing", PATIENCE).await;
        assert_eq!(alert["labels"]["site"], "fra-1", "{name}");
        assert_eq!(alert["labels"]["tenant"], "acme", "{name}");
        for annotation in ["summary", "description", "consequence", "action"] {
            let text = alert["annotations"][annotation].as_str().unwrap_or("");
            assert!(!text.is_empty(), "{name} does not say its {annotation}");
        }
    }
    let place = |name: &str| site.pager.place(name, "firing").expect("it fired");
    assert!(place("UtilityLost") < place("GeneratorFailedToStart"));
    assert!(place("UpsOnBattery") < place("GeneratorFailedToStart"));

    let alerts = prometheus::get(&site.api, "/api/v1/alerts", &[]).await;
    let alerts = alerts["data"]["alerts"].as_array().expect("alerts").clone();
    let firing = |name: &str| {
        alerts.iter().any(|a| a["labels"]["alertname"] == name && a["state"] == "firing")
    };
    assert!(firing("UtilityLost") && firing("UpsOnBattery"), "{alerts:?}");
    site.reads(r#"ALERTS{alertname="UtilityLost",alertstate="firing"} == 1"#, PATIENCE).await;

    site.pager.alert("GeneratorNotDelivering", "firing", PATIENCE).await;

    site.end("utility-off").await;
    site.end("generator-will-not-start").await;
    for name in ["UtilityLost", "UpsOnBattery", "GeneratorFailedToStart"] {
        let alert = site.pager.alert(name, "resolved", PATIENCE).await;
        assert_ne!(alert["endsAt"], "0001-01-01T00:00:00Z", "{name}");
    }
    let fired = |name: &str| {
        let alerts = site.pager.alerts();
        let of =
            |a: &&serde_json::Value| a["labels"]["alertname"] == name && a["status"] == "firing";
        let mut starts: Vec<String> =
            alerts.iter().filter(of).map(|a| format!("{}{}", a["labels"], a["startsAt"])).collect();
        starts.sort();
        starts.dedup();
        starts.len()
    };
    assert_eq!(fired("UtilityLost"), 1, "it fired more than once: {:?}", site.pager.alerts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generator_that_takes_over_is_no_failure() {
    let site = Site::start(Options { speed: 5, ..Options::default() }).await;
    site.cause("utility-off").await;
    site.pager.alert("LoadOnGenerator", "firing", PATIENCE).await;
    // Longer than the 30 s that a generator has, counted by the rule's clock.
    tokio::time::sleep(Duration::from_secs(35)).await;
    for name in ["GeneratorNotDelivering", "GeneratorFailedToStart", "NoPowerSource"] {
        assert_eq!(site.pager.place(name, "firing"), None, "{name} fired");
    }
}

#[test]
fn the_shipped_rules_are_prometheus_rules() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../collector/rules");
    let files: Vec<_> = std::fs::read_dir(rules)
        .expect("collector/rules")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    let checked = Command::new(program("promtool", "prometheus"))
        .args(["check", "rules", "--lint=all", "--lint-fatal"])
        .args(&files)
        .output()
        .expect("promtool");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
