//! Whose turn it is on a line that several devices share. Pure.

use std::collections::VecDeque;

/// Devices that wait for a line.
///
/// A device that did not answer last time costs its timeout and, on RTU, the quiet time after it.
/// So those that did answer go first: after a silent device every other one that is due has its
/// turn before the next silent one, and no device ever waits for more than one of them. On a line
/// that is never idle a silent device is still asked, after it was passed by so many.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Waiting>,
    /// The devices that answered when they were last asked.
    trusted: Vec<usize>,
    /// So often a device is passed at most.
    patience: usize,
}

#[derive(Debug)]
struct Waiting {
    device: usize,
    passed: usize,
}

impl Queue {
    /// Of a line with so many devices. None is trusted yet.
    #[must_use]
    pub fn new(devices: usize) -> Self {
        Self { waiting: VecDeque::new(), trusted: Vec::new(), patience: devices.saturating_mul(4) }
    }

    /// A device wants its turn.
    pub fn push(&mut self, device: usize) {
        self.waiting.push_back(Waiting { device, passed: 0 });
    }

    /// Whose turn it is.
    pub fn take(&mut self) -> Option<usize> {
        let first = self.waiting.front()?;
        let trusted = |waiting: &Waiting| self.trusted.contains(&waiting.device);
        let at = if trusted(first) || first.passed >= self.patience {
            0
        } else {
            self.waiting.iter().position(trusted).unwrap_or(0)
        };
        for passed in self.waiting.iter_mut().take(at) {
            passed.passed += 1;
        }
        self.waiting.remove(at).map(|waiting| waiting.device)
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the device answered when it was last asked.
    #[must_use]
    pub fn is_trusted(&self, device: usize) -> bool {
        self.trusted.contains(&device)
    }

    /// The device had its turn.
    pub fn finished(&mut self, device: usize, answered: bool) {
        self.trusted.retain(|trusted| *trusted != device);
        if answered {
            self.trusted.push(device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_answer_go_before_those_that_do_not_who_still_come() {
        let mut queue = Queue::new(4);
        let all =
            |queue: &mut Queue| -> Vec<usize> { std::iter::from_fn(|| queue.take()).collect() };
        (0..4).for_each(|device| queue.push(device));
        assert_eq!(all(&mut queue), [0, 1, 2, 3], "nobody is known");
        (0..4).for_each(|device| queue.finished(device, device > 1));
        (0..4).for_each(|device| queue.push(device));
        assert_eq!(all(&mut queue), [2, 3, 0, 1]);
        // Others come while a silent one has the line: they go before the next silent one.
        [0, 1].into_iter().for_each(|device| queue.push(device));
        assert_eq!(queue.take(), Some(0));
        [2, 3].into_iter().for_each(|device| queue.push(device));
        assert_eq!(all(&mut queue), [2, 3, 1]);
        queue.finished(0, true);
        queue.finished(2, false);
        [2, 1, 0].into_iter().for_each(|device| queue.push(device));
        assert_eq!(all(&mut queue), [0, 2, 1]);
        assert!(queue.is_empty() && queue.is_trusted(0) && !queue.is_trusted(2));
    }

    #[test]
    fn a_line_that_is_never_idle_does_not_starve_a_silent_device() {
        let mut queue = Queue::new(2);
        queue.finished(0, true);
        queue.push(1);
        let turns = (0..100).map(|_| {
            queue.push(0);
            queue.take()
        });
        assert_eq!(turns.take_while(|turn| *turn == Some(0)).count(), 8);
    }
}
