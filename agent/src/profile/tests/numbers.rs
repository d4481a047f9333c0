//! How points become numbers: orders, factors, settings, repetition.

use super::*;

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
