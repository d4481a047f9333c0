//! A profile's map of points, placed in one device: with its addresses, its SunSpec models and the
//! addresses that it refuses.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use hallwatch_modbus::holes::Refusal;
use hallwatch_modbus::plan::{self, Limits, Plan, PlanError, Span};
use hallwatch_modbus::sunspec::Chain;
use hallwatch_modbus::{Conversion, Data, ReadError, Table};
use hallwatch_model::Missing;
use thiserror::Error;

use super::Identity;
use super::parameter::{Allowed, Parameter};
use super::series::{Readings, Series, Source, Terms};

/// What one device has otherwise than the profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// Added to every address: cards that count from one, unit numbers of a bank.
    pub offset: i32,
    /// The table to read all registers from: devices exist that answer only one of functions 3
    /// and 4.
    pub registers: Option<Table>,
    /// Addresses that the device refuses.
    pub forbidden: Vec<Refusal>,
    /// Addresses before which a read has to end, beside those of the profile.
    pub barriers: Vec<(Table, u16)>,
    /// Its SunSpec models. Without them nothing of a model is read.
    pub chain: Option<Chain>,
    /// Most registers in one read, when it is not as in the profile: gateways exist that pass on
    /// fewer.
    pub max_registers: Option<u16>,
    /// Most addresses that may be read along without need, when it is not as in the profile.
    pub max_gap: Option<u16>,
    /// The profile's parameters that are otherwise here.
    pub parameters: BTreeMap<String, f64>,
}

/// Why a profile cannot be placed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PlacementError {
    /// A point cannot be read.
    #[error("the point `{name}` {problem}")]
    Point {
        /// Its index.
        index: usize,
        /// Its name.
        name: String,
        /// What is the matter with it.
        problem: PointProblem,
    },
    /// The profile has no such parameter.
    #[error("the profile has no parameter `{name}`")]
    Parameter {
        /// The name.
        name: String,
    },
    /// The parameter cannot be this.
    #[error("the parameter `{name}` cannot be {value}: it is {allowed}")]
    Value {
        /// The name.
        name: String,
        /// What it was to be.
        value: f64,
        /// What it can be.
        allowed: Allowed,
    },
}

/// What is the matter with a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PointProblem {
    /// Past the last address.
    #[error("ends past address 65535")]
    End,
    /// Before the first.
    #[error("begins before address 0")]
    Begin,
    /// Otherwise no possible read.
    #[error("cannot be read")]
    Read(#[source] ReadError),
    /// Wider than what the device gives.
    #[error("has {width} registers, `limits` allows {limit}")]
    Width {
        /// Its registers.
        width: u16,
        /// The most in one read.
        limit: u16,
    },
    /// Across a barrier.
    #[error("lies across the barrier at {0}")]
    Barrier(u16),
    /// At addresses that the device refuses; such points are not planned.
    #[error("has addresses that the device refuses")]
    Forbidden,
}

/// A value in the device.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) name: String,
    pub(super) conversion: Conversion,
    pub(super) home: Home,
    pub(super) terms: Terms,
}

impl Point {
    pub(super) const fn new(
        name: String,
        conversion: Conversion,
        home: Home,
        terms: Terms,
    ) -> Self {
        Self { name, conversion, home, terms }
    }
}

/// Where a point is in every device of the kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    /// The SunSpec model that the address counts from: its number and which of several.
    pub(super) model: Option<(u16, u16)>,
    pub(super) span: Span,
}

/// All that a profile says of a device's points.
#[derive(Clone, Debug)]
pub(super) struct Map {
    pub(super) points: Vec<Point>,
    pub(super) series: Vec<Series>,
    pub(super) identity: Vec<Identity>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) limits: Limits,
}

/// The same for one device.
#[derive(Clone, Debug, Default)]
pub(super) struct Placed {
    /// What it was placed by, with all parameters that have a value.
    pub(super) by: Placement,
    /// Those of the device.
    pub(super) series: Vec<Series>,
    /// Those of SunSpec models, while the device's chain is not known.
    pub(super) awaited: Vec<Series>,
    /// None where one that is required is not set.
    pub(super) parameters: Vec<Option<f64>>,
    /// The reads of the series.
    pub(super) polled: Reads,
    /// The reads of the identity.
    pub(super) identity: Reads,
}

/// Reads, and where the points stand in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    pub(super) plan: Plan,
    /// Where the points stand in the device.
    pub(super) spans: Vec<Span>,
    places: BTreeMap<usize, plan::Place>,
    /// Points at addresses that the device refuses, and by which exception.
    pub(super) refused: BTreeMap<usize, (Span, u8)>,
}

impl Reads {
    /// Whether the point belongs to these reads; also when the device refuses it.
    pub(super) fn has(&self, point: usize) -> bool {
        self.places.contains_key(&point) || self.refused.contains_key(&point)
    }

    /// The read that brings the point.
    pub(super) fn read(&self, point: usize) -> Option<usize> {
        self.places.get(&point).map(|place| place.read)
    }

    /// Where the point is in the device.
    pub(super) fn at(&self, point: usize) -> Option<(Table, u16)> {
        let place = self.places.get(&point)?;
        let read = self.plan.reads.get(place.read)?;
        let offset = u16::try_from(place.offset).ok()?;
        Some((read.table(), read.address().checked_add(offset)?))
    }
}

impl Map {
    /// Whether each point alone can be read, also those of SunSpec models.
    pub(super) fn check(&self) -> Result<(), PlacementError> {
        for (point, index) in self.points.iter().zip(0..) {
            if point.home.model.is_some() {
                let alone = plan::plan(&[point.home.span], &self.limits);
                alone.map_err(|error| self.problem(&[index], error))?;
            }
        }
        Ok(())
    }

    pub(super) fn place(&self, placement: &Placement) -> Result<Placed, PlacementError> {
        let shift = |at: u16| u16::try_from(i32::from(at).saturating_add(placement.offset)).ok();
        let mut limits = self.limits.clone();
        limits.forbidden.extend(placement.forbidden.iter().map(|refusal| refusal.hole));
        limits.barriers.retain_mut(|(table, at)| {
            *table = placed_table(*table, placement);
            shift(*at).map(|shifted| *at = shifted).is_some()
        });
        limits.barriers.extend(&placement.barriers);
        limits.registers = placement.max_registers.unwrap_or(limits.registers);
        limits.hole = placement.max_gap.unwrap_or(limits.hole);
        let mut spans = Vec::with_capacity(self.points.len());
        for (point, index) in self.points.iter().zip(0..) {
            spans.push(self.span(point, placement).map_err(|problem| PlacementError::Point {
                index,
                name: point.name.clone(),
                problem,
            })?);
        }
        let there = |point: &usize| spans.get(*point).is_some_and(Option::is_some);
        let series: Vec<Series> = self
            .series
            .iter()
            .filter(|series| self.needed([series.point]).iter().all(there))
            .cloned()
            .collect();
        let awaited = if placement.chain.is_none() { self.awaited(&spans) } else { Vec::new() };
        let polled = self.needed(series.iter().map(|series| series.point));
        let identity = self.needed(self.identity.iter().map(|identity| identity.point));
        let identity = identity.into_iter().filter(there).collect();
        let forbidden = &placement.forbidden;
        let identity = self.reads(identity, &spans, &limits, forbidden)?;
        // Of a device that has no values it is still to be known whether it answers.
        let polled = match series.is_empty() {
            true => identity.clone(),
            false => self.reads(polled, &spans, &limits, forbidden)?,
        };
        let parameters = self.parameters(&placement.parameters)?;
        let mut by = placement.clone();
        for (parameter, value) in self.parameters.iter().zip(&parameters) {
            if let Some(value) = value {
                by.parameters.insert(parameter.name.clone(), *value);
            }
        }
        Ok(Placed { by, parameters, polled, identity, series, awaited })
    }

    /// The series of points that are nowhere yet.
    fn awaited(&self, spans: &[Option<Span>]) -> Vec<Series> {
        let nowhere = |point: &usize| !spans.get(*point).is_some_and(Option::is_some);
        let awaited =
            self.series.iter().filter(|series| self.needed([series.point]).iter().any(nowhere));
        awaited.cloned().collect()
    }

    fn parameters(&self, set: &BTreeMap<String, f64>) -> Result<Vec<Option<f64>>, PlacementError> {
        for (name, value) in set {
            let Some(known) = self.parameters.iter().find(|known| known.name == *name) else {
                return Err(PlacementError::Parameter { name: name.clone() });
            };
            if !known.allowed.contains(*value) {
                let (name, allowed) = (name.clone(), known.allowed.clone());
                return Err(PlacementError::Value { name, value: *value, allowed });
            }
        }
        let value = |known: &Parameter| set.get(&known.name).copied().or(known.default);
        Ok(self.parameters.iter().map(value).collect())
    }

    /// Where the point is in the device; none for a model that the device does not have, or not
    /// as long.
    fn span(&self, point: &Point, placement: &Placement) -> Result<Option<Span>, PointProblem> {
        let home = point.home;
        let table = placed_table(home.span.table, placement);
        let start = match home.model {
            None => i32::from(home.span.address).saturating_add(placement.offset),
            Some((id, instance)) => {
                let Some(chain) = &placement.chain else { return Ok(None) };
                let Some(model) = chain.model(id, instance) else { return Ok(None) };
                let end = u32::from(home.span.address) + u32::from(home.span.width);
                if end > u32::from(model.length) + 2 {
                    return Ok(None);
                }
                let address = i32::from(model.address) + i32::from(home.span.address);
                let address = u16::try_from(address).map_err(|_| PointProblem::End)?;
                return Ok(Some(Span { table: chain.table, address, ..home.span }));
            }
        };
        if start < 0 {
            return Err(PointProblem::Begin);
        }
        let address = u16::try_from(start).map_err(|_| PointProblem::End)?;
        Ok(Some(Span { table, address, ..home.span }))
    }

    /// The points with all that their values depend on.
    pub(super) fn needed(&self, points: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        let mut open: Vec<usize> = points.into_iter().collect();
        while let Some(point) = open.pop() {
            if all.insert(point) {
                let terms = self.points.get(point).map(|point| &point.terms);
                open.extend(terms.into_iter().flat_map(Terms::points));
            }
        }
        all
    }

    fn reads(
        &self,
        points: BTreeSet<usize>,
        spans: &[Option<Span>],
        limits: &Limits,
        forbidden: &[Refusal],
    ) -> Result<Reads, PlacementError> {
        let mut refused = BTreeMap::new();
        let (mut indices, mut planned) = (Vec::new(), Vec::new());
        for point in points {
            let Some(span) = spans.get(point).copied().flatten() else { continue };
            match forbidden.iter().find(|refusal| refusal.hole.meets(span)) {
                Some(refusal) => {
                    refused.insert(point, (span, refusal.code));
                }
                None => {
                    indices.push(point);
                    planned.push(span);
                }
            }
        }
        let spans = planned;
        let plan = plan::plan(&spans, limits).map_err(|error| self.problem(&indices, error))?;
        let places = indices.into_iter().zip(plan.places.iter().copied()).collect();
        Ok(Reads { plan, spans, places, refused })
    }

    /// Which of the planned points cannot be read, and why.
    fn problem(&self, planned: &[usize], error: PlanError) -> PlacementError {
        let (at, problem) = match error {
            PlanError::Span { index, source: ReadError::End { .. } } => (index, PointProblem::End),
            PlanError::Span { index, source } => (index, PointProblem::Read(source)),
            PlanError::Width { index, width, limit } => {
                (index, PointProblem::Width { width, limit })
            }
            PlanError::Barrier { index, barrier } => (index, PointProblem::Barrier(barrier)),
            PlanError::Forbidden { index } => (index, PointProblem::Forbidden),
        };
        let index = planned.get(at).copied().unwrap_or(0);
        let name = self.points.get(index).map_or_else(String::new, |point| point.name.clone());
        PlacementError::Point { index, name, problem }
    }
}

fn placed_table(table: Table, placement: &Placement) -> Table {
    match placement.registers {
        Some(other) if !table.is_bits() && !other.is_bits() => other,
        _ => table,
    }
}

/// The answers of one device.
pub(super) struct Answers<'a> {
    pub(super) map: &'a Map,
    pub(super) parameters: &'a [Option<f64>],
    pub(super) reads: &'a Reads,
    pub(super) answers: &'a [Result<Data, Missing>],
}

impl Readings for Answers<'_> {
    fn point(&self, point: usize) -> Option<(&Conversion, &Terms)> {
        self.map.points.get(point).map(|point| (&point.conversion, &point.terms))
    }

    /// A coil or input is a register of 0 or 1.
    fn registers(&self, point: usize) -> Result<Cow<'_, [u16]>, Missing> {
        if let Some((_, code)) = self.reads.refused.get(&point) {
            return Err(Missing::Exception(*code));
        }
        let place = self.reads.places.get(&point).ok_or(Missing::Malformed)?;
        let range = place.offset..place.offset + place.width;
        match self.answers.get(place.read).ok_or(Missing::DeviceOffline)? {
            Ok(Data::Registers(all)) => all.get(range).map(Cow::Borrowed),
            Ok(Data::Bits(all)) => {
                all.get(range).map(|bits| bits.iter().copied().map(u16::from).collect())
            }
            Err(missing) => return Err(*missing),
        }
        .ok_or(Missing::Malformed)
    }

    fn parameter(&self, parameter: usize) -> Option<f64> {
        self.parameters.get(parameter).copied().flatten()
    }
}

impl Series {
    /// Whether it is a number, and not a state.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(self.source, Source::Number)
    }
}
