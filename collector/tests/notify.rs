//! From a changed alert to a message that arrives, over a real HTTP connection.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_collector::notify::delivery::{Backoff, Verdict};
use hallwatch_collector::notify::io::{Report, Sender};
use hallwatch_collector::notify::{Channel, Notification, Options, Receiver, Router, Why};
use hallwatch_collector::rules::{Alert, AlertState, Evaluation, Reason, Transition};
use hallwatch_collector::state::State;
use hallwatch_model::{Labels, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(second)
}

fn receiver(name: &str, url: &str, timeout: Duration) -> Receiver {
    let channel = Channel::Webhook { url: url.to_owned(), timeout };
    Receiver { name: name.to_owned(), send_resolved: true, channel }
}

fn options() -> Options {
    Options {
        group_wait: Duration::from_secs(10),
        group_interval: Duration::from_secs(60),
        repeat_interval: Duration::from_secs(3600),
        external_url: "http://collector:8600".into(),
        ..Options::default()
    }
}

fn transition(name: &str, device: &str, to: AlertState, second: u64) -> Transition {
    let labels = Labels::from_pairs([("alertname", name), ("device", device), ("site", "fra-1")]);
    let from = if to == AlertState::Firing { AlertState::Pending } else { AlertState::Firing };
    let reason = Reason::HeldFor(Duration::ZERO);
    let alert = Alert {
        annotations: vec![("summary".into(), format!("{device} \"fails\"\n<b>"))],
        state: to,
        value: 1.0,
        active_at: at(0),
        fired_at: Some(at(5)),
        resolved_at: (to == AlertState::Resolved).then(|| at(second)),
        held: None,
        reason: reason.to_string(),
        keep_firing_since: None,
        paused: Duration::ZERO,
        result: labels.clone(),
        inputs: Vec::new(),
        memory: hallwatch_collector::rules::Memory::default(),
        labels,
    };
    let (rule, query) = ("g/A".into(), "up == 0".into());
    Transition { rule, query, alert, from, to, reason, at: at(second) }
}

fn told(notifications: &[Notification]) -> Vec<(String, usize, Why)> {
    notifications.iter().map(|n| (n.group_key.clone(), n.alerts.len(), n.why)).collect()
}

#[test]
fn groups_wait_and_repeat_as_in_alertmanager() {
    use AlertState::{Firing, Resolved};
    let nobody = receiver("noc", "http://127.0.0.1:1", PATIENCE);
    let mut router = Router::new(options(), std::slice::from_ref(&nobody), Vec::new());
    let key = r#"{}:{alertname="A", site="fra-1"}"#.to_owned();

    assert!(router.handle(&[transition("A", "a", Firing, 0)], at(0)).is_empty(), "it waits");
    assert!(router.handle(&[transition("A", "b", Firing, 5)], at(5)).is_empty());
    assert!(router.tick(at(9)).is_empty());
    assert_eq!(told(&router.tick(at(10))), [(key.clone(), 2, Why::First)]);
    assert!(
        router.handle(&[transition("A", "c", Firing, 20)], at(20)).is_empty(),
        "group_interval"
    );
    assert!(router.tick(at(69)).is_empty());
    assert_eq!(told(&router.tick(at(70))), [(key.clone(), 3, Why::New(1))]);
    assert!(router.handle(&[transition("A", "a", Resolved, 80)], at(80)).is_empty());
    let notifications = router.tick(at(130));
    assert_eq!(told(&notifications), [(key.clone(), 3, Why::Resolved(1))]);
    let ended: Vec<bool> = notifications[0].alerts.iter().map(|a| a.ends_at.is_some()).collect();
    assert_eq!(ended, [false, false, true], "those that fire come first");
    assert!(router.tick(at(190)).is_empty(), "nothing new");

    // A restart in between changes nothing.
    let mut router = Router::new(options(), std::slice::from_ref(&nobody), router.save());
    assert!(router.tick(at(190)).is_empty());
    assert!(router.tick(at(3700)).is_empty());
    let hour = at(3760).since(at(130));
    assert_eq!(told(&router.tick(at(3760))), [(key.clone(), 2, Why::Repeat(hour))]);

    let gone = [transition("A", "b", Resolved, 3770), transition("A", "c", Resolved, 3770)];
    assert!(router.handle(&gone, at(3770)).is_empty());
    assert_eq!(told(&router.tick(at(3820))), [(key, 2, Why::AllResolved)]);
    assert!(router.tick(at(3900)).is_empty());
    assert!(router.save().is_empty(), "nothing is kept of what is over");
}

#[test]
fn what_is_over_before_anyone_was_told_is_not_told() {
    let nobody = receiver("noc", "http://127.0.0.1:1", PATIENCE);
    let mut router = Router::new(options(), &[nobody], Vec::new());
    assert!(router.handle(&[transition("A", "a", AlertState::Firing, 0)], at(0)).is_empty());
    assert!(router.handle(&[transition("A", "a", AlertState::Resolved, 3)], at(3)).is_empty());
    assert!(router.tick(at(10)).is_empty());
    assert_eq!(router.decisions().len(), 1, "and why is known: {:?}", router.decisions());
    // Pending and held alerts are nobody's business.
    let mut held = transition("A", "a", AlertState::Firing, 20);
    held.from = AlertState::Firing;
    let pending = Transition { to: AlertState::Pending, ..held.clone() };
    assert!(router.handle(&[held, pending], at(20)).is_empty());
    assert_eq!(router.next(), None);
}

#[test]
fn an_alert_that_fires_while_it_is_grouped_otherwise_is_resolved_in_its_new_group() {
    use AlertState::{Firing, Resolved};
    let nobody = receiver("noc", "http://127.0.0.1:1", PATIENCE);
    let mut router = Router::new(options(), std::slice::from_ref(&nobody), Vec::new());
    assert!(router.handle(&[transition("A", "a", Firing, 0)], at(0)).is_empty());
    assert_eq!(router.tick(at(10)).len(), 1);

    let by_device = Options { group_by: vec!["device".into()], ..options() };
    let mut router = Router::new(by_device, &[nobody], router.save());
    let key = r#"{}:{device="a"}"#.to_owned();
    assert_eq!(told(&router.tick(at(100))), [(key.clone(), 1, Why::First)], "in doubt twice");
    assert!(router.handle(&[transition("A", "a", Resolved, 110)], at(110)).is_empty());
    assert_eq!(told(&router.tick(at(200))), [(key, 1, Why::AllResolved)]);
    assert!(router.tick(at(100_000)).is_empty(), "nobody is reminded of it for ever");
    assert!(router.save().is_empty());
}

/// The notification of one alert, decided at `at`.
fn notification(receiver: &Receiver, device: &str, at: Timestamp) -> (Router, Vec<Notification>) {
    let options = Options { group_wait: Duration::ZERO, ..options() };
    let mut router = Router::new(options, std::slice::from_ref(receiver), Vec::new());
    let notifications = router.handle(&[transition("A", device, AlertState::Firing, 0)], at);
    assert_eq!(notifications.len(), 1);
    (router, notifications)
}

fn put(state: &mut State, receiver: &Receiver, device: &str, at: Timestamp) {
    let (mut router, notifications) = notification(receiver, device, at);
    state.commit(&Evaluation::default(), &mut router, &notifications).unwrap();
}

#[test]
fn the_webhook_message_is_alertmanagers() {
    let (_, notifications) = notification(&receiver("noc", "x", PATIENCE), "a", at(0));
    let body = hallwatch_collector::notify::webhook::body(&notifications[0]).unwrap();
    let message: serde_json::Value = serde_json::from_str(&body).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&message).unwrap());
}

#[test]
fn the_outbox_and_what_was_told_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let noc = receiver("noc", "x", PATIENCE);
    {
        let mut state = State::open(dir.path()).unwrap();
        for device in ["a", "b"] {
            put(&mut state, &noc, device, at(0));
        }
        let first = state.next_message("noc").unwrap().unwrap();
        let retry = Verdict::Retry { at: at(9), error: "no".into() };
        state.attempted(first.id, &retry, at(1)).unwrap();
    }
    let mut state = State::open(dir.path()).unwrap();
    assert_eq!(state.pending().unwrap(), [("noc".to_owned(), 2)]);
    let first = state.next_message("noc").unwrap().unwrap();
    assert_eq!((first.attempts, first.due), (1, at(9)));
    assert!(first.body.contains("\"a\""));
    let mut router = Router::new(options(), std::slice::from_ref(&noc), state.told().unwrap());
    let again = router.handle(&[transition("A", "b", AlertState::Firing, 2)], at(70));
    assert!(again.is_empty(), "it was told of before: {again:?}");
    state.attempted(first.id, &Verdict::Delivered, at(9)).unwrap();
    let second = state.next_message("noc").unwrap().unwrap();
    assert!(second.body.contains("\"b\""), "in order");
    let verdict = Verdict::GivenUp { error: "never".into() };
    state.attempted(second.id, &verdict, at(10)).unwrap();
    assert_eq!(state.next_message("noc").unwrap(), None);
    let failures = state.failures().unwrap();
    assert_eq!((failures.len(), &*failures[0].error), (1, "never"), "it can be seen");
}

#[test]
fn a_queue_that_is_full_gives_up_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path()).unwrap();
    let noc = receiver("noc", "x", PATIENCE);
    let (mut router, one) = notification(&noc, "a", at(0));
    let many: Vec<Notification> = std::iter::repeat_n(one[0].clone(), 1003).collect();
    state.commit(&Evaluation::default(), &mut router, &many).unwrap();
    assert_eq!(state.pending().unwrap(), [("noc".to_owned(), 1000)]);
    assert_eq!(state.failures().unwrap().len(), 3);
    assert_eq!(state.next_message("noc").unwrap().unwrap().id, 4);
}

#[test]
fn a_damaged_state_is_put_aside_and_a_newer_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.sqlite");
    std::fs::write(
        &file,
        "this is not a database, and long enough to be taken for one. ".repeat(99),
    )
    .unwrap();
    let state = State::open(dir.path()).unwrap();
    assert_eq!(state.damaged(), Some(&*dir.path().join("state.sqlite.damaged")));
    assert!(state.alerts().unwrap().is_empty());
    drop(state);
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = State::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("version 99"), "{error}");
}

/// How a server answers a connection.
#[derive(Clone, Copy)]
enum Answer {
    /// With this status line and headers.
    Status(&'static str),
    /// With a body that never ends.
    Endless,
    /// Not at all.
    Hang,
    /// By closing the connection.
    Close,
}

/// A server that answers as told, one connection after the other, and gives away what it was sent.
async fn server(answers: &[Answer]) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/page", listener.local_addr().unwrap());
    let (bodies, received) = mpsc::channel(100);
    let mut answers: VecDeque<Answer> = answers.iter().copied().collect();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answers.pop_front().unwrap_or(Answer::Status("200 OK"));
            tokio::spawn(serve(stream, answer, bodies.clone()));
        }
    });
    (url, received)
}

async fn serve(mut stream: TcpStream, answer: Answer, bodies: mpsc::Sender<String>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                line.strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap() {
                bodies.send(body.to_owned()).await.unwrap();
                break;
            }
        }
        let count = stream.read(&mut buffer).await.unwrap();
        if count == 0 {
            return;
        }
        request.extend_from_slice(&buffer[..count]);
    }
    match answer {
        Answer::Close => {}
        Answer::Hang => tokio::time::sleep(10 * PATIENCE).await,
        Answer::Status(status) => {
            let text =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        Answer::Endless => {
            let head = "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            // Until the other side has had enough.
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what is sent is judged by the real clock")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(0) + since
}

fn state_with(dir: &Path, receivers: &[Receiver]) -> Arc<Mutex<State>> {
    let mut state = State::open(dir).unwrap();
    for receiver in receivers {
        put(&mut state, receiver, "a", now());
    }
    Arc::new(Mutex::new(state))
}

fn backoff() -> Backoff {
    let (first, longest) = (Duration::from_millis(10), Duration::from_millis(50));
    Backoff { first, longest, give_up: Duration::from_secs(3600) }
}

async fn next<T>(queue: &mut mpsc::Receiver<T>) -> T {
    tokio::time::timeout(PATIENCE, queue.recv()).await.expect("too late").expect("closed")
}

#[tokio::test]
async fn what_may_pass_is_sent_again_until_it_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let (url, mut bodies) = server(&[
        Answer::Status("500 Internal Server Error"),
        Answer::Status("429 Too Many Requests"),
        Answer::Close,
        Answer::Hang,
        Answer::Endless,
    ])
    .await;
    let noc = receiver("noc", &url, Duration::from_millis(500));
    let state = state_with(dir.path(), std::slice::from_ref(&noc));
    let (reports, mut reported) = mpsc::channel::<Report>(100);
    let sender = Sender::start(vec![noc], state.clone(), backoff(), reports, None).unwrap();
    let mut errors = Vec::new();
    loop {
        let report = next(&mut reported).await;
        match report.verdict {
            Verdict::Retry { error, .. } => errors.push(error),
            Verdict::Delivered => {
                assert_eq!(report.attempt, 6);
                break;
            }
            Verdict::GivenUp { error } => panic!("{error}"),
        }
    }
    for (error, expected) in errors.iter().zip([
        "answered 500: no",
        "answered 429: no",
        "cannot reach",
        "no answer from",
        "answered 500: xxx",
    ]) {
        assert!(error.contains(expected) && error.len() < 1000, "{expected}: {error}");
        assert!(!error.contains("/page"), "the path may be a secret: {error}");
    }
    let first = next(&mut bodies).await;
    for _ in 1..6 {
        assert_eq!(next(&mut bodies).await, first, "the same message each time");
    }
    assert!(state.lock().unwrap().pending().unwrap().is_empty());
    sender.stop(PATIENCE).await;
}

#[tokio::test]
async fn what_cannot_pass_is_given_up_and_seen_and_redirects_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (target, mut target_bodies) = server(&[]).await;
    let redirect: &'static str =
        Box::leak(format!("307 Temporary Redirect\r\nlocation: {target}").into_boxed_str());
    let (url, mut bodies) =
        server(&[Answer::Status(redirect), Answer::Status("400 Bad Request")]).await;
    let noc = receiver("noc", &url, PATIENCE);
    let state = state_with(dir.path(), &[noc.clone(), noc.clone()]);
    let (reports, mut reported) = mpsc::channel::<Report>(100);
    let sender = Sender::start(vec![noc], state.clone(), backoff(), reports, None).unwrap();
    for status in ["307", "400"] {
        let report = next(&mut reported).await;
        let Verdict::GivenUp { error } = report.verdict else { panic!("{report:?}") };
        assert!(error.contains(status), "{error}");
        next(&mut bodies).await;
    }
    assert!(target_bodies.try_recv().is_err(), "the redirect was followed");
    assert_eq!(state.lock().unwrap().failures().unwrap().len(), 2);
    sender.stop(PATIENCE).await;
}

#[tokio::test]
async fn one_that_hangs_delays_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (dead, mut dead_bodies) = server(&[Answer::Hang]).await;
    let (alive, mut alive_bodies) = server(&[]).await;
    let receivers =
        vec![receiver("dead", &dead, 10 * PATIENCE), receiver("alive", &alive, PATIENCE)];
    let state = state_with(dir.path(), &[]);
    let (reports, mut reported) = mpsc::channel::<Report>(100);
    let sender = Sender::start(receivers.clone(), state.clone(), backoff(), reports, None).unwrap();
    put(&mut state.lock().unwrap(), &receivers[0], "a", now());
    sender.wake();
    next(&mut dead_bodies).await;
    for device in ["a", "b", "c"] {
        put(&mut state.lock().unwrap(), &receivers[1], device, now());
        sender.wake();
        assert!(next(&mut alive_bodies).await.contains(&format!("\"{device}\"")));
        assert_eq!(next(&mut reported).await.verdict, Verdict::Delivered);
    }
    let pending = state.lock().unwrap().pending().unwrap();
    assert_eq!(pending, [("dead".to_owned(), 1)], "it is still in the outbox");
    sender.stop(Duration::ZERO).await;
}
