//! How long it takes from a changed register to a page: the wait for the next poll, and the rest.
//!
//! `cargo build --release --bins && cargo run --release -p hallwatch-tests --bin bench -- [ROUNDS]`

use std::time::Duration;

use hallwatch_model::Timestamp;
use hallwatch_tests::pager::now;
use hallwatch_tests::prometheus;
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;

const RULES: &str = r#"
groups:
  - name: bench
    rules:
      - alert: InletDead
        expr: pdu_inlet_voltage_volts{device="pdu-a1"} < 100
        labels: { severity: critical }
        annotations: { summary: no voltage }
"#;

/// Raritan PX3, voltage of inlet 1: the upper half of a float, of 230 V and of 0 V.
const REGISTER: u16 = 12_296;
const ALIVE: u16 = 0x4366;
const DEAD: u16 = 0;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(30);
    let site = Site::start(Options { rules: Some(RULES.to_owned()), ..Options::default() }).await;
    let mut poll = Vec::new();
    let mut rest = Vec::new();
    for round in 0..rounds {
        site.set_register("pdu-a1", REGISTER, ALIVE).await;
        site.reads(r#"pdu_inlet_voltage_volts{device="pdu-a1"} > 200"#, Duration::from_secs(20))
            .await;
        // What fires again before its end was told is, as in Alertmanager, no new page.
        wait_for("calm", Duration::from_secs(30), async || {
            let pages = site.pager.pages();
            let ended = pages.iter().filter(|(_, page)| page["status"] == "resolved").count();
            (ended == round).then_some(())
        })
        .await;
        // Until the group of the last page is gone, and not in step with the polls: what is
        // measured is the first page, not the interval of a group's next one.
        tokio::time::sleep(Duration::from_millis(11_000 + (round as u64 * 137) % 1000)).await;
        let before = site.pager.pages().len();
        let changed = now();
        site.set_register("pdu-a1", REGISTER, DEAD).await;
        let paged = wait_for("a page", Duration::from_secs(20), async || {
            let pages = site.pager.pages();
            let page = pages.iter().skip(before).find(|(_, page)| page["status"] == "firing");
            page.map(|(arrived, _)| *arrived)
        })
        .await;
        let series =
            prometheus::query(&site.api, r#"pdu_inlet_voltage_volts{device="pdu-a1"}[30s]"#);
        let read = series.await[0]
            .samples
            .iter()
            .find(|(time, value)| *value < 100.0 && Timestamp::from_seconds(*time) >= changed)
            .map(|(time, _)| Timestamp::from_seconds(*time))
            .expect("the reading that paged");
        poll.push(read.since(changed));
        rest.push(paged.since(read));
    }
    println!("from register change to webhook, {rounds} rounds, devices read every second");
    println!("{:<34}{:>9}{:>9}{:>9}", "", "p50", "p90", "max");
    for (name, times) in [("waiting for the next poll", &mut poll), ("reading to page", &mut rest)]
    {
        times.sort();
        let at = |part: usize| format!("{} ms", times[(times.len() - 1) * part / 100].as_millis());
        println!("{name:<34}{:>9}{:>9}{:>9}", at(50), at(90), at(100));
    }
}
