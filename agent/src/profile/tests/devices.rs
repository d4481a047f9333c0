//! One device: who it is, where its registers are, how it is recognised.

use super::*;

#[test]
fn what_has_no_values_is_asked_who_it_is() {
    let text = r#"
        [[point]]
        name = "serial"
        address = 7
        type = "text"
        length = 2
        identity = "serial"
        "#;
    let profile = parse(text).unwrap();
    assert_eq!(profile.series().len(), 0);
    let reads = |reads: &[Read]| -> Vec<_> {
        reads.iter().map(|read| (read.address(), read.count())).collect()
    };
    // Whether it answers is all that there is to know again and again.
    assert_eq!(reads(profile.reads()), [(7, 2)]);
    assert_eq!(reads(profile.identity_reads()), [(7, 2)]);
    assert!(profile.samples(&[Ok(Data::Registers([0x4142, 0x4344].into()))]).is_empty());
}

#[test]
fn an_identity_is_read_apart() {
    let text = r#"
        [[point]]
        name = "serial"
        address = 0
        type = "text"
        length = 2
        bytes = "low_first"
        identity = "serial"
        [[point]]
        name = "module"
        address = 2
        type = "u16"
        identity = "model"
        show = "hex"
        [[point]]
        name = "version"
        address = 3
        type = "u16"
        identity = "firmware"
        show = "version"
        [[point]]
        name = "part"
        address = 4
        type = "u64"
        words = "low_first"
        identity = "part"
        [[point]]
        name = "voltage"
        address = 100
        type = "u16"
        metric = "meter_voltage_volts"
        "#;
    let profile = parse(text).unwrap();
    let reads: Vec<_> = profile.identity_reads().iter().map(|r| (r.address(), r.count())).collect();
    assert_eq!(reads, [(0, 8)]);
    assert_eq!(profile.reads().len(), 1);
    // "AB1 " with its bytes swapped; 0x4150; 1.20; 0x0000_0000_0029_1234 = 2 691 636.
    let words = [0x4241, 0x2031, 0x4150, 0x0114, 0x1234, 0x0029, 0, 0];
    let answers = answers(profile.identity_reads(), 0, &words);
    let expected =
        [("serial", "AB1"), ("model", "4150"), ("firmware", "1.20"), ("part", "2691636")];
    assert_eq!(profile.identity(&answers), expected.map(|(what, text)| (what, text.to_owned())));
    let silent = vec![Err(Missing::Timeout); 1];
    assert_eq!(profile.identity(&silent), []);
}

#[test]
fn a_device_has_its_own_addresses_tables_and_holes() {
    let text = r#"
        [limits]
        max_hole = 10
        barriers = { input = [12] }
        [[point]]
        name = "a"
        address = 10
        type = "u16"
        metric = "meter_voltage_volts"
        [[point]]
        name = "b"
        address = 12
        type = "u16"
        metric = "meter_current_amperes"
        [[point]]
        name = "c"
        address = 14
        type = "u32"
        metric = "meter_frequency_hertz"
        "#;
    let profile = parse(text).unwrap();
    let reads = |placement: &Placement| -> Vec<(Table, u16, u16)> {
        let placed = profile.placed(placement).unwrap();
        placed.reads().iter().map(|r| (r.table(), r.address(), r.count())).collect()
    };
    let input = Table::InputRegisters;
    let plain = Placement::default();
    assert_eq!(reads(&plain), [(input, 10, 1), (input, 12, 4)]);
    assert_eq!(reads(&Placement { offset: -1, ..plain.clone() }), [(input, 9, 1), (input, 11, 4)]);
    let holding = Table::HoldingRegisters;
    let other = Placement { registers: Some(holding), ..plain.clone() };
    assert_eq!(reads(&other), [(holding, 10, 1), (holding, 12, 4)]);
    let hole = |first, last| vec![Refusal { hole: Hole { table: input, first, last }, code: 3 }];
    let refusing = Placement { forbidden: hole(13, 13), ..plain.clone() };
    assert_eq!(reads(&refusing), [(input, 10, 1), (input, 12, 1), (input, 14, 2)]);
    // A point that the device refuses is known to be missing, and is not asked for.
    let refusing = Placement { forbidden: hole(15, 40), ..plain.clone() };
    assert_eq!(reads(&refusing), [(input, 10, 1), (input, 12, 1)]);
    let placed = profile.placed(&refusing).unwrap();
    let found = values(&placed, 10, &[7, 0, 8]);
    assert_eq!(found[2], ("meter_frequency_hertz".to_owned(), Err(Missing::Exception(3))));
    assert_eq!((&found[0].1, &found[1].1), (&Ok(7.0), &Ok(8.0)));

    let error = profile.placed(&Placement { offset: -11, ..plain.clone() }).unwrap_err();
    assert_eq!(error.to_string(), "the point `a` begins before address 0");
    let error = profile.placed(&Placement { offset: i32::MAX, ..plain }).unwrap_err();
    assert_eq!(error.to_string(), "the point `a` ends past address 65535");
}

#[test]
fn sunspec_models_are_where_the_chain_says() {
    let text = r#"
        [defaults_none]
        "#;
    assert!(parse(text).is_err());
    let text = r#"
        [[point]]
        name = "sf"
        model = 203
        address = 4
        type = "i16"
        [[point]]
        name = "amperes"
        model = 203
        address = 2
        type = "i16"
        exponent = "sf"
        metric = "meter_current_amperes"
        [[point]]
        name = "second"
        model = 203
        instance = 2
        address = 3
        type = "u16"
        metric = "meter_voltage_volts"
        [[point]]
        name = "other"
        model = 120
        address = 2
        type = "u16"
        metric = "meter_frequency_hertz"
        "#;
    let profile = parse(text).unwrap();
    assert_eq!(profile.models(), [120, 203].into());
    assert_eq!((profile.reads().len(), profile.series().len()), (0, 0));
    let model = |id, address, length| Model { id, address, length };
    let models = vec![model(1, 2, 66), model(203, 100, 3), model(203, 105, 2)];
    let chain = Some(Chain { table: Table::HoldingRegisters, models });
    let placed = profile.placed(&Placement { chain, ..Placement::default() }).unwrap();
    let words = [203, 3, 123, 0, 0xfffe, 203, 2, 0, 231];
    let found = values(&placed, 100, &words);
    let expected = [("meter_current_amperes", Ok(1.23)), ("meter_voltage_volts", Ok(231.0))];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
    // The second of them is too short for a scale factor.
    let models = vec![model(203, 100, 2)];
    let chain = Some(Chain { table: Table::HoldingRegisters, models });
    let placed = profile.placed(&Placement { chain, ..Placement::default() }).unwrap();
    assert_eq!(placed.series().len(), 0);
}

#[test]
fn hints_and_fingerprints() {
    let text = r#"
        [connection]
        unit = 192
        baud = 115200
        parity = "even"
        timeout = "1500ms"
        pause = "0s"
        [[fingerprint]]
        object = 0
        text = "raritan"
        [[fingerprint]]
        table = "input"
        address = 210
        values = [0x4150, "0x6050-0x6060"]
        [[fingerprint]]
        table = "holding"
        address = 35168
        length = 2
        text = "B23"
        [[point]]
        name = "a"
        address = 0
        type = "u16"
        "#;
    let profile = parse(text).unwrap();
    let connection = &profile.connection;
    assert_eq!(
        (connection.unit, connection.port, connection.baud),
        (Some(192), None, Some(115_200))
    );
    assert_eq!(connection.parity, Some(Parity::Even));
    assert_eq!(connection.timeout, Some(std::time::Duration::from_millis(1500)));
    let [object, numbers, letters] = &profile.fingerprints[..] else { panic!() };
    let named = |text: &str| [Object { id: 0, text: text.to_owned() }];
    assert!(object.fits_objects(&named("Raritan Inc.")) && !object.fits_objects(&named("APC")));
    let registers = |words: &[u16]| Data::Registers(words.into());
    assert!(numbers.fits_data(&registers(&[0x6052])) && !numbers.fits_data(&registers(&[0x4151])));
    assert!(letters.fits_data(&registers(&[0x4232, 0x3320])));
    assert!(!letters.fits_data(&registers(&[0x4232, 0x3120])));
    assert!(!object.fits_data(&registers(&[0])) && !letters.fits_objects(&named("B23")));
}
