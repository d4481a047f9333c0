//! Whether Modbus devices answer, and with what.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_agent::config::{Device, DeviceSource, Modbus};
use hallwatch_agent::io::clock::Clock;
use hallwatch_agent::profile::{Fingerprint, Inspected, Profile};
use hallwatch_model::{Missing, chain};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::count;
use super::verdict::{Verdict, Word};
use crate::cli::show;
use crate::cli::wire::{Answers, TLS_FILES, Wire, hint};

/// So many endpoints are asked at once.
const AT_ONCE: usize = 32;
/// So many problems of one device are told.
const TOLD: usize = 3;

/// The verdicts on all Modbus devices, by index. The units of one endpoint are asked one after the
/// other.
pub(super) async fn check(devices: &[Device]) -> BTreeMap<usize, Verdict> {
    let mut by_line: HashMap<&str, Vec<(usize, String, Modbus)>> = HashMap::new();
    for (index, device) in devices.iter().enumerate() {
        if let DeviceSource::Modbus(modbus) = &device.source {
            let entry = (index, device.name.to_string(), modbus.clone());
            by_line.entry(&modbus.line.name).or_default().push(entry);
        }
    }
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for units in by_line.into_values() {
        let slots = Arc::clone(&slots);
        tasks.spawn(async move {
            let _slot = slots.acquire_owned().await;
            line(units).await
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// The verdicts on the devices of one line, over one connection.
async fn line(units: Vec<(usize, String, Modbus)>) -> Vec<(usize, Verdict)> {
    let mut found = Vec::new();
    let mut wire: Option<Wire> = None;
    for (index, name, modbus) in units {
        let what = format!("Modbus {} unit {}", modbus.line.endpoint, modbus.unit);
        let verdict = Verdict::new(&name, what, Word::Ok);
        let made = match wire.take() {
            Some(wire) => Ok(wire),
            None => Wire::new(&modbus),
        };
        let verdict = match made {
            Ok(mut known) => {
                known.turn_to(&modbus);
                let verdict = device(verdict, &modbus, &mut known).await;
                wire = Some(known);
                verdict
            }
            Err(error) => {
                Verdict { word: Word::Failed, ..verdict }.problem(chain(&error)).hint(TLS_FILES)
            }
        };
        found.push((index, verdict));
    }
    found
}

async fn device(verdict: Verdict, modbus: &Modbus, wire: &mut Wire) -> Verdict {
    let before = Clock::start();
    let profile = match wire.place(modbus).await {
        Ok(Some(profile)) => profile,
        Ok(None) => {
            return Verdict { word: Word::Refused, ..verdict }
                .problem(format!("{} is for SunSpec devices; this is none", modbus.profile.name))
                .hint("`hallwatch-agent scan` says what it may be");
        }
        Err(error) => return unanswered(verdict, &error),
    };
    let answers = wire.read(profile.reads(), None).await;
    let took = before.now().uptime.elapsed();
    let all_silent = answers
        .iter()
        .all(|answer| matches!(answer, Err(Missing::Timeout | Missing::DeviceOffline)));
    match wire.errors.first() {
        Some(error) if all_silent => unanswered(verdict, error),
        _ => {
            let resembles = resembles(wire, &profile).await;
            judge(verdict, &profile, &answers, wire, took, resembles)
        }
    }
}

/// There was no answer at all.
fn unanswered(verdict: Verdict, error: &hallwatch_modbus::Error) -> Verdict {
    let word = match error.missing() {
        Missing::DeviceOffline => Word::Unreachable,
        Missing::Timeout => Word::Silent,
        _ => Word::Failed,
    };
    Verdict { word, ..verdict }.problem(chain(&error.failure)).hint(hint(error))
}

fn judge(
    verdict: Verdict,
    profile: &Profile,
    answers: &Answers,
    wire: &Wire,
    took: Duration,
    resembles: bool,
) -> Verdict {
    let points: Vec<Inspected<'_>> = profile
        .inspect(answers, &[])
        .into_iter()
        .filter(|point| !point.series.is_empty())
        .collect();
    let values: Vec<_> = points.iter().flat_map(|point| &point.series).collect();
    let there = values.iter().filter(|(_, value)| value.is_ok()).count();
    let absent = values.iter().filter(|(_, value)| *value == Err(Missing::NotAvailable)).count();
    let (all, wrong) = (values.len(), values.len() - there - absent);
    let mut detail = format!("{}, {} ms", count(there, "value"), took.as_millis());
    if absent > 0 {
        detail.push_str(&format!(", {absent} not available"));
    }
    let mut verdict = verdict.detail(detail);
    if wrong > 0 {
        verdict.word = if there == 0 { Word::Refused } else { Word::Partly };
        verdict.problems.push(format!("{wrong} of {} are missing", count(all, "value")));
        verdict.hint = wire.errors.first().map(hint);
        if verdict.hint.is_none() {
            verdict.hint = Some(format!(
                "`hallwatch-agent read {} --orders` shows them in every word order; is it the \
                 right profile?",
                verdict.name
            ));
        }
    } else if !resembles {
        verdict.word = Word::Doubtful;
        let of = format!("{} {}", profile.manufacturer, profile.model);
        verdict.problems.push(format!("it does not identify itself as a device of {of}"));
        verdict.hint = Some("`hallwatch-agent scan` says what it may be".into());
    }
    let told = points
        .iter()
        .filter(|point| point.missing().is_some_and(|missing| missing != Missing::NotAvailable));
    let mut reasons: Vec<String> = Vec::new();
    for point in told {
        let reason = match point.refused() {
            Some(refused) => refused.to_string(),
            None => show::reason(point).unwrap_or_default(),
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let more = reasons.len().saturating_sub(TOLD);
    reasons.truncate(TOLD);
    verdict.problems.extend(reasons);
    if more > 0 {
        verdict.problems.push(format!("and {more} more"));
    }
    verdict
}

/// Whether the device shows one of its profile's fingerprints; also when it has none.
async fn resembles(wire: &mut Wire, profile: &Profile) -> bool {
    let mut identity = None;
    for fingerprint in &profile.fingerprints {
        let fits = match fingerprint {
            Fingerprint::Registers { read, .. } => {
                wire.ask(read).await.is_some_and(|data| fingerprint.fits_data(&data))
            }
            Fingerprint::Object { .. } => {
                if identity.is_none() {
                    identity = Some(wire.identify().await);
                }
                identity.as_ref().is_some_and(|objects| fingerprint.fits_objects(objects))
            }
        };
        if fits {
            return true;
        }
    }
    profile.fingerprints.is_empty()
}
