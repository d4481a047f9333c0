//! CPU time and memory of processes, and what was measured of one.

use std::time::Duration;

/// One run of one subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Seconds a minute.
    pub(crate) cpu: f64,
    /// The same of the thread with the rules, where it has one.
    pub(crate) cpu_of_rules: Option<f64>,
    /// From sample to alert.
    pub(crate) latencies: Vec<Duration>,
    /// Of each of them, until the sample was committed.
    pub(crate) commits: Vec<Duration>,
    /// Which part of the samples, or evaluations, that there should have been there was.
    pub(crate) kept_up: f64,
}

impl Measured {
    /// Milliseconds that so many of a hundred stay below.
    pub(crate) fn at(&self, part: usize) -> f64 {
        at(&self.latencies, part)
    }

    pub(crate) fn line(&self) -> String {
        let rules = self.cpu_of_rules.map(|cpu| format!(", of that rules {cpu:.3}"));
        let latency = if self.latencies.is_empty() {
            String::new()
        } else {
            let (median, worst) = (self.at(50), self.at(99));
            format!("; sample to alert: median {median:.2} ms, p99 {worst:.2} ms")
        };
        let commits = if self.commits.is_empty() {
            String::new()
        } else {
            let (median, worst) = (at(&self.commits, 50), at(&self.commits, 99));
            format!(" (the commit: {median:.2} ms and {worst:.2} ms)")
        };
        format!(
            "{:8.3} CPU s a minute{}{latency}{commits}; kept up {:.0} %",
            self.cpu,
            rules.unwrap_or_default(),
            self.kept_up * 100.0
        )
    }

    /// The mean of CPU times, all latencies.
    pub(crate) fn of_rounds(rounds: &[Self]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a few rounds")]
        let count = rounds.len().max(1) as f64;
        let mean = |of: fn(&Self) -> f64| rounds.iter().map(of).sum::<f64>() / count;
        let has = rounds.iter().all(|round| round.cpu_of_rules.is_some());
        Self {
            cpu: mean(|round| round.cpu),
            cpu_of_rules: has.then(|| mean(|round| round.cpu_of_rules.unwrap_or_default())),
            latencies: rounds.iter().flat_map(|round| round.latencies.clone()).collect(),
            commits: rounds.iter().flat_map(|round| round.commits.clone()).collect(),
            kept_up: mean(|round| round.kept_up),
        }
    }
}

fn at(times: &[Duration], part: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = (times.len() * part / 100).min(times.len().saturating_sub(1));
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// CPU time of a process so far, in seconds.
pub(crate) fn cpu_seconds(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let field =
        |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // Hundredths, on every Linux that there is.
    (field(11) + field(12)) / 100.0
}

/// CPU time of this thread so far.
pub(crate) fn own_cpu() -> Duration {
    // The kernel brings its account up to date when the thread gives way; else only at its ticks.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}

/// What this process holds of memory now, in bytes.
pub(crate) fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    pages * 4096.0
}

/// What the machine does beside.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores, load {load}")
}
