//! Whether a device is believed to be there.

use std::time::Duration;

/// Failed polls in a row after which a device is offline.
const PATIENCE: u32 = 3;
/// The longest pause between two attempts at a device that is offline.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The state of a device.
///
/// `Online => Probation` with the first failed poll; `Probation => Offline` with the third in a
/// row; `Probation, Offline => Online` with an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// The last poll was answered.
    #[default]
    Online,
    /// A few polls were not; it is still asked at each turn.
    Probation {
        /// How many in a row.
        failures: u32,
    },
    /// It is asked more and more seldom.
    Offline {
        /// How many polls in a row failed.
        failures: u32,
    },
}

impl Health {
    /// After a poll that was answered.
    #[must_use]
    pub fn answered(self) -> Self {
        Self::Online
    }

    /// After a poll that was not answered.
    #[must_use]
    pub fn failed(self) -> Self {
        let failures = self.failures().saturating_add(1);
        if failures >= PATIENCE { Self::Offline { failures } } else { Self::Probation { failures } }
    }

    /// How many polls in a row were not answered.
    #[must_use]
    pub const fn failures(self) -> u32 {
        match self {
            Self::Online => 0,
            Self::Probation { failures } | Self::Offline { failures } => failures,
        }
    }

    /// Offline, as soon as something is.
    pub(super) const OFFLINE: Self = Self::Offline { failures: PATIENCE };

    /// Whether it is offline.
    #[must_use]
    pub fn is_offline(self) -> bool {
        matches!(self, Self::Offline { .. })
    }

    /// How long to leave a device alone that is asked every `interval`.
    #[must_use]
    pub fn pause(self, interval: Duration) -> Duration {
        match self {
            Self::Online | Self::Probation { .. } => Duration::ZERO,
            Self::Offline { failures } => {
                let doublings = failures.saturating_sub(PATIENCE).min(16);
                interval.saturating_mul(1 << doublings).min(MAX_PAUSE.max(interval))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_lead_offline_and_one_answer_back() {
        let mut health = Health::default();
        health = health.failed();
        assert_eq!(health, Health::Probation { failures: 1 });
        assert_eq!(health.answered(), Health::Online);
        health = health.failed().failed();
        assert_eq!(health, Health::Offline { failures: 3 });
        assert_eq!(health.answered(), Health::Online);
        let second = Duration::from_secs(1);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(health.pause(second).as_secs());
            health = health.failed();
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(health.pause(Duration::from_secs(60)), Duration::from_secs(60));
    }
}
