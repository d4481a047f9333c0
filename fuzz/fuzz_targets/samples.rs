//! Any registers through every shipped profile, also placed elsewhere: values are finite.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use hallwatch_agent::profile::{Placement, Profile, shipped};
use hallwatch_modbus::holes::Refusal;
use hallwatch_modbus::{Data, Hole, Table};
use hallwatch_model::Missing;
use libfuzzer_sys::fuzz_target;

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let names = shipped().iter().map(|(name, _)| name);
    names.map(|name| Profile::named(name).unwrap().unwrap()).collect()
});

#[derive(Arbitrary, Debug)]
struct Case {
    profile: usize,
    offset: i32,
    swap: bool,
    hole: (u16, u16),
    words: Vec<u16>,
}

fuzz_target!(|case: Case| {
    let profile = &PROFILES[case.profile % PROFILES.len()];
    let (first, last) = case.hole;
    let placement = Placement {
        offset: case.offset,
        registers: case.swap.then_some(Table::InputRegisters),
        forbidden: vec![Refusal {
            hole: Hole { table: Table::HoldingRegisters, first, last },
            code: 3,
        }],
        ..Placement::default()
    };
    let placed = profile.placed(&placement).unwrap_or_else(|_| profile.clone());
    let mut words = case.words.iter().copied().cycle();
    let mut answers = |reads: &[hallwatch_modbus::Read]| -> Vec<Result<Data, Missing>> {
        let answer = |read: &hallwatch_modbus::Read| {
            let mut all = (0..read.count()).map(|_| words.next().unwrap_or(0));
            match all.next() {
                Some(0xdead) => Err(Missing::Timeout),
                first if read.table().is_bits() => {
                    Ok(Data::Bits(first.into_iter().chain(all).map(|word| word & 1 == 1).collect()))
                }
                first => Ok(Data::Registers(first.into_iter().chain(all).collect())),
            }
        };
        reads.iter().map(answer).collect()
    };
    let answers = answers(placed.reads());
    for (series, value) in placed.samples(&answers) {
        assert!(value.is_ok_and(f64::is_finite) || value.is_err(), "{}", series.labels);
    }
    for refused in placed.refused(&answers) {
        assert!(!refused.to_string().is_empty());
    }
});
