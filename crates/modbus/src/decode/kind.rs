//! What registers hold, and in which order.

use super::DateFormat;

/// What a point's registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One coil or discrete input: 0 or 1.
    Bool,
    /// An unsigned integer of one register; also 16 flags.
    U16,
    /// A signed integer of one register.
    I16,
    /// An unsigned integer of two registers; also 32 flags.
    U32,
    /// A signed integer of two registers.
    I32,
    /// An unsigned integer of four registers.
    U64,
    /// A signed integer of four registers.
    I64,
    /// An IEEE 754 half precision number in one register.
    F16,
    /// An IEEE 754 single precision number in two registers.
    F32,
    /// An IEEE 754 double precision number in four registers.
    F64,
    /// Four decimal digits in one register.
    Bcd16,
    /// Eight decimal digits in two registers.
    Bcd32,
    /// An unsigned integer of three registers.
    U48,
    /// One register: a sign and fifteen bits of size.
    SignAndSize16,
    /// Two registers: a sign and 31 bits of size.
    SignAndSize32,
    /// Four decimal digits in each register, as a binary number from 0 to 9999.
    Mod10k {
        /// How many registers, 2 to 4.
        registers: u16,
    },
    /// A date or a date with a time: seconds since 1970.
    Date(DateFormat),
    /// Text, two characters in a register.
    Text {
        /// How many registers.
        registers: u16,
    },
    /// Registers without a meaning of their own: dates, alarm lists.
    Words {
        /// How many registers.
        registers: u16,
    },
}

impl Kind {
    /// How many registers (or, for [`Kind::Bool`], bits) a value takes.
    #[must_use]
    pub const fn width(self) -> u16 {
        match self {
            Self::Bool | Self::U16 | Self::I16 | Self::F16 | Self::Bcd16 | Self::SignAndSize16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 | Self::SignAndSize32 => 2,
            Self::U48 => 3,
            Self::U64 | Self::I64 | Self::F64 => 4,
            Self::Date(format) => format.registers(),
            Self::Mod10k { registers } | Self::Text { registers } | Self::Words { registers } => {
                registers
            }
        }
    }
}

/// Which of a value's registers comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WordOrder {
    /// The one with the highest bits, as within a register.
    #[default]
    HighFirst,
    /// The one with the lowest bits ("swapped").
    LowFirst,
}

/// Which of a register's bytes comes first on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The high one, as Modbus has it.
    #[default]
    HighFirst,
    /// The low one.
    LowFirst,
}
