//! Random series: what facilities and their agents make, and what nobody should make.
//!
//! Sums of most of them are exact in 53 bits (quarters, whole numbers), so that the order of an
//! addition does not matter and answers can be compared bit by bit.

use hallwatch_model::Labels;

use crate::dice::Dice;
use crate::prometheus::{STALE, T0, Timeline};

/// Between samples, in milliseconds.
const INTERVAL: i64 = 15_000;
/// How many intervals: 100 minutes.
const LENGTH: i64 = 400;

/// All series of a seed, sorted.
pub(crate) fn series(seed: u64) -> Vec<Timeline> {
    let mut dice = Dice::new(seed, u64::MAX);
    let mut all = Vec::new();
    let jobs = ["api", "db"];
    for job in jobs {
        for instance in ["0", "1", "2"] {
            let labels = [("job", job), ("instance", instance)];
            all.push(timeline(&mut dice, "c_total", &labels, counter, Gaps::Yes));
            all.push(timeline(&mut dice, "g", &labels, gauge, Gaps::Yes));
            all.push(timeline(&mut dice, "s", &labels, state, Gaps::Yes));
            let version = dice.pick(&["v1", "v2"]);
            let info = [("job", job), ("instance", instance), ("version", version)];
            all.push(timeline(&mut dice, "info", &info, one, Gaps::Yes));
        }
        let labels = [("job", job)];
        all.push(timeline(&mut dice, "fresh_total", &labels, fresh, Gaps::No));
        all.push(timeline(&mut dice, "odd", &labels, odd, Gaps::Yes));
        all.push(timeline(&mut dice, "huge", &labels, huge, Gaps::Yes));
        histogram(&mut dice, job, &mut all);
    }
    for (zone, instance) in [("a", "0"), ("a", "1"), ("b", "0"), ("ü \"x\"\\", "1")] {
        let labels = [("zone", zone), ("instance", instance), ("job", "api")];
        all.push(timeline(&mut dice, "temp", &labels, gauge, Gaps::Yes));
    }
    all.push(timeline(&mut dice, "lone", &[], one, Gaps::Yes));
    let lone = all.last_mut().unwrap();
    let keep = usize::try_from(dice.below(lone.points.len() as u64)).unwrap();
    lone.points = lone.points.drain(keep..=keep).collect();
    all.retain(|timeline| !timeline.points.is_empty());
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gaps {
    Yes,
    No,
}

fn timeline(
    dice: &mut Dice,
    name: &'static str,
    labels: &[(&'static str, &'static str)],
    mut values: impl FnMut(&mut Dice, &mut State) -> f64,
    gaps: Gaps,
) -> Timeline {
    // Never so that a sample lies at the edge of a window by chance: times of evaluation and
    // windows are other fractions of a second.
    let shift = dice.pick(&[0, 0, 0, 137, 250, 613]);
    let mut state = State { value: 0.0, falls: 0, begins: dice.between(20, 200), at: 0 };
    let mut points = Vec::new();
    let mut until = -1;
    for i in 0..LENGTH {
        state.at = i;
        let value = values(dice, &mut state);
        if value.to_bits() == NOTHING || i < until {
            continue;
        }
        if gaps == Gaps::Yes && dice.one_in(60) {
            until = i + dice.pick(&[2, 3, 6, 22, 60]);
            if dice.one_in(2) {
                points.push((T0 + i * INTERVAL + shift, STALE));
            }
            continue;
        }
        points.push((T0 + i * INTERVAL + shift, value));
    }
    Timeline { labels: Labels::metric(name, labels.iter().copied()), points }
}

struct State {
    value: f64,
    falls: u32,
    begins: i64,
    at: i64,
}

/// No sample at all.
const NOTHING: u64 = 0x7ff8_dead_0000_0000;

/// Counters that are never near zero in comparison with what they gain in a window: they fall by
/// orders of magnitude. See the table of differences for the reason.
fn counter(dice: &mut Dice, state: &mut State) -> f64 {
    if state.at == 0 {
        state.value = 4_000_000.0;
    }
    if state.falls < 2 && dice.one_in(120) {
        state.falls += 1;
        state.value = (state.value / 16.0).floor();
    }
    state.value += dice.pick(&[0.0, 0.0, 1.0, 2.0, 5.0, 8.0]);
    state.value
}

/// A counter that begins at zero, and never pauses.
fn fresh(dice: &mut Dice, state: &mut State) -> f64 {
    if state.at < state.begins {
        return f64::from_bits(NOTHING);
    }
    if state.at > state.begins {
        state.value += dice.pick(&[1.0, 2.0, 5.0, 8.0]);
    }
    state.value
}

fn gauge(dice: &mut Dice, state: &mut State) -> f64 {
    if dice.one_in(80) {
        return f64::NAN;
    }
    state.value = (state.value + dice.pick(&[-2.5, -0.25, 0.0, 0.0, 0.25, 2.5])).clamp(-60.0, 60.0);
    state.value
}

fn state(dice: &mut Dice, state: &mut State) -> f64 {
    if dice.one_in(20) {
        state.value = dice.pick(&[0.0, 1.0, 2.0, 3.0]);
    }
    state.value
}

fn one(_: &mut Dice, _: &mut State) -> f64 {
    1.0
}

/// Infinities and NaN among small numbers, and both zeros.
fn odd(dice: &mut Dice, _: &mut State) -> f64 {
    dice.pick(&[f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 0.0, 1.0, -1.0, 0.5, 2.0, 2.0])
}

/// The ends of what a float can hold.
fn huge(dice: &mut Dice, _: &mut State) -> f64 {
    let (max, tiny) = (f64::MAX, f64::from_bits(1));
    dice.pick(&[max, -max, tiny, -tiny, 1e300, -1e-300, 9_007_199_254_740_993.0, 1e21, 0.1, -7.3])
}

/// Buckets that count together, without gaps of their own.
fn histogram(dice: &mut Dice, job: &'static str, all: &mut Vec<Timeline>) {
    const BOUNDS: [&str; 6] = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];
    let metric = |more: &[(&'static str, &'static str)], name: &'static str| {
        let base = [("job", job)];
        let labels = Labels::metric(name, base.into_iter().chain(more.iter().copied()));
        Timeline { labels, points: Vec::new() }
    };
    let mut buckets: Vec<Timeline> =
        BOUNDS.iter().map(|bound| metric(&[("le", *bound)], "h_bucket")).collect();
    let (mut sum, mut total) = (metric(&[], "h_sum"), metric(&[], "h_count"));
    let mut counts = [1_000_000.0; BOUNDS.len()];
    let mut value = 500_000.0;
    for i in 0..LENGTH {
        let observed = dice.below(BOUNDS.len() as u64);
        let often = dice.pick(&[0.0, 1.0, 3.0]);
        for (at, count) in counts.iter_mut().enumerate() {
            *count += if at as u64 >= observed { often } else { 0.0 };
        }
        value += often * 1.25;
        let time = T0 + i * INTERVAL;
        for (bucket, count) in buckets.iter_mut().zip(counts) {
            bucket.points.push((time, count));
        }
        sum.points.push((time, value));
        total.points.push((time, counts[BOUNDS.len() - 1]));
    }
    // Bounds that are none, and a histogram without an end.
    match dice.below(4) {
        0 => drop(buckets.pop()),
        1 => {
            let mut broken = metric(&[("le", "x")], "h_bucket");
            broken.points.clone_from(&buckets[0].points);
            all.push(broken);
        }
        _ => {}
    }
    all.extend(buckets);
    all.push(sum);
    all.push(total);
}
