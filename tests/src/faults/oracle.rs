//! What must hold when all is over. Pure: evidence in, violations out.
//!
//! Three witnesses that know nothing of each other: the devices, whose every answer has a number;
//! the agent's journal, which keeps what is acknowledged; the collectors' stores and ledgers.

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_model::{Labels, sample};

use super::witness::{self, Number};
use crate::journal::Readings;

/// Clocks of one machine are read at slightly different moments; an entry stays open for 250 ms.
const SLACK: i64 = 400;
/// A reading's time may differ by this from that of the answer: the agent's own time follows a clock
/// that is wrong by less than five seconds slowly.
const CLOCK: i64 = 2_500;
/// A poll without answer ends after three times its timeout of a second.
const POLL: i64 = 3_500;

/// A row of a gap ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The device; empty for all.
    pub device: String,
    /// Why.
    pub cause: String,
    /// `open`, `filled` or `lost`.
    pub state: String,
    /// In milliseconds.
    pub start: i64,
    /// In milliseconds; `None` while it lasts.
    pub end: Option<i64>,
}

/// What one collector has.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// Its id.
    pub name: String,
    /// Its store.
    pub stored: Readings,
    /// Its ledger.
    pub gaps: Vec<Gap>,
}

/// Everything that is known. Times are milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// All answers of the witnesses.
    pub served: BTreeMap<Number, i64>,
    /// What is left of the agent's journal.
    pub journalled: Readings,
    /// Whether that is everything that was ever journalled.
    pub keeps: bool,
    /// When the journal could not be written, so that it was in memory: from, to.
    pub undurable: Vec<(i64, i64)>,
    /// When the agent was stopped: its readings of that time are late.
    pub frozen: Vec<(i64, i64)>,
    /// From when on the agent's own time may be wrong by how much more than usual.
    pub skewed: Vec<(i64, i64)>,
    /// The devices that are polled, and how often.
    pub intervals: BTreeMap<String, i64>,
    /// Of what time all must be there: from, to.
    pub span: (i64, i64),
    /// The collectors.
    pub collectors: Vec<Collector>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What must hold.
    pub rule: &'static str,
    /// Where it does not.
    pub collector: String,
    /// What was found.
    pub found: String,
}

/// A reading that was journalled is in each store, with its value.
pub const JOURNALLED: &str = "journalled is stored, once, with its value";
/// What is stored was read.
pub const READ: &str = "stored was read";
/// A stored value is that of one answer, at its time.
pub const IDENTITY: &str = "each value is of its own answer, once, in time";
/// An answer is in the store, or a gap says why not.
pub const ANSWERED: &str = "each answer is stored or in a gap";
/// A missed turn of a device is in a gap.
pub const SLOTS: &str = "each missed turn is in a gap";
/// No gap is open when all has healed.
pub const CLOSED: &str = "no gap stays open";

/// What was compared, and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Journalled readings that were looked up, over all collectors.
    pub journalled: u64,
    /// Stored values that were traced to their answer.
    pub traced: u64,
    /// Answers that are not stored and lie in a gap.
    pub in_gaps: u64,
    /// Turns of devices that were found or explained.
    pub turns: u64,
    /// Everything that must not be.
    pub violations: Vec<Violation>,
}

impl Findings {
    fn wrong(&mut self, rule: &'static str, collector: &Collector, found: String) {
        self.violations.push(Violation { rule, collector: collector.name.clone(), found });
    }
}

/// Judges.
#[must_use]
pub fn judge(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    for collector in &evidence.collectors {
        journalled(evidence, collector, &mut findings);
        let present = identity(evidence, collector, &mut findings);
        answered(evidence, collector, &present, &mut findings);
        turns(evidence, collector, &mut findings);
        for gap in collector.gaps.iter().filter(|gap| gap.state == "open" || gap.end.is_none()) {
            findings.wrong(CLOSED, collector, format!("{gap:?}"));
        }
    }
    findings
}

fn within(spans: &[(i64, i64)], time: i64) -> bool {
    spans.iter().any(|(from, to)| (from - SLACK..=to + SLACK).contains(&time))
}

fn journalled(evidence: &Evidence, collector: &Collector, findings: &mut Findings) {
    for (labels, readings) in &evidence.journalled {
        let kept = collector.stored.get(labels);
        for (time, bits) in readings {
            findings.journalled += 1;
            let found = kept.and_then(|kept| kept.get(time));
            if found != Some(bits) {
                let found = found.map(|bits| f64::from_bits(*bits));
                let text = format!("{labels} at {time}: {} is {found:?}", f64::from_bits(*bits));
                findings.wrong(JOURNALLED, collector, text);
            }
        }
        // What was in memory for want of a disk is in no journal any more.
        for time in kept.iter().flat_map(|kept| kept.keys()).filter(|_| evidence.keeps) {
            let in_span = (evidence.span.0..=evidence.span.1).contains(time);
            if in_span && !readings.contains_key(time) && !within(&evidence.undurable, *time) {
                findings.wrong(READ, collector, format!("{labels} at {time}"));
            }
        }
    }
}

/// The witness and point of a series.
fn place(labels: &Labels) -> Option<(u32, u32)> {
    let name = labels.get("device")?;
    let device = (0..witness::DEVICES).find(|device| witness::name(*device) == name)?;
    let phase = labels.get("phase").unwrap_or_default();
    Some((device, witness::point(labels.name()?, phase)?))
}

/// How often each answer is there, by point.
type Present = BTreeMap<(Number, u32), i64>;

fn identity(evidence: &Evidence, collector: &Collector, findings: &mut Findings) -> Present {
    let mut present = Present::new();
    for (labels, readings) in &collector.stored {
        let Some((device, point)) = place(labels) else { continue };
        for (time, bits) in readings {
            let value = f64::from_bits(*bits);
            if sample::is_missing(value) {
                continue;
            }
            findings.traced += 1;
            let known = Number::of(value).filter(|(of, at)| (of.device, *at) == (device, point));
            let Some((number, _)) = known else {
                let text = format!("{labels} at {time}: {value} is of no answer of it");
                findings.wrong(IDENTITY, collector, text);
                continue;
            };
            let Some(served) = evidence.served.get(&number) else {
                findings.wrong(READ, collector, format!("{labels} at {time}: {number:?}"));
                continue;
            };
            // While the agent was stopped, the answer lay in its socket.
            let late = evidence.frozen.iter().filter(|(from, to)| from <= time && to >= served);
            let skewed = evidence.skewed.iter().filter(|(from, _)| *from <= served + CLOCK);
            let clock = CLOCK + skewed.map(|(_, by)| *by).max().unwrap_or(0);
            let latest = late.map(|(_, to)| *to).max().unwrap_or(*served).max(*served) + clock;
            if !(served - clock..=latest).contains(time) {
                let text = format!("{labels}: {number:?} of {served} is stored at {time}");
                findings.wrong(IDENTITY, collector, text);
            }
            if let Some(before) = present.insert((number, point), *time) {
                let text = format!("{labels}: {number:?} is stored at {before} and at {time}");
                findings.wrong(IDENTITY, collector, text);
            }
        }
    }
    present
}

/// Whether all of the time between two moments is in gaps that were lost for good.
fn covered(gaps: &[Gap], device: &str, from: i64, to: i64) -> bool {
    let mut spans: Vec<(i64, i64)> = gaps
        .iter()
        .filter(|gap| gap.state == "lost" && (gap.device.is_empty() || gap.device == device))
        .filter_map(|gap| Some((gap.start - SLACK, gap.end? + SLACK)))
        .collect();
    spans.sort_unstable();
    let mut at = from - 1;
    for (start, end) in spans {
        if start <= at + 1 {
            at = at.max(end);
        }
    }
    at >= to
}

/// The same of a hole that ends all readings of an agent. A reading has the time of its answer, and
/// the answer to the first turn of the hole can have been under way, for less than a turn, when
/// that began: then it would have come within the gap, and nothing is missing before. A gap of the
/// device itself begins with the turn or with the last answer, and has no such excuse; nor has an
/// answer that did come, which is looked for by itself.
fn covered_late(gaps: &[Gap], device: &str, hole: (i64, i64), interval: i64) -> bool {
    let late = gaps.iter().filter(|gap| gap.state == "lost" && gap.device.is_empty());
    let mut starts = late.map(|gap| gap.start);
    starts.any(|start| {
        (hole.0..=hole.0 + interval).contains(&start)
            && covered(gaps, device, start, hole.1.max(start))
    })
}

fn answered(
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

fn turns(evidence: &Evidence, collector: &Collector, findings: &mut Findings) {
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

#[cfg(test)]
mod tests {
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
        evidence
            .served
            .retain(|number, _| number.device != 0 || !(41..=60).contains(&number.number));
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
}
