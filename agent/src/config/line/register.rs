//! All lines of a configuration: found by name or address, with what their devices make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_config::{Section, Spanned, format_duration};
use hallwatch_model::Id;

use super::habits::value;
use super::{Endpoint, Habits, Line, Manners, Written, written};

/// The lines, and who is on them.
pub(in crate::config) struct Lines {
    /// Those with a section of their own, by name; none for one that is not usable.
    written: BTreeMap<String, Option<Written>>,
    /// Those of devices that write their address themselves, by address.
    alone: BTreeMap<String, (Manners, String)>,
    used: BTreeSet<String>,
    /// By line, unit and profile: the device.
    units: BTreeMap<(String, u8, String), String>,
    /// By line, of each device: its name, the least and the longest timeout.
    timeouts: BTreeMap<String, Vec<(String, Duration, Duration)>>,
}

/// What `modbus_tcp` says of its connection.
pub(in crate::config) struct Alone {
    pub(in crate::config) address: Spanned<String>,
    pub(in crate::config) manners: Manners,
}

/// A device that is on a line.
pub(in crate::config) struct Member<'m> {
    pub(in crate::config) device: &'m str,
    pub(in crate::config) unit: Spanned<u8>,
    pub(in crate::config) profile: &'m str,
    pub(in crate::config) min_timeout: Duration,
    pub(in crate::config) timeout: Duration,
}

impl Lines {
    /// Reads every `[[line]]`.
    pub(in crate::config) fn read(root: &mut Section<'_>) -> Self {
        let (names, found): (Vec<_>, Vec<_>) =
            root.sections("line").into_iter().map(written).unzip();
        let names: Vec<Spanned<Id>> = names.into_iter().flatten().collect();
        root.unique("line", &names);
        let mut lines = Self {
            written: names.iter().map(|name| (name.to_string(), None)).collect(),
            alone: BTreeMap::new(),
            used: BTreeSet::new(),
            units: BTreeMap::new(),
            timeouts: BTreeMap::new(),
        };
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        for line in found.into_iter().flatten() {
            let (name, place) = (line.name.to_string(), line.place.value.clone());
            if let Some(first) = places.get(&place) {
                let message = format!("the line `{first}` is there already");
                let help = "units at one place are devices of one line, with one connection";
                let span = line.place.span.clone();
                root.problem(span, message, "used before", Some(help.to_owned()));
            } else {
                places.insert(place, name.clone());
            }
            // The first of two with one name holds it: the second is told already.
            if let Some(free @ None) = lines.written.get_mut(&name) {
                *free = Some(line);
            }
        }
        lines
    }

    /// The line that a device names: where it is, and what its devices have.
    pub(in crate::config) fn named(
        &mut self,
        section: &mut Section<'_>,
        name: &Spanned<String>,
    ) -> Option<(Endpoint, Habits)> {
        let Some(line) = self.written.get(&name.value) else {
            if self.written.is_empty() {
                let help = format!("describe it: `[[line]]` with `name = \"{}\"`", name.value);
                let message = format!("no line named `{}`", name.value);
                section.problem(name.span.clone(), message, "not found", Some(help));
            } else {
                section.no_such("line", name, self.written.keys().map(String::as_str));
            }
            return None;
        };
        self.used.insert(name.value.clone());
        line.as_ref().map(|line| (line.endpoint.clone(), line.habits.clone()))
    }

    /// The connection that a device describes itself; several devices may have the same, and what
    /// one of them says of it holds for all.
    pub(in crate::config) fn alone(
        &mut self,
        section: &mut Section<'_>,
        device: &str,
        alone: Alone,
    ) -> Endpoint {
        let Alone { address, manners } = alone;
        let place = &address.value;
        let same = self.written.values().flatten().find(|line| line.place.value == *place);
        if let Some(line) = same {
            let name = &line.name;
            let message = format!("the line `{name}` has this address");
            let help = format!("write `modbus = {{ line = \"{name}\", … }}`");
            section.problem(address.span.clone(), message, "a second connection", Some(help));
        }
        match self.alone.get_mut(place) {
            None => {
                self.alone.insert(place.clone(), (manners, device.to_owned()));
            }
            Some((known, first)) => {
                let mut found: Vec<(&str, Range<usize>)> = Vec::new();
                known.join(manners, |key, span| found.push((key, span)));
                for (key, span) in found {
                    let message =
                        format!("`{key}` is not as at `{first}`, which has the same address");
                    let help = "devices at one address have one connection: say it once";
                    section.problem(span, message, "contradicts", Some(help.to_owned()));
                }
            }
        }
        Endpoint::Tcp { address: address.value }
    }

    /// Takes note of a device on the line `name`. One unit may be two devices when their profiles
    /// differ: cards exist that show a UPS and its probes as one unit.
    pub(in crate::config) fn joined(
        &mut self,
        section: &mut Section<'_>,
        name: &str,
        member: Member<'_>,
    ) {
        let Member { device, unit, profile, min_timeout, timeout } = member;
        let key = (name.to_owned(), unit.value, profile.to_owned());
        if let Some(first) = self.units.get(&key) {
            let message = format!("unit {} at `{name}` is read twice with one profile", unit.value);
            let help = format!("`{first}` has it: is the unit id right?");
            section.problem(unit.span, message, "used before", Some(help));
        } else {
            self.units.insert(key, device.to_owned());
        }
        let timeouts = self.timeouts.entry(name.to_owned()).or_default();
        timeouts.push((device.to_owned(), min_timeout, timeout));
    }

    /// The lines by name, with those that nobody uses told.
    pub(in crate::config) fn finish(self, root: &mut Section<'_>) -> BTreeMap<String, Arc<Line>> {
        let slowest = |name: &str| {
            let all = self.timeouts.get(name).into_iter().flatten();
            all.map(|(_, _, timeout)| *timeout).max().unwrap_or(Duration::from_secs(1))
        };
        let mut lines = BTreeMap::new();
        for (name, line) in self.written {
            let Some(line) = line else { continue };
            if !self.used.contains(&name) {
                let help = format!("write `modbus = {{ line = \"{name}\", … }}` in a device");
                let message = format!("no device is on the line `{name}`");
                root.problem(line.name.span.clone(), message, "not used", Some(help));
            }
            if let Some(quiet) = line.manners.quiet_time() {
                let all = self.timeouts.get(&name).into_iter().flatten();
                let late = all.clone().find(|(_, least, most)| *least + quiet.value < *most);
                if let Some((device, least, most)) = late {
                    let message = format!(
                        "`quiet_time` is too short: `{device}` may take {}, is given up after {}, \
                         and its late answer would meet the next question",
                        format_duration(*most),
                        format_duration(*least),
                    );
                    let help = format!("at least {}", format_duration(*most - *least));
                    root.problem(quiet.span, message, "too short", Some(help));
                }
            }
            let slowest = slowest(&name);
            let made = line.manners.line(name.clone(), line.endpoint, slowest);
            lines.insert(name, Arc::new(made));
        }
        for (address, (manners, _)) in self.alone {
            let slowest = slowest(&address);
            let endpoint = Endpoint::Tcp { address: address.clone() };
            lines.insert(address.clone(), Arc::new(manners.line(address, endpoint, slowest)));
        }
        lines
    }
}

/// How a device is asked, with everything that it leaves to its line, its profile or us.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Patience {
    pub(in crate::config) timeout: Duration,
    pub(in crate::config) min_timeout: Duration,
    pub(in crate::config) pause: Duration,
}

impl Patience {
    pub(in crate::config) fn new(
        habits: &Habits,
        endpoint: &Endpoint,
        usual: &crate::profile::Connection,
    ) -> Self {
        let second = Duration::from_secs(1);
        let slow = usual.timeout.unwrap_or(second).max(second);
        let timeout = value(&habits.timeout).unwrap_or(slow);
        // Where a wait for one unit is a wait for all, those that are known to be quick are given
        // up soon.
        let least = if endpoint.has_transaction_ids() { timeout } else { timeout / 4 };
        Self {
            timeout,
            min_timeout: value(&habits.min_timeout).unwrap_or(least).min(timeout),
            pause: value(&habits.pause).or(usual.pause).unwrap_or_default(),
        }
    }
}
