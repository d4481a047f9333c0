//! Chloride: a UPS behind a ManageUPS adapter.

use super::*;

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
