//! What happens when: a pure function of a seed and a length.

use std::fmt;
use std::time::Duration;

use super::dice::Dice;

/// Before the first fault.
const CALM: Duration = Duration::from_secs(2);
/// The shortest fault.
const SHORTEST: Duration = Duration::from_millis(200);

/// A process that faults happen to. Collectors are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The agent.
    Agent,
    /// A collector.
    Collector(usize),
    /// The broker between them.
    Broker,
    /// The devices whose answers are known.
    Devices,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::Collector(number) => write!(f, "c-{}", number + 1),
            Self::Broker => f.write_str("broker"),
            Self::Devices => f.write_str("devices"),
        }
    }
}

/// A fault. All of them have an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9, started again at the end.
    Kill(Who),
    /// The broker ends by itself; its successor knows everything of before, or nothing.
    Restart {
        /// Whether the broker's database is there at the new start.
        persistent: bool,
    },
    /// Connections are reset, new ones are refused: everybody sees an error.
    Cut,
    /// Nothing passes the link, and nobody is told.
    Partition,
    /// 30 % of all packets are lost in each direction.
    Loss,
    /// Packets are late by 500 ms, more or less, some twice and some before others.
    Delay,
    /// The connections of now are silent for ever, new ones work.
    HalfOpen,
    /// No byte more fits on the disk.
    DiskFull(Who),
    /// The disk takes no writes; the process is killed and started on it.
    ReadOnly(Who),
    /// The gateway's clock is set by so many seconds, and back.
    Clock(i64),
    /// A collector is terminated, and is away for long.
    Away(usize),
    /// SIGSTOP, and SIGCONT at the end.
    Freeze(Who),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(who) => write!(f, "kill -9 {who}"),
            Self::Restart { persistent: true } => f.write_str("broker restart, persistent"),
            Self::Restart { persistent: false } => f.write_str("broker restart, forgetful"),
            Self::Cut => f.write_str("link cut, with resets"),
            Self::Partition => f.write_str("silent partition"),
            Self::Loss => f.write_str("30 % loss"),
            Self::Delay => f.write_str("500 ms delay, jitter, duplicates"),
            Self::HalfOpen => f.write_str("half-open TCP"),
            Self::DiskFull(who) => write!(f, "disk full, {who}"),
            Self::ReadOnly(who) => write!(f, "disk read-only, {who}"),
            Self::Clock(seconds) => write!(f, "clock of the agent {seconds:+} s"),
            Self::Away(number) => write!(f, "c-{} away", number + 1),
            Self::Freeze(who) => write!(f, "SIGSTOP {who}"),
        }
    }
}

/// What two faults must not share at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Process(Who),
    Disk(Who),
    Link(u8),
    Clock,
}

impl Fault {
    fn target(self) -> Target {
        match self {
            Self::Kill(who) | Self::Freeze(who) => Target::Process(who),
            Self::Restart { .. } => Target::Process(Who::Broker),
            Self::Away(number) => Target::Process(Who::Collector(number)),
            Self::DiskFull(who) | Self::ReadOnly(who) => Target::Disk(who),
            Self::Cut | Self::Partition => Target::Link(0),
            Self::Loss => Target::Link(1),
            Self::Delay => Target::Link(2),
            Self::HalfOpen => Target::Link(3),
            Self::Clock(_) => Target::Clock,
        }
    }

    /// The shortest and longest time in a run of the length `length`.
    fn bounds(self, length: Duration) -> (Duration, Duration) {
        let seconds = Duration::from_secs;
        let (least, most) = match self {
            Self::Kill(_) => (SHORTEST, seconds(8)),
            Self::Restart { .. } => (SHORTEST, seconds(4)),
            Self::Freeze(_) => (seconds(1), seconds(25)),
            Self::Away(_) => (length / 4, length / 3),
            // Longer than the agent holds in memory, in a long run.
            Self::DiskFull(Who::Agent) => (seconds(5), (length / 3).max(seconds(5))),
            Self::Clock(_) | Self::DiskFull(_) | Self::ReadOnly(_) => (seconds(5), seconds(25)),
            Self::Cut | Self::Partition | Self::HalfOpen => (seconds(3), seconds(40)),
            Self::Loss | Self::Delay => (seconds(5), seconds(40)),
        };
        (least, most.min(length / 3).max(least))
    }
}

/// Every kind of fault, once.
fn kinds(dice: &mut Dice) -> Vec<Fault> {
    let mut clock = || {
        let steps = [-3_600, 7_200, -120, 40, 9, -7, 3];
        Fault::Clock(steps[dice.index(steps.len())])
    };
    let clocks = [clock(), clock()];
    let mut kinds = vec![
        Fault::Kill(Who::Agent),
        Fault::Kill(Who::Agent),
        Fault::Kill(Who::Collector(0)),
        Fault::Kill(Who::Collector(1)),
        Fault::Kill(Who::Broker),
        Fault::Restart { persistent: true },
        Fault::Restart { persistent: false },
        Fault::Cut,
        Fault::Partition,
        Fault::Loss,
        Fault::Delay,
        Fault::HalfOpen,
        Fault::DiskFull(Who::Agent),
        Fault::DiskFull(Who::Collector(0)),
        Fault::ReadOnly(Who::Agent),
        Fault::ReadOnly(Who::Collector(1)),
        Fault::Away(dice.index(2)),
        Fault::Freeze(Who::Agent),
        Fault::Freeze(Who::Collector(dice.index(2))),
        Fault::Freeze(Who::Broker),
        Fault::Freeze(Who::Devices),
    ];
    kinds.extend(clocks);
    dice.shuffle(&mut kinds);
    kinds
}

/// One fault of a plan. Times are since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What it is.
    pub fault: Fault,
}

impl Step {
    /// When it ends.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.at + self.lasts
    }
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it was made from.
    pub seed: u64,
    /// From the beginning to the end of the last fault, at most.
    pub length: Duration,
    /// Whether the agent's journal keeps what is acknowledged, so that it can be compared.
    pub keeps: bool,
    /// In the order of their beginning.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed. Each kind of fault comes once before any comes twice; faults overlap, but
    /// never two that have the same target.
    #[must_use]
    pub fn new(seed: u64, length: Duration) -> Self {
        let mut dice = Dice::new(seed);
        let keeps = dice.hits(50);
        let mut steps: Vec<Step> = Vec::new();
        let mut bag = kinds(&mut dice);
        // Of all kinds one at least, with two or three at a time.
        let count = u32::try_from(bag.len()).unwrap_or(u32::MAX);
        let pause = ((length - CALM.min(length)) * 2 / (count * 3)).min(Duration::from_secs(6));
        let mut now = CALM;
        while now + SHORTEST <= length {
            let Some(fault) = bag.pop() else {
                bag = kinds(&mut dice);
                continue;
            };
            let (least, most) = fault.bounds(length);
            let target = fault.target();
            let free = steps.iter().filter(|step| step.fault.target() == target);
            let free = free.map(|step| step.end() + SHORTEST).max().unwrap_or(now);
            let at = now.max(free);
            let lasts = dice.time(least, most).min(length.saturating_sub(at));
            if lasts >= SHORTEST {
                steps.push(Step { at, lasts, fault });
            }
            now += dice.time(SHORTEST, pause * 2);
        }
        steps.sort_by_key(|step| step.at);
        Self { seed, length, keeps, steps }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(Plan::new(7, MINUTE), Plan::new(7, MINUTE));
        assert_ne!(Plan::new(7, MINUTE).steps, Plan::new(8, MINUTE).steps);
        // A failure that was written down by its seed must replay after the next change, too: who
        // changes this changes what all known seeds mean.
        let plan = Plan::new(1, MINUTE);
        let first: Vec<String> = plan.steps.iter().take(3).map(|s| s.fault.to_string()).collect();
        assert_eq!(first, FIRST);
    }

    const FIRST: [&str; 3] = ["SIGSTOP devices", "half-open TCP", "kill -9 c-2"];

    #[test]
    fn every_kind_of_fault_is_in_a_minute_and_none_outlives_it() {
        for seed in 0..300 {
            for length in [MINUTE, MINUTE * 10] {
                let plan = Plan::new(seed, length);
                let kinds: BTreeSet<_> = plan
                    .steps
                    .iter()
                    .map(|step| std::mem::discriminant(&step.fault))
                    .map(|d| format!("{d:?}"))
                    .collect();
                assert!(kinds.len() >= 10, "seed {seed}: {kinds:?}");
                assert!(plan.steps.iter().all(|step| step.end() <= length && step.at >= CALM));
                assert!(plan.steps.is_sorted_by_key(|step| step.at));
            }
            let all = Plan::new(seed, MINUTE * 10);
            let names: BTreeSet<_> = all
                .steps
                .iter()
                .map(|step| step.fault.to_string())
                .map(|name| name.split(" -").next().unwrap_or("").to_owned())
                .collect();
            assert!(names.len() >= 12, "seed {seed}: {names:?}");
        }
    }

    #[test]
    fn no_two_faults_have_the_same_target_at_one_time() {
        for seed in 0..300 {
            let plan = Plan::new(seed, MINUTE * 3);
            for (index, one) in plan.steps.iter().enumerate() {
                for other in &plan.steps[index + 1..] {
                    let apart = other.at >= one.end() || other.end() <= one.at;
                    let same = one.fault.target() == other.fault.target();
                    assert!(apart || !same, "seed {seed}: {one:?} and {other:?}");
                }
            }
        }
    }

    #[test]
    fn faults_overlap() {
        let plan = Plan::new(5, MINUTE * 10);
        let most = plan.steps.iter().map(|one| {
            plan.steps.iter().filter(|other| other.at <= one.at && other.end() > one.at).count()
        });
        assert!(most.max() >= Some(3));
    }
}
