//! A stored value is that of one answer.

use std::collections::BTreeMap;

use hallwatch_model::sample;

use super::{Collector, Evidence, Findings, IDENTITY, READ, place};
use crate::faults::witness::Number;

/// A reading's time may differ by this from that of the answer: the agent's own time follows a clock
/// that is wrong by less than five seconds slowly.
const CLOCK: i64 = 2_500;

/// How often each answer is there, by point.
pub(super) type Present = BTreeMap<(Number, u32), i64>;

pub(super) fn identity(
    evidence: &Evidence,
    collector: &Collector,
    findings: &mut Findings,
) -> Present {
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
