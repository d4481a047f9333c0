//! A device's registers as a table: address and encoding on one side, the plant's state on the
//! other. Encoding only: nothing here can decode, and nothing is shared with the agent.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use crate::encode::{Reading, Shape, encode};
use crate::physics::Hall;

/// The Modbus tables that a device may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// Function 3.
    Holding,
    /// Function 4.
    Input,
}

type Source = Box<dyn Fn(&Hall) -> Reading + Send + Sync>;
type WordSource = Box<dyn Fn(&Hall) -> u16 + Send + Sync>;
type BitSource = Box<dyn Fn(&Hall) -> bool + Send + Sync>;

enum Point {
    Scalar { shape: Shape, source: Source },
    Fixed(Vec<u16>),
    Word(WordSource),
}

impl Point {
    fn words(&self, hall: &Hall) -> Vec<u16> {
        match self {
            Self::Scalar { shape, source } => encode(*shape, &source(hall)),
            Self::Fixed(words) => words.clone(),
            Self::Word(source) => vec![source(hall)],
        }
    }
}

/// How the device answers a read that touches registers it does not have.
pub(crate) enum Holes {
    /// Exception 2.
    Refused,
    /// A block that begins on a register it has is filled with zeros; any other is refused.
    ZeroInsideBlocks,
    /// Within these ranges the filler word, elsewhere exception 2.
    Filled(Vec<RangeInclusive<u16>>, u16),
}

/// Why a read is refused, as the exception that the device sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Exception 1.
    Function,
    /// Exception 2.
    Address,
    /// Exception 3.
    Quantity,
}

/// Words that a test has put over the plant's own.
pub(crate) type Overrides = HashMap<u16, u16>;

/// Protocol limits of one read, from the Modbus application protocol, V1.1b3.
const PROTOCOL_REGISTERS: u16 = 125;
const PROTOCOL_BITS: u16 = 2_000;

/// All registers and discrete inputs of one device.
pub(crate) struct RegisterMap {
    words: BTreeMap<(Table, u16), (usize, usize)>,
    points: Vec<Point>,
    discrete: BTreeMap<u16, BitSource>,
    holes: Holes,
    max_registers: u16,
    twin: bool,
    table: Table,
}

impl RegisterMap {
    /// An empty map whose points lie in `table`.
    pub(crate) fn new(table: Table, holes: Holes) -> Self {
        Self {
            words: BTreeMap::new(),
            points: Vec::new(),
            discrete: BTreeMap::new(),
            holes,
            max_registers: PROTOCOL_REGISTERS,
            twin: false,
            table,
        }
    }

    /// The device refuses to give more than `limit` registers in one answer.
    pub(crate) fn limited_to(mut self, limit: u16) -> Self {
        self.max_registers = limit.min(PROTOCOL_REGISTERS);
        self
    }

    /// Functions 3 and 4 give the same.
    pub(crate) fn both_functions(mut self) -> Self {
        self.twin = true;
        self
    }

    fn add(&mut self, address: u16, registers: u16, point: Point) -> &mut Self {
        let index = self.points.len();
        self.points.push(point);
        for offset in 0..registers {
            let key = (self.table, address.saturating_add(offset));
            self.words.insert(key, (index, usize::from(offset)));
        }
        self
    }

    fn scalar<R: Into<Reading>>(
        &mut self,
        address: u16,
        shape: Shape,
        source: impl Fn(&Hall) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        let registers = if matches!(shape, Shape::U16(_) | Shape::I16(_)) { 1 } else { 2 };
        let source: Source = Box::new(move |hall| source(hall).into());
        self.add(address, registers, Point::Scalar { shape, source })
    }

    pub(crate) fn u16<R: Into<Reading>>(
        &mut self,
        address: u16,
        scale: f64,
        source: impl Fn(&Hall) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        self.scalar(address, Shape::U16(scale), source)
    }

    pub(crate) fn i16<R: Into<Reading>>(
        &mut self,
        address: u16,
        scale: f64,
        source: impl Fn(&Hall) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        self.scalar(address, Shape::I16(scale), source)
    }

    pub(crate) fn u32<R: Into<Reading>>(
        &mut self,
        address: u16,
        scale: f64,
        source: impl Fn(&Hall) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        self.scalar(address, Shape::U32(scale), source)
    }

    pub(crate) fn i32<R: Into<Reading>>(
        &mut self,
        address: u16,
        scale: f64,
        source: impl Fn(&Hall) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        self.scalar(address, Shape::I32(scale), source)
    }

    pub(crate) fn f32(
        &mut self,
        address: u16,
        source: impl Fn(&Hall) -> f64 + Send + Sync + 'static,
    ) -> &mut Self {
        self.scalar(address, Shape::F32, source)
    }

    /// Sixteen bits, numbered from the least significant.
    pub(crate) fn bits16<const N: usize>(
        &mut self,
        address: u16,
        source: impl Fn(&Hall) -> [(u32, bool); N] + Send + Sync + 'static,
    ) -> &mut Self {
        self.scalar(address, Shape::U16(1.0), move |hall| Reading::Raw(bits(source(hall))))
    }

    /// Thirty-two bits over two registers, numbered from the least significant.
    pub(crate) fn bits32<const N: usize>(
        &mut self,
        address: u16,
        source: impl Fn(&Hall) -> [(u32, bool); N] + Send + Sync + 'static,
    ) -> &mut Self {
        self.scalar(address, Shape::U32(1.0), move |hall| Reading::Raw(bits(source(hall))))
    }

    /// One word that is built by hand.
    pub(crate) fn word(
        &mut self,
        address: u16,
        source: impl Fn(&Hall) -> u16 + Send + Sync + 'static,
    ) -> &mut Self {
        self.add(address, 1, Point::Word(Box::new(source)))
    }

    /// Words that never change.
    pub(crate) fn fixed(&mut self, address: u16, words: &[u16]) -> &mut Self {
        let registers = u16::try_from(words.len()).unwrap_or(0);
        self.add(address, registers, Point::Fixed(words.to_vec()))
    }

    /// Text over `registers` registers, two bytes each, padded with `pad`.
    pub(crate) fn text(&mut self, address: u16, registers: u16, text: &str, pad: u8) -> &mut Self {
        let mut bytes: Vec<u8> = text.bytes().collect();
        bytes.resize(2 * usize::from(registers), pad);
        let words: Vec<u16> =
            bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        self.fixed(address, &words)
    }

    /// A discrete input, function 2.
    pub(crate) fn discrete(
        &mut self,
        address: u16,
        source: impl Fn(&Hall) -> bool + Send + Sync + 'static,
    ) -> &mut Self {
        self.discrete.insert(address, Box::new(source));
        self
    }

    fn key(&self, table: Table, address: u16) -> (Table, u16) {
        (if self.twin { self.table } else { table }, address)
    }

    /// A register of this address is in the map.
    pub(crate) fn has(&self, address: u16) -> bool {
        self.words.contains_key(&(self.table, address))
    }

    /// `quantity` registers from `address`, as the device answers at this moment.
    pub(crate) fn read(
        &self,
        table: Table,
        address: u16,
        quantity: u16,
        hall: &Hall,
        overrides: &Overrides,
    ) -> Result<Vec<u16>, Refusal> {
        if !self.twin && table != self.table {
            return Err(Refusal::Function);
        }
        if quantity == 0 || quantity > self.max_registers {
            return Err(Refusal::Quantity);
        }
        let last = address.checked_add(quantity - 1).ok_or(Refusal::Address)?;
        let begins_well = self.words.contains_key(&self.key(table, address));
        let mut answer = Vec::with_capacity(usize::from(quantity));
        // The words of one point come from one look at the plant.
        let mut cached: Option<(usize, Vec<u16>)> = None;
        for register in address..=last {
            if let Some(word) = overrides.get(&register) {
                answer.push(*word);
                continue;
            }
            let Some(&(index, offset)) = self.words.get(&self.key(table, register)) else {
                answer.push(self.filler(register, begins_well)?);
                continue;
            };
            if cached.as_ref().is_none_or(|(at, _)| *at != index) {
                let words = self.points.get(index).map(|point| point.words(hall));
                cached = words.map(|words| (index, words));
            }
            let word = cached.as_ref().and_then(|(_, words)| words.get(offset).copied());
            answer.push(word.unwrap_or(0));
        }
        Ok(answer)
    }

    fn filler(&self, register: u16, begins_well: bool) -> Result<u16, Refusal> {
        match &self.holes {
            Holes::ZeroInsideBlocks if begins_well => Ok(0),
            Holes::Filled(ranges, word) if ranges.iter().any(|range| range.contains(&register)) => {
                Ok(*word)
            }
            _ => Err(Refusal::Address),
        }
    }

    /// `quantity` discrete inputs from `address`.
    pub(crate) fn read_discrete(
        &self,
        address: u16,
        quantity: u16,
        hall: &Hall,
    ) -> Result<Vec<bool>, Refusal> {
        if self.discrete.is_empty() {
            return Err(Refusal::Function);
        }
        if quantity == 0 || quantity > PROTOCOL_BITS {
            return Err(Refusal::Quantity);
        }
        let last = address.checked_add(quantity - 1).ok_or(Refusal::Address)?;
        (address..=last)
            .map(|bit| self.discrete.get(&bit).map(|source| source(hall)).ok_or(Refusal::Address))
            .collect()
    }
}

fn bits<const N: usize>(set: [(u32, bool); N]) -> i64 {
    set.into_iter().filter(|(_, on)| *on).fold(0, |word, (bit, _)| word | (1_i64 << bit))
}
