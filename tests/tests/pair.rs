//! Two collectors as a pair: one page per notification, whoever is killed or cut off; and a
//! collector that lost its disk is filled from the other.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hallwatch_collector::notify::pair::owns;
use hallwatch_tests::journal::stored;
use hallwatch_tests::pager::{Pager, now};
use hallwatch_tests::peers::{free_address, listens};
use hallwatch_tests::process::{Process, binary};
use hallwatch_tests::prometheus::{http, try_get, try_query};
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;
use serde_json::Value as Json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(90);
/// The wait for the owner, and what a loaded machine adds.
const TAKEOVER: Duration = Duration::from_secs(15 + 20);
const SECRET: &str = "a secret that both collectors have";

/// Alerts of many names, so that either collector owns some of them.
const NAMES: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

fn rules() -> String {
    let rule = |name: &&str| {
        format!("      - alert: {name}\n        expr: ats_source_available{{source=\"1\"}} == 0\n")
    };
    let rules: String = NAMES.iter().map(rule).collect();
    format!("groups:\n  - name: pair\n    rules:\n{rules}")
}

/// A way between two addresses that can be closed.
struct Gate {
    address: SocketAddr,
    open: Arc<AtomicBool>,
}

impl Gate {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let open = Arc::new(AtomicBool::new(true));
        let is_open = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let is_open = Arc::clone(&is_open);
                tokio::spawn(async move {
                    let closed = async {
                        while is_open.load(Ordering::SeqCst) {
                            sleep(Duration::from_millis(20)).await;
                        }
                    };
                    let pass = async {
                        if let Ok(mut outside) = TcpStream::connect(to).await {
                            // Whoever ends it, it is over.
                            let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                        }
                    };
                    tokio::select! {
                        () = closed => {}
                        () = pass => {}
                    }
                });
            }
        });
        Self { address, open }
    }

    fn set(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }
}

/// A site with two collectors.
struct Pair {
    site: Site,
    second: Process,
    second_listen: SocketAddr,
    gates: [Gate; 2],
}

impl Pair {
    async fn start(options: Options) -> Self {
        let mut site = Site::start(options).await;
        let path = site.directory().to_owned();
        let first_listen: SocketAddr =
            site.api.trim_start_matches("http://").parse().expect("an address");
        let second_listen = free_address();
        let gates = [Gate::start(second_listen).await, Gate::start(first_listen).await];
        std::fs::write(path.join("secret"), SECRET).expect("the secret");
        let peer = |id: &str, gate: &Gate| {
            format!(
                "\n[peer]\nid = \"{id}\"\nurl = \"http://{}\"\ntoken_file = \"secret\"\n",
                gate.address
            )
        };
        let file = path.join("collector.toml");
        let text = std::fs::read_to_string(&file).expect("collector.toml");
        std::fs::write(&file, format!("{text}{}", peer("c-2", &gates[0]))).expect("collector.toml");
        let text = text
            .replace("id = \"c-1\"", "id = \"c-2\"")
            .replace(&format!("{first_listen}"), &format!("{second_listen}"))
            .replace(
                &format!("{:?}", path.join("collector")),
                &format!("{:?}", path.join("second")),
            );
        std::fs::write(path.join("second.toml"), format!("{text}{}", peer("c-1", &gates[1])))
            .expect("second.toml");
        let file = path.join("agent.toml");
        let text = std::fs::read_to_string(&file).expect("agent.toml");
        let text = text.replace("[\"c-1\"]", "[\"c-1\", \"c-2\"]");
        std::fs::write(&file, text).expect("agent.toml");
        assert!(site.agent.terminate().await.success(), "{}", site.agent.output());
        assert!(site.collector.terminate().await.success(), "{}", site.collector.output());
        site.restart_collector();
        site.restart_agent();
        let second = start_second(&path);
        let pair = Self { site, second, second_listen, gates };
        pair.both_ready().await;
        pair
    }

    fn directory(&self) -> &Path {
        self.site.directory()
    }

    fn second_api(&self) -> String {
        format!("http://{}", self.second_listen)
    }

    fn restart_second(&mut self) {
        self.second = start_second(self.directory());
    }

    /// Both hear the agent, and each other, as of now: what they stored before does not count.
    async fn both_ready(&self) {
        let since = now().as_seconds();
        for (api, peer) in [(self.site.api.clone(), "c-2"), (self.second_api(), "c-1")] {
            let fresh = |series: &str| format!("({series} == 1 and timestamp({series}) > {since})");
            let peer = fresh(&format!("collector_peer_up{{peer=\"{peer}\"}}"));
            let expr = format!("{peer} and on() {}", fresh("device_up{device=\"ups-a\"}"));
            wait_for(&format!("{api}: {expr}"), PATIENCE, async || {
                try_query(&api, &expr).await.ok().filter(|series| !series.is_empty())
            })
            .await;
        }
    }

    async fn parts(&self, api: &str) -> Vec<Json> {
        let url = format!("{api}/readyz");
        let text = http().get(url).send().await.expect("readyz").text().await.expect("a body");
        let answer: Json = serde_json::from_str(&text).expect("JSON");
        answer["parts"].as_array().expect("parts").clone()
    }

    /// Each alert is told in this status, however often.
    async fn told(&self, names: &[&str], status: &str, from: usize, within: Duration) {
        let what = format!("pages that {names:?} are {status}");
        wait_for(&what, within, async || {
            names.iter().all(|name| count(&self.site.pager, name, status, from) > 0).then_some(())
        })
        .await;
    }
}

fn start_second(path: &Path) -> Process {
    let mut command = Command::new(binary("hallwatch-collector"));
    command.args(["run", "--config"]).arg(path.join("second.toml"));
    Process::start("second", path, command).expect("a second collector")
}

/// How often it was told from a page on.
fn count(pager: &Pager, name: &str, status: &str, from: usize) -> usize {
    let pages = pager.pages();
    let alerts = pages.iter().skip(from).filter_map(|(_, page)| page["alerts"].as_array());
    alerts
        .flatten()
        .filter(|alert| alert["labels"]["alertname"] == name && alert["status"] == status)
        .count()
}

fn owned_by_first(name: &str) -> bool {
    let group = ("pager".to_owned(), format!("{{alertname={name:?}, site=\"fra-1\"}}"));
    owns("c-1", "c-2", &group)
}

fn metric(text: &str, name: &str) -> f64 {
    let value = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
    text.lines().filter(|line| line.starts_with(name)).filter_map(value).sum()
}

async fn metrics(api: &str) -> String {
    let answer = http().get(format!("{api}/metrics")).send().await.expect("metrics");
    answer.text().await.expect("a body")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_for_each_alert_whoever_is_killed_or_cut_off() {
    let first: BTreeSet<bool> = NAMES.iter().map(|name| owned_by_first(name)).collect();
    assert_eq!(first.len(), 2, "each owns some");
    let options = Options { interval: "500ms".into(), rules: Some(rules()), ..Options::default() };
    let mut pair = Pair::start(options).await;

    // Both alive: each page once.
    pair.site.cause("utility-off").await;
    pair.told(&NAMES, "firing", 0, PATIENCE).await;
    // Longer than the wait for the owner.
    sleep(Duration::from_secs(18)).await;
    for name in NAMES {
        assert_eq!(count(&pair.site.pager, name, "firing", 0), 1, "{name}");
    }
    let (one, two) = (metrics(&pair.site.api).await, metrics(&pair.second_api()).await);
    let sum = |name: &str| metric(&one, name) + metric(&two, name);
    assert_eq!(sum("hallwatch_collector_peer_up"), 2.0);
    assert_eq!(sum("hallwatch_collector_takeovers_total"), 0.0);
    assert_eq!(sum("hallwatch_collector_notifications_suppressed_total"), 8.0, "{one}{two}");
    let parts = pair.parts(&pair.site.api).await;
    assert!(parts.iter().any(|part| part["part"] == "peer c-2" && part["ok"] == true), "{parts:?}");
    pair.site.end("utility-off").await;
    pair.told(&NAMES, "resolved", 0, PATIENCE).await;
    sleep(Duration::from_secs(18)).await;
    for name in NAMES {
        assert_eq!(count(&pair.site.pager, name, "resolved", 0), 1, "{name}");
    }

    // The owner of some is killed, then their time comes: the other pages.
    let from = pair.site.pager.pages().len();
    pair.second.kill();
    pair.site.cause("utility-off").await;
    pair.told(&NAMES, "firing", from, PATIENCE + TAKEOVER).await;
    let taken = metric(&metrics(&pair.site.api).await, "hallwatch_collector_takeovers_total");
    let owed = NAMES.iter().filter(|name| !owned_by_first(name)).count();
    assert_eq!(taken, f64::from(u32::try_from(owed).expect("a few")));
    // It comes back, and pages nothing of the old.
    pair.restart_second();
    pair.both_ready().await;
    sleep(Duration::from_secs(20)).await;
    for name in NAMES {
        assert_eq!(count(&pair.site.pager, name, "firing", from), 1, "{name}");
    }

    // Cut off from each other: at least one page of each.
    pair.gates.iter().for_each(|gate| gate.set(false));
    wait_for("both notice", PATIENCE, async || {
        let (one, two) = (metrics(&pair.site.api).await, metrics(&pair.second_api()).await);
        let up = metric(&one, "hallwatch_collector_peer_up")
            + metric(&two, "hallwatch_collector_peer_up");
        (up == 0.0).then_some(())
    })
    .await;
    let from = pair.site.pager.pages().len();
    pair.site.end("utility-off").await;
    pair.told(&NAMES, "resolved", from, PATIENCE).await;
    pair.gates.iter().for_each(|gate| gate.set(true));
    pair.both_ready().await;
    // Together again: one page of each.
    let from = pair.site.pager.pages().len();
    pair.site.cause("utility-off").await;
    pair.told(&NAMES, "firing", from, PATIENCE).await;
    sleep(Duration::from_secs(18)).await;
    for name in NAMES {
        assert_eq!(count(&pair.site.pager, name, "firing", from), 1, "{name}");
    }
}

fn run(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(binary("hallwatch-collector"));
    command.args(arguments).arg("--config").arg(config);
    command.output().expect("it starts")
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy);
    both.concat()
}

/// How many samples a run of `backfill` added.
fn added(output: &Output) -> u64 {
    assert!(output.status.success(), "{}", text(output));
    let text = text(output);
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "samples").unwrap_or_else(|| panic!("{text}"));
    words[at - 1].parse().unwrap_or_else(|_| panic!("{text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_lost_its_disk_is_filled_from_the_other() {
    let options = Options { interval: "500ms".into(), rules: Some(rules()), ..Options::default() };
    let mut pair = Pair::start(options).await;
    pair.site.cause("utility-off").await;
    pair.told(&NAMES, "firing", 0, PATIENCE).await;
    pair.site.end("utility-off").await;
    pair.told(&NAMES, "resolved", 0, PATIENCE).await;
    sleep(Duration::from_secs(20)).await;
    let (directory, config) = (pair.directory().to_owned(), pair.directory().join("second.toml"));
    let data: PathBuf = directory.join("second");
    pair.second.kill();
    std::fs::remove_dir_all(&data).expect("its data");
    let lost = now();
    pair.restart_second();
    pair.both_ready().await;
    let pages = pair.site.pager.pages().len();

    // Without the secret, nothing.
    let windows = format!("{}/api/v1/pair/windows", pair.site.api);
    let stranger = http().get(&windows).send().await.expect("an answer");
    assert_eq!(stranger.status(), 403);
    let stranger = http().get(&windows).header("authorization", "Bearer guessed");
    assert_eq!(stranger.send().await.expect("an answer").status(), 403);

    let from = pair.site.api.clone();
    // Cut off at once, then again from where it was.
    let mut command = Command::new(binary("hallwatch-collector"));
    command.args(["backfill", "--from", &from, "--config"]).arg(&config);
    let mut cut = Process::start("backfill", &directory, command).expect("it starts");
    sleep(Duration::from_millis(60)).await;
    cut.kill();
    let first = run(&["backfill", "--from", &from, "--since", "30d"], &config);
    assert!(added(&first) > 0 || cut.output().contains("missing"), "{}", text(&first));
    // Both go on: what the one stored a moment before the other is all there can be, and how much
    // that is the machine decides. Some time it is less than what a few seconds make.
    wait_for("a backfill that finds little", PATIENCE, async || {
        let again = run(&["backfill", "--from", &from], &config);
        (added(&again) < 2_000).then_some(())
    })
    .await;
    sleep(Duration::from_secs(18)).await;
    assert_eq!(pair.site.pager.pages().len(), pages, "no page for the past");

    // Everything that is over is the same in both, to the bit.
    assert!(pair.site.agent.terminate().await.success(), "{}", pair.site.agent.output());
    sleep(Duration::from_secs(2)).await;
    let third = run(&["backfill", "--from", &from], &config);
    added(&third);
    wait_for("a backfill that finds its own series only", PATIENCE, async || {
        let again = run(&["backfill", "--from", &from], &config);
        (added(&again) < 200).then_some(())
    })
    .await;
    assert!(pair.site.collector.terminate().await.success(), "{}", pair.site.collector.output());
    assert!(pair.second.terminate().await.success(), "{}", pair.second.output());
    let (one, two) = (stored(&directory.join("collector")), stored(&data));
    let (mut samples, mut old) = (0, 0);
    for (labels, times) in &one {
        let name = labels.name().unwrap_or_default();
        let device = labels.get("device").is_some() && !name.starts_with("ALERTS");
        let own = name.starts_with("completeness") || name.starts_with("gap");
        let Some(there) = two.get(labels) else {
            // Of its own series, those that began after the disk was lost are the other's.
            assert!(!device || own, "{labels} is missing");
            continue;
        };
        for (time, bits) in times {
            if device && !own {
                assert_eq!(there.get(time), Some(bits), "{labels} at {time}");
                samples += 1;
                old += usize::from(*time < lost.as_millis());
            }
        }
    }
    assert!(samples > 1_000 && old > 500, "{samples} samples, {old} of them lost and filled in");
    let before = one.iter().filter(|(labels, times)| {
        labels.name() == Some("agent_up") && times.keys().any(|time| *time < lost.as_millis())
    });
    for (labels, times) in before {
        let first = times.keys().next().expect("a time");
        assert!(two[labels].contains_key(first), "its own series of the past came along");
    }

    // A damaged chunk is fetched again.
    let broken = |path: &Path| {
        let file = rusqlite::Connection::open(path.join("store.sqlite")).expect("the store");
        let harm = "UPDATE chunk SET data = zeroblob(length(data)) WHERE rowid_of = 1";
        let harm = harm.replace(
            "WHERE rowid_of = 1",
            "WHERE (window, series) IN (SELECT window, series FROM chunk ORDER BY length(data) DESC LIMIT 3)",
        );
        assert_eq!(file.execute(&harm, []).expect("harm"), 3);
    };
    broken(&data);
    pair.site.restart_collector();
    listens(pair.site.api.trim_start_matches("http://").parse().expect("an address")).await;
    let verified = run(&["verify"], &config);
    assert_eq!(verified.status.code(), Some(1), "{}", text(&verified));
    let repaired = run(&["verify", "--repair", "--from", &from], &config);
    assert_eq!(repaired.status.code(), Some(0), "{}", text(&repaired));
    let mended = stored(&data);
    for (labels, times) in &two {
        if labels.get("device").is_some()
            && labels.name().is_some_and(|name| {
                !name.starts_with("ALERTS")
                    && !name.starts_with("completeness")
                    && !name.starts_with("gap")
            })
        {
            assert_eq!(mended.get(labels), Some(times), "{labels}");
        }
    }
    // And while it runs.
    broken(&data);
    pair.restart_second();
    listens(pair.second_listen).await;
    let repaired = run(&["verify", "--repair", "--from", &from], &config);
    assert_eq!(repaired.status.code(), Some(0), "{}", text(&repaired));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_ask_and_delete_while_the_collector_runs() {
    let site = Site::start(Options { interval: "500ms".into(), ..Options::default() }).await;
    let config = site.directory().join("collector.toml");
    site.reads("device_up{device=\"ups-a\"} == 1", PATIENCE).await;
    let asked = run(&["query", "device_up{device=\"ups-a\"}"], &config);
    assert!(asked.status.success() && text(&asked).contains("ups-a"), "{}", text(&asked));
    // Until the ledger has a row.
    site.reads("agent_up == 1", PATIENCE).await;
    let answer = http()
        .post(format!("{}/api/v1/admin/tsdb/delete_series?match[]=power_watts", site.api))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 204);
    assert!(answer.headers().contains_key("hallwatch-deletion"));
    let deleted = run(&["delete", "device_up{device=\"ups-b\"}"], &config);
    assert!(deleted.status.success(), "{}", text(&deleted));
    assert!(text(&deleted).contains("gone from the disk"), "{}", text(&deleted));
    let asked = try_get(&site.api, "/api/v1/admin/tsdb/deletions", &[]).await.expect("receipts");
    assert_eq!(asked["data"].as_array().map(Vec::len), Some(2), "{asked}");
    let gone = run(&["delete", "--tenant", "acme"], &config);
    assert!(gone.status.success(), "{}", text(&gone));
    let gaps = try_get(&site.api, "/api/v1/gaps", &[]).await.expect("gaps");
    assert_eq!(gaps["data"].as_array().map(Vec::len), Some(0), "{gaps}");
}
