//! From registers to samples: meters and the two transfer switches that came with them. The words
//! are worked out by hand from the register lists; nothing here comes out of the decoder.
//!
//! A number of single precision between 2^n and 2^(n+1) begins with 0x3f80 + n × 0x80; what it is
//! above 2^n follows in steps of 2^(23-n). So 229.5 is 0x4300_0000 + 101.5 × 0x1_0000.

mod answers;

use std::collections::BTreeMap;

use answers::{Words, answer, check, check_of, profile, read_from, reads, samples};
use hallwatch_agent::profile::{Fingerprint, Placement, Profile};
use hallwatch_modbus::Table::{HoldingRegisters as H, InputRegisters as I};
use hallwatch_modbus::sunspec::{Chain, Model};
use hallwatch_modbus::{Data, Table};
use hallwatch_model::Missing;

fn identity<'p>(profile: &'p Profile, words: &Words) -> Vec<(&'p str, String)> {
    let reads = profile.identity_reads();
    let answers: Vec<_> = reads.iter().map(|read| Ok(answer(words, read))).collect();
    profile.identity(&answers)
}

/// The profile at a site that sets these parameters.
#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn placed(name: &str, parameters: &[(&str, f64)]) -> Profile {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    profile(name).placed(&Placement { parameters, ..Placement::default() }).unwrap()
}

#[test]
fn abb_b23() {
    assert_eq!(reads("abb_b23"), [(20480, 8), (21600, 24), (23296, 62)]);
    check(
        "abb_b23",
        &[
            // 100000 = 0x0001_86a0 and 150 hundredths of a kWh, 36 kJ each.
            (H, 20480, &[0, 0, 1, 0x86a0, 0, 0, 0, 150]),
            // 40000, 30000, 30001; 50, 60, 2^32.
            (H, 21600, &[0, 0, 0, 40_000, 0, 0, 0, 30_000, 0, 0, 0, 30_001]),
            (H, 21612, &[0, 0, 0, 50, 0, 0, 0, 60, 0, 1, 0, 0]),
            // 230.4, 230.5, 229.9 V in tenths; 16.5, 15.25 and 700.0 A (70000 = 0x0001_1170).
            (H, 23296, &[0, 2304, 0, 2305, 0, 2299]),
            (H, 23308, &[0, 1650, 0, 1525, 1, 0x1170]),
            // 1050000 = 0x0010_0590; 350000 = 0x0005_5730, -12345 = 0xffff_cfc7,
            // 712345 = 0x000a_de99.
            (H, 23316, &[0x10, 0x0590, 5, 0x5730, 0xffff, 0xcfc7, 0xa, 0xde99]),
            (H, 23340, &[5001]),
            // 0.95, -0.87 (-870 = 0xfc9a), 1, 0.875.
            (H, 23354, &[950, 0xfc9a, 1000, 875]),
        ],
        &[
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(3_600_000_000.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(5_400_000.0)),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l1"}"#,
                Ok(1_440_000_000.0),
            ),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l2"}"#,
                Ok(1_080_000_000.0),
            ),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l3"}"#,
                Ok(1_080_036_000.0),
            ),
            (r#"meter_energy_joules_total{direction="received", phase="l1"}"#, Ok(1_800_000.0)),
            (r#"meter_energy_joules_total{direction="received", phase="l2"}"#, Ok(2_160_000.0)),
            (
                r#"meter_energy_joules_total{direction="received", phase="l3"}"#,
                Ok(154_618_822_656_000.0),
            ),
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.4)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(230.5)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(229.9)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(700.0)),
            ("meter_active_power_watts", Ok(10_500.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-123.45)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(7123.45)),
            ("meter_frequency_hertz", Ok(50.01)),
            ("meter_power_factor_ratio", Ok(0.95)),
            (r#"meter_power_factor_ratio{phase="l1"}"#, Ok(-0.87)),
            (r#"meter_power_factor_ratio{phase="l2"}"#, Ok(1.0)),
            (r#"meter_power_factor_ratio{phase="l3"}"#, Ok(0.875)),
        ],
    );
    // A B21 has one phase: the sentinel of each type, beside numbers one short of it.
    let found = read_from(
        &profile("abb_b23"),
        &[
            (H, 20480, &[0xffff, 0xffff, 0xffff, 0xffff, 0, 0, 0xffff, 0xffff]),
            (H, 21600, &[0xffff; 24]),
            (H, 23298, &[0xffff, 0xffff, 0xffff, 0xfffe]),
            (H, 23310, &[0xffff, 0xffff]),
            (H, 23316, &[0x7fff, 0xffff, 0xffff, 0xffff, 0x7fff, 0xffff, 0x7fff, 0xfffe]),
            (H, 23340, &[0xffff]),
            (H, 23354, &[0x7fff, 0xffff, 0x7fff, 0x7ffe]),
        ],
    );
    let not_available: Vec<&str> = found
        .iter()
        .filter(|(_, value)| **value == Err(Missing::NotAvailable))
        .map(|(series, _)| series.as_str())
        .collect();
    assert_eq!(
        not_available,
        [
            "meter_active_power_watts",
            r#"meter_active_power_watts{phase="l2"}"#,
            r#"meter_current_amperes{phase="l2"}"#,
            r#"meter_energy_joules_total{direction="delivered", phase="l1"}"#,
            r#"meter_energy_joules_total{direction="delivered", phase="l2"}"#,
            r#"meter_energy_joules_total{direction="delivered", phase="l3"}"#,
            r#"meter_energy_joules_total{direction="delivered"}"#,
            r#"meter_energy_joules_total{direction="received", phase="l1"}"#,
            r#"meter_energy_joules_total{direction="received", phase="l2"}"#,
            r#"meter_energy_joules_total{direction="received", phase="l3"}"#,
            "meter_frequency_hertz",
            "meter_power_factor_ratio",
            r#"meter_power_factor_ratio{phase="l2"}"#,
            r#"meter_voltage_volts{phase="l2"}"#,
        ]
    );
    assert_eq!(found[r#"meter_active_power_watts{phase="l1"}"#], Ok(-0.01));
    assert_eq!(found[r#"meter_power_factor_ratio{phase="l1"}"#], Ok(-0.001));
    for series in [
        r#"meter_voltage_volts{phase="l3"}"#,
        r#"meter_active_power_watts{phase="l3"}"#,
        r#"meter_power_factor_ratio{phase="l3"}"#,
    ] {
        assert_eq!(found[series], Err(Missing::OutOfRange), "{series}");
    }
}

#[test]
fn an_abb_b23_says_who_it_is() {
    let profile = profile("abb_b23");
    // 0x000f_4240 = 1000000; "B2.10.0"; "B23 ".
    let words: &Words = &[
        (H, 35072, &[0x000f, 0x4240]),
        (H, 35080, &[0x4232, 0x2e31, 0x302e, 0x3000]),
        (H, 35168, &[0x4232, 0x3320]),
    ];
    assert_eq!(
        identity(&profile, words),
        [("serial", "1000000"), ("firmware", "B2.10.0"), ("model", "B23")]
            .map(|(what, text)| (what, text.to_owned()))
    );
    // All ones are no number.
    let unnumbered: &Words = &[(H, 35072, &[0xffff, 0xffff]), (H, 35168, &[0x4232, 0x3320])];
    assert_eq!(identity(&profile, unnumbered), [("model", "B23".to_owned())]);
    // The type in four characters: "B21 ", "B23 ", "B24 "; "B22 " is another meter.
    let cases = [(0x3120, true), (0x3320, true), (0x3420, true), (0x3220, false)];
    for (word, fits) in cases {
        let data = Data::Registers(Box::new([0x4232, word]));
        let found = profile.fingerprints.iter().any(|fingerprint| fingerprint.fits_data(&data));
        assert_eq!(found, fits, "{word:#x}");
    }
    for fingerprint in &profile.fingerprints {
        let Fingerprint::Registers { read, .. } = fingerprint else { panic!("no registers") };
        assert_eq!((read.table(), read.address(), read.count()), (H, 35168, 2));
    }
}

#[test]
fn abb_otm_c21d() {
    assert_eq!(profile("abb_otm_c21d").reads().len(), 2);
    // The high byte is the major version: 26.170.
    let words: &Words = &[(I, 26, &[0x1aaa])];
    let firmware = ("firmware", "26.170".to_owned());
    assert_eq!(identity(&profile("abb_otm_c21d"), words), [firmware]);
    let alarms = [
        "none",
        "switch_1_transfer_failed",
        "switch_2_transfer_failed",
        "both_closed",
        "switch_1_failed_in_emergency_off",
        "switch_2_failed_in_emergency_off",
    ];
    let series = alarms.map(|alarm| format!("ats_last_alarm{{alarm={alarm:?}}}"));
    let words: [&Words; 6] = [
        &[(I, 25, &[0])],
        &[(I, 25, &[1])],
        &[(I, 25, &[2])],
        &[(I, 25, &[3])],
        &[(I, 25, &[4])],
        &[(I, 25, &[5])],
    ];
    for (words, series) in words.iter().zip(&series) {
        check("abb_otm_c21d", words, &[(series.as_str(), Ok(1.0))]);
    }
    // Remote control, and an alarm that no list has.
    let found = read_from(&profile("abb_otm_c21d"), &[(I, 25, &[6]), (H, 33, &[1])]);
    assert_eq!(found["ats_remote_control"], Ok(1.0));
    for series in &series {
        assert_eq!(found[series], Err(Missing::OutOfRange), "{series}");
    }
    let found = read_from(&profile("abb_otm_c21d"), &[(H, 33, &[2])]);
    assert_eq!(found["ats_remote_control"], Err(Missing::OutOfRange));
}

#[test]
fn acrel_adw300() {
    assert_eq!(reads("acrel_adw300"), [(20, 3), (26, 3), (36, 2), (62, 4)]);
    check(
        "acrel_adw300",
        &[
            (H, 20, &[2301, 2312, 2298]),
            (H, 26, &[1234, 0xffff, 5]),
            // -500 W; 12345 and 65536 hundredths of a kWh, 36 kJ each.
            (H, 36, &[0xffff, 0xfe0c]),
            (H, 62, &[0, 12_345, 1, 0]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.1)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(231.2)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(229.8)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(12.34)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(655.35)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(0.05)),
            ("meter_active_power_watts", Ok(-500.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(444_420_000.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(2_359_296_000.0)),
        ],
    );
    // 1000.1 V, a power that no such meter can have and a counter below zero.
    let found = read_from(
        &profile("acrel_adw300"),
        &[(H, 20, &[10_001]), (H, 36, &[0x7fff, 0xffff]), (H, 62, &[0xffff, 0xffff])],
    );
    for series in [
        r#"meter_voltage_volts{phase="l1"}"#,
        "meter_active_power_watts",
        r#"meter_energy_joules_total{direction="delivered"}"#,
    ] {
        assert_eq!(found[series], Err(Missing::OutOfRange), "{series}");
    }
}

#[test]
fn an_acrel_adw300_behind_transformers() {
    // 40 : 1 and 100 : 1.
    let profile = placed("acrel_adw300", &[("ct_ratio", 40.0), ("vt_ratio", 100.0)]);
    let found = read_from(
        &profile,
        &[(H, 20, &[577]), (H, 26, &[250]), (H, 36, &[0xffff, 0xfff6]), (H, 62, &[0, 2])],
    );
    assert_eq!(found[r#"meter_voltage_volts{phase="l1"}"#], Ok(5770.0));
    assert_eq!(found[r#"meter_current_amperes{phase="l1"}"#], Ok(100.0));
    assert_eq!(found["meter_active_power_watts"], Ok(-40_000.0));
    assert_eq!(found[r#"meter_energy_joules_total{direction="delivered"}"#], Ok(288_000_000.0));
}

#[test]
fn carlo_gavazzi_em340() {
    assert!(reads("carlo_gavazzi_em340").iter().all(|(_, count)| *count <= 50));
    check(
        "carlo_gavazzi_em340",
        // The low word comes first.
        &[
            (I, 0, &[2301, 0, 2312, 0, 2298, 0]),
            // 5.25 A, 70 A (70000 = 0x0001_1170), -1 A (-1000 = 0xffff_fc18).
            (I, 12, &[5250, 0, 0x1170, 1, 0xfc18, 0xffff]),
            // 1207.5 W, 10520 W (105200 = 0x0001_9af0), -229.8 W (-2298 = 0xffff_f706).
            (I, 18, &[12_075, 0, 0x9af0, 1, 0xf706, 0xffff]),
            // 1210 VA, 10530 VA (105300 = 0x0001_9b54), 240 VA.
            (I, 24, &[12_100, 0, 0x9b54, 1, 2400, 0]),
            // 78 var, -456.7 var (-4567 = 0xffff_ee29), 5.5 var.
            (I, 30, &[780, 0, 0xee29, 0xffff, 55, 0]),
            // 114977 = 0x0001_c121, 119800 = 0x0001_d3f8, -3732 = 0xffff_f16c.
            (I, 40, &[0xc121, 1, 0xd3f8, 1, 0xf16c, 0xffff]),
            // 0.998, -1, -0.1, 0.96; not read: the phase sequence; 50 Hz.
            (I, 46, &[998, 0xfc18, 0xff9c, 960, 0xffff, 500]),
            // Tenths of a kWh, 360 kJ each: 1234567 = 0x0012_d687; 1000, 2000, 65536; 25.
            (I, 52, &[0xd687, 0x12]),
            (I, 64, &[1000, 0, 2000, 0, 0, 1]),
            (I, 78, &[25, 0]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.1)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(231.2)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(229.8)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(5.25)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(70.0)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(-1.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(1207.5)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(10_520.0)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(-229.8)),
            (r#"meter_apparent_power_voltamperes{phase="l1"}"#, Ok(1210.0)),
            (r#"meter_apparent_power_voltamperes{phase="l2"}"#, Ok(10_530.0)),
            (r#"meter_apparent_power_voltamperes{phase="l3"}"#, Ok(240.0)),
            (r#"meter_reactive_power_vars{phase="l1"}"#, Ok(78.0)),
            (r#"meter_reactive_power_vars{phase="l2"}"#, Ok(-456.7)),
            (r#"meter_reactive_power_vars{phase="l3"}"#, Ok(5.5)),
            ("meter_active_power_watts", Ok(11_497.7)),
            ("meter_apparent_power_voltamperes", Ok(11_980.0)),
            ("meter_reactive_power_vars", Ok(-373.2)),
            (r#"meter_power_factor_ratio{phase="l1"}"#, Ok(0.998)),
            (r#"meter_power_factor_ratio{phase="l2"}"#, Ok(-1.0)),
            (r#"meter_power_factor_ratio{phase="l3"}"#, Ok(-0.1)),
            ("meter_power_factor_ratio", Ok(0.96)),
            ("meter_frequency_hertz", Ok(50.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(444_444_120_000.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l1"}"#, Ok(360_000_000.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l2"}"#, Ok(720_000_000.0)),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l3"}"#,
                Ok(23_592_960_000.0),
            ),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(9_000_000.0)),
        ],
    );
}

#[test]
fn eastron_sdm120() {
    assert_eq!(reads("eastron_sdm120"), [(0, 32), (70, 10), (342, 4)]);
    check(
        "eastron_sdm120",
        &[
            // 230.5 V; 5.25 A; -1208 W; 1210.125 VA; 70.5 var; -0.96875.
            (I, 0, &[0x4366, 0x8000]),
            (I, 6, &[0x40a8, 0]),
            (I, 12, &[0xc497, 0]),
            (I, 18, &[0x4497, 0x4400]),
            (I, 24, &[0x428d, 0]),
            (I, 30, &[0xbf78, 0]),
            // 49.96875 Hz; 1000.5 and 0.5 kWh; 12.25 and 0.25 kvarh.
            (I, 70, &[0x4247, 0xe000, 0x447a, 0x2000, 0x3f00, 0, 0x4144, 0, 0x3e80, 0]),
            // 1001 kWh, 12.5 kvarh.
            (I, 342, &[0x447a, 0x4000, 0x4148, 0]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.5)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(5.25)),
            ("meter_active_power_watts", Ok(-1208.0)),
            ("meter_apparent_power_voltamperes", Ok(1210.125)),
            ("meter_reactive_power_vars", Ok(70.5)),
            ("meter_power_factor_ratio", Ok(-0.96875)),
            ("meter_frequency_hertz", Ok(49.96875)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(3_601_800_000.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(1_800_000.0)),
            (r#"meter_reactive_energy_var_seconds_total{direction="delivered"}"#, Ok(44_100_000.0)),
            (r#"meter_reactive_energy_var_seconds_total{direction="received"}"#, Ok(900_000.0)),
            ("meter_energy_joules_total", Ok(3_603_600_000.0)),
            ("meter_reactive_energy_var_seconds_total", Ok(45_000_000.0)),
        ],
    );
    // Not a number; 300 Hz; a current and a counter below zero.
    let found = read_from(
        &profile("eastron_sdm120"),
        &[(I, 0, &[0x7fc0, 0]), (I, 6, &[0xbf80, 0]), (I, 70, &[0x4396, 0]), (I, 72, &[0xbf80, 0])],
    );
    assert_eq!(found[r#"meter_voltage_volts{phase="l1"}"#], Err(Missing::NotAvailable));
    for series in [
        r#"meter_current_amperes{phase="l1"}"#,
        "meter_frequency_hertz",
        r#"meter_energy_joules_total{direction="delivered"}"#,
    ] {
        assert_eq!(found[series], Err(Missing::OutOfRange), "{series}");
    }
}

const SDM630: &Words = &[
    // 230, 229.5, 231.25 V; 16.5, 15.25, 17 A; 3500, -120.5, 3900 W.
    (I, 0, &[0x4366, 0, 0x4365, 0x8000, 0x4367, 0x4000]),
    (I, 6, &[0x4184, 0, 0x4174, 0, 0x4188, 0]),
    (I, 12, &[0x455a, 0xc000, 0xc2f1, 0, 0x4573, 0xc000]),
    // 3600, 125, 4000 VA; 840, -33, 880 var; 0.96875, -0.5, 0.875.
    (I, 18, &[0x4561, 0, 0x42fa, 0, 0x457a, 0]),
    (I, 24, &[0x4452, 0, 0xc204, 0, 0x445c, 0]),
    (I, 30, &[0x3f78, 0, 0xbf00, 0, 0x3f60, 0]),
    // 48.75 A; 7279.5 W; 7725 VA; 1687 var, 0.9375; not read: 52, 54, 58.
    (I, 48, &[0x4243, 0, 0xffff, 0xffff, 0x45e3, 0x7c00, 0xffff, 0xffff]),
    (I, 56, &[0x45f1, 0x6800, 0xffff, 0xffff, 0x44d2, 0xe000, 0x3f70, 0]),
    // 50 Hz; 1000.5 and 0.5 kWh; 12.25 and 0.25 kvarh.
    (I, 70, &[0x4248, 0, 0x447a, 0x2000, 0x3f00, 0, 0x4144, 0, 0x3e80, 0]),
    // 1.5, 2.5, 3 %.
    (I, 234, &[0x3fc0, 0, 0x4020, 0, 0x4040, 0]),
    // 1001 kWh; 300, 350.25, 350.5 kWh; 0.125, 0.1875, 0.3125 kWh.
    (I, 342, &[0x447a, 0x4000]),
    (I, 346, &[0x4396, 0, 0x43af, 0x2000, 0x43af, 0x4000]),
    (I, 352, &[0x3e00, 0, 0x3e40, 0, 0x3ea0, 0]),
];

#[test]
fn eastron_sdm630() {
    assert_eq!(reads("eastron_sdm630"), [(0, 58), (60, 20), (234, 6), (342, 16)]);
    check(
        "eastron_sdm630",
        SDM630,
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.5)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.25)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(17.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-120.5)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3900.0)),
            (r#"meter_apparent_power_voltamperes{phase="l1"}"#, Ok(3600.0)),
            (r#"meter_apparent_power_voltamperes{phase="l2"}"#, Ok(125.0)),
            (r#"meter_apparent_power_voltamperes{phase="l3"}"#, Ok(4000.0)),
            (r#"meter_reactive_power_vars{phase="l1"}"#, Ok(840.0)),
            (r#"meter_reactive_power_vars{phase="l2"}"#, Ok(-33.0)),
            (r#"meter_reactive_power_vars{phase="l3"}"#, Ok(880.0)),
            (r#"meter_power_factor_ratio{phase="l1"}"#, Ok(0.96875)),
            (r#"meter_power_factor_ratio{phase="l2"}"#, Ok(-0.5)),
            (r#"meter_power_factor_ratio{phase="l3"}"#, Ok(0.875)),
            ("meter_current_amperes", Ok(48.75)),
            ("meter_active_power_watts", Ok(7279.5)),
            ("meter_apparent_power_voltamperes", Ok(7725.0)),
            ("meter_reactive_power_vars", Ok(1687.0)),
            ("meter_power_factor_ratio", Ok(0.9375)),
            ("meter_frequency_hertz", Ok(50.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(3_601_800_000.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(1_800_000.0)),
            (r#"meter_reactive_energy_var_seconds_total{direction="delivered"}"#, Ok(44_100_000.0)),
            (r#"meter_reactive_energy_var_seconds_total{direction="received"}"#, Ok(900_000.0)),
            (r#"meter_voltage_distortion_ratio{phase="l1"}"#, Ok(0.015)),
            (r#"meter_voltage_distortion_ratio{phase="l2"}"#, Ok(0.025)),
            (r#"meter_voltage_distortion_ratio{phase="l3"}"#, Ok(0.03)),
            ("meter_energy_joules_total", Ok(3_603_600_000.0)),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l1"}"#,
                Ok(1_080_000_000.0),
            ),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l2"}"#,
                Ok(1_260_900_000.0),
            ),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l3"}"#,
                Ok(1_261_800_000.0),
            ),
            (r#"meter_energy_joules_total{direction="received", phase="l1"}"#, Ok(450_000.0)),
            (r#"meter_energy_joules_total{direction="received", phase="l2"}"#, Ok(675_000.0)),
            (r#"meter_energy_joules_total{direction="received", phase="l3"}"#, Ok(1_125_000.0)),
        ],
    );
}

#[test]
fn janitza_umg604() {
    assert_eq!(reads("janitza_umg604"), [(1317, 56), (1439, 2), (9851, 14)]);
    check(
        "janitza_umg604",
        &[
            // 230, 229.5, 231.25 V; 16.5, 15.25, 17 A; 3500, -120.5, 3900 W; 840, -33, 880 var.
            (H, 1317, &[0x4366, 0, 0x4365, 0x8000, 0x4367, 0x4000]),
            (H, 1325, &[0x4184, 0, 0x4174, 0, 0x4188, 0]),
            (H, 1333, &[0x455a, 0xc000, 0xc2f1, 0, 0x4573, 0xc000]),
            (H, 1341, &[0x4452, 0, 0xc204, 0, 0x445c, 0]),
            // 7279.5 W, 1687 var; 50 Hz; 2^24 and 1500 Wh.
            (H, 1369, &[0x45e3, 0x7c00, 0x44d2, 0xe000]),
            (H, 1439, &[0x4248, 0]),
            (H, 9851, &[0x4b80, 0]),
            (H, 9863, &[0x44bb, 0x8000]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.5)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.25)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(17.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-120.5)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3900.0)),
            (r#"meter_reactive_power_vars{phase="l1"}"#, Ok(840.0)),
            (r#"meter_reactive_power_vars{phase="l2"}"#, Ok(-33.0)),
            (r#"meter_reactive_power_vars{phase="l3"}"#, Ok(880.0)),
            ("meter_active_power_watts", Ok(7279.5)),
            ("meter_reactive_power_vars", Ok(1687.0)),
            ("meter_frequency_hertz", Ok(50.0)),
            // Consumed is what reaches the load.
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(60_397_977_600.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(5_400_000.0)),
        ],
    );
}

#[test]
fn janitza_umg96rm() {
    assert_eq!(reads("janitza_umg96rm"), [(19000, 78)]);
    check(
        "janitza_umg96rm",
        &[
            // 230, 229.5, 231.25 V; 16.5, 15.25, 17 A, neutral 0.5 A.
            (H, 19000, &[0x4366, 0, 0x4365, 0x8000, 0x4367, 0x4000]),
            (H, 19012, &[0x4184, 0, 0x4174, 0, 0x4188, 0, 0x3f00, 0]),
            // 3500, -120.5, 3900, 7279.5 W; 840, -33, 880, 1687 var.
            (H, 19020, &[0x455a, 0xc000, 0xc2f1, 0, 0x4573, 0xc000, 0x45e3, 0x7c00]),
            (H, 19036, &[0x4452, 0, 0xc204, 0, 0x445c, 0, 0x44d2, 0xe000]),
            // 0.96875, -0.5, 0.875, 50 Hz.
            (H, 19044, &[0x3f78, 0, 0xbf00, 0, 0x3f60, 0, 0x4248, 0]),
            // 1000.5, 300, 350.25 Wh, 2^24 Wh; 0.125, 0.1875, 0.3125, 1500 Wh.
            (H, 19062, &[0x447a, 0x2000, 0x4396, 0, 0x43af, 0x2000, 0x4b80, 0]),
            (H, 19070, &[0x3e00, 0, 0x3e40, 0, 0x3ea0, 0, 0x44bb, 0x8000]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.5)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.25)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(17.0)),
            (r#"meter_current_amperes{phase="n"}"#, Ok(0.5)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-120.5)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3900.0)),
            ("meter_active_power_watts", Ok(7279.5)),
            (r#"meter_reactive_power_vars{phase="l1"}"#, Ok(840.0)),
            (r#"meter_reactive_power_vars{phase="l2"}"#, Ok(-33.0)),
            (r#"meter_reactive_power_vars{phase="l3"}"#, Ok(880.0)),
            ("meter_reactive_power_vars", Ok(1687.0)),
            (r#"meter_power_factor_ratio{phase="l1"}"#, Ok(0.96875)),
            (r#"meter_power_factor_ratio{phase="l2"}"#, Ok(-0.5)),
            (r#"meter_power_factor_ratio{phase="l3"}"#, Ok(0.875)),
            ("meter_frequency_hertz", Ok(50.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l1"}"#, Ok(3_601_800.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l2"}"#, Ok(1_080_000.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l3"}"#, Ok(1_260_900.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(60_397_977_600.0)),
            (r#"meter_energy_joules_total{direction="received", phase="l1"}"#, Ok(450.0)),
            (r#"meter_energy_joules_total{direction="received", phase="l2"}"#, Ok(675.0)),
            (r#"meter_energy_joules_total{direction="received", phase="l3"}"#, Ok(1125.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(5_400_000.0)),
        ],
    );
}

#[test]
fn phoenix_contact_eem() {
    assert_eq!(reads("phoenix_contact_eem"), [(32774, 30), (33024, 8)]);
    check(
        "phoenix_contact_eem",
        // The low word comes first.
        &[
            // 230, 229.5, 231.25 V; 50 Hz; 16.5, 15.25, -17, 48.75 A; 7279.5 W.
            (H, 32774, &[0, 0x4366, 0x8000, 0x4365, 0x4000, 0x4367, 0, 0x4248]),
            (H, 32782, &[0, 0x4184, 0, 0x4174, 0, 0xc188, 0, 0x4243, 0x7c00, 0x45e3]),
            // 3500, -120.5, 3900 W; 2^24 and 1500 Wh.
            (H, 32798, &[0xc000, 0x455a, 0, 0xc2f1, 0xc000, 0x4573]),
            (H, 33024, &[0, 0x4b80]),
            (H, 33030, &[0x8000, 0x44bb]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.5)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.25)),
            ("meter_frequency_hertz", Ok(50.0)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(-17.0)),
            ("meter_current_amperes", Ok(48.75)),
            ("meter_active_power_watts", Ok(7279.5)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-120.5)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3900.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(60_397_977_600.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(5_400_000.0)),
        ],
    );
    // The words of 229.5 V the other way round: a number just below zero.
    let found = read_from(&profile("phoenix_contact_eem"), &[(H, 32776, &[0x4365, 0x8000])]);
    assert_eq!(found[r#"meter_voltage_volts{phase="l2"}"#], Err(Missing::OutOfRange));
}

#[test]
fn schneider_iem3000() {
    check(
        "schneider_iem3000",
        &[
            // 16.5, 15.25, 17 A, mean 16.25 A; 230, 229.5, 231.25 V, mean 230.25 V.
            (H, 2999, &[0x4184, 0, 0x4174, 0, 0x4188, 0]),
            (H, 3009, &[0x4182, 0]),
            (H, 3027, &[0x4366, 0, 0x4365, 0x8000, 0x4367, 0x4000]),
            (H, 3035, &[0x4366, 0x4000]),
            // 3.5, -0.125, 3.75, 7.125 kW; 1.6875 kvar; 7.75 kVA; 50 Hz.
            (H, 3053, &[0x4060, 0, 0xbe00, 0, 0x4070, 0, 0x40e4, 0]),
            (H, 3067, &[0x3fd8, 0]),
            (H, 3075, &[0x40f8, 0]),
            (H, 3109, &[0x4248, 0]),
            // 2^32 + 5 and 1500 Wh; 100000 = 0x0001_86a0 and 7 varh; 1000, 2000, 3000 Wh.
            (H, 3203, &[0, 1, 0, 5, 0, 0, 0, 1500]),
            (H, 3219, &[0, 0, 1, 0x86a0, 0, 0, 0, 7]),
            (H, 3517, &[0, 0, 0, 1000, 0, 0, 0, 2000, 0, 0, 0, 3000]),
        ],
        &[
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(17.0)),
            ("meter_average_current_amperes", Ok(16.25)),
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.5)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.25)),
            (r#"meter_average_voltage_volts{phase="ln"}"#, Ok(230.25)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-125.0)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3750.0)),
            ("meter_active_power_watts", Ok(7125.0)),
            ("meter_reactive_power_vars", Ok(1687.5)),
            ("meter_apparent_power_voltamperes", Ok(7750.0)),
            ("meter_frequency_hertz", Ok(50.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(15_461_882_283_600.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(5_400_000.0)),
            (
                r#"meter_reactive_energy_var_seconds_total{direction="delivered"}"#,
                Ok(360_000_000.0),
            ),
            (r#"meter_reactive_energy_var_seconds_total{direction="received"}"#, Ok(25_200.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l1"}"#, Ok(3_600_000.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l2"}"#, Ok(7_200_000.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l3"}"#, Ok(10_800_000.0)),
        ],
    );
    // -1 Wh, and not a number as the vendor writes it.
    let found = read_from(
        &profile("schneider_iem3000"),
        &[(H, 2999, &[0xffc0, 0]), (H, 3203, &[0xffff, 0xffff, 0xffff, 0xffff])],
    );
    assert_eq!(found[r#"meter_current_amperes{phase="l1"}"#], Err(Missing::NotAvailable));
    assert_eq!(
        found[r#"meter_energy_joules_total{direction="delivered"}"#],
        Err(Missing::OutOfRange)
    );
}

#[test]
fn a_smartlink_meter_may_count_watts() {
    // 3500 W, 7279.5 W, 1687 var, 7725 VA; the energy is in Wh in any case.
    let found = read_from(
        &placed("schneider_iem3000", &[("power_unit", 1.0)]),
        &[
            (H, 3053, &[0x455a, 0xc000]),
            (H, 3059, &[0x45e3, 0x7c00]),
            (H, 3067, &[0x44d2, 0xe000]),
            (H, 3075, &[0x45f1, 0x6800]),
            (H, 3203, &[0, 0, 0, 1500]),
        ],
    );
    assert_eq!(found[r#"meter_active_power_watts{phase="l1"}"#], Ok(3500.0));
    assert_eq!(found["meter_active_power_watts"], Ok(7279.5));
    assert_eq!(found["meter_reactive_power_vars"], Ok(1687.0));
    assert_eq!(found["meter_apparent_power_voltamperes"], Ok(7725.0));
    assert_eq!(found[r#"meter_energy_joules_total{direction="delivered"}"#], Ok(5_400_000.0));
}

#[test]
fn shelly_gen2_info() {
    let profile = profile("shelly_gen2_info");
    assert_eq!(profile.connection.port, Some(502));
    assert!(profile.series().is_empty());
    // There is nothing to measure; whether it answers is seen by asking who it is.
    assert_eq!(profile.reads(), profile.identity_reads());
    let asked: Vec<_> =
        profile.identity_reads().iter().map(|r| (r.table(), r.address(), r.count())).collect();
    assert_eq!(asked, [(I, 0, 48)]);
    // "A8032ABE54DC"; "SPEM-003"; "Hall 2", padded with zeros.
    let words: &Words = &[
        (I, 0, &[0x4138, 0x3033, 0x3241, 0x4245, 0x3534, 0x4443]),
        (I, 6, &[0x5350, 0x454d, 0x2d30, 0x3033]),
        (I, 16, &[0x4861, 0x6c6c, 0x2032]),
    ];
    assert_eq!(
        identity(&profile, words),
        [("mac", "A8032ABE54DC"), ("model", "SPEM-003"), ("name", "Hall 2")]
            .map(|(what, text)| (what, text.to_owned()))
    );
    // A device without a name has none.
    let silent = identity(&profile, &[(I, 0, &[0x4138])]);
    assert_eq!(silent, [("mac", "A8".to_owned())]);
}

#[test]
fn siemens_7kt_pac1600() {
    // Not one register more than needed: what lies between is answered with an exception.
    assert_eq!(
        reads("siemens_7kt_pac1600"),
        [(1, 30), (49, 6), (57, 4), (6687, 8), (6707, 2), (6727, 2), (6747, 2)]
    );
    check(
        "siemens_7kt_pac1600",
        &[
            // Hundredths of a volt; 16.5 A (165000 = 0x0002_8488), 15.25 A (152500 =
            // 0x0002_53b4), 0.0005 A; 399.9, 400.1, 399.5 V.
            (I, 1, &[0, 23_010, 0, 23_120, 0, 22_980, 2, 0x8488, 2, 0x53b4, 0, 5]),
            (I, 13, &[0, 39_990, 0, 40_010, 0, 39_950]),
            // 350000 = 0x0005_5730, -12050 = 0xffff_d0ee, 390000 = 0x0005_f370.
            (I, 19, &[5, 0x5730, 0xffff, 0xd0ee, 5, 0xf370]),
            // 84000 = 0x0001_4820, -3300 = 0xffff_f31c, 88000 = 0x0001_57c0.
            (I, 25, &[1, 0x4820, 0xffff, 0xf31c, 1, 0x57c0]),
            // 49.98 Hz; 230.37 and 399.83 V.
            (I, 49, &[0, 4998, 0, 23_037, 0, 39_983]),
            // 727950 = 0x000b_1b8e, 168700 = 0x0002_92fc.
            (I, 57, &[0xb, 0x1b8e, 2, 0x92fc]),
            // 100000 and 1500 Wh, 2500 and 7 varh; 1000, 2000, 2^32 - 1 Wh.
            (I, 6687, &[1, 0x86a0, 0, 1500, 0, 2500, 0, 7]),
            (I, 6707, &[0, 1000]),
            (I, 6727, &[0, 2000]),
            (I, 6747, &[0xffff, 0xffff]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.1)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(231.2)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(229.8)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(0.0005)),
            (r#"meter_voltage_volts{phase="l1l2"}"#, Ok(399.9)),
            (r#"meter_voltage_volts{phase="l2l3"}"#, Ok(400.1)),
            (r#"meter_voltage_volts{phase="l3l1"}"#, Ok(399.5)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-120.5)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3900.0)),
            (r#"meter_reactive_power_vars{phase="l1"}"#, Ok(840.0)),
            (r#"meter_reactive_power_vars{phase="l2"}"#, Ok(-33.0)),
            (r#"meter_reactive_power_vars{phase="l3"}"#, Ok(880.0)),
            ("meter_frequency_hertz", Ok(49.98)),
            (r#"meter_average_voltage_volts{phase="ln"}"#, Ok(230.37)),
            (r#"meter_average_voltage_volts{phase="ll"}"#, Ok(399.83)),
            ("meter_active_power_watts", Ok(7279.5)),
            ("meter_reactive_power_vars", Ok(1687.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(360_000_000.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(5_400_000.0)),
            (r#"meter_reactive_energy_var_seconds_total{direction="delivered"}"#, Ok(9_000_000.0)),
            (r#"meter_reactive_energy_var_seconds_total{direction="received"}"#, Ok(25_200.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l1"}"#, Ok(3_600_000.0)),
            (r#"meter_energy_joules_total{direction="delivered", phase="l2"}"#, Ok(7_200_000.0)),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l3"}"#,
                Ok(15_461_882_262_000.0),
            ),
        ],
    );
    // -0.01 Hz, and a mean voltage below zero.
    let found =
        read_from(&profile("siemens_7kt_pac1600"), &[(I, 49, &[0xffff, 0xffff, 0xffff, 0xfffe])]);
    assert_eq!(found["meter_frequency_hertz"], Err(Missing::OutOfRange));
    assert_eq!(found[r#"meter_average_voltage_volts{phase="ln"}"#], Err(Missing::OutOfRange));
}

#[test]
fn siemens_sentron_pac2200() {
    assert_eq!(reads("siemens_sentron_pac2200"), [(1, 70), (801, 12)]);
    check(
        "siemens_sentron_pac2200",
        &[
            // 230, 229.5, 231.25 V; 16.5, 15.25, 17 A; 3500, -120.5, 3900 W.
            (H, 1, &[0x4366, 0, 0x4365, 0x8000, 0x4367, 0x4000]),
            (H, 13, &[0x4184, 0, 0x4174, 0, 0x4188, 0]),
            (H, 25, &[0x455a, 0xc000, 0xc2f1, 0, 0x4573, 0xc000]),
            // 840, -33, 880 var; 0.96875, -0.5, 0.875.
            (H, 31, &[0x4452, 0, 0xc204, 0, 0x445c, 0, 0x3f78, 0, 0xbf00, 0, 0x3f60, 0]),
            // Mean 16.25 A; 7725 VA, 7279.5 W, 1687 var, 0.9375.
            (H, 61, &[0x4182, 0, 0x45f1, 0x6800, 0x45e3, 0x7c00, 0x44d2, 0xe000, 0x3f70, 0]),
            // Double precision: 1000.5 Wh = 1.9541015625 × 2^9, exponent 1032 = 0x408, fraction
            // 0xf4400 in the first 20 bits; 16777216.5 Wh = 2^24 + 2^-1, exponent 1047 = 0x417.
            (H, 801, &[0x408f, 0x4400, 0, 0]),
            (H, 809, &[0x4170, 0, 0x0800, 0]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.5)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.25)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(17.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-120.5)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3900.0)),
            (r#"meter_reactive_power_vars{phase="l1"}"#, Ok(840.0)),
            (r#"meter_reactive_power_vars{phase="l2"}"#, Ok(-33.0)),
            (r#"meter_reactive_power_vars{phase="l3"}"#, Ok(880.0)),
            (r#"meter_power_factor_ratio{phase="l1"}"#, Ok(0.96875)),
            (r#"meter_power_factor_ratio{phase="l2"}"#, Ok(-0.5)),
            (r#"meter_power_factor_ratio{phase="l3"}"#, Ok(0.875)),
            ("meter_average_current_amperes", Ok(16.25)),
            ("meter_apparent_power_voltamperes", Ok(7725.0)),
            ("meter_active_power_watts", Ok(7279.5)),
            ("meter_reactive_power_vars", Ok(1687.0)),
            ("meter_power_factor_ratio", Ok(0.9375)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(3_601_800.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(60_397_979_400.0)),
        ],
    );
}

#[test]
fn socomec_diris_b30() {
    assert_eq!(reads("socomec_diris_b30"), [(18444, 56), (19843, 5)]);
    check(
        "socomec_diris_b30",
        &[
            // Hundredths of a volt; thousandths of an ampere: 16.5, 70 (0x0001_1170), 0.005.
            (H, 18444, &[0, 23_010, 0, 23_120, 0, 22_980]),
            (H, 18458, &[0, 16_500, 1, 0x1170, 0, 5]),
            // 7280 W, -1687 var = 0xffff_f969; 3500, -120 = 0xffff_ff88, 3900 W; 840, -33, 880 var.
            (H, 18476, &[0, 7280, 0xffff, 0xf969]),
            (H, 18488, &[0, 3500, 0xffff, 0xff88, 0, 3900, 0, 840, 0xffff, 0xffdf, 0, 880]),
            // 100000 = 0x0001_86a0 and 3 kWh; the register between is no part of either.
            (H, 19843, &[1, 0x86a0, 0xffff, 0, 3]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.1)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(231.2)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(229.8)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(70.0)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(0.005)),
            ("meter_active_power_watts", Ok(7280.0)),
            ("meter_reactive_power_vars", Ok(-1687.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-120.0)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3900.0)),
            (r#"meter_reactive_power_vars{phase="l1"}"#, Ok(840.0)),
            (r#"meter_reactive_power_vars{phase="l2"}"#, Ok(-33.0)),
            (r#"meter_reactive_power_vars{phase="l3"}"#, Ok(880.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(360_000_000_000.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(10_800_000.0)),
        ],
    );
}

/// The block at 0xc558, which three profiles share. Power is in units of 10 W and 10 var.
fn socomec(name: &str, frequency: &'static [u16], energy: u16, delivered: f64, received: f64) {
    check(
        name,
        &[
            (H, 50520, &[0, 23_010, 0, 23_120, 0, 22_980]),
            (H, 50526, frequency),
            (H, 50528, &[0, 16_500, 1, 0x1170, 0, 5]),
            // 728; -169 = 0xffff_ff57; 350, -12, 390; 84, -3, 88.
            (H, 50536, &[0, 728, 0xffff, 0xff57]),
            (H, 50544, &[0, 350, 0xffff, 0xfff4, 0, 390, 0, 84, 0xffff, 0xfffd, 0, 88]),
            // 100000 = 0x0001_86a0 and 3.
            (H, energy, &[1, 0x86a0, 0xffff, 0xffff, 0xffff, 0xffff, 0, 3]),
        ],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.1)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(231.2)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(229.8)),
            ("meter_frequency_hertz", Ok(50.01)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(70.0)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(0.005)),
            ("meter_active_power_watts", Ok(7280.0)),
            ("meter_reactive_power_vars", Ok(-1690.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-120.0)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3900.0)),
            (r#"meter_reactive_power_vars{phase="l1"}"#, Ok(840.0)),
            (r#"meter_reactive_power_vars{phase="l2"}"#, Ok(-30.0)),
            (r#"meter_reactive_power_vars{phase="l3"}"#, Ok(880.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(delivered)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(received)),
        ],
    );
}

#[test]
fn socomec_diris_countis() {
    assert_eq!(reads("socomec_diris_countis"), [(50520, 36), (50946, 8)]);
    // 5001 hundredths of a hertz; energy in 10 Wh.
    socomec("socomec_diris_countis", &[0, 5001], 50946, 3_600_000_000.0, 108_000.0);
    // A meter that counts thousandths is noticed.
    let found = read_from(&profile("socomec_diris_countis"), &[(H, 50526, &[0, 50_010])]);
    assert_eq!(found["meter_frequency_hertz"], Err(Missing::OutOfRange));
}

#[test]
fn socomec_countis_e23() {
    assert_eq!(reads("socomec_countis_e23"), [(50520, 36), (50946, 8)]);
    // 50010 thousandths of a hertz.
    socomec("socomec_countis_e23", &[0, 50_010], 50946, 3_600_000_000.0, 108_000.0);
}

#[test]
fn socomec_diris_a10() {
    assert_eq!(reads("socomec_diris_a10"), [(50520, 36), (50780, 8)]);
    // Energy in kWh.
    socomec("socomec_diris_a10", &[0, 5001], 50780, 360_000_000_000.0, 10_800_000.0);
}

#[test]
fn wago_879_3000() {
    assert_eq!(reads("wago_879_3000"), [(20480, 50), (24588, 14)]);
    check(
        "wago_879_3000",
        &[
            // Mean 230.25 V; 230, 229.5, 231.25 V; 50 Hz; 48.75 A; 16.5, 15.25, -17 A.
            (H, 20480, &[0x4366, 0x4000, 0x4366, 0, 0x4365, 0x8000, 0x4367, 0x4000]),
            (H, 20488, &[0x4248, 0, 0x4243, 0, 0x4184, 0, 0x4174, 0, 0xc188, 0]),
            // 7.125 kW; 3.5, -0.125, 3.75 kW; 1.6875 kvar; 7.75 kVA.
            (H, 20498, &[0x40e4, 0, 0x4060, 0, 0xbe00, 0, 0x4070, 0, 0x3fd8, 0]),
            (H, 20514, &[0x40f8, 0]),
            // 0.9375; 0.96875, -0.5, 0.875.
            (H, 20522, &[0x3f70, 0, 0x3f78, 0, 0xbf00, 0, 0x3f60, 0]),
            // 1000.5 kWh; 300, 350.25, 350.5 kWh; 0.5 kWh.
            (H, 24588, &[0x447a, 0x2000]),
            (H, 24594, &[0x4396, 0, 0x43af, 0x2000, 0x43af, 0x4000, 0x3f00, 0]),
        ],
        &[
            (r#"meter_average_voltage_volts{phase="ln"}"#, Ok(230.25)),
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.5)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.25)),
            ("meter_frequency_hertz", Ok(50.0)),
            ("meter_current_amperes", Ok(48.75)),
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(-17.0)),
            ("meter_active_power_watts", Ok(7125.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(-125.0)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3750.0)),
            ("meter_reactive_power_vars", Ok(1687.5)),
            ("meter_apparent_power_voltamperes", Ok(7750.0)),
            ("meter_power_factor_ratio", Ok(0.9375)),
            (r#"meter_power_factor_ratio{phase="l1"}"#, Ok(0.96875)),
            (r#"meter_power_factor_ratio{phase="l2"}"#, Ok(-0.5)),
            (r#"meter_power_factor_ratio{phase="l3"}"#, Ok(0.875)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(3_601_800_000.0)),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l1"}"#,
                Ok(1_080_000_000.0),
            ),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l2"}"#,
                Ok(1_260_900_000.0),
            ),
            (
                r#"meter_energy_joules_total{direction="delivered", phase="l3"}"#,
                Ok(1_261_800_000.0),
            ),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(1_800_000.0)),
        ],
    );
}

#[test]
fn asco_group_g() {
    assert_eq!(
        reads("asco_group_g"),
        [(11, 3), (16, 4), (22, 1), (58, 3), (159, 3), (176, 4), (198, 1)]
    );
    assert!(profile("asco_group_g").is_unverified());
    check(
        "asco_group_g",
        &[
            // -10.0 degrees (-100 = 0xff9c); 59.98 and 60.01 Hz.
            (H, 11, &[0xff9c, 5998, 6001]),
            // 480.1, 479.5, 480.3 V; 2 %; 479.0 V.
            (H, 16, &[4801, 4795, 4803, 2]),
            (H, 22, &[4790]),
            (H, 58, &[120, 118, 121]),
            // 365 days; 42 transfers, 7 for a source's failure; 65536 and 90 minutes; 1.3 s.
            (H, 159, &[365, 42, 7]),
            (H, 176, &[1, 0, 0, 90]),
            (H, 198, &[13]),
        ],
        &[
            ("ats_phase_difference_degrees", Ok(-10.0)),
            (r#"ats_source_frequency_hertz{source="1"}"#, Ok(59.98)),
            (r#"ats_source_frequency_hertz{source="2"}"#, Ok(60.01)),
            (r#"ats_source_voltage_volts{phase="l1l2", source="1"}"#, Ok(480.1)),
            (r#"ats_source_voltage_volts{phase="l2l3", source="1"}"#, Ok(479.5)),
            (r#"ats_source_voltage_volts{phase="l3l1", source="1"}"#, Ok(480.3)),
            (r#"ats_source_voltage_unbalance_ratio{source="1"}"#, Ok(0.02)),
            (r#"ats_source_voltage_volts{phase="l3l1", source="2"}"#, Ok(479.0)),
            (r#"ats_current_amperes{phase="l1"}"#, Ok(120.0)),
            (r#"ats_current_amperes{phase="l2"}"#, Ok(118.0)),
            (r#"ats_current_amperes{phase="l3"}"#, Ok(121.0)),
            ("ats_energized_seconds_total", Ok(31_536_000.0)),
            ("ats_transfers_total", Ok(42.0)),
            (r#"ats_transfers_total{cause="source_failure"}"#, Ok(7.0)),
            (r#"ats_source_seconds_total{source="1"}"#, Ok(3_932_160.0)),
            (r#"ats_source_seconds_total{source="2"}"#, Ok(5400.0)),
            ("ats_transfer_seconds", Ok(1.3)),
        ],
    );
    // 1000.1 V and an unbalance of 65535 %.
    let found = read_from(&profile("asco_group_g"), &[(H, 16, &[10_001]), (H, 19, &[0xffff])]);
    for series in [
        r#"ats_source_voltage_volts{phase="l1l2", source="1"}"#,
        r#"ats_source_voltage_unbalance_ratio{source="1"}"#,
    ] {
        assert_eq!(found[series], Err(Missing::OutOfRange), "{series}");
    }
}

const FAMILY: [&str; 19] = [
    "abb_b23",
    "abb_otm_c21d",
    "acrel_adw300",
    "asco_group_g",
    "carlo_gavazzi_em340",
    "eastron_sdm120",
    "eastron_sdm630",
    "janitza_umg604",
    "janitza_umg96rm",
    "phoenix_contact_eem",
    "schneider_iem3000",
    "shelly_gen2_info",
    "siemens_7kt_pac1600",
    "siemens_sentron_pac2200",
    "socomec_countis_e23",
    "socomec_diris_a10",
    "socomec_diris_b30",
    "socomec_diris_countis",
    "wago_879_3000",
];

#[test]
fn a_failed_read_is_missing_for_its_series_and_for_no_other() {
    for name in FAMILY {
        let profile = profile(name);
        let whole: Vec<_> = profile.reads().iter().map(|read| Ok(answer(&[], read))).collect();
        let before = samples(&profile, &whole);
        let mut failed: BTreeMap<String, usize> = BTreeMap::new();
        for index in 0..whole.len() {
            let mut answers = whole.clone();
            answers[index] = Err(Missing::Exception(2));
            for (series, value) in samples(&profile, &answers) {
                if value == Err(Missing::Exception(2)) {
                    *failed.entry(series).or_default() += 1;
                } else {
                    assert_eq!(value, before[&series], "{name} {series}");
                }
            }
        }
        assert_eq!(failed.len(), before.len(), "{name}");
        assert!(failed.values().all(|count| *count == 1), "{name} {failed:?}");
    }
}

#[test]
fn an_sdm630_without_distortion_has_everything_else() {
    let profile = profile("eastron_sdm630");
    let answers: Vec<Result<Data, Missing>> = profile
        .reads()
        .iter()
        .map(|read| {
            if read.address() == 234 {
                return Err(Missing::Exception(2));
            }
            Ok(answer(SDM630, read))
        })
        .collect();
    let found = samples(&profile, &answers);
    let missing: Vec<&str> = found
        .iter()
        .filter(|(_, value)| value.is_err())
        .map(|(series, _)| series.as_str())
        .collect();
    assert_eq!(
        missing,
        [
            r#"meter_voltage_distortion_ratio{phase="l1"}"#,
            r#"meter_voltage_distortion_ratio{phase="l2"}"#,
            r#"meter_voltage_distortion_ratio{phase="l3"}"#,
        ]
    );
    assert_eq!(found["meter_active_power_watts"], Ok(7279.5));
    // All of it is in the table that function code 4 reads.
    assert!(profile.reads().iter().all(|read| read.table() == Table::InputRegisters));
}

/// Its models wherever the chain says: the meter before the common one, and behind it.
#[test]
fn sunspec_meter_203() {
    let base = profile("sunspec_meter_203");
    assert!(base.reads().is_empty() && base.series().is_empty());
    let model = |id, address, length| Model { id, address, length };
    let placed = |models: Vec<Model>| {
        let chain = Some(Chain { table: H, models });
        base.placed(&Placement { chain, ..Placement::default() }).unwrap()
    };
    let at = placed(vec![model(1, 40002, 66), model(203, 40070, 105)]);
    let words: &Words = &[
        (H, 40004, &[0x4143, 0x4d45]),
        (H, 40052, &[0x3437, 0x3131]),
        // Hundredths of an ampere; the third phase is not there.
        (H, 40073, &[1250, 1300, 0x8000, 0xfffe]),
        // Tenths of a volt, hundredths of a hertz.
        (H, 40078, &[2301, 2295, 2310, 0, 0, 0, 0, 0xffff, 4998, 0xfffe]),
        // -200, 100, -300, 0 times ten watts; 25, 10, 5, 10 times a hundred voltamperes.
        (H, 40088, &[0xff38, 100, 0xfed4, 0, 1, 25, 10, 5, 10, 2]),
        (H, 40098, &[0x8000, 0x8000, 0x8000, 0x8000, 0x8000]),
        // 65,536 Wh of 3600 J each.
        (H, 40108, &[1, 0]),
    ];
    let missing = Err(Missing::NotAvailable);
    let expected = [
        (r#"meter_current_amperes{phase="l1"}"#, Ok(12.5)),
        (r#"meter_current_amperes{phase="l2"}"#, Ok(13.0)),
        (r#"meter_current_amperes{phase="l3"}"#, missing),
        (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.1)),
        (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.5)),
        (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.0)),
        ("meter_frequency_hertz", Ok(49.98)),
        ("meter_active_power_watts", Ok(-2000.0)),
        (r#"meter_active_power_watts{phase="l1"}"#, Ok(1000.0)),
        (r#"meter_active_power_watts{phase="l2"}"#, Ok(-3000.0)),
        ("meter_apparent_power_voltamperes", Ok(2500.0)),
        (r#"meter_apparent_power_voltamperes{phase="l1"}"#, Ok(1000.0)),
        (r#"meter_apparent_power_voltamperes{phase="l2"}"#, Ok(500.0)),
        (r#"meter_apparent_power_voltamperes{phase="l3"}"#, Ok(1000.0)),
        ("meter_reactive_power_vars", missing),
        (r#"meter_reactive_power_vars{phase="l1"}"#, missing),
        (r#"meter_reactive_power_vars{phase="l2"}"#, missing),
        (r#"meter_reactive_power_vars{phase="l3"}"#, missing),
        (r#"meter_energy_joules_total{direction="received"}"#, Ok(235_929_600.0)),
        (r#"meter_energy_joules_total{direction="delivered"}"#, missing),
    ];
    check_of(&at, words, &expected);
    assert_eq!(identity(&at, words), [("manufacturer", "ACME".into()), ("serial", "4711".into())]);
    let other = placed(vec![model(203, 2, 105), model(1, 109, 66)]);
    assert_eq!(other.points().iter().find(|one| one.name == "frequency").unwrap().address, 18);
    // One that is shorter than the model is none of its kind.
    assert!(placed(vec![model(203, 2, 50)]).series().len() < expected.len());
}
