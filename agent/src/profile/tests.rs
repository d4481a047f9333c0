//! The format beyond what the shipped profiles need. The words are worked out by hand.

use hallwatch_modbus::answer::Object;
use hallwatch_modbus::sunspec::{Chain, Model};
use hallwatch_modbus::{Hole, Table};

use super::*;

const HEAD: &str = r#"
manufacturer = "M"
model = "X"
kind = "power_meter"
confidence = "high"
[defaults]
table = "input"
"#;

fn parse(text: &str) -> Result<Profile, String> {
    let whole = format!("{HEAD}{text}");
    Profile::parse("test", &Source::new("test.toml", whole)).map_err(|invalid| {
        let found = invalid.problems().iter().map(|found| found.message.clone());
        found.collect::<Vec<_>>().join("\n")
    })
}

/// Answers from `words`, which begin at `start` of every table.
fn answers(reads: &[Read], start: u16, words: &[u16]) -> Vec<Result<Data, Missing>> {
    let at = |address: u16| words[usize::from(address - start)];
    let answer = |read: &Read| {
        let all = (0..read.count()).map(|n| at(read.address() + n));
        if read.table().is_bits() {
            Data::Bits(all.map(|word| word == 1).collect())
        } else {
            Data::Registers(all.collect())
        }
    };
    reads.iter().map(|read| Ok(answer(read))).collect()
}

fn values(profile: &Profile, start: u16, words: &[u16]) -> Vec<(String, Value)> {
    let answers = answers(profile.reads(), start, words);
    let samples = profile.samples(&answers).into_iter();
    samples.map(|(series, value)| (series.labels.to_string(), value)).collect()
}

#[track_caller]
fn check(text: &str, start: u16, words: &[u16], expected: &[(&str, Value)]) {
    let profile = parse(text).unwrap();
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    assert_eq!(values(&profile, start, words), expected);
}

#[test]
fn word_order_is_of_the_point_and_has_a_default() {
    // 230.0 is 0x4366_0000 as a single float, 100 000 is 0x0001_86a0.
    check(
        r#"
        words = "low_first"
        [[point]]
        name = "a"
        address = 0
        type = "f32"
        metric = "meter_voltage_volts"
        [[point]]
        name = "b"
        address = 2
        type = "u32"
        words = "high_first"
        metric = "meter_current_amperes"
        "#,
        0,
        &[0x0000, 0x4366, 0x0001, 0x86a0],
        &[("meter_voltage_volts", Ok(230.0)), ("meter_current_amperes", Ok(100_000.0))],
    );
}

#[test]
fn scale_factors_ratings_and_ratios() {
    // A scale factor of -1 (0xffff), a ratio of 40, a load of 75 % of a rating of 20.5 kW.
    let text = r#"
        [parameters.ct_ratio]
        default = 40
        min = 1
        max = 100
        help = "the transformers'"
        [[point]]
        name = "sf"
        address = 4
        type = "i16"
        not_available = [0x8000]
        [[point]]
        name = "voltage"
        address = 0
        type = "i16"
        exponent = "sf"
        max = 500
        metric = "meter_voltage_volts"
        [[point]]
        name = "rating"
        address = 1
        type = "u16"
        scale = 100
        [[point]]
        name = "power"
        address = 2
        type = "u16"
        scale = 0.01
        times = "rating"
        metric = "meter_active_power_watts"
        [[point]]
        name = "current"
        address = 3
        type = "u16"
        times = ["ct_ratio", "power"]
        plus = ["ct_ratio", "rating"]
        metric = "meter_current_amperes"
        "#;
    let profile = parse(text).unwrap();
    assert_eq!(profile.reads().len(), 1);
    let found = |profile: &Profile, words: &[u16]| -> Vec<Value> {
        values(profile, 0, words).into_iter().map(|(_, value)| value).collect()
    };
    let words = [2301, 205, 75, 2, 0xffff];
    // 2 × 40 × 15 375 + 40 + 20 500.
    assert_eq!(found(&profile, &words), [Ok(230.1), Ok(15375.0), Ok(1_250_540.0)]);
    let words = [2301, 205, 75, 2, 0x8000];
    assert_eq!(found(&profile, &words)[0], Err(Missing::NotAvailable));
    let words = [2301, 205, 75, 2, 99];
    assert_eq!(found(&profile, &words)[0], Err(Missing::OutOfRange));

    let parameters = [("ct_ratio".to_owned(), 1.0)].into();
    let placed = profile.placed(&Placement { parameters, ..Placement::default() }).unwrap();
    assert_eq!(found(&placed, &[2301, 205, 75, 2, 0xffff])[2], Ok(51251.0));
    // A second placement, by the addresses of the device, leaves them.
    let again = placed.placed(&Placement::default()).unwrap();
    assert_eq!(found(&again, &[2301, 205, 75, 2, 0xffff])[2], Ok(51251.0));
    let parameters = [("ct_ratio".to_owned(), 0.0)].into();
    let error = profile.placed(&Placement { parameters, ..Placement::default() }).unwrap_err();
    assert_eq!(error.to_string(), "the parameter `ct_ratio` cannot be 0: it is from 1 to 100");
    let parameters = [("pt_ratio".to_owned(), 1.0)].into();
    let error = profile.placed(&Placement { parameters, ..Placement::default() }).unwrap_err();
    assert_eq!(error.to_string(), "the profile has no parameter `pt_ratio`");
}

#[test]
fn units_by_a_setting_sentinels_with_a_meaning_and_validity() {
    let text = r#"
        [[point]]
        name = "fahrenheit"
        address = 0
        type = "u16"
        [[point]]
        name = "status"
        address = 1
        type = "u16"
        [[point]]
        name = "temperature"
        address = 2
        type = "i16"
        fahrenheit = "fahrenheit"
        valid = { point = "status", bit = 4, width = 4, values = [0] }
        not_available = [0x7fff]
        out_of_range = [0x7ffe]
        means = [{ raw = [0x7ffd], value = -40 }]
        metric = "generator_coolant_temperature_celsius"
        "#;
    let name = "generator_coolant_temperature_celsius";
    let cases = [
        ([0, 0, 50], Ok(50.0)),
        ([1, 0xff0f, 50], Ok(10.0)),
        ([1, 0x0010, 50], Err(Missing::NotAvailable)),
        ([1, 0, 0x7fff], Err(Missing::NotAvailable)),
        ([1, 0, 0x7ffe], Err(Missing::OutOfRange)),
        ([1, 0, 0x7ffd], Ok(-40.0)),
    ];
    for (words, value) in cases {
        check(text, 0, &words, &[(name, value)]);
    }
}

#[test]
fn repetition_has_its_own_relations() {
    let text = r#"
        [[point]]
        name = "sf"
        address = 0
        type = "i16"
        repeat = { names = ["l1", "", "l3"], step = 2 }
        [[point]]
        name = "voltage"
        address = 1
        type = "u16"
        exponent = "sf"
        metric = "meter_voltage_volts"
        repeat = { label = "phase", names = ["l1", "", "l3"], step = 2 }
        [[point]]
        name = "current"
        address = 10
        type = "u16"
        metric = "meter_current_amperes"
        repeat = { label = "outlet", count = 3, from = 0, step = 1 }
        "#;
    check(
        text,
        0,
        &[0xffff, 2300, 0, 0, 0xfffe, 23100, 0, 0, 0, 0, 5, 6, 7],
        &[
            (r#"meter_voltage_volts{phase="l1"}"#, Ok(230.0)),
            (r#"meter_voltage_volts{phase="l3"}"#, Ok(231.0)),
            (r#"meter_current_amperes{outlet="0"}"#, Ok(5.0)),
            (r#"meter_current_amperes{outlet="1"}"#, Ok(6.0)),
            (r#"meter_current_amperes{outlet="2"}"#, Ok(7.0)),
        ],
    );
}

#[test]
fn fields_long_lists_and_members_of_enumerations() {
    check(
        r#"
        [[point]]
        name = "two"
        address = 0
        type = "u16"
        fields = [
            { metric = "meter_voltage_volts", bit = 8, width = 8, scale = 10 },
            { metric = "meter_current_amperes", bit = 0, width = 8, signed = true },
            { metric = "meter_frequency_hertz", bit = 0, width = 8, not_available = [0xfe] },
        ]
        [[point]]
        name = "alarms"
        address = 1
        type = "words"
        length = 6
        bits = [{ metric = "ups_fault", label = "fault", names = { first = 95, last = 0 } }]
        nibbles = { metric = "generator_alarm", label = "alarm", active = [2, 3], names = ["", "low_oil", "hot", "", "", "speed"] }
        [[point]]
        name = "mode"
        table = "discrete"
        address = 0
        type = "bool"
        metric = "ats_mode"
        labels = { mode = "auto" }
        "#,
        0,
        // 23 and -2; nibbles 8, 2, 1, 0 and 0, 3.
        &[0x17fe, 0x8210, 0x0300, 0, 0, 0, 1],
        &[
            ("meter_voltage_volts", Ok(230.0)),
            ("meter_current_amperes", Ok(-2.0)),
            ("meter_frequency_hertz", Err(Missing::NotAvailable)),
            (r#"ups_fault{fault="first"}"#, Ok(1.0)),
            (r#"ups_fault{fault="last"}"#, Ok(1.0)),
            (r#"generator_alarm{alarm="low_oil"}"#, Ok(1.0)),
            (r#"generator_alarm{alarm="hot"}"#, Ok(0.0)),
            (r#"generator_alarm{alarm="speed"}"#, Ok(1.0)),
            (r#"ats_mode{mode="auto"}"#, Ok(0.0)),
        ],
    );
}

#[test]
fn a_state_of_some_members_of_an_enumeration() {
    let text = r#"
        [[point]]
        name = "source"
        address = 0
        type = "u16"
        not_available = [0xffff]
        states = [
            { metric = "ups_on_battery", active = [3, "7-8"], known = ["0-3", 5, 7, 8], not_available = [6] },
            { metric = "ups_on_bypass", bit = 4, width = 4, active = [1], known = [0, 1] },
        ]
        "#;
    let profile = parse(text).unwrap();
    let value = |word: u16| -> Vec<Value> {
        values(&profile, 0, &[word]).into_iter().map(|(_, value)| value).collect()
    };
    let (no, yes) = (Ok(0.0), Ok(1.0));
    for (word, battery) in [(0, no), (2, no), (3, yes), (5, no), (7, yes), (8, yes)] {
        assert_eq!(value(word), [battery, no], "{word}");
    }
    // What no list has, what means that there is none, and the sentinel of the whole register.
    assert_eq!(value(4), [Err(Missing::OutOfRange), no]);
    assert_eq!(value(6), [Err(Missing::NotAvailable), no]);
    assert_eq!(value(0xffff), [Err(Missing::NotAvailable); 2]);
    assert_eq!(value(0x13), [Err(Missing::OutOfRange), yes]);
    assert_eq!(value(0x23), [Err(Missing::OutOfRange); 2]);
    // In the log it says what was there.
    let refused = answers(profile.reads(), 0, &[4]);
    let refused: Vec<_> = profile.refused(&refused).iter().map(ToString::to_string).collect();
    assert_eq!(refused, ["`source` is out of range: the device sent 0x4"]);
}

#[test]
fn what_the_installation_decides() {
    let text = |parameter: &str| {
        format!(
            r#"
        [parameters.exponent]
        {parameter}
        [[point]]
        name = "a"
        address = 0
        type = "i16"
        exponent = "exponent"
        metric = "environment_temperature_celsius"
        "#
        )
    };
    let profile = parse(&text("required = true\nvalues = [-1, 0]\nhelp = \"the scale\"")).unwrap();
    let [parameter] = profile.parameters() else { panic!() };
    assert_eq!((parameter.default, parameter.help.as_str()), (None, "the scale"));
    assert_eq!(parameter.allowed.to_string(), "one of -1, 0");
    // Nobody said it: there is no number to be wrong by a factor of ten.
    assert_eq!(values(&profile, 0, &[235])[0].1, Err(Missing::NotAvailable));
    let set = |value: f64| {
        let parameters = [("exponent".to_owned(), value)].into();
        profile.placed(&Placement { parameters, ..Placement::default() })
    };
    assert_eq!(values(&set(-1.0).unwrap(), 0, &[235])[0].1, Ok(23.5));
    let error = set(-2.0).unwrap_err().to_string();
    assert_eq!(error, "the parameter `exponent` cannot be -2: it is one of -1, 0");
    for (parameter, message) in [
        ("help = \"x\"\nmin = 0\nmax = 1", "`exponent` has either a default or is required"),
        (
            "help = \"x\"\ndefault = 1\nrequired = true\nmin = 0\nmax = 1",
            "`exponent` has either a default or is required",
        ),
        ("help = \"x\"\ndefault = 1\nmin = 0", "nothing says what `exponent` can be"),
        ("help = \"x\"\ndefault = 1\nmin = 2\nmax = 1", "nothing says what `exponent` can be"),
        ("help = \"x\"\ndefault = 1\nvalues = []", "nothing says what `exponent` can be"),
        ("help = \"x\"\ndefault = 3\nmin = 0\nmax = 1", "3 is not from 0 to 1"),
        ("default = 1\nmin = 0\nmax = 1", "`help` is missing in `parameters.exponent`"),
    ] {
        assert_eq!(parse(&text(parameter)).unwrap_err(), message, "{parameter}");
    }
}

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
    let hole = |first, last| vec![Hole { table: input, first, last }];
    let refusing = Placement { forbidden: hole(13, 13), ..plain.clone() };
    assert_eq!(reads(&refusing), [(input, 10, 1), (input, 12, 1), (input, 14, 2)]);
    // A point that the device refuses is known to be missing, and is not asked for.
    let refusing = Placement { forbidden: hole(15, 40), ..plain.clone() };
    assert_eq!(reads(&refusing), [(input, 10, 1), (input, 12, 1)]);
    let placed = profile.placed(&refusing).unwrap();
    let found = values(&placed, 10, &[7, 0, 8]);
    assert_eq!(found[2], ("meter_frequency_hertz".to_owned(), Err(Missing::Exception(2))));
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
fn what_is_refused_keeps_what_the_device_sent() {
    let text = r#"
        [[point]]
        name = "voltage"
        address = 0
        type = "u16"
        scale = 0.1
        max = 500
        metric = "meter_voltage_volts"
        [[point]]
        name = "mode"
        address = 1
        type = "u16"
        states = [{ metric = "generator_mode", label = "mode", values = { stop = [0], auto = [1] } }]
        [[point]]
        name = "fine"
        address = 2
        type = "u16"
        metric = "meter_current_amperes"
        "#;
    let profile = parse(text).unwrap();
    let answers = answers(profile.reads(), 0, &[0xfff0, 9, 3]);
    let refused: Vec<String> = profile.refused(&answers).iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        [
            "`voltage` is out of range: the device sent 0xfff0, which is 6552, plausible are -inf to 500",
            "`mode` is out of range: the device sent 0x9",
        ]
    );
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

#[test]
fn mistakes_have_their_messages() {
    let point = |rest: &str| format!("[[point]]\nname = \"a\"\naddress = 0\n{rest}\n");
    let volts = "metric = \"meter_voltage_volts\"";
    let cases = [
        (point("type = \"date\""), "the type and `date` do not fit"),
        (
            point("type = \"date\"\ndate = \"YMq\""),
            "`date` is not valid: a date is of `YMDhmsi-`, such as `YMDhms`, or is `iec870`",
        ),
        (point("type = \"mod10k\"\nlength = 5"), "`mod10k` has 2 to 4 registers"),
        (point("type = \"u16\"\ninstance = 2"), "`instance` is of a `model`, which is missing"),
        (
            point(&format!("type = \"u16\"\ntimes = \"a\"\n{volts}")),
            "the value of `a` depends on itself",
        ),
        (point("type = \"u16\"\nplus = [\"b\"]"), "no point named `b`"),
        (point("type = \"u16\"\nvalid = { point = \"c\", values = [1] }"), "no point named `c`"),
        (
            point("type = \"u16\"\nrepeat = { label = \"site\", count = 2, step = 1 }"),
            "a profile cannot give the label `site`",
        ),
        (
            point("type = \"u16\"\nrepeat = { step = 1 }"),
            "a repeated point has either `names` or `count`",
        ),
        (
            point("type = \"u16\"\nrepeat = { count = 3, step = 40000 }"),
            "copy `3` is past address 65535",
        ),
        (
            point("type = \"u16\"\nstates = [{ metric = \"ups_on_battery\", active = [3] }]"),
            "`known` is missing in `point.states`",
        ),
        (
            point(
                "type = \"u16\"\nstates = [{ metric = \"ups_on_battery\", active = [3], known = [1, 2] }]",
            ),
            "a value is active and not known",
        ),
        (
            point(
                "type = \"u16\"\nstates = [{ metric = \"ups_on_battery\", active = [1], known = [1, 2], not_available = [2] }]",
            ),
            "a value is known and not there",
        ),
        (
            point(
                "type = \"u16\"\nstates = [{ metric = \"ups_load_ratio\", active = [1], known = [1, 2] }]",
            ),
            "`ups_load_ratio` is a metric of another kind",
        ),
        (point("type = \"u16\"\nshow = \"hex\""), "nothing to show"),
        (point("type = \"u16\"\nmeans = [{ value = 1 }]"), "`raw` names no numbers"),
        (
            point("type = \"u16\"\nmodel = 1\nidentity = \"Serial\""),
            "`Serial` is no name of a part of an identity",
        ),
    ];
    for (text, message) in cases {
        let found = parse(&text).map(|_| String::new()).unwrap_or_else(|messages| messages);
        assert_eq!(found, message, "{text}");
    }
}
