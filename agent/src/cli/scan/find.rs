//! The scan itself: first who answers, then who that is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_agent::profile::{Placement, Profile};
use hallwatch_modbus::sunspec::Model;
use hallwatch_modbus::{AnyClient, Data, Error, Failure, Read, Table};
use hallwatch_model::{Missing, chain};
use indicatif::ProgressBar;

use super::bus::{Bus, Units};
use super::recognise::{Traits, proposals, reads};
use crate::cli::wire::{Answers, options, walk};

/// Exceptions by which a gateway says that nobody is there.
const NOBODY: [u8; 2] = [0x0a, 0x0b];
/// When more units than this answer, and all of them, they may be one device.
const SUSPICIOUS: usize = 16;
/// After so many questions without any answer a unit is left alone.
const PATIENCE: usize = 3;
/// SunSpec's model 1 has manufacturer, model, version and serial number: register and length.
const COMMON: [(&str, u16, u16); 4] =
    [("manufacturer", 2, 16), ("model", 18, 16), ("version", 42, 8), ("serial", 50, 16)];

/// A unit that answers.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) bus: Bus,
    /// The unit; the first of those that are the same device.
    pub(super) unit: u8,
    /// How many units are the same device: it does not look at the unit id.
    pub(super) alike: usize,
    pub(super) traits: Traits,
    pub(super) profiles: Vec<Arc<Profile>>,
    /// What it says of itself in its registers.
    pub(super) identity: Vec<(String, String)>,
}

/// A port or line that could not be scanned.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) bus: Bus,
    pub(super) reason: String,
}

/// A scan under way; what was found stays when it is stopped.
pub(super) struct Scan {
    profiles: Vec<Arc<Profile>>,
    reads: Vec<Read>,
    timeout: Duration,
    pause: Duration,
    progress: ProgressBar,
    found: Vec<Found>,
    pub(super) closed: Vec<Closed>,
    /// Units that were asked, and those that answered.
    pub(super) asked: usize,
    pub(super) answered: Vec<(Bus, u8)>,
}

impl Scan {
    pub(super) fn new(
        profiles: Vec<Arc<Profile>>,
        timeout: Duration,
        pause: Duration,
        progress: ProgressBar,
    ) -> Self {
        let reads = reads(&profiles);
        Self {
            profiles,
            reads,
            timeout,
            pause,
            progress,
            found: Vec::new(),
            closed: Vec::new(),
            asked: 0,
            answered: Vec::new(),
        }
    }

    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// Adds what answered but was not asked any further, because the scan was stopped.
    pub(super) fn stop(&mut self) {
        for (bus, unit) in &self.answered {
            let is_known = |one: &Found| one.bus == *bus && (one.unit == *unit || one.alike > 1);
            if !self.found.iter().any(is_known) {
                self.found.push(Found {
                    bus: bus.clone(),
                    unit: *unit,
                    alike: 1,
                    traits: Traits::default(),
                    profiles: Vec::new(),
                    identity: vec![("state".into(), "not identified yet".into())],
                });
            }
        }
    }

    /// Scans everything, one question at a time.
    pub(super) async fn run(&mut self, buses: &[Bus], units: Option<&Units>) {
        let units_of = |bus: &Bus| units.map_or_else(|| bus.usual_units(), |units| units.0.clone());
        let all: usize = buses.iter().map(|bus| units_of(bus).len()).sum();
        self.progress.inc_length(u64::try_from(all).unwrap_or(u64::MAX));
        for bus in buses {
            self.bus(bus, &units_of(bus)).await;
        }
    }

    async fn bus(&mut self, bus: &Bus, units: &[u8]) {
        let mut options = options(self.timeout, self.pause);
        options.slowest_answer = bus.slowest_answer(self.timeout);
        // Behind a gateway many units in a row may be silent: that is no reason to reconnect.
        options.timeouts_before_close = 16;
        let mut client = bus.client(options);
        let mut present = Vec::new();
        for (unit, before) in units.iter().zip(0..) {
            self.progress.set_message(format!("{bus} unit {unit}, {} found", self.answered.len()));
            self.asked += 1;
            match is_there(&mut client, *unit).await {
                Ok(true) => {
                    present.push(*unit);
                    self.answered.push((bus.clone(), *unit));
                }
                Ok(false) => {}
                Err(error) => {
                    let left = units.len().saturating_sub(before);
                    self.progress.inc(u64::try_from(left).unwrap_or(0));
                    let reason = chain(&error.failure);
                    self.closed.push(Closed { bus: bus.clone(), reason });
                    break;
                }
            }
            self.progress.inc(1);
        }
        self.identify_all(bus, &mut client, &present, units.len()).await;
    }

    async fn identify_all(
        &mut self,
        bus: &Bus,
        client: &mut AnyClient,
        present: &[u8],
        asked: usize,
    ) {
        let mut rest = present;
        if present.len() == asked
            && asked > SUSPICIOUS
            && let (Some(first), Some(middle), Some(last)) =
                (present.first(), present.get(asked / 2), present.last())
        {
            let first = self.identify(bus, client, *first).await;
            let others = [
                self.identify(bus, client, *middle).await,
                self.identify(bus, client, *last).await,
            ];
            let same =
                |other: &Found| other.traits == first.traits && other.identity == first.identity;
            if others.iter().all(same) {
                self.found.push(Found { alike: asked, ..first });
                return;
            }
            self.found.push(first);
            rest = present.get(1..).unwrap_or_default();
        }
        for unit in rest {
            let found = self.identify(bus, client, *unit).await;
            self.found.push(found);
        }
    }

    /// Everything that a unit shows of itself.
    async fn identify(&self, bus: &Bus, client: &mut AnyClient, unit: u8) -> Found {
        let steps = u64::try_from(self.reads.len()).unwrap_or(0);
        self.progress.inc_length(steps);
        self.progress.set_message(format!("{bus} unit {unit}: what is it?"));
        let objects = match client.identify_all(unit).await {
            Ok(identity) => identity.objects,
            Err(_) => Vec::new(),
        };
        let chain = walk(client, unit).await.unwrap_or_default();
        let mut registers = HashMap::new();
        let mut silent = 0;
        for read in &self.reads {
            if silent < PATIENCE {
                match client.read(unit, read).await {
                    Ok(data) => {
                        registers.insert(*read, data);
                        silent = 0;
                    }
                    Err(error) if error.exception().is_some() => silent = 0,
                    Err(_) => silent += 1,
                }
            }
            self.progress.inc(1);
        }
        let traits = Traits { objects, chain, registers };
        let profiles = proposals(&self.profiles, &traits);
        let mut identity = common(client, unit, &traits).await;
        if let Some(profile) = profiles.first() {
            let placement = Placement { chain: traits.chain.clone(), ..Placement::default() };
            let placed = profile.placed(&placement);
            let profile = placed.as_ref().unwrap_or(profile);
            let mut answers: Answers = Vec::new();
            for read in profile.identity_reads() {
                let answer = client.read(unit, read).await;
                answers.push(answer.map_err(|error| error.missing()));
            }
            let said = profile.identity(&answers);
            identity.extend(said.into_iter().map(|(what, text)| (what.to_owned(), text)));
        }
        Found { bus: bus.clone(), unit, alike: 1, traits, profiles, identity }
    }
}

/// Whether a unit answers, with whatever.
///
/// # Errors
/// When there is no connection, so that no unit can answer.
async fn is_there(client: &mut AnyClient, unit: u8) -> Result<bool, Error> {
    // Nearly every device has holding registers, and one that has not says so.
    let Ok(read) = Read::new(Table::HoldingRegisters, 0, 1) else { return Ok(false) };
    match client.read(unit, &read).await {
        Ok(_) => Ok(true),
        Err(error) => match (&error.failure, error.exception()) {
            (_, Some(code)) => Ok(!NOBODY.contains(&code)),
            (Failure::Connect(_) | Failure::ConnectTimeout(_) | Failure::Authentication(_), _) => {
                Err(error)
            }
            // Somebody answers, if not well.
            _ => Ok(error.missing() == Missing::Malformed),
        },
    }
}

/// What a SunSpec device says of itself in its common model.
async fn common(client: &mut AnyClient, unit: u8, traits: &Traits) -> Vec<(String, String)> {
    let Some(chain) = &traits.chain else { return Vec::new() };
    let Some(Model { address, length, .. }) = chain.model(1, 1) else { return Vec::new() };
    let mut said = Vec::new();
    for (what, offset, registers) in COMMON {
        if offset + registers > length.saturating_add(2) {
            continue;
        }
        let at = address.saturating_add(offset);
        let Ok(read) = Read::new(chain.table, at, registers) else { continue };
        if let Ok(Data::Registers(words)) = client.read(unit, &read).await {
            let kind = hallwatch_modbus::decode::Kind::Text { registers };
            let text = hallwatch_modbus::Conversion::new(kind).text(&words);
            if !text.is_empty() {
                said.push((what.to_owned(), text));
            }
        }
    }
    said
}
