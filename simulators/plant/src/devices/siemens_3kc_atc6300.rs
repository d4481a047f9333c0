//! The transfer switch: Siemens 3KC ATC6300. Functions 3 and 4 give the same words.

use crate::physics::transfer_switch::Position;
use crate::registers::{Holes, RegisterMap, Table};

pub(super) fn registers() -> RegisterMap {
    let mut map = RegisterMap::new(Table::Holding, Holes::Refused).both_functions();
    map.bits32(8720, |hall| {
        let [line_1, line_2] = hall.ats.lines();
        let position = hall.ats.position();
        let start = hall.ats.calls_generator();
        [
            (2, true), // automatic mode
            (4, line_1.is_good()),
            (5, line_2.is_good()),
            (8, position == Position::Line1),
            (9, position == Position::Line2),
            (10, position == Position::Line1),
            (11, position == Position::Line2),
            (12, hall.ats.in_alarm()),
            (13, line_1.volts > 100.0 || line_2.volts > 100.0),
            (14, start),
            (17, line_1.volts < 207.0),
            (20, line_1.volts < 20.0),
            // A generator that nobody has called is at rest, not faulty.
            (23, start && line_2.volts < 207.0),
            (25, start && line_2.hertz < 47.5),
        ]
    })
    // The bit numbers of these two words are not published in a readable form.
    .fixed(8314, &[0])
    .fixed(8568, &[0]);
    map
}
