//! How a device usually comes, and how it is recognised: for those who look for devices.

use std::time::Duration;

use hallwatch_config::{DurationOrZero, Section};
use hallwatch_modbus::answer::Object;
use hallwatch_modbus::decode::{Kind, WordOrder};
use hallwatch_modbus::{Conversion, Data, Read, Table};

use super::file::patterns;
use super::point::{TABLES, WORDS};
use super::series::Patterns;

/// How the device leaves the factory; what is not known is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Its unit id.
    pub unit: Option<u8>,
    /// Its TCP port.
    pub port: Option<u16>,
    /// Bits a second on a serial line.
    pub baud: Option<u32>,
    /// On a serial line.
    pub parity: Option<Parity>,
    /// On a serial line, 7 or 8.
    pub data_bits: Option<u8>,
    /// On a serial line, 1 or 2.
    pub stop_bits: Option<u8>,
    /// How long it may take to answer.
    pub timeout: Option<Duration>,
    /// How long it wants to be left alone after an answer.
    pub pause: Option<Duration>,
}

/// The parity bit of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Parity {
    None,
    Even,
    Odd,
}

pub(super) fn connection(mut section: Section<'_>) -> Connection {
    let parities = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    Connection {
        unit: section.optional("unit"),
        port: section.optional_ranged("port", 1..=u16::MAX),
        baud: section.optional_ranged("baud", 300..=4_000_000),
        parity: section.optional_choice("parity", &parities),
        data_bits: section.optional_ranged("data_bits", 7..=8),
        stop_bits: section.optional_ranged("stop_bits", 1..=2),
        timeout: section.optional("timeout"),
        pause: section.optional::<DurationOrZero>("pause").map(|pause| pause.0),
    }
}

/// What tells the device from others; one that fits is enough to propose the profile.
#[derive(Clone, Debug, PartialEq)]
pub enum Fingerprint {
    /// An object of its identification (function 43) has this text in it, in any case.
    Object {
        /// The object's id.
        id: u8,
        /// The text.
        text: String,
    },
    /// Registers hold this.
    Registers {
        /// What to read.
        read: Read,
        /// How.
        conversion: Conversion,
        /// What must be there.
        wanted: Wanted,
    },
}

/// What registers must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// One of these numbers.
    Numbers(Patterns),
    /// A text that has this in it, in any case.
    Text(String),
}

impl Fingerprint {
    /// Whether the answer to its read is the device's.
    #[must_use]
    pub fn fits_data(&self, data: &Data) -> bool {
        let Self::Registers { conversion, wanted, .. } = self else { return false };
        let Data::Registers(registers) = data else { return false };
        match wanted {
            Wanted::Numbers(numbers) => conversion
                .pattern(registers)
                .is_ok_and(|found| numbers.iter().any(|range| range.contains(&found))),
            Wanted::Text(text) => contains(&conversion.text(registers), text),
        }
    }

    /// Whether the objects of an identification are the device's.
    #[must_use]
    pub fn fits_objects(&self, objects: &[Object]) -> bool {
        let Self::Object { id, text } = self else { return false };
        objects.iter().any(|object| object.id == *id && contains(&object.text, text))
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

pub(super) fn fingerprint(mut section: Section<'_>) -> Option<Fingerprint> {
    let text = section.optional::<String>("text").filter(|text| !text.is_empty());
    if section.has("object") {
        let id = section.required("object");
        if text.is_none() {
            section.problem(section.span(), "an `object` needs a `text`", "", None);
        }
        return Some(Fingerprint::Object { id: id?, text: text? });
    }
    let table = section.required_choice("table", &TABLES);
    let address = section.required("address");
    let words = section.choice("words", &WORDS, WordOrder::HighFirst);
    let numbers = patterns(&mut section, "values");
    if text.is_some() != numbers.is_empty() {
        let help = "`values = [0x4150]`, or `text = \"B23\"` with its `length` in registers";
        section.problem(
            section.span(),
            "a fingerprint has `values` or a `text`",
            "",
            Some(help.to_owned()),
        );
    }
    let (kind, wanted) = match text {
        Some(text) => {
            let registers =
                section.required_ranged("length", 1..=Table::InputRegisters.max_count());
            (Kind::Text { registers: registers? }, Wanted::Text(text))
        }
        None => {
            let kinds = [("u16", Kind::U16), ("u32", Kind::U32), ("u64", Kind::U64)];
            (section.choice("type", &kinds, Kind::U16), Wanted::Numbers(numbers))
        }
    };
    let table = table?;
    if table.is_bits() {
        section.problem(section.span(), "a fingerprint is in registers", "", None);
        return None;
    }
    match Read::new(table, address?, kind.width()) {
        Ok(read) => {
            let conversion = Conversion { words, ..Conversion::new(kind) };
            Some(Fingerprint::Registers { read, conversion, wanted })
        }
        Err(error) => {
            section.problem(section.span(), error.to_string(), "", None);
            None
        }
    }
}
