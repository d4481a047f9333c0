//! What devices say: answers to reads, identifications in many rounds, chains of SunSpec models,
//! and refusals. Every conversation ends.
#![no_main]

use arbitrary::Arbitrary;
use hallwatch_modbus::holes::Search;
use hallwatch_modbus::identify::Survey;
use hallwatch_modbus::plan::{Limits, Span, plan};
use hallwatch_modbus::sunspec::{Step, Walk};
use hallwatch_modbus::{Data, Read, Table, answer};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    count: u8,
    pdu: &'a [u8],
    parts: Vec<Option<Vec<u8>>>,
    words: Vec<Option<[u16; 2]>>,
    points: Vec<(u8, u8)>,
    refusals: Vec<bool>,
}

fuzz_target!(|case: Case<'_>| {
    for table in Table::ALL {
        let Ok(read) = Read::new(table, 0, u16::from(case.count)) else { continue };
        match answer::parse_read(read, case.pdu) {
            Ok(Data::Bits(bits)) => assert_eq!(bits.len(), usize::from(case.count)),
            Ok(Data::Registers(words)) => assert_eq!(words.len(), usize::from(case.count)),
            Err(_) => {}
        }
    }
    let _ = answer::parse_identification(case.pdu);

    let mut survey = Survey::default();
    let mut parts = case.parts.iter().cycle();
    let mut rounds = 0;
    while survey.request().is_some() {
        let part = parts.next().and_then(Option::as_deref);
        survey.answered(part.and_then(|pdu| answer::parse_identification(pdu).ok()).as_ref());
        rounds += 1;
        assert!(rounds <= 768);
    }

    let mut walk = Walk::new(Table::HoldingRegisters);
    let mut words = case.words.iter().cycle();
    let mut rounds = 0;
    while let Step::Read(_) = walk.step() {
        let data = words.next().copied().flatten().map(|words| Data::Registers(words.into()));
        walk.answered(data.as_ref());
        rounds += 1;
        assert!(rounds <= 300);
    }

    let points: Vec<Span> = case
        .points
        .iter()
        .take(40)
        .map(|(at, width)| Span {
            table: Table::InputRegisters,
            address: u16::from(*at),
            width: 1 + u16::from(*width % 4),
        })
        .collect();
    let limits = Limits { hole: 8, ..Limits::default() };
    let mut refusals = case.refusals.iter().cycle();
    for read in plan(&points, &limits).map(|plan| plan.reads).unwrap_or_default() {
        let mut search = Search::new(read, 2, &points, &[2]);
        let mut rounds = 0;
        while let Some(part) = search.read() {
            assert!(part.address() >= read.address());
            assert!(part.count() < read.count(), "the whole is known to be refused");
            assert!(search.answered(if *refusals.next().unwrap_or(&true) { Err(2) } else { Ok(()) }));
            rounds += 1;
            assert!(rounds <= 3 * points.len());
        }
        for refusal in search.finish().forbidden {
            let hole = refusal.hole;
            assert!(hole.first <= hole.last && hole.first >= read.address());
        }
    }
});
