//! Open Rack (ORv3): the power shelf, its supplies, batteries and power monitor.

use super::*;

#[test]
fn openbmc_orv3_bbu() {
    let name = "openbmc_orv3_bbu";
    assert_eq!(reads(name), [(104, 2), (107, 2), (153, 5)]);
    each_alarm(
        name,
        104,
        "pack",
        &[
            (0x0001, "charge_fet"),
            (0x0002, "charge_fuse"),
            (0x0004, "discharge_fuse"),
            (0x0008, "front_end"),
            (0x0010, "controller"),
            (0x0020, "cell_balancing"),
            (0x0040, "fan"),
            (0x0080, "end_of_life"),
            (0x0100, "overvoltage"),
            (0x0200, "cell_overvoltage"),
            (0x0400, "undervoltage"),
            (0x0800, "cell_undervoltage"),
            (0x1000, "overcurrent"),
            (0x2000, "temperature"),
        ],
    );
    each_alarm(
        name,
        105,
        "pack_permanent",
        &[
            (0x0001, "cell_overvoltage"),
            (0x0002, "cell_undervoltage"),
            (0x0004, "cell_overtemperature"),
            (0x0008, "cell_balancing"),
            (0x0010, "charge_fet"),
            (0x0020, "discharge_fet"),
            (0x0040, "front_end"),
            (0x0080, "fan"),
            (0x0100, "fuse"),
            (0x0200, "controller"),
            (0x0400, "charge_timeout"),
            (0x0800, "other"),
            (0x1000, "temperature_sensor"),
        ],
    );
    each_alarm(name, 107, "link", &[(0x0020, "can"), (0x0040, "smbus")]);
    each_alarm(
        name,
        108,
        "battery",
        &[
            (0x0010, "fully_discharged"),
            (0x0100, "remaining_time"),
            (0x0200, "remaining_capacity"),
            (0x0800, "terminate_discharge"),
            (0x1000, "overtemperature"),
            (0x4000, "terminate_charge"),
            (0x8000, "overcharge"),
        ],
    );
    each_alarm(
        name,
        153,
        "converter",
        &[
            (0x0001, "temperature"),
            (0x0002, "boost"),
            (0x0004, "buck"),
            (0x0008, "charger"),
            (0x0010, "fan"),
            (0x0100, "sync_start_2"),
            (0x0200, "sync_start"),
            (0x0400, "rack_sync_start_2"),
            (0x0800, "rack_sync_start"),
        ],
    );
    each_alarm(
        name,
        154,
        "boost",
        &[
            (0x0001, "short_circuit_1"),
            (0x0002, "overcurrent"),
            (0x0004, "overvoltage"),
            (0x0008, "short_circuit_2"),
            (0x0010, "undervoltage"),
        ],
    );
    each_alarm(name, 155, "buck", &[(0x0008, "output_overvoltage")]);
    each_alarm(
        name,
        156,
        "charger",
        &[
            (0x0001, "input_overvoltage"),
            (0x0002, "input_undervoltage"),
            (0x0004, "output_overvoltage"),
            (0x0008, "output_overcurrent"),
            (0x0010, "timeout"),
        ],
    );
    each_alarm(
        name,
        157,
        "temperature",
        &[
            (0x0001, "input_ambient"),
            (0x0002, "output_ambient"),
            (0x0004, "charger"),
            (0x0008, "buck"),
            (0x0010, "boost"),
            (0x0020, "battery_pack"),
        ],
    );
    check(
        name,
        &[(H, 104, &[0x2001])],
        &[
            (r#"rack_power_alarm{alarm="charge_fet", part="pack"}"#, Ok(1.0)),
            (r#"rack_power_alarm{alarm="temperature", part="pack"}"#, Ok(1.0)),
        ],
    );
    let profile = profile(name);
    let answers: Vec<_> = profile
        .reads()
        .iter()
        .map(
            |read| {
                if read.address() == 104 { Err(Missing::Timeout) } else { Ok(answer(&[], read)) }
            },
        )
        .collect();
    for (series, value) in samples(&profile, &answers) {
        let lost = series.contains(r#"part="pack"#);
        assert_eq!(value, if lost { Err(Missing::Timeout) } else { Ok(0.0) }, "{series}");
    }
    assert_eq!(
        identity(
            name,
            &[
                // Panasonic, BJ, 2023, P1, 1.02, S9; pack firmware 258.
                (H, 0, &[0x5061, 0x6e61, 0x736f, 0x6e69, 0x6300]),
                (H, 8, &[0x424a]),
                (H, 16, &[0x3230, 0x3233]),
                (H, 24, &[0x5031]),
                (H, 56, &[0x312e, 0x3032]),
                (H, 64, &[0x5339]),
                (H, 182, &[0x0102]),
            ]
        ),
        says(&[
            ("manufacturer", "Panasonic"),
            ("model", "BJ"),
            ("build_date", "2023"),
            ("part_number", "P1"),
            ("firmware", "1.02"),
            ("serial", "S9"),
            ("pack_firmware", "258"),
        ])
    );
}

#[test]
fn openbmc_orv3_power_monitor() {
    let name = "openbmc_orv3_power_monitor";
    assert_eq!(reads(name), [(89, 1), (93, 1)]);
    each_alarm(
        name,
        89,
        "monitor",
        &[
            (0x0001, "missing_modules"),
            (0x0002, "shelf_eeprom"),
            (0x0010, "module_modbus"),
            (0x0020, "monitor_modbus"),
            (0x0040, "serial_link"),
            (0x0100, "module_alerts"),
            (0x0200, "busbar_overtemperature_warning"),
            (0x0400, "busbar_overtemperature"),
            (0x1000, "share_cable_missing"),
        ],
    );
    each_alarm(
        name,
        93,
        "link",
        &[
            (0x0001, "receive"),
            (0x0002, "module_1"),
            (0x0004, "module_2"),
            (0x0008, "module_3"),
            (0x0010, "module_4"),
            (0x0020, "module_5"),
            (0x0040, "module_6"),
            (0x0100, "shelf_eeprom"),
            (0x0200, "module_7"),
            (0x0400, "module_8"),
            (0x0800, "module_9"),
            (0x1000, "module_10"),
            (0x2000, "module_11"),
        ],
    );
    check(
        name,
        &[(H, 89, &[0x0400])],
        &[(r#"rack_power_alarm{alarm="busbar_overtemperature", part="monitor"}"#, Ok(1.0))],
    );
    let profile = profile(name);
    let answers = [Ok(Data::Registers([0x0001].into())), Err(Missing::Exception(11))];
    for (series, value) in samples(&profile, &answers) {
        let missing = r#"rack_power_alarm{alarm="missing_modules", part="monitor"}"#;
        let expected = match series.as_str() {
            one if one == missing => Ok(1.0),
            link if link.contains(r#"part="link""#) => Err(Missing::Exception(11)),
            _ => Ok(0.0),
        };
        assert_eq!(value, expected, "{series}");
    }
    assert_eq!(
        identity(
            name,
            &[
                // P2, Delta, ECD7, 2024, S8, 2.1.
                (H, 0, &[0x5032]),
                (H, 8, &[0x4465, 0x6c74, 0x6100]),
                (H, 16, &[0x4543, 0x4437]),
                (H, 24, &[0x3230, 0x3234]),
                (H, 32, &[0x5338]),
                (H, 56, &[0x322e, 0x3100]),
            ]
        ),
        says(&[
            ("part_number", "P2"),
            ("manufacturer", "Delta"),
            ("model", "ECD7"),
            ("build_date", "2024"),
            ("serial", "S8"),
            ("firmware", "2.1"),
        ])
    );
}

#[test]
fn openbmc_orv3_power_shelf() {
    let name = "openbmc_orv3_power_shelf";
    assert_eq!(reads(name), [(257, 2), (273, 2), (289, 2), (305, 2), (321, 2), (337, 2)]);
    check(
        name,
        &[
            // Voltages × 64: 230.5, 232, 231.25, 228, 230 and the largest; currents × 1024: 6.5,
            // the smallest, 7.75, 1, 0.5 and the largest.
            (H, 257, &[0x39a0, 0x1a00]),
            (H, 273, &[0x3a00, 0x0001]),
            (H, 289, &[0x39d0, 0x1f00]),
            (H, 305, &[0x3900, 0x0400]),
            (H, 321, &[0x3980, 0x0200]),
            (H, 337, &[0xffff, 0xffff]),
        ],
        &[
            (r#"rack_power_input_voltage_volts{supply="1"}"#, Ok(230.5)),
            (r#"rack_power_input_current_amperes{supply="1"}"#, Ok(6.5)),
            (r#"rack_power_input_voltage_volts{supply="2"}"#, Ok(232.0)),
            (r#"rack_power_input_current_amperes{supply="2"}"#, Ok(0.000_976_562_5)),
            (r#"rack_power_input_voltage_volts{supply="3"}"#, Ok(231.25)),
            (r#"rack_power_input_current_amperes{supply="3"}"#, Ok(7.75)),
            (r#"rack_power_input_voltage_volts{supply="4"}"#, Ok(228.0)),
            (r#"rack_power_input_current_amperes{supply="4"}"#, Ok(1.0)),
            (r#"rack_power_input_voltage_volts{supply="5"}"#, Ok(230.0)),
            (r#"rack_power_input_current_amperes{supply="5"}"#, Ok(0.5)),
            (r#"rack_power_input_voltage_volts{supply="6"}"#, Ok(1_023.984_375)),
            (r#"rack_power_input_current_amperes{supply="6"}"#, Ok(63.999_023_437_5)),
        ],
    );
    fails(
        name,
        289,
        &[
            r#"rack_power_input_voltage_volts{supply="3"#,
            r#"rack_power_input_current_amperes{supply="3"#,
        ],
    );
    assert_eq!(
        identity(
            name,
            &[
                // ARTESYN, P3, 700, S7, 2025.
                (H, 392, &[0x4152, 0x5445, 0x5359, 0x4e00]),
                (H, 400, &[0x5033]),
                (H, 408, &[0x3730, 0x3000]),
                (H, 424, &[0x5337]),
                (H, 440, &[0x3230, 0x3235]),
            ]
        ),
        says(&[
            ("manufacturer", "ARTESYN"),
            ("part_number", "P3"),
            ("model", "700"),
            ("serial", "S7"),
            ("build_date", "2025"),
        ])
    );
}

#[test]
fn openbmc_orv3_psu() {
    let name = "openbmc_orv3_psu";
    assert_eq!(reads(name), [(60, 5), (69, 2), (79, 2), (89, 1)]);
    check(
        name,
        &[
            // 24.5 × 128 = 3136, -1.5 × 128 = -192; 50.25 × 1024 = 51456, 60.5 × 64 = 3872;
            // 13.25 × 1024 = 13568.
            (H, 69, &[0x0c40, 0xff40]),
            (H, 79, &[0xc900, 0x0f20]),
            (H, 89, &[0x3500]),
        ],
        &[
            (r#"rack_power_temperature_celsius{probe="inlet"}"#, Ok(24.5)),
            (r#"rack_power_temperature_celsius{probe="outlet"}"#, Ok(-1.5)),
            ("rack_power_output_voltage_volts", Ok(50.25)),
            ("rack_power_output_current_amperes", Ok(60.5)),
            ("rack_power_input_current_amperes", Ok(13.25)),
        ],
    );
    // 256 °C - 1/128 and -256 °C.
    let found = read_from(&profile(name), &[(H, 69, &[0x7fff, 0x8000])]);
    for probe in ["inlet", "outlet"] {
        let series = format!("rack_power_temperature_celsius{{probe={probe:?}}}");
        assert_eq!(found[&series], Err(Missing::OutOfRange));
    }
    each_alarm(
        name,
        60,
        "supply",
        &[
            (0x0001, "pfc"),
            (0x0002, "dcdc"),
            (0x0004, "temperature"),
            (0x0008, "communication"),
            (0x0100, "pfc_converter"),
            (0x0200, "dcdc_converter"),
            (0x0400, "temperature_alarm"),
            (0x0800, "fan"),
        ],
    );
    each_alarm(
        name,
        61,
        "input",
        &[
            (0x0001, "undervoltage"),
            (0x0002, "overvoltage"),
            (0x0010, "underfrequency"),
            (0x0020, "overfrequency"),
            (0x0100, "ac_not_ok"),
            (0x0200, "bulk_not_ok"),
            (0x0400, "relay_off"),
            (0x0800, "pfc_failure"),
            (0x1000, "ac_lost"),
        ],
    );
    each_alarm(
        name,
        62,
        "output",
        &[
            (0x0001, "undervoltage"),
            (0x0002, "overvoltage"),
            (0x0004, "overcurrent"),
            (0x0008, "short_circuit"),
            (0x0100, "dcdc_failure"),
            (0x0200, "secondary_controller"),
            (0x0400, "oring"),
        ],
    );
    each_alarm(
        name,
        63,
        "temperature",
        &[
            (0x0001, "outlet"),
            (0x0002, "inlet"),
            (0x0004, "oring"),
            (0x0008, "sync"),
            (0x0010, "llc"),
            (0x0020, "pfc"),
            (0x0040, "bus_clip"),
            (0x0080, "bus_clip_overtemperature"),
            (0x0100, "fan"),
            (0x0200, "sensor"),
        ],
    );
    each_alarm(
        name,
        64,
        "link",
        &[(0x0001, "primary_to_secondary"), (0x0002, "secondary_to_logic")],
    );
    fails(name, 60, &["rack_power_alarm"]);
    fails(name, 69, &["rack_power_temperature"]);
    assert_eq!(
        identity(
            name,
            &[
                // P4, ECD17020037, 2022, S6, 1.0, 0.9.
                (H, 0, &[0x5034]),
                (H, 8, &[0x4543, 0x4431, 0x3730, 0x3230, 0x3033, 0x3700]),
                (H, 16, &[0x3230, 0x3232]),
                (H, 24, &[0x5336]),
                (H, 48, &[0x312e, 0x3000]),
                (H, 105, &[0x302e, 0x3900]),
            ]
        ),
        says(&[
            ("part_number", "P4"),
            ("model", "ECD17020037"),
            ("build_date", "2022"),
            ("serial", "S6"),
            ("firmware", "1.0"),
            ("boot_firmware", "0.9"),
        ])
    );
    // The text that tells it from others.
    let profile = profile(name);
    let words: &'static [u16] = &[0x4543, 0x4431, 0x3730, 0x3230, 0x3033, 0x3700, 0, 0];
    let fits = |words: &[u16]| {
        let data = Data::Registers(words.into());
        profile.fingerprints.iter().any(|fingerprint| fingerprint.fits_data(&data))
    };
    assert!(fits(words));
    assert!(!fits(&[0x4543, 0x4431, 0x3730, 0x3230, 0x3033, 0x3800, 0, 0]));
}
