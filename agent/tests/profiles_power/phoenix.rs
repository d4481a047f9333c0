//! Phoenix Contact: the DIN rail UPS QUINT4.

use super::*;

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
