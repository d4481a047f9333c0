//! Which of two collectors sends a notification. Pure: what is known, and the time, in; a decision
//! out.
//!
//! Both collectors hear everything, evaluate everything and put every notification into their
//! outboxes. One of them *owns* the group, by a hash that both compute alike, and sends at once;
//! the other waits until it hears that the receiver was told, and sends itself when that does not
//! come in time. Before either sends it looks at what receivers were told by *both*
//! ([`Beliefs`]): what a receiver knows already is left out. In doubt a notification goes out
//! twice, never not at all.
//!
//! Reading order: [`Facts`] (what a message says), [`Beliefs`] (what receivers were told),
//! [`Link`] (what is known of the peer), [`decide`], [`choose`], [`shared`] (as the threads share
//! it).

mod beliefs;
pub(crate) mod facts;
pub mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hallwatch_model::Timestamp;

pub use beliefs::{Beliefs, GroupKey, Told};
pub use facts::Facts;
pub use shared::Pair;

/// How long the one that does not own a group waits for the owner's confirmation. Longer than an
/// attempt may take by default (10 s) and the news of it to arrive (1 s).
pub const TAKEOVER: Duration = Duration::from_secs(15);
/// How often a collector asks its peer.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// A peer that was not heard for so long is taken for gone: a few heartbeats may get lost.
pub const LOST: Duration = Duration::from_secs(5);
/// So far the clocks of the two, and the moments at which they evaluate, may be apart.
pub const SLACK: Duration = Duration::from_secs(30);

/// The alerts that fire at the peer, by group and fingerprint: since when.
pub type Active = BTreeMap<GroupKey, BTreeMap<u64, Timestamp>>;

/// What is known of the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answers.
    Up(View),
    /// It does not.
    Down,
}

/// What the peer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// It evaluates its rules.
    pub evaluates: bool,
    /// Receivers that it has.
    pub receivers: BTreeSet<String>,
    /// Those of them that its last attempt did not reach.
    pub failing: BTreeSet<String>,
    /// What fires there.
    pub active: Active,
}

/// Why a notification is sent by this collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It owns the group.
    Owner,
    /// The owner is not there.
    PeerDown,
    /// The owner is there, and cannot notify.
    PeerUnable,
    /// The owner has not confirmed in time.
    NotConfirmed,
}

impl Because {
    /// Whether the peer should have sent it.
    #[must_use]
    pub fn is_takeover(self) -> bool {
        self != Self::Owner
    }

    /// In a few words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Owner => "this collector owns the group",
            Self::PeerDown => "the peer is down",
            Self::PeerUnable => "the peer cannot notify",
            Self::NotConfirmed => "the peer has not confirmed in time",
        }
    }
}

/// What is to become of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it.
    Send(Because),
    /// Not yet: for at most so long.
    Wait(Duration),
    /// The receiver knows: nothing is to be sent.
    Drop,
}

/// Which of two collectors owns a group: the one whose hash is higher (rendezvous hashing).
#[must_use]
pub fn owns(own: &str, peer: &str, group: &GroupKey) -> bool {
    (weight(own, group), own) > (weight(peer, group), peer)
}

/// FNV-1a over the texts, each followed by a byte that no UTF-8 text contains; then mixed as
/// `MurmurHash3` ends, since FNV alone hardly spreads what differs in the first bytes.
fn weight(collector: &str, (receiver, group): &GroupKey) -> u64 {
    let bytes = [collector, receiver, group].into_iter().flat_map(|t| t.bytes().chain([0xff]));
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

/// Decides on a notification of `group` that has waited for `waited`.
#[must_use]
pub fn decide(
    (own, peer): (&str, &str),
    link: &Link,
    beliefs: &Beliefs,
    (group, facts): (&GroupKey, &Facts),
    waited: Duration,
) -> Decision {
    let view = match link {
        // The peer may have sent it while this collector was away: it is asked first.
        Link::Unknown => return Decision::Wait(LOST),
        Link::Up(view) => Some(view),
        Link::Down => None,
    };
    let active = view.filter(|view| view.evaluates).and_then(|view| view.active.get(group));
    if beliefs.cover(group, facts, active) {
        return Decision::Drop;
    }
    let Some(view) = view else {
        let because = if owns(own, peer, group) { Because::Owner } else { Because::PeerDown };
        return Decision::Send(because);
    };
    if owns(own, peer, group) {
        Decision::Send(Because::Owner)
    } else if !view.evaluates
        || !view.receivers.contains(&group.0)
        || view.failing.contains(&group.0)
    {
        Decision::Send(Because::PeerUnable)
    } else if waited >= TAKEOVER {
        Decision::Send(Because::NotConfirmed)
    } else {
        Decision::Wait(TAKEOVER - waited)
    }
}

/// A message of the outbox, for [`choose`].
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its number, ascending.
    pub id: i64,
    /// Its group.
    pub group: GroupKey,
    /// What it says.
    pub facts: Facts,
    /// When it was decided on.
    pub at: Timestamp,
    /// When it is to be tried next.
    pub due: Timestamp,
}

/// What is to be done next for a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the message of this number.
    Send(i64, Because),
    /// Forget the message of this number.
    Drop(i64),
    /// Nothing, for at most so long.
    Wait(Duration),
    /// Nothing at all.
    Idle,
}

/// Chooses among the messages of one receiver, which are sorted by number. Those of one group stay
/// in order; a group that waits for the peer holds up no other. Since a message is not `due` only
/// after a failed attempt, it holds up all that follow. `latest` bounds how far away that can be,
/// whatever the clock does.
pub fn choose(
    queued: &[Queued],
    now: Timestamp,
    latest: Duration,
    mut decide: impl FnMut(&Queued) -> Decision,
) -> Next {
    let mut held: BTreeSet<&GroupKey> = BTreeSet::new();
    let mut wait: Option<Duration> = None;
    for one in queued {
        if held.contains(&one.group) {
            continue;
        }
        match decide(one) {
            Decision::Drop => return Next::Drop(one.id),
            Decision::Send(because) => {
                if one.due <= now || one.due > now + latest {
                    return Next::Send(one.id, because);
                }
                let left = one.due.since(now);
                return Next::Wait(wait.map_or(left, |wait| wait.min(left)));
            }
            Decision::Wait(left) => {
                held.insert(&one.group);
                wait = Some(wait.map_or(left, |wait| wait.min(left)));
            }
        }
    }
    wait.map_or(Next::Idle, Next::Wait)
}
