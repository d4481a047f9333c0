//! What comes over the broker from whoever: counted, logged once in a while, never stored, never
//! fatal.

use std::time::Duration;

use bytes::Bytes;
use hallwatch_link::{Event, Message, Options as LinkOptions};
use hallwatch_model::batch::{Batch, Reading, Readings, SeriesId};
use hallwatch_model::{Timestamp, wire};
use hallwatch_tests::prometheus::{self, http};
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;

const TIMES: u64 = 200;

fn batch(boot: u64) -> Batch {
    let reading =
        Reading { series: SeriesId(1), time: Timestamp::from_millis(1), value: Ok(-12_345.0) };
    Batch {
        boot,
        seq: 1,
        oldest: 1,
        watermark: Timestamp::from_millis(1),
        backfill: false,
        sender: 0,
        readings: Readings { dictionary: 99, readings: vec![reading], ..Readings::default() },
    }
}

/// A counter of the collector about itself.
async fn counter(site: &Site, line: &str) -> f64 {
    let text = http().get(format!("{}/metrics", site.api)).send().await.expect("metrics");
    let text = text.text().await.expect("a text");
    let value = text.lines().find_map(|found| found.strip_prefix(line));
    value.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_must_not_count_are_counted_and_nothing_else() {
    let mut site = Site::start(Options::default()).await;
    let address = site.broker.address;
    let mut options = LinkOptions::new(&address.ip().to_string(), address.port(), "intruder");
    options.max_packet_bytes = 4 << 20;
    let (publisher, mut events) = hallwatch_link::open(options);
    while !matches!(events.next().await, Some(Event::Connected { .. })) {}
    tokio::spawn(async move { while events.next().await.is_some() {} });

    let valid = wire::encode_batch(&batch(7));
    let version_2 = [&[0x08, 2], valid.get(2..).expect("more")].concat();
    let oversized = vec![0; wire::MAX_MESSAGE_BYTES + 1];
    let own = "hallwatch/v1/acme/fra-1/gw-1";
    let cases: [(&str, String, &[u8], u64); 9] = [
        ("malformed", format!("{own}/data"), b"not a batch", TIMES),
        ("malformed", format!("{own}/describe/0"), &[0x08, 1, 0x22, 2, 1, 2], TIMES),
        ("malformed", format!("{own}/status"), &[0xff; 64], TIMES),
        ("empty", format!("{own}/data"), b"", TIMES),
        ("version", format!("{own}/data"), &version_2, TIMES),
        ("oversized", format!("{own}/data"), &oversized, 3),
        ("unknown_agent", "hallwatch/v1/acme/fra-1/gw-9/data".into(), &valid, TIMES),
        ("unknown_site", "hallwatch/v1/acme/ber-1/gw-1/data".into(), &valid, TIMES),
        ("unknown_tenant", "hallwatch/v1/evil/fra-1/gw-1/data".into(), &valid, TIMES),
    ];
    for (_, topic, payload, times) in &cases {
        for _ in 0..*times {
            let payload = Bytes::copy_from_slice(payload);
            let message = Message { topic: topic.clone(), payload, retain: false };
            publisher.publish(message).await.expect("an open link");
        }
    }
    for reason in [
        "malformed",
        "empty",
        "version",
        "oversized",
        "unknown_agent",
        "unknown_site",
        "unknown_tenant",
    ] {
        let sent: u64 = cases.iter().filter(|case| case.0 == reason).map(|case| case.3).sum();
        let line = format!("hallwatch_collector_messages_refused_total{{reason=\"{reason}\"}}");
        wait_for(&format!("{line} to be {sent}"), Duration::from_secs(30), async || {
            (counter(&site, &line).await == sent as f64).then_some(())
        })
        .await;
    }
    // A batch of series that nobody has described, under the agent's own name: not stored either.
    let message =
        Message { topic: format!("{own}/data"), payload: valid.clone().into(), retain: false };
    publisher.publish(message).await.expect("an open link");

    // Everything goes on, and nothing of it was stored.
    let patience = Duration::from_secs(30);
    let seen = site.reads("agent_watermark_seconds", patience).await[0].last();
    site.reads(&format!("agent_watermark_seconds > {seen}"), patience).await;
    assert!(site.collector.is_running());
    let tenants = prometheus::get(&site.api, "/api/v1/label/tenant/values", &[]).await;
    assert_eq!(tenants["data"], serde_json::json!(["acme"]));
    let sites = prometheus::get(&site.api, "/api/v1/label/site/values", &[]).await;
    assert_eq!(sites["data"], serde_json::json!(["fra-1"]));
    let strange = prometheus::query(&site.api, r#"{__name__=~".+"} == -12345"#).await;
    assert!(strange.is_empty(), "{strange:?}");

    // Once in a while: some lines for what came many hundreds of times.
    let output = site.collector.output();
    let refusals = output.lines().filter(|line| line.contains("refused")).count();
    assert!((1..=20).contains(&refusals), "{refusals} lines about refusals:\n{output}");
}
