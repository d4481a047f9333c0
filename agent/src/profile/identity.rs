//! Who a device says it is: names, serial numbers, versions.

use hallwatch_modbus::Conversion;
use hallwatch_modbus::decode::Kind;

/// How a part of an identity is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Show {
    /// Text as it is, numbers in decimal.
    #[default]
    Plain,
    /// Hexadecimal digits: 0x4150 is `4150`.
    Hex,
    /// Each byte in decimal, with full stops: 0x0102 is `1.2`.
    Version,
}

impl Show {
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("plain", Self::Plain), ("hex", Self::Hex), ("version", Self::Version)];

    /// What `registers` say; none when the device has nothing to say.
    pub(super) fn write(self, conversion: &Conversion, registers: &[u16]) -> Option<String> {
        if let Kind::Text { .. } = conversion.kind {
            return Some(conversion.text(registers)).filter(|text| !text.is_empty());
        }
        if self == Self::Plain {
            return conversion.value(registers).ok().map(|value| value.to_string());
        }
        // Lists are as long as they are; of numbers the sentinels count.
        if registers.len() <= 4 {
            conversion.available(registers).ok()?;
        }
        let bytes = conversion.bytes(registers);
        Some(match self {
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => bytes.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        })
    }
}
