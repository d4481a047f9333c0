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
//! [connection]                        # how it leaves the factory; hints for `scan` and `init`
//! unit = 1
//! port = 502
//! baud = 9600
//! parity = "even"                     # none, even, odd
//! data_bits = 8
//! stop_bits = 1
//! timeout = "1s"                      # what it needs at least to answer
//! pause = "100ms"                     # what it needs between an answer and the next question
//!
//! [[fingerprint]]                     # how `scan` knows it; one that fits is enough
//! table = "holding"
//! address = 35168
//! length = 2                          # with `text`; `values` have a `type`: u16, u32, u64
//! text = "B23"                        # is contained; or `values = [0x4150]`
//!
//! [[fingerprint]]
//! object = 0                          # of the identification by function 43
//! text = "Raritan"
//!
//! [parameters.ct_ratio]               # a number that the installation decides
//! default = 1                         # or `required = true`: then a site has to set it
//! min = 1                             # `min` and `max`, or `values = [0, 1]`
//! max = 10000
//! help = "what it means"
//!
//! [limits]                            # all optional
//! max_registers = 40
//! max_bits = 200
//! max_hole = 8                        # registers that may be read along between two points
//! barriers = { holding = [3000] }     # no read contains both 2999 and 3000
//!
//! [defaults]                          # of all points that do not say otherwise
//! table = "input"
//! words = "low_first"
//! bytes = "high_first"
//!
//! [[point]]
//! name = "charge"
//! table = "holding"                   # coil, discrete, holding, input
//! address = 130                       # zero-based, as on the wire
//! type = "u16"
//! scale = 0.01                        # value = raw × scale × 10^exponent + offset
//! offset = 0
//! function = "absolute"               # then that
//! not_available = [0xffff, "0xfff0-0xfff7"]
//! out_of_range = [0xfffe]             # a sentinel of a sensor past its end
//! means = [{ raw = [0xfffd], value = 0 }]
//! min = 0                             # the limits of what is plausible
//! max = 1
//! metric = "ups_battery_charge_ratio"
//! labels = { phase = "l1" }
//! ```
//!
//! **Types.** `bool` is for coils and discrete inputs, all others are for registers: `u16`, `i16`,
//! `u32`, `i32`, `u48`, `u64`, `i64`, `f16`, `f32`, `f64`; `bcd16` and `bcd32` (decimal digits);
//! `sm16` and `sm32` (a sign and a size); `mod10k` with `length` (four decimal digits in each of 2
//! to 4 registers, as a number); `date` with `date = "YMDhms"` (a letter for each byte, see
//! [`DateFormat`](hallwatch_modbus::decode::DateFormat); or `"iec870"`); its number is seconds
//! since 1970, `offset` takes a clock from local time to UTC; `text` and `words` with `length`.
//! `words` and `bytes` (`high_first`, `low_first`) say which register of a value comes first, and
//! which byte of a register, also of text.
//!
//! **Functions.** `absolute`; `fahrenheit` (becomes Celsius); `four_quadrant_power_factor`
//! (numbers from -2 to 2, beyond 1 is leading).
//!
//! **Other points.** Each of these names a point or a parameter; `times` and `plus` take a list,
//! too. `exponent` is the power of ten (a scale factor register), `fahrenheit` says by a number
//! other than 0 that the value is in degrees Fahrenheit: both before the limits. `times` are
//! factors (a rating, a transformer's ratio) and `plus` addends (the part in another unit), after
//! the limits. `valid = { point = "status", bit = 0, width = 4, values = [0] }`: elsewise there is
//! no value.
//!
//! **Series.** A point becomes as many as it says, and none when it is only named by others.
//! `metric` takes its number, or with a metric of a state its 0 or 1 (`inverted = true` turns it
//! round). `flags = [{ bit, metric, inverted }]` is a series for each bit, `bits = [{ metric,
//! label, names = { overload = 0 } }]` one label for many bits of a metric, `states = [{ metric,
//! label, bit, width, values = { auto = [1] }, not_available }]` a series for each member of which
//! exactly one is 1, `states = [{ metric, bit, width, active = [3], known = [0, 1, 2, 3],
//! not_available }]` one that is 1 for some members and 0 for the others (a value that is not
//! `known` is missing, as out of range), `nibbles = { metric, label, active = [2], names = ["", "low_oil"],
//! not_available }` alarms of four bits, the highest first, `fields = [{ metric, bit, width,
//! signed, scale, offset, not_available }]` a number in some of the bits. All take `labels`. The
//! metric of a flag or coil may be an enumeration's member when its labels say which. Bit 0 is the
//! lowest, of long `words` that of the last register.
//!
//! **Identity.** `identity = "serial"` makes a point part of what [`Profile::identity`] says;
//! `show = "hex"` or `"version"` for what is not text. It is read only when asked for.
//!
//! **Repetition.** `repeat = { label = "phase", names = ["l1", "l2", "l3"], step = 2 }` or `{ label
//! = "outlet", count = 36, from = 1, step = 16 }` makes copies, each `step` addresses further, with
//! the label and a name `charge_l1`. An empty name leaves a copy out. Names of other points in a
//! copy are those of its own copies, when there are some.
//!
//! **SunSpec.** `model = 203` (and `instance = 2` for the second of several) makes `address` count
//! from the register with the model's number, as in the tables of the models where the first
//! register behind number and length has offset 2. Such points are there when the device's chain
//! has been walked and given with [`Profile::placed`], and when it has the model in that length.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::as_conversions))]

mod file;
mod hints;
mod identity;
mod inspect;
mod map;
mod parameter;
mod place;
mod point;
mod series;
mod shipped;

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use hallwatch_config::{Invalid, Source};
use hallwatch_modbus::plan::Span;
use hallwatch_modbus::{Data, Read};
use hallwatch_model::{Missing, Value};

pub(crate) use file::TRUST;
pub use hints::{Connection, Fingerprint, Parity, Wanted};
use identity::Show;
pub use inspect::{Inspected, PointInfo};
pub use parameter::{Allowed, Parameter};
use place::{Answers, Map, Placed, Reads};
pub use place::{Placement, PlacementError, PointProblem};
use series::Readings;
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
    /// How it leaves the factory.
    pub connection: Connection,
    /// How it is recognised.
    pub fingerprints: Vec<Fingerprint>,
    // Shared: a site has hundreds of devices of a model, and nearly all are alike.
    map: Arc<Map>,
    placed: Arc<Placed>,
}

/// A part of what a device says of itself.
#[derive(Clone, Debug)]
struct Identity {
    what: String,
    show: Show,
    point: usize,
}

/// A reading that was refused, with what the device sent: for the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused<'p> {
    /// The point's name.
    pub point: &'p str,
    /// The registers' bits as one number; none for what is longer than 64 bits.
    pub raw: Option<u64>,
    /// The value that is not plausible; none for a sentinel or an unknown state.
    pub value: Option<f64>,
    /// The least plausible value.
    pub min: f64,
    /// The largest plausible value.
    pub max: f64,
}

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is out of range", self.point)?;
        if let Some(raw) = self.raw {
            write!(f, ": the device sent {raw:#x}")?;
        }
        if let Some(value) = self.value {
            write!(f, ", which is {value}, plausible are {} to {}", self.min, self.max)?;
        }
        Ok(())
    }
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

    /// The same for one device: at its addresses, with its models, without what it refuses.
    /// Parameters stay as they are where `placement` does not set them.
    ///
    /// # Errors
    /// When a point cannot be read there, when there is no such parameter, and when it cannot have
    /// that value. A required parameter that is not set is no error here: what depends on it is
    /// not available.
    pub fn placed(&self, placement: &Placement) -> Result<Self, PlacementError> {
        let mut placement = placement.clone();
        for (parameter, value) in self.map.parameters.iter().zip(&self.placed.parameters) {
            if let Some(value) = value {
                placement.parameters.entry(parameter.name.clone()).or_insert(*value);
            }
        }
        if self.placed.by == placement {
            return Ok(self.clone());
        }
        Ok(Self { placed: Arc::new(self.map.place(&placement)?), ..self.clone() })
    }

    /// The numbers that a site may set, or has to, by name.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.map.parameters
    }

    /// The SunSpec models that it knows; when there are any, the device's chain has to be walked
    /// and given with [`Profile::placed`].
    #[must_use]
    pub fn models(&self) -> BTreeSet<u16> {
        self.map.points.iter().filter_map(|point| Some(point.home.model?.0)).collect()
    }

    /// The fewest reads that bring all series; when there are none, those of
    /// [`Profile::identity_reads`], so that it is known whether the device answers.
    #[must_use]
    pub fn reads(&self) -> &[Read] {
        &self.placed.polled.plan.reads
    }

    /// Where the points of [`Profile::reads`] stand: for the search for addresses that the device
    /// refuses ([`holes`](hallwatch_modbus::holes)).
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.placed.polled.spans
    }

    /// Where the points stand that are not read because the device refuses their addresses.
    #[must_use]
    pub fn refused_spans(&self) -> Vec<Span> {
        self.placed.polled.refused.values().map(|(span, _)| *span).collect()
    }

    /// The series of SunSpec models, while the device's chain is not known: which of them it has
    /// cannot be said, only that none has a value.
    #[must_use]
    pub fn awaited(&self) -> &[Series] {
        &self.placed.awaited
    }

    /// Changes when points are read from elsewhere: what was found out about a device holds for
    /// the profile that it was found with.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        for point in &self.map.points {
            (point.home.model, point.home.span).hash(&mut hasher);
        }
        let limits = &self.map.limits;
        (limits.registers, limits.bits, limits.hole).hash(&mut hasher);
        limits.barriers.hash(&mut hasher);
        hasher.finish()
    }

    /// What the device becomes, always in the same order. The labels hold the metric's name and
    /// what the profile knows, such as `phase`; device, site and tenant are the agent's.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.placed.series
    }

    /// All series with their values; `answers` are those to [`Profile::reads`], in that order. A
    /// series whose read failed is missing for the reason of that read; one whose answer is not
    /// there at all was not asked for.
    #[must_use]
    pub fn samples(&self, answers: &[Result<Data, Missing>]) -> Vec<(&Series, Value)> {
        let readings = self.answers(&self.placed.polled, answers);
        self.series().iter().map(|series| (series, series.value(&readings))).collect()
    }

    /// What the device sent for the points whose values are out of range, each point once.
    #[must_use]
    pub fn refused(&self, answers: &[Result<Data, Missing>]) -> Vec<Refused<'_>> {
        let readings = self.answers(&self.placed.polled, answers);
        let mut seen = BTreeSet::new();
        let refused = self.series().iter().filter_map(|series| {
            if series.value(&readings) != Err(Missing::OutOfRange) || !seen.insert(series.point) {
                return None;
            }
            let point = self.map.points.get(series.point)?;
            let conversion = &point.conversion;
            let registers = readings.registers(series.point).ok()?;
            let value = match series::number(series.point, &readings, 0) {
                Err(refusal) if series.is_number() => refusal.value,
                _ => None,
            };
            let raw = conversion.pattern(&registers).ok();
            let (min, max) = (conversion.min, conversion.max);
            Some(Refused { point: &point.name, raw, value, min, max })
        });
        refused.collect()
    }

    /// The fewest reads that bring the device's identity.
    #[must_use]
    pub fn identity_reads(&self) -> &[Read] {
        &self.placed.identity.plan.reads
    }

    /// Who the device says it is, such as `("serial", "4711")`; `answers` are those to
    /// [`Profile::identity_reads`], in that order. What it does not say is left out.
    #[must_use]
    pub fn identity(&self, answers: &[Result<Data, Missing>]) -> Vec<(&str, String)> {
        let readings = self.answers(&self.placed.identity, answers);
        let mut seen = BTreeSet::new();
        let parts = self.map.identity.iter().filter_map(|part| {
            let conversion = &self.map.points.get(part.point)?.conversion;
            let text = part.show.write(conversion, &readings.registers(part.point).ok()?)?;
            seen.insert(part.what.as_str()).then_some((part.what.as_str(), text))
        });
        parts.collect()
    }

    fn answers<'a>(
        &'a self,
        reads: &'a Reads,
        answers: &'a [Result<Data, Missing>],
    ) -> Answers<'a> {
        Answers { map: &self.map, parameters: &self.placed.parameters, reads, answers }
    }
}

#[cfg(test)]
mod tests;
