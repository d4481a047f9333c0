//! kill -9 of each process in turn, under load: what the agent had journalled is in the store,
//! once, with the right value.

use std::time::Duration;

use hallwatch_tests::journal::{Journal, stored};
use hallwatch_tests::pager::now;
use hallwatch_tests::site::{Options, Site};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_journalled_is_missing_after_kills_of_every_process() {
    let options = Options { interval: "200ms".into(), keep: "1h".into(), ..Options::default() };
    let mut site = Site::start(options).await;
    for round in 0..3 {
        // Not always at the same point of a cycle.
        let pause = Duration::from_millis(1_500 + 370 * round);
        sleep(pause).await;
        site.collector.kill();
        sleep(pause).await;
        site.restart_collector();
        sleep(pause).await;
        site.agent.kill();
        sleep(Duration::from_millis(200)).await;
        site.restart_agent();
        sleep(pause).await;
        site.broker.kill_and_restart().await;
        sleep(pause).await;
    }

    // The agent keeps its journal to itself while it runs.
    assert!(site.agent.terminate().await.success(), "{}", site.agent.output());
    let last = Journal::open(&site.journal()).newest();
    site.restart_agent();

    // The path is alive, not only drained.
    let patience = Duration::from_secs(30);
    let seen = site.reads("agent_watermark_seconds", patience).await[0].last();
    site.reads(&format!("agent_watermark_seconds > {seen}"), patience).await;
    let started = now().as_seconds();
    let drained =
        format!("agent_journal_backlog < 5 and timestamp(agent_journal_backlog) > {started}");
    site.reads(&drained, Duration::from_secs(60)).await;
    assert!(site.agent.terminate().await.success(), "{}", site.agent.output());
    assert!(site.collector.terminate().await.success(), "{}", site.collector.output());

    let journal = Journal::open(&site.journal());
    assert_eq!(journal.owed(last), 0, "entries that the collector has not acknowledged");
    let journalled = journal.readings(last, "acme", "fra-1");
    let stored = stored(&site.directory().join("collector"));
    let mut count = 0;
    for (labels, readings) in &journalled {
        let kept = stored.get(labels).unwrap_or_else(|| panic!("{labels} is not in the store"));
        for (time, bits) in readings {
            assert_eq!(kept.get(time), Some(bits), "{labels} at {time}");
            count += 1;
        }
    }
    assert_eq!(journal.runs(), 5, "every start of the agent is a run of its own");
    assert_eq!(journal.gaps(), 0);
    assert!(journalled.len() > 200, "{} series", journalled.len());
    assert!(count > 20_000, "{count} readings are not much of a load");
    println!("{count} readings of {} series, all there", journalled.len());
}
