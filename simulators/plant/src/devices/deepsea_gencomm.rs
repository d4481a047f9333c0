//! The generator's controller: Deep Sea Electronics, GenComm. What a controller does not have is
//! the sentinel for "unimplemented", not an exception.

use crate::encode::Reading;
use crate::physics::Hall;
use crate::physics::generator::{CRANK_ATTEMPTS, Engine};
use crate::registers::{Holes, RegisterMap, Table};

/// GenComm lays its registers out in pages of 256; these exist here.
const PAGES: [u16; 8] = [3, 4, 5, 6, 7, 8, 16, 154];
const UNIMPLEMENTED: u16 = 0xffff;
/// Alarm conditions are four bits each, four to a register, the first in the top nibble.
const NOT_IMPLEMENTED_ALARM: u16 = 15;
const NO_ALARM: u16 = 1;
const WARNING: u16 = 2;
const SHUTDOWN: u16 = 3;
const PHASE_SHARE: [f64; 3] = [0.345, 0.330, 0.325];
const POWER_FACTOR: f64 = 0.95;

fn phase_watts(hall: &Hall, phase: usize) -> f64 {
    hall.generator.load_watts() * PHASE_SHARE[phase]
}

fn phase_amperes(hall: &Hall, phase: usize) -> f64 {
    let volts = hall.generator.supply().volts;
    if volts > 1.0 { phase_watts(hall, phase) / POWER_FACTOR / volts } else { 0.0 }
}

fn engine_state(hall: &Hall) -> Reading {
    Reading::Raw(match hall.generator.engine() {
        Engine::Stopped | Engine::FailedToStart => 0,
        Engine::PreStart | Engine::Cranking | Engine::Resting => 1,
        Engine::WarmingUp => 2,
        Engine::Running => 3,
        Engine::CoolingDown => 4,
    })
}

fn alarms(conditions: [u16; 4]) -> u16 {
    conditions.into_iter().fold(0, |word, condition| (word << 4) | (condition & 15))
}

fn fail_to_start(hall: &Hall) -> u16 {
    let gave_up = hall.generator.engine() == Engine::FailedToStart
        && hall.generator.attempts() >= CRANK_ATTEMPTS;
    if gave_up { SHUTDOWN } else { NO_ALARM }
}

fn low_fuel(hall: &Hall) -> u16 {
    if hall.generator.fuel_litres() <= 0.0 {
        SHUTDOWN
    } else if hall.generator.fuel_is_low() {
        WARNING
    } else {
        NO_ALARM
    }
}

/// Auto, telemetry start and telemetry stop: keys 1, 32 and 33 of the control function bit map.
const CONTROL_KEYS: [u16; 8] = [1 << 14, 0, (1 << 15) | (1 << 14), 0, 0, 0, 0, 0];

pub(super) fn registers() -> RegisterMap {
    let pages = PAGES.iter().map(|page| page * 256..=page * 256 + 255).collect();
    let mut map = RegisterMap::new(Table::Holding, Holes::Filled(pages, UNIMPLEMENTED));
    identity(&mut map);
    engine(&mut map);
    output(&mut map);
    alarm_pages(&mut map);
    map
}

fn identity(map: &mut RegisterMap) {
    map.fixed(768, &[1]) // Deep Sea
        .fixed(769, &[32_808])
        .fixed(770, &[0x0012, 0x4f80])
        .fixed(772, &[1]) // auto
        .fixed(4096, &CONTROL_KEYS);
}

fn engine(map: &mut RegisterMap) {
    map.u16(1024, 1.0, |h| h.generator.oil_kilopascals())
        .i16(1025, 1.0, |h| h.generator.coolant_celsius())
        .i16(1026, 1.0, |h| h.generator.oil_celsius())
        .u16(1027, 1.0, |h| h.generator.fuel_percent())
        .u16(1029, 0.1, |h| h.generator.starter_volts())
        .u16(1030, 1.0, |h| h.generator.rpm())
        .u16(1408, 1.0, engine_state)
        .u32(1798, 1.0, |h| h.generator.run_seconds())
        .u32(1808, 1.0, |h| f64::from(h.generator.starts()));
}

fn output(map: &mut RegisterMap) {
    map.u16(1031, 0.1, |h| h.generator.supply().hertz)
        .u32(1032, 0.1, |h| h.generator.supply().volts)
        .u32(1034, 0.1, |h| h.generator.supply().volts)
        .u32(1036, 0.1, |h| h.generator.supply().volts)
        .u32(1044, 0.1, |h| phase_amperes(h, 0))
        .u32(1046, 0.1, |h| phase_amperes(h, 1))
        .u32(1048, 0.1, |h| phase_amperes(h, 2))
        .i32(1052, 1.0, |h| phase_watts(h, 0))
        .i32(1054, 1.0, |h| phase_watts(h, 1))
        .i32(1056, 1.0, |h| phase_watts(h, 2))
        .i32(1536, 1.0, |h| h.generator.load_watts())
        .i16(1558, 0.1, |h| 100.0 * h.generator.load_share())
        .u32(1800, 0.1, |h| h.generator.energy_wh() / 1000.0);
}

/// Page 154: register 3 of the alarms holds charge alternator failure, fail to start, fail to
/// stop and fail to close; register 5 generator high current, calibration, low fuel and ECU.
fn alarm_pages(map: &mut RegisterMap) {
    let quiet = alarms([NO_ALARM; 4]);
    for offset in 0..11 {
        match offset {
            3 => map.word(39_428, |h| alarms([NO_ALARM, fail_to_start(h), NO_ALARM, NO_ALARM])),
            5 => map
                .word(39_430, |h| alarms([NO_ALARM, NO_ALARM, low_fuel(h), NOT_IMPLEMENTED_ALARM])),
            _ => map.fixed(39_425 + offset, &[quiet]),
        };
    }
    // This family reports its alarms on page 154 only.
    map.fixed(2049, &[alarms([NOT_IMPLEMENTED_ALARM; 4]); 25]);
}
