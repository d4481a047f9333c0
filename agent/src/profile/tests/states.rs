//! How points become states, and what is refused.

use super::*;

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
