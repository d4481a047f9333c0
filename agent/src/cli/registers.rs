//! Registers in a text file: what a device holds, to be looked at far from it.
//!
//! A line is a table, an address and words from there on: `holding 3000 0x1234 0x5678`. Numbers
//! are decimal or hexadecimal; what follows `#` is for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hallwatch_agent::profile::Inspected;
use hallwatch_modbus::{Data, Read, Table};
use hallwatch_model::Missing;

use super::show;
use super::wire::Answers;

/// What a device holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers(BTreeMap<(u8, u16), u16>);

/// The exception of an address that is not there.
const ILLEGAL_ADDRESS: u8 = 2;

impl Registers {
    /// Reads `text`.
    ///
    /// # Errors
    /// The first line that is wrong, from 1, and what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut all = BTreeMap::new();
        for (line, at) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(table) = words.next() else { continue };
            let table = table_of(table)
                .ok_or((at, format!("`{table}` is no table: holding, input, coil or discrete")))?;
            let address = words.next().ok_or((at, "there is no address".to_owned()))?;
            let address: u16 = number(address.trim_end_matches(':'))
                .ok_or_else(|| (at, format!("`{address}` is no address from 0 to 65535")))?;
            let mut next = Some(address);
            for word in words {
                let value = number(word)
                    .filter(|value| !table.is_bits() || *value < 2)
                    .ok_or_else(|| {
                        let most = if table.is_bits() { "1" } else { "65535 or 0xffff" };
                        (at, format!("`{word}` is no word from 0 to {most}"))
                    })?;
                let address =
                    next.ok_or_else(|| (at, "it goes on past address 65535".to_owned()))?;
                all.insert((table.function(), address), value);
                next = address.checked_add(1);
            }
            if next == Some(address) {
                return Err((at, "there are no words behind the address".into()));
            }
        }
        Ok(Self(all))
    }

    /// The answers of a device that holds this. What a read contains beside the points may be
    /// missing in the file; a read of which nothing is there is refused.
    pub(crate) fn answers(&self, reads: &[Read]) -> Answers {
        reads.iter().map(|read| self.answer(read)).collect()
    }

    fn answer(&self, read: &Read) -> Result<Data, Missing> {
        let addresses = (0..read.count()).map(|offset| read.address().saturating_add(offset));
        let words: Vec<Option<u16>> = addresses
            .map(|address| self.0.get(&(read.table().function(), address)).copied())
            .collect();
        if words.iter().all(Option::is_none) {
            return Err(Missing::Exception(ILLEGAL_ADDRESS));
        }
        let words = words.into_iter().map(Option::unwrap_or_default);
        Ok(if read.table().is_bits() {
            Data::Bits(words.map(|word| word == 1).collect())
        } else {
            Data::Registers(words.collect())
        })
    }

    /// Whether all of a point is there.
    pub(crate) fn has(&self, table: Table, address: u16, width: u16) -> bool {
        (0..width).all(|offset| {
            let address = address.checked_add(offset);
            address.is_some_and(|address| self.0.contains_key(&(table.function(), address)))
        })
    }
}

/// A file of what came for `points`.
pub(crate) fn write(points: &[Inspected<'_>]) -> String {
    let mut text = String::new();
    for point in points {
        let table = show::table(point.info.table);
        let (address, name) = (point.info.address, point.info.name);
        match &point.raw {
            Ok(raw) => {
                let words: Vec<String> = raw.iter().map(|word| format!("{word:#06x}")).collect();
                let words = if point.info.table.is_bits() {
                    raw.iter().map(u16::to_string).collect()
                } else {
                    words.join(" ")
                };
                let _ = writeln!(text, "{table} {address} {words}  # {name}");
            }
            Err(missing) => {
                let _ = writeln!(text, "# {table} {address} {name}: {missing}");
            }
        }
    }
    text
}

fn table_of(word: &str) -> Option<Table> {
    let all = [Table::Coils, Table::DiscreteInputs, Table::HoldingRegisters, Table::InputRegisters];
    all.into_iter().find(|table| show::table(*table) == word)
}

fn number(word: &str) -> Option<u16> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read() {
        let text = "# a meter\nholding 10: 0x1234 5\n\ninput 65535 1 # the last\ncoil 3 1 0\n";
        let found = Registers::parse(text).unwrap();
        let read = |table, address, count| Read::new(table, address, count).unwrap();
        let answers = found.answers(&[
            read(Table::HoldingRegisters, 9, 4),
            read(Table::InputRegisters, 65_535, 1),
            read(Table::Coils, 3, 2),
            read(Table::HoldingRegisters, 12, 2),
        ]);
        assert_eq!(
            answers,
            [
                Ok(Data::Registers([0, 0x1234, 5, 0].into())),
                Ok(Data::Registers([1].into())),
                Ok(Data::Bits([true, false].into())),
                Err(Missing::Exception(2)),
            ]
        );
        assert!(found.has(Table::HoldingRegisters, 10, 2));
        assert!(!found.has(Table::HoldingRegisters, 11, 2));
        assert!(!found.has(Table::InputRegisters, 65_535, 2));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let cases = [
            ("holding 1 2\nregister 1 2", 2, "`register` is no table"),
            ("holding", 1, "there is no address"),
            ("holding x 1", 1, "`x` is no address"),
            ("holding 1", 1, "no words"),
            ("holding 1 65536", 1, "`65536` is no word"),
            ("coil 1 2", 1, "from 0 to 1"),
            ("input 65535 1 2", 1, "past address 65535"),
        ];
        for (text, line, message) in cases {
            let (at, told) = Registers::parse(text).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(told.contains(message), "{told}");
        }
    }
}
