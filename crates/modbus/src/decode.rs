//! Registers to numbers.

use std::ops::RangeInclusive;

use hallwatch_model::{Missing, Value};

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
            Self::Bool | Self::U16 | Self::I16 | Self::F16 | Self::Bcd16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
            Self::Text { registers } | Self::Words { registers } => registers,
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

/// A factor that divides where that is exact: 3 × 0.1 is 0.30000000000000004, 3 ÷ 10 is 0.3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    multiply: f64,
    divide: f64,
}

impl Scale {
    /// No change.
    pub const ONE: Self = Self { multiply: 1.0, divide: 1.0 };

    /// The factor `factor`. When it is the float nearest to 1/n for a whole n, values are divided
    /// by n.
    #[must_use]
    pub fn new(factor: f64) -> Self {
        let divide = (1.0 / factor).round();
        #[expect(clippy::float_cmp, reason = "exactly the nearest float, or not")]
        if factor.abs() < 1.0 && divide.is_finite() && 1.0 / divide == factor {
            Self { multiply: 1.0, divide }
        } else {
            Self { multiply: factor, divide: 1.0 }
        }
    }

    /// `number` times the factor.
    #[must_use]
    pub fn apply(self, number: f64) -> f64 {
        number * self.multiply / self.divide
    }
}

/// How a point's registers become its value: raw × scale + offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// What the registers hold.
    pub kind: Kind,
    /// The order of the registers.
    pub words: WordOrder,
    /// The order of the bytes in a register.
    pub bytes: ByteOrder,
    /// The factor.
    pub scale: Scale,
    /// What is added after scaling.
    pub offset: f64,
    /// Bit patterns that mean "not available", as unsigned numbers of the value's width.
    pub not_available: Vec<RangeInclusive<u64>>,
    /// The least plausible value, after scaling.
    pub min: f64,
    /// The largest plausible value, after scaling.
    pub max: f64,
}

impl Conversion {
    /// The plain conversion of `kind`: no scale, no sentinels, any finite value is plausible.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            words: WordOrder::HighFirst,
            bytes: ByteOrder::HighFirst,
            scale: Scale::ONE,
            offset: 0.0,
            not_available: Vec::new(),
            min: f64::NEG_INFINITY,
            max: f64::INFINITY,
        }
    }

    /// The value in `registers`, which are exactly the point's. For [`Kind::Bool`] the one
    /// register is 0 or 1.
    ///
    /// Integers up to 2^53 are exact; larger ones become the nearest `f64` (of two equally near
    /// ones the even one), as every sample is an `f64`: at most 1 in 2^53 off.
    ///
    /// # Errors
    /// `Malformed` for another number of registers, for a nibble above 9 in a BCD number, and for
    /// kinds that have no number; `NotAvailable` for a sentinel or a NaN; `OutOfRange` outside of
    /// the limits and for infinities.
    pub fn value(&self, registers: &[u16]) -> Value {
        let pattern = self.available(registers)?;
        let raw = self.number(pattern)?;
        if raw.is_nan() {
            return Err(Missing::NotAvailable);
        }
        let value = self.scale.apply(raw) + self.offset;
        if !value.is_finite() || value < self.min || value > self.max {
            return Err(Missing::OutOfRange);
        }
        Ok(value)
    }

    /// The value's bits as [`Conversion::pattern`] has them, when the device has them.
    ///
    /// # Errors
    /// As for [`Conversion::pattern`], and `NotAvailable` for a sentinel.
    pub fn available(&self, registers: &[u16]) -> Result<u64, Missing> {
        let pattern = self.pattern(registers)?;
        if self.not_available.iter().any(|sentinels| sentinels.contains(&pattern)) {
            return Err(Missing::NotAvailable);
        }
        Ok(pattern)
    }

    /// The value's bits as one unsigned number, in the right order of words and bytes: what flags,
    /// enums and sentinels are compared with.
    ///
    /// # Errors
    /// `Malformed` for another number of registers and for kinds wider than 64 bits.
    pub fn pattern(&self, registers: &[u16]) -> Result<u64, Missing> {
        if registers.len() != usize::from(self.kind.width()) || registers.len() > 4 {
            return Err(Missing::Malformed);
        }
        let join = |high: u64, word: &u16| high << 16 | u64::from(self.word(*word));
        Ok(match self.words {
            WordOrder::HighFirst => registers.iter().fold(0, join),
            WordOrder::LowFirst => registers.iter().rev().fold(0, join),
        })
    }

    /// The text in `registers`, up to the first zero byte, without spaces around it. What is not UTF-8 is
    /// replaced, control characters are dropped.
    #[must_use]
    pub fn text(&self, registers: &[u16]) -> String {
        let bytes: Vec<u8> =
            registers.iter().flat_map(|word| self.word(*word).to_be_bytes()).collect();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.split('\0').next().unwrap_or_default();
        text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
    }

    fn word(&self, word: u16) -> u16 {
        match self.bytes {
            ByteOrder::HighFirst => word,
            ByteOrder::LowFirst => word.swap_bytes(),
        }
    }

    fn number(&self, pattern: u64) -> Value {
        let [_, _, _, _, _, _, h, l] = pattern.to_be_bytes();
        let low16 = u16::from_be_bytes([h, l]);
        let low32 = low_half(pattern);
        Ok(match self.kind {
            Kind::Bool => f64::from(u8::from(pattern != 0)),
            Kind::U16 | Kind::U32 | Kind::U64 => from_u64(pattern),
            Kind::I16 => f64::from(low16.cast_signed()),
            Kind::I32 => f64::from(low32.cast_signed()),
            Kind::I64 => {
                let signed = pattern.cast_signed();
                let size = from_u64(signed.unsigned_abs());
                if signed < 0 { -size } else { size }
            }
            Kind::F16 => from_half(low16),
            Kind::F32 => f64::from(f32::from_bits(low32)),
            Kind::F64 => f64::from_bits(pattern),
            Kind::Bcd16 => from_bcd(pattern, 4)?,
            Kind::Bcd32 => from_bcd(pattern, 8)?,
            Kind::Text { .. } | Kind::Words { .. } => return Err(Missing::Malformed),
        })
    }
}

/// The lower 32 bits.
fn low_half(pattern: u64) -> u32 {
    u32::try_from(pattern & 0xffff_ffff).unwrap_or(u32::MAX)
}

/// The nearest float: both halves are exact, so that only the sum is rounded.
fn from_u64(number: u64) -> f64 {
    f64::from(low_half(number >> 32)) * 4_294_967_296.0 + f64::from(low_half(number))
}

/// IEEE 754 half precision: 1 bit sign, 5 bits exponent, 10 bits fraction. Always exact.
fn from_half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2f64.powi(-24),
        31 if bits & 0x3ff == 0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

fn from_bcd(pattern: u64, digits: u32) -> Value {
    let mut number = 0;
    for place in (0..digits).rev() {
        let digit = pattern >> (4 * place) & 0xf;
        if digit > 9 {
            return Err(Missing::Malformed);
        }
        number = number * 10 + digit;
    }
    Ok(from_u64(number))
}

/// A part of a bit pattern: one flag, or a nibble that holds a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its lowest bit, 0 being the pattern's lowest.
    pub bit: u8,
    /// How many bits, 1 to 64.
    pub width: u8,
}

impl Field {
    /// The field's value; bits past the 64th are zero.
    #[must_use]
    pub fn of(self, pattern: u64) -> u64 {
        let shifted = pattern.checked_shr(u32::from(self.bit)).unwrap_or(0);
        let unused = 64u32.saturating_sub(u32::from(self.width));
        u64::MAX.checked_shr(unused).unwrap_or(0) & shifted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conversion(kind: Kind) -> Conversion {
        Conversion::new(kind)
    }

    #[test]
    fn every_kind() {
        // The words are worked out by hand from the formats' definitions.
        let cases: [(&str, Kind, &[u16], f64); 24] = [
            ("bool", Kind::Bool, &[1], 1.0),
            ("u16", Kind::U16, &[0xfffe], 65534.0),
            ("i16", Kind::I16, &[0xfffe], -2.0),
            ("u32", Kind::U32, &[0x0001, 0x86a0], 100_000.0),
            ("u32 most", Kind::U32, &[0xffff, 0xffff], 4_294_967_295.0),
            ("i32", Kind::I32, &[0xfffe, 0x7960], -100_000.0),
            ("u64", Kind::U64, &[0, 0, 1, 0], 65536.0),
            ("u64 2^53", Kind::U64, &[0x0020, 0, 0, 0], 9_007_199_254_740_992.0),
            ("u64 2^53 + 1", Kind::U64, &[0x0020, 0, 0, 1], 9_007_199_254_740_992.0),
            ("u64 2^53 + 3", Kind::U64, &[0x0020, 0, 0, 3], 9_007_199_254_740_996.0),
            ("u64 most", Kind::U64, &[0xffff; 4], 18_446_744_073_709_551_616.0),
            ("i64", Kind::I64, &[0xffff, 0xffff, 0xffff, 0xfffd], -3.0),
            ("i64 least", Kind::I64, &[0x8000, 0, 0, 0], -9_223_372_036_854_775_808.0),
            ("f16 one", Kind::F16, &[0x3c00], 1.0),
            ("f16", Kind::F16, &[0xc0b0], -2.34375),
            ("f16 most", Kind::F16, &[0x7bff], 65504.0),
            ("f16 least", Kind::F16, &[0x0001], 5.960_464_477_539_063e-8),
            ("f32 230", Kind::F32, &[0x4366, 0x0000], 230.0),
            ("f32", Kind::F32, &[0xc148, 0x0000], -12.5),
            ("f64", Kind::F64, &[0x3ff8, 0, 0, 0], 1.5),
            ("f64 -0.1", Kind::F64, &[0xbfb9, 0x9999, 0x9999, 0x999a], -0.1),
            ("bcd16", Kind::Bcd16, &[0x1234], 1234.0),
            ("bcd16 most", Kind::Bcd16, &[0x9999], 9999.0),
            ("bcd32", Kind::Bcd32, &[0x1234, 0x5678], 12_345_678.0),
        ];
        for (name, kind, words, value) in cases {
            assert_eq!(conversion(kind).value(words), Ok(value), "{name}");
        }
    }

    #[test]
    fn words_and_bytes_may_be_swapped() {
        // 100000 = 0x0001_86a0 in the four orders; 230.0 = 0x4366_0000.
        use {ByteOrder as B, WordOrder as W};
        let cases = [
            (W::HighFirst, B::HighFirst, [0x0001, 0x86a0]),
            (W::LowFirst, B::HighFirst, [0x86a0, 0x0001]),
            (W::HighFirst, B::LowFirst, [0x0100, 0xa086]),
            (W::LowFirst, B::LowFirst, [0xa086, 0x0100]),
        ];
        for (words, bytes, registers) in cases {
            let conversion = Conversion { words, bytes, ..conversion(Kind::U32) };
            assert_eq!(conversion.value(&registers), Ok(100_000.0), "{words:?} {bytes:?}");
        }
        let swapped = Conversion { words: WordOrder::LowFirst, ..conversion(Kind::F32) };
        assert_eq!(swapped.value(&[0x0000, 0x4366]), Ok(230.0));
        let long = Conversion { words: WordOrder::LowFirst, ..conversion(Kind::U64) };
        assert_eq!(long.value(&[4, 3, 2, 1]), Ok(281_483_566_841_860.0));
    }

    #[test]
    fn scaling_is_exact_where_it_can_be() {
        let scaled = |kind, factor, offset| Conversion {
            scale: Scale::new(factor),
            offset,
            ..conversion(kind)
        };
        assert_eq!(scaled(Kind::U16, 0.1, 0.0).value(&[3]), Ok(0.3));
        assert_eq!(scaled(Kind::U16, 0.01, 0.0).value(&[2307]), Ok(23.07));
        assert_eq!(scaled(Kind::I16, 0.001, 0.0).value(&[0xffff]), Ok(-0.001));
        assert_eq!(scaled(Kind::U16, 0.001953125, 0.0).value(&[51200]), Ok(100.0));
        assert_eq!(scaled(Kind::U16, 0.00001953125, 0.0).value(&[51200]), Ok(1.0));
        assert_eq!(scaled(Kind::U16, 1000.0, 0.0).value(&[7]), Ok(7000.0));
        assert_eq!(scaled(Kind::U16, -0.1, 0.0).value(&[3]), Ok(-0.3));
        assert_eq!(scaled(Kind::U16, 1.0, -273.0).value(&[298]), Ok(25.0));
        assert_eq!(scaled(Kind::U16, 0.0, 0.0).value(&[298]), Ok(0.0));
    }

    #[test]
    fn what_is_no_value_says_why() {
        let sentinel = |kind, patterns: &[RangeInclusive<u64>]| Conversion {
            not_available: patterns.to_vec(),
            ..conversion(kind)
        };
        let limited = |kind| Conversion { min: -40.0, max: 150.0, ..conversion(kind) };
        use Missing::{Malformed, NotAvailable, OutOfRange};
        let words = Kind::Words { registers: 1 };
        let cases: [(&str, Conversion, &[u16], Missing); 13] = [
            ("unsigned", sentinel(Kind::U16, &[0xffff..=0xffff]), &[0xffff], NotAvailable),
            ("signed", sentinel(Kind::I16, &[0xffff..=0xffff]), &[0xffff], NotAvailable),
            (
                "second",
                sentinel(Kind::I32, &[1..=1, 0x7fff_fff8..=0x7fff_ffff]),
                &[0x7fff, 0xfffc],
                NotAvailable,
            ),
            (
                "float",
                sentinel(Kind::F32, &[0x7f7f_ffff..=0x7f7f_ffff]),
                &[0x7f7f, 0xffff],
                NotAvailable,
            ),
            ("nan", conversion(Kind::F32), &[0x7fc0, 0], NotAvailable),
            ("half nan", conversion(Kind::F16), &[0x7e00], NotAvailable),
            ("infinity", conversion(Kind::F32), &[0xff80, 0], OutOfRange),
            ("too high", limited(Kind::I16), &[151], OutOfRange),
            ("too low", limited(Kind::I16), &[0xffd7], OutOfRange),
            ("bcd", conversion(Kind::Bcd16), &[0x12a4], Malformed),
            ("too few", conversion(Kind::U32), &[1], Malformed),
            ("too many", conversion(Kind::U16), &[1, 2], Malformed),
            ("words", conversion(words), &[1], Malformed),
        ];
        for (name, conversion, registers, missing) in cases {
            assert_eq!(conversion.value(registers), Err(missing), "{name}");
        }
        assert_eq!(limited(Kind::I16).value(&[0xffd8]), Ok(-40.0));
        assert_eq!(limited(Kind::I16).value(&[150]), Ok(150.0));
    }

    #[test]
    fn text_is_trimmed_and_may_be_swapped() {
        let text = conversion(Kind::Text { registers: 3 });
        assert_eq!(text.text(&[0x4142, 0x4320, 0x2020]), "ABC");
        assert_eq!(text.text(&[0x4142, 0x4300, 0x5858]), "ABC");
        assert_eq!(text.text(&[0x4142, 0xff1b, 0x4300]), "AB\u{fffd}C");
        assert_eq!(text.text(&[0, 0, 0]), "");
        let swapped = Conversion { bytes: ByteOrder::LowFirst, ..text };
        assert_eq!(swapped.text(&[0x4241, 0x2043, 0x2020]), "ABC");
    }

    #[test]
    fn fields() {
        assert_eq!(Field { bit: 12, width: 4 }.of(0x3210), 3);
        assert_eq!(Field { bit: 0, width: 1 }.of(0x3211), 1);
        assert_eq!(Field { bit: 63, width: 1 }.of(u64::MAX), 1);
        assert_eq!(Field { bit: 0, width: 64 }.of(u64::MAX), u64::MAX);
        assert_eq!(Field { bit: 64, width: 1 }.of(u64::MAX), 0);
        assert_eq!(Field { bit: 255, width: 255 }.of(u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn no_registers_panic(words in prop::collection::vec(any::<u16>(), 0..6)) {
            use Kind::*;
            let (text, list) = (Text { registers: 4 }, Words { registers: 4 });
            for kind in [Bool, U16, I16, U32, I32, U64, I64, F16, F32, F64, Bcd16, Bcd32, text, list] {
                if let Ok(value) = conversion(kind).value(&words) {
                    prop_assert!(value.is_finite());
                }
                let _ = conversion(kind).text(&words);
            }
        }

        #[test]
        fn integers_are_the_nearest_floats(number in any::<u64>()) {
            #[expect(clippy::cast_precision_loss, reason = "the cast rounds to nearest, even")]
            let (unsigned, signed) = (number as f64, number.cast_signed() as f64);
            let words: Vec<u16> =
                number.to_be_bytes().as_chunks::<2>().0.iter().map(|b| u16::from_be_bytes(*b)).collect();
            prop_assert_eq!(conversion(Kind::U64).value(&words), Ok(unsigned));
            prop_assert_eq!(conversion(Kind::I64).value(&words), Ok(signed));
        }
    }
}
