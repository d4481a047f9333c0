//! Registers to numbers: every value is finite and within its limits, every field within its width.
#![no_main]

use arbitrary::Arbitrary;
use hallwatch_modbus::Conversion;
use hallwatch_modbus::decode::{
    Adjust, ByteOrder, DateFormat, Field, Function, Kind, Scale, WordOrder,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    kind: u8,
    length: u8,
    date: &'a str,
    swapped: (bool, bool),
    function: u8,
    scale: f64,
    offset: f64,
    exponent: i32,
    fahrenheit: bool,
    sentinel: (u64, u64),
    limits: (f64, f64),
    field: (u16, u8),
    registers: Vec<u16>,
}

fuzz_target!(|case: Case<'_>| {
    use Kind::*;
    let registers = u16::from(case.length % 126);
    let kinds = [
        Bool, U16, I16, U32, I32, U48, U64, I64, F16, F32, F64, Bcd16, Bcd32, SignAndSize16,
        SignAndSize32, Mod10k { registers }, Text { registers }, Words { registers },
        Date(DateFormat::new(case.date).unwrap_or_default()),
    ];
    let functions = [
        Function::None, Function::Absolute, Function::Fahrenheit, Function::FourQuadrantPowerFactor,
    ];
    let (from, to) = case.sentinel;
    let conversion = Conversion {
        words: if case.swapped.0 { WordOrder::LowFirst } else { WordOrder::HighFirst },
        bytes: if case.swapped.1 { ByteOrder::LowFirst } else { ByteOrder::HighFirst },
        scale: Scale::new(case.scale),
        offset: case.offset,
        function: functions[usize::from(case.function) % functions.len()],
        not_available: vec![from..=to],
        min: case.limits.0,
        max: case.limits.1,
        ..Conversion::new(kinds[usize::from(case.kind) % kinds.len()])
    };
    let adjust = Adjust { exponent: case.exponent, fahrenheit: case.fahrenheit };
    for registers in [&case.registers[..], case.registers.get(..usize::from(conversion.kind.width())).unwrap_or_default()] {
        if let Ok(value) = conversion.checked(registers, adjust) {
            assert!(value.is_finite());
            assert!(!(value < conversion.min) && !(value > conversion.max));
        }
        let field = Field { bit: case.field.0, width: case.field.1 % 65 };
        if let Ok(found) = conversion.field(registers, field) {
            assert!(field.width == 64 || found < 1 << field.width);
        }
        assert!(!conversion.text(registers).contains(|c: char| c.is_control()));
        assert_eq!(conversion.bytes(registers).len(), registers.len() * 2);
    }
});
