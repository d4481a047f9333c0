//! From registers to samples: cooling, sensors and inputs. The words are worked out by hand from
//! the register lists; nothing here comes out of the decoder.
//!
//! A number of single precision between 2^n and 2^(n+1) begins with 0x3f80 + n × 0x80; what it is
//! above 2^n follows in steps of 2^(23-n). So 30.25 is 0x4180_0000 + 14.25 × 0x8_0000. The highest
//! bit is the sign.

mod answers;

use std::collections::{BTreeMap, BTreeSet};

use answers::{Words, answer, check, check_of, profile, read_from, reads, samples};
use hallwatch_agent::profile::{Placement, Profile};
use hallwatch_modbus::Table::{Coils as C, HoldingRegisters as H, InputRegisters as I};
use hallwatch_modbus::{Data, Table};
use hallwatch_model::{Missing, Value};

const NOT_AVAILABLE: Value = Err(Missing::NotAvailable);
const OUT_OF_RANGE: Value = Err(Missing::OutOfRange);

/// The device with other parameters than the usual ones.
#[track_caller]
fn with(name: &str, parameters: &[(&str, f64)]) -> Profile {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    match profile(name).placed(&Placement { parameters, ..Placement::default() }) {
        Ok(placed) => placed,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Each of the words makes exactly its own series 1 among those of the metric.
#[track_caller]
fn each_alone(
    name: &str,
    table: Table,
    metric: &str,
    cases: &[(u16, &'static [u16], &'static str)],
) {
    let profile = profile(name);
    for (address, words, label) in cases {
        let on: Vec<String> = read_from(&profile, &[(table, *address, words)])
            .into_iter()
            .filter(|(series, _)| series.split('{').next() == Some(metric))
            .filter(|(_, value)| *value != Ok(0.0))
            .map(|(series, value)| format!("{series} {value:?}"))
            .collect();
        assert_eq!(on, [format!("{metric}{{{label}}} Ok(1.0)")], "{name} {address} {words:x?}");
    }
}

fn identity(name: &str, words: &Words) -> Vec<(String, String)> {
    let profile = profile(name);
    let answers: Vec<_> =
        profile.identity_reads().iter().map(|read| Ok(answer(words, read))).collect();
    let parts = profile.identity(&answers).into_iter();
    parts.map(|(what, text)| (what.to_owned(), text)).collect()
}

fn owned(parts: &[(&str, &str)]) -> Vec<(String, String)> {
    parts.iter().map(|(what, text)| ((*what).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn advantech_adam_4150() {
    assert_eq!(reads("advantech_adam_4150"), [(0, 7), (16, 8)]);
    check(
        "advantech_adam_4150",
        // What lies between inputs and outputs is neither.
        &[(C, 0, &[1, 0, 1, 0, 0, 1, 1, 1, 1]), (C, 16, &[0, 1, 0, 0, 0, 0, 0, 1, 1])],
        &[
            (r#"io_input_on{input="0"}"#, Ok(1.0)),
            (r#"io_input_on{input="2"}"#, Ok(1.0)),
            (r#"io_input_on{input="5"}"#, Ok(1.0)),
            (r#"io_input_on{input="6"}"#, Ok(1.0)),
            (r#"io_output_on{output="1"}"#, Ok(1.0)),
            (r#"io_output_on{output="7"}"#, Ok(1.0)),
        ],
    );
    each_alone(
        "advantech_adam_4150",
        C,
        "io_input_on",
        &[
            (0, &[1], r#"input="0""#),
            (1, &[1], r#"input="1""#),
            (2, &[1], r#"input="2""#),
            (3, &[1], r#"input="3""#),
            (4, &[1], r#"input="4""#),
            (5, &[1], r#"input="5""#),
            (6, &[1], r#"input="6""#),
        ],
    );
    each_alone(
        "advantech_adam_4150",
        C,
        "io_output_on",
        &[
            (16, &[1], r#"output="0""#),
            (17, &[1], r#"output="1""#),
            (18, &[1], r#"output="2""#),
            (19, &[1], r#"output="3""#),
            (20, &[1], r#"output="4""#),
            (21, &[1], r#"output="5""#),
            (22, &[1], r#"output="6""#),
            (23, &[1], r#"output="7""#),
        ],
    );
    let found = identity("advantech_adam_4150", &[(I, 210, &[0x4150])]);
    assert_eq!(found, owned(&[("model", "4150")]));
    let fits = |word: u16| {
        let data = Data::Registers([word].into());
        profile("advantech_adam_4150").fingerprints.iter().all(|one| one.fits_data(&data))
    };
    assert!(fits(0x4150) && !fits(0x4056));
}

#[test]
fn belimo_energy_valve() {
    check(
        "belimo_energy_valve",
        &[
            // 75.5 %; 50 %, 45 degrees, 102.5 %.
            (H, 0, &[7550]),
            (H, 4, &[5000, 4500, 10_250]),
            // 102.4 gallons a minute are 102.4 × 3.785411784e-3 ÷ 60 m³/s; 25 %; -1.5 °C.
            (H, 8, &[1024]),
            (H, 11, &[2500]),
            (H, 13, &[0xff6a]),
            // Half of it; -12.25 °C; -0.5 °C; 30 %; 10 % and 90 %.
            (H, 16, &[512]),
            (H, 19, &[0xfb37]),
            (H, 21, &[0xffce]),
            (H, 25, &[3000]),
            (H, 105, &[1000, 9000]),
            // Bits 0, 2, 4, 6 and bits 0, 2, each with all that have no name.
            (H, 157, &[0xffd5, 0xfffd]),
        ],
        &[
            ("cooling_valve_setpoint_ratio", Ok(0.755)),
            ("cooling_valve_ratio", Ok(0.5)),
            ("cooling_valve_angle_degrees", Ok(45.0)),
            ("cooling_flow_ratio", Ok(1.025)),
            ("cooling_flow_cubic_meters_per_second", Ok(0.006_460_436_111_36)),
            (r#"cooling_valve_setpoint_ratio{input="analog"}"#, Ok(0.25)),
            (r#"cooling_remote_temperature_celsius{probe="sensor"}"#, Ok(-1.5)),
            ("cooling_flow_setpoint_cubic_meters_per_second", Ok(0.003_230_218_055_68)),
            (r#"cooling_remote_temperature_celsius{probe="remote"}"#, Ok(-12.25)),
            (r#"cooling_liquid_temperature_celsius{place="valve"}"#, Ok(-0.5)),
            ("cooling_glycol_ratio", Ok(0.3)),
            (r#"cooling_flow_limit_ratio{limit="min"}"#, Ok(0.1)),
            (r#"cooling_flow_limit_ratio{limit="max"}"#, Ok(0.9)),
            (r#"cooling_alarm{alarm="no_actuator_communication"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="actuator_blocked"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="setpoint_not_reached"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="flow_above_nominal"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="no_differential_pressure"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="minimum_position_applied"}"#, Ok(1.0)),
        ],
    );
    each_alone(
        "belimo_energy_valve",
        H,
        "cooling_alarm",
        &[
            (157, &[0x0001], r#"alarm="no_actuator_communication""#),
            (157, &[0x0002], r#"alarm="gear_disengaged""#),
            (157, &[0x0004], r#"alarm="actuator_blocked""#),
            (157, &[0x0008], r#"alarm="reverse_flow""#),
            (157, &[0x0010], r#"alarm="setpoint_not_reached""#),
            (157, &[0x0020], r#"alarm="flow_with_closed_valve""#),
            (157, &[0x0040], r#"alarm="flow_above_nominal""#),
            (158, &[0x0001], r#"alarm="no_differential_pressure""#),
            (158, &[0x0002], r#"alarm="differential_pressure_setpoint_not_reached""#),
            (158, &[0x0004], r#"alarm="minimum_position_applied""#),
        ],
    );
    // A sensor that is not there (-327.68 °C), the other two at 200 °C, a valve at 100.01 %.
    let found = read_from(
        &profile("belimo_energy_valve"),
        &[(H, 4, &[10_001]), (H, 13, &[0x8000]), (H, 19, &[20_000]), (H, 21, &[20_000])],
    );
    assert_eq!(found["cooling_valve_ratio"], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="sensor"}"#], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="remote"}"#], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_liquid_temperature_celsius{place="valve"}"#], OUT_OF_RANGE);
    // Numbers without a sign: 2^15 everywhere.
    let found = read_from(
        &profile("belimo_energy_valve"),
        &[
            (H, 0, &[0x8000]),
            (H, 4, &[0x8000; 5]),
            (H, 11, &[0x8000]),
            (H, 16, &[0x8000]),
            (H, 25, &[0x8000]),
            (H, 105, &[0x8000; 2]),
        ],
    );
    for (series, value) in [
        ("cooling_valve_setpoint_ratio", OUT_OF_RANGE),
        ("cooling_valve_ratio", OUT_OF_RANGE),
        ("cooling_valve_angle_degrees", Ok(327.68)),
        ("cooling_flow_ratio", Ok(3.2768)),
        ("cooling_flow_cubic_meters_per_second", Ok(0.206_733_955_563_52)),
        (r#"cooling_valve_setpoint_ratio{input="analog"}"#, OUT_OF_RANGE),
        ("cooling_flow_setpoint_cubic_meters_per_second", Ok(0.206_733_955_563_52)),
        ("cooling_glycol_ratio", OUT_OF_RANGE),
        (r#"cooling_flow_limit_ratio{limit="min"}"#, OUT_OF_RANGE),
        (r#"cooling_flow_limit_ratio{limit="max"}"#, OUT_OF_RANGE),
    ] {
        assert_eq!(found[series], value, "{series}");
    }
    assert_eq!(identity("belimo_energy_valve", &[(H, 3, &[4])]), owned(&[("device_type", "4")]));
}

#[test]
fn danfoss_003z8540() {
    assert_eq!(
        reads("danfoss_003z8540"),
        [
            (32798, 2),
            (33028, 2),
            (33218, 2),
            (33286, 2),
            (33536, 2),
            (33812, 4),
            (34312, 2),
            (34318, 2)
        ]
    );
    check(
        "danfoss_003z8540",
        &[
            // 120.0 l/min; 87.5 %; -1.5 °C; 7.25 V.
            (H, 32798, &[0x42f0, 0]),
            (H, 33028, &[0x42af, 0]),
            (H, 33218, &[0xbfc0, 0]),
            (H, 33286, &[0x40e8, 0]),
            // Bits 0, 3, 6 and bits 1, 3, each with all that have no name.
            (H, 33536, &[0xffdb, 0xfffa]),
            // 100000 minutes = 0x0001_86a0; 90.
            (H, 33812, &[0x0001, 0x86a0, 0, 90]),
            // 62.5 % and 40.25 %.
            (H, 34312, &[0x427a, 0]),
            (H, 34318, &[0x4221, 0]),
        ],
        &[
            ("cooling_design_flow_cubic_meters_per_second", Ok(0.002)),
            (r#"cooling_flow_limit_ratio{limit="max"}"#, Ok(0.875)),
            (r#"cooling_liquid_temperature_celsius{place="supply"}"#, Ok(-1.5)),
            ("cooling_valve_output_volts", Ok(7.25)),
            (r#"cooling_alarm{alarm="temperature_out_of_range"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="supply_voltage_low"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="invalid_address"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="movement_fault"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="internal_fault"}"#, Ok(1.0)),
            ("cooling_valve_closed_seconds", Ok(6_000_000.0)),
            ("cooling_valve_open_seconds", Ok(5400.0)),
            ("cooling_flow_ratio", Ok(0.625)),
            ("cooling_valve_ratio", Ok(0.4025)),
        ],
    );
    each_alone(
        "danfoss_003z8540",
        H,
        "cooling_alarm",
        &[
            (33536, &[0x0001], r#"alarm="temperature_out_of_range""#),
            (33536, &[0x0004], r#"alarm="supply_voltage_high""#),
            (33536, &[0x0008], r#"alarm="supply_voltage_low""#),
            (33536, &[0x0020], r#"alarm="communication_fault""#),
            (33536, &[0x0040], r#"alarm="invalid_address""#),
            (33537, &[0x0001], r#"alarm="no_control_signal""#),
            (33537, &[0x0002], r#"alarm="movement_fault""#),
            (33537, &[0x0004], r#"alarm="calibration_fault""#),
            (33537, &[0x0008], r#"alarm="internal_fault""#),
        ],
    );
    // Not a number; infinity; 200 °C; -1 and -2 minutes; -6 %.
    let found = read_from(
        &profile("danfoss_003z8540"),
        &[
            (H, 32798, &[0x7fc0, 0]),
            (H, 33028, &[0x7f80, 0]),
            (H, 33218, &[0x4348, 0]),
            (H, 33812, &[0xffff, 0xffff, 0xffff, 0xfffe]),
            (H, 34318, &[0xc0c0, 0]),
        ],
    );
    assert_eq!(found["cooling_design_flow_cubic_meters_per_second"], NOT_AVAILABLE);
    assert_eq!(found[r#"cooling_flow_limit_ratio{limit="max"}"#], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_liquid_temperature_celsius{place="supply"}"#], OUT_OF_RANGE);
    assert_eq!(found["cooling_valve_closed_seconds"], OUT_OF_RANGE);
    assert_eq!(found["cooling_valve_open_seconds"], OUT_OF_RANGE);
    assert_eq!(found["cooling_valve_ratio"], OUT_OF_RANGE);
    // "NovoCon", "003Z8540", "Danfoss" and "D1" in ASCII.
    let found = identity(
        "danfoss_003z8540",
        &[
            (H, 33035, &[0x8001]),
            (H, 33056, &[0x4e6f, 0x766f, 0x436f, 0x6e00]),
            (H, 33088, &[0x3030, 0x335a, 0x3835, 0x3430]),
            (H, 33120, &[0x4461, 0x6e66, 0x6f73, 0x7300]),
            (H, 33184, &[0x4431]),
        ],
    );
    assert_eq!(
        found,
        owned(&[
            ("spare_part", "32769"),
            ("model", "NovoCon"),
            ("part_number", "003Z8540"),
            ("manufacturer", "Danfoss"),
            ("serial", "D1"),
        ])
    );
}

#[test]
fn delta_rdf040_rpu() {
    assert_eq!(reads("delta_rdf040_rpu"), [(36865, 2), (37376, 2)]);
    check(
        "delta_rdf040_rpu",
        // 41.5 °C out, -1.5 °C in; critical: bit 2 and those without a name.
        &[(H, 36865, &[415, 0xfff1]), (H, 37376, &[0xfffc, 0xfffd])],
        &[
            (r#"cooling_liquid_temperature_celsius{place="outlet"}"#, Ok(41.5)),
            (r#"cooling_liquid_temperature_celsius{place="inlet"}"#, Ok(-1.5)),
            (r#"cooling_alarm{alarm="inlet_temperature_critical"}"#, Ok(1.0)),
        ],
    );
    each_alone(
        "delta_rdf040_rpu",
        H,
        "cooling_alarm",
        &[
            (37376, &[0x0001], r#"alarm="inlet_sensor_failure""#),
            (37376, &[0x0002], r#"alarm="outlet_sensor_failure""#),
            (37377, &[0x0002], r#"alarm="outlet_temperature_critical""#),
            (37377, &[0x0004], r#"alarm="inlet_temperature_critical""#),
        ],
    );
    // What a failed sensor still says is no temperature; the other's is.
    let outlet = r#"cooling_liquid_temperature_celsius{place="outlet"}"#;
    let inlet = r#"cooling_liquid_temperature_celsius{place="inlet"}"#;
    let unit = profile("delta_rdf040_rpu");
    let found = read_from(&unit, &[(H, 36865, &[0xfff6, 250]), (H, 37376, &[1])]);
    assert_eq!((found[outlet], found[inlet]), (Ok(-1.0), NOT_AVAILABLE));
    let found = read_from(&unit, &[(H, 36865, &[415, 250]), (H, 37376, &[2])]);
    assert_eq!((found[outlet], found[inlet]), (NOT_AVAILABLE, Ok(25.0)));
    // 327.67 °C and -327.68 °C.
    let found = read_from(&unit, &[(H, 36865, &[0x7fff, 0x8000])]);
    assert_eq!((found[outlet], found[inlet]), (OUT_OF_RANGE, OUT_OF_RANGE));

    // "RDF040DSS5193E0", "20260102", "S1", "1.2", "P4" in ASCII.
    let model = &[0x5244, 0x4630, 0x3430, 0x4453, 0x5335, 0x3139, 0x3345, 0x3000];
    let found = identity(
        "delta_rdf040_rpu",
        &[
            (H, 6604, model),
            (H, 6612, &[0x3230, 0x3236, 0x3031, 0x3032]),
            (H, 6616, &[0x5331]),
            (H, 6632, &[0x312e, 0x3200]),
            (H, 6652, &[0x5034]),
        ],
    );
    assert_eq!(
        found,
        owned(&[
            ("model", "RDF040DSS5193E0"),
            ("build_date", "20260102"),
            ("serial", "S1"),
            ("firmware", "1.2"),
            ("part_number", "P4"),
        ])
    );
    let data = Data::Registers((*model).into());
    assert!(unit.fingerprints.iter().all(|one| one.fits_data(&data)));
}

#[test]
fn papouch_tme() {
    let temperature = "environment_temperature_celsius";
    let fault = r#"sensor_fault{fault="probe"}"#;
    assert_eq!(reads("papouch_tme"), [(0, 2)]);
    assert!(profile("papouch_tme").is_unverified());
    // As long as nobody said what the register counts there is no temperature.
    check("papouch_tme", &[(I, 0, &[23, 0])], &[(temperature, NOT_AVAILABLE)]);
    let whole = with("papouch_tme", &[("temperature_exponent", 0.0)]);
    assert_eq!(read_from(&whole, &[(I, 0, &[23, 0])])[temperature], Ok(23.0));
    assert_eq!(read_from(&whole, &[(I, 0, &[0xfffb, 0])])[temperature], Ok(-5.0));
    assert_eq!(read_from(&whole, &[(I, 0, &[235, 0])])[temperature], OUT_OF_RANGE);
    let tenths = with("papouch_tme", &[("temperature_exponent", -1.0)]);
    assert_eq!(read_from(&tenths, &[(I, 0, &[235, 0])])[temperature], Ok(23.5));
    assert_eq!(read_from(&tenths, &[(I, 0, &[0xfff1, 0])])[temperature], Ok(-1.5));
    assert_eq!(read_from(&tenths, &[(I, 0, &[1251, 0])])[temperature], OUT_OF_RANGE);
    // A failed probe, and a state that no list has.
    check("papouch_tme", &[(I, 0, &[23, 1])], &[(temperature, NOT_AVAILABLE), (fault, Ok(1.0))]);
    check(
        "papouch_tme",
        &[(I, 0, &[23, 2])],
        &[(temperature, NOT_AVAILABLE), (fault, OUT_OF_RANGE)],
    );
}

#[test]
fn scion_thp_probe() {
    assert_eq!(reads("scion_thp_probe"), [(6, 2), (10, 12)]);
    assert!(profile("scion_thp_probe").is_unverified());
    // 23.5 °C, 45.25 %, -2.5 °C, 1013.25 hPa, 0.5 K, -1.5 %.
    let measured: &'static [u16] =
        &[0x41bc, 0, 0x4235, 0, 0xc020, 0, 0x447d, 0x5000, 0x3f00, 0, 0xbfc0, 0];
    let all = [
        ("environment_temperature_celsius", Ok(23.5)),
        ("environment_humidity_ratio", Ok(0.4525)),
        ("environment_dew_point_celsius", Ok(-2.5)),
        ("environment_pressure_pascals", Ok(101_325.0)),
        ("environment_temperature_difference_celsius", Ok(0.5)),
        ("environment_humidity_difference_ratio", Ok(-0.015)),
    ];
    check("scion_thp_probe", &[(H, 6, &[0, 0, 0, 77]), (H, 10, measured)], &all);

    let probe = profile("scion_thp_probe");
    let missing = |status: &'static [u16]| -> Vec<&str> {
        let found = read_from(&probe, &[(H, 6, status), (H, 10, measured)]);
        for (series, value) in all {
            assert!(found[series] == value || found[series] == NOT_AVAILABLE, "{series}");
        }
        let missing = all.iter().filter(|(series, _)| found[*series].is_err());
        missing.map(|(series, _)| *series).collect()
    };
    let differences =
        ["environment_temperature_difference_celsius", "environment_humidity_difference_ratio"];
    // The sensors disagree; the first, the second, both, the pressure sensor have failed.
    assert_eq!(missing(&[0, 0x0003]), [""; 0]);
    assert_eq!(missing(&[0, 0x0004]), differences);
    assert_eq!(missing(&[0, 0x0008]), differences);
    assert_eq!(missing(&[0, 0x000c]), {
        let [temperature, humidity, dew_point, _, delta, delta_humidity] =
            all.map(|(name, _)| name);
        [temperature, humidity, dew_point, delta, delta_humidity]
    });
    assert_eq!(missing(&[0, 0x0010]), ["environment_pressure_pascals"]);
    // Bits of the high word have no name.
    assert_eq!(missing(&[0xffff, 0xffc0]), [""; 0]);

    let words = |status| -> [(Table, u16, &'static [u16]); 2] {
        [(H, 6, status), (H, 10, &[0x41bc, 0, 0x4235, 0, 0xc020, 0, 0x447d, 0x5000])]
    };
    let found = read_from(&probe, &words(&[0, 0x0020]));
    assert_eq!(found["sensor_debug_mode"], Ok(1.0));
    let found = read_from(&probe, &words(&[0x0020, 0]));
    assert_eq!(found["sensor_debug_mode"], Ok(0.0));
    each_alone(
        "scion_thp_probe",
        H,
        "sensor_fault",
        &[
            (6, &[0, 0x0001], r#"fault="temperature_difference""#),
            (6, &[0, 0x0002], r#"fault="humidity_difference""#),
            (6, &[0, 0x0004], r#"fault="sensor_1""#),
            (6, &[0, 0x0008], r#"fault="sensor_2""#),
            (6, &[0, 0x0010], r#"fault="pressure_sensor""#),
        ],
    );
    // With swapped words every number is absurd: 23.5 °C would be 2.4e-41, and 1013.25 hPa 7.5e10.
    let found = read_from(&probe, &[(H, 16, &[0x5000, 0x447d]), (H, 10, &[0x7fc0, 0])]);
    assert_eq!(found["environment_pressure_pascals"], OUT_OF_RANGE);
    assert_eq!(found["environment_temperature_celsius"], NOT_AVAILABLE);

    let ids = identity("scion_thp_probe", &[(H, 0, &[0x1234, 0xabcd, 0, 7, 0xffff, 0])]);
    assert_eq!(
        ids,
        owned(&[
            ("sensor_1", "1234abcd"),
            ("sensor_2", "00000007"),
            ("pressure_sensor", "ffff0000"),
        ])
    );
}

#[test]
fn stulz_air_booster2() {
    let unit =
        with("stulz_air_booster2", &[("temperature_exponent", 0.0), ("pressure_exponent", 0.0)]);
    check_of(
        &unit,
        &[
            // Whole degrees: 23, 24, -3; 22 on average, 25 at most; -12 Pa; 65 % and 40 %.
            (H, 256, &[23, 24, 0xfffd, 22, 25, 0xfff4, 65, 40]),
            // 20 % and 100 %; 10 % and 90 %; 1000 hours.
            (H, 272, &[20, 100, 10, 90, 1000]),
            (H, 768, &[21, 15]),
            (C, 528, &[1, 0, 0, 1, 0]),
        ],
        &[
            (r#"cooling_remote_temperature_celsius{probe="1"}"#, Ok(23.0)),
            (r#"cooling_remote_temperature_celsius{probe="2"}"#, Ok(24.0)),
            (r#"cooling_remote_temperature_celsius{probe="3"}"#, Ok(-3.0)),
            ("cooling_average_temperature_celsius", Ok(22.0)),
            ("cooling_highest_temperature_celsius", Ok(25.0)),
            ("cooling_pressure_pascals", Ok(-12.0)),
            ("cooling_fan_speed_ratio", Ok(0.65)),
            ("cooling_damper_ratio", Ok(0.4)),
            (r#"cooling_fan_speed_limit_ratio{limit="min"}"#, Ok(0.2)),
            (r#"cooling_fan_speed_limit_ratio{limit="max"}"#, Ok(1.0)),
            (r#"cooling_damper_limit_ratio{limit="min"}"#, Ok(0.1)),
            (r#"cooling_damper_limit_ratio{limit="max"}"#, Ok(0.9)),
            ("cooling_run_seconds_total", Ok(3_600_000.0)),
            ("cooling_setpoint_celsius", Ok(21.0)),
            ("cooling_pressure_setpoint_pascals", Ok(15.0)),
            (r#"cooling_alarm{alarm="high_pressure"}"#, Ok(1.0)),
            (r#"cooling_alarm{alarm="damper_block"}"#, Ok(1.0)),
        ],
    );
    each_alone(
        "stulz_air_booster2",
        C,
        "cooling_alarm",
        &[
            (528, &[1], r#"alarm="high_pressure""#),
            (529, &[1], r#"alarm="fan_block""#),
            (530, &[1], r#"alarm="fan_block_serious""#),
            (531, &[1], r#"alarm="damper_block""#),
            (532, &[1], r#"alarm="motor_block""#),
        ],
    );
    // Nothing is taken for granted.
    let found = read_from(&profile("stulz_air_booster2"), &[(H, 256, &[23, 24, 25, 24, 25, 1])]);
    for (series, value) in found {
        let is_open = series.contains("celsius") || series.contains("pascals");
        assert_eq!(value == NOT_AVAILABLE, is_open, "{series}");
    }
    // 23.5 °C in tenths, 75 °F and -21 °C are no temperatures in whole degrees Celsius; -2 and -1 °C
    // are; 101 %.
    let found = read_from(&unit, &[(H, 256, &[235, 75, 0xffeb, 0xfffe, 0xffff]), (H, 262, &[101])]);
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="2"}"#], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="3"}"#], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="1"}"#], OUT_OF_RANGE);
    assert_eq!(found["cooling_fan_speed_ratio"], OUT_OF_RANGE);
    assert_eq!(found["cooling_average_temperature_celsius"], Ok(-2.0));
    assert_eq!(found["cooling_highest_temperature_celsius"], Ok(-1.0));
    // Numbers without a sign: 2^15 everywhere.
    let found = read_from(
        &profile("stulz_air_booster2"),
        &[(H, 262, &[0x8000; 2]), (H, 272, &[0x8000; 5])],
    );
    for (series, value) in [
        ("cooling_fan_speed_ratio", OUT_OF_RANGE),
        ("cooling_damper_ratio", OUT_OF_RANGE),
        (r#"cooling_fan_speed_limit_ratio{limit="min"}"#, OUT_OF_RANGE),
        (r#"cooling_fan_speed_limit_ratio{limit="max"}"#, OUT_OF_RANGE),
        (r#"cooling_damper_limit_ratio{limit="min"}"#, OUT_OF_RANGE),
        (r#"cooling_damper_limit_ratio{limit="max"}"#, OUT_OF_RANGE),
        ("cooling_run_seconds_total", Ok(117_964_800.0)),
    ] {
        assert_eq!(found[series], value, "{series}");
    }
    // Tenths of a degree Fahrenheit: 77.0, -4.0 (0xffd8), 32.0, 41.0, 50.0;
    // hundredths of a bar.
    let found = read_from(
        &with(
            "stulz_air_booster2",
            &[("temperature_exponent", -1.0), ("fahrenheit", 1.0), ("pressure_exponent", 3.0)],
        ),
        &[(H, 256, &[770, 0xffd8, 320, 410, 500, 2]), (H, 768, &[0xffd8, 0xffff])],
    );
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="1"}"#], Ok(25.0));
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="2"}"#], Ok(-20.0));
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="3"}"#], Ok(0.0));
    assert_eq!(found["cooling_average_temperature_celsius"], Ok(5.0));
    assert_eq!(found["cooling_highest_temperature_celsius"], Ok(10.0));
    assert_eq!(found["cooling_pressure_pascals"], Ok(2000.0));
    assert_eq!(found["cooling_setpoint_celsius"], Ok(-20.0));
    assert_eq!(found["cooling_pressure_setpoint_pascals"], Ok(-1000.0));
}

#[test]
fn vertiv_liebert_crv() {
    assert_eq!(reads("vertiv_liebert_crv"), [(426, 8), (443, 1), (445, 1), (449, 9), (459, 1)]);
    check(
        "vertiv_liebert_crv",
        &[
            // 24.5, -1.5 (0xfff1), 23.7, 18.0, 19.1, 20.2, 21.3 °C; 77.0 °F.
            (I, 426, &[245, 0xfff1, 237, 180, 191, 202, 213, 770]),
            // -0.5 °C (0xfffb), again as 31.1 °F; -2.0 °C.
            (I, 443, &[0xfffb, 311, 0xffec]),
            // 85, 60; 70, 10, 20, 30 %; November 2026; 45 %; remote.
            (I, 449, &[85, 60, 70, 10, 20, 30, 11, 2026, 45]),
            (I, 459, &[1]),
        ],
        &[
            (r#"cooling_remote_temperature_celsius{probe="4"}"#, Ok(24.5)),
            (r#"cooling_remote_temperature_celsius{probe="5"}"#, Ok(-1.5)),
            (r#"cooling_remote_temperature_celsius{probe="6"}"#, Ok(23.7)),
            (r#"cooling_remote_temperature_celsius{probe="7"}"#, Ok(18.0)),
            (r#"cooling_remote_temperature_celsius{probe="8"}"#, Ok(19.1)),
            (r#"cooling_remote_temperature_celsius{probe="9"}"#, Ok(20.2)),
            (r#"cooling_remote_temperature_celsius{probe="10"}"#, Ok(21.3)),
            (r#"cooling_remote_temperature_celsius{probe="1"}"#, Ok(25.0)),
            (r#"cooling_liquid_temperature_celsius{place="supply"}"#, Ok(-0.5)),
            (r#"cooling_threshold_celsius{limit="high", place="supply_water"}"#, Ok(-2.0)),
            ("cooling_efficiency_ratio", Ok(0.85)),
            ("cooling_fan_speed_ratio", Ok(0.6)),
            (r#"cooling_utilization_ratio{part="compressor"}"#, Ok(0.7)),
            (r#"cooling_utilization_ratio{part="dehumidifier"}"#, Ok(0.1)),
            (r#"cooling_utilization_ratio{part="reheat"}"#, Ok(0.2)),
            (r#"cooling_utilization_ratio{part="humidifier"}"#, Ok(0.3)),
            ("cooling_next_maintenance_month", Ok(11.0)),
            ("cooling_next_maintenance_year", Ok(2026.0)),
            ("cooling_maintenance_ratio", Ok(0.45)),
            (r#"cooling_control_sensor{sensor="remote"}"#, Ok(1.0)),
        ],
    );
    each_alone(
        "vertiv_liebert_crv",
        I,
        "cooling_control_sensor",
        &[
            (459, &[0], r#"sensor="supply""#),
            (459, &[1], r#"sensor="remote""#),
            (459, &[2], r#"sensor="return""#),
        ],
    );
    // -40 is the same in both: -400 = 0xfe70. What cannot be: 3276.7 °C, month 0, sensor 3.
    let found = read_from(
        &profile("vertiv_liebert_crv"),
        &[(I, 426, &[0x7fff]), (I, 433, &[0xfe70]), (I, 450, &[101]), (I, 459, &[3])],
    );
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="1"}"#], Ok(-40.0));
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="4"}"#], OUT_OF_RANGE);
    assert_eq!(found["cooling_fan_speed_ratio"], OUT_OF_RANGE);
    assert_eq!(found["cooling_next_maintenance_month"], OUT_OF_RANGE);
    assert_eq!(found["cooling_next_maintenance_year"], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_control_sensor{sensor="supply"}"#], OUT_OF_RANGE);
    // Numbers without a sign: 2^15 everywhere.
    let found = read_from(&profile("vertiv_liebert_crv"), &[(I, 449, &[0x8000; 9])]);
    for series in [
        "cooling_efficiency_ratio",
        "cooling_fan_speed_ratio",
        r#"cooling_utilization_ratio{part="compressor"}"#,
        r#"cooling_utilization_ratio{part="dehumidifier"}"#,
        r#"cooling_utilization_ratio{part="reheat"}"#,
        r#"cooling_utilization_ratio{part="humidifier"}"#,
        "cooling_next_maintenance_month",
        "cooling_next_maintenance_year",
        "cooling_maintenance_ratio",
    ] {
        assert_eq!(found[series], OUT_OF_RANGE, "{series}");
    }
    let found = identity("vertiv_liebert_crv", &[(I, 458, &[2])]);
    assert_eq!(found, owned(&[("equipment_class", "2")]));
}

#[test]
fn vertiv_liebert_dcd_active() {
    check(
        "vertiv_liebert_dcd_active",
        &[
            // The low word first: 18.00390625 = 0x4190_0800, 30.25, -1.5 °C.
            (I, 110, &[0x0800, 0x4190]),
            (I, 114, &[0, 0x41f2]),
            (I, 118, &[0, 0xbfc0]),
            // Valve 16.5 of 17.0 °C; supply 14.0, return 22.0 °C; -12.5 Pa; overpressure.
            (I, 122, &[0, 0x4184]),
            (I, 126, &[0, 0x4188]),
            (I, 130, &[0, 0x4160]),
            (I, 134, &[0, 0x41b0]),
            (I, 138, &[0, 0xc148]),
            (I, 142, &[2]),
            (I, 146, &[1450]),
            (I, 150, &[1460]),
            (I, 154, &[1470]),
            (I, 158, &[1480]),
            (I, 162, &[55]),
            // 10.0, 45.0; 12.0, 40.0; 8.0 °C.
            (I, 166, &[0, 0x4120]),
            (I, 170, &[0, 0x4234]),
            (I, 174, &[0, 0x4140]),
            (I, 178, &[0, 0x4220]),
            (I, 182, &[0, 0x4100]),
        ],
        &[
            (r#"cooling_remote_temperature_celsius{probe="cabinet_2"}"#, Ok(18.003_906_25)),
            (r#"cooling_remote_temperature_celsius{probe="cabinet_3"}"#, Ok(30.25)),
            (r#"cooling_remote_temperature_celsius{probe="cabinet_4"}"#, Ok(-1.5)),
            (r#"cooling_liquid_temperature_celsius{place="valve"}"#, Ok(16.5)),
            ("cooling_setpoint_celsius", Ok(17.0)),
            (r#"cooling_liquid_temperature_celsius{place="supply"}"#, Ok(14.0)),
            (r#"cooling_liquid_temperature_celsius{place="return"}"#, Ok(22.0)),
            ("cooling_pressure_pascals", Ok(-12.5)),
            (r#"cooling_pressure_mode{mode="slight_overpressure"}"#, Ok(1.0)),
            (r#"cooling_fan_speed_rpm{fan="1"}"#, Ok(1450.0)),
            (r#"cooling_fan_speed_rpm{fan="2"}"#, Ok(1460.0)),
            (r#"cooling_fan_speed_rpm{fan="3"}"#, Ok(1470.0)),
            (r#"cooling_fan_speed_rpm{fan="4"}"#, Ok(1480.0)),
            ("cooling_valve_ratio", Ok(0.55)),
            (r#"cooling_threshold_celsius{limit="low", place="exhaust"}"#, Ok(10.0)),
            (r#"cooling_threshold_celsius{limit="high", place="exhaust"}"#, Ok(45.0)),
            (r#"cooling_threshold_celsius{limit="low", place="cabinet"}"#, Ok(12.0)),
            (r#"cooling_threshold_celsius{limit="high", place="cabinet"}"#, Ok(40.0)),
            (r#"cooling_threshold_celsius{limit="low", place="cold_water"}"#, Ok(8.0)),
        ],
    );
    // Each point is read alone.
    assert!(reads("vertiv_liebert_dcd_active").iter().all(|(_, count)| *count <= 2));
    assert_eq!(reads("vertiv_liebert_dcd_active").len(), 19);
    each_alone(
        "vertiv_liebert_dcd_active",
        I,
        "cooling_pressure_mode",
        &[
            (142, &[0], r#"mode="slight_negative""#),
            (142, &[1], r#"mode="neutral""#),
            (142, &[2], r#"mode="slight_overpressure""#),
        ],
    );
    // Not a number, infinity, a pressure and a mode that cannot be; fans
    // and valve far beyond what they can.
    let found = read_from(
        &profile("vertiv_liebert_dcd_active"),
        &[
            (I, 110, &[0, 0x7fc0]),
            (I, 114, &[0, 0x7f80]),
            (I, 138, &[0, 0x447d]),
            (I, 142, &[3]),
            (I, 146, &[0x8000]),
            (I, 150, &[20_001]),
            (I, 162, &[0x8000]),
        ],
    );
    assert_eq!(found[r#"cooling_fan_speed_rpm{fan="1"}"#], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_fan_speed_rpm{fan="2"}"#], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="cabinet_2"}"#], NOT_AVAILABLE);
    assert_eq!(found[r#"cooling_remote_temperature_celsius{probe="cabinet_3"}"#], OUT_OF_RANGE);
    assert_eq!(found["cooling_pressure_pascals"], OUT_OF_RANGE);
    assert_eq!(found[r#"cooling_pressure_mode{mode="neutral"}"#], OUT_OF_RANGE);
    assert_eq!(found["cooling_valve_ratio"], OUT_OF_RANGE);
}

#[test]
fn xy_md02() {
    assert_eq!(reads("xy_md02"), [(1, 2)]);
    let temperature = "environment_temperature_celsius";
    let humidity = "environment_humidity_ratio";
    check("xy_md02", &[(I, 1, &[235, 455])], &[(temperature, Ok(23.5)), (humidity, Ok(0.455))]);
    // -5.5 °C; 100 %.
    check("xy_md02", &[(I, 1, &[0xffc9, 1000])], &[(temperature, Ok(-5.5)), (humidity, Ok(1.0))]);
    // 125.1 °C, 100.1 %.
    check(
        "xy_md02",
        &[(I, 1, &[1251, 1001])],
        &[(temperature, OUT_OF_RANGE), (humidity, OUT_OF_RANGE)],
    );
    check(
        "xy_md02",
        &[(I, 1, &[0x8000, 0x8000])],
        &[(temperature, OUT_OF_RANGE), (humidity, OUT_OF_RANGE)],
    );
    let fits = |word: u16| {
        let data = Data::Registers([word].into());
        profile("xy_md02").fingerprints.iter().all(|one| one.fits_data(&data))
    };
    assert!(fits(9600) && fits(14_400) && fits(19_200) && !fits(1));
}

/// Profile, table, address, words that are each too much or too little there, series.
type Implausible = (&'static str, Table, u16, &'static [&'static [u16]], &'static str);

#[test]
fn what_cannot_be_is_refused() {
    const WATER: &str = r#"cooling_liquid_temperature_celsius{place="supply"}"#;
    let cases: &[Implausible] = &[
        // 360.01 degrees; 150.01 °C; -50.01 °C is -5001.
        ("belimo_energy_valve", H, 5, &[&[36_001]], "cooling_valve_angle_degrees"),
        (
            "belimo_energy_valve",
            H,
            13,
            &[&[15_001], &[0xec77]],
            r#"cooling_remote_temperature_celsius{probe="sensor"}"#,
        ),
        (
            "belimo_energy_valve",
            H,
            19,
            &[&[15_001], &[0xec77]],
            r#"cooling_remote_temperature_celsius{probe="remote"}"#,
        ),
        (
            "belimo_energy_valve",
            H,
            21,
            &[&[15_001], &[0xec77]],
            r#"cooling_liquid_temperature_celsius{place="valve"}"#,
        ),
        // -1.0; -50.5 °C and 150.5 °C; -1.0 V and 30.5 V; -6 %, 106 %.
        (
            "danfoss_003z8540",
            H,
            32798,
            &[&[0xbf80, 0]],
            "cooling_design_flow_cubic_meters_per_second",
        ),
        ("danfoss_003z8540", H, 33028, &[&[0xbf80, 0]], r#"cooling_flow_limit_ratio{limit="max"}"#),
        ("danfoss_003z8540", H, 33218, &[&[0xc24a, 0], &[0x4316, 0x8000]], WATER),
        ("danfoss_003z8540", H, 33286, &[&[0xbf80, 0], &[0x41f4, 0]], "cooling_valve_output_volts"),
        ("danfoss_003z8540", H, 34312, &[&[0xc0c0, 0]], "cooling_flow_ratio"),
        ("danfoss_003z8540", H, 34318, &[&[0xc0c0, 0], &[0x42d4, 0]], "cooling_valve_ratio"),
        // -50.1 °C is -501.
        (
            "delta_rdf040_rpu",
            H,
            36865,
            &[&[1501], &[0xfe0b]],
            r#"cooling_liquid_temperature_celsius{place="outlet"}"#,
        ),
        (
            "delta_rdf040_rpu",
            H,
            36866,
            &[&[1501], &[0xfe0b]],
            r#"cooling_liquid_temperature_celsius{place="inlet"}"#,
        ),
        ("papouch_tme", I, 0, &[&[126], &[0xffc8]], "environment_temperature_celsius"),
        // 125.5, -55.5; 100.5, -1.0; 125.5, -100.5; 299, 1501; 180.5, -180.5; 100.5, -100.5.
        (
            "scion_thp_probe",
            H,
            10,
            &[&[0x42fb, 0], &[0xc25e, 0]],
            "environment_temperature_celsius",
        ),
        ("scion_thp_probe", H, 12, &[&[0x42c9, 0], &[0xbf80, 0]], "environment_humidity_ratio"),
        ("scion_thp_probe", H, 14, &[&[0x42fb, 0], &[0xc2c9, 0]], "environment_dew_point_celsius"),
        (
            "scion_thp_probe",
            H,
            16,
            &[&[0x4395, 0x8000], &[0x44bb, 0xa000]],
            "environment_pressure_pascals",
        ),
        (
            "scion_thp_probe",
            H,
            18,
            &[&[0x4334, 0x8000], &[0xc334, 0x8000]],
            "environment_temperature_difference_celsius",
        ),
        (
            "scion_thp_probe",
            H,
            20,
            &[&[0x42c9, 0], &[0xc2c9, 0]],
            "environment_humidity_difference_ratio",
        ),
        // 61 °C and -21 °C.
        (
            "stulz_air_booster2",
            H,
            256,
            &[&[61], &[0xffeb]],
            r#"cooling_remote_temperature_celsius{probe="1"}"#,
        ),
        ("stulz_air_booster2", H, 259, &[&[61], &[0xffeb]], "cooling_average_temperature_celsius"),
        ("stulz_air_booster2", H, 260, &[&[61], &[0xffeb]], "cooling_highest_temperature_celsius"),
        ("stulz_air_booster2", H, 768, &[&[61], &[0xffeb]], "cooling_setpoint_celsius"),
        // 100.1 °C; -40.1 is -401 in both units; 212.1 °F.
        (
            "vertiv_liebert_crv",
            I,
            432,
            &[&[1001], &[0xfe6f]],
            r#"cooling_remote_temperature_celsius{probe="10"}"#,
        ),
        (
            "vertiv_liebert_crv",
            I,
            433,
            &[&[2121], &[0xfe6f]],
            r#"cooling_remote_temperature_celsius{probe="1"}"#,
        ),
        ("vertiv_liebert_crv", I, 443, &[&[1001], &[0xfe6f]], WATER),
        (
            "vertiv_liebert_crv",
            I,
            445,
            &[&[1001], &[0xfe6f]],
            r#"cooling_threshold_celsius{limit="high", place="supply_water"}"#,
        ),
        ("vertiv_liebert_crv", I, 455, &[&[0], &[13]], "cooling_next_maintenance_month"),
        ("vertiv_liebert_crv", I, 456, &[&[1999], &[2101]], "cooling_next_maintenance_year"),
        // 1000.5 and -1000.5 Pa.
        (
            "vertiv_liebert_dcd_active",
            I,
            138,
            &[&[0x2000, 0x447a], &[0x2000, 0xc47a]],
            "cooling_pressure_pascals",
        ),
    ];
    for (name, table, address, words, series) in cases {
        let profile = match *name {
            "papouch_tme" => with(name, &[("temperature_exponent", 0.0)]),
            "stulz_air_booster2" => {
                with(name, &[("temperature_exponent", 0.0), ("pressure_exponent", 0.0)])
            }
            _ => profile(name),
        };
        for words in *words {
            let found = read_from(&profile, &[(*table, *address, *words)]);
            assert_eq!(found[*series], OUT_OF_RANGE, "{name} {series} {words:x?}");
        }
    }
    // All temperatures of the rear door end at -40 and 100 °C: -40.5 and 100.5.
    let door = profile("vertiv_liebert_dcd_active");
    let addresses = [110, 114, 118, 122, 126, 130, 134, 166, 170, 174, 178, 182];
    for beyond in [&[0, 0xc222], &[0, 0x42c9]] {
        let words = addresses.map(|address| (I, address, beyond.as_slice()));
        let found = read_from(&door, &words);
        let refused: Vec<_> = found.iter().filter(|(_, value)| **value == OUT_OF_RANGE).collect();
        assert_eq!(refused.len(), addresses.len(), "{refused:?}");
        assert!(refused.iter().all(|(series, _)| series.contains("celsius")), "{refused:?}");
    }
}

const FAMILY: [&str; 10] = [
    "advantech_adam_4150",
    "belimo_energy_valve",
    "danfoss_003z8540",
    "delta_rdf040_rpu",
    "papouch_tme",
    "scion_thp_probe",
    "stulz_air_booster2",
    "vertiv_liebert_crv",
    "vertiv_liebert_dcd_active",
    "xy_md02",
];

#[test]
fn a_failed_read_is_missing_for_its_series_and_for_no_other() {
    for name in FAMILY {
        let profile = profile(name);
        let whole: Vec<_> = profile.reads().iter().map(|read| Ok(answer(&[], read))).collect();
        let before = samples(&profile, &whole);
        let mut failed: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for index in 0..whole.len() {
            let mut answers = whole.clone();
            answers[index] = Err(Missing::Exception(2));
            for (series, value) in samples(&profile, &answers) {
                if value == Err(Missing::Exception(2)) {
                    failed.entry(series).or_default().insert(index);
                } else {
                    assert_eq!(value, before[&series], "{name} {series}");
                }
            }
        }
        assert_eq!(failed.len(), before.len(), "{name}");
        for (series, reads) in failed {
            // These also need the status of their sensor, which is read apart.
            let two = name == "delta_rdf040_rpu" && series.starts_with("cooling_liquid")
                || name == "scion_thp_probe" && series.starts_with("environment");
            assert_eq!(reads.len(), if two { 2 } else { 1 }, "{name} {series}");
        }
    }
}
