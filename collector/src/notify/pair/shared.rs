//! What a collector knows of its pair, as its threads share it; and what it tells its peer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hallwatch_model::{Timestamp, Uptime};
use serde::{Deserialize, Serialize};

use super::{Active, Beliefs, Decision, LOST, Link, Queued, Told, View, decide};

/// Rules that were not evaluated for so long, or three intervals, are not evaluated any more.
const STALLED: Duration = Duration::from_secs(10);
/// So many messages are remembered to have been seen at most; the outbox holds no more.
const MOST_SEEN: usize = 20_000;

/// The pair, with the secret that both have. Cheap to clone.
#[derive(Clone)]
pub struct Pair(Arc<Inner>);

struct Inner {
    own: String,
    peer: String,
    token: String,
    stalled: Duration,
    known: Mutex<Known>,
}

struct Known {
    /// Counts what changes of what the peer is told; begins elsewhere after each start.
    version: u64,
    receivers: BTreeSet<String>,
    failing: BTreeSet<String>,
    evaluated: Option<Uptime>,
    active: Active,
    beliefs: Beliefs,
    link: Link,
    heard: Option<Uptime>,
    /// Up to which version of the peer's news all is known.
    peer_version: Option<u64>,
    /// When messages of the outbox were first looked at.
    seen: HashMap<i64, Uptime>,
}

/// One telling, as it goes over the wire: receiver, group, fingerprint, whether it fires, since
/// when, when it was told.
type ToldForm = (String, String, u64, bool, i64, i64);
/// One alert that fires: receiver, group, fingerprint, since when.
type ActiveForm = (String, String, u64, i64);

/// What a collector tells its peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Who it is.
    pub collector: String,
    /// Which state of its knowledge this is.
    pub version: u64,
    /// Whether it evaluates its rules.
    pub evaluates: bool,
    /// Whom it can notify.
    pub receivers: BTreeSet<String>,
    /// Those of them that its last attempt did not reach.
    pub failing: BTreeSet<String>,
    /// What is new since the version that was asked for.
    pub news: Option<News>,
}

/// What changes now and then.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct News {
    told: Vec<ToldForm>,
    active: Vec<ActiveForm>,
}

/// Without the secret.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pair({} with {})", self.0.own, self.0.peer)
    }
}

impl Pair {
    /// The collector `own`, with its `peer`. `receivers` are those for whom the two take turns;
    /// `interval` is that of the rules; `beliefs` is what was delivered before the start, `now` the
    /// time of it.
    #[must_use]
    pub fn new(
        (own, peer, token): (&str, &str, &str),
        receivers: impl IntoIterator<Item = String>,
        interval: Duration,
        beliefs: Beliefs,
        now: Timestamp,
    ) -> Self {
        let known = Known {
            version: now.as_millis().unsigned_abs(),
            receivers: receivers.into_iter().collect(),
            failing: BTreeSet::new(),
            evaluated: None,
            active: Active::new(),
            beliefs,
            link: Link::Unknown,
            heard: None,
            peer_version: None,
            seen: HashMap::new(),
        };
        Self(Arc::new(Inner {
            own: own.to_owned(),
            peer: peer.to_owned(),
            token: token.to_owned(),
            stalled: STALLED.max(interval * 3),
            known: Mutex::new(known),
        }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This collector's name.
    #[must_use]
    pub fn own(&self) -> &str {
        &self.0.own
    }

    /// The peer's name.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.0.peer
    }

    /// Whether `token` is the secret of the pair. Takes as long for a nearly right one as for a
    /// wrong one.
    #[must_use]
    pub fn admits(&self, token: &str) -> bool {
        let (own, given) = (self.0.token.as_bytes(), token.as_bytes());
        let differ = own.iter().zip(given).fold(0, |differ, (a, b)| differ | (a ^ b));
        own.len() == given.len() && differ == 0
    }

    /// The rules were evaluated; `active` is what fires now, if that changed.
    pub fn evaluated(&self, active: Option<Active>, now: Uptime) {
        let mut known = self.known();
        known.evaluated = Some(now);
        if let Some(active) = active
            && known.active != active
        {
            known.active = active;
            known.version += 1;
        }
    }

    /// An attempt to notify ended: a receiver was told, or it was not.
    pub fn attempted(&self, queued: &Queued, delivered: Option<Timestamp>) {
        let mut known = self.known();
        let receiver = &queued.group.0;
        match delivered {
            Some(at) => {
                known.failing.remove(receiver);
                known.beliefs.delivered(&queued.group, &queued.facts, at);
                known.beliefs.bound();
                known.version += 1;
                known.seen.remove(&queued.id);
            }
            None => {
                known.failing.insert(receiver.clone());
            }
        }
    }

    /// Decides on a message of the outbox.
    #[must_use]
    pub fn decide(&self, queued: &Queued, now: Timestamp, uptime: Uptime) -> Decision {
        let mut known = self.known();
        if known.seen.len() >= MOST_SEEN {
            known.seen.clear();
        }
        let seen = *known.seen.entry(queued.id).or_insert(uptime);
        // By either clock: that of the day may be set back, the other begins with the process.
        let waited = now.since(queued.at).max(uptime.since(seen));
        let names = (&*self.0.own, &*self.0.peer);
        let what = (&queued.group, &queued.facts);
        decide(names, &known.link, &known.beliefs, what, waited)
    }

    /// What the peer is told, when it knows up to the version `since`.
    #[must_use]
    pub fn answer(&self, since: Option<u64>, now: Uptime) -> Answer {
        let known = self.known();
        let news = (since != Some(known.version)).then(|| News {
            told: known
                .beliefs
                .iter()
                .map(|((receiver, group), fingerprint, told)| {
                    let (since, at) = (told.since.as_millis(), told.at.as_millis());
                    (receiver.clone(), group.clone(), fingerprint, told.firing, since, at)
                })
                .collect(),
            active: known
                .active
                .iter()
                .flat_map(|((receiver, group), alerts)| {
                    let form = |(fingerprint, since): (&u64, &Timestamp)| {
                        (receiver.clone(), group.clone(), *fingerprint, since.as_millis())
                    };
                    alerts.iter().map(form).collect::<Vec<_>>()
                })
                .collect(),
        });
        let fresh = |at: Uptime| now.since(at) <= self.0.stalled;
        Answer {
            collector: self.0.own.clone(),
            version: known.version,
            evaluates: known.evaluated.is_some_and(fresh),
            receivers: known.receivers.clone(),
            failing: known.failing.clone(),
            news,
        }
    }

    /// Up to which version the peer's news are known.
    #[must_use]
    pub fn peer_version(&self) -> Option<u64> {
        self.known().peer_version
    }

    /// The peer answered.
    pub fn heard(&self, answer: Answer, now: Uptime) {
        let mut known = self.known();
        let before = match std::mem::take(&mut known.link) {
            Link::Up(view) => view.active,
            Link::Unknown | Link::Down => Active::new(),
        };
        let active = match answer.news {
            None => before,
            Some(news) => {
                let mut beliefs = Beliefs::default();
                for (receiver, group, fingerprint, firing, since, at) in news.told {
                    let [since, at] = [since, at].map(Timestamp::from_millis);
                    let told = Told { firing, since, at };
                    beliefs.put(&(receiver, group), fingerprint, told);
                }
                if known.beliefs.merge(&beliefs) {
                    known.version += 1;
                }
                let mut active = Active::new();
                for (receiver, group, fingerprint, since) in news.active {
                    let alerts: &mut BTreeMap<_, _> = active.entry((receiver, group)).or_default();
                    alerts.insert(fingerprint, Timestamp::from_millis(since));
                }
                active
            }
        };
        known.heard = Some(now);
        known.peer_version = Some(answer.version);
        known.link = Link::Up(View {
            evaluates: answer.evaluates,
            receivers: answer.receivers,
            failing: answer.failing,
            active,
        });
    }

    /// The peer did not answer. Whether it is taken for gone.
    pub fn missed(&self, now: Uptime) -> bool {
        let mut known = self.known();
        let lost = known.heard.is_none_or(|heard| now.since(heard) >= LOST);
        if lost {
            known.link = Link::Down;
            // What it may forget meanwhile is asked for anew.
            known.peer_version = None;
        }
        lost
    }

    /// Forgets what was seen of a message.
    pub fn forget(&self, id: i64) {
        self.known().seen.remove(&id);
    }
}
