//! Generex: a UPS behind a CS141 adapter.

use super::*;

#[test]
fn generex_cs141_ups() {
    assert_eq!(reads("generex_cs141_ups"), [(97, 15), (114, 9)]);
    let running: &Words = &[
        // 230, 231, 229 V; 45, 50, 110 %; 96 %; 228, 232, 230 V; 31 °C; 25 min; normal; 273 V;
        // 50 Hz.
        (H, 97, &[0x00e6, 0x00e7, 0x00e5, 0x002d, 0x0032, 0x006e, 0x0060, 0x00e4, 0x00e8, 0x00e6]),
        (H, 107, &[0x001f, 0x0019, 0x0004, 0x0111, 0x0032]),
        (H, 114, &[0x000c]),
    ];
    check(
        "generex_cs141_ups",
        running,
        &[
            (r#"ups_output_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"ups_output_voltage_volts{phase="l2"}"#, Ok(231.0)),
            (r#"ups_output_voltage_volts{phase="l3"}"#, Ok(229.0)),
            (r#"ups_load_ratio{phase="l1"}"#, Ok(0.45)),
            (r#"ups_load_ratio{phase="l2"}"#, Ok(0.5)),
            (r#"ups_load_ratio{phase="l3"}"#, Ok(1.1)),
            ("ups_battery_charge_ratio", Ok(0.96)),
            (r#"ups_input_voltage_volts{phase="l1"}"#, Ok(228.0)),
            (r#"ups_input_voltage_volts{phase="l2"}"#, Ok(232.0)),
            (r#"ups_input_voltage_volts{phase="l3"}"#, Ok(230.0)),
            ("ups_temperature_celsius", Ok(31.0)),
            ("ups_battery_runtime_seconds", Ok(1500.0)),
            (r#"ups_input_available{input="mains"}"#, Ok(1.0)),
            ("ups_battery_voltage_volts", Ok(273.0)),
            ("ups_input_frequency_hertz", Ok(50.0)),
            ("ups_input_failures_total", Ok(12.0)),
        ],
    );
    // The four states of the list: normal 4, power failure 12, battery test 68, bypass 5.
    let card = profile("generex_cs141_ups");
    for (status, bypass, test) in
        [(0x0004, 0.0, 0.0), (0x000c, 0.0, 0.0), (0x0044, 0.0, 1.0), (0x0005, 1.0, 0.0)]
    {
        let word: &'static [u16] = Box::leak(Box::new([status]));
        let found = read_from(&card, &[(H, 109, word)]);
        assert_eq!(found["ups_on_bypass"], Ok(bypass), "{status:#x}");
        assert_eq!(found["ups_battery_test_running"], Ok(test), "{status:#x}");
        assert_eq!(found["ups_output_off"], Ok(0.0), "{status:#x}");
    }
    // Bit by bit, but for the one that makes all others missing.
    for (bit, change) in [
        (0, Some(("ups_on_bypass", 1.0))),
        (1, None),
        (2, Some(("ups_output_off", 0.0))),
        (3, None),
        (4, None),
        (5, None),
        (6, Some(("ups_battery_test_running", 1.0))),
        (7, None),
        (8, None),
        (9, Some((r#"ups_fault{fault="inverter"}"#, 1.0))),
        (10, None),
        (11, Some(("ups_high_efficiency", 1.0))),
        (12, Some((r#"ups_fault{fault="inverter_warning"}"#, 1.0))),
        (13, Some((r#"ups_fault{fault="general"}"#, 1.0))),
        (15, None),
    ] {
        let expected: Vec<_> =
            change.into_iter().map(|(series, value)| (series.to_owned(), Ok(value))).collect();
        assert_eq!(turned(&card, (H, 109), 1 << bit, &[]), expected, "bit {bit}");
    }
    // The card has lost the UPS: what it still holds does not count.
    let mut lost = running.to_vec();
    lost.insert(0, (H, 109, &[0x4004]));
    for (series, value) in read_from(&card, &lost) {
        let is_fault = series == r#"ups_fault{fault="communication_lost"}"#;
        let expected = if is_fault { Ok(1.0) } else { Err(Missing::NotAvailable) };
        assert_eq!(value, expected, "{series}");
    }
    for (address, series, active) in [
        (115, "ups_battery_replace", 1.0),
        (116, "ups_on_battery", 1.0),
        (117, "ups_battery_low", 1.0),
        (118, "ups_battery_depleted", 1.0),
        (119, r#"ups_fault{fault="overtemperature"}"#, 1.0),
        (120, r#"ups_input_available{input="mains"}"#, 0.0),
        (121, r#"ups_fault{fault="output"}"#, 1.0),
        (122, "ups_overload", 1.0),
    ] {
        let at = |word| turned(&card, (H, address), word, &[]);
        assert_eq!(at(1), [(series.to_owned(), Ok(active))]);
        assert_eq!(at(2), [(series.to_owned(), Err(Missing::OutOfRange))]);
    }
    // 101 %, 121 °C, 301 %.
    let found = read_from(
        &profile("generex_cs141_ups"),
        &[(H, 100, &[0x012d]), (H, 103, &[0x0065]), (H, 107, &[0x0079])],
    );
    assert_eq!(found[r#"ups_load_ratio{phase="l1"}"#], Err(Missing::OutOfRange));
    assert_eq!(found["ups_battery_charge_ratio"], Err(Missing::OutOfRange));
    assert_eq!(found["ups_temperature_celsius"], Err(Missing::OutOfRange));
    fails(
        "generex_cs141_ups",
        114,
        &[
            "ups_input_failures",
            "ups_input_available",
            "ups_battery_replace",
            "ups_on_battery",
            "ups_battery_low",
            "ups_battery_depleted",
            r#"ups_fault{fault="overtemperature"#,
            r#"ups_fault{fault="output"#,
            "ups_overload",
        ],
    );
}
