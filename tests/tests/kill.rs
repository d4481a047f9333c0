//! kill -9 of each process in turn, under load: what the agent had journalled is in the store,
//! once, with the right value.

use std::time::Duration;

use hallwatch_tests::complete::{Complete, complete};
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

    let Complete { journal, series, readings } = complete(&mut site).await;
    assert_eq!(journal.runs(), 5, "every start of the agent is a run of its own");
    assert_eq!(journal.gaps(), 0);
    assert!(series > 200, "{series} series");
    assert!(readings > 2_000, "{readings} readings are not much of a load");
    println!("{readings} readings of {series} series, all there");
}
