//! SunSpec devices describe themselves: behind the marker `SunS` stands a chain of models, each
//! with its number and length. This walks the chain, one read after the other.

use crate::answer::Data;
use crate::request::{Read, Table};

/// Where the marker can stand, zero-based as on the wire (SunSpec Device Information Model
/// Specification).
pub const BASES: [u16; 3] = [40000, 50000, 0];
/// "SunS".
const MARKER: [u16; 2] = [0x5375, 0x6e53];
/// The number that ends the chain.
const END: u16 = 0xffff;
/// Registers of a model's number and length.
const HEADER: u16 = 2;
/// Devices have a dozen; a chain of more is taken for nonsense.
const MAX_MODELS: usize = 256;

/// A block of registers with a meaning that SunSpec defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    /// Its number, such as 1 (common) or 203 (three-phase meter).
    pub id: u16,
    /// Where its number stands; its own registers begin two later.
    pub address: u16,
    /// How many registers come behind number and length.
    pub length: u16,
}

/// All models of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The table that they stand in.
    pub table: Table,
    /// The models in their order.
    pub models: Vec<Model>,
}

impl Chain {
    /// The `instance`th model with this number, counted from 1.
    #[must_use]
    pub fn model(&self, id: u16, instance: u16) -> Option<Model> {
        let before = usize::from(instance.checked_sub(1)?);
        self.models.iter().filter(|model| model.id == id).nth(before).copied()
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read this and give the answer to [`Walk::answered`].
    Read(Read),
    /// The chain is known.
    Found(Chain),
    /// There is no chain: not a SunSpec device.
    None,
}

/// A walk along the chain of one device.
#[derive(Clone, Debug)]
pub struct Walk {
    table: Table,
    /// Bases that have not been tried, the next one last.
    bases: Vec<u16>,
    /// What is read now: a marker, or the header at an address.
    at: At,
    models: Vec<Model>,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Marker(u16),
    Header(u16),
    Found,
    Nothing,
}

impl Walk {
    /// A walk in `table`, which is the holding registers on nearly every device.
    #[must_use]
    pub fn new(table: Table) -> Self {
        let mut bases: Vec<u16> = BASES.iter().rev().copied().collect();
        let at = bases.pop().map_or(At::Nothing, At::Marker);
        Self { table, bases, at, models: Vec::new() }
    }

    /// What to do now.
    #[must_use]
    pub fn step(&self) -> Step {
        match self.at {
            At::Marker(address) | At::Header(address) => {
                Read::new(self.table, address, 2).map_or(Step::None, Step::Read)
            }
            At::Found => Step::Found(Chain { table: self.table, models: self.models.clone() }),
            At::Nothing => Step::None,
        }
    }

    /// Goes on with the answer to the read that [`Walk::step`] asked for; `None` for an exception.
    /// What brought no answer at all is to be asked again and not given here.
    pub fn answered(&mut self, data: Option<&Data>) {
        let words = match data {
            Some(Data::Registers(words)) => <[u16; 2]>::try_from(&**words).ok(),
            _ => None,
        };
        self.at = match (self.at, words) {
            (At::Marker(base), Some(MARKER)) => base.checked_add(2).map_or(At::Nothing, At::Header),
            (At::Marker(_), _) => self.bases.pop().map_or(At::Nothing, At::Marker),
            // Some devices end their chain with a model of no length, some just end.
            (At::Header(_), None | Some([END | 0, _] | [_, 0])) => At::Found,
            (At::Header(address), Some([id, length])) => {
                let next = address.checked_add(HEADER).and_then(|own| own.checked_add(length));
                match next {
                    Some(next) if self.models.len() < MAX_MODELS => {
                        self.models.push(Model { id, address, length });
                        At::Header(next)
                    }
                    _ => At::Found,
                }
            }
            (done, _) => done,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks over a device that has `words` from `base` on and nothing else.
    fn walk(base: u16, words: &[u16]) -> (Step, Vec<u16>) {
        let mut walk = Walk::new(Table::HoldingRegisters);
        let mut asked = Vec::new();
        loop {
            let Step::Read(read) = walk.step() else { return (walk.step(), asked) };
            asked.push(read.address());
            let at = usize::from(read.address().wrapping_sub(base));
            let found = words.get(at..at + 2).map(|words| Data::Registers(words.into()));
            walk.answered(found.as_ref());
        }
    }

    fn model(id: u16, address: u16, length: u16) -> Model {
        Model { id, address, length }
    }

    #[test]
    fn a_chain_is_walked_to_its_end() {
        let mut words = vec![0x5375, 0x6e53, 1, 66];
        words.extend([0x4141; 66]);
        words.extend([203, 3, 7, 7, 7, 203, 1, 8, 0xffff, 0]);
        let (step, asked) = walk(40000, &words);
        let models = vec![model(1, 40002, 66), model(203, 40070, 3), model(203, 40075, 1)];
        let chain = Chain { table: Table::HoldingRegisters, models };
        assert_eq!(step, Step::Found(chain.clone()));
        assert_eq!(asked, [40000, 40002, 40070, 40075, 40078]);
        assert_eq!(chain.model(203, 2), Some(model(203, 40075, 1)));
        assert_eq!(
            (chain.model(203, 3), chain.model(203, 0), chain.model(2, 1)),
            (None, None, None)
        );
        // The same at the last place where it can be.
        let (step, asked) = walk(0, &words);
        assert!(matches!(step, Step::Found(chain) if chain.models.len() == 3));
        assert_eq!(asked[..4], [40000, 50000, 0, 2]);
    }

    #[test]
    fn what_is_no_chain_ends() {
        assert_eq!(walk(40000, &[0x5375, 0x6e54]).0, Step::None);
        assert_eq!(walk(1, &[]).1, [40000, 50000, 0]);
        // A chain without an end, one that just ends, one past the last address.
        let (step, _) = walk(40000, &[0x5375, 0x6e53, 1, 0]);
        assert!(matches!(step, Step::Found(chain) if chain.models.is_empty()));
        let (step, _) = walk(40000, &[0x5375, 0x6e53, 1, 1, 0]);
        assert!(matches!(step, Step::Found(chain) if chain.models.len() == 1));
        let (step, _) = walk(40000, &[0x5375, 0x6e53, 1, 0xfff0, 0]);
        assert!(matches!(step, Step::Found(chain) if chain.models.is_empty()));
    }
}
