//! When the groups are to be evaluated.

use std::collections::BTreeSet;

use hallwatch_model::Timestamp;

use super::GroupInfo;

/// The groups by the time at which their interval has passed.
#[derive(Debug)]
pub(super) struct Schedule {
    due: BTreeSet<(Timestamp, usize)>,
    /// When a group was last evaluated. As long as the clock is before that, it was set back, and
    /// each group has to be asked.
    latest: Timestamp,
}

impl Schedule {
    pub(super) fn of(groups: &[GroupInfo]) -> Self {
        let due = groups.iter().enumerate().map(|(number, group)| (group.due(), number));
        let latest = groups.iter().filter_map(|group| group.last).max();
        Self { due: due.collect(), latest: latest.unwrap_or(Timestamp::MIN) }
    }

    /// Whether any group is due.
    pub(super) fn is_due(&self, groups: &[GroupInfo], now: Timestamp) -> bool {
        if now < self.latest {
            return groups.iter().any(|group| group.is_due(now));
        }
        self.due.first().is_some_and(|(at, _)| *at <= now)
    }

    /// The groups that are due, in order; they count as evaluated.
    pub(super) fn take(&mut self, groups: &mut [GroupInfo], now: Timestamp) -> Vec<usize> {
        let set_back = now < self.latest;
        let mut taken: Vec<usize> = if set_back {
            (0..groups.len()).filter(|number| groups[*number].is_due(now)).collect()
        } else {
            let due = self.due.iter().take_while(|(at, _)| *at <= now);
            due.map(|(_, number)| *number).collect()
        };
        taken.sort_unstable();
        for number in &taken {
            let group = &mut groups[*number];
            self.due.remove(&(group.due(), *number));
            group.last = Some(now);
            self.due.insert((group.due(), *number));
        }
        if set_back {
            *self = Self::of(groups);
        } else if !taken.is_empty() {
            self.latest = now;
        }
        taken
    }
}

impl GroupInfo {
    /// The first time, when the interval has passed, and when the clock was set back by more.
    fn is_due(&self, now: Timestamp) -> bool {
        self.last.is_none_or(|last| now >= self.due() || last.since(now) > self.interval)
    }

    fn due(&self) -> Timestamp {
        self.last.map_or(Timestamp::MIN, |last| last + self.interval)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::rules::rule::Group;

    fn group(seconds: u64) -> GroupInfo {
        let group = Group {
            file: "a.yaml".into(),
            name: format!("every {seconds} s").into(),
            interval: None,
            limit: 0,
            rules: Vec::new(),
        };
        let interval = Duration::from_secs(seconds);
        GroupInfo { group: Arc::new(group), interval, last: None, rules: 0..0 }
    }

    proptest! {
        #[test]
        fn has_the_groups_that_say_they_are_due(
            steps in prop::collection::vec(
                prop_oneof![6 => 0..3000i64, 1 => -20_000..0i64, 1 => 0..100_000i64], 1..60
            ),
        ) {
            let mut groups = [1, 1, 5, 15, 60].map(group);
            let mut schedule = Schedule::of(&groups);
            let mut now = Timestamp::from_millis(1_000_000);
            for step in steps {
                now = now.moved(step);
                let due: Vec<usize> =
                    (0..groups.len()).filter(|number| groups[*number].is_due(now)).collect();
                prop_assert_eq!(schedule.is_due(&groups, now), !due.is_empty());
                prop_assert_eq!(schedule.take(&mut groups, now), due);
            }
        }
    }
}
