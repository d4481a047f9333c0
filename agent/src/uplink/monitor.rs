//! One uplink over time: when each probe is due, which answer belongs to which probe, and what an
//! interval comes to. Hands out actions, takes events; sends nothing itself.

use std::collections::VecDeque;
use std::time::Duration;

use hallwatch_model::{Labels, Missing, Uptime, Value};

use super::failure::{Failure, Unasked};
use super::window::{QUANTILES, Window};
use super::{Probe, Uplink};

/// How many decided probes are remembered, so that a late answer is told from a second one.
const REMEMBERED: usize = 256;

/// Which probe of the uplink, and which sending of it. Numbers return after 65,536 sendings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeId {
    /// The place in [`Uplink::probes`].
    pub probe: usize,
    /// Counts the sendings.
    pub number: u16,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask, now.
    Send(ProbeId),
    /// An interval is over.
    Report(Report),
}

/// The readings of one interval: series (without the device's labels) and values.
pub type Report = Vec<(Labels, Value)>;

/// What the shell tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// A good answer came, so long after the question.
    Answered(ProbeId, Duration),
    /// It failed.
    Failed(ProbeId, Failure),
    /// It could not be asked.
    Unasked(ProbeId, Unasked),
}

/// How often something happened that the readings do not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Answers after the timeout; their probes stay lost.
    pub late: u64,
    /// Second answers to one probe, not counted.
    pub duplicate: u64,
    /// Answers to nothing that was asked, as far as is remembered.
    pub stray: u64,
    /// Slots that went by unused, because the process was late.
    pub skipped: u64,
    /// Probes whose timeout ran out while the process stood still: their answers may have come.
    pub undecided: u64,
    /// Probes that could not be asked.
    pub unasked: u64,
}

/// An uplink's state.
#[derive(Debug)]
pub struct Monitor {
    interval: Duration,
    every: Duration,
    timeout: Duration,
    tracks: Vec<Track>,
    up: Labels,
    report_at: Uptime,
    counters: Counters,
}

/// A probe's state.
#[derive(Debug)]
struct Track {
    series: Series,
    next: Uptime,
    number: u16,
    /// Sent and not decided, oldest first. At most timeout ÷ every, plus one.
    open: VecDeque<(u16, Uptime)>,
    decided: VecDeque<(u16, Decision)>,
    window: Window,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Answered,
    Lost,
}

#[derive(Debug)]
struct Series {
    loss: Labels,
    latency: [Labels; QUANTILES.len()],
    errors: Vec<(Failure, Labels, u64)>,
}

impl Series {
    fn new(probe: &Probe) -> Self {
        let name = probe.name.as_str();
        let errors = probe.target.failures().iter().map(|failure| {
            let pairs = [("probe", name), ("reason", failure.word())];
            (*failure, Labels::metric("uplink_errors_total", pairs), 0)
        });
        Self {
            loss: Labels::metric("uplink_loss_ratio", [("probe", name)]),
            latency: QUANTILES.map(|(quantile, _)| {
                let pairs = [("probe", name), ("quantile", quantile)];
                Labels::metric("uplink_latency_seconds", pairs)
            }),
            errors: errors.collect(),
        }
    }
}

impl Monitor {
    /// The state at `start`. The first sendings of the probes are spread over `every`, by `slot`
    /// (a hash of the device's name), so that uplinks and probes do not all send at once.
    #[must_use]
    pub fn new(uplink: &Uplink, slot: u64, start: Uptime) -> Self {
        let every = uplink.every;
        let count = u32::try_from(uplink.probes.len()).unwrap_or(u32::MAX).max(1);
        let millis = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
        let own = Duration::from_millis(slot % millis) / count;
        let tracks = (0..).zip(&uplink.probes).map(|(at, probe): (u32, _)| Track {
            series: Series::new(probe),
            next: start + own + every / count * at,
            number: 0,
            open: VecDeque::new(),
            decided: VecDeque::new(),
            window: Window::default(),
        });
        Self {
            interval: uplink.interval,
            every,
            timeout: uplink.timeout,
            tracks: tracks.collect(),
            up: Labels::metric("uplink_up", []),
            report_at: start + uplink.interval,
            counters: Counters::default(),
        }
    }

    /// All series that reports will have, each once.
    pub fn series(&self) -> impl Iterator<Item = &Labels> {
        let own = self.tracks.iter().flat_map(|track| {
            let errors = track.series.errors.iter().map(|(_, labels, _)| labels);
            [&track.series.loss].into_iter().chain(&track.series.latency).chain(errors)
        });
        [&self.up].into_iter().chain(own)
    }

    /// What happened besides.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// When the next [`Event::Tick`] is due, at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Uptime {
        let due = self.tracks.iter().map(|track| track.next);
        let lost =
            self.tracks.iter().filter_map(|track| Some(track.open.front()?.1 + self.timeout));
        due.chain(lost).fold(self.report_at, Uptime::min)
    }

    /// Takes what happened and what time it is.
    pub fn handle(&mut self, event: Event, now: Uptime) -> Vec<Action> {
        // A process that stood still (stopped, starved, or its machine suspended) for the better
        // part of a timeout has heard nothing meanwhile; that is not the provider's loss.
        let stood_still = now.since(self.wake_at()).saturating_mul(2) >= self.timeout;
        match event {
            Event::Tick => {}
            Event::Answered(id, latency) if latency <= self.timeout => self.answered(id, latency),
            Event::Answered(id, _) => {
                // It came too late even if nobody has noticed yet.
                if !stood_still {
                    self.failed(id, Failure::Timeout);
                }
                self.counters.late += 1;
            }
            Event::Failed(id, failure) => self.failed(id, failure),
            Event::Unasked(id, _) => {
                if self.track(id).is_some_and(|track| track.close(id.number, Decision::Lost)) {
                    self.counters.unasked += 1;
                }
            }
        }
        self.expire(now, stood_still);
        self.pass(now)
    }

    fn track(&mut self, id: ProbeId) -> Option<&mut Track> {
        self.tracks.get_mut(id.probe)
    }

    fn answered(&mut self, id: ProbeId, latency: Duration) {
        let Some(track) = self.tracks.get_mut(id.probe) else { return };
        if track.close(id.number, Decision::Answered) {
            track.window.answered(latency);
            return;
        }
        // Newest first: numbers return.
        let before = track.decided.iter().rev().find(|(number, _)| *number == id.number);
        match before {
            Some((_, Decision::Answered)) => self.counters.duplicate += 1,
            Some((_, Decision::Lost)) => self.counters.late += 1,
            None => self.counters.stray += 1,
        }
    }

    fn failed(&mut self, id: ProbeId, failure: Failure) {
        if let Some(track) = self.track(id)
            && track.close(id.number, Decision::Lost)
        {
            track.failed(failure);
        }
    }

    fn expire(&mut self, now: Uptime, stood_still: bool) {
        for track in &mut self.tracks {
            while let Some((number, sent)) = track.open.front().copied()
                && sent + self.timeout <= now
            {
                track.close(number, Decision::Lost);
                if stood_still {
                    self.counters.undecided += 1;
                } else {
                    track.failed(Failure::Timeout);
                }
            }
        }
    }

    fn pass(&mut self, now: Uptime) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.report_at <= now {
            actions.push(Action::Report(self.report()));
            let missed = whole_times(now.since(self.report_at), self.interval);
            self.report_at = self.report_at + self.interval.saturating_mul(missed + 1);
        }
        for (probe, track) in self.tracks.iter_mut().enumerate() {
            if track.next <= now {
                let missed = whole_times(now.since(track.next), self.every);
                self.counters.skipped += u64::from(missed);
                track.next = track.next + self.every.saturating_mul(missed + 1);
                track.number = track.number.wrapping_add(1);
                track.open.push_back((track.number, now));
                actions.push(Action::Send(ProbeId { probe, number: track.number }));
            }
        }
        actions
    }

    fn report(&mut self) -> Report {
        let good: usize = self.tracks.iter().map(|track| track.window.good()).sum();
        let bad: usize = self.tracks.iter().map(|track| track.window.bad()).sum();
        let up = match (good, bad) {
            (0, 0) => Err(Missing::NotAvailable),
            (0, _) => Ok(0.0),
            _ => Ok(1.0),
        };
        let mut report = vec![(self.up.clone(), up)];
        for track in &mut self.tracks {
            report.push((track.series.loss.clone(), track.window.loss()));
            let quantiles = track.window.quantiles();
            report.extend(track.series.latency.iter().cloned().zip(quantiles));
            for (_, labels, count) in &track.series.errors {
                report.push((labels.clone(), Ok(count_as_value(*count))));
            }
            track.window.clear();
        }
        report
    }
}

impl Track {
    /// Decides an open probe; false when `number` is not open.
    fn close(&mut self, number: u16, decision: Decision) -> bool {
        let Some(at) = self.open.iter().position(|(open, _)| *open == number) else { return false };
        self.open.remove(at);
        if self.decided.len() == REMEMBERED {
            self.decided.pop_front();
        }
        self.decided.push_back((number, decision));
        true
    }

    fn failed(&mut self, failure: Failure) {
        self.window.failed(failure);
        // All failures of a kind of probe are listed; another one would be an error of ours.
        if let Some((_, _, count)) =
            self.series.errors.iter_mut().find(|(listed, _, _)| *listed == failure)
        {
            *count += 1;
        }
    }
}

fn whole_times(span: Duration, step: Duration) -> u32 {
    let times = span.as_nanos() / step.as_nanos().max(1);
    u32::try_from(times).unwrap_or(u32::MAX - 1).min(u32::MAX - 1)
}

#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "far below 2^53")]
fn count_as_value(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
