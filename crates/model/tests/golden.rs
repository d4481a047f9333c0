//! Bytes of version 1 that are never edited: what was written once stays readable.

use hallwatch_model::batch::{
    Ack, Batch, Describe, Event, Gap, Reading, Readings, SeriesId, Status,
};
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
            ..Readings::default()
        },
        ..Batch::default()
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
        intervals: Vec::new(),
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
        ..Status::default()
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
        ..Ack::default()
    };
    assert_eq!(hex(&wire::encode_ack(&ack)), ACK.replace(' ', ""));
    assert_eq!(wire::decode_ack(&unhex(ACK)), Ok(ack));
}

// Fields that were added later, each with a number of its own: 1795276800000 and …801000 ms as
// above. Older agents and collectors skip them.

const GAPS: &str = "\
    0801 111032547698badcfe 4247 \
      08 8080b0edbf68 10 d08fb0edbf68 1a09 6d61785f6279746573 2205 7570732d61 28 05 30 ac02 3801 \
      420d 09efcdab8967452301 1007 180b \
      420f 09efcdab8967452301 10ac02 18ae02";

const LATER_BATCH: &str = "\
    0801 11efcdab8967452301 1801 2001 28d08fb0edbf68 3a0b 0801 111032547698badcfe \
    411032547698badcfe";

const INTERVALS: &str = "0801 111032547698badcfe 2213 0807 1208 5f5f6e616d655f5f 1202 7570 18e807";

const LATER_STATUS: &str = "\
    0801 11efcdab8967452301 1801 2205 302e312e30 288080b0edbf68 30d08fb0edbf68 \
    50cf0f 5802 6001 688020 7064";

const ROOM_STATUS: &str = "\
    0801 11efcdab8967452301 1801 2205 302e312e30 288080b0edbf68 30d08fb0edbf68 \
    78ac02 8001 8020 8801 05";

const LATER_ACK: &str = "0801 11efcdab8967452301 18ac02 311032547698badcfe 38d08fb0edbf68";

#[test]
fn gaps_in_an_entry() {
    let readings = Readings {
        dictionary: 0xfedc_ba98_7654_3210,
        gaps: vec![Gap {
            first: Timestamp::from_millis(1_795_276_800_000),
            last: Timestamp::from_millis(1_795_276_801_000),
            cause: "max_bytes".into(),
            device: "ups-a".into(),
            entries: 5,
            readings: 300,
            open: true,
            ranges: vec![(0x0123_4567_89ab_cdef, 7, 11), (0x0123_4567_89ab_cdef, 300, 302)],
        }],
        ..Readings::default()
    };
    assert_eq!(hex(&wire::encode_readings(&readings)), GAPS.replace(' ', ""));
    assert_eq!(wire::decode_readings(&unhex(GAPS)), Ok(readings));
}

#[test]
fn a_batch_of_an_earlier_run() {
    let batch = Batch {
        boot: 0x0123_4567_89ab_cdef,
        seq: 1,
        oldest: 1,
        watermark: Timestamp::from_millis(1_795_276_801_000),
        sender: 0xfedc_ba98_7654_3210,
        readings: Readings { dictionary: 0xfedc_ba98_7654_3210, ..Readings::default() },
        ..Batch::default()
    };
    assert_eq!(hex(&wire::encode_batch(&batch)), LATER_BATCH.replace(' ', ""));
    assert_eq!(wire::decode_batch(&unhex(LATER_BATCH)), Ok(batch));
}

#[test]
fn intervals_in_a_dictionary() {
    let describe = Describe {
        dictionary: 0xfedc_ba98_7654_3210,
        part: 0,
        series: vec![(SeriesId(7), Labels::metric("up", []))],
        intervals: vec![(SeriesId(7), 1_000)],
    };
    assert_eq!(hex(&wire::encode_describe(&describe)), INTERVALS.replace(' ', ""));
    assert_eq!(wire::decode_describe(&unhex(INTERVALS)), Ok(describe));
}

#[test]
fn clock_and_wear_in_a_status() {
    let status = Status {
        boot: 0x0123_4567_89ab_cdef,
        online: true,
        version: "0.1.0".into(),
        started: Timestamp::from_millis(1_795_276_800_000),
        sent: Timestamp::from_millis(1_795_276_801_000),
        clock_offset: -1_000,
        clock_steps: 2,
        clock_unset: true,
        written_bytes: 4_096,
        written_readings: 100,
        ..Status::default()
    };
    assert_eq!(hex(&wire::encode_status(&status)), LATER_STATUS.replace(' ', ""));
    assert_eq!(wire::decode_status(&unhex(LATER_STATUS)), Ok(status));
}

#[test]
fn room_and_refusals_in_a_status() {
    let status = Status {
        boot: 0x0123_4567_89ab_cdef,
        online: true,
        version: "0.1.0".into(),
        started: Timestamp::from_millis(1_795_276_800_000),
        sent: Timestamp::from_millis(1_795_276_801_000),
        disk_free: 300,
        disk_size: 4_096,
        broker_refusals: 5,
        ..Status::default()
    };
    assert_eq!(hex(&wire::encode_status(&status)), ROOM_STATUS.replace(' ', ""));
    assert_eq!(wire::decode_status(&unhex(ROOM_STATUS)), Ok(status));
}

#[test]
fn store_and_time_in_an_acknowledgement() {
    let ack = Ack {
        boot: 0x0123_4567_89ab_cdef,
        upto: 300,
        store: 0xfedc_ba98_7654_3210,
        time: Timestamp::from_millis(1_795_276_801_000),
        ..Ack::default()
    };
    assert_eq!(hex(&wire::encode_ack(&ack)), LATER_ACK.replace(' ', ""));
    assert_eq!(wire::decode_ack(&unhex(LATER_ACK)), Ok(ack));
}
