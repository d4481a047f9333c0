//! From registers to samples: uninterruptible power supplies, generators and the power shelves of
//! Open Rack. The words are worked out by hand from the register lists; nothing here comes out of
//! the decoder.
//!
//! A number of single precision between 2^n and 2^(n+1) begins with 0x3f80 + n × 0x80; what it is
//! above 2^n follows in steps of 2^(23-n). So 230.5 is 0x4300_0000 + 102.5 × 0x1_0000.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../answers/mod.rs"]
mod answers;
mod chloride;
mod cummins;
mod eaton;
mod generex;
mod huawei;
mod kohler;
mod openbmc;
mod phoenix;
mod tripplite;
mod vertiv;

use std::collections::BTreeMap;

use answers::{Words, answer, check, profile, read_from, reads, samples};
use hallwatch_agent::profile::{Placement, Profile};
use hallwatch_modbus::Table::{DiscreteInputs as D, HoldingRegisters as H, InputRegisters as I};
use hallwatch_modbus::{Data, Table};
use hallwatch_model::{Missing, Value};

/// What changes, and to what, when the register at `address` holds `word` instead of zero; the
/// device's other registers are `words`.
fn turned(
    profile: &Profile,
    (table, address): (Table, u16),
    word: u16,
    words: &Words,
) -> Vec<(String, Value)> {
    let with = |word: u16| {
        let word: &'static [u16] = Box::leak(Box::new([word]));
        let mut all = vec![(table, address, word)];
        all.extend_from_slice(words);
        read_from(profile, &all)
    };
    let (before, after) = (with(0), with(word));
    after.into_iter().filter(|(series, value)| before[series] != *value).collect()
}

/// Every bit makes the series that stands beside it 1 (0, when `!` stands before it) and changes
/// no other; the bits that are not listed change none.
fn each_bit(name: &str, address: u16, metric: &str, bits: &[(u16, &str)]) {
    let profile = profile(name);
    let table = if profile.reads()[0].table() == I { I } else { H };
    for bit in 0..16 {
        let word = 1 << bit;
        let listed = bits.iter().filter(|(listed, _)| *listed == word);
        let expected: Vec<(String, Value)> = listed
            .map(|(_, labels)| match labels.strip_prefix('!') {
                Some(inverted) => (format!("{metric}{inverted}"), Ok(0.0)),
                None => (format!("{metric}{labels}"), Ok(1.0)),
            })
            .collect();
        assert_eq!(turned(&profile, (table, address), word, &[]), expected, "{name} {word:#x}");
    }
}

/// The same for the alarms of one part of a rack's power.
fn each_alarm(name: &str, address: u16, part: &str, alarms: &[(u16, &str)]) {
    let labels: Vec<(u16, String)> = alarms
        .iter()
        .map(|(word, alarm)| (*word, format!("{{alarm={alarm:?}, part={part:?}}}")))
        .collect();
    let bits: Vec<(u16, &str)> = labels.iter().map(|(word, text)| (*word, text.as_str())).collect();
    each_bit(name, address, "rack_power_alarm", &bits);
}

/// Every word at `address` makes exactly one member of the enumeration 1; `none` of them are
/// members.
fn each_state(
    name: &str,
    place: (Table, u16),
    series: &str,
    members: &[(u16, &str)],
    none: &[u16],
) {
    let profile = profile(name);
    let read = |word: u16| {
        let word: &'static [u16] = Box::leak(Box::new([word]));
        read_from(&profile, &[(place.0, place.1, word)])
    };
    for (word, member) in members {
        let found = read(*word);
        for (_, other) in members {
            let value = if other == member { Ok(1.0) } else { Ok(0.0) };
            assert_eq!(found[&series.replace('*', other)], value, "{name} {series} {word} {other}");
        }
    }
    for word in none {
        for (_, member) in members {
            let value = read(*word)[&series.replace('*', member)];
            assert_eq!(value, Err(Missing::OutOfRange), "{name} {series} {word} {member}");
        }
    }
}

/// What the words at a place make of a state: each with its value.
fn each_value(name: &str, place: (Table, u16), series: &str, values: &[(u16, Value)]) {
    let profile = profile(name);
    for (word, value) in values {
        let words: &'static [u16] = Box::leak(Box::new([*word]));
        let found = read_from(&profile, &[(place.0, place.1, words)]);
        assert_eq!(found[series], *value, "{name} {series} {word}");
    }
}

const NO: Value = Ok(0.0);
const YES: Value = Ok(1.0);
const UNKNOWN: Value = Err(Missing::OutOfRange);
const NONE: Value = Err(Missing::NotAvailable);

/// When the read at `address` fails, exactly the series with one of these beginnings are missing.
fn fails(name: &str, address: u16, lost: &[&str]) {
    let profile = profile(name);
    let whole = profile.reads().iter().map(|read| {
        if read.address() == address { Err(Missing::Timeout) } else { Ok(answer(&[], read)) }
    });
    let answers: Vec<_> = whole.collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1, "{name} {address}");
    for (series, value) in samples(&profile, &answers) {
        let is_lost = lost.iter().any(|start| series.starts_with(start));
        assert_eq!(value == Err(Missing::Timeout), is_lost, "{name} {series}");
    }
}

fn identity(name: &str, words: &Words) -> Vec<(String, String)> {
    let profile = profile(name);
    let answers: Vec<_> =
        profile.identity_reads().iter().map(|read| Ok(answer(words, read))).collect();
    let parts = profile.identity(&answers);
    parts.into_iter().map(|(what, text)| (what.to_owned(), text)).collect()
}

fn says(parts: &[(&str, &str)]) -> Vec<(String, String)> {
    parts.iter().map(|(what, text)| ((*what).to_owned(), (*text).to_owned())).collect()
}

/// The device with some parameters set.
fn with(name: &str, parameters: &[(&str, f64)], words: &Words) -> BTreeMap<String, Value> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let placement = Placement { parameters, ..Placement::default() };
    read_from(&profile(name).placed(&placement).unwrap(), words)
}
