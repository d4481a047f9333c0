//! The engine alone, without a store, as fast as it goes: what a sample costs, and a rule.

use std::time::{Duration, Instant};

use hallwatch_collector::rules::push::Timing;
use hallwatch_collector::rules::{AlertState, Handle, Options, PushEngine, Pushed, load};
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::MemorySource;

use super::facility::{Bounds, labels, probe, rule_file, value};
use super::process::{Measured, own_cpu, resident};

const START: i64 = 1_795_276_800_000;
/// Batches that come in a second, as of so many agents.
const BATCHES: u32 = 100;
/// Until the windows are full.
const WARM: u32 = 70;

struct Run {
    engine: PushEngine,
    source: MemorySource,
    samples: Vec<Pushed>,
    probe: Handle,
    latencies: Vec<Duration>,
}

impl Run {
    fn new(series: u32, rules: u32, unrelated: u32, bounds: Bounds) -> Self {
        let set = load(&[("bench.yaml", &rule_file(rules, unrelated, bounds))]).unwrap();
        // The probe changes all the time on purpose.
        let options = Options { flapping: None, ..Options::default() };
        let mut engine = PushEngine::new(set, Vec::new(), options, Timing::default());
        let sample = Sample { time: Timestamp::from_millis(START), value: Ok(0.0) };
        for number in 0..unrelated {
            let own = [("site", "fra-0"), ("tenant", "acme")];
            let handle = engine.resolve(&Labels::metric(&format!("other_{number}_value"), own));
            assert!(engine.push(handle, sample));
        }
        let time = sample.time;
        let pushed =
            |number| Pushed { handle: engine.meet(&labels(number, series)), time, value: 0.0 };
        let samples = (0..series).map(pushed).collect();
        let (source, probe) = (MemorySource::new(), engine.meet(&probe()));
        Self { engine, source, samples, probe, latencies: Vec::new() }
    }

    /// The batches of a second, ten alerts that fire or end, and a tick: CPU time of the first,
    /// and of all.
    fn second(&mut self, second: u32) -> (Duration, Duration) {
        let time = Timestamp::from_millis(START + i64::from(second) * 1000);
        for (sample, number) in self.samples.iter_mut().zip(0..) {
            (sample.time, sample.value) = (time, value(number, second));
        }
        let together = self.samples.len().div_ceil(usize::try_from(BATCHES).unwrap());
        let began = own_cpu();
        for batch in self.samples.chunks(together) {
            self.engine.take(batch, false, time, &self.source);
        }
        let pushed = own_cpu();
        for flip in 0..10 {
            let time = time + Duration::from_millis(10 + flip * 10);
            let began = Instant::now();
            let value = if flip % 2 == 0 { 1.0 } else { 0.0 };
            let samples = [Pushed { handle: self.probe, time, value }];
            let evaluation = self.engine.take(&samples, false, time, &self.source);
            let expected = if flip % 2 == 0 { AlertState::Firing } else { AlertState::Resolved };
            assert!(evaluation.transitions.iter().any(|change| change.to == expected));
            self.latencies.push(began.elapsed());
        }
        self.engine.tick(time + Duration::from_millis(500), &self.source);
        (pushed - began, own_cpu() - began)
    }
}

/// So many series and rules, and what they take.
pub(crate) fn alone(series: u32, rules: u32, seconds: u32) {
    let before = resident();
    let mut run = Run::new(series, rules, 0, Bounds::Far);
    for second in 0..WARM {
        run.second(second);
    }
    run.latencies.clear();
    let (mut pushed, mut all) = (Duration::ZERO, Duration::ZERO);
    for second in WARM..WARM + seconds {
        let (of_push, of_all) = run.second(second);
        pushed += of_push;
        all += of_all;
    }
    let usage = run.engine.usage();
    let count = f64::from(series) * f64::from(seconds);
    let (pushed_nanos, nanos) =
        (pushed.as_secs_f64() * 1e9 / count, all.as_secs_f64() * 1e9 / count);
    let measured = Measured {
        cpu: all.as_secs_f64() * 60.0 / f64::from(seconds),
        latencies: run.latencies,
        kept_up: 1.0,
        ..Measured::default()
    };
    println!("the engine alone                       {}", measured.line());
    println!("  a sample: {pushed_nanos:.0} ns pushed, {nanos:.0} ns with ticks");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let per = |bytes: usize, of: usize| bytes as f64 / of.max(1) as f64;
    let memory = usage.memory;
    println!(
        "  memory: {:.0} B a series ({:.0} samples each, {} series), {:.0} B a rule instance ({} instances, {} operators, {} rows); resident {:.1} MB",
        per(memory.series_bytes, memory.series),
        per(memory.samples, memory.series),
        memory.series,
        per(memory.operator_bytes, usage.instances),
        usage.instances,
        memory.operators,
        memory.rows,
        (resident() - before) / 1e6
    );
}

/// What a sample costs where no comparison can be decided by looking at it alone.
pub(crate) fn close(series: u32, rules: u32, seconds: u32) {
    let mut run = Run::new(series, rules, 0, Bounds::Close);
    for second in 0..WARM {
        run.second(second);
    }
    let all: Duration = (WARM..WARM + seconds).map(|second| run.second(second).1).sum();
    let nanos = all.as_secs_f64() * 1e9 / f64::from(series) / f64::from(seconds);
    println!("  a sample where values stay just below their bounds: {nanos:.0} ns with ticks");
}

/// What a sample costs beside more and more rules that have nothing to do with it. A second of
/// each in turn, in changing order.
pub(crate) fn growth(series: u32, seconds: u32) {
    let unrelated = [100, 1_000, 10_000];
    let mut runs = unrelated.map(|count| (count, Run::new(series, 100, count, Bounds::Far)));
    let mut times = unrelated.map(|_| (Duration::ZERO, Duration::ZERO));
    for second in 0..WARM + seconds {
        for turn in 0..runs.len() {
            let at = (turn + usize::try_from(second).unwrap()) % runs.len();
            let (pushed, all) = runs[at].1.second(second);
            if second >= WARM {
                times[at].0 += pushed;
                times[at].1 += all;
            }
        }
    }
    let mut first = None;
    for ((count, _), (pushed, all)) in runs.into_iter().zip(times) {
        let samples = f64::from(series) * f64::from(seconds);
        let nanos = |time: Duration| time.as_secs_f64() * 1e9 / samples;
        let (pushed, all) = (nanos(pushed), nanos(all));
        let (pushed_first, all_first) = *first.get_or_insert((pushed, all));
        println!(
            "  100 rules beside {count:>6} unrelated ones: {pushed:.0} ns a sample pushed ({:.2} times), {all:.0} ns with ticks ({:.2} times)",
            pushed / pushed_first,
            all / all_first
        );
    }
}
