//! Vertiv: the modular UPS Liebert APS.

use super::*;

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
