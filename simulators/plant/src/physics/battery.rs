//! A valve-regulated lead-acid string: charge, voltage, heat.

use super::generator::approach;

/// What a new, full string gives at the reference power, in watt hours.
pub const CAPACITY_WH: f64 = 1_000.0;
/// The power at which the capacity is stated, in watts.
const REFERENCE_WATTS: f64 = 4_000.0;
/// Peukert's effect in its power form: the harder the draw, the less comes out.
const PEUKERT: f64 = 0.12;
/// Blocks of 12 V in series.
const BLOCKS: f64 = 16.0;
/// What the charger gives at most, in watts.
const CHARGER_WATTS: f64 = 900.0;
/// Share of the charger's energy that ends up in the plates.
const CHARGE_EFFICIENCY: f64 = 0.85;
/// Inner resistance of the whole string, in ohms.
const OHMS: f64 = 0.16;
/// Share of the capacity that a worn string still has.
const WORN: f64 = 0.2;
const ROOM_CELSIUS: f64 = 24.0;

/// The string behind one UPS.
#[derive(Clone, Debug)]
pub struct Battery {
    charge: f64,
    worn: bool,
    /// Positive while discharging, negative while charging, in watts.
    watts: f64,
    celsius: f64,
    drawn_wh: f64,
}

impl Battery {
    pub(super) fn new() -> Self {
        Self { charge: 1.0, worn: false, watts: 0.0, celsius: ROOM_CELSIUS, drawn_wh: 0.0 }
    }

    pub(super) fn wear(&mut self, worn: bool) {
        self.worn = worn;
    }

    /// Gives `watts` for `h` seconds. False when it is empty.
    pub(super) fn discharge(&mut self, h: f64, watts: f64) -> bool {
        self.watts = watts.max(0.0);
        self.drawn_wh += self.watts * h / 3600.0;
        self.charge = (self.charge - self.strain(self.watts) * h / self.capacity_ws()).max(0.0);
        self.warm(h);
        self.charge > 0.0
    }

    /// Charges for `h` seconds and returns what that takes from the bus, in watts.
    pub(super) fn charge(&mut self, h: f64) -> f64 {
        // Bulk until 90 %, then the current falls with what is missing.
        let watts = CHARGER_WATTS * ((1.0 - self.charge) / 0.1).clamp(0.0, 1.0);
        self.watts = -watts;
        self.charge = (self.charge + watts * CHARGE_EFFICIENCY * h / self.capacity_ws()).min(1.0);
        self.warm(h);
        watts
    }

    pub(super) fn rest(&mut self, h: f64) {
        self.watts = 0.0;
        self.warm(h);
    }

    fn warm(&mut self, h: f64) {
        let amperes = self.watts / (12.0 * BLOCKS);
        let target = ROOM_CELSIUS + 0.03 * amperes * amperes;
        self.celsius = approach(self.celsius, target, h, 1_200.0);
    }

    fn strain(&self, watts: f64) -> f64 {
        if watts <= 0.0 {
            return 0.0;
        }
        watts * (watts / REFERENCE_WATTS).powf(PEUKERT)
    }

    fn capacity_ws(&self) -> f64 {
        CAPACITY_WH * 3600.0 * if self.worn { WORN } else { 1.0 }
    }

    /// How long it would give `watts`, in seconds; a week at most.
    #[must_use]
    pub fn runtime_seconds(&self, watts: f64) -> f64 {
        const WEEK: f64 = 7.0 * 86_400.0;
        let strain = self.strain(watts);
        if strain <= 0.0 { WEEK } else { (self.charge * self.capacity_ws() / strain).min(WEEK) }
    }

    /// State of charge, 0 to 1.
    #[must_use]
    pub const fn charge_share(&self) -> f64 {
        self.charge
    }

    /// Its monitor asks for a new string.
    #[must_use]
    pub const fn needs_replacement(&self) -> bool {
        self.worn
    }

    /// Energy drawn from it since the start, in watt hours.
    #[must_use]
    pub const fn drawn_wh(&self) -> f64 {
        self.drawn_wh
    }

    /// Charging just now.
    #[must_use]
    pub fn is_charging(&self) -> bool {
        self.watts < -20.0
    }

    /// At its terminals, in volts.
    #[must_use]
    pub fn volts(&self) -> f64 {
        // Open circuit per block: a knee at both ends, almost a line between.
        let c = self.charge;
        let open = 11.6 + 1.2 * c - 0.9 * (-14.0 * c).exp() + 0.1 * c.powi(8);
        let amperes = self.watts / (12.0 * BLOCKS);
        let float = if self.watts < 0.0 || (self.watts == 0.0 && c >= 0.999) { 0.75 } else { 0.0 };
        (BLOCKS * (open + float) - amperes * OHMS).max(0.0)
    }

    /// In degrees Celsius.
    #[must_use]
    pub const fn celsius(&self) -> f64 {
        self.celsius
    }
}
