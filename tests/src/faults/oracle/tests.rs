use std::collections::BTreeSet;

use hallwatch_model::sample;

use super::*;

const START: i64 = 1_795_276_800_000;

/// A site without any fault: three witnesses, a hundred answers each.
fn clean() -> Evidence {
    let mut evidence = Evidence {
        keeps: true,
        span: (START, START + 99 * witness::INTERVAL),
        ..Evidence::default()
    };
    for device in 0..witness::DEVICES {
        evidence.intervals.insert(witness::name(device), witness::INTERVAL);
        for number in 1..=100 {
            let time = START + i64::from(number - 1) * witness::INTERVAL;
            evidence.served.insert(Number { device, number }, time);
            for point in 0..witness::POINTS {
                let value = f64::from(number * 32 + device * 8 + point);
                let readings = evidence.journalled.entry(labels(device, point)).or_default();
                readings.insert(time + 3, value.to_bits());
            }
        }
    }
    let stored = evidence.journalled.clone();
    evidence.collectors = ["c-1", "c-2"]
        .map(|name| Collector { name: name.into(), stored: stored.clone(), gaps: Vec::new() })
        .into();
    evidence
}

fn labels(device: u32, point: u32) -> Labels {
    let (metric, phase) = [
        ("meter_voltage_volts", "l1"),
        ("meter_voltage_volts", "l2"),
        ("meter_voltage_volts", "l3"),
        ("meter_current_amperes", "l1"),
        ("meter_current_amperes", "l2"),
        ("meter_current_amperes", "l3"),
        ("meter_current_amperes", "n"),
        ("meter_frequency_hertz", ""),
    ][point as usize];
    let device = witness::name(device);
    let phase = (!phase.is_empty()).then_some(("phase", phase));
    Labels::metric(metric, [("device", device.as_str())].into_iter().chain(phase))
}

fn rules(evidence: &Evidence) -> BTreeSet<(&'static str, String)> {
    let violations = judge(evidence).violations;
    violations.into_iter().map(|one| (one.rule, one.collector)).collect()
}

fn only(rule: &'static str) -> BTreeSet<(&'static str, String)> {
    [(rule, "c-2".to_owned())].into()
}

/// The time of an answer as it is stored.
fn at(number: i64) -> i64 {
    START + (number - 1) * witness::INTERVAL + 3
}

fn gap(device: &str, from: i64, to: i64) -> Gap {
    let (cause, state) = ("agent_down".into(), "lost".into());
    Gap { device: device.into(), cause, state, start: at(from), end: Some(at(to)) }
}

#[test]
fn a_site_without_fault_has_none() {
    let findings = judge(&clean());
    assert_eq!(findings.violations, []);
    assert_eq!((findings.journalled, findings.traced), (4_800, 4_800));
}

#[test]
fn one_lost_reading_of_one_collector_is_found() {
    let mut evidence = clean();
    let series = evidence.collectors[1].stored.get_mut(&labels(1, 4)).unwrap();
    series.remove(&at(50));
    let found = rules(&evidence);
    assert_eq!(found, &only(JOURNALLED) | &only(ANSWERED));
    // Without the journal the answer alone tells.
    evidence.journalled.clear();
    assert_eq!(rules(&evidence), only(ANSWERED));
}

#[test]
fn a_wrong_value_a_value_of_another_answer_and_one_twice_are_found() {
    let mut evidence = clean();
    evidence.journalled.clear();
    let set = |evidence: &mut Evidence, number: i64, value: f64| {
        let series = evidence.collectors[1].stored.get_mut(&labels(0, 0)).unwrap();
        series.insert(at(number), value.to_bits());
    };
    let mut wrong = evidence.clone();
    set(&mut wrong, 50, 17.5);
    assert_eq!(rules(&wrong), &only(IDENTITY) | &only(ANSWERED));
    // The point beside it: what a late answer to another question would look like.
    let mut wrong = evidence.clone();
    set(&mut wrong, 50, f64::from(50 * 32 + 1));
    assert_eq!(rules(&wrong), &only(IDENTITY) | &only(ANSWERED));
    let mut wrong = evidence.clone();
    let series = wrong.collectors[1].stored.get_mut(&labels(0, 0)).unwrap();
    series.insert(at(50) + 100, f64::from(50 * 32).to_bits());
    assert_eq!(rules(&wrong), only(IDENTITY));
    // An hour off.
    let mut wrong = evidence.clone();
    let series = wrong.collectors[1].stored.get_mut(&labels(0, 0)).unwrap();
    let bits = series.remove(&at(50)).unwrap();
    series.insert(at(50) - 3_600_000, bits);
    assert_eq!(rules(&wrong), only(IDENTITY));
    // Never given.
    set(&mut evidence, 50, f64::from(500 * 32));
    assert_eq!(rules(&evidence), &only(READ) | &only(ANSWERED));
}

#[test]
fn what_is_stored_and_was_not_journalled_is_found_unless_the_journal_was_in_memory() {
    let mut evidence = clean();
    let series = evidence.journalled.get_mut(&labels(0, 0)).unwrap();
    series.remove(&at(50));
    assert_eq!(judge(&evidence).violations.len(), 2);
    evidence.undurable.push((at(49), at(51)));
    assert_eq!(judge(&evidence).violations, []);
}

#[test]
fn a_hole_is_found_unless_a_gap_of_the_device_or_the_agent_covers_all_of_it() {
    let mut evidence = clean();
    evidence.journalled.clear();
    let collector = &mut evidence.collectors[1];
    for point in 0..witness::POINTS {
        collector
            .stored
            .get_mut(&labels(2, point))
            .unwrap()
            .retain(|time, _| !(at(40)..=at(60)).contains(time));
    }
    assert_eq!(rules(&evidence), &only(ANSWERED) | &only(SLOTS));
    let with = |gaps: Vec<Gap>| {
        let mut evidence = evidence.clone();
        evidence.collectors[1].gaps = gaps;
        rules(&evidence)
    };
    assert_eq!(with(vec![gap("", 39, 61)]), BTreeSet::new());
    assert_eq!(with(vec![gap("witness-3", 39, 50), gap("", 50, 61)]), BTreeSet::new());
    assert_eq!(with(vec![gap("witness-1", 39, 61)]), &only(ANSWERED) | &only(SLOTS));
    assert_eq!(with(vec![gap("", 39, 45), gap("", 50, 61)]), &only(ANSWERED) | &only(SLOTS));
    let filled = Gap { state: "filled".into(), ..gap("", 39, 61) };
    assert_eq!(with(vec![filled]), &only(ANSWERED) | &only(SLOTS));
    let open = Gap { state: "open".into(), end: None, ..gap("", 39, 61) };
    assert!(with(vec![open]).contains(&(CLOSED, "c-2".to_owned())));
    // Asked at each turn and not answered: the reason stands in place of the value.
    let mut silent = evidence.clone();
    let bits = sample::to_float(Err(hallwatch_model::Missing::Timeout)).to_bits();
    for point in 0..witness::POINTS {
        let series = silent.collectors[1].stored.get_mut(&labels(2, point)).unwrap();
        series.extend((40..=60).map(|number| (at(number), bits)));
    }
    assert_eq!(rules(&silent), BTreeSet::new());
}

#[test]
fn only_what_ends_all_readings_may_begin_with_an_answer_that_was_under_way() {
    let mut evidence = clean();
    evidence.journalled.clear();
    evidence.served.retain(|number, _| number.device != 0 || !(41..=60).contains(&number.number));
    for collector in &mut evidence.collectors {
        for point in 0..witness::POINTS {
            let series = collector.stored.get_mut(&labels(0, point)).unwrap();
            series.retain(|time, _| !(at(41)..=at(60)).contains(time));
        }
        collector.gaps = vec![gap("", 41, 61)];
    }
    let with = |device: &str, late: i64| {
        let mut evidence = evidence.clone();
        let from = Gap { start: at(41) + late, ..gap(device, 41, 61) };
        evidence.collectors[1].gaps = vec![from];
        rules(&evidence)
    };
    let turn = witness::INTERVAL;
    assert_eq!(with("", 0), BTreeSet::new());
    assert_eq!(with("", turn), BTreeSet::new());
    assert_eq!(with("", turn + 1 + SLACK), only(SLOTS));
    assert_eq!(with("witness-1", SLACK), BTreeSet::new());
    assert_eq!(with("witness-1", SLACK + 2), only(SLOTS));
}

#[test]
fn turns_that_nobody_served_are_found() {
    let mut evidence = clean();
    evidence.journalled.clear();
    evidence.served.retain(|number, _| number.device != 0 || number.number <= 80);
    for collector in &mut evidence.collectors {
        for point in 0..witness::POINTS {
            let series = collector.stored.get_mut(&labels(0, point)).unwrap();
            series.retain(|time, _| *time <= at(80));
        }
    }
    let violations = judge(&evidence).violations;
    assert_eq!(violations.len(), 2);
    assert!(violations.iter().all(|one| one.rule == SLOTS), "{violations:?}");
}
