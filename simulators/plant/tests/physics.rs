//! What must hold whatever happens in the hall.

use std::time::Duration;

use hallwatch_plant::Fault;
use hallwatch_plant::physics::generator::Engine;
use hallwatch_plant::physics::transfer_switch::Position;
use hallwatch_plant::physics::ups::{INVERTER_EFFICIENCY, Mode};
use hallwatch_plant::physics::{Hall, STEP};
use proptest::prelude::*;

fn seconds(hall: &mut Hall, seconds: u64) {
    hall.step(Duration::from_secs(seconds));
}

/// Steps until `done`, for at most `limit` seconds, and says how long that took.
fn until(hall: &mut Hall, limit: f64, done: impl Fn(&Hall) -> bool) -> f64 {
    let start = hall.seconds();
    while !done(hall) {
        assert!(hall.seconds() - start < limit, "not within {limit} s");
        hall.step(STEP);
    }
    hall.seconds() - start
}

#[test]
fn a_quiet_hour_stays_within_normal_limits() {
    for seed in 0..5 {
        let mut hall = Hall::new(seed);
        for minute in 0..60 {
            seconds(&mut hall, 60);
            let place = format!("seed {seed}, minute {minute}");
            assert!(hall.utility.supply().is_good(), "{place}");
            assert_eq!(hall.ats.position(), Position::Line1, "{place}");
            assert_eq!(hall.generator.engine(), Engine::Stopped, "{place}");
            for ups in &hall.ups {
                assert_eq!(ups.mode(), Mode::Online, "{place}");
                assert!(ups.battery().charge_share() > 0.999, "{place}");
                assert!((2_500.0..5_500.0).contains(&ups.load_watts()), "{place}");
            }
            for aisle in 0..2 {
                let celsius = hall.air.aisle_celsius(aisle);
                assert!((18.0..25.0).contains(&celsius), "{place}: aisle at {celsius}");
                let humidity = hall.air.humidity_percent(celsius);
                assert!((30.0..70.0).contains(&humidity), "{place}: {humidity} %");
            }
            let hot = hall.air.hot_celsius();
            assert!((25.0..29.0).contains(&hot), "{place}: hot side at {hot}");
        }
    }
}

#[test]
fn the_same_seed_lives_the_same_day_and_another_does_not() {
    let mut halls = [Hall::new(7), Hall::new(7), Hall::new(8)];
    for hall in &mut halls {
        seconds(hall, 600);
    }
    let [a, b, c] = halls.map(|hall| (hall.utility.supply().volts, hall.racks.watts()));
    assert_eq!(a, b);
    assert_ne!(a, c);
}

#[test]
fn the_generator_takes_the_load_and_gives_it_back() {
    let mut hall = Hall::new(3);
    seconds(&mut hall, 60);
    let fuel = hall.generator.fuel_litres();
    hall.cause(Fault::UtilityOff);
    hall.step(STEP * 3);
    assert!(hall.ups.iter().all(|ups| ups.mode() == Mode::OnBattery));
    let took = until(&mut hall, 30.0, |hall| hall.ats.position() == Position::Line2);
    assert!(took > 5.0, "nobody starts a diesel in {took} s");
    until(&mut hall, 10.0, |hall| hall.ups.iter().all(|ups| ups.mode() == Mode::Online));
    seconds(&mut hall, 600);
    assert!(hall.generator.load_watts() > 5_000.0);
    assert!((48.0..51.0).contains(&hall.generator.supply().hertz));
    assert!(hall.generator.coolant_celsius() > 70.0);
    assert_eq!(hall.utility_watts(), 0.0);
    let burnt = fuel - hall.generator.fuel_litres();
    assert!((0.3..3.0).contains(&burnt), "{burnt} litres in ten minutes");

    hall.end(Fault::UtilityOff);
    let back = until(&mut hall, 90.0, |hall| hall.ats.position() == Position::Line1);
    assert!(back > 55.0, "retransfer after {back} s");
    until(&mut hall, 5.0, |hall| hall.generator.engine() == Engine::CoolingDown);
    until(&mut hall, 90.0, |hall| hall.generator.engine() == Engine::Stopped);
    assert!(hall.utility_watts() > 5_000.0);
}

#[test]
fn a_generator_that_will_not_start_cranks_three_times_and_locks_out() {
    let mut hall = Hall::new(4);
    hall.cause(Fault::GeneratorWillNotStart);
    hall.cause(Fault::UtilityOff);
    let mut cranks = 0;
    let mut before = Engine::Stopped;
    for _ in 0..600 {
        hall.step(STEP);
        let engine = hall.generator.engine();
        if engine == Engine::Cranking && before != Engine::Cranking {
            cranks += 1;
        }
        before = engine;
    }
    assert_eq!((cranks, before), (3, Engine::FailedToStart));
    assert_eq!(hall.ats.position(), Position::Line1);
    // Repaired and reset, it starts: the switch still calls for it.
    hall.end(Fault::GeneratorWillNotStart);
    until(&mut hall, 30.0, |hall| hall.ats.position() == Position::Line2);
}

#[test]
fn batteries_last_as_long_as_they_said() {
    for (seed, worn) in [(1, false), (2, true), (9, false)] {
        let mut hall = Hall::new(seed);
        seconds(&mut hall, 120);
        if worn {
            hall.cause(Fault::UpsABatteryWeak);
            seconds(&mut hall, 1);
        }
        let said = hall.ups[0].runtime_seconds();
        hall.cause(Fault::GeneratorWillNotStart);
        hall.cause(Fault::UtilityOff);
        let lasted = until(&mut hall, 7_200.0, |hall| !hall.ups[0].output_on());
        let error = (lasted / said - 1.0).abs();
        assert!(error < 0.2, "seed {seed}: said {said} s, lasted {lasted} s");
        assert!(hall.ups[0].battery().charge_share() < 0.001);
        assert_eq!(hall.ups[0].load_watts(), 0.0);
    }
}

#[test]
fn energy_out_of_the_battery_is_load_times_time() {
    let mut hall = Hall::new(5);
    seconds(&mut hall, 30);
    hall.cause(Fault::GeneratorWillNotStart);
    hall.cause(Fault::UtilityOff);
    seconds(&mut hall, 1);
    let (before, charge) = (hall.ups[1].battery().drawn_wh(), hall.ups[1].battery().charge_share());
    let mut load_wh = 0.0;
    for _ in 0..3_000 {
        hall.step(STEP);
        load_wh += hall.ups[1].load_watts() * STEP.as_secs_f64() / 3_600.0;
    }
    let drawn = hall.ups[1].battery().drawn_wh() - before;
    // Beside the load there are the inverter's losses, and 40 W of its own for 300 s.
    let expected = load_wh / INVERTER_EFFICIENCY + 40.0 * 300.0 / 3_600.0;
    assert!((drawn / expected - 1.0).abs() < 0.01, "{drawn} Wh drawn, {expected} Wh expected");
    // Near the reference power a watt hour drawn is a thousandth of the charge.
    let fell = 1_000.0 * (charge - hall.ups[1].battery().charge_share());
    assert!((fell / drawn - 1.0).abs() < 0.1, "{drawn} Wh drawn, charge fell by {fell} Wh");
}

#[test]
fn a_dead_feed_moves_its_load_to_the_other() {
    let mut hall = Hall::new(6);
    seconds(&mut hall, 60);
    let all = hall.racks.watts();
    hall.cause(Fault::PduA1Off);
    seconds(&mut hall, 5);
    let [a1, a2, b1, b2] = hall.racks.pdus();
    assert_eq!((a1.watts(), a1.amperes(), a1.supply().volts), (0.0, 0.0, 0.0));
    assert!(b1.watts() > 1.8 * b2.watts() && a2.watts() > 0.0);
    assert!((hall.racks.watts() / all - 1.0).abs() < 0.1, "no server lost power");
}

#[test]
fn an_empty_ups_drops_its_feed_and_the_other_carries_on() {
    let mut hall = Hall::new(6);
    hall.cause(Fault::UpsABatteryWeak);
    hall.cause(Fault::GeneratorWillNotStart);
    hall.cause(Fault::UtilityOff);
    until(&mut hall, 600.0, |hall| !hall.ups[0].output_on());
    seconds(&mut hall, 2);
    assert_eq!(hall.racks.feed_watts(0), 0.0);
    assert!(hall.racks.feed_watts(1) > 6_000.0);
    // All comes back by itself with the utility.
    hall.end(Fault::UtilityOff);
    until(&mut hall, 60.0, |hall| hall.ups[0].output_on() && hall.racks.feed_watts(0) > 2_000.0);
}

#[test]
fn an_overloaded_ups_goes_to_bypass_and_returns() {
    let mut hall = Hall::new(6);
    hall.cause(Fault::UpsBOverload);
    seconds(&mut hall, 5);
    assert!(hall.ups[1].is_overloaded());
    until(&mut hall, 60.0, |hall| hall.ups[1].mode() == Mode::Bypass);
    hall.end(Fault::UpsBOverload);
    until(&mut hall, 30.0, |hall| hall.ups[1].mode() == Mode::Online);
}

#[test]
fn a_stuck_switch_leaves_the_hall_on_batteries_and_says_so() {
    let mut hall = Hall::new(2);
    hall.cause(Fault::AtsStuck);
    hall.cause(Fault::UtilityOff);
    seconds(&mut hall, 60);
    assert_eq!(hall.generator.engine(), Engine::Running);
    assert_eq!(hall.ats.position(), Position::Line1);
    assert!(hall.ats.in_alarm());
    assert!(hall.ups.iter().all(|ups| ups.mode() == Mode::OnBattery));
    hall.end(Fault::AtsStuck);
    until(&mut hall, 10.0, |hall| hall.ats.position() == Position::Line2 && !hall.ats.in_alarm());
}

#[test]
fn the_hall_warms_without_cooling_and_cools_again() {
    let mut hall = Hall::new(8);
    seconds(&mut hall, 300);
    let start = [hall.air.hot_celsius(), hall.air.aisle_celsius(0), hall.air.aisle_celsius(1)];
    let stops = [Fault::Crac1Stops, Fault::Crac2Stops, Fault::Crac3Stops];
    for stop in stops {
        hall.cause(stop);
    }
    seconds(&mut hall, 300);
    let warm = [hall.air.hot_celsius(), hall.air.aisle_celsius(0), hall.air.aisle_celsius(1)];
    assert!((3.0..15.0).contains(&(warm[0] - start[0])), "hot side {start:?} to {warm:?}");
    assert!(warm[1] - start[1] > 5.0 && warm[2] - start[2] > 5.0, "{start:?} to {warm:?}");
    for stop in stops {
        hall.end(stop);
    }
    seconds(&mut hall, 1_800);
    let cooled = [hall.air.hot_celsius(), hall.air.aisle_celsius(0), hall.air.aisle_celsius(1)];
    for (before, after) in start.iter().zip(cooled) {
        assert!((before - after).abs() < 1.5, "{start:?} to {cooled:?}");
    }
}

#[test]
fn one_unit_may_fail_and_two_may_not() {
    let mut hall = Hall::new(8);
    seconds(&mut hall, 300);
    let before = hall.air.aisle_celsius(0);
    hall.cause(Fault::Crac1Stops);
    seconds(&mut hall, 900);
    let one = hall.air.aisle_celsius(0);
    assert!((0.3..4.0).contains(&(one - before)), "{before} to {one}");
    hall.cause(Fault::Crac2Stops);
    seconds(&mut hall, 900);
    let two = hall.air.aisle_celsius(0);
    assert!(two > one + 2.0, "{one} to {two}");
}

#[test]
fn low_fuel_ends_a_long_outage_and_refuelling_helps() {
    let mut hall = Hall::new(1);
    hall.cause(Fault::GeneratorLowFuel);
    hall.cause(Fault::UtilityOff);
    seconds(&mut hall, 60);
    assert!(hall.generator.fuel_is_low());
    let dry = until(&mut hall, 8.0 * 3_600.0, |hall| hall.generator.fuel_litres() <= 0.0);
    assert!(dry > 1_800.0, "16 litres gone in {dry} s");
    seconds(&mut hall, 10);
    assert_eq!(hall.generator.engine(), Engine::FailedToStart);
    hall.end(Fault::GeneratorLowFuel);
    until(&mut hall, 40.0, |hall| hall.ats.position() == Position::Line2);
}

#[test]
fn doors_and_badges_follow_their_faults() {
    let mut hall = Hall::new(11);
    hall.cause(Fault::DoorForced);
    seconds(&mut hall, 1);
    assert!(hall.access.door_open());
    hall.end(Fault::DoorForced);
    seconds(&mut hall, 12);
    assert!(!hall.access.door_open());
    hall.take_swipes();
    hall.cause(Fault::DoorHeldOpen);
    seconds(&mut hall, 30);
    assert!(hall.access.door_open());
    assert!(hall.take_swipes().iter().any(|swipe| swipe.granted && swipe.person.is_some()));
    hall.end(Fault::DoorHeldOpen);
    seconds(&mut hall, 15);
    assert!(!hall.access.door_open());
    hall.cause(Fault::BadgeDeniedBurst);
    seconds(&mut hall, 60);
    let denied = hall.take_swipes().into_iter().filter(|swipe| !swipe.granted).count();
    assert!((15..=31).contains(&denied), "{denied} denied in a minute");
}

fn faults() -> Vec<Fault> {
    Fault::all().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, every value stays finite and possible.
    #[test]
    fn no_order_of_faults_breaks_physics(
        seed in any::<u64>(),
        events in proptest::collection::vec((0..faults().len(), any::<bool>(), 1_u64..1_200), 1..24),
    ) {
        let all = faults();
        let mut hall = Hall::new(seed);
        for (index, cause, wait) in events {
            if cause { hall.cause(all[index]); } else { hall.end(all[index]); }
            for _ in 0..4 {
                hall.step(Duration::from_millis(wait * 250));
                sound(&hall)?;
            }
        }
    }
}

fn sound(hall: &Hall) -> Result<(), TestCaseError> {
    let g = &hall.generator;
    let mut values = vec![
        ("utility volts", hall.utility.supply().volts, 0.0, 260.0),
        ("utility watts", hall.utility_watts(), 0.0, 60_000.0),
        ("meter", hall.meter_wh(), 1.0, 1e12),
        ("fuel", g.fuel_litres(), 0.0, 200.0),
        ("rpm", g.rpm(), 0.0, 1_600.0),
        ("coolant", g.coolant_celsius(), 20.0, 110.0),
        ("oil", g.oil_kilopascals(), 0.0, 500.0),
        ("starter", g.starter_volts(), 15.0, 30.0),
        ("generator volts", g.supply().volts, 0.0, 260.0),
        ("generator hertz", g.supply().hertz, 0.0, 55.0),
        ("hot side", hall.air.hot_celsius(), 5.0, 90.0),
        ("dew point", hall.air.dew_point_celsius(), 5.0, 16.0),
        ("IT load", hall.racks.watts(), 0.0, 12_000.0),
    ];
    for ups in &hall.ups {
        values.push(("charge", ups.battery().charge_share(), 0.0, 1.0));
        values.push(("runtime", ups.runtime_seconds(), 0.0, 604_800.0));
        values.push(("battery volts", ups.battery().volts(), 150.0, 225.0));
        values.push(("battery heat", ups.battery().celsius(), 20.0, 90.0));
        values.push(("UPS load", ups.load_watts(), 0.0, 20_000.0));
    }
    for unit in &hall.cooling {
        values.push(("cooling", unit.heat_watts(), 0.0, 6_500.0));
        values.push(("supply air", unit.supply_celsius(), 0.0, 90.0));
        values.push(("return air", unit.return_celsius(), 5.0, 90.0));
    }
    for aisle in 0..2 {
        values.push(("aisle", hall.air.aisle_celsius(aisle), 5.0, 90.0));
    }
    for (name, value, low, high) in values {
        prop_assert!(value.is_finite() && value >= low && value <= high, "{name} is {value}");
    }
    Ok(())
}
