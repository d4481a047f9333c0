//! Huawei: a UPS of the series UPS2000.

use super::*;

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
