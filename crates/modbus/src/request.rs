//! What this client can ask. There is no way to express a write.

use std::fmt;

use thiserror::Error;

/// Most registers one read may ask for (Modbus Application Protocol 1.1b3, 6.3 and 6.4).
pub const MAX_REGISTERS: u16 = 125;
/// Most bits one read may ask for (Modbus Application Protocol 1.1b3, 6.1 and 6.2).
pub const MAX_BITS: u16 = 2000;

/// The four tables of a Modbus device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Bits that others may write; read with function 1.
    Coils,
    /// Bits that the device alone sets; read with function 2.
    DiscreteInputs,
    /// Registers that others may write; read with function 3.
    HoldingRegisters,
    /// Registers that the device alone sets; read with function 4.
    InputRegisters,
}

impl Table {
    /// All tables, in the order of their function codes.
    pub const ALL: [Self; 4] =
        [Self::Coils, Self::DiscreteInputs, Self::HoldingRegisters, Self::InputRegisters];

    /// The function code that reads this table, 1 to 4.
    #[must_use]
    pub const fn function(self) -> u8 {
        match self {
            Self::Coils => 1,
            Self::DiscreteInputs => 2,
            Self::HoldingRegisters => 3,
            Self::InputRegisters => 4,
        }
    }

    /// Whether the table holds bits; otherwise it holds registers of 16 bits.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coils | Self::DiscreteInputs)
    }

    /// Most addresses one read of this table may ask for.
    #[must_use]
    pub const fn max_count(self) -> u16 {
        if self.is_bits() { MAX_BITS } else { MAX_REGISTERS }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coils => "coils",
            Self::DiscreteInputs => "discrete inputs",
            Self::HoldingRegisters => "holding registers",
            Self::InputRegisters => "input registers",
        })
    }
}

/// A read of consecutive addresses, checked: 1 to 125 registers or 1 to 2000 bits, not past the
/// last address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Read {
    table: Table,
    address: u16,
    count: u16,
}

impl Read {
    /// A read of `count` addresses from the zero-based wire address `address` on.
    ///
    /// # Errors
    /// When `count` is zero or more than the protocol allows, or the read ends past address 65535.
    pub fn new(table: Table, address: u16, count: u16) -> Result<Self, ReadError> {
        let max = table.max_count();
        if count == 0 || count > max {
            return Err(ReadError::Count { table, count, max });
        }
        if u32::from(address) + u32::from(count) > 0x1_0000 {
            return Err(ReadError::End { table, address, count });
        }
        Ok(Self { table, address, count })
    }

    /// The table that is read.
    #[must_use]
    pub const fn table(self) -> Table {
        self.table
    }

    /// The first address, zero-based as on the wire.
    #[must_use]
    pub const fn address(self) -> u16 {
        self.address
    }

    /// How many registers or bits.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.count
    }

    /// How many bytes of data its answer has: at most 250.
    #[must_use]
    pub fn answer_bytes(self) -> u8 {
        let bytes = if self.table.is_bits() { self.count.div_ceil(8) } else { self.count * 2 };
        u8::try_from(bytes).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.address)?;
        if self.count > 1 {
            write!(f, " to {}", u32::from(self.address) + u32::from(self.count) - 1)?;
        }
        write!(f, " (function {})", self.table.function())
    }
}

/// Why a [`Read`] cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Nothing, or more than fits into one answer.
    #[error("a read of {count} {table} is not possible, 1 to {max} are")]
    Count {
        /// The table to be read.
        table: Table,
        /// How many were asked for.
        count: u16,
        /// How many are possible.
        max: u16,
    },
    /// Past the last address.
    #[error("a read of {count} {table} from {address} on ends past address 65535")]
    End {
        /// The table to be read.
        table: Table,
        /// The first address.
        address: u16,
        /// How many were asked for.
        count: u16,
    },
}

/// Which part of its identification a device is asked for (function 43, MEI type 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// Vendor, product code, revision.
    Basic,
    /// Also vendor's address, product, model and application names.
    Regular,
    /// Also what the vendor added.
    Extended,
    /// One object by its id.
    Individual,
}

/// A question to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Functions 1 to 4.
    Read(Read),
    /// Function 43 with MEI type 14: read device identification.
    Identify {
        /// Which part.
        category: Category,
        /// The object to start with.
        object: u8,
    },
}

/// The function code of read device identification and its MEI type.
pub(crate) const IDENTIFY: (u8, u8) = (43, 14);

impl Request {
    /// The function code: 1, 2, 3, 4 or 43.
    #[must_use]
    pub const fn function(&self) -> u8 {
        match self {
            Self::Read(read) => read.table.function(),
            Self::Identify { .. } => IDENTIFY.0,
        }
    }

    /// Appends the request's protocol data unit to `out`: 4 or 5 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.function());
        match self {
            Self::Read(read) => {
                out.extend(read.address.to_be_bytes());
                out.extend(read.count.to_be_bytes());
            }
            Self::Identify { category, object } => {
                let code = match category {
                    Category::Basic => 1,
                    Category::Regular => 2,
                    Category::Extended => 3,
                    Category::Individual => 4,
                };
                out.extend([IDENTIFY.1, code, *object]);
            }
        }
    }
}

impl From<Read> for Request {
    fn from(read: Read) -> Self {
        Self::Read(read)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(read) => write!(f, "{read}"),
            Self::Identify { object, .. } => {
                write!(f, "identification from object {object} on (function 43)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(request: Request) -> Vec<u8> {
        let mut out = Vec::new();
        request.encode(&mut out);
        out
    }

    #[test]
    fn bytes_are_those_of_the_specification() {
        // The examples of Modbus Application Protocol 1.1b3, sections 6.1 to 6.4 and 6.21.
        let cases: [(Request, &[u8]); 5] = [
            (Read::new(Table::Coils, 0x13, 0x13).unwrap().into(), &[1, 0, 0x13, 0, 0x13]),
            (Read::new(Table::DiscreteInputs, 0xc4, 0x16).unwrap().into(), &[2, 0, 0xc4, 0, 0x16]),
            (Read::new(Table::HoldingRegisters, 0x6b, 3).unwrap().into(), &[3, 0, 0x6b, 0, 3]),
            (Read::new(Table::InputRegisters, 8, 1).unwrap().into(), &[4, 0, 8, 0, 1]),
            (Request::Identify { category: Category::Basic, object: 0 }, &[0x2b, 0x0e, 1, 0]),
        ];
        for (request, bytes) in cases {
            assert_eq!(encoded(request), bytes, "{request}");
        }
    }

    /// Every request there can be, but for the address and count, which stand behind the function
    /// code: all tables with every possible count, all categories with every object.
    #[test]
    fn no_request_encodes_a_write() {
        for table in Table::ALL {
            for count in 0..=u16::MAX {
                for address in [0, 1, 0x0505, 0x1010, u16::MAX] {
                    let Ok(read) = Read::new(table, address, count) else { continue };
                    let bytes = encoded(read.into());
                    assert!([1, 2, 3, 4].contains(&bytes[0]), "{read}");
                    assert_eq!(bytes.len(), 5, "{read}");
                }
            }
        }
        for category in
            [Category::Basic, Category::Regular, Category::Extended, Category::Individual]
        {
            for object in 0..=u8::MAX {
                let bytes = encoded(Request::Identify { category, object });
                assert_eq!(bytes[..2], [43, 14]);
                assert_eq!(bytes.len(), 4);
            }
        }
    }

    #[test]
    fn refuses_what_no_device_may_be_asked() {
        let registers = Table::HoldingRegisters;
        assert!(Read::new(registers, 0, 125).is_ok());
        assert!(Read::new(registers, 65535, 1).is_ok());
        assert!(Read::new(Table::Coils, 0, 2000).is_ok());
        assert!(matches!(Read::new(registers, 0, 0), Err(ReadError::Count { .. })));
        assert!(matches!(Read::new(registers, 0, 126), Err(ReadError::Count { max: 125, .. })));
        assert!(matches!(Read::new(Table::Coils, 0, 2001), Err(ReadError::Count { .. })));
        assert!(matches!(Read::new(registers, 65535, 2), Err(ReadError::End { .. })));
        assert_eq!(
            Read::new(registers, 3000, 10).unwrap().to_string(),
            "holding registers 3000 to 3009 (function 3)"
        );
    }
}
