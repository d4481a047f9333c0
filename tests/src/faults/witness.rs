//! Modbus devices whose every answer can be told from all others: each carries its own number.
//!
//! Whatever a collector has stored can so be traced to the one answer that it came from, and its
//! time compared with the time of that answer, without any word of the agent. The answers are on
//! record, in a file, before they are given.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::pager::now;

/// How many devices.
pub const DEVICES: u32 = 3;
/// How many points each has.
pub const POINTS: u32 = 8;
/// How often they are read, in milliseconds.
pub const INTERVAL: i64 = 500;
/// The first register of the first point.
const REGISTER: u16 = 100;
/// Read holding registers.
const READ: u8 = 3;
/// The exceptions for a function that is not there, and for an address that is not.
const ILLEGAL: [u8; 2] = [1, 2];

/// The metric and phase of each point.
const METRICS: [(&str, &str); POINTS as usize] = [
    ("meter_voltage_volts", "l1"),
    ("meter_voltage_volts", "l2"),
    ("meter_voltage_volts", "l3"),
    ("meter_current_amperes", "l1"),
    ("meter_current_amperes", "l2"),
    ("meter_current_amperes", "l3"),
    ("meter_current_amperes", "n"),
    ("meter_frequency_hertz", ""),
];

/// The name of a device.
#[must_use]
pub fn name(device: u32) -> String {
    format!("witness-{}", device + 1)
}

/// Where a device listens.
#[must_use]
pub fn address(device: u32) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 15_020 + u16::try_from(device).unwrap_or(0)))
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// Of which device.
    pub device: u32,
    /// Its number there, from 1.
    pub number: u32,
}

impl Number {
    /// What it has for a point.
    fn value(self, point: u32) -> u32 {
        self.number.wrapping_mul(DEVICES.next_power_of_two() * POINTS)
            + self.device * POINTS
            + point
    }

    /// From which answer and point a value is.
    #[must_use]
    pub fn of(value: f64) -> Option<(Self, u32)> {
        if value.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&value) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let value = value as u32;
        let (rest, point) = (value / POINTS, value % POINTS);
        let (number, device) =
            (rest / DEVICES.next_power_of_two(), rest % DEVICES.next_power_of_two());
        (number > 0 && device < DEVICES).then_some((Self { device, number }, point))
    }
}

/// The point that a series is, by its metric and phase.
#[must_use]
pub fn point(metric: &str, phase: &str) -> Option<u32> {
    let place = METRICS.iter().position(|known| *known == (metric, phase));
    place.and_then(|place| u32::try_from(place).ok())
}

/// The agent's profile for them.
#[must_use]
pub fn profile() -> String {
    let mut text = "manufacturer = \"Hallwatch\"\nmodel = \"Witness\"\nkind = \"power_meter\"\n\
                    confidence = \"high\"\nsource = [\"tests\"]\n"
        .to_owned();
    for ((metric, phase), place) in METRICS.iter().zip(0_u16..) {
        let address = REGISTER + 2 * place;
        let _ = write!(
            text,
            "\n[[point]]\nname = \"p{place}\"\ntable = \"holding\"\naddress = {address}\n\
             type = \"u32\"\nmetric = \"{metric}\"\n"
        );
        if !phase.is_empty() {
            let _ = writeln!(text, "labels = {{ phase = \"{phase}\" }}");
        }
    }
    text
}

/// The devices, for the agent's configuration.
#[must_use]
pub fn devices(profile: &Path) -> String {
    let mut text = String::new();
    for device in 0..DEVICES {
        let _ = write!(
            text,
            "\n[[device]]\nname = \"{}\"\ninterval = \"{INTERVAL}ms\"\n\
             modbus_tcp = {{ address = \"{}\", unit = 1, profile = {profile:?} }}\n",
            name(device),
            address(device)
        );
    }
    text
}

/// Serves all devices, for ever; appends each answer to the file `record`.
///
/// # Errors
/// When a port or the file cannot be used.
pub fn serve(record: &Path) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(record)?;
    let file = Arc::new(Mutex::new((file, BTreeMap::new())));
    let mut threads = Vec::new();
    for device in 0..DEVICES {
        let listener = TcpListener::bind(address(device))?;
        let file = Arc::clone(&file);
        threads.push(std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let file = Arc::clone(&file);
                // A client that goes, or talks nonsense, ends its own thread only.
                std::thread::spawn(move || converse(stream, device, &file));
            }
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

type Record = Mutex<(File, BTreeMap<u32, u32>)>;

fn converse(mut stream: TcpStream, device: u32, record: &Record) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0; 7];
        stream.read_exact(&mut header)?;
        let [t0, t1, _, _, l0, l1, unit] = header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if !(2..=254).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut request = vec![0; length - 1];
        stream.read_exact(&mut request)?;
        let answer = answer(&request, device, record)?;
        let length = u16::try_from(answer.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
        let mut frame = vec![t0, t1, 0, 0, length[0], length[1], unit];
        frame.extend(answer);
        stream.write_all(&frame)?;
    }
}

fn answer(request: &[u8], device: u32, record: &Record) -> io::Result<Vec<u8>> {
    let [READ, a0, a1, c0, c1] = *request else {
        return Ok(vec![request.first().unwrap_or(&0) | 0x80, ILLEGAL[0]]);
    };
    let (first, count) = (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([c0, c1]));
    let registers = REGISTER..REGISTER + 2 * u16::try_from(POINTS).unwrap_or(0);
    let end = first.saturating_add(count);
    if count == 0 || !registers.contains(&first) || end > registers.end {
        return Ok(vec![READ | 0x80, ILLEGAL[1]]);
    }
    let number = {
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, numbers) = &mut *record;
        let number = numbers.entry(device).or_default();
        *number += 1;
        let line = format!("{device} {number} {}\n", now().as_millis());
        file.write_all(line.as_bytes())?;
        Number { device, number: *number }
    };
    let words = (0..POINTS).flat_map(|point| number.value(point).to_be_bytes());
    let bytes: Vec<u8> =
        words.skip(2 * usize::from(first - REGISTER)).take(2 * usize::from(count)).collect();
    let mut answer = vec![READ, u8::try_from(bytes.len()).unwrap_or(u8::MAX)];
    answer.extend(bytes);
    Ok(answer)
}

/// All answers of a record, with their times in milliseconds. A line that was cut off belongs to an
/// answer that was never given.
///
/// # Errors
/// When there is no record.
pub fn read(record: &Path) -> io::Result<BTreeMap<Number, i64>> {
    let text = std::fs::read_to_string(record)?;
    let line = |line: &str| {
        let mut words = line.split(' ');
        let device = words.next()?.parse().ok()?;
        let number = words.next()?.parse().ok()?;
        Some((Number { device, number }, words.next()?.parse().ok()?))
    };
    Ok(text.split_inclusive('\n').filter_map(|text| line(text.strip_suffix('\n')?)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_of_one_answer_and_point_only() {
        let mut known = BTreeMap::new();
        for device in 0..DEVICES {
            for number in [1, 2, 3, 1_000, 100_000] {
                for point in 0..POINTS {
                    let answer = Number { device, number };
                    let value = f64::from(answer.value(point));
                    assert_eq!(Number::of(value), Some((answer, point)));
                    assert_eq!(known.insert(value.to_bits(), (answer, point)), None);
                }
            }
        }
        for nothing in [0.0, 7.0, 32.5, -1.0, f64::NAN, 1e12, 32.0 + 31.0] {
            assert_eq!(Number::of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn an_answer_is_on_record_and_has_its_number_in_each_point() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record");
        let file = File::options().create(true).append(true).open(&path).unwrap();
        let record = Mutex::new((file, BTreeMap::new()));
        let all = answer(&[3, 0, 100, 0, 16], 2, &record).unwrap();
        assert_eq!(all[..2], [3, 32]);
        let words = all[2..].as_chunks::<4>().0;
        for (point, word) in words.iter().enumerate() {
            let value = f64::from(u32::from_be_bytes(*word));
            let (number, of) = Number::of(value).unwrap();
            assert_eq!((number, of as usize), (Number { device: 2, number: 1 }, point));
        }
        assert_eq!(answer(&[3, 0, 102, 0, 2], 2, &record).unwrap().len(), 6);
        assert_eq!(answer(&[3, 0, 99, 0, 2], 2, &record).unwrap(), [0x83, 2]);
        assert_eq!(answer(&[6, 0, 100, 0, 2], 2, &record).unwrap(), [0x86, 1]);
        let read = read(&path).unwrap();
        let numbers: Vec<u32> = read.keys().map(|number| number.number).collect();
        assert_eq!(numbers, [1, 2]);
    }
}
