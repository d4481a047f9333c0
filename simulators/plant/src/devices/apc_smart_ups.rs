//! UPS A and B: APC Smart-UPS. Numbers are binary fractions, texts are padded with spaces.

use crate::encode::Reading;
use crate::physics::Hall;
use crate::physics::racks::POWER_FACTOR;
use crate::physics::ups::{Cause, Mode, RATED_WATTS, Ups};
use crate::registers::{Holes, RegisterMap, Table};

/// From the vendor's note on its network card.
const MAX_REGISTERS: u16 = 120;

fn transfer_cause(ups: &Ups) -> Reading {
    Reading::Raw(match ups.cause() {
        Cause::SystemStart => 0,
        Cause::LowInputVoltage => 2,
        Cause::InputAcceptable => 8,
        Cause::LowBatteryVoltage => 13,
        Cause::Overload => 15,
        Cause::AutomaticRestart => 18,
        Cause::Command => 12,
    })
}

/// Percent, or a negative reason why there is none.
fn efficiency(ups: &Ups) -> Reading {
    match ups.mode() {
        Mode::OutputOff => Reading::Raw(-3),
        Mode::OnBattery => Reading::Raw(-4),
        Mode::Bypass => Reading::Raw(-5),
        Mode::Online if ups.battery().is_charging() => Reading::Raw(-6),
        Mode::Online => Reading::Number(100.0 * ups.load_watts() / ups.input_watts().max(1.0)),
    }
}

fn load_percent(ups: &Ups) -> f64 {
    100.0 * ups.load_watts() / RATED_WATTS
}

/// The rating is the same in watts and volt-amperes.
fn apparent_percent(ups: &Ups) -> f64 {
    load_percent(ups) / POWER_FACTOR
}

fn amperes(ups: &Ups) -> f64 {
    let volts = ups.output().volts;
    if volts > 1.0 { ups.load_watts() / POWER_FACTOR / volts } else { 0.0 }
}

fn group(ups: &Ups) -> [(u32, bool); 3] {
    [(0, ups.output_on()), (1, !ups.output_on()), (14, ups.is_low())]
}

pub(super) fn registers(index: usize, name: &str, serial: &str) -> RegisterMap {
    let ups = move |hall: &Hall| -> Ups { hall.ups[index].clone() };
    let mut map =
        RegisterMap::new(Table::Holding, Holes::ZeroInsideBlocks).limited_to(MAX_REGISTERS);
    status(&mut map, index);
    map.u32(128, 1.0, move |h| ups(h).runtime_seconds())
        .u16(130, 1.0 / 512.0, move |h| 100.0 * ups(h).battery().charge_share())
        .i16(131, 1.0 / 32.0, move |h| ups(h).battery().volts())
        .fixed(133, &[10_957]) // 2030-01-01
        .i16(135, 1.0 / 128.0, move |h| ups(h).battery().celsius())
        .u16(136, 1.0 / 256.0, move |h| load_percent(&ups(h)))
        .u16(138, 1.0 / 256.0, move |h| apparent_percent(&ups(h)))
        .u16(140, 1.0 / 32.0, move |h| amperes(&ups(h)))
        .u16(142, 1.0 / 64.0, move |h| ups(h).output().volts)
        .u16(144, 1.0 / 128.0, move |h| ups(h).output().hertz)
        .u32(145, 1.0, move |h| ups(h).energy_wh())
        .fixed(150, &[0])
        .u16(151, 1.0 / 64.0, move |h| ups(h).input().volts)
        .i16(154, 1.0 / 128.0, move |h| efficiency(&ups(h)))
        // No shutdown, start or reboot is counting down.
        .fixed(155, &[0xffff])
        .fixed(156, &[0xffff])
        .fixed(157, &[0xffff, 0xffff])
        .text(516, 8, "UPS 04.1", b' ')
        .text(532, 16, "Smart-UPS SRT 10000", b' ')
        .text(564, 8, serial, b' ')
        .fixed(588, &[10_000])
        .fixed(589, &[10_000])
        .fixed(590, &[0b1])
        .fixed(591, &[7_670]) // 2020-12-31
        .fixed(595, &[7_700])
        .text(596, 8, name, b' ')
        .fixed(1026, &[253])
        .fixed(1027, &[207]);
    map
}

fn status(map: &mut RegisterMap, index: usize) {
    let ups = move |hall: &Hall| -> Ups { hall.ups[index].clone() };
    map.bits32(0, move |h| {
        let ups = ups(h);
        [
            (1, ups.mode() == Mode::Online),
            (2, ups.mode() == Mode::OnBattery),
            (3, ups.mode() == Mode::Bypass),
            (4, ups.mode() == Mode::OutputOff),
            (5, ups.battery().needs_replacement()),
            (6, !ups.input().is_good()),
            (21, ups.is_overloaded()),
        ]
    })
    .u16(2, 1.0, move |h| transfer_cause(&ups(h)))
    .bits32(3, move |h| group(&ups(h)))
    // Only the main group is fitted.
    .fixed(6, &[0, 0])
    .fixed(9, &[0, 0])
    .bits16(18, move |h| [(1, ups(h).is_low())])
    .bits32(20, move |h| [(0, ups(h).is_overloaded())])
    .bits16(22, move |h| [(2, ups(h).battery().needs_replacement())])
    .fixed(23, &[1 << 2]) // the last battery test passed
    .fixed(24, &[0]);
}
