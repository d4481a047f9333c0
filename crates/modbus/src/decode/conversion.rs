//! A point's registers to its value: sentinels, number, scale, function, limits.

use std::ops::RangeInclusive;

use hallwatch_model::{Missing, Value};

use super::number::{from_bcd, from_half, from_mod10k, from_sign_and_size, from_u64, low_half};
use super::{ByteOrder, Field, Function, Kind, Scale, WordOrder};

/// What other points of the device say about a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adjust {
    /// The number is times ten to this power.
    pub exponent: i32,
    /// The number is in degrees Fahrenheit.
    pub fahrenheit: bool,
}

/// Largest power of ten that a scale factor can have; devices have up to 10.
pub const MAX_EXPONENT: i32 = 30;

/// A reading that brought no value, with what the registers held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refusal {
    /// Why there is no value.
    pub missing: Missing,
    /// The registers' bits as one number; none when there are not as many as there should be.
    pub raw: Option<u64>,
    /// The value that was not plausible.
    pub value: Option<f64>,
}

/// How a point's registers become its value: raw × scale × 10^exponent + offset, then the
/// function, then the limits.
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
    /// What is done after that.
    pub function: Function,
    /// Bit patterns that mean "not available", as unsigned numbers of the value's width.
    pub not_available: Vec<RangeInclusive<u64>>,
    /// Bit patterns that mean "out of range".
    pub out_of_range: Vec<RangeInclusive<u64>>,
    /// Bit patterns that stand for a value of their own, which is final.
    pub means: Vec<(RangeInclusive<u64>, f64)>,
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
            function: Function::None,
            not_available: Vec::new(),
            out_of_range: Vec::new(),
            means: Vec::new(),
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
    /// `Malformed` for another number of registers, for digits that are none, for dates that there
    /// are not, and for kinds that have no number; `NotAvailable` for a sentinel or a NaN;
    /// `OutOfRange` for such a sentinel, outside of the limits and for infinities.
    pub fn value(&self, registers: &[u16]) -> Value {
        self.checked(registers, Adjust::default()).map_err(|refusal| refusal.missing)
    }

    /// As [`Conversion::value`], with what other points say about the number; what is refused
    /// keeps its raw bits.
    ///
    /// # Errors
    /// As [`Conversion::value`], and `OutOfRange` for an exponent beyond [`MAX_EXPONENT`].
    pub fn checked(&self, registers: &[u16], adjust: Adjust) -> Result<f64, Refusal> {
        let raw = self.pattern(registers).ok();
        let refuse = |missing| Refusal { missing, raw, value: None };
        if let Some(meaning) = raw.and_then(|raw| self.meaning(raw)) {
            return meaning.map_err(refuse);
        }
        let number = self.number(registers).map_err(refuse)?;
        if number.is_nan() {
            return Err(refuse(Missing::NotAvailable));
        }
        if !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&adjust.exponent) {
            return Err(refuse(Missing::OutOfRange));
        }
        let scaled = self.scale.apply_with(number, adjust.exponent) + self.offset;
        let mut value = self.function.apply(scaled);
        if adjust.fahrenheit {
            value = Function::Fahrenheit.apply(value);
        }
        if !value.is_finite() || value < self.min || value > self.max {
            return Err(Refusal { value: Some(value), ..refuse(Missing::OutOfRange) });
        }
        Ok(value)
    }

    /// What a sentinel says, when it is one.
    fn meaning(&self, raw: u64) -> Option<Value> {
        let among = |listed: &[RangeInclusive<u64>]| listed.iter().any(|one| one.contains(&raw));
        if among(&self.not_available) {
            return Some(Err(Missing::NotAvailable));
        }
        if among(&self.out_of_range) {
            return Some(Err(Missing::OutOfRange));
        }
        self.means.iter().find(|(listed, _)| listed.contains(&raw)).map(|(_, value)| Ok(*value))
    }

    /// The value's bits as [`Conversion::pattern`] has them, when the device has them.
    ///
    /// # Errors
    /// As for [`Conversion::pattern`], and the reason that a sentinel gives.
    pub fn available(&self, registers: &[u16]) -> Result<u64, Missing> {
        let pattern = self.pattern(registers)?;
        match self.meaning(pattern) {
            Some(Err(missing)) => Err(missing),
            _ => Ok(pattern),
        }
    }

    /// The bits of one field. In lists of more than four registers bit 0 is the lowest of the last
    /// register, and there are no sentinels.
    ///
    /// # Errors
    /// As for [`Conversion::available`].
    pub fn field(&self, registers: &[u16], field: Field) -> Result<u64, Missing> {
        let width = usize::from(self.kind.width());
        if width <= 4 {
            return self.available(registers).map(|pattern| field.of(pattern));
        }
        if registers.len() != width {
            return Err(Missing::Malformed);
        }
        Ok(field.of_words(self.ordered(registers)))
    }

    /// The registers with the highest first and their bytes in order.
    fn ordered<'a>(&'a self, registers: &'a [u16]) -> impl DoubleEndedIterator<Item = u16> + 'a {
        let reversed = self.words == WordOrder::LowFirst;
        let count = registers.len();
        (0..count).filter_map(move |at| {
            let at = if reversed { count - 1 - at } else { at };
            registers.get(at).map(|word| self.word(*word))
        })
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
        Ok(self.ordered(registers).fold(0, |high, word| high << 16 | u64::from(word)))
    }

    /// The text in `registers`, up to the first zero byte, without spaces around it. What is not UTF-8 is
    /// replaced, control characters are dropped.
    #[must_use]
    pub fn text(&self, registers: &[u16]) -> String {
        let bytes = self.bytes(registers);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.split('\0').next().unwrap_or_default();
        text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
    }

    /// The bytes of `registers` in order, the highest first.
    #[must_use]
    pub fn bytes(&self, registers: &[u16]) -> Vec<u8> {
        self.ordered(registers).flat_map(u16::to_be_bytes).collect()
    }

    fn word(&self, word: u16) -> u16 {
        match self.bytes {
            ByteOrder::HighFirst => word,
            ByteOrder::LowFirst => word.swap_bytes(),
        }
    }

    fn number(&self, registers: &[u16]) -> Value {
        if let Kind::Date(format) = self.kind {
            if registers.len() != usize::from(format.registers()) {
                return Err(Missing::Malformed);
            }
            return format.seconds(self.ordered(registers).flat_map(u16::to_be_bytes));
        }
        let pattern = self.pattern(registers)?;
        let [_, _, _, _, _, _, h, l] = pattern.to_be_bytes();
        let low16 = u16::from_be_bytes([h, l]);
        let low32 = low_half(pattern);
        Ok(match self.kind {
            Kind::Bool => f64::from(u8::from(pattern != 0)),
            Kind::U16 | Kind::U32 | Kind::U48 | Kind::U64 => from_u64(pattern),
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
            Kind::SignAndSize16 => from_sign_and_size(pattern, 16),
            Kind::SignAndSize32 => from_sign_and_size(pattern, 32),
            Kind::Mod10k { .. } => from_mod10k(pattern)?,
            Kind::Date(_) | Kind::Text { .. } | Kind::Words { .. } => {
                return Err(Missing::Malformed);
            }
        })
    }
}
