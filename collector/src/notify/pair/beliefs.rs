//! What receivers were told, by either collector.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::Timestamp;

use super::{Facts, SLACK};

/// A receiver, and the labels of a group as text.
pub type GroupKey = (String, String);

/// So many alerts are remembered; of more, those go that were told of the longest ago.
const MOST: usize = 20_000;

/// Of tellings that are no further apart nobody knows which the receiver heard last: attempts
/// overlap, and clocks differ.
const APART: Duration = Duration::from_secs(2);

/// What a receiver was told of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// That it fires; otherwise that it was resolved.
    pub firing: bool,
    /// When it began to fire, or was resolved, as the teller saw it.
    pub since: Timestamp,
    /// When it was told.
    pub at: Timestamp,
}

/// When receivers were last told of each alert that it fires, and when that it was resolved; by
/// group and fingerprint. Whatever the order in which it learns of deliveries, and how often, it
/// comes out the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beliefs(BTreeMap<GroupKey, BTreeMap<(u64, bool), Told>>);

impl Beliefs {
    /// A receiver was told this at `at`.
    pub fn delivered(&mut self, group: &GroupKey, facts: &Facts, at: Timestamp) {
        for (fingerprint, since) in &facts.firing {
            self.put(group, *fingerprint, Told { firing: true, since: *since, at });
        }
        for (fingerprint, since) in &facts.resolved {
            self.put(group, *fingerprint, Told { firing: false, since: *since, at });
        }
    }

    /// The receiver of `group` was told this of an alert. Whether that is news.
    pub fn put(&mut self, group: &GroupKey, fingerprint: u64, told: Told) -> bool {
        let alerts = self.0.entry(group.clone()).or_default();
        let key = (fingerprint, told.firing);
        let known = alerts.get(&key);
        let news = known.is_none_or(|known| (told.at, told.since) > (known.at, known.since));
        if news {
            alerts.insert(key, told);
        }
        news
    }

    /// Takes what another knows. Whether anything of it is news.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut news = false;
        for (group, fingerprint, told) in other.iter() {
            news |= self.put(group, fingerprint, told);
        }
        self.bound();
        news
    }

    /// Everything.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupKey, u64, Told)> {
        self.0.iter().flat_map(|(group, alerts)| {
            alerts.iter().map(move |((fingerprint, _), told)| (group, *fingerprint, *told))
        })
    }

    /// Keeps the number within bounds.
    pub fn bound(&mut self) {
        let excess = self.iter().count().saturating_sub(MOST);
        if excess == 0 {
            return;
        }
        let key = |(group, alert, told): (&GroupKey, u64, Told)| {
            (told.at, group.clone(), (alert, told.firing))
        };
        let mut oldest: Vec<(Timestamp, GroupKey, (u64, bool))> = self.iter().map(key).collect();
        oldest.sort();
        for (_, group, alert) in oldest.into_iter().take(excess) {
            if let Some(alerts) = self.0.get_mut(&group) {
                alerts.remove(&alert);
            }
        }
        self.0.retain(|_, alerts| !alerts.is_empty());
    }

    /// Whether the receiver of `group` knows all of `facts`. `active` are the alerts of the group
    /// that fire at the peer, since when: it may have seen an alert begin before this collector
    /// did.
    #[must_use]
    pub fn cover(
        &self,
        group: &GroupKey,
        facts: &Facts,
        active: Option<&BTreeMap<u64, Timestamp>>,
    ) -> bool {
        let Some(told) = self.0.get(group) else {
            return facts.firing.is_empty() && facts.resolved.is_empty();
        };
        let knows = |fingerprint: u64, firing: bool, since: Timestamp, seen: Timestamp| {
            let this = told.get(&(fingerprint, firing));
            let other = told.get(&(fingerprint, !firing));
            let is_last =
                |one: &Told, than: Option<&Told>| than.is_none_or(|than| one.at >= than.at + APART);
            // What was told before it began was told of an earlier one.
            let told = this.is_some_and(|this| is_last(this, other) && this.at + SLACK >= seen);
            // What came of it later was told already.
            let outdated =
                || other.is_some_and(|other| is_last(other, this) && other.since >= since + SLACK);
            told || outdated()
        };
        let recent = |fingerprint: u64| {
            let after = facts.reminds_after.unwrap_or(Timestamp::MIN);
            told.get(&(fingerprint, true)).is_none_or(|told| told.at >= after)
        };
        facts.firing.iter().all(|(fingerprint, since)| {
            let there = active.and_then(|active| active.get(fingerprint));
            let seen = there.map_or(*since, |there| (*since).min(*there));
            knows(*fingerprint, true, *since, seen) && recent(*fingerprint)
        }) && facts.resolved.iter().all(|(fingerprint, at)| knows(*fingerprint, false, *at, *at))
    }
}
