//! What was journalled is stored, and only that.

use super::{Collector, Evidence, Findings, JOURNALLED, READ, SLACK};

pub(super) fn journalled(evidence: &Evidence, collector: &Collector, findings: &mut Findings) {
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

fn within(spans: &[(i64, i64)], time: i64) -> bool {
    spans.iter().any(|(from, to)| (from - SLACK..=to + SLACK).contains(&time))
}
