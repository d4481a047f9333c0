//! Bytes from a stream or a line: no step reaches past them, and what is incomplete still has room.
#![no_main]

use arbitrary::Arbitrary;
use hallwatch_modbus::framing::Step;
use hallwatch_modbus::request::Category;
use hallwatch_modbus::{Framing, Line, Read, Request, Rtu, Table, Tcp, answer};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    kind: u8,
    unit: u8,
    table: u8,
    address: u16,
    count: u16,
    /// Cut off the start of the right answer's frame and put before the bytes.
    bytes: &'a [u8],
}

fn look<F: Framing>(mut framing: F, case: &Case<'_>, request: &Request) {
    let mut sent = Vec::new();
    framing.encode(case.unit, request, &mut sent);
    match framing.decode(case.bytes) {
        Ok(Step::Answer { consumed, pdu }) => {
            assert!(consumed <= case.bytes.len() && consumed <= F::MAX_FRAME);
            assert!(!pdu.is_empty() && pdu.end <= consumed);
            let _ = answer::check(request, &case.bytes[pdu]);
        }
        Ok(Step::Stale { consumed }) => assert!(0 < consumed && consumed <= case.bytes.len()),
        Ok(Step::Incomplete) => assert!(case.bytes.len() < F::MAX_FRAME),
        Err(_) => {}
    }
}

fuzz_target!(|case: Case<'_>| {
    let table = Table::ALL[usize::from(case.table % 4)];
    let request = match Read::new(table, case.address, case.count % 2001) {
        Ok(read) => Request::Read(read),
        Err(_) => Request::Identify { category: Category::Extended, object: case.unit },
    };
    match case.kind % 5 {
        0 => look(Tcp::starting_after(case.address), &case, &request),
        1 => look(Tcp::lenient(), &case, &request),
        2 => look(Rtu::new(Line::default()), &case, &request),
        3 => look(Rtu::over_tcp(), &case, &request),
        _ => look(Rtu::over_tcp().with_echo(true), &case, &request),
    }
});
