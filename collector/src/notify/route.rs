//! Who is told of which alerts, and when. Pure: transitions and the time in, notifications out.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use super::alert::NotifiedAlert;
use super::dedup::{Quiet, Why};
use super::feed::Feed;
use super::fingerprint::fingerprint;
use super::group::{Group, Ledger};
use super::pair::Active;
use crate::rules::Transition;

/// How alerts are told of, in Alertmanager's terms.
#[derive(Clone, Debug)]
pub struct Options {
    /// The labels whose values make a group.
    pub group_by: Vec<String>,
    /// How long a new group waits for more alerts.
    pub group_wait: Duration,
    /// How long after a notification more news of the group may follow.
    pub group_interval: Duration,
    /// After how long without news a receiver is reminded.
    pub repeat_interval: Duration,
    /// Where people reach the collector.
    pub external_url: String,
}

impl Default for Options {
    /// Alertmanager's defaults.
    fn default() -> Self {
        Self {
            group_by: vec!["site".into(), "alertname".into()],
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(5 * 60),
            repeat_interval: Duration::from_secs(4 * 3600),
            external_url: String::new(),
        }
    }
}

impl Options {
    /// The labels of the group that `alert` belongs to.
    fn group_of(&self, alert: &NotifiedAlert) -> Labels {
        alert.labels.without(|name| !self.group_by.iter().any(|by| by == name))
    }
}

/// What a receiver is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Who.
    pub receiver: String,
    /// The group, in Alertmanager's spelling: `{}:{alertname="A", site="b"}`.
    pub group_key: String,
    /// The labels of the group.
    pub group_labels: Labels,
    /// The alerts, those that fire first.
    pub alerts: Vec<NotifiedAlert>,
    /// Why now.
    pub why: Why,
    /// When it was decided.
    pub at: Timestamp,
    /// Where people reach the collector.
    pub external_url: String,
}

/// Why a group that was looked at did or did not lead to a notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Whose group.
    pub receiver: String,
    /// Which group.
    pub group_key: String,
    /// What was decided, and why.
    pub outcome: Result<Why, Quiet>,
}

/// A group as it survives a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedGroup {
    /// Whose group.
    pub receiver: String,
    /// Its labels.
    pub labels: Labels,
    /// Its alerts.
    pub alerts: Vec<NotifiedAlert>,
    /// What the receiver was told.
    pub told: Option<Ledger>,
    /// When it is looked at next.
    pub due: Timestamp,
}

/// Groups alerts per receiver and decides when each is told.
#[derive(Debug)]
pub struct Router {
    options: Options,
    /// Names, and whether they want to hear of resolved alerts.
    receivers: Vec<(String, bool)>,
    groups: BTreeMap<(String, Labels), Group>,
    /// What those are told who group themselves.
    feeds: BTreeMap<String, Feed>,
    decisions: Vec<Decision>,
    /// Whether something is not written down yet.
    changed: bool,
}

impl Router {
    /// A router that goes on with the groups that were `saved`; those of receivers that are gone
    /// are dropped. Every receiver gets every alert; those that group, repeat and tell once
    /// themselves get them ungrouped and at once.
    #[must_use]
    pub fn new(options: Options, receivers: &[super::Receiver], saved: Vec<SavedGroup>) -> Self {
        let (fed, told): (Vec<_>, Vec<_>) = receivers.iter().partition(|r| r.channel.tells_once());
        let feeds = fed.iter().map(|r| (r.name.clone(), Feed::restore(&r.name, &saved))).collect();
        let receivers: Vec<(String, bool)> =
            told.iter().map(|r| (r.name.clone(), r.send_resolved)).collect();
        let known = |group: &SavedGroup| receivers.iter().any(|(name, _)| *name == group.receiver);
        let mut groups: BTreeMap<(String, Labels), Group> = BTreeMap::new();
        for SavedGroup { receiver, labels, alerts, told, due } in saved.into_iter().filter(known) {
            // Grouped otherwise, or not at all, when it was saved: what was told is told again.
            let moved = alerts.iter().any(|alert| options.group_of(alert) != labels);
            if !moved {
                let key = (receiver.clone(), labels.clone());
                groups.entry(key).or_insert_with(|| Group::new(labels, due)).told = told;
            }
            for alert in alerts {
                let labels = options.group_of(&alert);
                let group = groups.entry((receiver.clone(), labels.clone()));
                let group = group.or_insert_with(|| Group::new(labels, due));
                group.put(fingerprint(&alert.labels), alert);
            }
        }
        let changed = !fed.is_empty();
        Self { options, receivers, groups, feeds, decisions: Vec::new(), changed }
    }

    /// Takes changes in, and says what is due.
    pub fn handle(&mut self, transitions: &[Transition], now: Timestamp) -> Vec<Notification> {
        let url = &self.options.external_url;
        let alerts = transitions.iter();
        let alerts = alerts.filter_map(|change| NotifiedAlert::from_transition(change, url));
        self.take(alerts.collect(), now)
    }

    /// Takes alerts in, and says what is due.
    pub fn take(&mut self, alerts: Vec<NotifiedAlert>, now: Timestamp) -> Vec<Notification> {
        let mut news = Vec::new();
        for alert in alerts {
            let labels = self.options.group_of(&alert);
            for (receiver, _) in &self.receivers {
                let key = (receiver.clone(), labels.clone());
                let due = now + self.options.group_wait;
                let group =
                    self.groups.entry(key).or_insert_with(|| Group::new(labels.clone(), due));
                group.put(fingerprint(&alert.labels), alert.clone());
                self.changed = true;
            }
            for feed in self.feeds.values_mut() {
                feed.put(alert.clone());
                self.changed = true;
            }
            news.push(alert);
        }
        let mut notifications = self.tick(now);
        if !news.is_empty() {
            notifications.extend(self.feeds.keys().map(|receiver| self.news(receiver, &news, now)));
        }
        notifications
    }

    /// That `receiver`, who groups himself, has to hear of `news`.
    fn news(&self, receiver: &str, news: &[NotifiedAlert], now: Timestamp) -> Notification {
        let firing = news.iter().filter(|alert| alert.ends_at.is_none()).count();
        Notification {
            receiver: receiver.to_owned(),
            group_key: group_key(&Labels::empty()),
            group_labels: Labels::empty(),
            alerts: news.to_vec(),
            why: if firing > 0 { Why::New(firing) } else { Why::Resolved(news.len()) },
            at: now,
            external_url: self.options.external_url.clone(),
        }
    }

    /// Says what is due.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Notification> {
        self.decisions.clear();
        let mut notifications = Vec::new();
        for ((receiver, labels), group) in &mut self.groups {
            // A clock that was set back must not silence a group for long.
            let latest = now + self.options.group_wait.max(self.options.group_interval);
            group.due = group.due.min(latest);
            if group.due > now {
                continue;
            }
            self.changed = true;
            group.due = now + self.options.group_interval;
            let send_resolved =
                self.receivers.iter().any(|(name, resolved)| name == receiver && *resolved);
            let repeat = self.options.repeat_interval;
            let group_key = group_key(labels);
            let outcome = group.flush(send_resolved, repeat, now).map(|(alerts, why)| {
                notifications.push(Notification {
                    receiver: receiver.clone(),
                    group_key: group_key.clone(),
                    group_labels: group.labels.clone(),
                    alerts,
                    why,
                    at: now,
                    external_url: self.options.external_url.clone(),
                });
                why
            });
            self.decisions.push(Decision { receiver: receiver.clone(), group_key, outcome });
        }
        // An empty group is kept for one interval more, so that an alert that comes and goes is
        // not told of at its every coming.
        let before = self.groups.len();
        self.groups.retain(|_, group| {
            let heard = group.told.as_ref().map_or(Timestamp::MIN, |told| told.at);
            !group.alerts.is_empty() || now.since(heard) < self.options.group_interval
        });
        self.changed |= self.groups.len() != before;
        for feed in self.feeds.values_mut() {
            self.changed |= feed.expire(now);
        }
        notifications
    }

    /// What the last [`tick`](Self::tick) decided on the groups that were due.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// When [`tick`](Self::tick) has something to do next.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.groups.values().map(|group| group.due).min()
    }

    /// A notification was given up: its receiver knows nothing of it, and is told again with the
    /// next look at the group.
    pub fn failed(&mut self, receiver: &str, group_labels: &Labels) {
        if let Some(group) = self.groups.get_mut(&(receiver.to_owned(), group_labels.clone())) {
            group.told = None;
            self.changed = true;
        }
    }

    /// The alerts that fire, by receiver and group, as the peer of a pair is told of them.
    #[must_use]
    pub fn active(&self) -> Active {
        let active = self.groups.iter().map(|((receiver, labels), group)| {
            let firing = group.alerts.iter().filter(|(_, alert)| alert.ends_at.is_none());
            let firing = firing.map(|(fingerprint, alert)| (*fingerprint, alert.starts_at));
            ((receiver.clone(), labels.to_string()), firing.collect())
        });
        active.collect()
    }

    /// Whether there is anything to save since [`saved`](Self::saved).
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// What [`save`](Self::save) gave is on the disk.
    pub fn saved(&mut self) {
        self.changed = false;
    }

    /// Everything that must survive a restart.
    #[must_use]
    pub fn save(&self) -> Vec<SavedGroup> {
        let saved = self.groups.iter().map(|((receiver, labels), group)| SavedGroup {
            receiver: receiver.clone(),
            labels: labels.clone(),
            alerts: group.alerts.values().cloned().collect(),
            told: group.told.clone(),
            due: group.due,
        });
        let feeds = self.feeds.iter().filter_map(|(receiver, feed)| feed.save(receiver));
        saved.chain(feeds).collect()
    }
}

fn group_key(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|label| format!("{}={:?}", label.name, label.value)).collect();
    format!("{{}}:{{{}}}", pairs.join(", "))
}
