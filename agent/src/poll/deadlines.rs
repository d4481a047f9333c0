//! Which of many devices is to be looked at next. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hallwatch_model::Uptime;

/// When each device is to be looked at. What the soonest is, and which those are, is known without a
/// walk over all: a site with 500 devices looks at one of them every other millisecond.
#[derive(Debug, Default)]
pub struct Deadlines(BinaryHeap<Reverse<(Uptime, usize)>>);

impl Deadlines {
    /// A device, by its index, is to be looked at then. It must not be in here already.
    pub fn add(&mut self, device: usize, at: Uptime) {
        self.0.push(Reverse((at, device)));
    }

    /// The soonest; none when nothing is in here.
    #[must_use]
    pub fn soonest(&self) -> Option<Uptime> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a device out that is to be looked at by now: the one that has waited the longest, of
    /// several the first.
    pub fn take(&mut self, now: Uptime) -> Option<usize> {
        if self.soonest()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, device))| device)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Uptime {
        Uptime::new(Duration::from_millis(millis))
    }

    #[test]
    fn devices_come_out_when_they_are_due_and_in_that_order() {
        let mut deadlines = Deadlines::default();
        assert_eq!((deadlines.soonest(), deadlines.take(at(9))), (None, None));
        for (device, millis) in [(0, 7), (3, 5), (1, 5), (2, 6)] {
            deadlines.add(device, at(millis));
        }
        assert_eq!((deadlines.soonest(), deadlines.take(at(4))), (Some(at(5)), None));
        let mut taken = Vec::new();
        while let Some(device) = deadlines.take(at(6)) {
            taken.push(device);
        }
        assert_eq!(taken, [1, 3, 2]);
        deadlines.add(1, at(6));
        assert_eq!(deadlines.take(at(7)), Some(1));
        assert_eq!((deadlines.take(at(7)), deadlines.soonest()), (Some(0), None));
    }

    /// As a walk over all would have it.
    #[test]
    fn none_is_forgotten_among_many() {
        let mut deadlines = Deadlines::default();
        let step = |device: u64| 100 + 37 * (device % 13);
        let mut next: Vec<u64> = (0..500).collect();
        for (device, millis) in next.iter().enumerate() {
            deadlines.add(device, at(*millis));
        }
        for now in (0..5_000).step_by(3) {
            assert_eq!(deadlines.soonest(), next.iter().min().map(|millis| at(*millis)));
            let mut expected = Vec::new();
            for (device, millis) in next.iter_mut().enumerate().filter(|(_, at)| **at <= now) {
                expected.push(device);
                *millis = now + step(u64::try_from(device).unwrap());
            }
            let mut taken = Vec::new();
            while let Some(device) = deadlines.take(at(now)) {
                taken.push(device);
            }
            for device in &taken {
                deadlines.add(*device, at(next[*device]));
            }
            taken.sort_unstable();
            assert_eq!(taken, expected);
        }
    }
}
