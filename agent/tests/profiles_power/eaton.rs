//! Eaton: UPS, and the environment probe beside one.

use super::*;

#[test]
fn eaton_master_ups_status() {
    assert_eq!(reads("eaton_master_ups_status"), [(1, 16), (32, 13)]);
    let entries = [
        (1, "ups_on_battery"),
        (4, "ups_high_efficiency"),
        (10, "ups_on_bypass"),
        (11, "ups_online"),
        (16, "ups_output_off"),
        (32, r#"ups_breaker_closed{breaker="static_switch"}"#),
        (33, r#"ups_breaker_closed{breaker="critical_bus"}"#),
        (34, r#"ups_breaker_closed{breaker="bypass"}"#),
        (35, r#"ups_breaker_closed{breaker="backfeed"}"#),
        (36, r#"ups_input_available{input="bypass"}"#),
        (37, r#"ups_breaker_closed{breaker="maintenance_isolation"}"#),
        (38, r#"ups_breaker_closed{breaker="maintenance_bypass"}"#),
        (39, r#"ups_input_available{input="maintenance_bypass"}"#),
        (40, r#"ups_online{module="system_bypass"}"#),
        (41, r#"ups_on_battery{module="system_bypass"}"#),
        (42, r#"ups_on_bypass{module="system_bypass"}"#),
        (43, r#"ups_fault{fault="minor", module="system_bypass"}"#),
        (44, r#"ups_fault{fault="major", module="system_bypass"}"#),
    ];
    let profile = profile("eaton_master_ups_status");
    assert_eq!(profile.series().len(), entries.len());
    for (entry, series) in entries {
        check("eaton_master_ups_status", &[(D, entry, &[1])], &[(series, Ok(1.0))]);
    }
    // Between them there is nothing that counts.
    for entry in [0, 2, 3, 5, 9, 12, 15, 17, 31, 45] {
        check("eaton_master_ups_status", &[(D, entry, &[1])], &[]);
    }
    fails(
        "eaton_master_ups_status",
        32,
        &[
            "ups_breaker",
            "ups_input",
            "ups_fault",
            "ups_online{",
            "ups_on_battery{",
            "ups_on_bypass{",
        ],
    );
}

#[test]
fn eaton_pxgx_ups() {
    let mut ranges = reads("eaton_pxgx_ups");
    ranges.sort_unstable();
    assert_eq!(ranges, [(1057, 1), (4050, 2), (4058, 6), (4377, 2), (5022, 8), (12203, 3)]);
    let running: &Words = &[
        // 230.5; 229.0, 229.5, 231.0; 480 = 256 + 224, in steps of 0x8000.
        (I, 4050, &[0x4366, 0x8000]),
        (I, 4058, &[0x4365, 0, 0x4365, 0x8000, 0x4367, 0]),
        (I, 4377, &[0x43f0, 0]),
        // 12.5, 12.25, 13.0 are 8 + 4.5, 4.25, 5 in steps of 0x10_0000; 100 is 64 + 36 in steps
        // of 0x2_0000.
        (I, 5022, &[0x4148, 0, 0x4144, 0, 0x4150, 0, 0x42c8, 0]),
        // The example of the guide: 17 May 2007, 10:45:20.
        (I, 12203, &[0x0705, 0x110a, 0x2d14]),
    ];
    // From 1970 to 17 May 2007 there were 37 × 365 + 9 + 120 + 16 = 13650 days; 10:45:20 are
    // 38720 s.
    let values: &[(&str, Value)] = &[
        (r#"ups_output_voltage_volts{phase="l3"}"#, Ok(230.5)),
        (r#"ups_bypass_voltage_volts{phase="l1"}"#, Ok(229.0)),
        (r#"ups_bypass_voltage_volts{phase="l2"}"#, Ok(229.5)),
        (r#"ups_bypass_voltage_volts{phase="l3"}"#, Ok(231.0)),
        ("ups_battery_voltage_volts", Ok(480.0)),
        (r#"ups_input_current_amperes{phase="l1"}"#, Ok(12.5)),
        (r#"ups_input_current_amperes{phase="l2"}"#, Ok(12.25)),
        (r#"ups_input_current_amperes{phase="l3"}"#, Ok(13.0)),
        (r#"ups_output_current_amperes{phase="l1"}"#, Ok(100.0)),
        (r#"ups_input_available{input="mains"}"#, Ok(1.0)),
        ("device_clock_seconds", Ok(1_179_398_720.0)),
    ];
    check("eaton_pxgx_ups", running, values);
    // Utility out of limits.
    let card = profile("eaton_pxgx_ups");
    let mains = r#"ups_input_available{input="mains"}"#.to_owned();
    assert_eq!(turned(&card, (D, 1057), 1, running), [(mains, Ok(0.0))]);
    // A clock that is two hours before UTC.
    let found = with("eaton_pxgx_ups", &[("clock_to_utc_seconds", -7200.0)], running);
    assert_eq!(found["device_clock_seconds"], Ok(1_179_391_520.0));
    // Not a number, infinity, -1, a day that is none, no clock.
    let profile = profile("eaton_pxgx_ups");
    let found = read_from(
        &profile,
        &[
            (I, 4050, &[0x7fc0, 0]),
            (I, 4058, &[0x7f80, 0, 0xbf80, 0]),
            (I, 12203, &[0x0702, 0x1e0a, 0x2d14]),
        ],
    );
    assert_eq!(found[r#"ups_output_voltage_volts{phase="l3"}"#], Err(Missing::NotAvailable));
    assert_eq!(found[r#"ups_bypass_voltage_volts{phase="l1"}"#], Err(Missing::OutOfRange));
    assert_eq!(found[r#"ups_bypass_voltage_volts{phase="l2"}"#], Err(Missing::OutOfRange));
    assert_eq!(found["device_clock_seconds"], Err(Missing::Malformed));
    assert_eq!(read_from(&profile, &[])["device_clock_seconds"], Err(Missing::NotAvailable));
    fails("eaton_pxgx_ups", 5022, &["ups_input_current", "ups_output_current"]);
    fails("eaton_pxgx_ups", 1057, &["ups_input_available"]);
    assert_eq!(
        identity(
            "eaton_pxgx_ups",
            &[
                // EATON, 9390, 4711; 1.5 is 1 + 0.5 in steps of 0x80_0000.
                (I, 1032, &[0x4541, 0x544f, 0x4e00]),
                (I, 1064, &[0x3933, 0x3930]),
                (I, 1096, &[0x4100]),
                (I, 1128, &[0x4200]),
                (I, 1192, &[0x4300]),
                (I, 1256, &[0x4400]),
                (I, 1276, &[0x3437, 0x3131]),
                (I, 1308, &[0x3fc0, 0]),
            ]
        ),
        says(&[
            ("manufacturer", "EATON"),
            ("model", "9390"),
            ("name", "A"),
            ("type", "B"),
            ("id", "C"),
            ("guid", "D"),
            ("serial", "4711"),
            ("firmware", "1.5"),
        ])
    );
}

#[test]
fn eaton_pxgx_emp() {
    assert_eq!(reads("eaton_pxgx_emp"), [(10275, 2), (12028, 4)]);
    check(
        "eaton_pxgx_emp",
        &[
            (I, 10275, &[0x0000, 0x0001]),
            // 21.5 = 16 + 5.5 in steps of 0x8_0000; 45 = 32 + 13 in steps of 0x4_0000.
            (I, 12028, &[0x41ac, 0, 0x4234, 0]),
        ],
        &[
            (r#"environment_contact{contact="2"}"#, Ok(1.0)),
            ("environment_temperature_celsius", Ok(21.5)),
            ("environment_humidity_ratio", Ok(0.45)),
        ],
    );
    // A contact that is neither; -4.25 = -(4 + 0.25), in steps of 0x20_0000.
    let found = read_from(
        &profile("eaton_pxgx_emp"),
        &[(I, 10275, &[0x0002, 0x0000]), (I, 12028, &[0xc088, 0, 0x42ca, 0])],
    );
    assert_eq!(found[r#"environment_contact{contact="1"}"#], Err(Missing::OutOfRange));
    assert_eq!(found["environment_temperature_celsius"], Ok(-4.25));
    // 101 %.
    assert_eq!(found["environment_humidity_ratio"], Err(Missing::OutOfRange));
    // 68 °F = 64 + 4 in steps of 0x2_0000.
    let found = with("eaton_pxgx_emp", &[("fahrenheit", 1.0)], &[(I, 12028, &[0x4288, 0])]);
    assert_eq!(found["environment_temperature_celsius"], Ok(20.0));
    fails("eaton_pxgx_emp", 10275, &["environment_contact"]);
}
