//! The main path: a register is a sample, here and in the long-term store.

use std::time::Duration;

use hallwatch_tests::peers::VictoriaMetrics;
use hallwatch_tests::prometheus::{self, http};
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_register_is_a_sample_in_the_store_and_in_victoria_metrics() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = VictoriaMetrics::start(directory.path()).await;
    let site = Site::start(Options { sink: Some(database.url()), ..Options::default() }).await;

    // Raritan PX3, voltage of inlet 1: a float of two registers at 12296. 231.25 is 0x43674000.
    site.set_register("pdu-a1", 12_296, 0x4367).await;
    site.set_register("pdu-a1", 12_297, 0x4000).await;
    // APC Smart-UPS, charge of the battery: register 130 in 1/512 of a percent. 75 % is 38,400.
    site.set_register("ups-a", 130, 38_400).await;

    let voltage = r#"pdu_inlet_voltage_volts{device="pdu-a1"} == 231.25"#;
    let charge = r#"ups_battery_charge_ratio{device="ups-a"} == 0.75"#;
    for (expr, labels) in [
        (
            voltage,
            vec![
                ("__name__", "pdu_inlet_voltage_volts"),
                ("device", "pdu-a1"),
                ("feed", "A"),
                ("inlet", "1"),
                ("rack", "r01"),
                ("room", "hall-1"),
                ("site", "fra-1"),
                ("tenant", "acme"),
            ],
        ),
        (
            charge,
            vec![
                ("__name__", "ups_battery_charge_ratio"),
                ("device", "ups-a"),
                ("feed", "A"),
                ("room", "plant"),
                ("site", "fra-1"),
                ("tenant", "acme"),
            ],
        ),
    ] {
        let here = site.reads(expr, PATIENCE).await;
        let there = wait_for(&format!("{expr} in VictoriaMetrics"), PATIENCE, async || {
            let answer = prometheus::try_query(&database.url(), expr).await;
            answer.ok().filter(|series| !series.is_empty())
        })
        .await;
        for (store, series) in [("the collector", here), ("VictoriaMetrics", there)] {
            assert_eq!(series.len(), 1, "{store}: {series:?}");
            let mut found: Vec<(&str, &str)> = series[0]
                .labels
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().expect("a text")))
                .collect();
            found.sort_unstable();
            assert_eq!(found, labels, "{store}");
        }
    }

    // The unit is declared, and nothing that was written was refused.
    let metadata = prometheus::get(&site.api, "/api/v1/metadata", &[]).await;
    assert_eq!(metadata["data"]["pdu_inlet_voltage_volts"][0]["unit"], "volts");
    let metrics = http().get(format!("{}/metrics", database.url())).send().await;
    let metrics = metrics.expect("metrics").text().await.expect("a text");
    let invalid: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("vm_rows_invalid_total")).collect();
    assert!(!invalid.is_empty(), "VictoriaMetrics does not count invalid rows any more");
    assert!(invalid.iter().all(|line| line.ends_with(" 0")), "{invalid:?}");
}
