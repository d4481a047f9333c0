//! The client against a server that misbehaves in every way we know of. Strictly sequential, so
//! that it can answer late; in memory, so that time can be paused and every outcome is exact.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(clippy::disallowed_methods, reason = "tests measure the paused time")]

mod line;
mod rtu;
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_modbus::{
    AnswerError, Client, Data, Error, Failure, FrameError, Options, Read, Table, Tcp,
};
use hallwatch_model::Missing;
use server::{Fault, Memory, Mix, Rng, register};

const HOUR: Duration = Duration::from_secs(3600);

fn read(address: u16, count: u16) -> Read {
    Read::new(Table::HoldingRegisters, address, count).unwrap()
}

/// A client of a server that plays `faults`, then behaves.
fn client(faults: Vec<Fault>, options: Options) -> Client<Memory, Tcp> {
    let mut faults = faults.into_iter();
    Client::new(
        Memory::serve(move || faults.next().unwrap_or(Fault::None)),
        Tcp::default(),
        options,
    )
}

fn right(unit: u8, read: &Read) -> Data {
    let registers = (0..read.count()).map(|n| register(unit, read.address() + n));
    Data::Registers(registers.collect())
}

/// What happened, in a word.
fn outcome(result: &Result<Data, Error>) -> &'static str {
    match result {
        Ok(_) => "answer",
        Err(error) => match &error.failure {
            Failure::Connect(_) => "connect",
            Failure::ConnectTimeout(_) => "connect timeout",
            Failure::Stream(_) => "stream",
            Failure::Closed => "closed",
            Failure::Timeout(_) => "timeout",
            Failure::Frame(FrameError::Protocol { .. }) => "protocol",
            Failure::Frame(FrameError::Length { .. }) => "frame length",
            Failure::Frame(FrameError::Transaction { .. }) => "transaction",
            Failure::Frame(FrameError::Unit { .. }) => "unit",
            Failure::Frame(FrameError::Function { .. }) => "function",
            Failure::Frame(FrameError::ByteCount { .. }) => "byte count",
            Failure::Frame(FrameError::Checksum { .. }) => "checksum",
            Failure::Frame(FrameError::Echo) => "echo",
            Failure::Frame(FrameError::NoEcho) => "no echo",
            Failure::Frame(FrameError::Noise) => "noise",
            Failure::Authentication(_) => "authentication",
            Failure::Answer(AnswerError::Exception { .. }) => "exception",
            Failure::Answer(AnswerError::Function { .. }) => "function",
            Failure::Answer(AnswerError::ByteCount { .. }) => "byte count",
            Failure::Answer(AnswerError::Length { .. }) => "answer length",
            Failure::Answer(AnswerError::Echo) => "echo",
            Failure::Answer(AnswerError::Identification) => "identification",
        },
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_has_its_name_and_spares_the_next_question() {
    // Fault, how the question ends, late answers dropped and connections made after the next one.
    let cases = [
        (Fault::None, "answer", 0, 1),
        (Fault::Late, "timeout", 1, 1),
        (Fault::Hang, "timeout", 0, 1),
        (Fault::Trickle, "timeout", 0, 2),
        (Fault::SlowBytes, "answer", 0, 1),
        (Fault::HalfThenHang, "timeout", 0, 2),
        (Fault::HalfThenClose, "closed", 0, 2),
        (Fault::Close, "closed", 0, 2),
        (Fault::AnswerThenClose, "answer", 0, 2),
        (Fault::Twice, "answer", 1, 1),
        (Fault::WrongTransaction, "transaction", 0, 2),
        (Fault::WrongProtocol, "protocol", 0, 2),
        (Fault::LongFrame, "frame length", 0, 2),
        (Fault::EmptyFrame, "frame length", 0, 2),
        (Fault::WrongUnit, "unit", 0, 2),
        (Fault::WrongFunction, "function", 0, 2),
        (Fault::FewerRegisters, "byte count", 0, 2),
        (Fault::MoreRegisters, "byte count", 0, 2),
        (Fault::ByteCountTooLarge, "byte count", 0, 2),
        (Fault::ByteCountTooSmall, "byte count", 0, 2),
        (Fault::CutPdu, "answer length", 0, 2),
        (Fault::NoiseBefore, "protocol", 0, 2),
        (Fault::NoiseAfter, "answer", 0, 1),
        (Fault::Echo, "echo", 0, 2),
        (Fault::Exception(2), "exception", 0, 1),
        (Fault::Exception(11), "exception", 0, 1),
    ];
    for (fault, expected, stale, connections) in cases {
        let mut client = client(vec![fault], Options::default());
        let first = read(100, 3);
        let result = client.read(7, &first).await;
        assert_eq!(outcome(&result), expected, "{fault:?}");
        if let Ok(data) = result {
            assert_eq!(data, right(7, &first), "{fault:?}");
        }
        // Another unit and register of the same shape: a mix-up would go unnoticed by length.
        let second = read(500, 3);
        let result = client.read(8, &second).await;
        if fault == Fault::NoiseAfter {
            // The noise is found in front of the next answer, which is not trusted any more.
            assert_eq!(outcome(&result), "protocol");
            continue;
        }
        assert_eq!(result.unwrap(), right(8, &second), "{fault:?}");
        assert_eq!(client.counters().stale, stale, "{fault:?}");
        assert_eq!(client.counters().connections, connections, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_says_where_what_and_why() {
    let mut gateway = client(vec![Fault::Exception(11)], Options::default());
    let error = gateway.read(7, &read(100, 3)).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(
        cause,
        "the gateway answered with exception 0x0b (the device behind it did not respond)"
    );
    assert_eq!((error.missing(), error.is_transient()), (Missing::Exception(11), true));

    let faults = vec![Fault::Exception(2), Fault::Exception(6), Fault::Hang, Fault::WrongUnit];
    let mut client = client(faults, Options::default());
    let error = client.read(7, &read(100, 3)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read holding registers 100 to 102 (function 3) of unit 7 at memory"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the device answered with exception 0x02 (illegal data address)");
    assert_eq!((error.exception(), error.is_transient()), (Some(2), false));
    assert_eq!(error.missing(), Missing::Exception(2));

    let error = client.read(7, &read(100, 3)).await.unwrap_err();
    assert_eq!((error.exception(), error.is_transient()), (Some(6), true));
    let error = client.read(7, &read(100, 3)).await.unwrap_err();
    assert_eq!((error.missing(), error.is_transient()), (Missing::Timeout, true));
    let error = client.read(7, &read(100, 3)).await.unwrap_err();
    assert_eq!((error.missing(), error.is_transient()), (Missing::Malformed, true));
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_closed_after_timeouts_in_a_row() {
    let options = Options { timeouts_before_close: 3, ..Options::default() };
    let hang = Fault::Hang;
    let mut client = client(vec![hang, hang, Fault::None, hang, hang, hang], options);
    let expected = [false, false, true, false, false];
    for (n, answers) in expected.into_iter().enumerate() {
        let result = client.read(1, &read(0, 1)).await;
        assert_eq!((result.is_ok(), client.is_connected()), (answers, true), "question {n}");
    }
    client.read(1, &read(0, 1)).await.unwrap_err();
    assert!(!client.is_connected());
    client.read(1, &read(0, 1)).await.unwrap();
    assert_eq!(client.counters().connections, 2);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_was_closed_is_replaced_without_an_error() {
    let mut client = client(vec![Fault::AnswerThenClose; 5], Options::default());
    for address in 0..5 {
        assert_eq!(client.read(1, &read(address, 2)).await.unwrap(), right(1, &read(address, 2)));
    }
    assert_eq!((client.counters().connections, client.counters().answers), (5, 5));
}

/// A connection over which nothing is heard any more is left after the timeouts that are allowed.
#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_left() {
    let mut client = client(vec![Fault::None, Fault::HalfOpen], Options::default());
    client.read(1, &read(0, 1)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(outcome(&client.read(1, &read(0, 1)).await), "timeout");
    }
    assert_eq!(client.read(1, &read(5, 2)).await.unwrap(), right(1, &read(5, 2)));
    assert_eq!(client.counters().connections, 2);
}

/// Coils whose question, sent back, has the shape of their answer.
#[tokio::test(start_paused = true)]
async fn a_question_that_comes_back_is_not_taken_for_bits() {
    let mut client = client(vec![Fault::Echo], Options::default());
    let coils = Read::new(Table::Coils, 0x0305, 20).unwrap();
    assert_eq!(outcome(&client.read(1, &coils).await), "echo");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_always_closes_is_asked_twice_and_not_for_ever() {
    let mut client = client(vec![Fault::None, Fault::Close, Fault::Close], Options::default());
    client.read(1, &read(0, 1)).await.unwrap();
    let result = client.read(1, &read(0, 1)).await;
    assert_eq!(outcome(&result), "closed");
    assert_eq!(client.counters().connections, 2);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_over_everything() {
    let options =
        Options { answer_timeout: HOUR, deadline: Duration::from_secs(2), ..Options::default() };
    let mut client = client(vec![Fault::Trickle], options);
    let asked = read(0, 125);
    let result = tokio::time::timeout(Duration::from_millis(2001), client.read(1, &asked)).await;
    assert_eq!(outcome(&result.unwrap()), "timeout");
    client.read(1, &read(0, 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_late_answers_ends_at_the_timeout() {
    let mut client = client(vec![Fault::None, Fault::Flood], Options::default());
    client.read(1, &read(0, 1)).await.unwrap();
    let result = client.read(1, &read(0, 1)).await;
    assert_eq!(outcome(&result), "timeout");
    assert!(client.counters().stale > 100);
}

#[tokio::test(start_paused = true)]
async fn pauses_are_kept() {
    let options = Options { pause: Duration::from_millis(100), ..Options::default() };
    let mut slow = client(Vec::new(), options);
    let mut quick = client(Vec::new(), Options::default());
    let soon = Duration::from_millis(99);
    for (client, in_time) in [(&mut slow, false), (&mut quick, true)] {
        client.read(1, &read(0, 1)).await.unwrap();
        let second = tokio::time::timeout(soon, client.read(1, &read(0, 1))).await;
        assert_eq!(second.is_ok(), in_time);
        client.read(1, &read(0, 1)).await.unwrap();
    }
    let options = Options { pause_after_connect: Duration::from_millis(100), ..options };
    let mut first = client(Vec::new(), options);
    assert!(tokio::time::timeout(soon, first.read(1, &read(0, 1))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_question_leaves_nothing_behind() {
    let patient = Options { answer_timeout: Duration::from_secs(2), ..Options::default() };
    let mut client = client(vec![Fault::Late], patient);
    let asked = read(0, 1);
    let dropped = client.read(1, &asked);
    assert!(tokio::time::timeout(Duration::from_millis(500), dropped).await.is_err());
    assert_eq!(client.read(2, &read(9, 1)).await.unwrap(), right(2, &read(9, 1)));
    assert_eq!(client.counters().connections, 2);
}

/// A gateway that answers with ids of its own: late answers are told by their connection.
#[tokio::test(start_paused = true)]
async fn a_gateway_may_rewrite_ids() {
    let rewrite = Fault::WrongTransaction;
    // How the first question ends, and the connections after the second.
    let cases = [
        (rewrite, "answer", 1),
        (Fault::None, "answer", 1),
        (Fault::Exception(11), "exception", 1),
        (Fault::Late, "timeout", 2),
        (Fault::Hang, "timeout", 2),
        (Fault::Twice, "answer", 2),
        (Fault::NoiseAfter, "answer", 2),
        (Fault::WrongUnit, "unit", 2),
        (Fault::WrongFunction, "function", 2),
        (Fault::FewerRegisters, "byte count", 2),
        (Fault::HalfThenHang, "timeout", 2),
        (Fault::AnswerThenClose, "answer", 2),
    ];
    for (fault, expected, connections) in cases {
        let mut faults = [fault].into_iter();
        let memory = Memory::serve(move || faults.next().unwrap_or(rewrite));
        let mut client = Client::new(memory, Tcp::lenient(), Options::default());
        let first = read(100, 3);
        assert_eq!(outcome(&client.read(7, &first).await), expected, "{fault:?}");
        // The same shape and the same unit: only the connection tells them apart.
        let second = read(500, 3);
        assert_eq!(client.read(7, &second).await.unwrap(), right(7, &second), "{fault:?}");
        assert_eq!(client.counters().connections, connections, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_mix_of_faults_rewritten_ids_confuse_nobody() {
    let mut faults = Rng(3);
    let memory = Memory::serve(move || Fault::any(&mut faults));
    let mut client = Client::new(memory, Tcp::lenient(), Options::default());
    let mut rng = Rng(4);
    let mut answers = 0;
    for n in 0..20_000 {
        let (unit, address) = (rng.below(2) as u8, rng.below(9000) as u16);
        let asked = read(address, 1 + rng.below(2) as u16);
        if let Ok(data) = client.read(unit, &asked).await {
            assert_eq!(data, right(unit, &asked), "read {n}");
            answers += 1;
        }
    }
    assert!(answers > 10_000, "{answers}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_unit_is_waited_for_as_its_latency_says() {
    // Nine bytes of ten milliseconds each are 90 ms and more.
    let faults = vec![Fault::SlowBytes, Fault::Hang, Fault::Hang, Fault::None, Fault::Hang];
    let options = Options {
        answer_timeout: Duration::from_millis(200),
        max_answer_timeout: Duration::from_millis(600),
        ..Options::default()
    };
    let mut client = client(faults, options);
    let asked = read(0, 1);
    client.read(1, &asked).await.unwrap();
    let mut waited = Vec::new();
    for unit in [1, 1, 1, 2] {
        let start = tokio::time::Instant::now();
        let _ = client.read(unit, &asked).await;
        waited.push(start.elapsed().as_millis() / 10 * 10);
    }
    // Four times 110 ms; twice as much, but no more than the most; at once; a unit not yet known.
    assert_eq!(waited, [440, 600, 0, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_after_a_cycle_when_that_is_wanted() {
    for (close_after_cycle, connections) in [(false, 1), (true, 2)] {
        let mut client = client(vec![], Options { close_after_cycle, ..Options::default() });
        client.read(1, &read(0, 1)).await.unwrap();
        client.end_cycle();
        assert_eq!(client.is_connected(), !close_after_cycle);
        client.read(1, &read(0, 1)).await.unwrap();
        assert_eq!(client.counters().connections, connections);
    }
}

/// The promise of this crate: whatever the server does, no value passes for another point's.
#[tokio::test(start_paused = true)]
async fn in_a_mix_of_all_faults_no_value_is_ever_another_points() {
    const READS: u64 = 100_000;
    let mut faults = Mix::new(7);
    let log: Arc<Mutex<Vec<Fault>>> = Arc::default();
    let written = Arc::clone(&log);
    let memory = Memory::serve(move || {
        let fault = faults.next(Fault::any).unwrap_or_else(Fault::Exception);
        written.lock().unwrap().push(fault);
        fault
    });
    let mut client = Client::new(memory, Tcp::default(), Options::default());
    let mut before = Vec::new();
    let mut rng = Rng(11);
    let mut reasons = std::collections::BTreeMap::new();
    for n in 0..READS {
        let (unit, address) = (rng.below(4) as u8, rng.below(9000) as u16);
        let asked = read(address, 1 + rng.below(3) as u16);
        let result = client.read(unit, &asked).await;
        let faults = std::mem::take(&mut *log.lock().unwrap());
        match result {
            Ok(data) => assert_eq!(data, right(unit, &asked), "read {n}"),
            Err(error) => {
                let word = error.missing().word();
                let possible = faults.iter().chain(&before);
                let mut possible = possible.flat_map(|fault| fault.reasons());
                assert!(possible.any(|reason| *reason == word), "read {n}: {error:?}, {faults:?}");
                *reasons.entry(word).or_insert(0) += 1;
            }
        }
        // A question that the server has not heard meets what came before.
        if !faults.is_empty() {
            before = faults;
        }
    }
    let reasons: Vec<_> = reasons.into_keys().collect();
    assert_eq!(reasons, ["exception", "malformed", "timeout"]);
    let seen = client.counters();
    let ended = seen.answers + seen.exceptions + seen.timeouts + seen.violations + seen.broken;
    assert_eq!(ended, READS);
    assert!(seen.answers > READS / 3, "{seen:?}");
    assert!(seen.stale > READS / 100, "{seen:?}");
}
