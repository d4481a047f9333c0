//! The automatic transfer switch: line 1 is the utility, line 2 the generator.

use super::utility::Supply;

/// Utility must be gone this long before the generator is called, in seconds.
pub const START_DELAY_SECONDS: f64 = 2.0;
/// Line 2 must be good this long before the load moves to it, in seconds.
pub const TRANSFER_DELAY_SECONDS: f64 = 3.0;
/// Line 1 must be good this long before the load moves back, in seconds.
pub const RETRANSFER_DELAY_SECONDS: f64 = 60.0;
/// Both breakers stay open this long while the load moves, in seconds.
const OPEN_SECONDS: f64 = 0.8;
/// A transfer that has not come about after this long is an alarm, in seconds.
const STUCK_ALARM_SECONDS: f64 = 5.0;

/// Which breaker is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The mains breaker.
    Line1,
    /// The generator breaker.
    Line2,
    /// Neither: on the way.
    Open,
}

impl Position {
    /// The position's name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line1 => "line_1",
            Self::Line2 => "line_2",
            Self::Open => "open",
        }
    }
}

/// The switch and its controller in automatic mode.
#[derive(Clone, Debug)]
pub struct TransferSwitch {
    position: Position,
    heading: Position,
    moving: f64,
    line_1_bad: f64,
    line_1_good: f64,
    line_2_good: f64,
    wanted_in_vain: f64,
    start: bool,
    lines: [Supply; 2],
}

impl TransferSwitch {
    pub(super) fn new() -> Self {
        Self {
            position: Position::Line1,
            heading: Position::Line1,
            moving: 0.0,
            line_1_bad: 0.0,
            line_1_good: 2.0 * RETRANSFER_DELAY_SECONDS,
            line_2_good: 0.0,
            wanted_in_vain: 0.0,
            start: false,
            lines: [Supply::DEAD; 2],
        }
    }

    pub(super) fn step(&mut self, h: f64, line_1: Supply, line_2: Supply, stuck: bool) {
        self.lines = [line_1, line_2];
        let (good_1, good_2) = (line_1.is_good(), line_2.is_good());
        self.line_1_good = if good_1 { self.line_1_good + h } else { 0.0 };
        self.line_1_bad = if good_1 { 0.0 } else { self.line_1_bad + h };
        self.line_2_good = if good_2 { self.line_2_good + h } else { 0.0 };
        let trusted_1 = self.line_1_good >= RETRANSFER_DELAY_SECONDS;

        if self.line_1_bad >= START_DELAY_SECONDS {
            self.start = true;
        } else if trusted_1 && self.position == Position::Line1 {
            self.start = false;
        }

        let wanted = self.wanted(good_1, good_2, trusted_1);
        match self.position {
            _ if stuck => {
                self.wanted_in_vain =
                    if wanted == self.position { 0.0 } else { self.wanted_in_vain + h };
            }
            Position::Open => {
                self.moving += h;
                if self.moving >= OPEN_SECONDS {
                    self.position = self.heading;
                }
            }
            from if from != wanted => {
                self.heading = wanted;
                self.position = Position::Open;
                self.moving = 0.0;
                self.wanted_in_vain = 0.0;
            }
            _ => self.wanted_in_vain = 0.0,
        }
    }

    fn wanted(&self, good_1: bool, good_2: bool, trusted_1: bool) -> Position {
        match self.position {
            Position::Line1 if !good_1 && self.line_2_good >= TRANSFER_DELAY_SECONDS => {
                Position::Line2
            }
            // A generator that dies gives the load back to any line 1 there is, at once.
            Position::Line2 if trusted_1 || (good_1 && !good_2) => Position::Line1,
            Position::Open => self.heading,
            here => here,
        }
    }

    /// What the bus behind the switch gets.
    #[must_use]
    pub fn supply(&self) -> Supply {
        match self.position {
            Position::Line1 => self.lines[0],
            Position::Line2 => self.lines[1],
            Position::Open => Supply::DEAD,
        }
    }

    /// Which breaker is closed.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Calls for the generator.
    #[must_use]
    pub const fn calls_generator(&self) -> bool {
        self.start
    }

    /// The voltages and frequencies seen on lines 1 and 2.
    #[must_use]
    pub const fn lines(&self) -> [Supply; 2] {
        self.lines
    }

    /// A transfer should have happened and did not.
    #[must_use]
    pub fn in_alarm(&self) -> bool {
        self.wanted_in_vain >= STUCK_ALARM_SECONDS
    }
}
