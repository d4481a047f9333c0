//! How patient a client is, and what it has seen.

use std::time::Duration;

/// How patient a client is. The units of one endpoint may differ: the options can be set before
/// each question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may take, from the question to its last byte: bytes that trickle in do
    /// not prolong it. On a serial line the time on the wire comes on top.
    pub answer_timeout: Duration,
    /// How long it may take at most when the unit is known to be slow: the timeout is four times
    /// the unit's latency, from `answer_timeout` up to this. No more than `answer_timeout` for a
    /// fixed one.
    pub max_answer_timeout: Duration,
    /// How long a question may take in all, with connecting and a second attempt, but without
    /// the pauses before it.
    pub deadline: Duration,
    /// After so many timeouts in a row the connection is closed; at least 1.
    pub timeouts_before_close: u32,
    /// How long to wait between an answer (or its timeout) and the next question.
    pub pause: Duration,
    /// How long to wait after connecting.
    pub pause_after_connect: Duration,
    /// Whether [`Client::end_cycle`](crate::Client::end_cycle) closes the connection: for devices
    /// with few connections to give.
    pub close_after_cycle: bool,
    /// More than any unit of a line ever takes from a question to its answer. Without transaction
    /// ids nothing is asked for as long after a timeout or damage: an answer that comes even later
    /// would pass for the one to the next question of that unit.
    pub slowest_answer: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(1),
            max_answer_timeout: Duration::ZERO,
            deadline: Duration::from_secs(5),
            timeouts_before_close: 3,
            pause: Duration::ZERO,
            pause_after_connect: Duration::ZERO,
            close_after_cycle: false,
            slowest_answer: Duration::from_secs(2),
        }
    }
}

/// What a client has seen since it was made. Every question ends as exactly one of `answers`,
/// `exceptions`, `timeouts`, `violations` and `broken`, but for those that were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions that got their answer.
    pub answers: u64,
    /// Questions that got an exception.
    pub exceptions: u64,
    /// Questions without a complete answer in time.
    pub timeouts: u64,
    /// Answers that broke the protocol or were none to the question.
    pub violations: u64,
    /// Questions without a connection, or whose connection broke.
    pub broken: u64,
    /// Late answers to earlier questions, dropped.
    pub stale: u64,
    /// Bytes that nobody had asked for, dropped: late answers on lines that have no ids, and noise.
    pub discarded: u64,
    /// Connections that were made.
    pub connections: u64,
}
