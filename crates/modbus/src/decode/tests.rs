use std::ops::RangeInclusive;

use hallwatch_model::{Missing, Value};
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
    let scaled =
        |kind, factor, offset| Conversion { scale: Scale::new(factor), offset, ..conversion(kind) };
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
    // Lists longer than 64 bits: 0x8001 is the highest word, its lowest bit is bit 80.
    let list = conversion(Kind::Words { registers: 6 });
    let words = [0x8001, 0, 0, 0, 0, 0x1234];
    assert_eq!(list.field(&words, Field { bit: 95, width: 1 }), Ok(1));
    assert_eq!(list.field(&words, Field { bit: 80, width: 1 }), Ok(1));
    assert_eq!(list.field(&words, Field { bit: 81, width: 4 }), Ok(0));
    assert_eq!(list.field(&words, Field { bit: 4, width: 8 }), Ok(0x23));
    assert_eq!(list.field(&words, Field { bit: 96, width: 64 }), Ok(0));
    assert_eq!(list.field(&words[..5], Field { bit: 0, width: 1 }), Err(Missing::Malformed));
    let swapped = Conversion { words: WordOrder::LowFirst, ..list };
    assert_eq!(swapped.field(&words, Field { bit: 15, width: 1 }), Ok(1));
}

#[test]
fn rarer_kinds() {
    let date = |text| Kind::Date(DateFormat::new(text).unwrap());
    let cases: [(&str, Kind, &[u16], Value); 11] = [
        ("u48", Kind::U48, &[1, 0, 2], Ok(4_294_967_298.0)),
        ("sign and size", Kind::SignAndSize16, &[0x8005], Ok(-5.0)),
        ("sign and size +", Kind::SignAndSize16, &[0x7fff], Ok(32767.0)),
        ("sign and size 32", Kind::SignAndSize32, &[0x8001, 0], Ok(-65536.0)),
        ("mod10k", Kind::Mod10k { registers: 2 }, &[12, 3456], Ok(123_456.0)),
        ("mod10k 4", Kind::Mod10k { registers: 4 }, &[1, 0, 0, 9999], Ok(1_000_000_009_999.0)),
        ("mod10k bad", Kind::Mod10k { registers: 2 }, &[0, 10000], Err(Missing::Malformed)),
        ("mod10k short", Kind::Mod10k { registers: 3 }, &[0, 1], Err(Missing::Malformed)),
        // 2001-09-09 01:46:40.
        ("date", date("YMDhms"), &[0x0109, 0x0901, 0x2e28], Ok(1e9)),
        ("date none", date("YMDhms"), &[0, 0, 0], Err(Missing::NotAvailable)),
        ("date short", date("YMDhms"), &[0x0109, 0x0901], Err(Missing::Malformed)),
    ];
    for (name, kind, registers, value) in cases {
        assert_eq!(conversion(kind).value(registers), value, "{name}");
    }
    let swapped = Conversion { bytes: ByteOrder::LowFirst, ..conversion(date("YMDhms")) };
    assert_eq!(swapped.value(&[0x0901, 0x0109, 0x282e]), Ok(1e9));
}

#[test]
fn functions_sentinels_and_what_other_points_say() {
    let with = |function| Conversion { function, ..conversion(Kind::F32) };
    // 1.25, -1.25, 0.75, -0.75, 1.0 as single floats.
    let power_factor = with(Function::FourQuadrantPowerFactor);
    for (word, value) in
        [(0x3fa0, 0.75), (0xbfa0, -0.75), (0x3f40, 0.75), (0xbf40, -0.75), (0x3f80, 1.0)]
    {
        assert_eq!(power_factor.value(&[word, 0]), Ok(value));
    }
    assert_eq!(with(Function::Absolute).value(&[0xbf40, 0]), Ok(0.75));
    // 212 degrees Fahrenheit.
    assert_eq!(with(Function::Fahrenheit).value(&[0x4354, 0]), Ok(100.0));
    let degrees = conversion(Kind::I16);
    let fahrenheit = Adjust { fahrenheit: true, ..Adjust::default() };
    assert_eq!(degrees.checked(&[212], fahrenheit), Ok(100.0));
    for (exponent, value) in [(-1, 23.5), (-2, 2.35), (0, 235.0), (3, 235_000.0)] {
        let adjust = Adjust { exponent, ..Adjust::default() };
        assert_eq!(degrees.checked(&[235], adjust), Ok(value));
    }
    let beyond = degrees.checked(&[1], Adjust { exponent: i32::MIN, ..Adjust::default() });
    assert_eq!(beyond.unwrap_err().missing, Missing::OutOfRange);

    let meaning = Conversion {
        scale: Scale::new(0.5),
        max: 100.0,
        not_available: vec![0xffff..=0xffff],
        out_of_range: vec![0xfffd..=0xfffe],
        means: vec![(0xfff0..=0xfff1, -1.0)],
        ..conversion(Kind::U16)
    };
    assert_eq!(meaning.value(&[0xffff]), Err(Missing::NotAvailable));
    assert_eq!(meaning.value(&[0xfffd]), Err(Missing::OutOfRange));
    assert_eq!(meaning.value(&[0xfff1]), Ok(-1.0));
    assert_eq!(meaning.value(&[200]), Ok(100.0));
    // What is refused keeps what was there.
    let refused = meaning.checked(&[202], Adjust::default()).unwrap_err();
    assert_eq!(refused.missing, Missing::OutOfRange);
    assert_eq!((refused.raw, refused.value), (Some(202), Some(101.0)));
    let refused = meaning.checked(&[0xfffe], Adjust::default()).unwrap_err();
    assert_eq!((refused.raw, refused.value), (Some(0xfffe), None));
}

proptest! {
    #[test]
    fn no_registers_panic(words in prop::collection::vec(any::<u16>(), 0..6)) {
        use Kind::*;
        let (text, list) = (Text { registers: 4 }, Words { registers: 4 });
        let (digits, date) = (Mod10k { registers: 4 }, Date(DateFormat::new("iec870").unwrap()));
        let kinds = [
            Bool, U16, I16, U32, I32, U48, U64, I64, F16, F32, F64, Bcd16, Bcd32,
            SignAndSize16, SignAndSize32, digits, date, text, list,
        ];
        for kind in kinds {
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
