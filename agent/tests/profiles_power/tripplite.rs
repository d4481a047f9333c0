//! Tripp Lite: a UPS behind a MODBUSCARD.

use super::*;

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
