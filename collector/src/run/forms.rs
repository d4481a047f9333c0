//! What the rule engine shows, in the forms of the API and of the page.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use crate::api::{AdditionalForm, AlertForm, GroupForm, KnownForm, RuleForm, RulesForm};
use crate::page;
use crate::rules::view::{GroupView, RuleView};
use crate::rules::{Alert, AlertState, Cause, Inside, View};
use crate::topology::Suppressor;

/// As the API tells it. `took` is the time of the last evaluation of everything.
pub(super) fn of_api(inside: Inside, suppressor: &Suppressor, took: Duration) -> RulesForm {
    let groups = inside.view.groups.iter().map(|group| self::group(group, suppressor, took));
    RulesForm { groups: groups.collect(), inside: Arc::new(inside) }
}

fn group(group: &GroupView, suppressor: &Suppressor, took: Duration) -> GroupForm {
    GroupForm {
        name: group.name.to_string(),
        file: group.file.to_string(),
        rules: group.rules.iter().map(|rule| self::rule(rule, suppressor, took)).collect(),
        interval: group.interval.as_secs_f64(),
        limit: group.limit,
        evaluation_time: took.as_secs_f64(),
        last_evaluation: group.last_evaluation.unwrap_or(Timestamp::MIN),
    }
}

fn rule(rule: &RuleView, suppressor: &Suppressor, took: Duration) -> RuleForm {
    let texts = |pairs: &[(Arc<str>, String)]| {
        pairs.iter().map(|(name, text)| (name.to_string(), text.clone())).collect()
    };
    let alerting = rule.alerting.as_ref();
    let expect = alerting.and_then(|alerting| alerting.expect.as_ref());
    let alert = |alert: &Alert| self::alert(alert, suppressor);
    let state = alerting.map(|alerting| {
        let worst = alerting.alerts.iter().map(|alert| alert.state).max();
        worst.unwrap_or(AlertState::Inactive).word()
    });
    RuleForm {
        state,
        name: rule.name.to_string(),
        query: rule.query.clone(),
        duration: alerting.map(|alerting| alerting.hold.as_secs_f64()),
        keep_firing_for: alerting.map(|alerting| alerting.keep_firing.as_secs_f64()),
        // A recording rule tells of labels only when it adds some.
        labels: Some(texts(&rule.labels)).filter(|_| alerting.is_some() || !rule.labels.is_empty()),
        annotations: alerting.map(|alerting| texts(&alerting.annotations)),
        alerts: alerting.map(|alerting| alerting.alerts.iter().map(alert).collect()),
        health: rule.health.word(),
        last_error: match &rule.health {
            crate::rules::Health::Err(error) => Some(error.clone()),
            _ => None,
        },
        evaluation_time: took.as_secs_f64(),
        last_evaluation: rule.last_evaluation.unwrap_or(Timestamp::MIN),
        additional: AdditionalForm {
            clear: alerting.and_then(|alerting| alerting.clear.clone()),
            expect: expect.map(|expect| expect.query.clone()),
            within: expect.map(|expect| expect.within.as_secs_f64()),
            on: expect.and_then(|expect| {
                expect.on.as_ref().map(|on| on.iter().map(ToString::to_string).collect())
            }),
        },
        kind: if alerting.is_some() { "alerting" } else { "recording" },
    }
}

fn alert(alert: &Alert, suppressor: &Suppressor) -> AlertForm {
    AlertForm {
        labels: alert.labels.clone(),
        annotations: alert
            .annotations
            .iter()
            .map(|(name, text)| (name.to_string(), text.clone()))
            .collect(),
        state: alert.state.word(),
        active_at: alert.active_at,
        value: alert.value,
        held: alert.held.is_some(),
        known: KnownForm {
            held_since: alert.held.as_ref().map(|held| held.since),
            held_cause: alert.held.as_ref().map(|held| held.cause.to_string()),
            flapping: alert.flapping(),
        },
        suppressed_by: suppressor.suppressed_by(&alert.labels).cloned(),
    }
}

/// The alerts that are pending or firing, for the page.
pub(super) fn of_page(view: &View, suppressor: &Suppressor) -> Vec<page::Alert> {
    let rules = view.groups.iter().flat_map(|group| &group.rules);
    let alerts = rules.filter_map(|rule| rule.alerting.as_ref()).flat_map(|a| &a.alerts);
    alerts
        .map(|alert| {
            let annotation = |name: &str| {
                let found = alert.annotations.iter().find(|(known, _)| **known == *name);
                found.map(|(_, text)| text.as_str())
            };
            let since = alert.active_at;
            let held = alert.held.is_some();
            let mut shown =
                page::Alert::new(&alert.labels, annotation, alert.state.word(), held, since);
            if let Some(held) = &alert.held {
                shown.held_since = Some(held.since.as_millis());
                shown.held_because = held_because(&held.cause);
            }
            shown.flapping = alert.flapping();
            match suppressor.suppressed_by(&alert.labels) {
                Some(cause) => shown.following(cause),
                None => shown,
            }
        })
        .collect()
}

/// Which inputs are gone, for people: where they are is said beside it.
fn held_because(cause: &Cause) -> String {
    match cause {
        Cause::InputsGone(inputs) => {
            let short = |labels: &Labels| labels.without(|name| matches!(name, "tenant" | "site"));
            Cause::InputsGone(inputs.iter().map(short).collect()).to_string()
        }
        failed @ Cause::RuleFailed(_) => failed.to_string(),
    }
}

/// How many rules failed at their last evaluation, and the first of them with its error.
pub(super) fn failing(view: &View) -> (usize, Option<String>) {
    let rules = view.groups.iter().flat_map(|group| &group.rules);
    let mut failed = rules.filter_map(|rule| match &rule.health {
        crate::rules::Health::Err(error) => Some(format!("{}: {error}", rule.name)),
        _ => None,
    });
    let first = failed.next();
    (usize::from(first.is_some()) + failed.count(), first)
}
