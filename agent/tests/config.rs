//! Every mistake in a configuration is told with its place, all of them at once.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hallwatch_agent::config::{Config, DeviceSource, Endpoint};
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

const LINES: &str = r#"
[[line]]
name = "bus-1"
serial = { port = "/dev/ttyUSB0", baud = 9600, parity = "none", stop_bits = 2 }
timeout = "400ms"
pause = "20ms"
max_registers = 32
echo = true
close_after_timeouts = 5

[[line]]
name = "converter"
rtu_over_tcp = { address = "10.0.0.9:4001" }
quiet_time = "3s"
pause_after_connect = "100ms"
connect_timeout = "5s"

[[line]]
name = "secure"
tls = { address = "[2001:db8::7]:802", ca = "/ca.pem", certificate = "/c.pem", key = "/c.key", server_name = "gw.example" }
keep_alive = "30s"
close_after_cycle = true

[[line]]
name = "gateway"
tcp = { address = "10.0.0.8:502" }
rewrites_transaction_ids = true

[[device]]
name = "meter-1"
modbus = { line = "bus-1", unit = 3, profile = "eastron_sdm630" }

[[device]]
name = "meter-2"
interval = "10s"
modbus = { line = "bus-1", unit = 4, profile = "eastron_sdm630", timeout = "2s", min_timeout = "100ms", pause = "0s", max_registers = 125, max_gap = 50 }

[[device]]
name = "meter-3"
modbus = { line = "converter", unit = 1, profile = "eastron_sdm630" }

[[device]]
name = "meter-4"
modbus = { line = "secure", unit = 0, profile = "eastron_sdm630" }

[[device]]
name = "meter-5"
modbus = { line = "gateway", unit = 7, profile = "eastron_sdm630" }

[[device]]
name = "ups"
modbus_tcp = { address = "10.0.0.10:502", unit = 1, profile = "eaton_pxgx_ups", keep_alive = "20s" }

[[device]]
name = "probe"
modbus_tcp = { address = "10.0.0.10:502", unit = 1, profile = "eaton_pxgx_emp", timeout = "3s" }
"#;

#[test]
fn a_line_is_described_once_and_its_devices_differ_where_they_say_so() {
    let text = GOOD.split("[[device]]").next().unwrap().to_owned() + LINES;
    let config = Config::parse(&Source::new("agent.toml", text))
        .unwrap_or_else(|invalid| panic!("{}", invalid.render(false)));
    let device = |at: usize| {
        let DeviceSource::Modbus(modbus) = &config.devices[at].source else { panic!() };
        modbus
    };
    let ms = Duration::from_millis;
    let timeouts = |at: usize| {
        let device = device(at);
        (device.min_timeout, device.timeout, device.pause)
    };
    // On RTU a quick unit is given up after a quarter of what it may take at most.
    assert_eq!(timeouts(0), (ms(100), ms(400), ms(20)));
    assert_eq!(timeouts(1), (ms(100), ms(2000), ms(0)));
    assert_eq!(timeouts(2), (ms(250), ms(1000), ms(0)));
    assert_eq!(timeouts(3), (ms(1000), ms(1000), ms(0)));
    assert_eq!(timeouts(6), (ms(3000), ms(3000), ms(0)));
    let bus = &device(0).line;
    assert_eq!(bus, &device(1).line);
    assert_eq!(bus.endpoint.to_string(), "/dev/ttyUSB0 (9600 8N2)");
    // The longest timeout of its devices, as nothing is written.
    assert_eq!((bus.quiet_time, bus.echo, bus.close_after_timeouts), (ms(2000), true, 5));
    let converter = &device(2).line;
    assert_eq!(converter.endpoint.to_string(), "10.0.0.9:4001 (RTU)");
    assert_eq!((converter.quiet_time, converter.connect_timeout), (ms(3000), ms(5000)));
    assert_eq!(converter.pause_after_connect, ms(100));
    let secure = &device(3).line;
    assert_eq!((secure.keep_alive, secure.close_after_cycle), (ms(30_000), true));
    let Endpoint::Tls { server_name, identity, .. } = &secure.endpoint else { panic!() };
    assert_eq!(server_name.to_str(), "gw.example");
    assert_eq!(identity, &Some(("/c.pem".into(), "/c.key".into())));
    assert!(device(4).line.rewrites_transaction_ids);
    // One connection, whichever of them says what it is like.
    assert_eq!(device(5).line, device(6).line);
    assert_eq!(device(6).line.keep_alive, ms(20_000));
    // Fewer registers in one read make more reads; a larger gap fewer.
    let reads = |at: usize| device(at).profile.reads();
    assert!(reads(0).iter().all(|read| read.count() <= 32), "{:?}", reads(0));
    assert!(reads(1).iter().any(|read| read.count() > 32), "{:?}", reads(1));
    assert!(reads(1).len() < reads(2).len() && reads(2).len() < reads(0).len());
}

#[test]
fn what_is_documented_of_lines_can_be_written() {
    let text = fs::read_to_string("../docs/lines.md").unwrap();
    let blocks = text.split("```toml").skip(1).map(|rest| rest.split("```").next().unwrap());
    let example: String = blocks.collect();
    let head = GOOD.split("[[device]]").next().unwrap();
    let config = Config::parse(&Source::new("lines.md", head.to_owned() + &example))
        .unwrap_or_else(|invalid| panic!("{}", invalid.render(false)));
    assert_eq!(config.devices.len(), 6);
    // What a line and a device can be told is in the tables, and nothing else.
    let told: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let slip = format!("{head}[[line]]\nname = \"a\"\nslip = 1\ntcp = {{ address = \"h:1\" }}\n");
    let invalid = Config::parse(&Source::new("agent.toml", slip)).unwrap_err();
    let help = invalid.problems().iter().filter_map(|problem| problem.help.clone());
    let help = help.filter(|help| help.contains("known keys are")).collect::<String>();
    let known: BTreeSet<&str> = help.split('`').skip(1).step_by(2).collect();
    let others = BTreeSet::from(["name", "serial", "rtu_over_tcp", "tcp", "tls"]);
    assert_eq!(told, known.difference(&others).copied().collect());
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
