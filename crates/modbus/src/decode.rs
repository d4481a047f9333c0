//! Registers to numbers. Reading order: `kind` (what registers hold), `number` and `date` (their
//! bits as numbers), `scale` and `function` (what is done to a number), `field` (some of the bits),
//! `conversion` (all of it together).

mod conversion;
mod date;
mod field;
mod function;
mod kind;
mod number;
mod scale;

pub use conversion::{Adjust, Conversion, MAX_EXPONENT, Refusal};
pub use date::DateFormat;
pub use field::Field;
pub use function::Function;
pub use kind::{ByteOrder, Kind, WordOrder};
pub use scale::Scale;

#[cfg(test)]
mod tests;
