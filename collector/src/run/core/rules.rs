//! When the rules are evaluated, and what is to be seen of them then.

use super::{Action, Core, Evaluated, Shown};
use crate::rules::{HistoricalAlert, Inside};
use crate::run::writer::Job;

impl Core {
    /// An evaluation that takes longer than the interval is not chased by others.
    pub(super) fn interval(&mut self) -> Vec<Action> {
        if self.evaluating {
            self.telemetry.rule_evaluations_missed.inc();
            return Vec::new();
        }
        self.evaluating = true;
        vec![Action::Evaluate]
    }

    pub(super) fn evaluated(&mut self, evaluated: Evaluated) -> Vec<Action> {
        let Evaluated { samples, at, took, interval, notifications, shown } = evaluated;
        if interval {
            self.evaluating = false;
            self.telemetry.rule_evaluation_seconds.observe(took.as_secs_f64());
        }
        let mut actions: Vec<Action> = shown.map(|shown| self.show(shown)).into_iter().collect();
        if !samples.is_empty() {
            actions.push(Action::Store(Job::Record(samples, at)));
        }
        if notifications > 0 {
            actions.push(Action::Send);
        }
        actions
    }

    fn show(&mut self, shown: Shown) -> Action {
        let Shown { rules, alerts, failing, suppressed, in_memory } = shown;
        self.telemetry.alerts_suppressed.set(i64::try_from(suppressed).unwrap_or(i64::MAX));
        self.telemetry.rules_failing.set(i64::try_from(failing.0).unwrap_or(i64::MAX));
        self.measure_rules(&rules.inside);
        let count: usize = rules.groups.iter().map(|group| group.rules.len()).sum();
        self.board.set("rules", true, format!("{count} rules, evaluated"));
        let (kept, text) = match in_memory {
            false => (true, "on the disk"),
            true => (false, "the disk is full: alerts and messages are in memory only"),
        };
        self.board.set("state", kept, text);
        // A part of its own: a broken rule is bad, but the others are evaluated.
        match failing {
            (0, _) => self.board.set("failing rules", true, "none"),
            (count, first) => {
                let first = first.unwrap_or_default();
                self.board.set("failing rules", false, format!("{count}, such as {first}"));
            }
        }
        self.alerts = alerts;
        Action::ShowRules(rules)
    }

    fn measure_rules(&self, inside: &Inside) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (telemetry, usage) = (&self.telemetry, inside.usage);
        telemetry.rules_not_pushed.set(gauge(inside.fallbacks.len()));
        telemetry.rule_instances.set(gauge(usage.instances));
        telemetry.rule_series.set(gauge(usage.memory.series));
        telemetry.rule_bytes.set(gauge(usage.memory.bytes()));
        telemetry.alerts_held.set(gauge(inside.held().count()));
        telemetry.alerts_historical.set(gauge(inside.digest.len()));
        // Nobody was paged for these: whoever looks at the page learns of them there.
        let named = |past: &HistoricalAlert| {
            let name = past.labels.get("alertname").unwrap_or(&past.rule).to_owned();
            format!("{name} of {}", past.fired_at)
        };
        let past = match (inside.digest.len(), inside.digest.last()) {
            (_, None) => "none was learnt of too late to page".to_owned(),
            (1, Some(last)) => format!("one was learnt of too late to page: {}", named(last)),
            (count, Some(last)) => {
                format!("{count} were learnt of too late to page, the last {}", named(last))
            }
        };
        self.board.set("past alerts", true, past);
        match &inside.reload.refused {
            None => self.board.set("rule files", true, "as loaded"),
            Some((at, error)) => {
                // What, and where; the log has all of it.
                let mut lines = error.lines().map(str::trim);
                let what = lines.next().unwrap_or_default().trim_start_matches("error: ");
                let place = lines.next().and_then(|line| line.strip_prefix("--> "));
                let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
                let text = format!("refused at {at}, the old rules stay: {what}{place}");
                self.board.set("rule files", false, text);
            }
        }
    }
}
