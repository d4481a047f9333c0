//! The format beyond what the shipped profiles need. The words are worked out by hand.

mod devices;
mod numbers;
mod states;

use hallwatch_modbus::answer::Object;
use hallwatch_modbus::holes::Refusal;
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
