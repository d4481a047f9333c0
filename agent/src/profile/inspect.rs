//! A profile's points one by one, with what the device sent for them: for people who compare.

use std::collections::BTreeSet;

use hallwatch_modbus::decode::{Kind, Refusal};
use hallwatch_modbus::{Conversion, Data, Table};
use hallwatch_model::{Missing, Value};

use super::place::{Answers, Reads};
use super::series::{self, Readings, Series};
use super::{Profile, Refused};

/// What a profile says of a point.
#[derive(Clone, Debug)]
pub struct PointInfo<'p> {
    /// Its name.
    pub name: &'p str,
    /// Its table.
    pub table: Table,
    /// Where it begins: in the device, when it is there; otherwise as the profile has it.
    pub address: u16,
    /// The SunSpec model that the address counts from, and which of several, when the device's
    /// chain is not known.
    pub model: Option<(u16, u16)>,
    /// How it becomes a number.
    pub conversion: &'p Conversion,
    /// The series that it becomes here.
    pub series: Vec<&'p Series>,
    /// What it says of the device, such as `serial`.
    pub identity: Option<&'p str>,
    /// Whether it is read at all in this device: not when it is of a model that is not there.
    pub is_read: bool,
}

/// A point with what came from the device.
#[derive(Clone, Debug)]
pub struct Inspected<'p> {
    /// The point.
    pub info: PointInfo<'p>,
    /// Its registers as they came; a coil or input is 0 or 1.
    pub raw: Result<Vec<u16>, Missing>,
    /// Its number, with all that other points have to do with it.
    pub number: Result<f64, Refusal>,
    /// Its text, when it is one.
    pub text: Option<String>,
    /// Its series.
    pub series: Vec<(&'p Series, Value)>,
}

impl Inspected<'_> {
    /// Why there is no value; none when there is one.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        if let Err(missing) = self.raw {
            return Some(missing);
        }
        if let Some(missing) = self.series.iter().find_map(|(_, value)| value.err()) {
            return Some(missing);
        }
        let has_number =
            self.text.is_none() && !matches!(self.info.conversion.kind, Kind::Words { .. });
        match &self.number {
            Err(refusal) if has_number && self.series.is_empty() => Some(refusal.missing),
            _ => None,
        }
    }

    /// What was refused, for a value that is not plausible.
    #[must_use]
    pub fn refused(&self) -> Option<Refused<'_>> {
        if self.missing() != Some(Missing::OutOfRange) {
            return None;
        }
        let conversion = self.info.conversion;
        let registers = self.raw.as_deref().ok()?;
        let value = self.number.err().and_then(|refusal| refusal.value);
        let value = value.filter(|_| self.series.iter().any(|(series, _)| series.is_number()));
        Some(Refused {
            point: self.info.name,
            raw: conversion.pattern(registers).ok(),
            value,
            min: conversion.min,
            max: conversion.max,
        })
    }
}

impl Profile {
    /// All points, in the order of the profile.
    #[must_use]
    pub fn points(&self) -> Vec<PointInfo<'_>> {
        (0..self.map.points.len()).filter_map(|point| self.info(point)).collect()
    }

    /// All points that are read here, in the order of the profile, with what came: `answers` to
    /// [`Profile::reads`], `identity` to [`Profile::identity_reads`].
    #[must_use]
    pub fn inspect(
        &self,
        answers: &[Result<Data, Missing>],
        identity: &[Result<Data, Missing>],
    ) -> Vec<Inspected<'_>> {
        let polled = self.answers(&self.placed.polled, answers);
        let identity = self.answers(&self.placed.identity, identity);
        let inspected = (0..self.map.points.len()).filter_map(|point| {
            let readings: &Answers<'_> = if polled.reads.has(point) { &polled } else { &identity };
            self.inspected(point, readings)
        });
        inspected.collect()
    }

    /// Which of [`Profile::reads`] and of [`Profile::identity_reads`] bring the points with these
    /// names and all that they depend on.
    #[must_use]
    pub fn reads_for(&self, names: &BTreeSet<&str>) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let chosen = self.map.points.iter().zip(0..);
        let chosen = chosen.filter(|(point, _)| names.contains(point.name.as_str()));
        let needed = self.map.needed(chosen.map(|(_, index)| index));
        let of = |reads: &Reads| needed.iter().filter_map(|point| reads.read(*point)).collect();
        (of(&self.placed.polled), of(&self.placed.identity))
    }

    fn info(&self, index: usize) -> Option<PointInfo<'_>> {
        let point = self.map.points.get(index)?;
        let home = point.home;
        let placed = [&self.placed.polled, &self.placed.identity];
        let place = placed.into_iter().find_map(|reads| reads.at(index));
        let (table, address) = place.unwrap_or((home.span.table, home.span.address));
        let identity = self.map.identity.iter().find(|identity| identity.point == index);
        Some(PointInfo {
            name: &point.name,
            table,
            address,
            model: home.model.filter(|_| place.is_none()),
            conversion: &point.conversion,
            series: self.placed.series.iter().filter(|series| series.point == index).collect(),
            identity: identity.map(|identity| identity.what.as_str()),
            is_read: placed.into_iter().any(|reads| reads.has(index)),
        })
    }

    fn inspected<'p>(&'p self, point: usize, readings: &Answers<'_>) -> Option<Inspected<'p>> {
        let info = self.info(point).filter(|info| info.is_read)?;
        let raw = readings.registers(point).map(std::borrow::Cow::into_owned);
        let text = match (&raw, info.conversion.kind) {
            (Ok(raw), Kind::Text { .. }) => Some(info.conversion.text(raw)),
            _ => None,
        };
        let series = info.series.iter().map(|series| (*series, series.value(readings))).collect();
        Some(Inspected { number: series::number(point, readings, 0), raw, text, series, info })
    }
}
