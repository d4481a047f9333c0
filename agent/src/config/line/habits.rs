//! What can be set of a line, and what a device can have otherwise than its line.

use std::time::Duration;

use hallwatch_config::{DurationOrZero, FromValue, Ranged, Section, Spanned};

use super::{Endpoint, Line};

const SECOND: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(60);
/// The longest pause: a longer one is an `interval`.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The keys of [`Manners`].
pub(in crate::config) const MANNERS: [&str; 8] = [
    "connect_timeout",
    "pause_after_connect",
    "keep_alive",
    "close_after_timeouts",
    "close_after_cycle",
    "rewrites_transaction_ids",
    "echo",
    "quiet_time",
];

/// How a connection is treated, as far as it is written. It is the same for all units behind it.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Manners {
    connect_timeout: Option<Spanned<Duration>>,
    pause_after_connect: Option<Spanned<Duration>>,
    keep_alive: Option<Spanned<Duration>>,
    close_after_timeouts: Option<Spanned<u32>>,
    close_after_cycle: Option<Spanned<bool>>,
    rewrites_transaction_ids: Option<Spanned<bool>>,
    echo: Option<Spanned<bool>>,
    quiet_time: Option<Spanned<Duration>>,
}

impl Manners {
    /// All of them.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            echo: any(section, "echo"),
            quiet_time: within(section, "quiet_time", SHORTEST..=LONGEST),
            ..Self::of_tcp(section)
        }
    }

    /// Those of a Modbus TCP connection.
    pub(in crate::config) fn of_tcp(section: &mut Section<'_>) -> Self {
        Self {
            connect_timeout: within(section, "connect_timeout", SHORTEST..=LONGEST),
            pause_after_connect: pause(section, "pause_after_connect"),
            keep_alive: within(section, "keep_alive", SECOND..=HOUR),
            close_after_timeouts: within(section, "close_after_timeouts", 1..=1000),
            close_after_cycle: any(section, "close_after_cycle"),
            rewrites_transaction_ids: any(section, "rewrites_transaction_ids"),
            ..Self::default()
        }
    }

    /// Whether all of them mean something there.
    pub(super) fn check(&self, section: &mut Section<'_>, endpoint: &Endpoint) {
        let mut useless = |key: &str, written: bool, why: &str| {
            if written && let Some(value) = section.value(key) {
                let message = format!("`{key}` means nothing here: {why}");
                section.problem(value.span(), message, "not used", Some("remove it".to_owned()));
            }
        };
        if endpoint.has_transaction_ids() {
            let why = "answers of Modbus TCP say what they are to";
            useless("quiet_time", self.quiet_time.is_some(), why);
            useless("echo", self.echo.is_some(), "only two wires of a serial line echo");
        } else {
            let why = "RTU has no transaction ids";
            useless("rewrites_transaction_ids", self.rewrites_transaction_ids.is_some(), why);
        }
        if matches!(endpoint, Endpoint::Serial { .. }) {
            useless("keep_alive", self.keep_alive.is_some(), "a serial port has no connection");
        }
    }

    /// Takes over what `other`, which is for the same connection, says besides. What they
    /// contradict each other in is handed to `contradiction`.
    pub(super) fn join(
        &mut self,
        other: Self,
        mut contradiction: impl FnMut(&'static str, std::ops::Range<usize>),
    ) {
        let mut told = |key, span| contradiction(key, span);
        join("connect_timeout", &mut self.connect_timeout, other.connect_timeout, &mut told);
        let (own, new) = (&mut self.pause_after_connect, other.pause_after_connect);
        join("pause_after_connect", own, new, &mut told);
        join("keep_alive", &mut self.keep_alive, other.keep_alive, &mut told);
        let (own, new) = (&mut self.close_after_timeouts, other.close_after_timeouts);
        join("close_after_timeouts", own, new, &mut told);
        join("close_after_cycle", &mut self.close_after_cycle, other.close_after_cycle, &mut told);
        let (own, new) = (&mut self.rewrites_transaction_ids, other.rewrites_transaction_ids);
        join("rewrites_transaction_ids", own, new, &mut told);
    }

    /// Where the quiet time is written, if it is.
    pub(super) fn quiet_time(&self) -> Option<Spanned<Duration>> {
        self.quiet_time.clone()
    }

    /// The line, on which no device takes longer than `slowest` to answer.
    pub(super) fn line(&self, name: String, endpoint: Endpoint, slowest: Duration) -> Line {
        Line {
            name,
            endpoint,
            connect_timeout: value(&self.connect_timeout).unwrap_or(3 * SECOND),
            pause_after_connect: value(&self.pause_after_connect).unwrap_or_default(),
            keep_alive: value(&self.keep_alive).unwrap_or(15 * SECOND),
            close_after_timeouts: value(&self.close_after_timeouts).unwrap_or(3),
            close_after_cycle: value(&self.close_after_cycle).unwrap_or_default(),
            rewrites_transaction_ids: value(&self.rewrites_transaction_ids).unwrap_or_default(),
            echo: value(&self.echo).unwrap_or_default(),
            quiet_time: value(&self.quiet_time).unwrap_or(slowest),
        }
    }
}

/// How a device is asked, as far as it is written; on a line it is what its devices have that say
/// nothing else.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Habits {
    pub(in crate::config) timeout: Option<Spanned<Duration>>,
    pub(in crate::config) min_timeout: Option<Spanned<Duration>>,
    pub(in crate::config) pause: Option<Spanned<Duration>>,
    pub(in crate::config) max_registers: Option<Spanned<u16>>,
    pub(in crate::config) max_gap: Option<Spanned<u16>>,
}

impl Habits {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> Self {
        let habits = Self {
            timeout: within(section, "timeout", SHORTEST..=LONGEST),
            min_timeout: within(section, "min_timeout", SHORTEST..=LONGEST),
            pause: pause(section, "pause"),
            max_registers: within(section, "max_registers", 1..=125),
            max_gap: within(section, "max_gap", 0..=124),
        };
        if let (Some(least), Some(most)) = (&habits.min_timeout, &habits.timeout)
            && least.value > most.value
        {
            let message = "`min_timeout` must not be longer than `timeout`";
            let help = Some("answers are waited for from `min_timeout` to `timeout`".to_owned());
            section.problem(least.span.clone(), message, "too long", help);
        }
        habits
    }

    /// The same, with what `line` says where this says nothing.
    pub(in crate::config) fn or(self, line: &Self) -> Self {
        Self {
            timeout: self.timeout.or_else(|| line.timeout.clone()),
            min_timeout: self.min_timeout.or_else(|| line.min_timeout.clone()),
            pause: self.pause.or_else(|| line.pause.clone()),
            max_registers: self.max_registers.or_else(|| line.max_registers.clone()),
            max_gap: self.max_gap.or_else(|| line.max_gap.clone()),
        }
    }
}

pub(in crate::config) fn value<T: Clone>(written: &Option<Spanned<T>>) -> Option<T> {
    written.as_ref().map(|written| written.value.clone())
}

fn join<T: PartialEq>(
    key: &'static str,
    own: &mut Option<Spanned<T>>,
    other: Option<Spanned<T>>,
    told: &mut impl FnMut(&'static str, std::ops::Range<usize>),
) {
    match (&own, other) {
        (Some(own), Some(other)) if *own != other => told(key, other.span),
        (Some(_), _) => {}
        (None, other) => *own = other,
    }
}

fn within<T: Ranged>(
    section: &mut Section<'_>,
    key: &str,
    range: std::ops::RangeInclusive<T>,
) -> Option<Spanned<T>> {
    let span = section.value(key)?.span();
    Some(Spanned { value: section.optional_ranged(key, range)?, span })
}

fn any<T: FromValue>(section: &mut Section<'_>, key: &str) -> Option<Spanned<T>> {
    let span = section.value(key)?.span();
    Some(Spanned { value: section.optional(key)?, span })
}

fn pause(section: &mut Section<'_>, key: &str) -> Option<Spanned<Duration>> {
    let pause: Spanned<DurationOrZero> = any(section, key)?;
    if pause.value.0 > LONGEST_PAUSE {
        let message = format!("`{key}` must be from 0s to 1m");
        section.problem(pause.span, message, "out of range", None);
        return None;
    }
    Some(pause.map(|pause| pause.0))
}
