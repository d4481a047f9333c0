//! Bytes of version 1 that are never edited: what was written once stays readable.

use hallwatch_model::batch::{Ack, Batch, Describe, Event, Reading, Readings, SeriesId, Status};
use hallwatch_model::wire;
use hallwatch_model::{Labels, Missing, Timestamp};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn batch() -> Batch {
    let reading = |series, millis, value| Reading {
        series: SeriesId(series),
        time: Timestamp::from_millis(millis),
        value,
    };
    Batch {
        boot: 0x0123_4567_89ab_cdef,
        seq: 300,
        oldest: 7,
        watermark: Timestamp::from_millis(1_795_276_801_000),
        backfill: true,
        readings: Readings {
            dictionary: 0xfedc_ba98_7654_3210,
            readings: vec![
                reading(1, 1_795_276_800_000, Ok(230.5)),
                reading(2, 1_795_276_800_250, Err(Missing::Exception(2))),
                reading(300, 1_795_276_800_200, Ok(-1.0)),
            ],
            events: vec![Event {
                time: Timestamp::from_millis(1_795_276_800_100),
                device: "door-1".into(),
                door: "hall".into(),
                person: "04a1b2c3d4".into(),
                result: "granted".into(),
            }],
        },
    }
}

// The times, worked out apart from the encoder: zigzag varints of 1795276800000, …801000 and
// …800100 ms are 8080b0edbf68, d08fb0edbf68 and c881b0edbf68.
const BATCH: &str = "\
    0801 11efcdab8967452301 18ac02 2007 28d08fb0edbf68 3001 3a64 \
      0801 111032547698badcfe 188080b0edbf68 2204 0102ac02 2a04 00f40363 \
      3218 0000000000d06c40 020100005748f87f 000000000000f0bf \
      3a2a 08c881b0edbf68 1206646f6f722d31 1a0468616c6c 220a30346131623263336434 \
        2a076772616e746564";

const DESCRIBE: &str = "\
    0801 111032547698badcfe 1802 2235 08ac02 1208 5f5f6e616d655f5f 120e \
    7570735f6f6e5f62617474657279 1206 646576696365 1205 7570732d61 1204 66656564 1201 41";

const STATUS: &str = "\
    0801 11efcdab8967452301 1801 2205 302e312e30 288080b0edbf68 30d08fb0edbf68 3807 \
    408080808001 4801";

const ACK: &str = "0801 11efcdab8967452301 18ac02 2208 ae02b002c803c803 2801";

#[test]
fn a_batch() {
    assert_eq!(hex(&wire::encode_batch(&batch())), BATCH.replace(' ', ""));
    assert_eq!(wire::decode_batch(&unhex(BATCH)), Ok(batch()));
}

#[test]
fn a_dictionary() {
    let describe = Describe {
        dictionary: 0xfedc_ba98_7654_3210,
        part: 2,
        series: vec![(
            SeriesId(300),
            Labels::metric("ups_on_battery", [("device", "ups-a"), ("feed", "A")]),
        )],
    };
    assert_eq!(hex(&wire::encode_describe(&describe)), DESCRIBE.replace(' ', ""));
    assert_eq!(wire::decode_describe(&unhex(DESCRIBE)), Ok(describe));
}

#[test]
fn a_status() {
    let status = Status {
        boot: 0x0123_4567_89ab_cdef,
        online: true,
        version: "0.1.0".into(),
        started: Timestamp::from_millis(1_795_276_800_000),
        sent: Timestamp::from_millis(1_795_276_801_000),
        backlog: 7,
        journal_bytes: 0x20_0000 * 128,
        durable: true,
    };
    assert_eq!(hex(&wire::encode_status(&status)), STATUS.replace(' ', ""));
    assert_eq!(wire::decode_status(&unhex(STATUS)), Ok(status));
}

#[test]
fn an_acknowledgement() {
    let ack = Ack {
        boot: 0x0123_4567_89ab_cdef,
        upto: 300,
        beyond: vec![(302, 304), (456, 456)],
        describe: true,
    };
    assert_eq!(hex(&wire::encode_ack(&ack)), ACK.replace(' ', ""));
    assert_eq!(wire::decode_ack(&unhex(ACK)), Ok(ack));
}
