//! Values as a facility has them: slow temperatures in tenths, noisy watts, states, voltages,
//! counters. Five points to a device, read together, so with one time; the device answers a few
//! milliseconds after it was asked.

use hallwatch_model::Labels;

const KINDS: [&str; 5] = [
    "temperature_celsius",
    "power_watts",
    "ups_on_battery",
    "voltage_volts",
    "energy_joules_total",
];

/// The labels of the point `id`.
pub(crate) fn labels(id: u32) -> Labels {
    let name = KINDS[id as usize % KINDS.len()];
    let (device, rack) = (format!("d-{}", id / 5), format!("r-{}", id / 50));
    let room = format!("hall-{}", id / 1_000);
    let own = [("device", &*device), ("rack", &*rack), ("room", &*room)];
    Labels::metric(name, own.into_iter().chain([("tenant", "acme"), ("site", "fra-1")]))
}

/// One number after another that looks random.
fn next(random: &mut u64) -> i64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 40) as i64
}

/// All points, one step after the other.
pub(crate) struct Facility {
    points: Vec<Point>,
}

struct Point {
    id: u32,
    random: u64,
    /// Of the device: the same for its five points.
    delays: u64,
    value: i64,
}

impl Facility {
    pub(crate) fn new(series: u32) -> Self {
        let seed = |n: u32| (u64::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let point = |id| Point {
            id,
            random: seed(id),
            delays: seed(id / 5).rotate_left(17),
            value: i64::from(id % 97),
        };
        Self { points: (0..series).map(point).collect() }
    }

    /// Identifier, time and value of every point, asked at `now`.
    pub(crate) fn step(&mut self, now: i64) -> impl Iterator<Item = (u32, i64, f64)> + '_ {
        self.points.iter_mut().map(move |point| {
            let time = now + next(&mut point.delays) % 8;
            (point.id, time, point.value())
        })
    }
}

impl Point {
    fn value(&mut self) -> f64 {
        let noise = next(&mut self.random);
        match self.id % 5 {
            // Slow, in tenths: moves every tenth time or so.
            0 => {
                self.value += i64::from(noise % 20 == 0) - i64::from(noise % 20 == 1);
                (200 + self.value) as f64 / 10.0
            }
            // Noisy integers.
            1 => (4_000 + self.value * 10 + noise % 64) as f64,
            // A state.
            2 => f64::from(u8::from(noise % 5_000 == 0)),
            // Noisy, in tenths.
            3 => (2_300 + noise % 16) as f64 / 10.0,
            // A counter.
            _ => {
                self.value += 40_000 + noise % 640;
                self.value as f64
            }
        }
    }
}
