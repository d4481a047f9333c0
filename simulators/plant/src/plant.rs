//! The handle that everything else holds: the hall, its faults, its registers, one lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::devices::DeviceId;
use crate::error::Error;
use crate::fault::Fault;
use crate::physics::Hall;
use crate::physics::access::Swipe;
use crate::registers::{Overrides, Refusal, RegisterMap, Table};
use crate::scenario::{Player, Scenario};

/// How a plant is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Decides every random choice: the same seed lives the same day.
    pub seed: u64,
    /// Seconds of plant time per second, 0.1 to 1000.
    pub speed: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, speed: 1.0 }
    }
}

/// A fault and whether it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultStatus {
    /// Which.
    pub fault: Fault,
    /// It is there now.
    pub active: bool,
    /// Since when, in seconds since 1970-01-01; none while the plant is not served.
    pub since: Option<i64>,
}

/// A device and where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Which.
    pub device: DeviceId,
    /// Where; none while the plant is not served.
    pub address: Option<SocketAddr>,
}

/// Badge swipes that wait for the reader's connection, at most.
const SWIPES_KEPT: usize = 64;

pub(crate) struct State {
    pub(crate) hall: Hall,
    since: BTreeMap<Fault, Option<i64>>,
    overrides: HashMap<DeviceId, Overrides>,
    addresses: BTreeMap<DeviceId, SocketAddr>,
    player: Option<Player>,
    swipes: VecDeque<(Swipe, i64)>,
    unix_seconds: Option<i64>,
}

struct Shared {
    state: Mutex<State>,
    maps: BTreeMap<DeviceId, RegisterMap>,
    speed: f64,
    /// Counts the changes of faults, so that sockets can wait for one.
    changes: watch::Sender<u64>,
}

/// A data hall. Clones are handles to the same one.
#[derive(Clone)]
pub struct Plant(Arc<Shared>);

impl Plant {
    /// A hall at rest. Nothing moves until it is served or stepped.
    ///
    /// # Errors
    /// [`Error::Speed`] for a speed outside of 0.1 to 1000.
    pub fn new(options: Options) -> Result<Self, Error> {
        let Options { seed, speed } = options;
        if !(0.1..=1000.0).contains(&speed) {
            return Err(Error::Speed { speed });
        }
        let state = State {
            hall: Hall::new(seed),
            since: BTreeMap::new(),
            overrides: HashMap::new(),
            addresses: BTreeMap::new(),
            player: None,
            swipes: VecDeque::new(),
            unix_seconds: None,
        };
        let maps = DeviceId::ALL.into_iter().map(|device| (device, device.registers())).collect();
        let (changes, _) = watch::channel(0);
        Ok(Self(Arc::new(Shared { state: Mutex::new(state), maps, speed, changes })))
    }

    // A panic elsewhere leaves values that are still values: the hall goes on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds of plant time per second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.0.speed
    }

    /// Moves on by `dt` of plant time, playing the scenario on the way.
    pub fn step(&self, dt: Duration) {
        let mut state = self.lock();
        let mut left = dt;
        let mut changed = false;
        while !left.is_zero() {
            let h = left.min(crate::physics::STEP);
            changed |= state.play();
            state.hall.step(h);
            left -= h;
        }
        state.collect_swipes();
        drop(state);
        if changed {
            self.announce();
        }
    }

    /// Tells the plant what the wall clock says, for the times that people read.
    pub(crate) fn set_clock(&self, unix_seconds: i64) {
        self.lock().unix_seconds = Some(unix_seconds);
    }

    fn announce(&self) {
        self.0.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Looks at the hall.
    pub fn view<T>(&self, look: impl FnOnce(&Hall) -> T) -> T {
        look(&self.lock().hall)
    }

    /// Causes the fault called `name`. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`Error::UnknownFault`], with the known names.
    pub fn cause(&self, name: &str) -> Result<(), Error> {
        let fault = fault_named(name)?;
        self.lock().cause(fault);
        self.announce();
        Ok(())
    }

    /// Ends the fault called `name`. One that is not there stays away.
    ///
    /// # Errors
    /// [`Error::UnknownFault`], with the known names.
    pub fn end(&self, name: &str) -> Result<(), Error> {
        let fault = fault_named(name)?;
        self.lock().end(fault);
        self.announce();
        Ok(())
    }

    /// Every fault there is, and whether it is there.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        let state = self.lock();
        let status = |fault| {
            let since = state.since.get(&fault);
            FaultStatus { fault, active: since.is_some(), since: since.copied().flatten() }
        };
        Fault::all().map(status).collect()
    }

    /// The fault is there.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.lock().hall.has(fault)
    }

    /// Returns as soon as the fault is there.
    pub(crate) async fn until(&self, fault: Fault) {
        let mut changes = self.0.changes.subscribe();
        while !self.has(fault) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Plays `scenario` from now on, in plant time, in place of any other.
    pub fn play(&self, scenario: Scenario) {
        let mut state = self.lock();
        state.player = Some(Player::new(scenario, state.hall.seconds()));
    }

    /// Every device, and where it listens.
    #[must_use]
    pub fn devices(&self) -> Vec<DeviceStatus> {
        let state = self.lock();
        let status =
            |device| DeviceStatus { device, address: state.addresses.get(&device).copied() };
        DeviceId::ALL.into_iter().map(status).collect()
    }

    pub(crate) fn set_address(&self, device: DeviceId, address: SocketAddr) {
        self.lock().addresses.insert(device, address);
    }

    /// Puts `word` over the register, until it is taken away again.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], [`Error::UnknownRegister`].
    pub fn override_register(&self, device: &str, address: u16, word: u16) -> Result<(), Error> {
        let device = self.register(device, address)?;
        self.lock().overrides.entry(device).or_default().insert(address, word);
        Ok(())
    }

    /// Lets the register show the plant's own word again.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], [`Error::UnknownRegister`].
    pub fn release_register(&self, device: &str, address: u16) -> Result<(), Error> {
        let device = self.register(device, address)?;
        if let Some(overrides) = self.lock().overrides.get_mut(&device) {
            overrides.remove(&address);
        }
        Ok(())
    }

    fn register(&self, name: &str, address: u16) -> Result<DeviceId, Error> {
        let device = DeviceId::named(name).ok_or_else(|| Error::UnknownDevice {
            name: name.to_owned(),
            known: DeviceId::ALL.into_iter().map(|device| device.to_string()).collect(),
        })?;
        match self.0.maps.get(&device) {
            Some(map) if map.has(address) => Ok(device),
            _ => Err(Error::UnknownRegister { device, address }),
        }
    }

    pub(crate) fn read_registers(
        &self,
        device: DeviceId,
        table: Table,
        address: u16,
        quantity: u16,
    ) -> Result<Vec<u16>, Refusal> {
        let map = self.0.maps.get(&device).ok_or(Refusal::Function)?;
        let state = self.lock();
        let none = Overrides::new();
        let overrides = state.overrides.get(&device).unwrap_or(&none);
        map.read(table, address, quantity, &state.hall, overrides)
    }

    pub(crate) fn read_discrete(
        &self,
        device: DeviceId,
        address: u16,
        quantity: u16,
    ) -> Result<Vec<bool>, Refusal> {
        let map = self.0.maps.get(&device).ok_or(Refusal::Function)?;
        map.read_discrete(address, quantity, &self.lock().hall)
    }

    /// Looks at the hall and takes the swipes that nobody has taken, with their times.
    pub(crate) fn view_with_swipes<T>(&self, look: impl FnOnce(&Hall, &[(Swipe, i64)]) -> T) -> T {
        let mut state = self.lock();
        let swipes: Vec<_> = state.swipes.drain(..).collect();
        look(&state.hall, &swipes)
    }
}

impl State {
    fn cause(&mut self, fault: Fault) {
        if self.hall.cause(fault) {
            self.since.insert(fault, self.unix_seconds);
        }
    }

    fn end(&mut self, fault: Fault) {
        self.hall.end(fault);
        self.since.remove(&fault);
    }

    /// Does what the scenario wants done by now. True if that was anything.
    fn play(&mut self) -> bool {
        let Some(player) = &mut self.player else { return false };
        let (cause, end) = player.due(self.hall.seconds());
        if player.is_over() {
            self.player = None;
        }
        let any = !cause.is_empty() || !end.is_empty();
        for fault in end {
            self.end(fault);
        }
        for fault in cause {
            self.cause(fault);
        }
        any
    }

    fn collect_swipes(&mut self) {
        let time = self.unix_seconds.unwrap_or(0);
        let new = self.hall.take_swipes().into_iter().map(|swipe| (swipe, time));
        self.swipes.extend(new);
        let over = self.swipes.len().saturating_sub(SWIPES_KEPT);
        self.swipes.drain(..over);
    }
}

fn fault_named(name: &str) -> Result<Fault, Error> {
    Fault::named(name).ok_or_else(|| Error::UnknownFault {
        name: name.to_owned(),
        known: Fault::all().map(|fault| fault.to_string()).collect(),
    })
}
