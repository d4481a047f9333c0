//! Uplink probes against providers in network namespaces. Needs root, iproute2 and openssl.

#![expect(clippy::unwrap_used, reason = "tests")]

mod https;
mod peer;
mod site;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hallwatch_agent::io::uplink::{UplinkError, Watcher, check};
use hallwatch_agent::uplink::monitor::Counters;
use hallwatch_agent::uplink::{DnsName, Host, HttpTarget, Path, Probe, Target, Uplink};
use hallwatch_model::{Missing, Value};
use peer::{Habit, Peer, Reply, always};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use site::{INTERFACE, Namespace, OTHER, SOURCE, Site, TARGET, TARGET_V6, by_interface, by_source};

const MS: Duration = Duration::from_millis(1);

/// What an uplink reported: the series as text, and the value.
type Readings = BTreeMap<String, Value>;

fn uplink(interval: Duration, every: Duration, timeout: Duration, probes: Vec<Probe>) -> Uplink {
    Uplink { interval, every, timeout, ca: None, probes }
}

fn probe(target: Target, path: Path) -> Probe {
    Probe { name: target.kind().to_owned(), target, path }
}

fn icmp(address: &str) -> Target {
    Target::Icmp(address.parse().unwrap())
}

fn tcp(port: u16) -> Target {
    Target::Tcp(Host::Address(TARGET.parse().unwrap()), port)
}

fn dns() -> Target {
    Target::Dns(format!("{TARGET}:53").parse().unwrap(), DnsName::new("example.com").unwrap())
}

fn http(port: u16, tls: bool) -> Target {
    Target::Http(HttpTarget {
        host: Host::Name(DnsName::new("status.example").unwrap()),
        connect: Host::Address(TARGET.parse().unwrap()),
        port,
        tls,
        page: "/".into(),
    })
}

/// The first `count` reports of `uplink`, probed from within `namespace`, and what else happened.
fn watch(namespace: &Namespace, uplink: Uplink, count: usize) -> (Vec<Readings>, Counters) {
    let limit = uplink.interval * u32::try_from(count).unwrap() + Duration::from_secs(10);
    namespace.within(move || {
        runtime().block_on(async move {
            let mut watcher = Watcher::start("isp", &uplink).unwrap();
            let mut reports = Vec::new();
            while reports.len() < count {
                let report = tokio::time::timeout(limit, watcher.next()).await.unwrap();
                let known =
                    |(labels, value): (hallwatch_model::Labels, Value)| (labels.to_string(), value);
                reports.push(report.into_iter().map(known).collect());
            }
            (reports, watcher.monitor().counters())
        })
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn loss(readings: &Readings, probe: &str) -> Value {
    readings[&format!(r#"uplink_loss_ratio{{probe="{probe}"}}"#)]
}

fn latency(readings: &Readings, probe: &str, quantile: &str) -> Value {
    let series = format!(r#"uplink_latency_seconds{{probe="{probe}", quantile="{quantile}"}}"#);
    readings[&series]
}

fn errors(readings: &Readings, probe: &str, reason: &str) -> f64 {
    let series = format!(r#"uplink_errors_total{{probe="{probe}", reason="{reason}"}}"#);
    readings[&series].unwrap()
}

#[test]
fn each_provider_is_measured_on_its_own_path() {
    let site = Site::new();
    let slow = Duration::from_millis(40);
    let habits = || [always(Reply::After(slow)), always(Reply::Good)];
    let peers: Vec<[Peer; 4]> = site
        .providers
        .iter()
        .zip(habits().into_iter().zip(habits()))
        .map(|(provider, (echoes, answers))| {
            [
                Peer::echo(provider, TARGET, OTHER, echoes),
                Peer::dns(provider, &format!("{TARGET}:53"), answers),
                Peer::tcp(provider, &format!("{TARGET}:443"), ""),
                Peer::tcp(provider, &format!("{TARGET}:80"), "HTTP/1.1 204 No Content\r\n\r\n"),
            ]
        })
        .collect();
    let all = |path: &Path| {
        let targets = [icmp(TARGET), dns(), tcp(443), http(80, false)];
        let probes = targets.map(|target| probe(target, path.clone())).to_vec();
        uplink(1500 * MS, 100 * MS, 500 * MS, probes)
    };
    for (which, path) in
        [(0, by_source(0)), (1, by_source(1)), (0, by_interface(0)), (1, by_interface(1))]
    {
        let counts = || peers.iter().map(|four| four.each_ref().map(Peer::asked));
        let before: Vec<[usize; 4]> = counts().collect();
        let (reports, counters) = watch(&site.site, all(&path), 1);
        let after: Vec<[usize; 4]> = counts().collect();
        let readings = &reports[0];
        assert_eq!(readings["uplink_up"], Ok(1.0), "{path}: {readings:#?}");
        for (at, probe) in ["icmp", "dns", "tcp", "http"].into_iter().enumerate() {
            assert_eq!(loss(readings, probe), Ok(0.0), "{path} {probe}: {readings:#?}");
            let asked = |who: usize| after[who][at] - before[who][at];
            assert!(asked(which) >= 8, "{path}: {probe} asked {}", asked(which));
            assert_eq!(asked(1 - which), 0, "{path}: {probe} took the other provider");
        }
        for probe in ["icmp", "dns"] {
            let median = latency(readings, probe, "0.5").unwrap();
            let of_slow = median >= slow.as_secs_f64();
            assert_eq!(of_slow, which == 0, "{path}: {probe} took {median} s");
        }
        assert_eq!((counters.late, counters.duplicate, counters.stray), (0, 0, 0));
    }
}

#[test]
fn a_provider_that_dies_and_returns_is_seen_and_the_other_is_not_touched() {
    let site = Site::new();
    let probes = |which| {
        vec![probe(icmp(TARGET), by_source(which)), probe(icmp(TARGET_V6), v6(which))]
            .into_iter()
            .zip(["icmp", "icmp6"])
            .map(|(probe, name)| Probe { name: name.into(), ..probe })
            .collect::<Vec<_>>()
    };
    let of = |which| uplink(600 * MS, 50 * MS, 200 * MS, probes(which));
    let (mine, other) = (of(0), of(1));
    let (sender, told) = std::sync::mpsc::channel();
    let namespace = &site.site;
    let mut threads = Vec::new();
    for (which, uplink) in [(0, mine), (1, other)] {
        let sender = sender.clone();
        threads.push(namespace.spawn(move || {
            runtime().block_on(async move {
                let mut watcher = Watcher::start("isp", &uplink).unwrap();
                loop {
                    let report = watcher.next().await;
                    let up = report[0].1;
                    let lost: Vec<Value> = report
                        .iter()
                        .filter(|(labels, _)| labels.name() == Some("uplink_loss_ratio"))
                        .map(|(_, value)| *value)
                        .collect();
                    if sender.send((which, up, lost)).is_err() {
                        return;
                    }
                }
            });
        }));
    }
    // Waits until the first provider is reported to be so; the second is always well.
    let wait = |wanted: Value| {
        for _ in 0..40 {
            let (which, up, lost) = told.recv_timeout(Duration::from_secs(10)).unwrap();
            if which == 1 {
                assert_eq!((up, lost), (Ok(1.0), vec![Ok(0.0); 2]), "the other provider");
            } else if up == wanted && (up == Ok(0.0) || lost == [Ok(0.0); 2]) {
                return;
            }
        }
        panic!("never {wanted:?}");
    };
    wait(Ok(1.0));
    // The provider's end goes down.
    site.providers[0].ip("link set site0 down");
    wait(Ok(0.0));
    site.providers[0].ip("link set site0 up");
    site.providers[0].ip("addr replace 2001:db8:a::1/64 dev site0 nodad");
    wait(Ok(1.0));
    // The site's end vanishes and is made anew, as a PPP interface would.
    namespace.ip(&format!("link del {}", INTERFACE[0]));
    wait(Ok(0.0));
    namespace.ip(&format!("rule del from {}", SOURCE[0]));
    namespace.ip("-6 rule del from 2001:db8:a::2");
    site.connect(0);
    wait(Ok(1.0));
    drop(told);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn v6(which: usize) -> Path {
    Path {
        source: Some(site::SOURCE_V6[which].parse().unwrap()),
        interface: Some(INTERFACE[which].into()),
    }
}

/// Drops 30 % of the questions, in an order without a rhythm.
fn thirty_percent(dropped: Arc<AtomicUsize>) -> Habit {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    Box::new(move |_, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state % 10 < 3 {
            dropped.fetch_add(1, Ordering::SeqCst);
            Reply::None
        } else {
            Reply::Good
        }
    })
}

#[test]
fn a_loss_of_thirty_percent_is_measured_as_that() {
    let site = Site::new();
    let dropped = [(); 2].map(|()| Arc::<AtomicUsize>::default());
    let [echo, answers] = dropped.each_ref().map(|count| thirty_percent(count.clone()));
    let peers = [
        Peer::echo(&site.providers[0], TARGET, OTHER, echo),
        Peer::dns(&site.providers[0], &format!("{TARGET}:53"), answers),
    ];
    let probes = vec![probe(icmp(TARGET), by_source(0)), probe(dns(), by_interface(0))];
    let (reports, _) = watch(&site.site, uplink(6000 * MS, 10 * MS, 250 * MS, probes), 1);
    for ((peer, dropped), name) in peers.iter().zip(&dropped).zip(["icmp", "dns"]) {
        let dropped = dropped.load(Ordering::SeqCst);
        let asked = peer.asked();
        assert!(asked > 200, "{name}: {asked} questions");
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let truth = dropped as f64 / asked as f64;
        let measured = loss(&reports[0], name).unwrap();
        // What was still under way at the end makes the difference.
        assert!((measured - truth).abs() < 0.03, "{name}: {measured}, in truth {truth}");
        assert!((measured - 0.3).abs() < 0.08, "{name}: {measured}");
        assert_eq!(reports[0]["uplink_up"], Ok(1.0));
    }
}

#[test]
fn percentiles_show_the_slow_tail_and_late_or_second_answers_change_nothing() {
    let site = Site::new();
    // Of ten echoes seven are quick, one comes twice, one is slow and one too late.
    let habit: Habit = Box::new(|number, _| match number % 10 {
        3 => Reply::Twice,
        6 => Reply::After(120 * MS),
        9 => Reply::After(400 * MS),
        _ => Reply::Good,
    });
    let _peer = Peer::echo(&site.providers[0], TARGET, OTHER, habit);
    let probes = vec![probe(icmp(TARGET), by_source(0))];
    let (reports, counters) = watch(&site.site, uplink(4000 * MS, 20 * MS, 250 * MS, probes), 1);
    let readings = &reports[0];
    let lost = loss(readings, "icmp").unwrap();
    assert!((lost - 0.1).abs() < 0.03, "{lost}");
    assert!(latency(readings, "icmp", "0.5").unwrap() < 0.1);
    let p99 = latency(readings, "icmp", "0.99").unwrap();
    assert!((0.12..0.25).contains(&p99), "{p99}");
    assert!(counters.late >= 4 && counters.duplicate >= 4, "{counters:?}");
    assert_eq!(counters.stray, 0);
}

#[test]
fn a_slow_line_with_many_probes_under_way_loses_nothing() {
    let site = Site::new();
    let _peer = Peer::echo(&site.providers[0], TARGET, OTHER, always(Reply::After(200 * MS)));
    let probes = vec![probe(icmp(TARGET), by_source(0))];
    let (reports, counters) = watch(&site.site, uplink(1500 * MS, 20 * MS, 600 * MS, probes), 1);
    assert_eq!(loss(&reports[0], "icmp"), Ok(0.0));
    assert!(latency(&reports[0], "icmp", "0.5").unwrap() >= 0.2);
    assert_eq!((counters.late, counters.duplicate, counters.stray), (0, 0, 0));
}

#[test]
fn answers_from_a_wrong_host_or_to_another_question_do_not_count() {
    let site = Site::new();
    let provider = &site.providers[0];
    let of = || {
        let probes = vec![probe(icmp(TARGET), by_source(0)), probe(dns(), by_source(0))];
        uplink(1000 * MS, 100 * MS, 200 * MS, probes)
    };
    for reply in [Reply::Wrongly, Reply::Garbled] {
        let echo = Peer::echo(provider, TARGET, OTHER, always(reply));
        let server = Peer::dns(provider, &format!("{TARGET}:53"), always(reply));
        // Both kinds of ICMP socket: raw ones (nobody's group may ping), then unprivileged ones.
        for range in ["1 0", "0 2147483647"] {
            site.site.sysctl("ipv4/ping_group_range", range);
            let before = (echo.asked(), server.asked());
            let (reports, counters) = watch(&site.site, of(), 1);
            assert!(echo.asked() > before.0 + 5 && server.asked() > before.1 + 5);
            assert_eq!(reports[0]["uplink_up"], Ok(0.0));
            for name in ["icmp", "dns"] {
                assert_eq!(loss(&reports[0], name), Ok(1.0), "{name}, {reply:?}, {range}");
                assert_eq!(latency(&reports[0], name, "0.5"), Err(Missing::Timeout));
            }
            assert_eq!((counters.late, counters.duplicate, counters.stray), (0, 0, 0));
        }
    }
}

#[test]
fn a_nat_that_forgot_the_way_back_is_left_behind() {
    let site = Site::new();
    // Lets no echo of the first identifier through, for as long as it is used.
    let mut first = None;
    let habit: Habit = Box::new(move |_, identifier| {
        if identifier == *first.get_or_insert(identifier) { Reply::None } else { Reply::Good }
    });
    let _peer = Peer::echo(&site.providers[0], TARGET, OTHER, habit);
    let probes = vec![probe(icmp(TARGET), by_source(0))];
    let (reports, _) = watch(&site.site, uplink(1000 * MS, 50 * MS, 100 * MS, probes), 2);
    assert!(loss(&reports[0], "icmp").unwrap() > 0.1);
    assert_eq!(loss(&reports[1], "icmp"), Ok(0.0));
}

#[test]
fn a_provider_that_is_half_dead_is_up_and_its_failures_are_told_apart() {
    let site = Site::new();
    let provider = &site.providers[0];
    // The kernel echoes; nobody is at 443; 8443 is behind a black hole, without a route back.
    let _server = Peer::tcp(provider, &format!("{TARGET}:80"), "HTTP/1.1 503 Later\r\n\r\n");
    let _shell = Peer::tcp(provider, &format!("{TARGET}:22"), "SSH-2.0-other\r\n");
    let named = |name: &str, target| Probe { name: name.into(), ..probe(target, by_source(0)) };
    site.site.ip("route add unreachable 198.51.100.66 table 101");
    site.site.ip("route add prohibit 198.51.100.67 table 101");
    let name = DnsName::new("example.com").unwrap();
    let unreachable = Target::Tcp(Host::Address("198.51.100.66".parse().unwrap()), 80);
    site.providers[0].ip("route add blackhole 198.51.100.77");
    let swallowed = Target::Tcp(Host::Address("198.51.100.77".parse().unwrap()), 80);
    site.providers[0].sysctl("ipv4/ip_forward", "1");
    let gone = Path { source: Some("192.0.2.9".parse().unwrap()), interface: None };
    let probes = vec![
        named("icmp", icmp(TARGET)),
        named("tcp", tcp(443)),
        named("unreachable", unreachable),
        named("swallowed", swallowed),
        named("http", http(80, false)),
        named("shell", http(22, false)),
        named("nobody", dns()),
        named("forbidden", icmp("198.51.100.67")),
        named("hushed", Target::Dns("198.51.100.67:53".parse().unwrap(), name)),
        Probe { name: "gone".into(), ..probe(icmp(TARGET), gone) },
    ];
    let uplink = uplink(1200 * MS, 100 * MS, 300 * MS, probes);
    let (reports, _) = watch(&site.site, uplink, 1);
    let readings = &reports[0];
    assert_eq!(readings["uplink_up"], Ok(1.0));
    assert_eq!(loss(readings, "icmp"), Ok(0.0));
    for (name, reason, missing) in [
        ("tcp", "refused", Missing::NotAvailable),
        ("unreachable", "unreachable", Missing::DeviceOffline),
        ("swallowed", "timeout", Missing::Timeout),
        ("http", "status_5xx", Missing::NotAvailable),
        ("shell", "malformed", Missing::Malformed),
        ("nobody", "refused", Missing::NotAvailable),
        ("forbidden", "unreachable", Missing::DeviceOffline),
        ("hushed", "unreachable", Missing::DeviceOffline),
        ("gone", "path_gone", Missing::DeviceOffline),
    ] {
        assert_eq!(loss(readings, name), Ok(1.0), "{name}: {readings:#?}");
        assert!(errors(readings, name, reason) >= 5.0, "{name}: {readings:#?}");
        assert_eq!(latency(readings, name, "0.9"), Err(missing), "{name}");
    }
}

#[test]
fn without_permission_nothing_is_said_about_the_uplink_and_the_remedy_is_told() {
    let site = Site::new();
    let of = || {
        let probes = vec![probe(icmp(TARGET), by_source(0))];
        uplink(500 * MS, 50 * MS, 100 * MS, probes)
    };
    let ask = |namespace: &Namespace| {
        namespace.within(move || {
            let mut sets = capabilities(None).unwrap();
            sets.effective -= CapabilitySet::NET_RAW;
            set_capabilities(None, sets).unwrap();
            runtime().block_on(async move {
                let mut watcher = Watcher::start("isp", &of()).unwrap();
                (check(&of()), watcher.next().await, watcher.monitor().counters())
            })
        })
    };
    let (problems, report, counters) = ask(&site.site);
    let [(name, error)] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(name, "icmp");
    assert!(matches!(error, UplinkError::Denied), "{error:?}");
    assert!(error.to_string().contains("net.ipv4.ping_group_range"), "{error}");
    assert!(error.to_string().contains("CAP_NET_RAW"), "{error}");
    assert!(counters.unasked >= 5, "{counters:?}");
    assert_eq!(report[0].1, Err(Missing::NotAvailable));
    assert_eq!(report[1].1, Err(Missing::NotAvailable));
    // The first remedy helps.
    site.site.sysctl("ipv4/ping_group_range", "0 2147483647");
    let (problems, report, _) = ask(&site.site);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((report[0].1, report[1].1), (Ok(1.0), Ok(0.0)));
}

#[test]
fn check_names_what_this_machine_lacks() {
    let site = Site::new();
    let problems = site.site.within(|| {
        let away = Path { source: Some("192.0.2.77".parse().unwrap()), interface: None };
        let none = Path { source: None, interface: Some("eth77".into()) };
        let mut named = Vec::new();
        for (name, target, path) in [
            ("a", icmp(TARGET), by_source(0)),
            ("b", icmp(TARGET), away.clone()),
            ("c", tcp(443), away),
            ("d", dns(), none),
            ("e", http(443, true), by_source(0)),
        ] {
            named.push(Probe { name: name.into(), target, path });
        }
        let uplink = uplink(1000 * MS, 100 * MS, 100 * MS, named);
        let uplink = Uplink { ca: Some("/nowhere/ca.pem".into()), ..uplink };
        runtime().block_on(async { check(&uplink) })
    });
    let shown: Vec<String> = problems.iter().map(|(name, e)| format!("{name}: {e}")).collect();
    assert_eq!(
        shown,
        [
            "http: could not read the certificates of authorities in /nowhere/ca.pem",
            "b: could not open a socket from 192.0.2.77",
            "d: could not open a socket over eth77",
        ]
    );
}
