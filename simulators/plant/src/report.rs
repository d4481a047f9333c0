//! The hall as JSON, for people and tests.

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::physics::Hall;

/// Everything worth knowing, in base units.
pub(crate) fn report(hall: &Hall) -> Value {
    let active: Vec<String> =
        Fault::all().filter(|fault| hall.has(*fault)).map(|fault| fault.to_string()).collect();
    json!({
        "seconds": hall.seconds(),
        "faults": active,
        "utility": {
            "volts": hall.utility.supply().volts,
            "hertz": hall.utility.supply().hertz,
            "watts": hall.utility_watts(),
        },
        "ats": {
            "position": hall.ats.position().name(),
            "calls_generator": hall.ats.calls_generator(),
            "alarm": hall.ats.in_alarm(),
        },
        "generator": generator(hall),
        "ups": { "a": ups(hall, 0), "b": ups(hall, 1) },
        "pdus": { "a1": pdu(hall, 0), "a2": pdu(hall, 1), "b1": pdu(hall, 2), "b2": pdu(hall, 3) },
        "cooling": [unit(hall, 0), unit(hall, 1), unit(hall, 2)],
        "air": {
            "hot_celsius": hall.air.hot_celsius(),
            "aisle_1_celsius": hall.air.aisle_celsius(0),
            "aisle_2_celsius": hall.air.aisle_celsius(1),
            "aisle_1_humidity_percent": hall.air.humidity_percent(hall.air.aisle_celsius(0)),
            "aisle_2_humidity_percent": hall.air.humidity_percent(hall.air.aisle_celsius(1)),
        },
        "door": {
            "open": hall.access.door_open(),
            "granted": hall.access.granted(),
            "denied": hall.access.denied(),
        },
        "leak": hall.leak(),
        "smoke": hall.smoke(),
        "uplinks": [uplink(hall, 0), uplink(hall, 1)],
    })
}

fn generator(hall: &Hall) -> Value {
    let generator = &hall.generator;
    json!({
        "engine": generator.engine().name(),
        "volts": generator.supply().volts,
        "hertz": generator.supply().hertz,
        "watts": generator.load_watts(),
        "fuel_litres": generator.fuel_litres(),
        "coolant_celsius": generator.coolant_celsius(),
        "oil_kilopascals": generator.oil_kilopascals(),
        "starter_volts": generator.starter_volts(),
        "attempts": generator.attempts(),
    })
}

fn ups(hall: &Hall, index: usize) -> Value {
    let ups = &hall.ups[index];
    json!({
        "mode": ups.mode().name(),
        "watts": ups.load_watts(),
        "charge_ratio": ups.battery().charge_share(),
        "runtime_seconds": ups.runtime_seconds(),
        "battery_volts": ups.battery().volts(),
        "low": ups.is_low(),
    })
}

fn pdu(hall: &Hall, index: usize) -> Value {
    let pdu = &hall.racks.pdus()[index];
    json!({
        "volts": pdu.supply().volts,
        "amperes": pdu.amperes(),
        "watts": pdu.watts(),
    })
}

fn unit(hall: &Hall, index: usize) -> Value {
    let unit = &hall.cooling[index];
    json!({
        "fan_on": unit.fan_on(),
        "compressor_on": unit.compressor_on(),
        "heat_watts": unit.heat_watts(),
        "watts": unit.watts(),
        "supply_celsius": unit.supply_celsius(),
        "return_celsius": unit.return_celsius(),
    })
}

fn uplink(hall: &Hall, index: usize) -> Value {
    let uplink = &hall.uplinks[index];
    json!({ "up": uplink.is_up(), "latency_ms": uplink.latency_ms() })
}
