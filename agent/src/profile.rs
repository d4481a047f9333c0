//! A model of device as data: which registers to read and which series they become.
//!
//! Profiles are TOML files. Those in `agent/profiles` are part of the program ([`shipped`]); a
//! site can bring its own, which are parsed by the same [`Profile::parse`].
//!
//! ```toml
//! manufacturer = "Example"
//! model = "Meter 3"
//! kind = "power_meter"
//! confidence = "high"                 # low: shipped as unverified
//! source = ["where the register map was read"]
//!
//! [limits]                            # all optional
//! max_registers = 40
//! max_hole = 8                        # registers that may be read along between two points
//! barriers = { holding = [3000] }     # no read contains both 2999 and 3000
//!
//! [[point]]
//! name = "charge"
//! table = "holding"                   # coil, discrete, holding, input
//! address = 130                       # zero-based, as on the wire
//! type = "u16"
//! scale = 0.01                        # value = raw × scale + offset
//! not_available = [0xffff, "0xfff0-0xfff7"]
//! min = 0
//! max = 1
//! metric = "ups_battery_charge_ratio"
//! labels = { phase = "l1" }
//! times = "rating"                    # multiplied by another point's value
//! ```
//!
//! A point of flags or states becomes several series: `flags` (one series for each bit), `bits`
//! (one label for many bits of one metric), `states` (one series for each member, exactly one of
//! them 1) and `nibbles` (alarms of four bits, the highest first).
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::as_conversions))]

mod file;
mod map;
mod series;
mod shipped;

use std::borrow::Cow;

use hallwatch_config::{Invalid, Source};
use hallwatch_modbus::plan::{Place, Plan};
use hallwatch_modbus::{Conversion, Data, Read};
use hallwatch_model::{Missing, Value};

pub use series::Series;
pub use shipped::shipped;

/// How far the register map is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Several independent sources or a working implementation.
    High,
    /// One good source.
    Medium,
    /// One machine-made transcription: to be checked at the device.
    Low,
}

/// A model of device, checked: every metric is in the vocabulary, every point can be read.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The name that configurations use, such as `apc_smart_ups`.
    pub name: String,
    /// Who makes the device.
    pub manufacturer: String,
    /// The models it is for.
    pub model: String,
    /// What the device is, such as `ups`.
    pub kind: &'static str,
    /// How far the register map is to be trusted.
    pub confidence: Confidence,
    /// Where the register map was read.
    pub sources: Vec<String>,
    /// What a site engineer should know.
    pub notes: Vec<String>,
    points: Vec<Point>,
    series: Vec<Series>,
    plan: Plan,
}

/// A value in the device.
#[derive(Clone, Debug)]
struct Point {
    conversion: Conversion,
    /// Where it stands in the answers; none when no series depends on it.
    place: Option<Place>,
}

impl Profile {
    /// The shipped profile of this name, or `None`.
    ///
    /// # Errors
    /// As [`Profile::parse`]; a test sees to it that there are none.
    #[must_use]
    pub fn named(name: &str) -> Option<Result<Self, Invalid>> {
        let (name, text) = shipped().iter().find(|(shipped, _)| *shipped == name)?;
        Some(Self::parse(name, &Source::new(format!("{name}.toml"), *text)))
    }

    /// Whether the register map has yet to be checked at a device; to be said when it is used.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        self.confidence == Confidence::Low
    }

    /// The fewest reads that bring all series.
    #[must_use]
    pub fn reads(&self) -> &[Read] {
        &self.plan.reads
    }

    /// What the device becomes, always in the same order. The labels hold the metric's name and
    /// what the profile knows, such as `phase`; device, site and tenant are the agent's.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// All series with their values; `answers` are those to [`Profile::reads`], in that order. A
    /// series whose read failed is missing for the reason of that read; one whose answer is not
    /// there at all was not asked for.
    #[must_use]
    pub fn samples(&self, answers: &[Result<Data, Missing>]) -> Vec<(&Series, Value)> {
        self.series.iter().map(|series| (series, self.value(series, answers))).collect()
    }

    fn value(&self, series: &Series, answers: &[Result<Data, Missing>]) -> Value {
        series.source.value(|point| {
            let point = self.points.get(point).ok_or(Missing::Malformed)?;
            Ok((&point.conversion, point.registers(answers)?))
        })
    }
}

impl Point {
    /// The point's own registers; a coil or input is a register of 0 or 1.
    fn registers<'a>(
        &self,
        answers: &'a [Result<Data, Missing>],
    ) -> Result<Cow<'a, [u16]>, Missing> {
        let place = self.place.ok_or(Missing::Malformed)?;
        let range = place.offset..place.offset + place.width;
        match answers.get(place.read).ok_or(Missing::DeviceOffline)? {
            Ok(Data::Registers(all)) => all.get(range).map(Cow::Borrowed),
            Ok(Data::Bits(all)) => {
                all.get(range).map(|bits| bits.iter().copied().map(u16::from).collect())
            }
            Err(missing) => return Err(*missing),
        }
        .ok_or(Missing::Malformed)
    }
}
