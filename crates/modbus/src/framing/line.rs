//! The settings of a serial line and the times that follow from them.

use std::fmt;
use std::time::Duration;

/// Above this many bits a second the gap between frames is fixed (Modbus over Serial Line 1.02,
/// section 2.5.1.1).
const FIXED_ABOVE: u32 = 19_200;
const FIXED_GAP: Duration = Duration::from_micros(1750);

/// The parity bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Parity {
    None,
    #[default]
    Even,
    Odd,
}

/// Bits of a character. RTU needs eight; seven is for lines that were set up for ASCII.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words say it")]
pub enum DataBits {
    Seven,
    #[default]
    Eight,
}

/// Stop bits of a character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words say it")]
pub enum StopBits {
    #[default]
    One,
    Two,
}

/// The settings of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// Bits a second, at least 1.
    pub baud: u32,
    /// The parity bit.
    pub parity: Parity,
    /// Bits of a character.
    pub data_bits: DataBits,
    /// Stop bits of a character.
    pub stop_bits: StopBits,
}

impl Default for Line {
    /// What the specification has as its default: 19200 8E1.
    fn default() -> Self {
        let (parity, data_bits, stop_bits) = Default::default();
        Self { baud: 19_200, parity, data_bits, stop_bits }
    }
}

impl Line {
    /// How long `characters` take on the wire.
    #[must_use]
    pub fn characters(&self, characters: u32) -> Duration {
        let bits = 1
            + if self.data_bits == DataBits::Seven { 7 } else { 8 }
            + u64::from(self.parity != Parity::None)
            + if self.stop_bits == StopBits::Two { 2 } else { 1 };
        let nanos = u64::from(characters) * bits * 1_000_000_000;
        Duration::from_nanos(nanos.div_ceil(u64::from(self.baud.max(1))))
    }

    /// The least silence between two frames: 3.5 characters, and 1.75 ms above 19200 bits a second.
    #[must_use]
    pub fn gap(&self) -> Duration {
        if self.baud > FIXED_ABOVE { FIXED_GAP } else { self.characters(7) / 2 }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = if self.data_bits == DataBits::Seven { 7 } else { 8 };
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        let stop = if self.stop_bits == StopBits::Two { 2 } else { 1 };
        write!(f, "{} {data}{parity}{stop}", self.baud)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_three_and_a_half_characters() {
        let line = |baud, parity, stop_bits| Line { baud, parity, stop_bits, ..Line::default() };
        // 11 bits: 3.5 × 11 / 9600 s = 4.0104 ms; 10 bits: 3.5 × 10 / 9600 s = 3.6458 ms.
        let cases = [
            (line(9600, Parity::Even, StopBits::One), 4_010),
            (line(9600, Parity::None, StopBits::Two), 4_010),
            (line(9600, Parity::None, StopBits::One), 3_645),
            (line(1200, Parity::Odd, StopBits::Two), 35_000),
            (line(19_200, Parity::Even, StopBits::One), 2_005),
            (line(38_400, Parity::Even, StopBits::One), 1_750),
            (line(115_200, Parity::None, StopBits::One), 1_750),
        ];
        for (line, micros) in cases {
            assert_eq!(line.gap().as_micros(), micros, "{line}");
        }
        assert_eq!(Line::default().to_string(), "19200 8E1");
        let seven = Line { data_bits: DataBits::Seven, ..line(0, Parity::None, StopBits::One) };
        assert_eq!(seven.characters(1), Duration::from_secs(9));
    }
}
