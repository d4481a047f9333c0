//! Kohler: a generator with a Decision-Maker controller.

use super::*;

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
