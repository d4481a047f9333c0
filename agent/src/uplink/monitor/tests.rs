use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::uplink::{Host, Path, Target};

const SECOND: Duration = Duration::from_secs(1);

fn uplink(names: &[&str]) -> Uplink {
    let probes = names.iter().map(|name| Probe {
        name: (*name).to_owned(),
        target: match *name {
            "icmp" => Target::Icmp(Ipv4Addr::LOCALHOST.into()),
            _ => Target::Tcp(Host::Address(Ipv4Addr::LOCALHOST.into()), 443),
        },
        path: Path { source: None, interface: Some("eth1".into()) },
    });
    Uplink {
        interval: 10 * SECOND,
        every: SECOND,
        timeout: SECOND,
        ca: None,
        probes: probes.collect(),
    }
}

fn at(millis: u64) -> Uptime {
    Uptime::new(Duration::from_millis(millis))
}

fn sends(actions: &[Action]) -> Vec<ProbeId> {
    let ids = actions.iter().filter_map(|action| match action {
        Action::Send(id) => Some(*id),
        Action::Report(_) => None,
    });
    ids.collect()
}

fn reports(actions: Vec<Action>) -> Vec<Report> {
    let reports = actions.into_iter().filter_map(|action| match action {
        Action::Send(_) => None,
        Action::Report(report) => Some(report),
    });
    reports.collect()
}

fn value(report: &Report, series: &str) -> Value {
    let found: Vec<_> = report.iter().filter(|(labels, _)| labels.to_string() == series).collect();
    assert_eq!(found.len(), 1, "{series} in {report:#?}");
    found[0].1
}

/// Runs until the first report. `answer` says what becomes of a probe, right when it is sent.
fn interval(monitor: &mut Monitor, mut answer: impl FnMut(ProbeId) -> Option<Event>) -> Report {
    loop {
        let now = monitor.wake_at();
        let actions = monitor.handle(Event::Tick, now);
        for id in sends(&actions) {
            if let Some(event) = answer(id) {
                assert_eq!(monitor.handle(event, now), []);
            }
        }
        if let Some(report) = reports(actions).pop() {
            return report;
        }
    }
}

#[test]
fn a_good_uplink_reports_its_latency_and_no_loss() {
    let mut monitor = Monitor::new(&uplink(&["icmp", "tcp"]), 0, Uptime::ZERO);
    let report = interval(&mut monitor, |id| {
        let latency = Duration::from_millis(u64::from(id.number) * 10);
        Some(Event::Answered(id, latency))
    });
    assert_eq!(value(&report, "uplink_up"), Ok(1.0));
    assert_eq!(value(&report, r#"uplink_loss_ratio{probe="icmp"}"#), Ok(0.0));
    let latency = |quantile, probe| {
        let series = format!(r#"uplink_latency_seconds{{probe="{probe}", quantile="{quantile}"}}"#);
        value(&report, &series)
    };
    assert_eq!(latency("0.5", "icmp"), Ok(0.05));
    assert_eq!(latency("0.9", "tcp"), Ok(0.09));
    assert_eq!(latency("0.99", "tcp"), Ok(0.1));
    let declared: Vec<Labels> = monitor.series().cloned().collect();
    let reported: Vec<Labels> = report.into_iter().map(|(labels, _)| labels).collect();
    assert_eq!(declared, reported);
    let known = |labels: &Labels| hallwatch_model::vocabulary::find(labels.name().unwrap());
    assert!(declared.iter().all(|labels| known(labels).is_some()));
}

#[test]
fn one_kind_that_works_keeps_the_uplink_up() {
    let mut monitor = Monitor::new(&uplink(&["icmp", "tcp"]), 0, Uptime::ZERO);
    let report = interval(&mut monitor, |id| {
        Some(match id.probe {
            0 => Event::Answered(id, Duration::ZERO),
            _ => Event::Failed(id, Failure::Refused),
        })
    });
    assert_eq!(value(&report, "uplink_up"), Ok(1.0));
    assert_eq!(value(&report, r#"uplink_loss_ratio{probe="tcp"}"#), Ok(1.0));
    assert_eq!(
        value(&report, r#"uplink_latency_seconds{probe="tcp", quantile="0.5"}"#),
        Err(Missing::NotAvailable)
    );
    assert_eq!(value(&report, r#"uplink_errors_total{probe="tcp", reason="refused"}"#), Ok(10.0));
}

#[test]
fn an_uplink_is_down_when_nothing_answers_and_unknown_when_nothing_could_be_asked() {
    let mut monitor = Monitor::new(&uplink(&["icmp", "tcp"]), 0, Uptime::ZERO);
    let report = interval(&mut monitor, |_| None);
    assert_eq!(value(&report, "uplink_up"), Ok(0.0));
    assert_eq!(value(&report, r#"uplink_loss_ratio{probe="icmp"}"#), Ok(1.0));
    assert_eq!(
        value(&report, r#"uplink_latency_seconds{probe="icmp", quantile="0.99"}"#),
        Err(Missing::Timeout)
    );

    let mut monitor = Monitor::new(&uplink(&["icmp", "tcp"]), 0, Uptime::ZERO);
    let report = interval(&mut monitor, |id| Some(Event::Unasked(id, Unasked::NotPermitted)));
    assert_eq!(value(&report, "uplink_up"), Err(Missing::NotAvailable));
    assert_eq!(value(&report, r#"uplink_loss_ratio{probe="icmp"}"#), Err(Missing::NotAvailable));
    // The eleventh echo is due together with the report.
    assert_eq!(monitor.counters().unasked, 21);

    let mut monitor = Monitor::new(&uplink(&["icmp", "tcp"]), 0, Uptime::ZERO);
    let report = interval(&mut monitor, |id| {
        (id.probe == 0).then_some(Event::Unasked(id, Unasked::NotPermitted))
    });
    assert_eq!(value(&report, "uplink_up"), Ok(0.0), "TCP was asked, and all of it lost");
}

#[test]
fn late_second_and_stray_answers_change_nothing() {
    let mut monitor = Monitor::new(&uplink(&["icmp"]), 0, Uptime::ZERO);
    let first = sends(&monitor.handle(Event::Tick, at(0)))[0];
    let good = Event::Answered(first, Duration::from_millis(5));
    monitor.handle(good, at(5));
    monitor.handle(good, at(6));
    assert_eq!(monitor.counters(), Counters { duplicate: 1, ..Counters::default() });
    let second = sends(&monitor.handle(Event::Tick, at(1000)))[0];
    monitor.handle(Event::Tick, at(2000));
    monitor.handle(Event::Answered(second, Duration::from_millis(900)), at(2000));
    assert_eq!(monitor.counters().late, 1, "decided before, though the clock says in time");
    let third = ProbeId { number: second.number + 1, ..second };
    monitor.handle(Event::Answered(third, Duration::from_millis(1001)), at(2500));
    assert_eq!(monitor.counters().late, 2);
    monitor.handle(Event::Answered(ProbeId { probe: 0, number: 999 }, Duration::ZERO), at(2500));
    monitor.handle(Event::Answered(ProbeId { probe: 9, number: 1 }, Duration::ZERO), at(2500));
    assert_eq!(monitor.counters().stray, 1);
    let report = reports(monitor.handle(Event::Tick, at(10_000))).remove(0);
    // One answered, two lost.
    assert_eq!(value(&report, r#"uplink_loss_ratio{probe="icmp"}"#), Ok(2.0 / 3.0));
    assert_eq!(value(&report, r#"uplink_errors_total{probe="icmp", reason="timeout"}"#), Ok(2.0));
}

#[test]
fn slots_are_spread_and_those_missed_are_skipped_and_counted() {
    let mut monitor = Monitor::new(&uplink(&["icmp", "tcp"]), 300, Uptime::ZERO);
    assert_eq!(monitor.wake_at(), at(150));
    assert_eq!(sends(&monitor.handle(Event::Tick, at(150))).len(), 1);
    assert_eq!(monitor.wake_at(), at(650));
    // The process slept for five seconds: each probe is sent once, not five times.
    let woken = sends(&monitor.handle(Event::Tick, at(5650)));
    assert_eq!(woken.len(), 2);
    assert_eq!(monitor.counters().skipped, 4 + 5);
    assert_eq!(monitor.wake_at(), at(6150));
    // After hours there is one report, and the next one an interval later.
    assert_eq!(reports(monitor.handle(Event::Tick, at(36_000_500))).len(), 1);
    assert_eq!(monitor.report_at, at(36_010_000));
}

#[test]
fn a_stall_of_our_own_is_not_the_uplinks_loss() {
    let mut monitor = Monitor::new(&uplink(&["icmp"]), 0, Uptime::ZERO);
    let first = sends(&monitor.handle(Event::Tick, at(0)))[0];
    monitor.handle(Event::Answered(first, Duration::ZERO), at(1));
    let second = sends(&monitor.handle(Event::Tick, at(1000)))[0];
    // Stopped for four seconds; the answer was there, and is looked at only now.
    monitor.handle(Event::Answered(second, 5 * SECOND), at(6000));
    assert_eq!(monitor.counters().undecided, 1);
    // On time again: what is lost now is lost.
    let third = sends(&monitor.handle(Event::Tick, at(7000)));
    assert_eq!(third.len(), 1);
    monitor.handle(Event::Tick, at(8000));
    let report = reports(monitor.handle(Event::Tick, at(10_000))).remove(0);
    assert_eq!(value(&report, r#"uplink_errors_total{probe="icmp", reason="timeout"}"#), Ok(2.0));
    assert_eq!(value(&report, r#"uplink_loss_ratio{probe="icmp"}"#), Ok(2.0 / 3.0));
}

#[test]
fn numbers_return_without_confusion() {
    let mut monitor = Monitor::new(&uplink(&["icmp"]), 0, Uptime::ZERO);
    for second in 0..70_000u64 {
        let actions = monitor.handle(Event::Tick, at(second * 1000));
        let id = sends(&actions)[0];
        monitor.handle(Event::Answered(id, Duration::ZERO), at(second * 1000));
    }
    assert_eq!(monitor.counters(), Counters::default());
}

proptest! {
    /// Whatever comes when: each probe sent is counted once, as answered, failed, not asked or
    /// still open; and memory stays bounded.
    #[test]
    fn every_probe_counts_once(
        steps in prop::collection::vec((0u8..6, 0u16..40, 0u64..1500, 0u64..1500), 1..400),
    ) {
        let mut monitor = Monitor::new(&uplink(&["icmp", "tcp"]), 7, Uptime::ZERO);
        let (mut now, mut sent, mut good) = (0, 0, 0);
        for (what, number, latency, step) in steps {
            let id = ProbeId { probe: usize::from(number % 3), number: number / 2 };
            let event = match what {
                0 => Event::Failed(id, Failure::Unreachable),
                1 => Event::Unasked(id, Unasked::Exhausted),
                2 | 3 => Event::Answered(id, Duration::from_millis(latency)),
                _ => Event::Tick,
            };
            now += step;
            let is_open = monitor
                .tracks
                .get(id.probe)
                .is_some_and(|track| track.open.iter().any(|(open, _)| *open == id.number));
            if is_open && latency <= 1000 && matches!(event, Event::Answered(..)) {
                good += 1;
            }
            sent += sends(&monitor.handle(event, at(now))).len();
            for track in &monitor.tracks {
                prop_assert!(track.open.len() <= 2);
                prop_assert!(track.decided.len() <= REMEMBERED);
                prop_assert!(track.window.good() + track.window.bad() <= 12);
            }
            prop_assert!(monitor.wake_at() > at(now));
        }
        let open: usize = monitor.tracks.iter().map(|track| track.open.len()).sum();
        let errors = monitor.tracks.iter().flat_map(|track| &track.series.errors);
        let failed: u64 = errors.map(|(_, _, count)| count).sum();
        let failed = usize::try_from(failed + monitor.counters.unasked + monitor.counters.undecided).unwrap();
        prop_assert_eq!(sent, good + failed + open);
    }
}
