//! From registers to samples: uninterruptible power supplies, generators and the power shelves of
//! Open Rack. The words are worked out by hand from the register lists; nothing here comes out of
//! the decoder.
//!
//! A number of single precision between 2^n and 2^(n+1) begins with 0x3f80 + n × 0x80; what it is
//! above 2^n follows in steps of 2^(23-n). So 230.5 is 0x4300_0000 + 102.5 × 0x1_0000.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod answers;

use std::collections::BTreeMap;

use answers::{Words, answer, check, profile, read_from, reads, samples};
use hallwatch_agent::profile::{Placement, Profile};
use hallwatch_modbus::Table::{DiscreteInputs as D, HoldingRegisters as H, InputRegisters as I};
use hallwatch_modbus::{Data, Table};
use hallwatch_model::{Missing, Value};

/// What changes, and to what, when the register at `address` holds `word` instead of zero; the
/// device's other registers are `words`.
fn turned(
    profile: &Profile,
    (table, address): (Table, u16),
    word: u16,
    words: &Words,
) -> Vec<(String, Value)> {
    let with = |word: u16| {
        let word: &'static [u16] = Box::leak(Box::new([word]));
        let mut all = vec![(table, address, word)];
        all.extend_from_slice(words);
        read_from(profile, &all)
    };
    let (before, after) = (with(0), with(word));
    after.into_iter().filter(|(series, value)| before[series] != *value).collect()
}

/// Every bit makes the series that stands beside it 1 (0, when `!` stands before it) and changes
/// no other; the bits that are not listed change none.
fn each_bit(name: &str, address: u16, metric: &str, bits: &[(u16, &str)]) {
    let profile = profile(name);
    let table = if profile.reads()[0].table() == I { I } else { H };
    for bit in 0..16 {
        let word = 1 << bit;
        let listed = bits.iter().filter(|(listed, _)| *listed == word);
        let expected: Vec<(String, Value)> = listed
            .map(|(_, labels)| match labels.strip_prefix('!') {
                Some(inverted) => (format!("{metric}{inverted}"), Ok(0.0)),
                None => (format!("{metric}{labels}"), Ok(1.0)),
            })
            .collect();
        assert_eq!(turned(&profile, (table, address), word, &[]), expected, "{name} {word:#x}");
    }
}

/// The same for the alarms of one part of a rack's power.
fn each_alarm(name: &str, address: u16, part: &str, alarms: &[(u16, &str)]) {
    let labels: Vec<(u16, String)> = alarms
        .iter()
        .map(|(word, alarm)| (*word, format!("{{alarm={alarm:?}, part={part:?}}}")))
        .collect();
    let bits: Vec<(u16, &str)> = labels.iter().map(|(word, text)| (*word, text.as_str())).collect();
    each_bit(name, address, "rack_power_alarm", &bits);
}

/// Every word at `address` makes exactly one member of the enumeration 1; `none` of them are
/// members.
fn each_state(
    name: &str,
    place: (Table, u16),
    series: &str,
    members: &[(u16, &str)],
    none: &[u16],
) {
    let profile = profile(name);
    let read = |word: u16| {
        let word: &'static [u16] = Box::leak(Box::new([word]));
        read_from(&profile, &[(place.0, place.1, word)])
    };
    for (word, member) in members {
        let found = read(*word);
        for (_, other) in members {
            let value = if other == member { Ok(1.0) } else { Ok(0.0) };
            assert_eq!(found[&series.replace('*', other)], value, "{name} {series} {word} {other}");
        }
    }
    for word in none {
        for (_, member) in members {
            let value = read(*word)[&series.replace('*', member)];
            assert_eq!(value, Err(Missing::OutOfRange), "{name} {series} {word} {member}");
        }
    }
}

/// What the words at a place make of a state: each with its value.
fn each_value(name: &str, place: (Table, u16), series: &str, values: &[(u16, Value)]) {
    let profile = profile(name);
    for (word, value) in values {
        let words: &'static [u16] = Box::leak(Box::new([*word]));
        let found = read_from(&profile, &[(place.0, place.1, words)]);
        assert_eq!(found[series], *value, "{name} {series} {word}");
    }
}

const NO: Value = Ok(0.0);
const YES: Value = Ok(1.0);
const UNKNOWN: Value = Err(Missing::OutOfRange);
const NONE: Value = Err(Missing::NotAvailable);

/// When the read at `address` fails, exactly the series with one of these beginnings are missing.
fn fails(name: &str, address: u16, lost: &[&str]) {
    let profile = profile(name);
    let whole = profile.reads().iter().map(|read| {
        if read.address() == address { Err(Missing::Timeout) } else { Ok(answer(&[], read)) }
    });
    let answers: Vec<_> = whole.collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1, "{name} {address}");
    for (series, value) in samples(&profile, &answers) {
        let is_lost = lost.iter().any(|start| series.starts_with(start));
        assert_eq!(value == Err(Missing::Timeout), is_lost, "{name} {series}");
    }
}

fn identity(name: &str, words: &Words) -> Vec<(String, String)> {
    let profile = profile(name);
    let answers: Vec<_> =
        profile.identity_reads().iter().map(|read| Ok(answer(words, read))).collect();
    let parts = profile.identity(&answers);
    parts.into_iter().map(|(what, text)| (what.to_owned(), text)).collect()
}

fn says(parts: &[(&str, &str)]) -> Vec<(String, String)> {
    parts.iter().map(|(what, text)| ((*what).to_owned(), (*text).to_owned())).collect()
}

/// The device with some parameters set.
fn with(name: &str, parameters: &[(&str, f64)], words: &Words) -> BTreeMap<String, Value> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let placement = Placement { parameters, ..Placement::default() };
    read_from(&profile(name).placed(&placement).unwrap(), words)
}

#[test]
fn chloride_manageups() {
    assert_eq!(reads("chloride_manageups"), [(19, 7), (31, 9)]);
    check(
        "chloride_manageups",
        &[
            // Low (3), 42 s, 3661 s = 14 × 256 + 77, 87 %, 5456 tenths = 21 × 256 + 80,
            // 123 tenths, 25 °C.
            (H, 19, &[0x0003, 0x002a, 0x0e4d, 0x0057, 0x1550, 0x007b, 0x0019]),
            // 7 failures, 499 tenths = 256 + 243, 3 lines; 231, 229, 230 V; 101, 98, 100 tenths.
            (H, 31, &[0x0007, 0x01f3, 0x0003]),
            (H, 34, &[0x00e7, 0x00e5, 0x00e6, 0x0065, 0x0062, 0x0064]),
        ],
        &[
            (r#"ups_battery_status{status="low"}"#, Ok(1.0)),
            ("ups_battery_low", Ok(1.0)),
            ("ups_on_battery", Ok(1.0)),
            ("ups_on_battery_seconds", Ok(42.0)),
            ("ups_battery_runtime_seconds", Ok(3661.0)),
            ("ups_battery_charge_ratio", Ok(0.87)),
            ("ups_battery_voltage_volts", Ok(545.6)),
            ("ups_battery_current_amperes", Ok(12.3)),
            ("ups_battery_temperature_celsius", Ok(25.0)),
            ("ups_input_failures_total", Ok(7.0)),
            ("ups_input_frequency_hertz", Ok(49.9)),
            (r#"ups_input_voltage_volts{phase="l1"}"#, Ok(231.0)),
            (r#"ups_input_voltage_volts{phase="l2"}"#, Ok(229.0)),
            (r#"ups_input_voltage_volts{phase="l3"}"#, Ok(230.0)),
            (r#"ups_input_current_amperes{phase="l1"}"#, Ok(10.1)),
            (r#"ups_input_current_amperes{phase="l2"}"#, Ok(9.8)),
            (r#"ups_input_current_amperes{phase="l3"}"#, Ok(10.0)),
        ],
    );
    each_state(
        "chloride_manageups",
        (H, 19),
        r#"ups_battery_status{status="*"}"#,
        &[(1, "unknown"), (2, "normal"), (3, "low"), (4, "depleted")],
        &[0, 5, 0xffff],
    );
    let status = [(0, UNKNOWN), (1, NONE), (2, NO), (3, YES), (4, YES), (5, UNKNOWN)];
    each_value("chloride_manageups", (H, 19), "ups_battery_low", &status);
    let status = [(0, UNKNOWN), (1, NONE), (2, NO), (3, NO), (4, YES), (5, UNKNOWN)];
    each_value("chloride_manageups", (H, 19), "ups_battery_depleted", &status);
    let seconds = [(0, NO), (1, YES), (0xffff, YES)];
    each_value("chloride_manageups", (H, 20), "ups_on_battery", &seconds);
    // 65535 s are, 101 %, what would be a negative current, 65535 °C and 6553.5 Hz are not.
    let found = read_from(
        &profile("chloride_manageups"),
        &[(H, 19, &[0, 0xffff, 0xffff, 0x0065, 0x1550, 0x8000, 0xffff]), (H, 32, &[0xffff])],
    );
    assert_eq!(found["ups_on_battery_seconds"], Ok(65_535.0));
    assert_eq!(found["ups_battery_runtime_seconds"], Ok(65_535.0));
    assert_eq!(found["ups_battery_charge_ratio"], Err(Missing::OutOfRange));
    assert_eq!(found["ups_battery_current_amperes"], Err(Missing::OutOfRange));
    assert_eq!(found["ups_battery_temperature_celsius"], Err(Missing::OutOfRange));
    assert_eq!(found["ups_input_frequency_hertz"], Err(Missing::OutOfRange));
    fails("chloride_manageups", 31, &["ups_input_"]);
    assert_eq!(identity("chloride_manageups", &[(H, 33, &[3])]), says(&[("input_lines", "3")]));
}

#[test]
fn cummins_pcc1301() {
    let pages = [(9, 4), (17, 3), (21, 3), (25, 4), (39, 5), (60, 2), (63, 1), (67, 4)];
    assert_eq!(reads("cummins_pcc1301"), pages);
    assert!(profile("cummins_pcc1301").is_unverified());
    check(
        "cummins_pcc1301",
        &[
            // Switch 1, state 3, fault 1438 = 5 × 256 + 158, type 2.
            (H, 9, &[0x0001, 0x0003, 0x059e, 0x0002]),
            // 277 = 256 + 21, 276, 278; 480 = 256 + 224, 479, 481 V.
            (H, 17, &[0x0115, 0x0114, 0x0116]),
            (H, 21, &[0x01e0, 0x01df, 0x01e1]),
            // 1205 = 4 × 256 + 181, 1190, 1210, 1201 tenths of an ampere.
            (H, 25, &[0x04b5, 0x04a6, 0x04ba, 0x04b1]),
            // 334 = 256 + 78, 328, 336, 998 = 3 × 256 + 230 tenths of a kVA; 600 tenths of a Hz.
            (H, 39, &[0x014e, 0x0148, 0x0150, 0x03e6, 0x0258]),
            // 273 tenths of a volt, 345 kPa; 885 = 3 × 256 + 117 tenths of a degree.
            (H, 60, &[0x0111, 0x0159]),
            (H, 63, &[0x0375]),
            // 18000 = 70 × 256 + 80 tenths; 312; 1234567 = 18 × 65536 + 54919.
            (H, 67, &[0x4650, 0x0138, 0x0012, 0xd687]),
        ],
        &[
            (r#"generator_code{code="switch"}"#, Ok(1.0)),
            (r#"generator_code{code="state"}"#, Ok(3.0)),
            (r#"generator_code{code="fault"}"#, Ok(1438.0)),
            (r#"generator_code{code="fault_type"}"#, Ok(2.0)),
            (r#"generator_voltage_volts{phase="l1"}"#, Ok(277.0)),
            (r#"generator_voltage_volts{phase="l2"}"#, Ok(276.0)),
            (r#"generator_voltage_volts{phase="l3"}"#, Ok(278.0)),
            (r#"generator_voltage_volts{phase="l1l2"}"#, Ok(480.0)),
            (r#"generator_voltage_volts{phase="l2l3"}"#, Ok(479.0)),
            (r#"generator_voltage_volts{phase="l3l1"}"#, Ok(481.0)),
            (r#"generator_current_amperes{phase="l1"}"#, Ok(120.5)),
            (r#"generator_current_amperes{phase="l2"}"#, Ok(119.0)),
            (r#"generator_current_amperes{phase="l3"}"#, Ok(121.0)),
            ("generator_average_current_amperes", Ok(120.1)),
            (r#"generator_apparent_power_voltamperes{phase="l1"}"#, Ok(33_400.0)),
            (r#"generator_apparent_power_voltamperes{phase="l2"}"#, Ok(32_800.0)),
            (r#"generator_apparent_power_voltamperes{phase="l3"}"#, Ok(33_600.0)),
            ("generator_apparent_power_voltamperes", Ok(99_800.0)),
            ("generator_frequency_hertz", Ok(60.0)),
            ("generator_starter_battery_volts", Ok(27.3)),
            ("generator_oil_pressure_pascals", Ok(345_000.0)),
            ("generator_coolant_temperature_celsius", Ok(88.5)),
            ("generator_engine_speed_rpm", Ok(1800.0)),
            ("generator_starts_total", Ok(312.0)),
            ("generator_run_seconds_total", Ok(1_234_567.0)),
        ],
    );
    // A temperature below zero would not be as unsigned as the list says: -10 °C is 0xff9c.
    let found = read_from(
        &profile("cummins_pcc1301"),
        &[(H, 43, &[0xffff]), (H, 60, &[0xffff, 0xffff]), (H, 63, &[0xff9c, 0, 0, 0, 0xffff])],
    );
    for series in [
        "generator_frequency_hertz",
        "generator_starter_battery_volts",
        "generator_oil_pressure_pascals",
        "generator_coolant_temperature_celsius",
        "generator_engine_speed_rpm",
    ] {
        assert_eq!(found[series], Err(Missing::OutOfRange), "{series}");
    }
    fails(
        "cummins_pcc1301",
        67,
        &["generator_engine", "generator_starts", "generator_run_seconds"],
    );
}

#[test]
fn kohler_decision_maker() {
    assert_eq!(reads("kohler_decision_maker"), [(0, 24), (32, 4)]);
    assert!(profile("kohler_decision_maker").is_unverified());
    let running: &Words = &[
        // 480, 481, 479; 277, 276, 278 V; 120, 119, 121 A.
        (H, 0, &[0x01e0, 0x01e1, 0x01df, 0x0115, 0x0114, 0x0116, 0x0078, 0x0077, 0x0079]),
        // 6002 hundredths = 23 × 256 + 114; 85 kW; 68 %; -85 hundredths.
        (H, 9, &[0x1772, 0x0055, 0x0044, 0xffab]),
        // 28, 29, 30 kW with what is not read into between; -12 kvar; 100 kVA.
        (H, 13, &[0x001c, 0x1234, 0x001d, 0x1234, 0x001e, 0x1234, 0xfff4, 1, 2, 3, 0x0064]),
        // 64; -5; 1800 = 7 × 256 + 8; 271 tenths.
        (H, 32, &[0x0040, 0xfffb, 0x0708, 0x010f]),
    ];
    check(
        "kohler_decision_maker",
        running,
        &[
            (r#"generator_voltage_volts{phase="l1l2"}"#, Ok(480.0)),
            (r#"generator_voltage_volts{phase="l2l3"}"#, Ok(481.0)),
            (r#"generator_voltage_volts{phase="l3l1"}"#, Ok(479.0)),
            (r#"generator_voltage_volts{phase="l1"}"#, Ok(277.0)),
            (r#"generator_voltage_volts{phase="l2"}"#, Ok(276.0)),
            (r#"generator_voltage_volts{phase="l3"}"#, Ok(278.0)),
            (r#"generator_current_amperes{phase="l1"}"#, Ok(120.0)),
            (r#"generator_current_amperes{phase="l2"}"#, Ok(119.0)),
            (r#"generator_current_amperes{phase="l3"}"#, Ok(121.0)),
            ("generator_frequency_hertz", Ok(60.02)),
            ("generator_active_power_watts", Ok(85_000.0)),
            ("generator_load_ratio", Ok(0.68)),
            ("generator_power_factor_ratio", Ok(-0.85)),
            (r#"generator_active_power_watts{phase="l1"}"#, Ok(28_000.0)),
            (r#"generator_active_power_watts{phase="l2"}"#, Ok(29_000.0)),
            (r#"generator_active_power_watts{phase="l3"}"#, Ok(30_000.0)),
            ("generator_reactive_power_vars", Ok(-12_000.0)),
            ("generator_apparent_power_voltamperes", Ok(100_000.0)),
            ("generator_oil_pressure_pascals", Ok(64_000.0)),
            ("generator_coolant_temperature_celsius", Ok(-5.0)),
            ("generator_engine_speed_rpm", Ok(1800.0)),
            ("generator_starter_battery_volts", Ok(27.1)),
        ],
    );
    // Set to imperial units: 64 psi, 185 °F are 85 °C.
    let imperial = [("fahrenheit", 1.0), ("oil_pressure_unit_pascals", 6894.757)];
    let found = with("kohler_decision_maker", &imperial, &[(H, 32, &[0x0040, 0x00b9])]);
    assert_eq!(found["generator_oil_pressure_pascals"], Ok(441_264.448));
    assert_eq!(found["generator_coolant_temperature_celsius"], Ok(85.0));
    // 185 °C are plausible, 201 °C, a power factor of 1.01 and 301 % are not.
    let found = read_from(
        &profile("kohler_decision_maker"),
        &[(H, 11, &[0x012d, 0x0065]), (H, 33, &[0x00c9])],
    );
    assert_eq!(found["generator_load_ratio"], Err(Missing::OutOfRange));
    assert_eq!(found["generator_power_factor_ratio"], Err(Missing::OutOfRange));
    assert_eq!(found["generator_coolant_temperature_celsius"], Err(Missing::OutOfRange));
    fails(
        "kohler_decision_maker",
        32,
        &["generator_oil", "generator_coolant", "generator_engine", "generator_starter"],
    );
}

#[test]
fn eaton_master_ups_status() {
    assert_eq!(reads("eaton_master_ups_status"), [(1, 16), (32, 13)]);
    let entries = [
        (1, "ups_on_battery"),
        (4, "ups_high_efficiency"),
        (10, "ups_on_bypass"),
        (11, "ups_online"),
        (16, "ups_output_off"),
        (32, r#"ups_breaker_closed{breaker="static_switch"}"#),
        (33, r#"ups_breaker_closed{breaker="critical_bus"}"#),
        (34, r#"ups_breaker_closed{breaker="bypass"}"#),
        (35, r#"ups_breaker_closed{breaker="backfeed"}"#),
        (36, r#"ups_input_available{input="bypass"}"#),
        (37, r#"ups_breaker_closed{breaker="maintenance_isolation"}"#),
        (38, r#"ups_breaker_closed{breaker="maintenance_bypass"}"#),
        (39, r#"ups_input_available{input="maintenance_bypass"}"#),
        (40, r#"ups_online{module="system_bypass"}"#),
        (41, r#"ups_on_battery{module="system_bypass"}"#),
        (42, r#"ups_on_bypass{module="system_bypass"}"#),
        (43, r#"ups_fault{fault="minor", module="system_bypass"}"#),
        (44, r#"ups_fault{fault="major", module="system_bypass"}"#),
    ];
    let profile = profile("eaton_master_ups_status");
    assert_eq!(profile.series().len(), entries.len());
    for (entry, series) in entries {
        check("eaton_master_ups_status", &[(D, entry, &[1])], &[(series, Ok(1.0))]);
    }
    // Between them there is nothing that counts.
    for entry in [0, 2, 3, 5, 9, 12, 15, 17, 31, 45] {
        check("eaton_master_ups_status", &[(D, entry, &[1])], &[]);
    }
    fails(
        "eaton_master_ups_status",
        32,
        &[
            "ups_breaker",
            "ups_input",
            "ups_fault",
            "ups_online{",
            "ups_on_battery{",
            "ups_on_bypass{",
        ],
    );
}

#[test]
fn eaton_pxgx_ups() {
    let mut ranges = reads("eaton_pxgx_ups");
    ranges.sort_unstable();
    assert_eq!(ranges, [(1057, 1), (4050, 2), (4058, 6), (4377, 2), (5022, 8), (12203, 3)]);
    let running: &Words = &[
        // 230.5; 229.0, 229.5, 231.0; 480 = 256 + 224, in steps of 0x8000.
        (I, 4050, &[0x4366, 0x8000]),
        (I, 4058, &[0x4365, 0, 0x4365, 0x8000, 0x4367, 0]),
        (I, 4377, &[0x43f0, 0]),
        // 12.5, 12.25, 13.0 are 8 + 4.5, 4.25, 5 in steps of 0x10_0000; 100 is 64 + 36 in steps
        // of 0x2_0000.
        (I, 5022, &[0x4148, 0, 0x4144, 0, 0x4150, 0, 0x42c8, 0]),
        // The example of the guide: 17 May 2007, 10:45:20.
        (I, 12203, &[0x0705, 0x110a, 0x2d14]),
    ];
    // From 1970 to 17 May 2007 there were 37 × 365 + 9 + 120 + 16 = 13650 days; 10:45:20 are
    // 38720 s.
    let values: &[(&str, Value)] = &[
        (r#"ups_output_voltage_volts{phase="l3"}"#, Ok(230.5)),
        (r#"ups_bypass_voltage_volts{phase="l1"}"#, Ok(229.0)),
        (r#"ups_bypass_voltage_volts{phase="l2"}"#, Ok(229.5)),
        (r#"ups_bypass_voltage_volts{phase="l3"}"#, Ok(231.0)),
        ("ups_battery_voltage_volts", Ok(480.0)),
        (r#"ups_input_current_amperes{phase="l1"}"#, Ok(12.5)),
        (r#"ups_input_current_amperes{phase="l2"}"#, Ok(12.25)),
        (r#"ups_input_current_amperes{phase="l3"}"#, Ok(13.0)),
        (r#"ups_output_current_amperes{phase="l1"}"#, Ok(100.0)),
        (r#"ups_input_available{input="mains"}"#, Ok(1.0)),
        ("device_clock_seconds", Ok(1_179_398_720.0)),
    ];
    check("eaton_pxgx_ups", running, values);
    // Utility out of limits.
    let card = profile("eaton_pxgx_ups");
    let mains = r#"ups_input_available{input="mains"}"#.to_owned();
    assert_eq!(turned(&card, (D, 1057), 1, running), [(mains, Ok(0.0))]);
    // A clock that is two hours before UTC.
    let found = with("eaton_pxgx_ups", &[("clock_to_utc_seconds", -7200.0)], running);
    assert_eq!(found["device_clock_seconds"], Ok(1_179_391_520.0));
    // Not a number, infinity, -1, a day that is none, no clock.
    let profile = profile("eaton_pxgx_ups");
    let found = read_from(
        &profile,
        &[
            (I, 4050, &[0x7fc0, 0]),
            (I, 4058, &[0x7f80, 0, 0xbf80, 0]),
            (I, 12203, &[0x0702, 0x1e0a, 0x2d14]),
        ],
    );
    assert_eq!(found[r#"ups_output_voltage_volts{phase="l3"}"#], Err(Missing::NotAvailable));
    assert_eq!(found[r#"ups_bypass_voltage_volts{phase="l1"}"#], Err(Missing::OutOfRange));
    assert_eq!(found[r#"ups_bypass_voltage_volts{phase="l2"}"#], Err(Missing::OutOfRange));
    assert_eq!(found["device_clock_seconds"], Err(Missing::Malformed));
    assert_eq!(read_from(&profile, &[])["device_clock_seconds"], Err(Missing::NotAvailable));
    fails("eaton_pxgx_ups", 5022, &["ups_input_current", "ups_output_current"]);
    fails("eaton_pxgx_ups", 1057, &["ups_input_available"]);
    assert_eq!(
        identity(
            "eaton_pxgx_ups",
            &[
                // EATON, 9390, 4711; 1.5 is 1 + 0.5 in steps of 0x80_0000.
                (I, 1032, &[0x4541, 0x544f, 0x4e00]),
                (I, 1064, &[0x3933, 0x3930]),
                (I, 1096, &[0x4100]),
                (I, 1128, &[0x4200]),
                (I, 1192, &[0x4300]),
                (I, 1256, &[0x4400]),
                (I, 1276, &[0x3437, 0x3131]),
                (I, 1308, &[0x3fc0, 0]),
            ]
        ),
        says(&[
            ("manufacturer", "EATON"),
            ("model", "9390"),
            ("name", "A"),
            ("type", "B"),
            ("id", "C"),
            ("guid", "D"),
            ("serial", "4711"),
            ("firmware", "1.5"),
        ])
    );
}

#[test]
fn eaton_pxgx_emp() {
    assert_eq!(reads("eaton_pxgx_emp"), [(10275, 2), (12028, 4)]);
    check(
        "eaton_pxgx_emp",
        &[
            (I, 10275, &[0x0000, 0x0001]),
            // 21.5 = 16 + 5.5 in steps of 0x8_0000; 45 = 32 + 13 in steps of 0x4_0000.
            (I, 12028, &[0x41ac, 0, 0x4234, 0]),
        ],
        &[
            (r#"environment_contact{contact="2"}"#, Ok(1.0)),
            ("environment_temperature_celsius", Ok(21.5)),
            ("environment_humidity_ratio", Ok(0.45)),
        ],
    );
    // A contact that is neither; -4.25 = -(4 + 0.25), in steps of 0x20_0000.
    let found = read_from(
        &profile("eaton_pxgx_emp"),
        &[(I, 10275, &[0x0002, 0x0000]), (I, 12028, &[0xc088, 0, 0x42ca, 0])],
    );
    assert_eq!(found[r#"environment_contact{contact="1"}"#], Err(Missing::OutOfRange));
    assert_eq!(found["environment_temperature_celsius"], Ok(-4.25));
    // 101 %.
    assert_eq!(found["environment_humidity_ratio"], Err(Missing::OutOfRange));
    // 68 °F = 64 + 4 in steps of 0x2_0000.
    let found = with("eaton_pxgx_emp", &[("fahrenheit", 1.0)], &[(I, 12028, &[0x4288, 0])]);
    assert_eq!(found["environment_temperature_celsius"], Ok(20.0));
    fails("eaton_pxgx_emp", 10275, &["environment_contact"]);
}

#[test]
fn generex_cs141_ups() {
    assert_eq!(reads("generex_cs141_ups"), [(97, 15), (114, 9)]);
    let running: &Words = &[
        // 230, 231, 229 V; 45, 50, 110 %; 96 %; 228, 232, 230 V; 31 °C; 25 min; normal; 273 V;
        // 50 Hz.
        (H, 97, &[0x00e6, 0x00e7, 0x00e5, 0x002d, 0x0032, 0x006e, 0x0060, 0x00e4, 0x00e8, 0x00e6]),
        (H, 107, &[0x001f, 0x0019, 0x0004, 0x0111, 0x0032]),
        (H, 114, &[0x000c]),
    ];
    check(
        "generex_cs141_ups",
        running,
        &[
            (r#"ups_output_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"ups_output_voltage_volts{phase="l2"}"#, Ok(231.0)),
            (r#"ups_output_voltage_volts{phase="l3"}"#, Ok(229.0)),
            (r#"ups_load_ratio{phase="l1"}"#, Ok(0.45)),
            (r#"ups_load_ratio{phase="l2"}"#, Ok(0.5)),
            (r#"ups_load_ratio{phase="l3"}"#, Ok(1.1)),
            ("ups_battery_charge_ratio", Ok(0.96)),
            (r#"ups_input_voltage_volts{phase="l1"}"#, Ok(228.0)),
            (r#"ups_input_voltage_volts{phase="l2"}"#, Ok(232.0)),
            (r#"ups_input_voltage_volts{phase="l3"}"#, Ok(230.0)),
            ("ups_temperature_celsius", Ok(31.0)),
            ("ups_battery_runtime_seconds", Ok(1500.0)),
            (r#"ups_input_available{input="mains"}"#, Ok(1.0)),
            ("ups_battery_voltage_volts", Ok(273.0)),
            ("ups_input_frequency_hertz", Ok(50.0)),
            ("ups_input_failures_total", Ok(12.0)),
        ],
    );
    // The four states of the list: normal 4, power failure 12, battery test 68, bypass 5.
    let card = profile("generex_cs141_ups");
    for (status, bypass, test) in
        [(0x0004, 0.0, 0.0), (0x000c, 0.0, 0.0), (0x0044, 0.0, 1.0), (0x0005, 1.0, 0.0)]
    {
        let word: &'static [u16] = Box::leak(Box::new([status]));
        let found = read_from(&card, &[(H, 109, word)]);
        assert_eq!(found["ups_on_bypass"], Ok(bypass), "{status:#x}");
        assert_eq!(found["ups_battery_test_running"], Ok(test), "{status:#x}");
        assert_eq!(found["ups_output_off"], Ok(0.0), "{status:#x}");
    }
    // Bit by bit, but for the one that makes all others missing.
    for (bit, change) in [
        (0, Some(("ups_on_bypass", 1.0))),
        (1, None),
        (2, Some(("ups_output_off", 0.0))),
        (3, None),
        (4, None),
        (5, None),
        (6, Some(("ups_battery_test_running", 1.0))),
        (7, None),
        (8, None),
        (9, Some((r#"ups_fault{fault="inverter"}"#, 1.0))),
        (10, None),
        (11, Some(("ups_high_efficiency", 1.0))),
        (12, Some((r#"ups_fault{fault="inverter_warning"}"#, 1.0))),
        (13, Some((r#"ups_fault{fault="general"}"#, 1.0))),
        (15, None),
    ] {
        let expected: Vec<_> =
            change.into_iter().map(|(series, value)| (series.to_owned(), Ok(value))).collect();
        assert_eq!(turned(&card, (H, 109), 1 << bit, &[]), expected, "bit {bit}");
    }
    // The card has lost the UPS: what it still holds does not count.
    let mut lost = running.to_vec();
    lost.insert(0, (H, 109, &[0x4004]));
    for (series, value) in read_from(&card, &lost) {
        let is_fault = series == r#"ups_fault{fault="communication_lost"}"#;
        let expected = if is_fault { Ok(1.0) } else { Err(Missing::NotAvailable) };
        assert_eq!(value, expected, "{series}");
    }
    for (address, series, active) in [
        (115, "ups_battery_replace", 1.0),
        (116, "ups_on_battery", 1.0),
        (117, "ups_battery_low", 1.0),
        (118, "ups_battery_depleted", 1.0),
        (119, r#"ups_fault{fault="overtemperature"}"#, 1.0),
        (120, r#"ups_input_available{input="mains"}"#, 0.0),
        (121, r#"ups_fault{fault="output"}"#, 1.0),
        (122, "ups_overload", 1.0),
    ] {
        let at = |word| turned(&card, (H, address), word, &[]);
        assert_eq!(at(1), [(series.to_owned(), Ok(active))]);
        assert_eq!(at(2), [(series.to_owned(), Err(Missing::OutOfRange))]);
    }
    // 101 %, 121 °C, 301 %.
    let found = read_from(
        &profile("generex_cs141_ups"),
        &[(H, 100, &[0x012d]), (H, 103, &[0x0065]), (H, 107, &[0x0079])],
    );
    assert_eq!(found[r#"ups_load_ratio{phase="l1"}"#], Err(Missing::OutOfRange));
    assert_eq!(found["ups_battery_charge_ratio"], Err(Missing::OutOfRange));
    assert_eq!(found["ups_temperature_celsius"], Err(Missing::OutOfRange));
    fails(
        "generex_cs141_ups",
        114,
        &[
            "ups_input_failures",
            "ups_input_available",
            "ups_battery_replace",
            "ups_on_battery",
            "ups_battery_low",
            "ups_battery_depleted",
            r#"ups_fault{fault="overtemperature"#,
            r#"ups_fault{fault="output"#,
            "ups_overload",
        ],
    );
}

#[test]
fn huawei_ups2000() {
    assert_eq!(reads("huawei_ups2000"), [(11000, 28), (11043, 1), (12000, 8), (41180, 27)]);
    let running: &Words = &[
        // 2298 = 8 × 256 + 250; 500; 2301; 499 tenths; between them what is of other phases.
        (H, 11000, &[0x08fa, 0x7fff, 0x7fff, 0x01f4, 0x08fd, 0x7fff, 0x7fff, 0x01f3]),
        // 2200 = 8 × 256 + 152; 45; 500 tenths; 9 × 100 W; 10 × 100 VA; 455 thousandths.
        (H, 11008, &[0x0898, 0x7fff, 0x7fff, 0x002d, 0x7fff, 0x7fff, 0x01f4, 0x0009]),
        (H, 11018, &[0x000a, 0x7fff, 0x7fff, 0x01c7, 0x7fff, 0x7fff, 0x0002]),
        // 315 tenths.
        (H, 11027, &[0x013b]),
        // 412 tenths; floating; 100 %; 70000 s = 65536 + 4464; 1 pack.
        (H, 12000, &[0x019c, 0x0000, 0x0003, 0x0064, 0x0001, 0x1170, 0x0000, 0x0001]),
    ];
    check(
        "huawei_ups2000",
        running,
        &[
            ("ups_input_voltage_volts", Ok(229.8)),
            ("ups_input_frequency_hertz", Ok(50.0)),
            ("ups_bypass_voltage_volts", Ok(230.1)),
            ("ups_bypass_frequency_hertz", Ok(49.9)),
            ("ups_output_voltage_volts", Ok(220.0)),
            ("ups_output_current_amperes", Ok(4.5)),
            ("ups_output_frequency_hertz", Ok(50.0)),
            ("ups_output_power_watts", Ok(900.0)),
            ("ups_output_apparent_power_voltamperes", Ok(1000.0)),
            ("ups_load_ratio", Ok(0.455)),
            (r#"ups_power_source{source="mains"}"#, Ok(1.0)),
            ("ups_online", Ok(1.0)),
            ("ups_temperature_celsius", Ok(31.5)),
            ("ups_battery_voltage_volts", Ok(41.2)),
            (r#"ups_battery_mode{mode="floating"}"#, Ok(1.0)),
            ("ups_battery_charging", Ok(1.0)),
            ("ups_battery_charge_ratio", Ok(1.0)),
            ("ups_battery_runtime_seconds", Ok(70_000.0)),
            ("ups_battery_packs", Ok(1.0)),
        ],
    );
    // The sentinel of each kind; those of the other kinds are implausible numbers.
    let profile = profile("huawei_ups2000");
    let none: &Words = &[
        (H, 11000, &[0x7fff; 24]),
        (H, 11027, &[0x7fff]),
        (H, 12000, &[0x7fff, 0, 2, 0xffff, 0xffff, 0xffff, 0, 0xffff]),
    ];
    let found = read_from(&profile, none);
    let fixed_point = [
        "ups_input_voltage_volts",
        "ups_input_frequency_hertz",
        "ups_bypass_voltage_volts",
        "ups_bypass_frequency_hertz",
        "ups_output_voltage_volts",
        "ups_output_current_amperes",
        "ups_output_frequency_hertz",
        "ups_output_power_watts",
        "ups_output_apparent_power_voltamperes",
        "ups_load_ratio",
        "ups_temperature_celsius",
        "ups_battery_voltage_volts",
    ];
    let whole = ["ups_battery_charge_ratio", "ups_battery_runtime_seconds", "ups_battery_packs"];
    for series in fixed_point.into_iter().chain(whole) {
        assert_eq!(found[series], Err(Missing::NotAvailable), "{series}");
    }
    let other: &Words = &[
        (H, 11000, &[0xffff; 24]),
        (H, 11027, &[0xffff]),
        (H, 12000, &[0xffff, 0, 2, 0x7fff, 0x0000, 0xffff]),
    ];
    let found = read_from(&profile, other);
    for series in fixed_point.into_iter().chain(["ups_battery_charge_ratio"]) {
        assert_eq!(found[series], Err(Missing::OutOfRange), "{series}");
    }
    assert_eq!(found["ups_battery_runtime_seconds"], Ok(65_535.0));
    each_state(
        "huawei_ups2000",
        (H, 11024),
        r#"ups_power_source{source="*"}"#,
        &[(0, "none"), (1, "bypass"), (2, "mains"), (3, "battery"), (5, "mains_eco")],
        &[4, 6, 0x7fff],
    );
    // Off, bypass, mains, battery, mains in economy mode; 4 and 6 are on no list.
    for (series, on) in [
        ("ups_output_off", 0),
        ("ups_on_bypass", 1),
        ("ups_online", 2),
        ("ups_on_battery", 3),
        ("ups_high_efficiency", 5),
    ] {
        for word in 0..8 {
            let value = if [4, 6, 7].contains(&word) {
                UNKNOWN
            } else if word == on {
                YES
            } else {
                NO
            };
            each_value("huawei_ups2000", (H, 11024), series, &[(word, value)]);
        }
    }
    let modes = [(1, UNKNOWN), (2, NO), (3, YES), (4, YES), (5, NO), (6, UNKNOWN)];
    each_value("huawei_ups2000", (H, 12002), "ups_battery_charging", &modes);
    each_state(
        "huawei_ups2000",
        (H, 12002),
        r#"ups_battery_mode{mode="*"}"#,
        &[(2, "resting"), (3, "floating"), (4, "equalizing"), (5, "discharging")],
        &[0, 1, 6, 0xffff],
    );
    let bits: [(u16, &[(u16, &str)]); 11] = [
        (11043, &[(0x0004, "battery_test_running"), (0x0040, "battery_low")]),
        (41180, &[(0x0008, r#"fault{fault="overtemperature"}"#)]),
        (
            41185,
            &[
                (0x0002, r#"fault{fault="bypass_voltage"}"#),
                (0x0004, r#"fault{fault="bypass_frequency"}"#),
            ],
        ),
        (41187, &[(0x0008, r#"fault{fault="battery_overvoltage"}"#)]),
        (41188, &[(0x0002, "battery_replace"), (0x0008, r#"fault{fault="battery_undervoltage"}"#)]),
        (41194, &[(0x0010, r#"fault{fault="battery_disconnected"}"#)]),
        (
            41197,
            &[
                (0x0008, r#"overload{range="110_to_130_percent"}"#),
                (0x0020, r#"overload{range="105_to_110_percent"}"#),
            ],
        ),
        (41198, &[(0x0001, r#"fault{fault="start_timeout"}"#)]),
        (
            41203,
            &[
                (0x4000, r#"fault{fault="rectifier_bus_low"}"#),
                (0x8000, r#"fault{fault="rectifier_bus_high"}"#),
            ],
        ),
        (
            41204,
            &[
                (0x0002, r#"fault{fault="rectifier_bus_very_low"}"#),
                (0x0020, r#"fault{fault="eeprom"}"#),
                (0x0040, r#"fault{fault="inverter_output"}"#),
                (0x0080, r#"fault{fault="inverter_low"}"#),
                (0x0400, r#"fault{fault="bus_unbalance"}"#),
                (0x0800, r#"fault{fault="overtemperature_to_bypass"}"#),
                (0x2000, r#"fault{fault="charger_no_output"}"#),
            ],
        ),
        (
            41206,
            &[
                (0x0010, r#"fault{fault="charger_battery_undervoltage"}"#),
                (0x2000, r#"fault{fault="overload_shutdown"}"#),
                (0x4000, r#"fault{fault="bypass_overload_shutdown"}"#),
            ],
        ),
    ];
    for (address, listed) in bits {
        each_bit("huawei_ups2000", address, "ups_", listed);
    }
    fails("huawei_ups2000", 11043, &["ups_battery_test_running", "ups_battery_low"]);
    fails("huawei_ups2000", 41180, &["ups_fault", "ups_overload", "ups_battery_replace"]);
    // 9 Ah; 30 × 100 VA.
    assert_eq!(
        identity("huawei_ups2000", &[(H, 12033, &[0x0009]), (H, 19009, &[0x001e])]),
        says(&[("battery_ampere_hours", "9"), ("rated_voltamperes", "3000")])
    );
    // A rating that the device does not have is not said.
    assert_eq!(identity("huawei_ups2000", &[(H, 12033, &[0xffff]), (H, 19009, &[0x7fff])]), []);
}

#[test]
fn openbmc_orv3_bbu() {
    let name = "openbmc_orv3_bbu";
    assert_eq!(reads(name), [(104, 2), (107, 2), (153, 5)]);
    each_alarm(
        name,
        104,
        "pack",
        &[
            (0x0001, "charge_fet"),
            (0x0002, "charge_fuse"),
            (0x0004, "discharge_fuse"),
            (0x0008, "front_end"),
            (0x0010, "controller"),
            (0x0020, "cell_balancing"),
            (0x0040, "fan"),
            (0x0080, "end_of_life"),
            (0x0100, "overvoltage"),
            (0x0200, "cell_overvoltage"),
            (0x0400, "undervoltage"),
            (0x0800, "cell_undervoltage"),
            (0x1000, "overcurrent"),
            (0x2000, "temperature"),
        ],
    );
    each_alarm(
        name,
        105,
        "pack_permanent",
        &[
            (0x0001, "cell_overvoltage"),
            (0x0002, "cell_undervoltage"),
            (0x0004, "cell_overtemperature"),
            (0x0008, "cell_balancing"),
            (0x0010, "charge_fet"),
            (0x0020, "discharge_fet"),
            (0x0040, "front_end"),
            (0x0080, "fan"),
            (0x0100, "fuse"),
            (0x0200, "controller"),
            (0x0400, "charge_timeout"),
            (0x0800, "other"),
            (0x1000, "temperature_sensor"),
        ],
    );
    each_alarm(name, 107, "link", &[(0x0020, "can"), (0x0040, "smbus")]);
    each_alarm(
        name,
        108,
        "battery",
        &[
            (0x0010, "fully_discharged"),
            (0x0100, "remaining_time"),
            (0x0200, "remaining_capacity"),
            (0x0800, "terminate_discharge"),
            (0x1000, "overtemperature"),
            (0x4000, "terminate_charge"),
            (0x8000, "overcharge"),
        ],
    );
    each_alarm(
        name,
        153,
        "converter",
        &[
            (0x0001, "temperature"),
            (0x0002, "boost"),
            (0x0004, "buck"),
            (0x0008, "charger"),
            (0x0010, "fan"),
            (0x0100, "sync_start_2"),
            (0x0200, "sync_start"),
            (0x0400, "rack_sync_start_2"),
            (0x0800, "rack_sync_start"),
        ],
    );
    each_alarm(
        name,
        154,
        "boost",
        &[
            (0x0001, "short_circuit_1"),
            (0x0002, "overcurrent"),
            (0x0004, "overvoltage"),
            (0x0008, "short_circuit_2"),
            (0x0010, "undervoltage"),
        ],
    );
    each_alarm(name, 155, "buck", &[(0x0008, "output_overvoltage")]);
    each_alarm(
        name,
        156,
        "charger",
        &[
            (0x0001, "input_overvoltage"),
            (0x0002, "input_undervoltage"),
            (0x0004, "output_overvoltage"),
            (0x0008, "output_overcurrent"),
            (0x0010, "timeout"),
        ],
    );
    each_alarm(
        name,
        157,
        "temperature",
        &[
            (0x0001, "input_ambient"),
            (0x0002, "output_ambient"),
            (0x0004, "charger"),
            (0x0008, "buck"),
            (0x0010, "boost"),
            (0x0020, "battery_pack"),
        ],
    );
    check(
        name,
        &[(H, 104, &[0x2001])],
        &[
            (r#"rack_power_alarm{alarm="charge_fet", part="pack"}"#, Ok(1.0)),
            (r#"rack_power_alarm{alarm="temperature", part="pack"}"#, Ok(1.0)),
        ],
    );
    let profile = profile(name);
    let answers: Vec<_> = profile
        .reads()
        .iter()
        .map(
            |read| {
                if read.address() == 104 { Err(Missing::Timeout) } else { Ok(answer(&[], read)) }
            },
        )
        .collect();
    for (series, value) in samples(&profile, &answers) {
        let lost = series.contains(r#"part="pack"#);
        assert_eq!(value, if lost { Err(Missing::Timeout) } else { Ok(0.0) }, "{series}");
    }
    assert_eq!(
        identity(
            name,
            &[
                // Panasonic, BJ, 2023, P1, 1.02, S9; pack firmware 258.
                (H, 0, &[0x5061, 0x6e61, 0x736f, 0x6e69, 0x6300]),
                (H, 8, &[0x424a]),
                (H, 16, &[0x3230, 0x3233]),
                (H, 24, &[0x5031]),
                (H, 56, &[0x312e, 0x3032]),
                (H, 64, &[0x5339]),
                (H, 182, &[0x0102]),
            ]
        ),
        says(&[
            ("manufacturer", "Panasonic"),
            ("model", "BJ"),
            ("build_date", "2023"),
            ("part_number", "P1"),
            ("firmware", "1.02"),
            ("serial", "S9"),
            ("pack_firmware", "258"),
        ])
    );
}

#[test]
fn openbmc_orv3_power_monitor() {
    let name = "openbmc_orv3_power_monitor";
    assert_eq!(reads(name), [(89, 1), (93, 1)]);
    each_alarm(
        name,
        89,
        "monitor",
        &[
            (0x0001, "missing_modules"),
            (0x0002, "shelf_eeprom"),
            (0x0010, "module_modbus"),
            (0x0020, "monitor_modbus"),
            (0x0040, "serial_link"),
            (0x0100, "module_alerts"),
            (0x0200, "busbar_overtemperature_warning"),
            (0x0400, "busbar_overtemperature"),
            (0x1000, "share_cable_missing"),
        ],
    );
    each_alarm(
        name,
        93,
        "link",
        &[
            (0x0001, "receive"),
            (0x0002, "module_1"),
            (0x0004, "module_2"),
            (0x0008, "module_3"),
            (0x0010, "module_4"),
            (0x0020, "module_5"),
            (0x0040, "module_6"),
            (0x0100, "shelf_eeprom"),
            (0x0200, "module_7"),
            (0x0400, "module_8"),
            (0x0800, "module_9"),
            (0x1000, "module_10"),
            (0x2000, "module_11"),
        ],
    );
    check(
        name,
        &[(H, 89, &[0x0400])],
        &[(r#"rack_power_alarm{alarm="busbar_overtemperature", part="monitor"}"#, Ok(1.0))],
    );
    let profile = profile(name);
    let answers = [Ok(Data::Registers([0x0001].into())), Err(Missing::Exception(11))];
    for (series, value) in samples(&profile, &answers) {
        let missing = r#"rack_power_alarm{alarm="missing_modules", part="monitor"}"#;
        let expected = match series.as_str() {
            one if one == missing => Ok(1.0),
            link if link.contains(r#"part="link""#) => Err(Missing::Exception(11)),
            _ => Ok(0.0),
        };
        assert_eq!(value, expected, "{series}");
    }
    assert_eq!(
        identity(
            name,
            &[
                // P2, Delta, ECD7, 2024, S8, 2.1.
                (H, 0, &[0x5032]),
                (H, 8, &[0x4465, 0x6c74, 0x6100]),
                (H, 16, &[0x4543, 0x4437]),
                (H, 24, &[0x3230, 0x3234]),
                (H, 32, &[0x5338]),
                (H, 56, &[0x322e, 0x3100]),
            ]
        ),
        says(&[
            ("part_number", "P2"),
            ("manufacturer", "Delta"),
            ("model", "ECD7"),
            ("build_date", "2024"),
            ("serial", "S8"),
            ("firmware", "2.1"),
        ])
    );
}

#[test]
fn openbmc_orv3_power_shelf() {
    let name = "openbmc_orv3_power_shelf";
    assert_eq!(reads(name), [(257, 2), (273, 2), (289, 2), (305, 2), (321, 2), (337, 2)]);
    check(
        name,
        &[
            // Voltages × 64: 230.5, 232, 231.25, 228, 230 and the largest; currents × 1024: 6.5,
            // the smallest, 7.75, 1, 0.5 and the largest.
            (H, 257, &[0x39a0, 0x1a00]),
            (H, 273, &[0x3a00, 0x0001]),
            (H, 289, &[0x39d0, 0x1f00]),
            (H, 305, &[0x3900, 0x0400]),
            (H, 321, &[0x3980, 0x0200]),
            (H, 337, &[0xffff, 0xffff]),
        ],
        &[
            (r#"rack_power_input_voltage_volts{supply="1"}"#, Ok(230.5)),
            (r#"rack_power_input_current_amperes{supply="1"}"#, Ok(6.5)),
            (r#"rack_power_input_voltage_volts{supply="2"}"#, Ok(232.0)),
            (r#"rack_power_input_current_amperes{supply="2"}"#, Ok(0.000_976_562_5)),
            (r#"rack_power_input_voltage_volts{supply="3"}"#, Ok(231.25)),
            (r#"rack_power_input_current_amperes{supply="3"}"#, Ok(7.75)),
            (r#"rack_power_input_voltage_volts{supply="4"}"#, Ok(228.0)),
            (r#"rack_power_input_current_amperes{supply="4"}"#, Ok(1.0)),
            (r#"rack_power_input_voltage_volts{supply="5"}"#, Ok(230.0)),
            (r#"rack_power_input_current_amperes{supply="5"}"#, Ok(0.5)),
            (r#"rack_power_input_voltage_volts{supply="6"}"#, Ok(1_023.984_375)),
            (r#"rack_power_input_current_amperes{supply="6"}"#, Ok(63.999_023_437_5)),
        ],
    );
    fails(
        name,
        289,
        &[
            r#"rack_power_input_voltage_volts{supply="3"#,
            r#"rack_power_input_current_amperes{supply="3"#,
        ],
    );
    assert_eq!(
        identity(
            name,
            &[
                // ARTESYN, P3, 700, S7, 2025.
                (H, 392, &[0x4152, 0x5445, 0x5359, 0x4e00]),
                (H, 400, &[0x5033]),
                (H, 408, &[0x3730, 0x3000]),
                (H, 424, &[0x5337]),
                (H, 440, &[0x3230, 0x3235]),
            ]
        ),
        says(&[
            ("manufacturer", "ARTESYN"),
            ("part_number", "P3"),
            ("model", "700"),
            ("serial", "S7"),
            ("build_date", "2025"),
        ])
    );
}

#[test]
fn openbmc_orv3_psu() {
    let name = "openbmc_orv3_psu";
    assert_eq!(reads(name), [(60, 5), (69, 2), (79, 2), (89, 1)]);
    check(
        name,
        &[
            // 24.5 × 128 = 3136, -1.5 × 128 = -192; 50.25 × 1024 = 51456, 60.5 × 64 = 3872;
            // 13.25 × 1024 = 13568.
            (H, 69, &[0x0c40, 0xff40]),
            (H, 79, &[0xc900, 0x0f20]),
            (H, 89, &[0x3500]),
        ],
        &[
            (r#"rack_power_temperature_celsius{probe="inlet"}"#, Ok(24.5)),
            (r#"rack_power_temperature_celsius{probe="outlet"}"#, Ok(-1.5)),
            ("rack_power_output_voltage_volts", Ok(50.25)),
            ("rack_power_output_current_amperes", Ok(60.5)),
            ("rack_power_input_current_amperes", Ok(13.25)),
        ],
    );
    // 256 °C - 1/128 and -256 °C.
    let found = read_from(&profile(name), &[(H, 69, &[0x7fff, 0x8000])]);
    for probe in ["inlet", "outlet"] {
        let series = format!("rack_power_temperature_celsius{{probe={probe:?}}}");
        assert_eq!(found[&series], Err(Missing::OutOfRange));
    }
    each_alarm(
        name,
        60,
        "supply",
        &[
            (0x0001, "pfc"),
            (0x0002, "dcdc"),
            (0x0004, "temperature"),
            (0x0008, "communication"),
            (0x0100, "pfc_converter"),
            (0x0200, "dcdc_converter"),
            (0x0400, "temperature_alarm"),
            (0x0800, "fan"),
        ],
    );
    each_alarm(
        name,
        61,
        "input",
        &[
            (0x0001, "undervoltage"),
            (0x0002, "overvoltage"),
            (0x0010, "underfrequency"),
            (0x0020, "overfrequency"),
            (0x0100, "ac_not_ok"),
            (0x0200, "bulk_not_ok"),
            (0x0400, "relay_off"),
            (0x0800, "pfc_failure"),
            (0x1000, "ac_lost"),
        ],
    );
    each_alarm(
        name,
        62,
        "output",
        &[
            (0x0001, "undervoltage"),
            (0x0002, "overvoltage"),
            (0x0004, "overcurrent"),
            (0x0008, "short_circuit"),
            (0x0100, "dcdc_failure"),
            (0x0200, "secondary_controller"),
            (0x0400, "oring"),
        ],
    );
    each_alarm(
        name,
        63,
        "temperature",
        &[
            (0x0001, "outlet"),
            (0x0002, "inlet"),
            (0x0004, "oring"),
            (0x0008, "sync"),
            (0x0010, "llc"),
            (0x0020, "pfc"),
            (0x0040, "bus_clip"),
            (0x0080, "bus_clip_overtemperature"),
            (0x0100, "fan"),
            (0x0200, "sensor"),
        ],
    );
    each_alarm(
        name,
        64,
        "link",
        &[(0x0001, "primary_to_secondary"), (0x0002, "secondary_to_logic")],
    );
    fails(name, 60, &["rack_power_alarm"]);
    fails(name, 69, &["rack_power_temperature"]);
    assert_eq!(
        identity(
            name,
            &[
                // P4, ECD17020037, 2022, S6, 1.0, 0.9.
                (H, 0, &[0x5034]),
                (H, 8, &[0x4543, 0x4431, 0x3730, 0x3230, 0x3033, 0x3700]),
                (H, 16, &[0x3230, 0x3232]),
                (H, 24, &[0x5336]),
                (H, 48, &[0x312e, 0x3000]),
                (H, 105, &[0x302e, 0x3900]),
            ]
        ),
        says(&[
            ("part_number", "P4"),
            ("model", "ECD17020037"),
            ("build_date", "2022"),
            ("serial", "S6"),
            ("firmware", "1.0"),
            ("boot_firmware", "0.9"),
        ])
    );
    // The text that tells it from others.
    let profile = profile(name);
    let words: &'static [u16] = &[0x4543, 0x4431, 0x3730, 0x3230, 0x3033, 0x3700, 0, 0];
    let fits = |words: &[u16]| {
        let data = Data::Registers(words.into());
        profile.fingerprints.iter().any(|fingerprint| fingerprint.fits_data(&data))
    };
    assert!(fits(words));
    assert!(!fits(&[0x4543, 0x4431, 0x3730, 0x3230, 0x3033, 0x3800, 0, 0]));
}

#[test]
fn phoenix_contact_quint4_ups() {
    let name = "phoenix_contact_quint4_ups";
    let pages = [(8192, 1), (8198, 2), (8202, 1), (8205, 1), (8207, 2), (12288, 2)];
    assert_eq!(reads(name), pages);
    check(
        name,
        &[
            // Charging.
            (I, 8192, &[0x0020]),
            // 24012 = 93 × 256 + 204, 8500 = 33 × 256 + 52, 27100 = 105 × 256 + 220 thousandths.
            (I, 8198, &[0x5dcc, 0x2134]),
            (I, 8202, &[0x69dc]),
            // 298 K; 85 %, 1800 s.
            (I, 8205, &[0x012a]),
            (I, 8207, &[0x0055, 0x0708]),
        ],
        &[
            ("ups_battery_charging", Ok(1.0)),
            ("ups_output_voltage_volts", Ok(24.012)),
            ("ups_output_current_amperes", Ok(8.5)),
            ("ups_battery_voltage_volts", Ok(27.1)),
            ("ups_battery_temperature_celsius", Ok(25.0)),
            ("ups_battery_charge_ratio", Ok(0.85)),
            ("ups_battery_runtime_seconds", Ok(1800.0)),
        ],
    );
    // 263 K; 0 K; 101 %.
    let cold = read_from(&profile(name), &[(I, 8205, &[0x0107, 0, 0x0065])]);
    assert_eq!(cold["ups_battery_temperature_celsius"], Ok(-10.0));
    assert_eq!(cold["ups_battery_charge_ratio"], Err(Missing::OutOfRange));
    let none = read_from(&profile(name), &[]);
    assert_eq!(none["ups_battery_temperature_celsius"], Err(Missing::OutOfRange));
    // 40001 = 156 × 256 + 65 thousandths are no voltage of a supply of 24 V.
    let high = read_from(&profile(name), &[(I, 8198, &[0x9c41]), (I, 8202, &[0x9c41])]);
    assert_eq!(high["ups_output_voltage_volts"], Err(Missing::OutOfRange));
    assert_eq!(high["ups_battery_voltage_volts"], Err(Missing::OutOfRange));
    each_bit(name, 8192, "ups_", &[(0x0004, "on_battery"), (0x0020, "battery_charging")]);
    each_bit(
        name,
        12288,
        "ups_",
        &[
            (0x0008, r#"fault{fault="no_battery"}"#),
            (0x0020, r#"fault{fault="inconsistent_batteries"}"#),
            (0x0200, r#"battery_replace{reason="resistance"}"#),
            (0x0400, r#"battery_replace{reason="voltage"}"#),
        ],
    );
    each_bit(
        name,
        12289,
        "ups_",
        &[
            (0x0001, r#"battery_replace{reason="time"}"#),
            (0x0004, "battery_depleted"),
            (0x0008, r#"battery_low{reason="voltage"}"#),
            (0x0010, r#"battery_low{reason="charge"}"#),
            (0x0020, r#"battery_low{reason="time"}"#),
            (0x0100, "overload"),
            (0x4000, r#"battery_replace{reason="service"}"#),
        ],
    );
    fails(name, 8192, &["ups_on_battery", "ups_battery_charging"]);
    // 2907067 = 44 × 65536 + 23483, the low word first.
    assert_eq!(
        identity(name, &[(I, 5, &[0x5bbb, 0x002c, 0x0000, 0x0000])]),
        says(&[("part_number", "2907067")])
    );
}

#[test]
fn tripplite_modbuscard() {
    let name = "tripplite_modbuscard";
    assert_eq!(reads(name), [(1054, 12), (1073, 4), (1091, 6), (1110, 3), (1127, 6)]);
    check(
        name,
        &[
            // Good, ok, charging; 90 s, 37 min, 98 %; 546 and 25 tenths; 27 °C, 97 %; packs;
            // 2724 = 10 × 256 + 164 tenths.
            (I, 1054, &[0, 0, 1, 0x005a, 0x0025, 0x0062, 0x0222, 0x0019, 0x001b, 0x0061]),
            (I, 1064, &[0x0002, 0x0aa4]),
            // 601, 1198 = 4 × 256 + 174, 82 tenths; 98 × 10 W.
            (I, 1073, &[0x0259, 0x04ae, 0x0052, 0x0062]),
            // 600 tenths; lines; 1202, 79 tenths; 94 × 10 W; 63 %.
            (I, 1091, &[0x0258, 0x0001, 0x04b2, 0x004f, 0x005e, 0x003f]),
            // 599 tenths; lines; 1195 tenths.
            (I, 1110, &[0x0257, 0x0001, 0x04ab]),
            // Passed; a reserved one; 24 °C, 41 %, contact 1 on.
            (I, 1127, &[0x0001, 0x0000, 0x0018, 0x0029, 0x0001, 0x0000]),
        ],
        &[
            (r#"ups_battery_condition{condition="good"}"#, Ok(1.0)),
            (r#"ups_battery_status{status="normal"}"#, Ok(1.0)),
            (r#"ups_battery_mode{mode="charging"}"#, Ok(1.0)),
            ("ups_battery_charging", Ok(1.0)),
            ("ups_on_battery_seconds", Ok(90.0)),
            ("ups_battery_runtime_seconds", Ok(2220.0)),
            ("ups_battery_charge_ratio", Ok(0.98)),
            ("ups_battery_voltage_volts", Ok(54.6)),
            ("ups_battery_current_amperes", Ok(2.5)),
            ("ups_battery_temperature_celsius", Ok(27.0)),
            (r#"ups_battery_charge_ratio{string="positive"}"#, Ok(0.97)),
            (r#"ups_battery_voltage_volts{string="negative"}"#, Ok(272.4)),
            ("ups_input_frequency_hertz", Ok(60.1)),
            ("ups_input_voltage_volts", Ok(119.8)),
            ("ups_input_current_amperes", Ok(8.2)),
            ("ups_input_power_watts", Ok(980.0)),
            ("ups_output_frequency_hertz", Ok(60.0)),
            ("ups_output_voltage_volts", Ok(120.2)),
            ("ups_output_current_amperes", Ok(7.9)),
            ("ups_output_power_watts", Ok(940.0)),
            ("ups_load_ratio", Ok(0.63)),
            ("ups_bypass_frequency_hertz", Ok(59.9)),
            ("ups_bypass_voltage_volts", Ok(119.5)),
            (r#"ups_battery_test{result="passed"}"#, Ok(1.0)),
            ("environment_temperature_celsius", Ok(24.0)),
            ("environment_humidity_ratio", Ok(0.41)),
            (r#"environment_contact{contact="1"}"#, Ok(1.0)),
        ],
    );
    each_state(
        name,
        (I, 1054),
        r#"ups_battery_condition{condition="*"}"#,
        &[(0, "good"), (1, "weak"), (2, "replace")],
        &[3, 0xffff],
    );
    each_state(
        name,
        (I, 1055),
        r#"ups_battery_status{status="*"}"#,
        &[(0, "normal"), (1, "low"), (2, "depleted")],
        &[3, 0xffff],
    );
    each_state(
        name,
        (I, 1056),
        r#"ups_battery_mode{mode="*"}"#,
        &[(0, "floating"), (1, "charging"), (2, "resting"), (3, "discharging")],
        &[4, 0xffff],
    );
    each_state(
        name,
        (I, 1127),
        r#"ups_battery_test{result="*"}"#,
        &[
            (0, "none"),
            (1, "passed"),
            (2, "in_progress"),
            (3, "general_fault"),
            (4, "battery_fault"),
            (5, "deep_test_fault"),
            (6, "aborted"),
        ],
        &[7, 0xffff],
    );
    let condition = [(0, NO), (1, NO), (2, YES), (3, UNKNOWN)];
    each_value(name, (I, 1054), "ups_battery_replace", &condition);
    each_value(name, (I, 1055), "ups_battery_low", &[(0, NO), (1, YES), (2, YES), (3, UNKNOWN)]);
    let status = [(0, NO), (1, NO), (2, YES), (3, UNKNOWN)];
    each_value(name, (I, 1055), "ups_battery_depleted", &status);
    let charge = [(0, NO), (1, NO), (2, NO), (3, YES), (4, UNKNOWN)];
    each_value(name, (I, 1056), "ups_on_battery", &charge);
    let charge = [(0, NO), (1, YES), (2, NO), (3, NO), (4, UNKNOWN)];
    each_value(name, (I, 1056), "ups_battery_charging", &charge);
    let test = [(0, NO), (1, NO), (2, YES), (3, NO), (6, NO), (7, UNKNOWN)];
    each_value(name, (I, 1127), "ups_battery_test_running", &test);
    // Seconds count to 65534; 101 %; the other contact.
    let found =
        read_from(&profile(name), &[(I, 1057, &[0xfffe, 0x03e8, 0x0065]), (I, 1131, &[2, 1])]);
    assert_eq!(found["ups_on_battery_seconds"], Ok(65_534.0));
    // 1000 minutes.
    assert_eq!(found["ups_battery_runtime_seconds"], Err(Missing::OutOfRange));
    assert_eq!(found["ups_battery_charge_ratio"], Err(Missing::OutOfRange));
    assert_eq!(found[r#"environment_contact{contact="1"}"#], Err(Missing::OutOfRange));
    assert_eq!(found[r#"environment_contact{contact="2"}"#], Ok(1.0));
    let found = read_from(&profile(name), &[(I, 1057, &[0xffff])]);
    assert_eq!(found["ups_on_battery_seconds"], Err(Missing::OutOfRange));
    fails(name, 1127, &["ups_battery_test", "environment_"]);
    fails(name, 1073, &["ups_input_"]);
    assert_eq!(
        identity(
            name,
            &[
                // On-line; 120 V, 600 tenths, 121 V, 500 tenths; 300 × 10 VA, 270 × 10 W.
                (I, 1038, &[0x0000]),
                (I, 1025, &[0x0078, 0x0258, 0x0079, 0x01f4, 0x012c, 0x010e]),
            ]
        ),
        says(&[
            ("topology", "0"),
            ("rated_input_volts", "120"),
            ("rated_input_hertz", "60"),
            ("rated_output_volts", "121"),
            ("rated_output_hertz", "50"),
            ("rated_voltamperes", "3000"),
            ("rated_watts", "2700"),
        ])
    );
}

#[test]
fn vertiv_liebert_aps_ups() {
    let name = "vertiv_liebert_aps_ups";
    assert_eq!(reads(name), [(436, 7), (444, 4), (463, 9), (1933, 2), (1945, 1)]);
    check(
        name,
        &[
            // 35 min, 544 tenths, 1234 = 4 × 256 + 210 hundredths, 100 %, normal, charging,
            // -25 tenths.
            (I, 436, &[0x0023, 0x0220, 0x04d2, 0x0064, 0x0002, 0x0001, 0xffe7]),
            // 17; 123 tenths of an hour; 100000 = 65536 + 34464 min.
            (I, 444, &[0x0011, 0x007b, 0x0001, 0x86a0]),
            // 1201, 1199, 2400 = 9 × 256 + 96; 105, 110 tenths; 5998 = 23 × 256 + 110 hundredths;
            // 95, 100; 255 hundredths of a kVA.
            (I, 463, &[0x04b1, 0x04af, 0x0960, 0x0069, 0x006e, 0x176e, 0x005f, 0x0064, 0x00ff]),
            // Warning, float; fault.
            (I, 1933, &[0x0001, 0x0001]),
            (I, 1945, &[0x0004]),
        ],
        &[
            ("ups_battery_runtime_seconds", Ok(2100.0)),
            ("ups_battery_voltage_volts", Ok(54.4)),
            ("ups_dc_bus_current_amperes", Ok(12.34)),
            ("ups_battery_charge_ratio", Ok(1.0)),
            (r#"ups_battery_status{status="normal"}"#, Ok(1.0)),
            (r#"ups_battery_mode{mode="charging"}"#, Ok(1.0)),
            ("ups_battery_charging", Ok(1.0)),
            (r#"ups_fault{fault="bypass_control"}"#, Ok(1.0)),
            ("ups_battery_temperature_celsius", Ok(-2.5)),
            ("ups_battery_discharges_total", Ok(17.0)),
            ("ups_battery_discharge_seconds_total", Ok(44_280.0)),
            ("ups_battery_test_due_seconds", Ok(6_000_000.0)),
            (r#"ups_output_voltage_volts{phase="l1"}"#, Ok(120.1)),
            (r#"ups_output_voltage_volts{phase="l2"}"#, Ok(119.9)),
            (r#"ups_output_voltage_volts{phase="l1l2"}"#, Ok(240.0)),
            (r#"ups_output_current_amperes{phase="l1"}"#, Ok(10.5)),
            (r#"ups_output_current_amperes{phase="l2"}"#, Ok(11.0)),
            ("ups_output_frequency_hertz", Ok(59.98)),
            (r#"ups_output_power_factor_ratio{phase="l1"}"#, Ok(0.95)),
            (r#"ups_output_power_factor_ratio{phase="l2"}"#, Ok(1.0)),
            ("ups_output_apparent_power_voltamperes", Ok(2550.0)),
            (r#"ups_module_status{module="charger", status="warning"}"#, Ok(1.0)),
            (r#"ups_charger_mode{mode="float"}"#, Ok(1.0)),
            (r#"ups_module_status{module="bypass_control", status="fault"}"#, Ok(1.0)),
        ],
    );
    each_state(
        name,
        (I, 440),
        r#"ups_battery_status{status="*"}"#,
        &[(1, "unknown"), (2, "normal"), (3, "low"), (4, "depleted")],
        &[0, 5],
    );
    each_state(
        name,
        (I, 441),
        r#"ups_battery_mode{mode="*"}"#,
        &[(0, "charged"), (1, "charging"), (2, "discharging"), (3, "not_charging")],
        &[4, 0xffff],
    );
    for (address, module) in [(1933, "charger"), (1945, "bypass_control")] {
        each_state(
            name,
            (I, address),
            &format!(r#"ups_module_status{{module="{module}", status="*"}}"#),
            &[(0, "normal"), (1, "warning"), (2, "alarm"), (4, "fault")],
            &[3, 5, 0xffff],
        );
    }
    each_state(
        name,
        (I, 1934),
        r#"ups_charger_mode{mode="*"}"#,
        &[(0, "not_charging"), (1, "float"), (2, "current_limit"), (3, "equalize")],
        &[4, 0xffff],
    );
    let status = [(0, UNKNOWN), (1, NONE), (2, NO), (3, YES), (4, YES), (5, UNKNOWN)];
    each_value(name, (I, 440), "ups_battery_low", &status);
    let status = [(1, NONE), (2, NO), (3, NO), (4, YES), (5, UNKNOWN)];
    each_value(name, (I, 440), "ups_battery_depleted", &status);
    let mode = [(0, NO), (1, NO), (2, YES), (3, NO), (4, UNKNOWN)];
    each_value(name, (I, 441), "ups_on_battery", &mode);
    let mode = [(0, NO), (1, YES), (2, NO), (3, NO), (4, UNKNOWN)];
    each_value(name, (I, 441), "ups_battery_charging", &mode);
    let module = [(0, NO), (1, NO), (2, YES), (3, UNKNOWN), (4, YES), (5, UNKNOWN)];
    each_value(name, (I, 1933), r#"ups_fault{fault="charger"}"#, &module);
    each_value(name, (I, 1945), r#"ups_fault{fault="bypass_control"}"#, &module);
    // 101 %, 1.01, -41 °C (-410 = 0xfe66).
    let found =
        read_from(&profile(name), &[(I, 439, &[0x0065, 2, 0, 0xfe66]), (I, 469, &[0x0065])]);
    assert_eq!(found["ups_battery_charge_ratio"], Err(Missing::OutOfRange));
    assert_eq!(found["ups_battery_temperature_celsius"], Err(Missing::OutOfRange));
    assert_eq!(found[r#"ups_output_power_factor_ratio{phase="l1"}"#], Err(Missing::OutOfRange));
    fails(name, 463, &["ups_output_"]);
    fails(name, 444, &["ups_battery_discharge", "ups_battery_test_due"]);
}
