//! What MQTT sensors say: any payload on any of their topics, in any order, becomes finite values,
//! missing ones, or an error in a word.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use hallwatch_agent::config::{Config, DeviceSource};
use hallwatch_agent::sensor::{Sensor, SensorState};
use hallwatch_config::Source;
use hallwatch_model::{Timestamp, Uptime};
use libfuzzer_sys::fuzz_target;

const TEXT: &str = concat!(include_str!("../../deploy/agent.toml"), include_str!("../sensors.toml"));

/// The sensors of the sample configuration, and one with everything.
static SENSORS: LazyLock<Vec<Sensor>> = LazyLock::new(|| {
    let source = Source::new("agent.toml", TEXT);
    let config = Config::parse(&source).unwrap_or_else(|bad| panic!("{}", bad.render(false)));
    let sensors = config.devices.into_iter().filter_map(|device| match device.source {
        DeviceSource::Mqtt(sensor) => Some(sensor),
        _ => None,
    });
    sensors.collect()
});

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    sensor: usize,
    messages: Vec<(u8, &'a [u8], bool, u32)>,
}

fuzz_target!(|case: Case<'_>| {
    let sensor = &SENSORS[case.sensor % SENSORS.len()];
    let topics = sensor.topics();
    let mut state = SensorState::new(sensor, Uptime::ZERO);
    let mut uptime = Uptime::ZERO;
    for (topic, payload, retained, pause) in case.messages {
        uptime = uptime + Duration::from_millis(u64::from(pause));
        let millis = 1_790_000_000_000 + uptime.elapsed().as_millis() as i64;
        let time = Timestamp::from_millis(millis);
        let topic = topics[usize::from(topic) % topics.len()];
        let told = [
            state.message(sensor, "d", topic, payload, retained, (time, uptime)),
            state.tick(sensor, time, uptime),
        ];
        for heard in told {
            for (index, _, value) in heard.points {
                assert!(index < sensor.points.len());
                assert!(value.is_err() || value.is_ok_and(f64::is_finite));
            }
        }
    }
});
