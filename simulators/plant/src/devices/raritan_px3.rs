//! The rack PDUs: Raritan PX3, one inlet, one protector, eight outlets of which the map names the
//! first. Within a block every register answers; outside of the blocks none does.

use crate::physics::Hall;
use crate::physics::racks::{POWER_FACTOR, RackPdu};
use crate::registers::{Holes, RegisterMap, Table};

const OUTLETS: f64 = 8.0;

/// Phase angle between voltage and current, in degrees.
fn phase_angle() -> f64 {
    POWER_FACTOR.acos().to_degrees()
}

fn power_factor(pdu: &RackPdu) -> f64 {
    if pdu.watts() > 0.0 { POWER_FACTOR } else { 1.0 }
}

pub(super) fn registers(index: usize) -> RegisterMap {
    let pdu = move |hall: &Hall| -> RackPdu { hall.racks.pdus()[index].clone() };
    let blocks = vec![0..=4, 12_296..=12_325, 16_394..=16_395, 32_776..=32_803];
    let mut map = RegisterMap::new(Table::Holding, Holes::Filled(blocks, 0));
    map.fixed(0, &[3])
        .fixed(1, &[1])
        .fixed(2, &[1])
        .fixed(3, &[8])
        .fixed(4, &[0])
        .f32(12_296, move |h| pdu(h).supply().volts)
        .f32(12_298, move |h| pdu(h).amperes())
        .f32(12_304, |_| 0.0) // one phase: nothing to be unbalanced
        .f32(12_306, move |h| pdu(h).watts())
        .f32(12_308, move |h| pdu(h).volt_amperes())
        .f32(12_310, move |h| power_factor(&pdu(h)))
        .f32(12_320, |_| phase_angle())
        .f32(12_322, move |h| pdu(h).supply().hertz)
        .f32(12_324, move |h| pdu(h).watts() * phase_angle().to_radians().tan())
        .f32(16_394, move |h| pdu(h).amperes())
        .f32(32_776, move |h| pdu(h).supply().volts)
        .f32(32_778, move |h| pdu(h).amperes() / OUTLETS)
        .f32(32_786, move |h| pdu(h).watts() / OUTLETS)
        .f32(32_788, move |h| pdu(h).volt_amperes() / OUTLETS)
        .f32(32_790, move |h| power_factor(&pdu(h)))
        .f32(32_802, move |h| pdu(h).supply().hertz);
    map
}
