//! An answer is stored, or a gap says why not; and so is each missed turn.

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_model::sample;

use super::gaps::{covered, covered_late};
use super::identity::Present;
use super::{ANSWERED, Collector, Evidence, Findings, SLACK, SLOTS, place};
use crate::faults::witness;

/// A poll without answer ends after three times its timeout of a second.
const POLL: i64 = 3_500;

pub(super) fn answered(
    evidence: &Evidence,
    collector: &Collector,
    present: &Present,
    findings: &mut Findings,
) {
    // Missing values say of their time that nothing was to be had.
    let mut missing: BTreeSet<(u32, u32, i64)> = BTreeSet::new();
    for (labels, readings) in &collector.stored {
        let Some((device, point)) = place(labels) else { continue };
        let none = readings.iter().filter(|(_, bits)| sample::is_missing(f64::from_bits(**bits)));
        missing.extend(none.map(|(time, _)| (device, point, *time)));
    }
    let (from, to) = evidence.span;
    let expected = evidence.served.iter().filter(|(_, time)| (from..=to).contains(*time));
    for (number, time) in expected {
        let points = (0..witness::POINTS).filter(|point| !present.contains_key(&(*number, *point)));
        let points: Vec<u32> = points.collect();
        if points.is_empty() {
            continue;
        }
        let device = witness::name(number.device);
        // Asked, and given up before it came: that poll's values are missing with a reason.
        let given_up = points.iter().all(|point| {
            let near = (number.device, *point, time - POLL)..(number.device, *point, time + POLL);
            missing.range(near).next().is_some()
        });
        if given_up || covered(&collector.gaps, &device, *time, *time) {
            findings.in_gaps += 1;
            continue;
        }
        let text = format!("{device}: answer {} of {time}, points {points:?}", number.number);
        findings.wrong(ANSWERED, collector, text);
    }
}

pub(super) fn turns(evidence: &Evidence, collector: &Collector, findings: &mut Findings) {
    let mut times: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for (labels, readings) in &collector.stored {
        // What the agent tells of a device is no reading of it.
        let own = labels.name().is_some_and(|name| {
            ["device_", "ALERTS", "completeness", "gap", "agent_"]
                .iter()
                .any(|p| name.starts_with(p))
        });
        if let Some((device, _)) = evidence
            .intervals
            .get_key_value(labels.get("device").unwrap_or_default())
            .filter(|_| !own)
        {
            times.entry(device).or_default().extend(readings.keys());
        }
    }
    let (from, to) = evidence.span;
    for (device, interval) in &evidence.intervals {
        let own = times.get(device.as_str());
        let inside = own.into_iter().flat_map(|times| times.range(from..=to)).copied();
        let mut before = from;
        for time in inside.chain([to]) {
            findings.turns += 1;
            // Two turns further on at least one was missed, however late the polls were.
            let hole = (before + interval, time - interval);
            if time - before >= 2 * interval + SLACK
                && !covered(&collector.gaps, device, hole.0, hole.1)
                && !covered_late(&collector.gaps, device, hole, *interval)
            {
                let text =
                    format!("{device}: nothing from {before} to {time}, {} ms", time - before);
                findings.wrong(SLOTS, collector, text);
            }
            before = time;
        }
    }
}
