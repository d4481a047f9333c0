//! Cummins: a generator with a PowerCommand controller.

use super::*;

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
