//! The collector's own series about its safety and its disk, for rules: who was refused, and the
//! room that is left.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Id, Labels, Sample, Timestamp};

use crate::telemetry::Telemetry;

/// What has not changed is written again after so long, so that it stays current.
const REFRESH: Duration = Duration::from_secs(15);

/// What was written last. Changes are written at once.
#[derive(Debug)]
pub(super) struct Own {
    collector: Id,
    written: BTreeMap<Labels, f64>,
    refreshed: Timestamp,
}

impl Own {
    pub(super) fn new(collector: Id) -> Self {
        Self { collector, written: BTreeMap::new(), refreshed: Timestamp::MIN }
    }

    /// What is to be written at `now`: every counter from its zero on, so that the first refusal is
    /// an increase.
    pub(super) fn samples(
        &mut self,
        telemetry: &Telemetry,
        now: Timestamp,
    ) -> Vec<(Labels, Sample)> {
        // After a step back of the clock, too.
        let all = self.refreshed > now || now.since(self.refreshed) >= REFRESH;
        if all {
            self.refreshed = now;
        }
        let mut samples = Vec::new();
        for (labels, value) in self.figures(telemetry) {
            if all || self.written.get(&labels) != Some(&value) {
                samples.push((labels.clone(), Sample { time: now, value: Ok(value) }));
                self.written.insert(labels, value);
            }
        }
        samples
    }

    fn figures(&self, telemetry: &Telemetry) -> Vec<(Labels, f64)> {
        let own = ("collector", self.collector.as_str());
        let mut figures = Vec::new();
        let mut push = |metric: &str, label: Option<(&str, &str)>, value: f64| {
            figures.push((Labels::metric(metric, [own].into_iter().chain(label)), value));
        };
        for interface in Telemetry::INTERFACES {
            let count = telemetry.logins_refused.with_label_values(&[interface]).get();
            push("collector_logins_refused_total", Some(("interface", interface)), to_float(count));
        }
        for reason in Telemetry::STRANGERS {
            let count = telemetry.strangers.with_label_values(&[reason]).get();
            push("collector_strangers_total", Some(("reason", reason)), to_float(count));
        }
        let refusals = telemetry.broker_refusals.get();
        push("collector_broker_refusals_total", None, to_float(refusals));
        // Zero until it was measured, and where the system does not say.
        let size = u64::try_from(telemetry.disk_size_bytes.get()).unwrap_or(0);
        if size > 0 {
            let free = u64::try_from(telemetry.disk_free_bytes.get()).unwrap_or(0);
            push("collector_disk_free_bytes", None, to_float(free));
            push("collector_disk_size_bytes", None, to_float(size));
            let reserve = u64::try_from(telemetry.disk_reserve_bytes.get()).unwrap_or(0);
            push("collector_disk_reserve_bytes", None, to_float(reserve));
        }
        figures
    }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 nobody counts")]
fn to_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use hallwatch_model::vocabulary;

    use super::*;

    fn shown(samples: &[(Labels, Sample)]) -> Vec<String> {
        samples.iter().map(|(labels, s)| format!("{labels} {}", s.value.unwrap())).collect()
    }

    #[test]
    fn counters_begin_at_zero_and_changes_are_told_at_once() {
        let at = Timestamp::from_millis;
        let telemetry = Telemetry::new().unwrap();
        let mut own = Own::new(Id::new("c-1").unwrap());
        let first = own.samples(&telemetry, at(1_000));
        assert!(first.iter().all(|(_, sample)| sample.value == Ok(0.0)), "{:?}", shown(&first));
        assert_eq!(first.len(), 6, "no disk was measured yet");
        assert!(own.samples(&telemetry, at(2_000)).is_empty(), "nothing is new");

        telemetry.logins_refused.with_label_values(&["pair"]).inc();
        telemetry.disk_size_bytes.set(1_000);
        telemetry.disk_free_bytes.set(400);
        assert_eq!(
            shown(&own.samples(&telemetry, at(3_000))),
            [
                r#"collector_logins_refused_total{collector="c-1", interface="pair"} 1"#,
                r#"collector_disk_free_bytes{collector="c-1"} 400"#,
                r#"collector_disk_size_bytes{collector="c-1"} 1000"#,
                r#"collector_disk_reserve_bytes{collector="c-1"} 0"#,
            ]
        );
        let all = own.samples(&telemetry, at(16_000));
        assert_eq!(all.len(), 9, "everything, so that it stays current");
        assert_eq!(own.samples(&telemetry, at(500)).len(), 9, "the clock was set back");
        for (labels, _) in all {
            let name = labels.name().unwrap();
            assert!(vocabulary::find(name).is_some(), "{name} is not in the vocabulary");
        }
    }
}
