//! Whether a group has news for its receiver.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use hallwatch_model::Timestamp;

use super::group::Ledger;

/// Why a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has not been told of any alert of this group.
    First,
    /// So many alerts fire that it was not told of.
    New(usize),
    /// No alert fires any more.
    AllResolved,
    /// So many alerts were resolved that it was not told of.
    Resolved(usize),
    /// Nothing changed for so long that it is reminded.
    Repeat(Duration),
}

/// Why a receiver is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// What was resolved it was never told of.
    NeverTold,
    /// It knows all of it, for this long.
    Known(Duration),
    /// Alerts were resolved, and it does not want to hear of that.
    ResolvedUnwanted,
}

/// Compares what there is (`firing`, `resolved`: fingerprints) with what was told.
pub(super) fn news(
    told: Option<&Ledger>,
    firing: &BTreeSet<u64>,
    resolved: &BTreeSet<u64>,
    send_resolved: bool,
    repeat: Duration,
    now: Timestamp,
) -> Result<Why, Quiet> {
    let Some(told) = told else {
        return if firing.is_empty() { Err(Quiet::NeverTold) } else { Ok(Why::First) };
    };
    let new = firing.difference(&told.firing).count();
    if new > 0 {
        return Ok(Why::New(new));
    }
    let since = now.since(told.at);
    if firing.is_empty() {
        return match (told.firing.is_empty(), send_resolved) {
            (true, _) => Err(Quiet::Known(since)),
            (false, true) => Ok(Why::AllResolved),
            (false, false) => Err(Quiet::ResolvedUnwanted),
        };
    }
    let unheard = resolved.difference(&told.resolved).count();
    if send_resolved && unheard > 0 {
        return Ok(Why::Resolved(unheard));
    }
    if since >= repeat { Ok(Why::Repeat(since)) } else { Err(Quiet::Known(since)) }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("the first of this group"),
            Self::New(count) => write!(f, "{count} more firing"),
            Self::AllResolved => f.write_str("all resolved"),
            Self::Resolved(count) => write!(f, "{count} resolved"),
            Self::Repeat(since) => write!(f, "a reminder after {} s", since.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_new_and_nothing_twice() {
        let set = |members: &[u64]| members.iter().copied().collect::<BTreeSet<u64>>();
        let at = Timestamp::from_millis(1_000_000);
        let told = |firing: &[u64], resolved: &[u64]| {
            Some(Ledger { firing: set(firing), resolved: set(resolved), at })
        };
        let (soon, late) = (at + Duration::from_secs(60), at + Duration::from_secs(3600));
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        for (name, told, firing, resolved, send_resolved, now, expected) in [
            ("nothing told, one fires", None, set(&[1]), set(&[]), true, soon, Ok(Why::First)),
            ("resolved before told", None, set(&[]), set(&[1]), true, soon, Err(Quiet::NeverTold)),
            (
                "the same",
                told(&[1], &[]),
                set(&[1]),
                set(&[]),
                true,
                soon,
                Err(Quiet::Known(minute)),
            ),
            ("one more", told(&[1], &[]), set(&[1, 2]), set(&[]), true, soon, Ok(Why::New(1))),
            (
                "all resolved",
                told(&[1], &[]),
                set(&[]),
                set(&[1]),
                true,
                soon,
                Ok(Why::AllResolved),
            ),
            (
                "that told",
                told(&[], &[1]),
                set(&[]),
                set(&[1]),
                true,
                late,
                Err(Quiet::Known(hour)),
            ),
            (
                "one of two",
                told(&[1, 2], &[]),
                set(&[1]),
                set(&[2]),
                true,
                soon,
                Ok(Why::Resolved(1)),
            ),
            (
                "unwanted",
                told(&[1], &[]),
                set(&[]),
                set(&[1]),
                false,
                soon,
                Err(Quiet::ResolvedUnwanted),
            ),
            (
                "one of two unwanted",
                told(&[1, 2], &[]),
                set(&[1]),
                set(&[2]),
                false,
                soon,
                Err(Quiet::Known(minute)),
            ),
            ("a reminder", told(&[1], &[]), set(&[1]), set(&[]), true, late, Ok(Why::Repeat(hour))),
            ("fires again", told(&[], &[1]), set(&[1]), set(&[]), true, soon, Ok(Why::New(1))),
        ] {
            let got = news(told.as_ref(), &firing, &resolved, send_resolved, hour, now);
            assert_eq!(got, expected, "{name}");
        }
    }
}
