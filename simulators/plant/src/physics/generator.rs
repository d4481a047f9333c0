//! The generator: start sequence, electrical output, fuel, heat, starter battery.

use super::utility::{NOMINAL_HERTZ, NOMINAL_VOLTS, Supply};
use crate::noise::{Dice, Drift};

/// Rated real power, in watts.
pub const RATED_WATTS: f64 = 24_000.0;
/// What the tank holds, in litres.
pub const TANK_LITRES: f64 = 200.0;
/// Attempts to crank before the controller gives up.
pub const CRANK_ATTEMPTS: u32 = 3;
/// How long one attempt may crank, and how long the starter then rests, in seconds.
const CRANK_SECONDS: f64 = 5.0;
const REST_SECONDS: f64 = 5.0;
/// From the start signal to the first attempt (glow plugs, checks), in seconds.
const PRE_START_SECONDS: f64 = 1.0;
/// From the first firing to a supply that may be loaded, in seconds.
const WARM_UP_SECONDS: f64 = 4.0;
/// Running without load before the engine is stopped, in seconds.
const COOL_DOWN_SECONDS: f64 = 60.0;
/// Litres per hour at no load, and litres per kilowatt hour: a common 20 kW diesel set.
const IDLE_LITRES_PER_HOUR: f64 = 1.5;
const LITRES_PER_KWH: f64 = 0.27;
const RATED_RPM: f64 = 1500.0;
/// The block heater holds the coolant of a stopped engine here, in degrees Celsius.
const BLOCK_HEATER_CELSIUS: f64 = 42.0;
/// The tank's level while the low-fuel fault lasts, as a share of a full tank.
const LOW_FUEL_SHARE: f64 = 0.08;

/// Where the engine is in its cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Engine {
    /// At rest.
    Stopped,
    /// Called, not cranking yet.
    PreStart,
    /// The starter turns the engine.
    Cranking,
    /// The starter rests between two attempts.
    Resting,
    /// Fired; speed and voltage build up.
    WarmingUp,
    /// May carry load.
    Running,
    /// No longer called; runs unloaded.
    CoolingDown,
    /// Locked out after the last attempt, until somebody resets it.
    FailedToStart,
}

impl Engine {
    /// The state's name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::PreStart => "pre_start",
            Self::Cranking => "cranking",
            Self::Resting => "resting",
            Self::WarmingUp => "warming_up",
            Self::Running => "running",
            Self::CoolingDown => "cooling_down",
            Self::FailedToStart => "failed_to_start",
        }
    }

    const fn turns(self) -> bool {
        matches!(self, Self::WarmingUp | Self::Running | Self::CoolingDown)
    }
}

/// What acts on the generator during one step.
pub(super) struct Inputs {
    /// The transfer switch calls for it.
    pub(super) start: bool,
    /// Load on its terminals, in watts.
    pub(super) load: f64,
    pub(super) will_not_start: bool,
    pub(super) low_fuel: bool,
}

/// A diesel set with its controller in automatic mode.
#[derive(Clone, Debug)]
pub struct Generator {
    engine: Engine,
    /// Seconds in the present state.
    since: f64,
    /// When in the present attempt the engine will fire, in seconds.
    fires_after: f64,
    attempts: u32,
    fuel: f64,
    fuel_was: Option<f64>,
    rpm: f64,
    coolant: f64,
    oil_pressure: f64,
    starter_volts: f64,
    load: f64,
    hertz: Drift,
    run_seconds: f64,
    energy_wh: f64,
    starts: u32,
}

impl Generator {
    pub(super) fn new() -> Self {
        Self {
            engine: Engine::Stopped,
            since: 0.0,
            fires_after: 0.0,
            attempts: 0,
            fuel: 0.86 * TANK_LITRES,
            fuel_was: None,
            rpm: 0.0,
            coolant: BLOCK_HEATER_CELSIUS,
            oil_pressure: 0.0,
            starter_volts: 27.4,
            load: 0.0,
            hertz: Drift::new(0.03, 5.0),
            run_seconds: 1_234.0 * 3600.0,
            energy_wh: 9_876_500.0,
            starts: 321,
        }
    }

    pub(super) fn step(&mut self, h: f64, inputs: &Inputs, dice: &mut Dice) {
        self.since += h;
        self.hertz.step(h, dice);
        self.level(inputs.low_fuel);
        let dry = self.fuel <= 0.0;
        match self.engine {
            Engine::Stopped if inputs.start => {
                self.attempts = 0;
                self.enter(Engine::PreStart);
            }
            Engine::PreStart | Engine::Cranking | Engine::Resting | Engine::WarmingUp
                if !inputs.start =>
            {
                self.enter(Engine::Stopped);
            }
            Engine::PreStart if self.since >= PRE_START_SECONDS => self.crank(dice),
            Engine::Resting if self.since >= REST_SECONDS => self.crank(dice),
            Engine::Cranking
                if !inputs.will_not_start && !dry && self.since >= self.fires_after =>
            {
                self.starts = self.starts.saturating_add(1);
                self.enter(Engine::WarmingUp);
            }
            Engine::Cranking if self.since >= CRANK_SECONDS => {
                let last = self.attempts >= CRANK_ATTEMPTS;
                self.enter(if last { Engine::FailedToStart } else { Engine::Resting });
            }
            Engine::WarmingUp | Engine::Running | Engine::CoolingDown if dry => {
                self.enter(Engine::FailedToStart);
            }
            Engine::WarmingUp if self.since >= WARM_UP_SECONDS => self.enter(Engine::Running),
            Engine::Running if !inputs.start => self.enter(Engine::CoolingDown),
            Engine::CoolingDown if inputs.start => self.enter(Engine::Running),
            Engine::CoolingDown if self.since >= COOL_DOWN_SECONDS => self.enter(Engine::Stopped),
            // Whoever repaired or refuelled it also pressed reset.
            Engine::FailedToStart if !inputs.will_not_start && !dry => self.enter(Engine::Stopped),
            _ => {}
        }
        self.load = if self.engine == Engine::Running { inputs.load.max(0.0) } else { 0.0 };
        self.machine(h);
    }

    fn enter(&mut self, engine: Engine) {
        self.engine = engine;
        self.since = 0.0;
    }

    fn crank(&mut self, dice: &mut Dice) {
        self.attempts += 1;
        self.fires_after = dice.between(1.2, 2.8);
        self.enter(Engine::Cranking);
    }

    /// A leak takes the fuel; ending the fault fills the tank again.
    fn level(&mut self, low_fuel: bool) {
        if low_fuel {
            if self.fuel_was.is_none() {
                self.fuel_was = Some(self.fuel);
                self.fuel = self.fuel.min(LOW_FUEL_SHARE * TANK_LITRES);
            }
        } else if let Some(litres) = self.fuel_was.take() {
            self.fuel = litres;
        }
    }

    /// Speed, fuel, heat and pressure follow the state with their own inertia.
    fn machine(&mut self, h: f64) {
        let turns = self.engine.turns();
        let droop = 0.02 * self.load_share().min(1.5);
        let (rpm, seconds) = match self.engine {
            Engine::Cranking => (180.0, 0.3),
            _ if turns => (RATED_RPM * (1.01 - droop), 1.0),
            _ => (0.0, 2.0),
        };
        self.rpm = approach(self.rpm, rpm, h, seconds);
        let (oil, seconds) = if turns { (420.0, 1.5) } else { (0.0, 1.0) };
        self.oil_pressure = approach(self.oil_pressure, oil, h, seconds);
        let coolant =
            if turns { 78.0 + 9.0 * self.load_share().min(1.2) } else { BLOCK_HEATER_CELSIUS };
        self.coolant = approach(self.coolant, coolant, h, if turns { 180.0 } else { 1_800.0 });
        let (volts, seconds) = match self.engine {
            Engine::Cranking => (20.5, 0.2),
            _ if turns => (28.2, 5.0),
            _ => (27.4, 8.0),
        };
        self.starter_volts = approach(self.starter_volts, volts, h, seconds);
        if turns {
            let hours = h / 3600.0;
            let litres = hours * (IDLE_LITRES_PER_HOUR + LITRES_PER_KWH * self.load / 1000.0);
            self.fuel = (self.fuel - litres).max(0.0);
            self.run_seconds += h;
            self.energy_wh += self.load * hours;
        }
    }

    /// What its terminals give.
    #[must_use]
    pub fn supply(&self) -> Supply {
        if !self.engine.turns() || self.rpm < 300.0 {
            return Supply::DEAD;
        }
        let hertz = self.rpm / RATED_RPM * NOMINAL_HERTZ + self.hertz.value();
        // The exciter builds the voltage up with the speed; above 95 % the regulator holds it.
        let share = (self.rpm / (0.95 * RATED_RPM)).min(1.0);
        Supply { volts: NOMINAL_VOLTS * share * share, hertz }
    }

    /// Where the engine is in its cycle.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Load, in watts.
    #[must_use]
    pub const fn load_watts(&self) -> f64 {
        self.load
    }

    /// Load as a share of the rating.
    #[must_use]
    pub fn load_share(&self) -> f64 {
        self.load / RATED_WATTS
    }

    /// Fuel left, in litres.
    #[must_use]
    pub const fn fuel_litres(&self) -> f64 {
        self.fuel
    }

    /// Fuel left, in percent of the tank.
    #[must_use]
    pub fn fuel_percent(&self) -> f64 {
        100.0 * self.fuel / TANK_LITRES
    }

    /// Below the level at which the controller warns.
    #[must_use]
    pub fn fuel_is_low(&self) -> bool {
        self.fuel_percent() < 15.0
    }

    /// Engine speed, in revolutions per minute.
    #[must_use]
    pub const fn rpm(&self) -> f64 {
        self.rpm
    }

    /// Coolant, in degrees Celsius.
    #[must_use]
    pub const fn coolant_celsius(&self) -> f64 {
        self.coolant
    }

    /// Oil, in degrees Celsius: follows the coolant.
    #[must_use]
    pub fn oil_celsius(&self) -> f64 {
        self.coolant + if self.engine.turns() { 8.0 } else { -3.0 }
    }

    /// Oil pressure, in kilopascals.
    #[must_use]
    pub const fn oil_kilopascals(&self) -> f64 {
        self.oil_pressure
    }

    /// Starter battery, in volts.
    #[must_use]
    pub const fn starter_volts(&self) -> f64 {
        self.starter_volts
    }

    /// Time the engine has run in its life, in seconds.
    #[must_use]
    pub const fn run_seconds(&self) -> f64 {
        self.run_seconds
    }

    /// Energy made in its life, in watt hours.
    #[must_use]
    pub const fn energy_wh(&self) -> f64 {
        self.energy_wh
    }

    /// Successful starts in its life.
    #[must_use]
    pub const fn starts(&self) -> u32 {
        self.starts
    }

    /// Attempts made since it was last called.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// Moves `value` towards `target` with the time constant `seconds`.
pub(super) fn approach(value: f64, target: f64, h: f64, seconds: f64) -> f64 {
    target + (value - target) * (-h / seconds).exp()
}
