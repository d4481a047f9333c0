//! Alertmanager as Debian ships it, two of them as a cluster: what both collectors of a pair tell
//! it leads to one page.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod peers;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_collector::config::{Config, Disk, parse};
use hallwatch_collector::notify::delivery::{Backoff, Verdict};
use hallwatch_collector::notify::io::{Report, Sender};
use hallwatch_collector::notify::{Channel, Options, Receiver, Router};
use hallwatch_collector::rules::{
    Alert, AlertState, Cause, Evaluation, Memory, Reason, Transition,
};
use hallwatch_collector::state::State;
use hallwatch_config::Source;
use hallwatch_model::{Labels, Timestamp};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use peers::{Peer, Told, alertmanager, eventually, free_port, http, listener};

/// Longer than an Alertmanager waits for the other one, groups, and gossips: what is sent twice is
/// sent within this time.
const QUIET: Duration = Duration::from_secs(8);

#[expect(clippy::disallowed_methods, reason = "Alertmanager judges by the real clock")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(0) + since
}

fn transition(device: &str, to: AlertState, at: Timestamp) -> Transition {
    let labels =
        Labels::from_pairs([("alertname", "UpsOnBattery"), ("device", device), ("site", "fra-1")]);
    let from = if to == AlertState::Firing { AlertState::Pending } else { AlertState::Firing };
    let reason = Reason::HeldFor(Duration::ZERO);
    let alert = Alert {
        annotations: vec![
            ("summary".into(), format!("UPS {device} \"on\" battery")),
            ("runbook_url".into(), "/runbooks/UpsOnBattery.md".into()),
        ],
        state: to,
        value: 1.0,
        active_at: at,
        fired_at: Some(at),
        resolved_at: (to == AlertState::Resolved).then_some(at),
        held: None,
        reason: reason.to_string(),
        keep_firing_since: None,
        paused: Duration::ZERO,
        result: labels.clone(),
        inputs: Vec::new(),
        memory: Memory::default(),
        labels,
    };
    let (rule, query) = ("g/UpsOnBattery".into(), "ups_on_battery == 1".into());
    Transition { rule, query, alert, from, to, reason, at }
}

/// What a collector has between its rules and the network.
struct Notifier {
    router: Router,
    state: Arc<Mutex<State>>,
    sender: Sender,
    reports: mpsc::Receiver<Report>,
}

impl Notifier {
    /// Opens what the folder has of it.
    fn open(folder: &Path, urls: &[String], external_url: &str) -> Self {
        let timeout = Duration::from_secs(5);
        let channel = Channel::Alertmanager { urls: urls.to_vec(), timeout };
        let receivers = vec![Receiver { name: "am".into(), send_resolved: true, channel }];
        let state = State::open(folder).unwrap();
        let options = Options { external_url: external_url.into(), ..Options::default() };
        let router = Router::new(options, &receivers, state.told().unwrap());
        let state = Arc::new(Mutex::new(state));
        let (first, longest) = (Duration::from_millis(50), Duration::from_millis(200));
        let backoff = Backoff { first, longest, ..Backoff::default() };
        let (report, reports) = mpsc::channel(100);
        let sender = Sender::start(receivers, Arc::clone(&state), backoff, report, None).unwrap();
        Self { router, state, sender, reports }
    }

    /// Tells of a change, as the thread of the rules does.
    fn tell(&mut self, transition: &Transition) {
        let notifications = self.router.handle(std::slice::from_ref(transition), now());
        let mut state = self.state.lock().unwrap();
        state.commit(&Evaluation::default(), &mut self.router, &notifications).unwrap();
        drop(state);
        self.sender.wake();
    }

    fn pending(&self) -> usize {
        self.state.lock().unwrap().pending().unwrap().len()
    }

    async fn stop(self) {
        self.sender.stop(Duration::from_secs(5)).await;
    }
}

struct Cluster {
    peers: Vec<Peer>,
    urls: Vec<String>,
    pages: Told,
}

/// Two that know each other and send pages to one listener.
async fn cluster(folder: &Path) -> Cluster {
    let (pager, pages) = listener(|_| (200, "ok")).await;
    let gossip = [free_port(), free_port()];
    let mut peers = Vec::new();
    for (own, other) in [(0, 1), (1, 0)] {
        let folder = folder.join(format!("am-{own}"));
        std::fs::create_dir(&folder).unwrap();
        peers.push(alertmanager(&folder, pager, Some((gossip[own], gossip[other]))));
    }
    for peer in &peers {
        let address = SocketAddr::from(([127, 0, 0, 1], peer.port));
        eventually("the two Alertmanagers know each other", async || {
            let (_, body) = http(address, "GET", "/api/v2/status").await?;
            let status: Value = serde_json::from_str(&body).ok()?;
            let cluster = &status["cluster"];
            (cluster["status"] == "ready" && cluster["peers"].as_array()?.len() == 2).then_some(())
        })
        .await;
    }
    let urls = peers.iter().map(|peer| format!("http://127.0.0.1:{}", peer.port)).collect();
    Cluster { peers, urls, pages }
}

/// Status and devices of each page.
fn paged(pages: &Told) -> Vec<(String, Vec<String>)> {
    let pages = pages.lock().unwrap();
    let page = |(_, body): &(String, String)| {
        let page: Value = serde_json::from_str(body).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let alerts = page["alerts"].as_array().unwrap().iter();
        (text(&page["status"]), alerts.map(|alert| text(&alert["labels"]["device"])).collect())
    };
    pages.iter().map(page).collect()
}

async fn exactly(pages: &Told, expected: &[(&str, &[&str])]) {
    let expected: Vec<(String, Vec<String>)> = expected
        .iter()
        .map(|(status, devices)| {
            ((*status).to_owned(), devices.iter().map(|device| (*device).to_owned()).collect())
        })
        .collect();
    eventually(&format!("{expected:?}"), async || {
        (paged(pages).len() >= expected.len()).then_some(())
    })
    .await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(paged(pages), expected);
}

/// What `amtool alert query` shows.
fn query(url: &str) -> Vec<Value> {
    let amtool = Command::new("amtool")
        .args(["alert", "query", "--output=json", &format!("--alertmanager.url={url}")])
        .output()
        .expect("cannot start amtool: apt install prometheus-alertmanager");
    assert!(amtool.status.success(), "{}", String::from_utf8_lossy(&amtool.stderr));
    serde_json::from_slice::<Option<Vec<Value>>>(&amtool.stdout).unwrap().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_sends_one_page_even_when_an_alertmanager_dies() {
    let folder = tempfile::tempdir().unwrap();
    let Cluster { mut peers, urls, pages } = cluster(folder.path()).await;
    let mut pair = ["c-1", "c-2"].map(|name| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        Notifier::open(&folder, &urls, "https://hall.example.net/")
    });

    for notifier in &mut pair {
        notifier.tell(&transition("ups-a", AlertState::Firing, now()));
    }
    exactly(&pages, &[("firing", &["ups-a"])]).await;
    for url in &urls {
        let alerts = query(url);
        assert_eq!(alerts.len(), 1, "{url}: {alerts:?}");
        let (labels, annotations) = (&alerts[0]["labels"], &alerts[0]["annotations"]);
        assert_eq!(labels.as_object().unwrap().len(), 3, "none says which collector: {labels}");
        assert_eq!(annotations["summary"], "UPS ups-a \"on\" battery");
        let runbook = "https://hall.example.net/runbooks/UpsOnBattery.md";
        assert_eq!(annotations["runbook_url"], runbook);
        let generator = alerts[0]["generatorURL"].as_str().unwrap();
        assert!(generator.starts_with("https://hall.example.net/graph?g0.expr=ups"), "{generator}");
    }

    // Nothing is known of it any more: it fires still.
    for notifier in &mut pair {
        let mut held = transition("ups-a", AlertState::Firing, now());
        held.from = AlertState::Firing;
        held.reason = Reason::Held(Cause::InputsGone(Vec::new()));
        notifier.tell(&held);
        assert_eq!(notifier.pending(), 0, "all was delivered, and there is nothing new");
    }
    assert_eq!(query(&urls[0]).len(), 1);

    for notifier in &mut pair {
        notifier.tell(&transition("ups-a", AlertState::Resolved, now()));
    }
    let firing = ("firing", &["ups-a"] as &[&str]);
    exactly(&pages, &[firing, ("resolved", &["ups-a"])]).await;
    assert!(query(&urls[1]).is_empty());

    drop(peers.remove(0));
    for notifier in &mut pair {
        notifier.tell(&transition("ups-b", AlertState::Firing, now()));
    }
    exactly(&pages, &[firing, ("resolved", &["ups-a"]), ("firing", &["ups-b"])]).await;
    for mut notifier in pair {
        assert_eq!(notifier.pending(), 0, "one of the two has it");
        let dead = format!("am ({})", urls[0]);
        let mut failed = false;
        while let Ok(report) = notifier.reports.try_recv() {
            failed |= report.receiver == dead && matches!(report.verdict, Verdict::Retry { .. });
        }
        assert!(failed, "and it is known that the other has not");
        notifier.stop().await;
    }
}

/// An Alertmanager that is not there for some time, and then keeps what it is told.
async fn posts(port: u16) -> Told {
    let (_, told) = peers::listener_on(port, |_| (200, "")).await;
    told
}

fn told(posts: &Told) -> Vec<(String, bool)> {
    let posts = posts.lock().unwrap();
    let mut all = Vec::new();
    for (request, body) in posts.iter() {
        assert!(request.starts_with("post /prefix/api/v2/alerts "), "{request}");
        for alert in serde_json::from_str::<Vec<Value>>(body).unwrap() {
            let device = alert["labels"]["device"].as_str().unwrap().to_owned();
            // What fires ends in four minutes.
            let soon = (now() + Duration::from_secs(60)).to_string();
            all.push((device, alert["endsAt"].as_str().unwrap() > soon.as_str()));
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_nobody_listened_is_told_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let urls = [format!("http://127.0.0.1:{port}/prefix/")];
    let mut notifier = Notifier::open(folder.path(), &urls, "");
    for (device, to) in [
        ("ups-a", AlertState::Firing),
        ("ups-b", AlertState::Firing),
        ("ups-a", AlertState::Resolved),
    ] {
        notifier.tell(&transition(device, to, now()));
    }
    let report = tokio::time::timeout(peers::PATIENCE, notifier.reports.recv()).await.unwrap();
    let report = report.unwrap();
    assert!(matches!(report.verdict, Verdict::Retry { .. }), "{report:?}");
    assert_eq!(report.receiver, "am");
    notifier.stop().await;

    let notifier = Notifier::open(folder.path(), &urls, "");
    assert_eq!(notifier.pending(), 1);
    let posts = posts(port).await;
    let expected = [("ups-a".to_owned(), false), ("ups-b".to_owned(), true)];
    eventually("both are told of", async || (told(&posts).len() >= 2).then_some(())).await;
    assert_eq!(told(&posts), expected);
    eventually("the outbox is empty", async || (notifier.pending() == 0).then_some(())).await;
    notifier.stop().await;
}

/// In real time: after five minutes of silence Alertmanager would take it for resolved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fires_is_told_every_minute_though_nothing_is_known_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (address, posts) = listener(|_| (200, "")).await;
    let urls = [format!("http://{address}/prefix")];
    let mut notifier = Notifier::open(folder.path(), &urls, "");
    let began = now();
    notifier.tell(&transition("ups-a", AlertState::Firing, began));
    let mut held = transition("ups-a", AlertState::Firing, began);
    held.from = AlertState::Firing;
    held.reason = Reason::Held(Cause::InputsGone(Vec::new()));
    notifier.tell(&held);
    while told(&posts).len() < 2 {
        assert!(now().since(began) < Duration::from_secs(120), "not told again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(now().since(began) >= Duration::from_secs(59), "and not more often");
    assert!(told(&posts).iter().all(|(_, fires)| *fires), "{posts:?}");
    let end = |post: usize| {
        let posts = posts.lock().unwrap();
        let alerts: Vec<Value> = serde_json::from_str(&posts[post].1).unwrap();
        alerts[0]["endsAt"].as_str().unwrap().to_owned()
    };
    assert!(end(0) > (began + Duration::from_secs(180)).to_string(), "{}", end(0));
    assert!(end(1) > (began + Duration::from_secs(290)).to_string(), "{}", end(1));
    notifier.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_given_up_and_does_not_hold_up_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let (address, posts) = listener(|_| (400, "no")).await;
    let urls = [format!("http://{address}/prefix")];
    let mut notifier = Notifier::open(folder.path(), &urls, "");
    for (count, device) in [(1, "ups-a"), (2, "ups-b")] {
        notifier.tell(&transition(device, AlertState::Firing, now()));
        let report = tokio::time::timeout(peers::PATIENCE, notifier.reports.recv()).await.unwrap();
        let Verdict::GivenUp { error } = report.unwrap().verdict else { panic!() };
        assert!(error.contains("400"), "{error}");
        assert_eq!(notifier.pending(), 0);
        assert_eq!(notifier.state.lock().unwrap().failures().unwrap().len(), count);
    }
    assert_eq!(told(&posts).len(), 2, "each was sent once, and not in a hurry again");
    notifier.stop().await;
}

#[test]
fn a_receiver_that_becomes_an_alertmanager_or_is_one_no_more_loses_no_alert() {
    let webhook = |name: &str| {
        let channel = Channel::Webhook { url: "x".into(), timeout: Duration::from_secs(1) };
        Receiver { name: name.into(), send_resolved: true, channel }
    };
    let am = |name: &str| {
        let channel =
            Channel::Alertmanager { urls: vec!["x".into()], timeout: Duration::from_secs(1) };
        Receiver { name: name.into(), send_resolved: true, channel }
    };
    let options = Options { group_wait: Duration::ZERO, ..Options::default() };
    let start = now();
    let mut router = Router::new(options.clone(), &[webhook("noc")], Vec::new());
    assert_eq!(router.handle(&[transition("a", AlertState::Firing, start)], start).len(), 1);

    let router = Router::new(options.clone(), &[am("noc")], router.save());
    let saved = router.save();
    assert_eq!((saved.len(), saved[0].alerts.len()), (1, 1));

    let mut router = Router::new(options, &[webhook("noc"), am("new")], saved);
    assert_eq!(router.save().iter().map(|group| group.alerts.len()).sum::<usize>(), 2);
    let later = start + Duration::from_secs(3600);
    let firing = router.tick(later);
    assert_eq!(firing.len(), 1, "in doubt it is told twice");
    let resolved = router.handle(&[transition("a", AlertState::Resolved, later)], later);
    assert_eq!(resolved.len(), 1, "to Alertmanager at once: {resolved:?}");
    let later = later + Duration::from_secs(2 * 3600);
    assert_eq!(router.tick(later).len(), 1, "to the webhook after its interval");
    assert!(router.tick(later + Duration::from_secs(3600)).is_empty());
    assert!(router.save().is_empty(), "nothing is kept for ever");
}

const RULES: &str = "groups: [{name: g, rules: [{alert: Always, expr: vector(1),
    annotations: {runbook_url: /runbooks/Always.md}}]}]";

fn config(folder: &Path, id: &str, urls: &[String]) -> Config {
    let folder = folder.join(id);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("rules.yaml"), RULES).unwrap();
    let text = format!(
        "collector = {{ id = '{id}', data = 'data', external_url = 'https://{id}.example.net' }}
         broker = {{ url = 'mqtt://127.0.0.1:{}' }}
         site = [{{ id = 'fra-1', tenant = 'acme', agents = ['gw-1'] }}]
         rules = {{ files = ['rules.yaml'], interval = '200ms' }}
         receiver = [{{ name = 'am', alertmanager = {{ urls = {urls:?}, timeout = '5s' }} }}]",
        free_port()
    );
    parse(&Source::new("collector.toml", text), &folder, &Disk).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_whole_collectors_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (pager, pages) = listener(|_| (200, "ok")).await;
    let manager = alertmanager(folder.path(), pager, None);
    let urls = [format!("http://127.0.0.1:{}", manager.port)];
    let mut running = Vec::new();
    for id in ["c-1", "c-2"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let config = config(folder.path(), id, &urls);
        let task = tokio::spawn(hallwatch_collector::run(config, listener, async {
            drop(stopped.await);
        }));
        running.push((address, stop, task));
    }
    for (address, ..) in &running {
        eventually("the collector says that Alertmanager has it", async || {
            let (_, body) = http(*address, "GET", "/readyz").await?;
            body.contains("receiver am").then_some(())
        })
        .await;
    }
    eventually("a page", async || (!pages.lock().unwrap().is_empty()).then_some(())).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(pages.lock().unwrap().len(), 1, "one page of two collectors");
    let alerts = query(&urls[0]);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let runbook = alerts[0]["annotations"]["runbook_url"].as_str().unwrap();
    assert!(runbook.ends_with(".example.net/runbooks/Always.md"), "{runbook}");
    for (_, stop, task) in running {
        stop.send(()).unwrap();
        tokio::time::timeout(peers::PATIENCE, task).await.expect("in time").unwrap().unwrap();
    }
}
