//! What goes to whoever is paged, and what comes back. Of an answer only the status, the wish to be
//! asked later and the start of its text are used, none of which is taken apart: so any of them is
//! judged. What is sent are the labels and texts of rules and devices: it is JSON whatever they hold.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use hallwatch_collector::notify::delivery::{Backoff, Error, Verdict};
use hallwatch_collector::notify::{Notification, NotifiedAlert, Why, alertmanager, webhook};
use hallwatch_model::{Labels, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    labels: Vec<(&'a str, &'a str)>,
    texts: Vec<(&'a str, &'a str)>,
    alerts: Vec<(i64, Option<i64>)>,
    status: u16,
    retry_after: Option<u64>,
    excerpt: &'a str,
    attempt: u32,
    since: i64,
    now: i64,
}

fuzz_target!(|case: Case<'_>| {
    let at = Timestamp::from_millis;
    let alerts: Vec<NotifiedAlert> = case
        .alerts
        .iter()
        .take(20)
        .map(|(start, end)| NotifiedAlert {
            labels: Labels::from_pairs(case.labels.iter().copied()),
            annotations: case
                .texts
                .iter()
                .map(|(name, text)| ((*name).into(), (*text).into()))
                .collect(),
            starts_at: at(*start),
            ends_at: end.map(at),
            generator_url: case.excerpt.to_owned(),
        })
        .collect();
    let all: Vec<&NotifiedAlert> = alerts.iter().collect();
    let told: Value = serde_json::from_str(&alertmanager::body(&all, at(case.now))).unwrap();
    assert_eq!(told.as_array().unwrap().len(), all.len());
    let count = alerts.len();
    let notification = Notification {
        receiver: case.excerpt.to_owned(),
        group_key: case.excerpt.to_owned(),
        group_labels: Labels::from_pairs(case.labels.iter().copied()),
        alerts,
        why: Why::New(count),
        at: at(case.since),
        external_url: case.excerpt.to_owned(),
    };
    let told: Value = serde_json::from_str(&webhook::body(&notification).unwrap()).unwrap();
    assert_eq!(told["alerts"].as_array().unwrap().len(), count);

    let failed = Err(Error::Status {
        server: "http://h".to_owned(),
        status: case.status,
        retry_after: case.retry_after.map(Duration::from_secs),
        excerpt: case.excerpt.to_owned(),
    });
    let backoff = Backoff::default();
    match backoff.judge(&failed, case.attempt, at(case.since), at(case.now)) {
        Verdict::Retry { at: again, error } => {
            assert!(again >= at(case.now) && again <= at(case.now) + backoff.longest);
            assert!(!error.is_empty());
        }
        Verdict::GivenUp { error } => assert!(!error.is_empty()),
        Verdict::Delivered => panic!("it was not"),
    }
});
