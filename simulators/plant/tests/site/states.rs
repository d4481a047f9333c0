//! States, alarms and their bits, each brought about and read.

use std::time::Duration;

use ::modbus::{Client, Coil, Transport};
use hallwatch_plant::DeviceId;
use hallwatch_plant::physics::Hall;

use crate::support::Site;

/// Lets time pass until `there`, for at most half an hour of plant time.
fn until(site: &Site, there: impl Fn(&Hall) -> bool) {
    for _ in 0..18_000 {
        if site.plant.view(&there) {
            return;
        }
        site.plant.step(Duration::from_millis(100));
    }
    panic!("it did not come about");
}

fn bits(client: &mut Transport, address: u16) -> u32 {
    let words = client.read_holding_registers(address, 2).unwrap();
    u32::from(words[0]) << 16 | u32::from(words[1])
}

fn word(client: &mut Transport, address: u16) -> u16 {
    client.read_holding_registers(address, 1).unwrap()[0]
}

#[test]
fn the_engine_goes_through_its_states() {
    let site = Site::start();
    let mut controller = site.client(DeviceId::Generator);
    let mut seen = vec![word(&mut controller, 1408)];
    site.plant.cause("utility-off").unwrap();
    for second in 0..180 {
        site.plant.step(Duration::from_millis(1_000));
        if second == 40 {
            site.plant.end("utility-off").unwrap();
        }
        let state = word(&mut controller, 1408);
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    // Stopped, pre-start, warming up, running, cooling down, stopped.
    assert_eq!(seen, [0, 1, 2, 3, 4, 0]);
}

#[test]
fn the_switch_alarms_when_it_is_stuck() {
    let site = Site::start();
    site.plant.cause("ats-stuck").unwrap();
    site.plant.cause("utility-off").unwrap();
    until(&site, |hall| hall.ats.in_alarm());
    let status = bits(&mut site.client(DeviceId::Ats), 8720);
    // Automatic, line 2 good, load on line 1, mains breaker, alarm, supply, start, line 1 gone.
    let wanted =
        1 << 2 | 1 << 5 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 20;
    assert_eq!(status, wanted, "{status:#x}");
}

#[test]
fn a_ups_runs_low_goes_off_and_restarts() {
    let site = Site::start();
    let mut ups = site.client(DeviceId::UpsA);
    for fault in ["ups-a-battery-weak", "generator-will-not-start", "utility-off"] {
        site.plant.cause(fault).unwrap();
    }
    site.plant.step(Duration::from_secs(1));
    assert_eq!((word(&mut ups, 18), bits(&mut ups, 3)), (0, 1), "not low yet");
    until(&site, |hall| hall.ups[0].is_low());
    assert_eq!(word(&mut ups, 18), 1 << 1, "shutdown imminent");
    assert_eq!(bits(&mut ups, 3), 1 | 1 << 14, "group on, low runtime");
    until(&site, |hall| !hall.ups[0].output_on());
    assert_eq!(bits(&mut ups, 0), 1 << 4 | 1 << 5 | 1 << 6, "off, fault, no input");
    assert_eq!(word(&mut ups, 2), 13, "low battery voltage");
    assert_eq!(bits(&mut ups, 3), 1 << 1, "group off");
    assert_eq!(word(&mut ups, 142), 0);
    assert_eq!(word(&mut ups, 154), 0xfffd, "no efficiency with the output off: -3");
    site.plant.end("utility-off").unwrap();
    until(&site, |hall| hall.ups[0].output_on());
    assert_eq!(word(&mut ups, 2), 18, "automatic restart");
    site.plant.step(Duration::from_secs(5));
    assert_eq!(word(&mut ups, 154), 0xfffa, "no efficiency while charging: -6");
}

#[test]
fn a_ups_that_gets_its_input_back_says_so() {
    let site = Site::start();
    let mut ups = site.client(DeviceId::UpsB);
    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(1));
    assert_eq!(bits(&mut ups, 0), 1 << 2 | 1 << 6, "on battery, no input");
    site.plant.end("utility-off").unwrap();
    site.plant.step(Duration::from_secs(7));
    assert_eq!((bits(&mut ups, 0), word(&mut ups, 2)), (1 << 1, 8), "online, input acceptable");
}

#[test]
fn an_overloaded_ups_says_so_and_goes_to_bypass() {
    let site = Site::start();
    let mut ups = site.client(DeviceId::UpsB);
    site.plant.cause("ups-b-overload").unwrap();
    site.plant.step(Duration::from_secs(2));
    assert_eq!(bits(&mut ups, 0), 1 << 1 | 1 << 21, "online, overload");
    assert_eq!(bits(&mut ups, 20), 1, "output overload");
    site.plant.step(Duration::from_secs(31));
    assert_eq!(bits(&mut ups, 0), 1 << 3 | 1 << 21, "bypass, overload");
    assert_eq!((word(&mut ups, 2), word(&mut ups, 154)), (15, 0xfffb));
}

#[test]
fn cooling_that_fails_for_lack_of_power_alarms_and_comes_back() {
    let site = Site::start();
    let mut unit = site.client(DeviceId::Crac1);
    let mut on = |address| unit.read_discrete_inputs(address, 1).unwrap() == [Coil::On];
    site.plant.cause("generator-will-not-start").unwrap();
    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(180));
    // Warm supply and a standing fan, but nothing in the unit itself to be repaired.
    assert_eq!([on(208), on(217), on(97)], [true, true, false]);
    let mut unit = site.client(DeviceId::Crac1);
    assert_eq!(unit.read_input_registers(1059, 1).unwrap(), [0]);
    site.plant.end("utility-off").unwrap();
    site.plant.step(Duration::from_secs(300));
    assert_eq!(unit.read_discrete_inputs(208, 1).unwrap(), [Coil::Off]);
    assert_eq!(unit.read_discrete_inputs(217, 1).unwrap(), [Coil::Off]);
    site.plant.cause("crac-1-stops").unwrap();
    site.plant.step(Duration::from_secs(20));
    assert_eq!(unit.read_input_registers(280, 1).unwrap(), [2], "stopped by an alarm");
}
