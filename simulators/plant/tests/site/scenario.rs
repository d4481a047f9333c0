//! Scenario files: good ones, bad ones, and one played to its end.

use std::time::Duration;

use hallwatch_config::Source;
use hallwatch_plant::physics::generator::Engine;
use hallwatch_plant::physics::ups::Mode;
use hallwatch_plant::{Fault, Options, Plant, Scenario};

use crate::support::Site;

fn read(text: &str) -> Result<Scenario, String> {
    Scenario::read(&Source::new("drill.toml", text)).map_err(|invalid| invalid.render(false))
}

#[test]
fn every_built_in_scenario_is_sound_and_ends_what_it_causes() {
    assert_eq!(Scenario::names().count(), 4);
    for name in Scenario::names() {
        let scenario = Scenario::named(name).unwrap();
        let mut active = Vec::new();
        for step in &scenario.steps {
            active.retain(|fault| !step.end.contains(fault));
            active.extend(&step.cause);
        }
        assert_eq!(active, [], "{name}");
    }
    let error = Scenario::named("nothing").unwrap_err().to_string();
    assert!(error.contains("known are utility-lost-generator-fails, "), "{error}");
}

#[test]
fn a_scenario_is_read_with_its_times() {
    let text = "title = 't'\n[[step]]\nat = '0s'\ncause = ['leak', 'device-hangs-ups-a']\n\
                [[step]]\nat = '1m30s'\nend = ['leak']\n";
    let scenario = read(text).unwrap();
    assert_eq!(scenario.title, "t");
    assert_eq!(scenario.steps[0].at, Duration::ZERO);
    let hang = Fault::named("device-hangs-ups-a").unwrap();
    assert_eq!(scenario.steps[0].cause, [Fault::Leak, hang]);
    assert_eq!(scenario.steps[1].at, Duration::from_secs(90));
    assert_eq!(
        (&scenario.steps[1].cause[..], &scenario.steps[1].end[..]),
        (&[][..], &[Fault::Leak][..])
    );
}

#[test]
fn bad_scenarios_are_refused_with_every_problem() {
    for (text, wanted) in [
        ("", &["missing", "without steps"][..]),
        ("title = 't'\n", &["without steps"]),
        ("title = 't'\n[[step]]\nat = '1s'\n", &["neither causes nor ends"]),
        ("title = 't'\n[[step]]\ncause = ['leak']\n", &["`at`"]),
        (
            "title = 't'\n[[step]]\nat = 'soon'\ncause = ['leek', 'utility-of']\nwhy = 1\n",
            &["`at`", "no fault named `leek`", "no fault named `utility-of`", "unknown key `why`"],
        ),
        ("title = 't'\n[[step]]\nat = '1s'\ncause = 'leak'\n", &["`cause` must be an array"]),
        (
            "title = 't'\n[[step]]\nat = '9s'\ncause = ['leak']\n[[step]]\nat = '1s'\nend = ['leak']\n",
            &["earlier than the one before"],
        ),
        ("title = 't'\n[[step]\n", &["drill.toml"]),
    ] {
        let told = read(text).expect_err(text);
        for words in wanted {
            assert!(told.contains(words), "{text:?} gave\n{told}");
        }
    }
}

#[test]
fn the_failing_generator_plays_to_its_end() {
    let plant = Plant::new(Options::default()).unwrap();
    plant.play(Scenario::named("utility-lost-generator-fails").unwrap());
    let at = |seconds: f64| {
        while plant.view(|hall| hall.seconds()) < seconds {
            plant.step(Duration::from_millis(100));
        }
        plant.view(Clone::clone)
    };
    assert!(at(19.0).utility.supply().is_good());
    let lost = at(25.0);
    assert!(lost.ups.iter().all(|ups| ups.mode() == Mode::OnBattery));
    assert_eq!(at(80.0).generator.engine(), Engine::FailedToStart);
    let nearly = at(745.0);
    assert!(nearly.ups[0].is_low());
    assert!(nearly.ups.iter().all(|ups| ups.mode() == Mode::OnBattery));
    let repaired = at(800.0);
    assert_eq!(repaired.generator.engine(), Engine::Running);
    assert!(repaired.ups.iter().all(|ups| ups.mode() == Mode::Online));
    let over = at(1_100.0);
    assert!(over.utility_watts() > 5_000.0);
    assert_eq!(over.generator.engine(), Engine::Stopped);
    assert!(plant.faults().iter().all(|status| !status.active));
}

#[test]
fn time_passes_at_the_speed_that_was_asked_for() {
    let site = Site::with(Options { seed: 1, speed: 100.0 }, None);
    let text = "title = 't'\n[[step]]\nat = '40s'\ncause = ['door-forced']\n";
    site.plant.play(read(text).unwrap());
    let since = |name: &str| {
        let faults = site.plant.faults();
        faults.into_iter().find(|status| status.fault.to_string() == name).unwrap().since
    };
    let mut looks = 0;
    while since("door-forced").is_none() {
        looks += 1;
        assert!(looks < 500, "40 s of plant time take less than half a second at this speed");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(site.plant.view(|hall| hall.seconds()) >= 40.0);
    assert!(since("door-forced").unwrap() > 1_700_000_000);
}

#[test]
fn speed_has_limits() {
    for speed in [0.0, -1.0, 0.05, 1_001.0, f64::NAN, f64::INFINITY] {
        assert!(Plant::new(Options { seed: 1, speed }).is_err(), "{speed}");
    }
}
