//! Every mistake in a configuration is told with its place, all of them at once.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use hallwatch_agent::config::{Config, DeviceSource};
use hallwatch_config::Source;
use hallwatch_link::Version;

fn check(name: &str) -> String {
    let path = Path::new("tests/bad").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let invalid = Config::parse(&Source::new(name, text)).unwrap_err();
    invalid.render(false)
}

#[test]
fn mistakes_are_told_all_at_once() {
    let mut problems = 0;
    for entry in fs::read_dir("tests/bad").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".bad.toml") {
            continue;
        }
        let told = check(&name);
        problems += told.matches("error:").count();
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "bad" }, {
            insta::assert_snapshot!(name.trim_end_matches(".bad.toml"), told);
        });
    }
    assert!(problems >= 40, "only {problems} kinds of mistakes are shown");
}

const GOOD: &str = r#"
[agent]
id = "gw-1"
tenant = "acme"
site = "fra-1"
data = "/var/lib/hallwatch-agent"
collectors = ["c-1", "c-2"]

[broker]
url = "mqtts://broker.example"
others = ["mqtts://second.example:8884", "mqtts://third.example"]
version = "3.1.1"
ca = "/etc/ca.pem"
certificate = "/etc/gw-1.pem"
key = "/etc/gw-1.key"

[journal]
keep = "1h"

[sensors]
url = "mqtt://127.0.0.1:1883"

[[device]]
name = "utility-meter"
room = "plant"
interval = "1s"
modbus_tcp = { address = "127.0.0.1:1502", unit = 1, profile = "schneider_pm5500", timeout = "1s" }

[[device]]
name = "aisle-1-cold"
[device.mqtt]
topic = "zigbee2mqtt/aisle_1_cold"
availability = { topic = "zigbee2mqtt/bridge/state" }
max_age = "10m"
points = [ { path = "temperature", metric = "environment_temperature_celsius" },
           { path = "humidity", metric = "environment_humidity_ratio", scale = 0.01 } ]

[[device]]
name = "door-1"
[device.mqtt]
topic = "/rfid"
events = "esp-rfid"
points = [ { topic = "zigbee2mqtt/door", path = "contact", metric = "access_door_open", invert = true } ]
"#;

#[test]
fn a_good_one_is_understood() {
    let config = Config::parse(&Source::new("agent.toml", GOOD)).unwrap();
    assert_eq!(config.path.to_string(), "acme/fra-1/gw-1");
    assert_eq!(config.broker.url.port(), 8883);
    let others: Vec<u16> = config.broker.others.iter().map(|url| url.port()).collect();
    assert_eq!((others, config.broker.version), (vec![8884, 8883], Version::V311));
    let sensors = config.sensors.as_ref().unwrap();
    assert_eq!((sensors.url.port(), sensors.version), (1883, Version::V5));
    // The same broker twice is one broker, and one connection.
    let broker = GOOD.split("[journal]").next().unwrap().split("[broker]").nth(1).unwrap();
    let same = GOOD.replace("url = \"mqtt://127.0.0.1:1883\"", broker);
    assert_eq!(Config::parse(&Source::new("agent.toml", same)).unwrap().sensors, None);
    let DeviceSource::Mqtt(door) = &config.devices[2].source else { panic!() };
    assert_eq!(door.topics(), ["/rfid", "zigbee2mqtt/door"]);
}

#[test]
fn the_program_ends_as_sysexits_says() {
    let directory = tempfile::TempDir::new().unwrap();
    let good = directory.path().join("good.toml");
    fs::write(&good, GOOD).unwrap();
    let program = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_hallwatch-agent")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let good = good.display().to_string();
    assert_eq!(program(&["check", "--offline", "--config", &good]), (Some(0), String::new()));
    let (code, told) = program(&["run", "--config", "tests/bad/devices.bad.toml"]);
    assert_eq!(code, Some(78));
    assert!(told.contains("tests/bad/devices.bad.toml:15:"), "{told}");
    assert_eq!(program(&["check", "--config", "absent.toml"]).0, Some(66));
    assert_eq!(program(&["chekc"]).0, Some(64));
}
