//! The hall as physics: power path, batteries, heat, doors. Values in, values out; no clock.
//!
//! Power flows `utility, generator → transfer switch → UPS A and B → rack PDUs`; the cooling units
//! hang directly behind the transfer switch, so they stop until the generator carries the load.
//! The controllers of all devices have a supply of their own: a dead device still answers.

pub mod access;
pub mod air;
pub mod battery;
pub mod cooling;
pub mod generator;
pub mod racks;
pub mod transfer_switch;
pub mod uplink;
pub mod ups;
pub mod utility;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::fault::Fault;
use crate::noise::Dice;
use access::{Access, Swipe};
use air::Air;
use cooling::CoolingUnit;
use generator::Generator;
use racks::Racks;
use transfer_switch::{Position, TransferSwitch};
use uplink::Uplink;
use ups::Ups;
use utility::Utility;

/// The longest step the equations are solved with; longer ones are divided.
pub const STEP: Duration = Duration::from_millis(100);
/// Lights, controllers and sockets behind the transfer switch, in watts.
const HOUSE_WATTS: f64 = 400.0;
/// A heater that somebody plugged into feed B, in watts.
const STRAY_HEATER_WATTS: f64 = 8_500.0;
/// Swipes that wait to be taken, at most.
const SWIPES_KEPT: usize = 64;
/// The plant starts at ten in the morning of its own day, in seconds.
const START_OF_DAY: f64 = 10.0 * 3600.0;

/// Everything in and around the hall.
#[derive(Clone, Debug)]
pub struct Hall {
    dice: Dice,
    seconds: f64,
    faults: BTreeSet<Fault>,
    swipes: Vec<Swipe>,
    meter_wh: f64,
    /// The utility feed.
    pub utility: Utility,
    /// The transfer switch.
    pub ats: TransferSwitch,
    /// The generator.
    pub generator: Generator,
    /// UPS A and B.
    pub ups: [Ups; 2],
    /// Racks and their PDUs.
    pub racks: Racks,
    /// Cooling units 1 to 3.
    pub cooling: [CoolingUnit; 3],
    /// The hall's air.
    pub air: Air,
    /// Door and badge reader.
    pub access: Access,
    /// Uplinks 1 and 2.
    pub uplinks: [Uplink; 2],
}

impl Hall {
    /// A hall at rest on a normal day; the same seed lives the same day.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let access = Access::new(&mut dice);
        let mut hall = Self {
            dice,
            seconds: 0.0,
            faults: BTreeSet::new(),
            swipes: Vec::new(),
            meter_wh: 123_456_000.0,
            utility: Utility::new(),
            ats: TransferSwitch::new(),
            generator: Generator::new(),
            ups: [Ups::new(5_120_000.0), Ups::new(4_870_000.0)],
            racks: Racks::new(),
            cooling: [CoolingUnit::new(0.47), CoolingUnit::new(0.47), CoolingUnit::new(0.47)],
            air: Air::new(),
            access,
            uplinks: [Uplink::new(7.5), Uplink::new(12.8)],
        };
        // One step fills every value that depends on another, so that the first reading is sound.
        for _ in 0..5 {
            hall.tick(STEP.as_secs_f64());
        }
        hall
    }

    /// Moves on by `dt` of the plant's own time.
    pub fn step(&mut self, dt: Duration) {
        let mut left = dt;
        while !left.is_zero() {
            let h = left.min(STEP);
            self.tick(h.as_secs_f64());
            left -= h;
        }
    }

    fn tick(&mut self, h: f64) {
        self.seconds += h;
        let load = self.racks_and_house();
        let has = |fault| self.faults.contains(&fault);
        let dice = &mut self.dice;
        self.utility.step(h, has(Fault::UtilityOff), dice);
        let generator = generator::Inputs {
            start: self.ats.calls_generator(),
            load: if self.ats.position() == Position::Line2 { load } else { 0.0 },
            will_not_start: has(Fault::GeneratorWillNotStart),
            low_fuel: has(Fault::GeneratorLowFuel),
        };
        self.generator.step(h, &generator, dice);
        self.ats.step(h, self.utility.supply(), self.generator.supply(), has(Fault::AtsStuck));
        let bus = self.ats.supply();
        let stray = if has(Fault::UpsBOverload) { STRAY_HEATER_WATTS } else { 0.0 };
        let feed_b = self.racks.feed_watts(1) + stray;
        self.ups[0].switch(has(Fault::UpsAOff));
        self.ups[0].step(h, bus, self.racks.feed_watts(0), has(Fault::UpsABatteryWeak));
        self.ups[1].step(h, bus, feed_b, false);
        let feeds = [self.ups[0].output(), self.ups[1].output()];
        let day = START_OF_DAY + self.seconds;
        self.racks.step(h, day, feeds, has(Fault::PduA1Off), dice);
        let stops = [Fault::Crac1Stops, Fault::Crac2Stops, Fault::Crac3Stops];
        for (unit, stop) in self.cooling.iter_mut().zip(stops) {
            unit.step(h, bus, self.air.hot_celsius(), has(stop));
        }
        let heat = self.racks.watts()
            + self.ups.iter().map(Ups::loss_watts).sum::<f64>()
            + if bus.is_good() { HOUSE_WATTS } else { 0.0 }
            + if self.ups[1].output_on() { stray } else { 0.0 };
        self.air.step(h, heat, &self.cooling, dice);
        let door = access::Inputs {
            forced: has(Fault::DoorForced),
            held: has(Fault::DoorHeldOpen),
            burst: has(Fault::BadgeDeniedBurst),
        };
        let mut swipes = self.access.step(h, &door, dice);
        self.swipes.append(&mut swipes);
        // Nobody has to take them: the oldest go first.
        self.swipes.drain(..self.swipes.len().saturating_sub(SWIPES_KEPT));
        self.uplinks[0].step(h, has(Fault::Uplink1Down), dice);
        self.uplinks[1].step(h, false, dice);
        self.meter_wh += self.utility_watts() * h / 3600.0;
    }

    /// What the building takes behind the transfer switch, in watts, were it fed.
    fn racks_and_house(&self) -> f64 {
        self.ups.iter().map(Ups::input_watts).sum::<f64>()
            + self.cooling.iter().map(CoolingUnit::watts).sum::<f64>()
            + HOUSE_WATTS
    }

    /// Power drawn from the utility, in watts.
    #[must_use]
    pub fn utility_watts(&self) -> f64 {
        if self.ats.position() == Position::Line1 && self.utility.supply().is_good() {
            self.racks_and_house()
        } else {
            0.0
        }
    }

    /// Energy drawn from the utility in the meter's life, in watt hours.
    #[must_use]
    pub const fn meter_wh(&self) -> f64 {
        self.meter_wh
    }

    /// The plant's own time since its start, in seconds.
    #[must_use]
    pub const fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Causes a fault. False if it was there already.
    pub fn cause(&mut self, fault: Fault) -> bool {
        self.faults.insert(fault)
    }

    /// Ends a fault. False if it was not there.
    pub fn end(&mut self, fault: Fault) -> bool {
        self.faults.remove(&fault)
    }

    /// The fault is there.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// Water on the floor under row 4.
    #[must_use]
    pub fn leak(&self) -> bool {
        self.has(Fault::Leak)
    }

    /// Smoke in room 1.
    #[must_use]
    pub fn smoke(&self) -> bool {
        self.has(Fault::Smoke)
    }

    /// Takes the cards that were held up since this was last called.
    pub fn take_swipes(&mut self) -> Vec<Swipe> {
        std::mem::take(&mut self.swipes)
    }
}
