//! From registers to samples: a device that holds some words, read through a shipped profile.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use hallwatch_agent::profile::Profile;
use hallwatch_modbus::{Data, Read, Table};
use hallwatch_model::{Missing, Value};

/// Words from an address on.
pub(crate) type Words = [(Table, u16, &'static [u16])];

pub(crate) fn profile(name: &str) -> Profile {
    Profile::named(name).unwrap().unwrap_or_else(|invalid| panic!("{}", invalid.render(false)))
}

/// A device that holds `words` and zero everywhere else.
pub(crate) fn answer(words: &Words, read: &Read) -> Data {
    let at = |address: u16| {
        let holds = |(table, start, words): &&(Table, u16, &[u16])| {
            *table == read.table() && (*start..*start + words.len() as u16).contains(&address)
        };
        words.iter().find(holds).map_or(0, |(_, start, words)| words[usize::from(address - start)])
    };
    let all = (0..read.count()).map(|n| at(read.address() + n));
    if read.table().is_bits() {
        Data::Bits(all.map(|word| word == 1).collect())
    } else {
        Data::Registers(all.collect())
    }
}

pub(crate) fn samples(
    profile: &Profile,
    answers: &[Result<Data, Missing>],
) -> BTreeMap<String, Value> {
    let samples = profile.samples(answers);
    let count = samples.len();
    let named: BTreeMap<_, _> =
        samples.into_iter().map(|(series, value)| (series.labels.to_string(), value)).collect();
    assert_eq!(named.len(), count, "a series comes twice");
    named
}

pub(crate) fn read_from(profile: &Profile, words: &Words) -> BTreeMap<String, Value> {
    let answers: Vec<_> = profile.reads().iter().map(|read| Ok(answer(words, read))).collect();
    samples(profile, &answers)
}

/// Every series but those of 0 must be listed.
pub(crate) fn check(name: &str, words: &Words, expected: &[(&str, Value)]) {
    check_of(&profile(name), words, expected);
}

/// The same of a profile that is placed.
pub(crate) fn check_of(profile: &Profile, words: &Words, expected: &[(&str, Value)]) {
    let mut found = read_from(profile, words);
    for (series, value) in expected {
        let name = &profile.name;
        let got = found.remove(*series).unwrap_or_else(|| panic!("{name} has no {series}"));
        assert_eq!(got, *value, "{series}");
    }
    for (series, value) in found {
        assert_eq!(value, Ok(0.0), "{series} is not listed");
    }
}

pub(crate) fn reads(name: &str) -> Vec<(u16, u16)> {
    profile(name).reads().iter().map(|read| (read.address(), read.count())).collect()
}
