//! The client on a line that misbehaves, in memory with paused time and over real sockets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_modbus::{Client, Failure, Line, Options, Rtu, TcpEndpoint};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::line::{Device, LineFault, Log, MemoryLine, Pace};
use crate::server::{Mix, Rng};
use crate::{outcome, read, right};

fn client(faults: Vec<LineFault>, framing: Rtu, options: Options) -> Client<MemoryLine, Rtu> {
    let mut faults = faults.into_iter();
    let line = MemoryLine::serve(move || faults.next().unwrap_or(LineFault::None));
    Client::new(line, framing, options)
}

#[tokio::test(start_paused = true)]
async fn each_fault_has_its_name_and_spares_the_next_question() {
    use LineFault::*;
    // Fault, how the question ends, bytes dropped and connections made after the next one; what
    // was dropped before the fault was known is not counted.
    let cases = [
        (None, "answer", 0, 1),
        (Late, "timeout", 11, 1),
        (Hang, "timeout", 0, 1),
        (Trickle, "timeout", 11, 1),
        (SlowBytes, "answer", 0, 1),
        (Chunks, "answer", 0, 1),
        (HalfThenHang, "timeout", 5, 1),
        (HalfThenClose, "closed", 0, 2),
        (Close, "answer", 0, 2),
        (AnswerThenClose, "answer", 0, 2),
        (Twice, "answer", 11, 1),
        (Flip, "checksum", 11, 1),
        (WrongUnit, "unit", 11, 1),
        (WrongFunction, "function", 11, 1),
        (FewerRegisters, "byte count", 9, 1),
        (MoreRegisters, "byte count", 13, 1),
        (ByteCountTooLarge, "byte count", 11, 1),
        (Cut, "timeout", 10, 1),
        (NoiseBefore, "unit", 15, 1),
        (NoiseAfter, "answer", 4, 1),
        (Echo, "echo", 19, 1),
        (Exception(2), "exception", 0, 1),
        (Exception(11), "exception", 0, 1),
    ];
    for framing in [Rtu::new(Line::default()), Rtu::over_tcp()] {
        for (fault, expected, discarded, connections) in cases {
            let mut client = client(vec![fault], framing.clone(), Options::default());
            let first = read(100, 3);
            let result = client.read(7, &first).await;
            assert_eq!(outcome(&result), expected, "{fault:?}");
            if let Ok(data) = result {
                assert_eq!(data, right(7, &first), "{fault:?}");
            }
            // Another unit and register of the same shape: a mix-up would go unnoticed by length.
            let second = read(500, 3);
            let result = client.read(8, &second).await;
            assert_eq!(result.unwrap(), right(8, &second), "{fault:?}");
            assert_eq!(client.counters().discarded, discarded, "{fault:?}");
            assert_eq!(client.counters().connections, connections, "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_is_left_in_silence_after_anything_odd_and_only_then() {
    use LineFault::*;
    let gap = Line::default().gap();
    let wire = Duration::from_millis(10);
    let slowest = Duration::from_secs(2);
    let options = Options { slowest_answer: slowest, ..Options::default() };
    // How long the next question has to wait: the late answer comes half a second after the
    // timeout, which has the time on the wire in it.
    let cases = [
        (None, gap),
        (Exception(2), gap),
        (Hang, slowest),
        (Flip, slowest),
        (Late, slowest + Duration::from_millis(500)),
        (NoiseAfter, slowest),
    ];
    for ((fault, expected), settles) in
        cases.into_iter().flat_map(|one| [(one, false), (one, true)])
    {
        let mut client = client(vec![fault], Rtu::new(Line::default()), options);
        let _ = client.read(7, &read(100, 1)).await;
        let start = Instant::now();
        if settles {
            client.settle().await;
            let settled = Instant::now();
            client.settle().await;
            client.read(8, &read(100, 1)).await.unwrap();
            assert!(settled.elapsed() <= wire, "{fault:?}: it was not settled");
        } else {
            client.read(8, &read(100, 1)).await.unwrap();
        }
        let waited = start.elapsed();
        assert!(waited + wire >= expected && waited <= expected + wire, "{fault:?}: {waited:?}");
        let late = if fault == Late { 7 } else { 0 };
        assert!(client.counters().discarded >= late, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_is_suppressed_when_it_is_known() {
    let faults = vec![LineFault::Echo, LineFault::Echo, LineFault::None];
    let framing = Rtu::new(Line::default()).with_echo(true);
    let mut client = client(faults, framing, Options::default());
    for address in [5, 6] {
        let asked = read(address, 2);
        assert_eq!(client.read(3, &asked).await.unwrap(), right(3, &asked));
    }
    assert_eq!(client.counters().discarded, 0);
    let result = client.read(3, &read(5, 2)).await;
    assert_eq!(outcome(&result), "no echo");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_never_silent_is_said_to_be() {
    let mut client = client(vec![LineFault::Flood], Rtu::new(Line::default()), Options::default());
    assert_eq!(outcome(&client.read(3, &read(5, 2)).await), "unit");
    let start = Instant::now();
    client.settle().await;
    assert_eq!(start.elapsed(), Duration::from_secs(4), "twice as long as it should");
    assert_eq!(outcome(&client.read(3, &read(5, 2)).await), "noise");
    assert!(start.elapsed() <= Duration::from_secs(21));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_question_leaves_nothing_behind() {
    let patient = Options { answer_timeout: Duration::from_secs(2), ..Options::default() };
    let options = Options { slowest_answer: Duration::from_secs(3), ..patient };
    let mut client = client(vec![LineFault::Late], Rtu::new(Line::default()), options);
    let asked = read(0, 1);
    let dropped = client.read(1, &asked);
    assert!(tokio::time::timeout(Duration::from_millis(500), dropped).await.is_err());
    // Its answer comes over the new connection; another register of the same unit is asked for.
    let other = read(9, 1);
    assert_eq!(client.read(1, &other).await.unwrap(), right(1, &other));
    assert_eq!((client.counters().connections, client.counters().discarded), (2, 7));
}

/// Twenty units on one line, five of them dead: the others are asked as soon as the line has been
/// silent, however their dead neighbours are spread.
#[tokio::test(start_paused = true)]
async fn dead_units_cost_their_neighbours_no_more_than_timeout_and_silence() {
    let dead = |unit: u8| unit.is_multiple_of(4);
    let order: Vec<u8> = (1..=20).collect();
    let mut asked = order.clone().into_iter();
    let line = MemoryLine::serve(move || match asked.next() {
        Some(unit) if dead(unit) => LineFault::Hang,
        _ => LineFault::None,
    });
    let options = Options {
        answer_timeout: Duration::from_millis(300),
        slowest_answer: Duration::from_millis(500),
        ..Options::default()
    };
    let mut client = Client::new(line, Rtu::new(Line::default()), options);
    let start = Instant::now();
    for unit in order {
        let asked = read(40, 10);
        let before = Instant::now();
        let result = client.read(unit, &asked).await;
        assert_eq!(result.is_err(), dead(unit), "{unit}");
        assert!(before.elapsed() < Duration::from_millis(520), "{unit}");
    }
    // Five timeouts with the time on the wire, and four silences before the next question.
    assert!(start.elapsed() < Duration::from_millis(5 * 330 + 4 * 500 + 20 * 20));
}

/// Reads until `reads` are done; every value must be right, and every reason one that a fault gave.
async fn storm<C: hallwatch_modbus::Connect>(
    client: &mut Client<C, Rtu>,
    log: &Log,
    reads: u64,
    exact: bool,
) -> BTreeMap<&'static str, u64> {
    let mut rng = Rng(11);
    let mut reasons = BTreeMap::new();
    let mut before = Vec::new();
    for n in 0..reads {
        let (unit, address) = (1 + rng.below(4) as u8, rng.below(9000) as u16);
        let asked = read(address, 1 + rng.below(3) as u16);
        if rng.below(2) == 0 {
            client.settle().await;
        }
        let result = client.read(unit, &asked).await;
        let faults = std::mem::take(&mut *log.lock().unwrap());
        let word = match &result {
            Ok(data) => {
                assert_eq!(*data, right(unit, &asked), "read {n}");
                "answer"
            }
            Err(error) => {
                let word = error.missing().word();
                let possible = faults
                    .iter()
                    .chain(&before)
                    .any(|fault: &LineFault| fault.reasons().contains(&word));
                assert!(!exact || possible, "read {n}: {error:?} after {faults:?}");
                assert!(!matches!(error.failure, Failure::Connect(_)), "read {n}: {error:?}");
                word
            }
        };
        *reasons.entry(word).or_insert(0) += 1;
        // A question that the server has not heard meets what came before.
        if !faults.is_empty() {
            before = faults;
        }
    }
    reasons
}

/// The promise of this crate, where frames have no ids.
#[tokio::test(start_paused = true)]
async fn in_a_mix_of_all_faults_no_value_is_ever_another_points() {
    const READS: u64 = 100_000;
    for (seed, framing) in [(7, Rtu::new(Line::default())), (8, Rtu::over_tcp())] {
        let log = Log::default();
        let (written, mut faults) = (Arc::clone(&log), Mix::new(seed));
        let line = MemoryLine::serve(move || {
            let fault = faults.next(|rng| LineFault::any(rng, 2));
            let fault = fault.unwrap_or_else(LineFault::Exception);
            written.lock().unwrap().push(fault);
            fault
        });
        let mut client = Client::new(line, framing, Options::default());
        let reasons = storm(&mut client, &log, READS, true).await;
        let words: Vec<_> = reasons.keys().copied().collect();
        assert_eq!(words, ["answer", "exception", "malformed", "timeout"]);
        assert!(reasons["answer"] > READS / 3, "{reasons:?}");
        let seen = client.counters();
        let ended = seen.answers + seen.exceptions + seen.timeouts + seen.violations + seen.broken;
        assert_eq!(ended, READS);
        assert!(seen.discarded > READS / 10, "{seen:?}");
    }
}

#[tokio::test]
async fn the_same_over_real_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let log: Log = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&log);
    tokio::spawn(async move {
        let mut faults = Rng(5);
        let next = move || {
            let fault = LineFault::any(&mut faults, 4);
            written.lock().unwrap().push(fault);
            fault
        };
        let [late, trickle, slow] = [75, 20, 1].map(Duration::from_millis);
        let mut device = Device::new(next, Pace { late, trickle, slow });
        while let Ok((stream, _)) = listener.accept().await {
            let _ = device.converse(stream).await;
        }
    });
    let options = Options {
        answer_timeout: Duration::from_millis(50),
        slowest_answer: Duration::from_millis(300),
        ..Options::default()
    };
    let mut client = Client::new(TcpEndpoint::new(address), Rtu::over_tcp(), options);
    // How long things take is the machine's affair, so that reasons are not; values are.
    let reasons = storm(&mut client, &log, 150, false).await;
    assert!(reasons["answer"] > 75, "{reasons:?}");
    assert!(client.counters().discarded > 0);
}
