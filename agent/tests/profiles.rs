//! From registers to samples, for each shipped profile. The words are worked out by hand from the
//! vendors' register lists; nothing here comes out of the decoder.

mod answers;

use std::sync::LazyLock;

use answers::{Words, answer, check, profile, read_from, reads, samples};
use hallwatch_agent::profile::{Profile, shipped};
use hallwatch_config::Source;
use hallwatch_modbus::{Data, Table};
use hallwatch_model::{Missing, Value};
use proptest::prelude::*;

use Table::{DiscreteInputs as D, HoldingRegisters as H, InputRegisters as I};

#[test]
fn schneider_pm5500() {
    // The numbers that these words are: 16.5, 15.25, 17.0; 0.5; 400.0; 231.5, 229.0, 230.0;
    // 3.5, 3.25, 3.75, 10.5 kW; 2.5 kvar; 10.75 kVA; 0.875, 0.75, 1.0, -0.5; 50.0 Hz; 1000.5 kWh.
    // Averages: 16.25 A (between 2^4 and 2^5: 0x4180 and a quarter in steps of 2^19), 400.0 and
    // 230.5 V; 2.0 and 0.25 kvarh, 1024.0 kVAh (2^10).
    check(
        "schneider_pm5500",
        &[
            (H, 2999, &[0x4184, 0, 0x4174, 0, 0x4188, 0, 0x3f00, 0, 0x3e80, 0, 0x4182, 0]),
            (H, 3019, &[0x43c8, 0, 0x43c8, 0x8000, 0x43c7, 0x8000, 0x43c8, 0]),
            (H, 3027, &[0x4367, 0x8000, 0x4365, 0, 0x4366, 0]),
            (H, 3035, &[0x4366, 0x8000]),
            (H, 3053, &[0x4060, 0, 0x4050, 0, 0x4070, 0, 0x4128, 0]),
            (H, 3067, &[0x4020, 0]),
            (H, 3075, &[0x412c, 0, 0x3f60, 0, 0x3f40, 0, 0x3f80, 0, 0xbf00, 0]),
            (H, 3109, &[0x4248, 0]),
            (H, 2699, &[0x447a, 0x2000, 0x3f00, 0]),
            (H, 2707, &[0x4000, 0, 0x3e80, 0]),
            (H, 2715, &[0x4480, 0]),
        ],
        &[
            (r#"meter_current_amperes{phase="l1"}"#, Ok(16.5)),
            (r#"meter_current_amperes{phase="l2"}"#, Ok(15.25)),
            (r#"meter_current_amperes{phase="l3"}"#, Ok(17.0)),
            (r#"meter_current_amperes{phase="n"}"#, Ok(0.5)),
            (r#"meter_current_amperes{phase="ground"}"#, Ok(0.25)),
            (r#"meter_voltage_volts{phase="l1l2"}"#, Ok(400.0)),
            (r#"meter_voltage_volts{phase="l2l3"}"#, Ok(401.0)),
            (r#"meter_voltage_volts{phase="l3l1"}"#, Ok(399.0)),
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(231.5)),
            (r#"meter_voltage_volts{phase="l2"}"#, Ok(229.0)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(230.0)),
            (r#"meter_active_power_watts{phase="l1"}"#, Ok(3500.0)),
            (r#"meter_active_power_watts{phase="l2"}"#, Ok(3250.0)),
            (r#"meter_active_power_watts{phase="l3"}"#, Ok(3750.0)),
            ("meter_active_power_watts", Ok(10500.0)),
            ("meter_reactive_power_vars", Ok(2500.0)),
            ("meter_apparent_power_voltamperes", Ok(10750.0)),
            (r#"meter_power_factor_ratio{phase="l1"}"#, Ok(0.875)),
            (r#"meter_power_factor_ratio{phase="l2"}"#, Ok(0.75)),
            (r#"meter_power_factor_ratio{phase="l3"}"#, Ok(1.0)),
            ("meter_power_factor_ratio", Ok(-0.5)),
            ("meter_frequency_hertz", Ok(50.0)),
            (r#"meter_energy_joules_total{direction="delivered"}"#, Ok(3_601_800_000.0)),
            (r#"meter_energy_joules_total{direction="received"}"#, Ok(1_800_000.0)),
            ("meter_average_current_amperes", Ok(16.25)),
            (r#"meter_average_voltage_volts{phase="ll"}"#, Ok(400.0)),
            (r#"meter_average_voltage_volts{phase="ln"}"#, Ok(230.5)),
            (r#"meter_reactive_energy_var_seconds_total{direction="delivered"}"#, Ok(7_200_000.0)),
            (r#"meter_reactive_energy_var_seconds_total{direction="received"}"#, Ok(900_000.0)),
            (
                r#"meter_apparent_energy_voltampere_seconds_total{direction="delivered"}"#,
                Ok(3_686_400_000.0),
            ),
        ],
    );
    // Not a number, 1.5, -1.25 and 3.0 as power factors and a frequency that cannot be.
    let found = read_from(
        &profile("schneider_pm5500"),
        &[
            (H, 2999, &[0x7fc0, 0]),
            (H, 3077, &[0x3fc0, 0, 0xbfa0, 0, 0x4040, 0]),
            (H, 3109, &[0x4396, 0]),
        ],
    );
    assert_eq!(found[r#"meter_current_amperes{phase="l1"}"#], Err(Missing::NotAvailable));
    assert_eq!(found[r#"meter_power_factor_ratio{phase="l1"}"#], Ok(0.5));
    assert_eq!(found[r#"meter_power_factor_ratio{phase="l2"}"#], Ok(-0.75));
    // 2 less 3.0 is -1, which no current makes; the limits cannot tell.
    assert_eq!(found[r#"meter_power_factor_ratio{phase="l3"}"#], Ok(-1.0));
    assert_eq!(found["meter_frequency_hertz"], Err(Missing::OutOfRange));
    // "Intake", "PM5560", "Schneider Electric" (its first word), 0x0012_d687 = 1 234 567.
    let profile = profile("schneider_pm5500");
    let words: &Words = &[
        (H, 29, &[0x496e, 0x7461, 0x6b65]),
        (H, 49, &[0x504d, 0x3535, 0x3630]),
        (H, 69, &[0x5363, 0x686e, 0x6569, 0x6465, 0x7200]),
        (H, 129, &[0x0012, 0xd687]),
    ];
    let answers: Vec<_> =
        profile.identity_reads().iter().map(|read| Ok(answer(words, read))).collect();
    let expected = [
        ("name", "Intake"),
        ("model", "PM5560"),
        ("manufacturer", "Schneider"),
        ("serial", "1234567"),
    ];
    assert_eq!(profile.identity(&answers), expected.map(|(what, text)| (what, text.to_owned())));
}

#[test]
fn siemens_3kc_atc6300() {
    assert_eq!(reads("siemens_3kc_atc6300"), [(8720, 2)]);
    // Automatic (2), both voltages good (4, 5), load on line 1 (8), mains breaker closed (10), its
    // own supply is there (13).
    check(
        "siemens_3kc_atc6300",
        &[(H, 8720, &[0x0000, 0x2534])],
        &[
            ("ats_supply_available", Ok(1.0)),
            (r#"ats_mode{mode="auto"}"#, Ok(1.0)),
            (r#"ats_source_available{source="1"}"#, Ok(1.0)),
            (r#"ats_source_available{source="2"}"#, Ok(1.0)),
            (r#"ats_source_connected{source="1"}"#, Ok(1.0)),
            (r#"ats_breaker_closed{source="1"}"#, Ok(1.0)),
        ],
    );
    // Manual (1), line 2 good (5), load on line 2 (9), generator breaker closed (11), global
    // alarm (12), start of generators 1 and 2 (14, 15), undervoltage of line 1 (17), phase
    // failure of line 1 (20), overvoltage (22) and unbalance (27) of line 2.
    check(
        "siemens_3kc_atc6300",
        &[(H, 8720, &[0x0852, 0xda22])],
        &[
            (r#"ats_mode{mode="manual"}"#, Ok(1.0)),
            (r#"ats_source_available{source="2"}"#, Ok(1.0)),
            (r#"ats_source_connected{source="2"}"#, Ok(1.0)),
            (r#"ats_breaker_closed{source="2"}"#, Ok(1.0)),
            ("ats_alarm", Ok(1.0)),
            (r#"ats_generator_start{generator="1"}"#, Ok(1.0)),
            (r#"ats_generator_start{generator="2"}"#, Ok(1.0)),
            (r#"ats_source_fault{fault="undervoltage", source="1"}"#, Ok(1.0)),
            (r#"ats_source_fault{fault="phase_failure", source="1"}"#, Ok(1.0)),
            (r#"ats_source_fault{fault="overvoltage", source="2"}"#, Ok(1.0)),
            (r#"ats_source_fault{fault="unbalance", source="2"}"#, Ok(1.0)),
        ],
    );
    // Two modes at once: which one it is in is not known, the rest is.
    let modes = ["off", "manual", "auto", "test"];
    let found = read_from(&profile("siemens_3kc_atc6300"), &[(H, 8720, &[0, 0x0016])]);
    for mode in modes {
        assert_eq!(found[&format!("ats_mode{{mode={mode:?}}}")], Err(Missing::OutOfRange));
    }
    assert_eq!(found[r#"ats_source_available{source="1"}"#], Ok(1.0));
}

#[test]
fn deepsea_gencomm() {
    let pages = [(772, 1), (1024, 34), (1408, 1), (1536, 2), (1558, 1), (1798, 12), (39425, 9)];
    assert_eq!(reads("deepsea_gencomm"), pages);
    let running: &Words = &[
        (H, 772, &[1]),
        // 412 kPa, 84 °C, 91 °C, 73 %; 27.4 V, 1500 rpm, 50.1 Hz; 230.4, 230.5, 100000.0 V.
        (H, 1024, &[412, 84, 91, 73]),
        (H, 1029, &[274, 1500, 501, 0, 2304, 0, 2305, 0, 2303]),
        // 100.5 A, 6553.6 A (0x0001_0000), 98.7 A; 23, 22.5 kW and -100 W (0xffff_ff9c).
        (H, 1044, &[0, 1005, 1, 0, 0, 987]),
        (H, 1052, &[0, 23_000, 0, 22_500, 0xffff, 0xff9c]),
        // 68000 W = 0x0001_09a0; 3600000 s = 0x0036_ee80; 512 starts.
        (H, 1536, &[0x0001, 0x09a0]),
        // Running; -2.5 % is -25 tenths, 0xffe7; 12345.6 kWh is 123456 tenths, 0x0001_e240.
        (H, 1408, &[3]),
        (H, 1558, &[0xffe7]),
        (H, 1798, &[0x0036, 0xee80, 0x0001, 0xe240]),
        (H, 1808, &[0, 512]),
        // Emergency stop not on (1), low oil pressure: warning, high coolant temperature:
        // shutdown, low coolant temperature: electrical trip.
        (H, 39425, &[0x1234, 0x1111, 0x1111]),
        // Fail to start: shutdown (second nibble); low fuel level: warning (third nibble).
        (H, 39428, &[0x1311, 0x1111, 0x1121]),
        // Maintenance: warning (last nibble of the ninth register).
        (H, 39433, &[0x1112]),
    ];
    check(
        "deepsea_gencomm",
        running,
        &[
            (r#"generator_mode{mode="auto"}"#, Ok(1.0)),
            ("generator_oil_pressure_pascals", Ok(412_000.0)),
            ("generator_coolant_temperature_celsius", Ok(84.0)),
            ("generator_oil_temperature_celsius", Ok(91.0)),
            ("generator_fuel_level_ratio", Ok(0.73)),
            ("generator_starter_battery_volts", Ok(27.4)),
            ("generator_engine_speed_rpm", Ok(1500.0)),
            ("generator_frequency_hertz", Ok(50.1)),
            (r#"generator_voltage_volts{phase="l1"}"#, Ok(230.4)),
            (r#"generator_voltage_volts{phase="l2"}"#, Ok(230.5)),
            (r#"generator_voltage_volts{phase="l3"}"#, Ok(230.3)),
            (r#"generator_current_amperes{phase="l1"}"#, Ok(100.5)),
            (r#"generator_current_amperes{phase="l2"}"#, Ok(6553.6)),
            (r#"generator_current_amperes{phase="l3"}"#, Ok(98.7)),
            (r#"generator_active_power_watts{phase="l1"}"#, Ok(23_000.0)),
            (r#"generator_active_power_watts{phase="l2"}"#, Ok(22_500.0)),
            (r#"generator_active_power_watts{phase="l3"}"#, Ok(-100.0)),
            ("generator_active_power_watts", Ok(68_000.0)),
            ("generator_running", Ok(1.0)),
            (r#"generator_engine_state{state="running"}"#, Ok(1.0)),
            ("generator_load_ratio", Ok(-0.025)),
            ("generator_energy_joules_total", Ok(44_444_160_000.0)),
            ("generator_run_seconds_total", Ok(3_600_000.0)),
            ("generator_starts_total", Ok(512.0)),
            (r#"generator_alarm{alarm="low_oil_pressure"}"#, Ok(1.0)),
            (r#"generator_alarm{alarm="high_coolant_temperature"}"#, Ok(1.0)),
            (r#"generator_alarm{alarm="low_coolant_temperature"}"#, Ok(1.0)),
            (r#"generator_alarm{alarm="fail_to_start"}"#, Ok(1.0)),
            (r#"generator_alarm{alarm="low_fuel_level"}"#, Ok(1.0)),
            (r#"generator_alarm{alarm="maintenance_due"}"#, Ok(1.0)),
        ],
    );
    // The first and the last of the eight codes that mean "no value", of each type, and the last
    // number that is one; a nibble of an alarm that this controller does not have.
    let found = read_from(
        &profile("deepsea_gencomm"),
        &[
            (H, 772, &[8]),
            (H, 1024, &[0xfff8, 0x7fff, 0x7ff8, 0xffff]),
            (H, 1032, &[0xffff, 0xfff8, 0xffff, 0xffff]),
            (H, 1052, &[0x7fff, 0xfff8, 0x7fff, 0xffff]),
            (H, 1798, &[0xffff, 0xfff7]),
            (H, 39425, &[0x1f11]),
        ],
    );
    for series in [
        "generator_oil_pressure_pascals",
        "generator_coolant_temperature_celsius",
        "generator_oil_temperature_celsius",
        "generator_fuel_level_ratio",
        r#"generator_voltage_volts{phase="l1"}"#,
        r#"generator_voltage_volts{phase="l2"}"#,
        r#"generator_active_power_watts{phase="l1"}"#,
        r#"generator_active_power_watts{phase="l2"}"#,
        r#"generator_alarm{alarm="low_oil_pressure"}"#,
    ] {
        assert_eq!(found[series], Err(Missing::NotAvailable), "{series}");
    }
    assert_eq!(found["generator_run_seconds_total"], Ok(4_294_967_287.0));
    // The second code is "over range", the third "under range"; the fourth is a faulty transducer.
    let found = read_from(
        &profile("deepsea_gencomm"),
        &[
            (H, 1024, &[0xfffe, 0x7ffd, 0x7ffc, 0xfffd]),
            (H, 1032, &[0xffff, 0xfffe, 0xffff, 0xfffc]),
            (H, 1052, &[0x7fff, 0xfffd, 0x7fff, 0xfffc]),
            (H, 1558, &[0x7ffe]),
            (H, 1800, &[0xffff, 0xfffb]),
        ],
    );
    for (series, missing) in [
        ("generator_oil_pressure_pascals", Missing::OutOfRange),
        ("generator_coolant_temperature_celsius", Missing::OutOfRange),
        ("generator_oil_temperature_celsius", Missing::NotAvailable),
        ("generator_fuel_level_ratio", Missing::OutOfRange),
        (r#"generator_voltage_volts{phase="l1"}"#, Missing::OutOfRange),
        (r#"generator_voltage_volts{phase="l2"}"#, Missing::NotAvailable),
        (r#"generator_active_power_watts{phase="l1"}"#, Missing::OutOfRange),
        (r#"generator_active_power_watts{phase="l2"}"#, Missing::NotAvailable),
        ("generator_load_ratio", Missing::OutOfRange),
        ("generator_energy_joules_total", Missing::NotAvailable),
    ] {
        assert_eq!(found[series], Err(missing), "{series}");
    }
    let found = read_from(&profile("deepsea_gencomm"), &[(H, 772, &[8])]);
    assert_eq!(found[r#"generator_alarm{alarm="emergency_stop"}"#], Ok(0.0));
    // A mode that no list has.
    assert_eq!(found[r#"generator_mode{mode="stop"}"#], Err(Missing::OutOfRange));
    // The engine: its states by their numbers; 5 is stopped, too, 15 is none, 7 is on no list.
    let state = |word: u16| -> (Value, Value) {
        let word: &'static [u16] = Box::leak(Box::new([word]));
        let found = read_from(&profile("deepsea_gencomm"), &[(H, 1408, word)]);
        let stopped = found[r#"generator_engine_state{state="stopped"}"#];
        (found["generator_running"], stopped)
    };
    let (no, yes) = (Ok(0.0), Ok(1.0));
    for (word, expected) in [
        (0, (no, yes)),
        (1, (no, no)),
        (2, (yes, no)),
        (3, (yes, no)),
        (4, (yes, no)),
        (5, (no, yes)),
        (6, (no, no)),
        (15, (Err(Missing::NotAvailable), Err(Missing::NotAvailable))),
        (7, (Err(Missing::OutOfRange), Err(Missing::OutOfRange))),
    ] {
        assert_eq!(state(word), expected, "{word}");
    }
    // Model 32808 = 128 × 256 + 40, serial number 0x0012_4f80 = 18 × 65536 + 20352.
    let controller = profile("deepsea_gencomm");
    let words: &Words = &[(H, 768, &[1, 0x8028, 0x0012, 0x4f80])];
    let answers: Vec<_> =
        controller.identity_reads().iter().map(|read| Ok(answer(words, read))).collect();
    let expected = [("model_number", "32808"), ("serial", "1200000")];
    assert_eq!(controller.identity(&answers), expected.map(|(what, text)| (what, text.to_owned())));
}

#[test]
fn apc_smart_ups() {
    assert_eq!(reads("apc_smart_ups"), [(0, 24), (128, 28), (588, 3)]);
    check(
        "apc_smart_ups",
        &[
            // Online (1), self test running (7), high efficiency (13), and output overload (21, in
            // the high word); low input voltage; the main group is on.
            (H, 0, &[0x0020, 0x2082, 0x0002, 0x0000, 0x0001]),
            // Shutdown imminent; inverter (13) and AVR relay (6); needs replacement (2), charger (4).
            (H, 18, &[0x0002]),
            // The test passed (2), as the panel asked for (7).
            (H, 20, &[0x0000, 0x2040, 0x0014, 0x0084]),
            // 70000 s = 0x0001_1170; 98.5 % × 512; 54.5 V × 32.
            (H, 128, &[0x0001, 0x1170, 50_432, 1744]),
            // 10958 days after 2000-01-01 is 2030-01-01: 30 years, of which 8 are leap years.
            (H, 133, &[0x2ace]),
            // -2.5 °C × 128 = -320; 40.25 % × 256; 50.5 % × 256 = 12928.
            (H, 135, &[0xfec0, 10_304]),
            (H, 138, &[0x3280]),
            // 12.5 A × 32; 230.25 V × 64; 50.0 Hz × 128.
            (H, 140, &[400]),
            (H, 142, &[14_736]),
            (H, 144, &[6400]),
            // Boost (5); 229.5 V × 64; 96.75 % × 128; no shutdown.
            (H, 150, &[0x0020, 14_688]),
            (H, 154, &[12_384, 0xffff]),
            // 10000 VA, 8000 W, the main group.
            (H, 588, &[0x2710, 8000, 0x0001]),
        ],
        &[
            ("ups_online", Ok(1.0)),
            ("ups_overload", Ok(1.0)),
            ("ups_battery_low", Ok(1.0)),
            (r#"ups_fault{fault="inverter"}"#, Ok(1.0)),
            (r#"ups_fault{fault="avr_relay"}"#, Ok(1.0)),
            ("ups_battery_replace", Ok(1.0)),
            (r#"ups_fault{fault="battery_charger"}"#, Ok(1.0)),
            ("ups_battery_runtime_seconds", Ok(70_000.0)),
            ("ups_battery_charge_ratio", Ok(0.985)),
            ("ups_battery_voltage_volts", Ok(54.5)),
            ("ups_battery_temperature_celsius", Ok(-2.5)),
            ("ups_load_ratio", Ok(0.4025)),
            ("ups_output_power_watts", Ok(3220.0)),
            ("ups_output_current_amperes", Ok(12.5)),
            ("ups_output_voltage_volts", Ok(230.25)),
            ("ups_output_frequency_hertz", Ok(50.0)),
            ("ups_input_voltage_volts", Ok(229.5)),
            ("ups_efficiency_ratio", Ok(0.9675)),
            (r#"ups_input_available{input="mains"}"#, Ok(1.0)),
            ("ups_battery_test_running", Ok(1.0)),
            ("ups_high_efficiency", Ok(1.0)),
            (r#"ups_last_transfer{cause="low_input_voltage"}"#, Ok(1.0)),
            (r#"ups_outlet_group_on{group="main"}"#, Ok(1.0)),
            (r#"ups_battery_test{result="passed"}"#, Ok(1.0)),
            // 2030-01-01 00:00 UTC.
            ("ups_battery_replacement_due_timestamp_seconds", Ok(1_893_456_000.0)),
            ("ups_output_apparent_power_voltamperes", Ok(5050.0)),
            (r#"ups_input_corrected{direction="boost"}"#, Ok(1.0)),
            ("ups_shutdown_seconds", Err(Missing::NotAvailable)),
        ],
    );
    apc_smart_ups_by_state();
    // On battery: no input voltage, no efficiency (reason code -2); a rating of 0 is none.
    let found = read_from(
        &profile("apc_smart_ups"),
        &[(H, 0, &[0, 4]), (H, 136, &[2560]), (H, 151, &[0xffff]), (H, 154, &[0xfffe])],
    );
    assert_eq!(found["ups_on_battery"], Ok(1.0));
    assert_eq!(found["ups_online"], Ok(0.0));
    assert_eq!(found["ups_load_ratio"], Ok(0.1));
    assert_eq!(found["ups_input_voltage_volts"], Err(Missing::NotAvailable));
    assert_eq!(found["ups_efficiency_ratio"], Err(Missing::NotAvailable));
    assert_eq!(found["ups_output_power_watts"], Err(Missing::OutOfRange));
}

/// The enumerations of the APC by their numbers, one after the other.
fn apc_smart_ups_by_state() {
    let ups = profile("apc_smart_ups");
    let read = |address: u16, word: u16| {
        let word: &'static [u16] = Box::leak(Box::new([word]));
        read_from(&ups, &[(H, address, word)])
    };
    let causes = [
        (0, "system_start"),
        (1, "high_input_voltage"),
        (2, "low_input_voltage"),
        (3, "distorted_input"),
        (4, "fast_input_change"),
        (5, "high_input_frequency"),
        (6, "low_input_frequency"),
        (7, "frequency_or_phase_difference"),
        (8, "input_acceptable"),
        (9, "automatic_test"),
        (10, "test_ended"),
        (11, "local_command"),
        (12, "protocol_command"),
        (13, "low_battery_voltage"),
        (14, "general_error"),
        (15, "power_system_error"),
        (16, "battery_system_error"),
        (17, "error_cleared"),
        (18, "automatic_restart"),
        (21, "emergency_power_off"),
        (24, "transfer_switch"),
        (29, "outlet_group_change"),
    ];
    for (word, cause) in causes {
        let series = format!("ups_last_transfer{{cause={cause:?}}}");
        assert_eq!(read(2, word)[&series], Ok(1.0), "{word}");
        assert_eq!(read(2, 19)[&series], Err(Missing::OutOfRange));
    }
    let results = ["pending", "in_progress", "passed", "failed", "refused", "aborted"];
    for (bit, result) in results.into_iter().enumerate() {
        let series = format!("ups_battery_test{{result={result:?}}}");
        assert_eq!(read(23, 1 << bit)[&series], Ok(1.0), "{result}");
    }
    assert_eq!(read(23, 0x0100)[r#"ups_battery_test{result="none"}"#], Ok(1.0));
    assert_eq!(read(23, 0x0006)[r#"ups_battery_test{result="passed"}"#], Err(Missing::OutOfRange));
    // The input is not acceptable (6); trim (6); 90 s to a shutdown, and one that is over.
    assert_eq!(read(1, 0x0040)[r#"ups_input_available{input="mains"}"#], Ok(0.0));
    assert_eq!(read(150, 0x0040)[r#"ups_input_corrected{direction="trim"}"#], Ok(1.0));
    assert_eq!(read(155, 0x005a)["ups_shutdown_seconds"], Ok(90.0));
    assert_eq!(read(155, 0xfffe)["ups_shutdown_seconds"], Err(Missing::OutOfRange));
    // No date, and no main group: then its state is nothing.
    let due = "ups_battery_replacement_due_timestamp_seconds";
    assert_eq!(read(133, 0)[due], Err(Missing::NotAvailable));
    assert_eq!(read(133, 1)[due], Ok(946_771_200.0));
    let group = r#"ups_outlet_group_on{group="main"}"#;
    assert_eq!(read(4, 1)[group], Err(Missing::NotAvailable));
    assert_eq!(read(590, 1)[group], Ok(0.0));
    // "UPS 04.1", "Smart-UPS", "AS2051234", "rack 1", padded with spaces.
    let words: &Words = &[
        (H, 516, &[0x5550, 0x5320, 0x3034, 0x2e31, 0x2020]),
        (H, 532, &[0x536d, 0x6172, 0x742d, 0x5550, 0x5320]),
        (H, 564, &[0x4153, 0x3230, 0x3531, 0x3233, 0x3420]),
        (H, 596, &[0x7261, 0x636b, 0x2031]),
    ];
    let answers: Vec<_> = ups.identity_reads().iter().map(|read| Ok(answer(words, read))).collect();
    let expected = [
        ("firmware", "UPS 04.1"),
        ("model", "Smart-UPS"),
        ("serial", "AS2051234"),
        ("name", "rack 1"),
    ];
    assert_eq!(ups.identity(&answers), expected.map(|(what, text)| (what, text.to_owned())));
}

#[test]
fn raritan_px3ts() {
    assert_eq!(reads("raritan_px3ts"), [(8193, 2), (8200, 2)]);
    // Inlet 2 feeds, inlet 1 is preferred; -2.5 degrees.
    check(
        "raritan_px3ts",
        &[(H, 8193, &[2, 1]), (H, 8200, &[0xc020, 0])],
        &[
            (r#"ats_inlet_connected{inlet="2"}"#, Ok(1.0)),
            (r#"ats_inlet_preferred{inlet="1"}"#, Ok(1.0)),
            ("ats_phase_difference_degrees", Ok(-2.5)),
        ],
    );
    // The other way round; an inlet that a transfer switch does not have; 361 degrees.
    let found = read_from(&profile("raritan_px3ts"), &[(H, 8193, &[1, 2])]);
    assert_eq!(found[r#"ats_inlet_connected{inlet="1"}"#], Ok(1.0));
    assert_eq!(found[r#"ats_inlet_connected{inlet="2"}"#], Ok(0.0));
    assert_eq!(found[r#"ats_inlet_preferred{inlet="2"}"#], Ok(1.0));
    let found =
        read_from(&profile("raritan_px3ts"), &[(H, 8193, &[0, 3]), (H, 8200, &[0x43b4, 0x8000])]);
    for inlet in ["1", "2"] {
        for state in ["connected", "preferred"] {
            let series = format!("ats_inlet_{state}{{inlet={inlet:?}}}");
            assert_eq!(found[&series], Err(Missing::OutOfRange), "{series}");
        }
    }
    assert_eq!(found["ats_phase_difference_degrees"], Err(Missing::OutOfRange));
    // A unit without a transfer switch refuses the addresses.
    let profile = profile("raritan_px3ts");
    let answers = vec![Err(Missing::Exception(2)); 2];
    assert!(samples(&profile, &answers).values().all(|one| *one == Err(Missing::Exception(2))));
}

#[test]
fn raritan_px3() {
    check(
        "raritan_px3",
        &[
            // 230.0 V, 6.25 A; 12.5 %; 1437.5 W, 1440.0 VA, 0.75; 50.0 Hz, -85.0 var.
            (H, 12296, &[0x4366, 0, 0x40c8, 0]),
            (H, 12304, &[0x4148, 0, 0x44b3, 0xb000, 0x44b4, 0, 0x3f40, 0]),
            (H, 12322, &[0x4248, 0, 0xc2aa, 0]),
            // 3.5 A.
            (H, 16394, &[0x4060, 0]),
            // 229.0 V, 0.5 A; 100.0 W, 115.0 VA, 0.875; 60.0 Hz.
            (H, 32776, &[0x4365, 0, 0x3f00, 0]),
            (H, 32786, &[0x42c8, 0, 0x42e6, 0, 0x3f60, 0]),
            (H, 32802, &[0x4270, 0]),
        ],
        &[
            (r#"pdu_inlet_voltage_volts{inlet="1"}"#, Ok(230.0)),
            (r#"pdu_inlet_current_amperes{inlet="1"}"#, Ok(6.25)),
            (r#"pdu_inlet_unbalance_ratio{inlet="1"}"#, Ok(0.125)),
            (r#"pdu_inlet_active_power_watts{inlet="1"}"#, Ok(1437.5)),
            (r#"pdu_inlet_apparent_power_voltamperes{inlet="1"}"#, Ok(1440.0)),
            (r#"pdu_inlet_power_factor_ratio{inlet="1"}"#, Ok(0.75)),
            (r#"pdu_inlet_frequency_hertz{inlet="1"}"#, Ok(50.0)),
            (r#"pdu_inlet_reactive_power_vars{inlet="1"}"#, Ok(-85.0)),
            (r#"pdu_breaker_current_amperes{breaker="1"}"#, Ok(3.5)),
            (r#"pdu_outlet_voltage_volts{outlet="1"}"#, Ok(229.0)),
            (r#"pdu_outlet_current_amperes{outlet="1"}"#, Ok(0.5)),
            (r#"pdu_outlet_active_power_watts{outlet="1"}"#, Ok(100.0)),
            (r#"pdu_outlet_apparent_power_voltamperes{outlet="1"}"#, Ok(115.0)),
            (r#"pdu_outlet_power_factor_ratio{outlet="1"}"#, Ok(0.875)),
            (r#"pdu_outlet_frequency_hertz{outlet="1"}"#, Ok(60.0)),
        ],
    );
    // What only newer firmware has is read alone, so that its exception spoils nothing else.
    let reads = reads("raritan_px3");
    assert!(reads.contains(&(12304, 2)) && reads.contains(&(12324, 2)), "{reads:?}");
    let profile = profile("raritan_px3");
    let words: &Words = &[(H, 0, &[4, 1, 2, 36])];
    let answers: Vec<_> =
        profile.identity_reads().iter().map(|read| Ok(answer(words, read))).collect();
    let expected = [("inlets", "1"), ("breakers", "2"), ("outlets", "36")];
    assert_eq!(profile.identity(&answers), expected.map(|(what, text)| (what, text.to_owned())));
}

/// Address, series, numbers and their members, a number that is none.
type Members = (u16, &'static str, &'static [(u16, &'static str)], u16);

#[test]
fn vertiv_liebert_ds() {
    check(
        "vertiv_liebert_ds",
        &[
            // 22 °C, 45 %; compressor 1 on; valve 35 %.
            (I, 262, &[22, 45]),
            (I, 268, &[1, 0]),
            // Fan by hand (1); controlled from outside, off by an alarm (2), maintenance 12 %.
            (I, 273, &[1]),
            (I, 279, &[1, 2, 12]),
            (I, 284, &[35]),
            // The humidity of the return air (2); scroll 75 %.
            (I, 666, &[2, 75]),
            // 24.5, -1.5 (0xfff1) and 23.7 °C; 80 %, 22.4 °C, 18.9 °C.
            (I, 554, &[245, 0xfff1, 237]),
            (I, 563, &[80, 224, 189]),
            // 65.0 kW in tenths; 70000 W = 0x0001_1170; 400.5 V.
            (I, 1000, &[0, 650]),
            (I, 1009, &[0x0001, 0x1170]),
            (I, 1059, &[4005]),
            (D, 97, &[1]),
            (D, 208, &[1]),
            (D, 217, &[1]),
        ],
        &[
            ("cooling_setpoint_celsius", Ok(22.0)),
            ("cooling_humidity_setpoint_ratio", Ok(0.45)),
            (r#"cooling_running{compressor="1"}"#, Ok(1.0)),
            (r#"cooling_valve_ratio{valve="hot_water"}"#, Ok(0.35)),
            (r#"cooling_remote_temperature_celsius{probe="5"}"#, Ok(24.5)),
            (r#"cooling_remote_temperature_celsius{probe="6"}"#, Ok(-1.5)),
            (r#"cooling_remote_temperature_celsius{probe="7"}"#, Ok(23.7)),
            ("cooling_capacity_ratio", Ok(0.8)),
            ("cooling_control_temperature_celsius", Ok(22.4)),
            ("cooling_fan_control_temperature_celsius", Ok(18.9)),
            ("cooling_load_watts", Ok(65_000.0)),
            ("cooling_power_watts", Ok(70_000.0)),
            (r#"cooling_input_voltage_volts{phase="l1l2"}"#, Ok(400.5)),
            (r#"cooling_fan_control{control="manual"}"#, Ok(1.0)),
            ("cooling_external_control", Ok(1.0)),
            (r#"cooling_state_reason{reason="alarm"}"#, Ok(1.0)),
            ("cooling_maintenance_ratio", Ok(0.12)),
            (r#"cooling_humidity_control_sensor{sensor="return"}"#, Ok(1.0)),
            (r#"cooling_utilization_ratio{part="compressor_1"}"#, Ok(0.75)),
            (r#"cooling_alarm{alarm="service_required"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="supply_over_temperature"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="fan_issue"}"#, Ok(1.0)),
        ],
    );
    // A compressor that is neither off nor on, and a set point that cannot be.
    let found = read_from(&profile("vertiv_liebert_ds"), &[(I, 262, &[0x8000]), (I, 268, &[2])]);
    assert_eq!(found[r#"cooling_running{compressor="1"}"#], Err(Missing::OutOfRange));
    assert_eq!(found["cooling_setpoint_celsius"], Err(Missing::OutOfRange));
    // The enumerations by their numbers, and a number that each does not have.
    let members: [Members; 3] = [
        (
            273,
            "cooling_fan_control{control=*}",
            &[(0, "auto"), (1, "manual"), (2, "economy"), (4, "delta")],
            3,
        ),
        (
            280,
            "cooling_state_reason{reason=*}",
            &[
                (0, "unknown"),
                (1, "network_display"),
                (2, "alarm"),
                (3, "schedule"),
                (4, "remote_system"),
                (5, "external_input"),
                (6, "local_display"),
            ],
            7,
        ),
        (
            666,
            "cooling_humidity_control_sensor{sensor=*}",
            &[(0, "supply"), (1, "remote"), (2, "return")],
            3,
        ),
    ];
    for (address, series, members, other) in members {
        let read = |word: u16| {
            let word: &'static [u16] = Box::leak(Box::new([word]));
            read_from(&profile("vertiv_liebert_ds"), &[(I, address, word)])
        };
        for (word, member) in members {
            let series = series.replace('*', &format!("{member:?}"));
            assert_eq!(read(*word)[&series], Ok(1.0), "{word} {series}");
            assert_eq!(read(other)[&series], Err(Missing::OutOfRange), "{other} {series}");
        }
    }
}

/// The devices of which only one machine-made transcription is known.
const UNVERIFIED: [&str; 5] =
    ["asco_group_g", "cummins_pcc1301", "kohler_decision_maker", "papouch_tme", "scion_thp_probe"];

#[test]
fn every_profile_file_is_shipped_and_right() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let mut files: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let names: Vec<&str> = shipped().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, files);
    for name in names {
        let profile = profile(name);
        let is_identity = profile.kind == "identification";
        let series = profile.series().len() + profile.awaited().len();
        assert_eq!(series == 0, is_identity, "{name}");
        assert!(!is_identity || !profile.identity_reads().is_empty(), "{name}");
        assert!(!profile.sources.is_empty(), "{name}");
        assert_eq!(profile.is_unverified(), UNVERIFIED.contains(&name), "{name}");
    }
    assert!(Profile::named("no_such_device").is_none());
}

/// The shipped rules page on these; a profile that lacks one does so because its map does.
#[test]
fn every_ups_says_that_it_is_on_battery_and_that_the_battery_is_low() {
    for (metric, without) in [
        ("ups_on_battery", &["eaton_pxgx_ups"][..]),
        ("ups_battery_low", &["eaton_master_ups_status", "eaton_pxgx_ups"]),
    ] {
        let silent: Vec<&str> = ALL
            .iter()
            .filter(|one| one.kind == "ups")
            .filter(|one| one.series().iter().all(|series| series.metric.name != metric))
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(silent, without, "{metric}");
    }
}

#[test]
fn a_failed_read_is_missing_for_exactly_what_depends_on_it() {
    let profile = profile("apc_smart_ups");
    let words: &Words = &[(H, 136, &[2560]), (H, 142, &[14_736]), (H, 589, &[8000])];
    let whole: Vec<_> = profile.reads().iter().map(|read| Ok(answer(words, read))).collect();

    let mut answers = whole.clone();
    answers[2] = Err(Missing::Exception(2));
    for (series, value) in samples(&profile, &answers) {
        let depends = [
            "ups_output_power_watts",
            "ups_output_apparent_power_voltamperes",
            r#"ups_outlet_group_on{group="main"}"#,
        ];
        let depends = depends.contains(&series.as_str());
        assert_eq!(value == Err(Missing::Exception(2)), depends, "{series}");
    }

    let mut answers = whole.clone();
    answers[1] = Err(Missing::Timeout);
    let found = samples(&profile, &answers);
    assert_eq!(found["ups_output_voltage_volts"], Err(Missing::Timeout));
    assert_eq!(found["ups_output_power_watts"], Err(Missing::Timeout));
    assert_eq!(found["ups_online"], Ok(0.0));

    // What was not asked, and an answer of another length or table.
    let found = samples(&profile, &whole[..1]);
    assert_eq!(found["ups_output_voltage_volts"], Err(Missing::DeviceOffline));
    for wrong in [Data::Registers(Box::new([])), Data::Bits(Box::new([]))] {
        let mut answers = whole.clone();
        answers[0] = Ok(wrong);
        assert_eq!(samples(&profile, &answers)["ups_online"], Err(Missing::Malformed));
    }
}

fn any_answer() -> impl Strategy<Value = Result<Data, Missing>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u16>(), 0..130).prop_map(|w| Ok(Data::Registers(w.into()))),
        1 => prop::collection::vec(any::<bool>(), 0..130).prop_map(|b| Ok(Data::Bits(b.into()))),
        1 => any::<u8>().prop_map(|code| Err(Missing::Exception(code))),
    ]
}

static ALL: LazyLock<Vec<Profile>> =
    LazyLock::new(|| shipped().iter().map(|(name, _)| profile(name)).collect());

proptest! {
    #[test]
    fn no_answers_panic_and_every_value_is_finite(
        answers in prop::collection::vec(any_answer(), 0..20),
    ) {
        for profile in ALL.iter() {
            let samples = profile.samples(&answers);
            prop_assert_eq!(samples.len(), profile.series().len());
            for (series, value) in samples {
                prop_assert!(value.is_err() || value.is_ok_and(f64::is_finite), "{:?}", series.labels);
            }
        }
    }
}

/// The parts of the format that no shipped profile uses yet.
#[test]
fn the_format_says_more_than_the_shipped_profiles_need() {
    let text = r#"
manufacturer = "Example"
model = "1"
kind = "io_module"
confidence = "low"

[limits]
max_hole = 16

[[point]]
name = "swapped words"
table = "input"
address = 0
type = "u32"
words = "low_first"
offset = -273
metric = "environment_temperature_celsius"

[[point]]
name = "swapped bytes"
table = "input"
address = 2
type = "u16"
bytes = "low_first"
metric = "sensor_link_quality"

[[point]]
name = "long sentinel"
table = "input"
address = 4
type = "u64"
not_available = ["0xffffffffffffffff"]
metric = "uplink_receive_bytes_total"

[[point]]
name = "closed contact"
table = "coil"
address = 9
type = "bool"
inverted = true
metric = "access_door_open"

[[point]]
name = "inverted bit"
table = "input"
address = 8
type = "u16"
flags = [{ bit = 15, inverted = true, metric = "environment_leak" }]

[[point]]
name = "decimal"
table = "input"
address = 9
type = "bcd32"
metric = "generator_starts_total"

[[point]]
name = "serial number"
table = "input"
address = 500
type = "text"
length = 8
"#;
    let profile = Profile::parse("example", &Source::new("example.toml", text))
        .unwrap_or_else(|invalid| panic!("{}", invalid.render(false)));
    assert!(profile.is_unverified());
    // The serial number becomes no series and is not polled.
    assert_eq!(profile.reads().len(), 2);
    let found = read_from(
        &profile,
        &[
            (I, 0, &[0x0129, 0x0001, 0x3412]),
            (I, 4, &[0xffff, 0xffff, 0xffff, 0xffff, 0x7fff, 0x1234, 0x5678]),
        ],
    );
    assert_eq!(found["environment_temperature_celsius"], Ok(65560.0));
    assert_eq!(found["sensor_link_quality"], Ok(4660.0));
    assert_eq!(found["uplink_receive_bytes_total"], Err(Missing::NotAvailable));
    assert_eq!(found["access_door_open"], Ok(1.0));
    assert_eq!(found["environment_leak"], Ok(1.0));
    assert_eq!(found["generator_starts_total"], Ok(12_345_678.0));
}

#[test]
fn every_mistake_is_shown_at_its_place() {
    let text = r#"manufacturer = "Example"
model = "1"
kind = "upps"
confidence = "high"

[limits]
max_registers = 126
barriers = { holding = [11] }

[[point]]
name = "a"
table = "holding"
address = 10
type = "u32"
metric = "access_tampre"

[[point]]
name = "a"
table = "coil"
address = 1
type = "u16"
min = 2
max = 1
not_available = ["0x1-0x0", -1]
metric = "ups_load_ratio"
labels = { device = "x" }

[[point]]
name = "c"
table = "holding"
address = 10
type = "u32"
times = "d"
metric = "ups_input_voltage_volts"

[[point]]
name = "e"
table = "holding"
address = 20
type = "f32"
metric = "ups_input_voltage_volts"

[[point]]
name = "f"
table = "holding"
address = 30
type = "u16"
scael = 10
flags = [{ bit = 16, metric = "ups_on_battery" }, { bit = 1, metric = "generator_mode" }]
nibbles = { metric = "ups_fault", label = "Fault", active = [1], names = ["a", "b", "c", "d", "e"] }

[[point]]
name = "g"
table = "input"
address = 65535
type = "words"
length = 2
metric = "ups_efficiency_ratio"

[[point.states]]
metric = "generator_mode"
label = "mode"
bit = 30
width = 3
values = { auto = 1 }

[[point.bits]]
metric = "ups_fault"
label = "fault"
names = { pfc = 32 }
"#;
    let invalid = Profile::parse("bad", &Source::new("bad.toml", text)).unwrap_err();
    // Places and messages; how they are drawn is the configuration reader's affair.
    let found: Vec<String> = invalid
        .problems()
        .iter()
        .map(|found| format!("{}:{} {}", found.line, found.column, found.message))
        .collect();
    insta::assert_snapshot!(found.join("\n"));
}
