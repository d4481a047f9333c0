//! Every number of every device map: address, type and scale as the vendors' lists have them,
//! written a second time here, against the state of the plant.

use std::time::Duration;

use ::modbus::{Client, Transport};
use hallwatch_plant::DeviceId;
use hallwatch_plant::physics::Hall;

use crate::support::Site;

/// How the words at an address are to be read.
#[derive(Clone, Copy, Debug)]
enum As {
    U16(f64),
    I16(f64),
    U32(f64),
    I32(f64),
    F32,
}
use As::{F32, I16, I32, U16, U32};

/// Address, encoding, tolerance, truth.
type Row = (u16, As, f64, fn(&Hall) -> f64);

/// Everything is read from one frozen moment: the plant's time hardly moves during a test.
fn check(site: &Site, device: DeviceId, input: bool, rows: &[Row]) {
    let mut client = site.client(device);
    for (address, kind, tolerance, truth) in rows {
        let read = decode(&mut client, input, *address, *kind);
        let truth = site.plant.view(truth);
        let apart = (read - truth).abs();
        assert!(apart <= *tolerance, "{device} {address} {kind:?}: read {read}, is {truth}");
    }
}

fn decode(client: &mut Transport, input: bool, address: u16, kind: As) -> f64 {
    let count = if matches!(kind, U16(_) | I16(_)) { 1 } else { 2 };
    let words = if input {
        client.read_input_registers(address, count)
    } else {
        client.read_holding_registers(address, count)
    }
    .unwrap();
    let long = || u32::from(words[0]) << 16 | u32::from(words[1]);
    match kind {
        U16(scale) => f64::from(words[0]) * scale,
        I16(scale) => f64::from(words[0].cast_signed()) * scale,
        U32(scale) => f64::from(long()) * scale,
        I32(scale) => f64::from(long().cast_signed()) * scale,
        F32 => f64::from(f32::from_bits(long())),
    }
}

#[test]
fn the_utility_meter() {
    let site = Site::start();
    site.plant.step(Duration::from_secs(60));
    let kw: fn(&Hall) -> f64 = |h| h.utility_watts() / 1000.0;
    check(
        &site,
        DeviceId::UtilityMeter,
        false,
        &[
            (2699, F32, 1.0, |h| h.meter_wh() / 1000.0),
            (2701, F32, 0.0, |_| 0.0),
            (2707, F32, 60.0, |h| h.meter_wh() / 1000.0 * 0.3287),
            (2709, F32, 0.0, |_| 0.0),
            (2715, F32, 5.0, |h| h.meter_wh() / 950.0),
            (3005, F32, 0.6, |_| 1.0),
            (3007, F32, 0.0, |_| 0.0),
            (3009, F32, 0.8, |h| h.utility_watts() / 0.95 / 3.0 / h.utility.supply().volts),
            (3019, F32, 2.0, |h| h.utility.supply().volts * 1.732),
            (3021, F32, 2.0, |h| h.utility.supply().volts * 1.732),
            (3023, F32, 2.0, |h| h.utility.supply().volts * 1.732),
            (3025, F32, 2.0, |h| h.utility.supply().volts * 1.732),
            (3035, F32, 1.0, |h| h.utility.supply().volts),
            (3059, F32, 0.3, kw),
            (3067, F32, 0.3, |h| h.utility_watts() / 1000.0 * 0.3287),
            (3075, F32, 0.3, |h| h.utility_watts() / 950.0),
            (3077, F32, 1e-6, |_| 0.95),
            (3079, F32, 1e-6, |_| 0.95),
            (3081, F32, 1e-6, |_| 0.95),
            (3083, F32, 1e-6, |_| 0.95),
            (3109, F32, 0.05, |h| h.utility.supply().hertz),
        ],
    );
}

#[test]
fn the_generator_under_load() {
    let site = Site::start();
    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(200));
    check(
        &site,
        DeviceId::Generator,
        false,
        &[
            (1024, U16(1.0), 5.0, |h| h.generator.oil_kilopascals()),
            (1025, I16(1.0), 1.0, |h| h.generator.coolant_celsius()),
            (1026, I16(1.0), 1.0, |h| h.generator.coolant_celsius() + 8.0),
            (1027, U16(1.0), 0.6, |h| h.generator.fuel_percent()),
            (1029, U16(0.1), 0.06, |h| h.generator.starter_volts()),
            (1030, U16(1.0), 5.0, |h| h.generator.rpm()),
            (1031, U16(0.1), 0.2, |h| h.generator.supply().hertz),
            (1032, U32(0.1), 0.1, |_| 230.0),
            (1034, U32(0.1), 0.1, |_| 230.0),
            (1036, U32(0.1), 0.1, |_| 230.0),
            (1044, U32(0.1), 1.0, |h| h.generator.load_watts() * 0.345 / 0.95 / 230.0),
            (1046, U32(0.1), 1.0, |h| h.generator.load_watts() * 0.330 / 0.95 / 230.0),
            (1048, U32(0.1), 1.0, |h| h.generator.load_watts() * 0.325 / 0.95 / 230.0),
            (1052, I32(1.0), 150.0, |h| h.generator.load_watts() * 0.345),
            (1054, I32(1.0), 150.0, |h| h.generator.load_watts() * 0.330),
            (1056, I32(1.0), 150.0, |h| h.generator.load_watts() * 0.325),
            (1536, I32(1.0), 300.0, |h| h.generator.load_watts()),
            (1558, I16(0.1), 1.5, |h| h.generator.load_watts() / 240.0),
            (1798, U32(1.0), 1.0, |h| h.generator.run_seconds()),
            (1800, U32(0.1), 0.1, |h| h.generator.energy_wh() / 1000.0),
            (1808, U32(1.0), 0.0, |h| f64::from(h.generator.starts())),
        ],
    );
}

#[test]
fn a_ups_on_battery() {
    let site = Site::start();
    site.plant.cause("generator-will-not-start").unwrap();
    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(240));
    check(
        &site,
        DeviceId::UpsB,
        false,
        &[
            (128, U32(1.0), 30.0, |h| h.ups[1].runtime_seconds()),
            (130, U16(0.001953125), 0.3, |h| 100.0 * h.ups[1].battery().charge_share()),
            (131, I16(0.03125), 0.3, |h| h.ups[1].battery().volts()),
            (133, U16(1.0), 0.0, |_| 10_957.0),
            (135, I16(0.0078125), 0.05, |h| h.ups[1].battery().celsius()),
            (136, U16(0.00390625), 1.5, |h| h.ups[1].load_watts() / 100.0),
            (138, U16(0.00390625), 1.5, |h| h.ups[1].load_watts() / 97.0),
            (140, U16(0.03125), 0.6, |h| h.ups[1].load_watts() / 0.97 / 230.0),
            (142, U16(0.015625), 0.0, |_| 230.0),
            (144, U16(0.0078125), 0.0, |_| 50.0),
            (145, U32(1.0), 5.0, |h| h.ups[1].energy_wh()),
            (150, U16(1.0), 0.0, |_| 0.0),
            (151, U16(0.015625), 0.0, |_| 0.0),
            (588, U16(1.0), 0.0, |_| 10_000.0),
            (589, U16(1.0), 0.0, |_| 10_000.0),
            (590, U16(1.0), 0.0, |_| 1.0),
            (1026, U16(1.0), 0.0, |_| 253.0),
            (1027, U16(1.0), 0.0, |_| 207.0),
        ],
    );
    // The distance between the two loads is more than the tolerance that each is given.
    let (a, b) = site.plant.view(|h| (h.ups[0].load_watts(), h.ups[1].load_watts()));
    assert!(a - b > 150.0, "{a} and {b}");
}

#[test]
fn a_ups_online() {
    let site = Site::start();
    site.plant.step(Duration::from_secs(5));
    check(
        &site,
        DeviceId::UpsA,
        false,
        &[
            (151, U16(0.015625), 0.5, |h| h.utility.supply().volts),
            (154, I16(0.0078125), 1.0, |_| 92.7),
        ],
    );
}

#[test]
fn a_rack_pdu() {
    let site = Site::start();
    site.plant.step(Duration::from_secs(5));
    check(
        &site,
        DeviceId::PduA2,
        false,
        &[
            (0x3008, F32, 0.0, |_| 230.0),
            (0x300a, F32, 0.3, |h| h.racks.pdus()[1].watts() / 0.97 / 230.0),
            (0x3010, F32, 0.0, |_| 0.0),
            (0x3012, F32, 25.0, |h| h.racks.pdus()[1].watts()),
            (0x3014, F32, 25.0, |h| h.racks.pdus()[1].watts() / 0.97),
            (0x3016, F32, 1e-6, |_| 0.97),
            (0x3020, F32, 0.01, |_| 14.07),
            (0x3022, F32, 0.0, |_| 50.0),
            (0x3024, F32, 15.0, |h| h.racks.pdus()[1].watts() * 0.2506),
            (0x400a, F32, 0.3, |h| h.racks.pdus()[1].watts() / 0.97 / 230.0),
            (0x8008, F32, 0.0, |_| 230.0),
            (0x800a, F32, 0.04, |h| h.racks.pdus()[1].watts() / 0.97 / 230.0 / 8.0),
            (0x8012, F32, 3.5, |h| h.racks.pdus()[1].watts() / 8.0),
            (0x8014, F32, 3.5, |h| h.racks.pdus()[1].watts() / 0.97 / 8.0),
            (0x8016, F32, 1e-6, |_| 0.97),
            (0x8022, F32, 0.0, |_| 50.0),
        ],
    );
}

#[test]
fn a_cooling_unit_at_work() {
    let site = Site::start();
    // One unit less makes the other two work, and both compressors of each.
    site.plant.cause("crac-1-stops").unwrap();
    site.plant.step(Duration::from_secs(900));
    check(
        &site,
        DeviceId::Crac3,
        true,
        &[
            (261, U16(1.0), 0.0, |_| 3.0),
            (262, I16(1.0), 0.0, |_| 27.0),
            (263, U16(1.0), 0.0, |_| 45.0),
            (268, U16(1.0), 0.0, |_| 1.0),
            (269, U16(1.0), 0.0, |_| 1.0),
            (273, U16(1.0), 0.0, |_| 0.0),
            (274, U16(0.01), 0.0, |_| 0.0),
            (275, U16(0.01), 0.0, |_| 0.0),
            (279, U16(1.0), 0.0, |_| 0.0),
            (280, U16(1.0), 0.0, |_| 6.0),
            (281, U16(1.0), 0.0, |_| 0.0),
            (284, U16(1.0), 0.0, |_| 0.0),
            (554, I16(0.1), 0.15, |h| h.air.aisle_celsius(0)),
            (555, I16(0.1), 0.15, |h| h.air.aisle_celsius(1)),
            (556, I16(0.1), 0.1, |h| h.air.hot_celsius()),
            (560, U16(1.0), 0.0, |_| 0.0),
            (562, U16(1.0), 0.0, |_| 0.0),
            (563, U16(1.0), 1.0, |h| h.cooling[2].heat_watts() / 65.0),
            (564, I16(0.1), 0.1, |h| h.cooling[2].return_celsius()),
            (565, I16(0.1), 0.1, |h| h.cooling[2].supply_celsius()),
            (666, U16(1.0), 0.0, |_| 2.0),
            (667, U16(1.0), 1.0, |h| h.cooling[2].heat_watts() / 65.0),
            (1000, U32(0.1), 0.1, |h| h.cooling[2].heat_watts() / 1000.0),
            (1009, U32(1.0), 15.0, |h| h.cooling[2].watts()),
            (1059, U16(0.1), 1.0, |h| h.utility.supply().volts * 1.732_05),
        ],
    );
    let mut unit = site.client(DeviceId::Crac3);
    for quiet in [90, 97, 103, 104, 208, 209, 210, 211, 217] {
        let bits = unit.read_discrete_inputs(quiet, 1).unwrap();
        assert_eq!(bits, [::modbus::Coil::Off], "{quiet}");
    }
}
