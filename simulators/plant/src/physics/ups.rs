//! A double-conversion UPS: online, on battery, on bypass, output off.

use super::battery::Battery;
use super::utility::{NOMINAL_HERTZ, NOMINAL_VOLTS, Supply};

/// Rated real and apparent power, in watts and volt-amperes.
pub const RATED_WATTS: f64 = 10_000.0;
/// Output per input while online.
pub const ONLINE_EFFICIENCY: f64 = 0.94;
/// Output per what the battery gives.
pub const INVERTER_EFFICIENCY: f64 = 0.95;
/// Input must be good this long before the UPS takes it again, in seconds.
const RETURN_SECONDS: f64 = 5.0;
/// After the output dropped, input must be good this long before it comes back, in seconds.
const RESTART_SECONDS: f64 = 15.0;
/// More than this share of the rating for the tolerated time leads to bypass, or off on battery.
const OVERLOAD_SHARE: f64 = 1.05;
const OVERLOAD_SECONDS: f64 = 30.0;
/// On battery with less than this left, it says that shutdown is imminent, in seconds.
pub const LOW_RUNTIME_SECONDS: f64 = 120.0;

/// How the output is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From the input, through rectifier and inverter.
    Online,
    /// From the battery.
    OnBattery,
    /// From the input, directly: no protection.
    Bypass,
    /// Not at all.
    OutputOff,
}

impl Mode {
    /// The mode's name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::OnBattery => "on_battery",
            Self::Bypass => "bypass",
            Self::OutputOff => "output_off",
        }
    }
}

/// Why the mode last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing happened yet.
    SystemStart,
    /// The input went away.
    LowInputVoltage,
    /// The input came back.
    InputAcceptable,
    /// The battery is empty.
    LowBatteryVoltage,
    /// The load was too much.
    Overload,
    /// Input and time allowed a restart.
    AutomaticRestart,
    /// Somebody asked for it.
    Command,
}

/// One UPS with its battery.
#[derive(Clone, Debug)]
pub struct Ups {
    mode: Mode,
    cause: Cause,
    input: Supply,
    load: f64,
    input_good: f64,
    overloaded: f64,
    relieved: f64,
    battery: Battery,
    input_watts: f64,
    energy_wh: f64,
    switched_off: bool,
}

impl Ups {
    pub(super) fn new(energy_wh: f64) -> Self {
        Self {
            mode: Mode::Online,
            cause: Cause::SystemStart,
            input: Supply::DEAD,
            load: 0.0,
            input_good: RESTART_SECONDS,
            overloaded: 0.0,
            relieved: 0.0,
            battery: Battery::new(),
            input_watts: 0.0,
            energy_wh,
            switched_off: false,
        }
    }

    /// Switches the output off, or lets it come back after the time of a restart.
    pub(super) fn switch(&mut self, off: bool) {
        self.switched_off = off;
        if off && self.output_on() {
            self.enter(Mode::OutputOff, Cause::Command);
            self.load = 0.0;
        }
        if off {
            self.input_good = 0.0;
        }
    }

    pub(super) fn step(&mut self, h: f64, input: Supply, load: f64, worn: bool) {
        self.input = input;
        self.battery.wear(worn);
        let good = input.is_good();
        self.input_good = if good { self.input_good + h } else { 0.0 };
        let over = self.output_on() && load > OVERLOAD_SHARE * RATED_WATTS;
        self.overloaded = if over { self.overloaded + h } else { 0.0 };
        self.relieved = if over { 0.0 } else { self.relieved + h };
        let tripped = self.overloaded >= OVERLOAD_SECONDS;
        match self.mode {
            // Input lost: Online or Bypass => OnBattery.
            Mode::Online | Mode::Bypass if !good => {
                self.enter(Mode::OnBattery, Cause::LowInputVoltage);
            }
            Mode::Online if tripped => self.enter(Mode::Bypass, Cause::Overload),
            Mode::OnBattery if tripped => self.enter(Mode::OutputOff, Cause::Overload),
            Mode::OnBattery if self.input_good >= RETURN_SECONDS => {
                self.enter(Mode::Online, Cause::InputAcceptable);
            }
            Mode::Bypass if self.relieved >= RETURN_SECONDS => {
                self.enter(Mode::Online, Cause::InputAcceptable);
            }
            Mode::OutputOff if !self.switched_off && self.input_good >= RESTART_SECONDS => {
                self.enter(Mode::Online, Cause::AutomaticRestart);
            }
            _ => {}
        }
        self.load = if self.output_on() { load.max(0.0) } else { 0.0 };
        self.energy_wh += self.load * h / 3600.0;
        self.power(h, good);
    }

    fn power(&mut self, h: f64, good: bool) {
        self.input_watts = match self.mode {
            Mode::OnBattery => {
                if !self.battery.discharge(h, self.battery_watts()) {
                    self.enter(Mode::OutputOff, Cause::LowBatteryVoltage);
                    self.load = 0.0;
                }
                0.0
            }
            Mode::Online => self.load / ONLINE_EFFICIENCY + 60.0 + self.battery.charge(h),
            Mode::Bypass => self.load + 60.0 + self.battery.charge(h),
            Mode::OutputOff if good => 60.0 + self.battery.charge(h),
            Mode::OutputOff => {
                self.battery.rest(h);
                0.0
            }
        };
    }

    fn enter(&mut self, mode: Mode, cause: Cause) {
        self.mode = mode;
        self.cause = cause;
        self.overloaded = 0.0;
    }

    /// What the battery gives, or would have to give, for the present load, in watts.
    #[must_use]
    pub fn battery_watts(&self) -> f64 {
        self.load / INVERTER_EFFICIENCY + 40.0
    }

    /// How the output is fed.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Why the mode last changed.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// The output carries voltage.
    #[must_use]
    pub fn output_on(&self) -> bool {
        self.mode != Mode::OutputOff
    }

    /// What the output gives.
    #[must_use]
    pub fn output(&self) -> Supply {
        match self.mode {
            Mode::Online | Mode::OnBattery => Supply { volts: NOMINAL_VOLTS, hertz: NOMINAL_HERTZ },
            Mode::Bypass => self.input,
            Mode::OutputOff => Supply::DEAD,
        }
    }

    /// What the input sees.
    #[must_use]
    pub const fn input(&self) -> Supply {
        self.input
    }

    /// What the input takes, in watts.
    #[must_use]
    pub const fn input_watts(&self) -> f64 {
        self.input_watts
    }

    /// What becomes heat in the hall, in watts.
    #[must_use]
    pub fn loss_watts(&self) -> f64 {
        match self.mode {
            Mode::OnBattery => self.battery_watts() - self.load,
            Mode::Online => self.load * (1.0 / ONLINE_EFFICIENCY - 1.0) + 60.0,
            Mode::Bypass | Mode::OutputOff => 60.0,
        }
    }

    /// Load, in watts.
    #[must_use]
    pub const fn load_watts(&self) -> f64 {
        self.load
    }

    /// More load than the rating.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.load > RATED_WATTS
    }

    /// How long the battery will carry the present load, in seconds.
    #[must_use]
    pub fn runtime_seconds(&self) -> f64 {
        self.battery.runtime_seconds(self.battery_watts())
    }

    /// On battery, and nearly at its end.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.mode == Mode::OnBattery && self.runtime_seconds() < LOW_RUNTIME_SECONDS
    }

    /// Energy given in its life, in watt hours.
    #[must_use]
    pub const fn energy_wh(&self) -> f64 {
        self.energy_wh
    }

    /// Its battery.
    #[must_use]
    pub const fn battery(&self) -> &Battery {
        &self.battery
    }
}
