//! The cooling units: Vertiv Liebert DS with iCOM controller behind an IntelliSlot card. Values in
//! input registers, alarms in discrete inputs (on = alarm).

use crate::encode::Reading;
use crate::physics::Hall;
use crate::physics::cooling::{CoolingUnit, SETPOINT_CELSIUS};
use crate::registers::{Holes, RegisterMap, Table};

/// A supply warmer than this is an alarm, in degrees Celsius.
const OVER_TEMPERATURE: f64 = 26.0;
const UNDER_TEMPERATURE: f64 = 12.0;

fn on(state: bool) -> Reading {
    Reading::Raw(i64::from(state))
}

/// The larger half of the cooling comes from compressor 1; 2 joins above that.
fn compressor_2(unit: &CoolingUnit) -> bool {
    unit.compressor_on() && unit.output_share() > 0.55
}

fn state_reason(unit: &CoolingUnit) -> Reading {
    Reading::Raw(if unit.is_faulty() { 2 } else { 6 })
}

pub(super) fn registers(index: usize) -> RegisterMap {
    let unit = move |hall: &Hall| -> CoolingUnit { hall.cooling[index].clone() };
    let mut map = RegisterMap::new(Table::Input, Holes::Refused);
    map.fixed(261, &[3]) // the supply sensor shows, the return sensor controls
        .i16(262, 1.0, |_| SETPOINT_CELSIUS)
        .u16(263, 1.0, |_| 45.0)
        .u16(268, 1.0, move |h| on(unit(h).compressor_on() && unit(h).output_share() > 0.02))
        .u16(269, 1.0, move |h| on(compressor_2(&unit(h))))
        .fixed(273, &[0])
        .fixed(274, &[0])
        .fixed(275, &[0])
        .fixed(279, &[0])
        .u16(280, 1.0, move |h| state_reason(&unit(h)))
        .fixed(281, &[0])
        .fixed(284, &[0])
        .i16(554, 0.1, |h| h.air.aisle_celsius(0))
        .i16(555, 0.1, |h| h.air.aisle_celsius(1))
        .i16(556, 0.1, |h| h.air.hot_celsius())
        .fixed(560, &[0])
        .fixed(562, &[0])
        .u16(563, 1.0, move |h| 100.0 * unit(h).output_share())
        .i16(564, 0.1, move |h| unit(h).return_celsius())
        .i16(565, 0.1, move |h| unit(h).supply_celsius())
        .fixed(666, &[2])
        .u16(667, 1.0, move |h| 100.0 * unit(h).output_share())
        .u32(1000, 0.1, move |h| unit(h).heat_watts() / 1000.0)
        .u32(1009, 1.0, move |h| unit(h).watts())
        .u16(1059, 0.1, move |h| 3.0_f64.sqrt() * unit(h).supply().volts)
        .discrete(90, |_| false)
        .discrete(97, move |h| unit(h).is_faulty())
        .discrete(103, |_| false)
        .discrete(104, |_| false)
        .discrete(208, move |h| unit(h).supply_celsius() > OVER_TEMPERATURE)
        .discrete(209, move |h| unit(h).supply_celsius() < UNDER_TEMPERATURE)
        .discrete(210, |_| false)
        .discrete(211, |_| false)
        .discrete(217, move |h| !unit(h).fan_on());
    map
}
