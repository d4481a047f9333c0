//! The tools of the command line, with the built program against a device that is served by an
//! independent Modbus library. What they print is compared as a whole.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::future;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value as Json;
use tempfile::TempDir;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

/// A profile of the site's own.
const PROFILE: &str = r#"
manufacturer = "Example"
model = "Box 7"
kind = "power_meter"
confidence = "low"
source = ["the display"]

[[fingerprint]]
table = "holding"
address = 0
values = [0x4207]

[[point]]
name = "serial"
table = "holding"
address = 1
type = "text"
length = 2
identity = "serial"

[[point]]
name = "voltage"
table = "holding"
address = 10
type = "f32"
min = 0
max = 500
metric = "meter_voltage_volts"
labels = { phase = "l1" }

[[point]]
name = "frequency"
table = "holding"
address = 12
type = "u16"
scale = 0.01
not_available = [0xffff]
metric = "meter_frequency_hertz"

[[point]]
name = "current"
table = "holding"
address = 20
type = "i16"
scale = 0.1
max = 100
metric = "meter_current_amperes"
labels = { phase = "l1" }

[[point]]
name = "absent"
table = "holding"
address = 300
type = "u16"
metric = "meter_active_power_watts"
labels = { phase = "l1" }
"#;

/// What the box holds: its number, "AB12", 230.5 V, 49.99 Hz, and a current of 3000 A that cannot be.
const HELD: [(u16, u16); 7] =
    [(0, 0x4207), (1, 0x4142), (2, 0x3132), (10, 0x4366), (11, 0x8000), (12, 4999), (20, 30000)];

/// Answers as unit 7 of a gateway behind which nobody else is. Addresses from 256 on are refused.
#[derive(Clone)]
struct Device(Arc<HashMap<u16, u16>>);

impl Service for Device {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Result<Response, ExceptionCode>> + Send>>;

    fn call(&self, asked: SlaveRequest<'static>) -> Self::Future {
        let answer = match asked.request {
            _ if asked.slave != 7 => Err(ExceptionCode::GatewayTargetDevice),
            Request::ReadHoldingRegisters(from, count)
                if u32::from(from) + u32::from(count) <= 256 =>
            {
                let all = (from..from + count).map(|at| self.0.get(&at).copied());
                Ok(Response::ReadHoldingRegisters(all.map(Option::unwrap_or_default).collect()))
            }
            Request::ReadHoldingRegisters(..) => Err(ExceptionCode::IllegalDataAddress),
            _ => Err(ExceptionCode::IllegalFunction),
        };
        Box::pin(future::ready(answer))
    }
}

/// A directory with a configuration for the device, and the device.
struct Site {
    directory: TempDir,
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Site {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let device = Device(Arc::new(HELD.into()));
        runtime.spawn(async move {
            let connected = |stream, from: SocketAddr| {
                let device = device.clone();
                async move { accept_tcp_connection(stream, from, |_| Ok(Some(device.clone()))) }
            };
            Server::new(listener).serve(&connected, |_| ()).await
        });
        let site = Self { directory: TempDir::new().unwrap(), address, _runtime: runtime };
        site.write("box.toml", PROFILE);
        site.configure(&address.to_string());
        site
    }

    fn configure(&self, address: &str) {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "[agent]\nid = \"gw-1\"\ntenant = \"acme\"\nsite = \"fra-1\"\ndata = \"{}\"\n\
             collectors = [\"c-1\"]\n[broker]\nurl = \"mqtt://{nobody}\"\n\
             [[device]]\nname = \"box\"\nmodbus_tcp = {{ address = \"{address}\", unit = 7, \
             profile = \"./box.toml\" }}\n\
             [[device]]\nname = \"other\"\nmodbus_tcp = {{ address = \"{nobody}\", unit = 1, \
             profile = \"apc_smart_ups\" }}\n\
             [[device]]\nname = \"lost\"\nmodbus_tcp = {{ address = \"{address}\", unit = 9, \
             profile = \"apc_smart_ups\" }}\n",
            self.directory.path().display()
        );
        self.write("agent.toml", &text);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_hallwatch-agent"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("RUST_LOG")
            .output()
            .unwrap()
    }

    /// What is printed to both streams, without what differs from run to run.
    fn shown(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        let mut text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains('\x1b'), "colours without a terminal: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "wider than 80:\n{text}");
        text.push_str(&String::from_utf8(output.stderr).unwrap());
        // The port and the directory are replaced by as many characters, so that columns stay.
        for (from, to) in [
            (self.address.port().to_string(), "PORT1".to_owned()),
            (self.directory.path().display().to_string(), "DIRECTORY".to_owned()),
        ] {
            text = text.replace(&from, &format!("{to:.<width$}", width = from.len()));
        }
        (output.status.code().unwrap(), text)
    }

    fn json(&self, arguments: &[&str]) -> (i32, Json) {
        let output = self.run(arguments);
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
    }
}

const CONFIG: [&str; 2] = ["--config", "agent.toml"];

#[test]
fn read_shows_registers_beside_values_and_reasons() {
    let site = Site::start();
    let (code, text) = site.shown(&["read", "box", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 1, "a value out of range and a refused address:\n{text}");
    insta::assert_snapshot!("read", text);
    let (code, text) = site.shown(&["read", "box", "voltage", "--orders", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("orders", text);
    let target = format!("{}/7", site.address);
    let (code, json) =
        site.json(&["read", &target, "voltage", "serial", "--profile", "./box.toml", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(json["points"][1]["number"], 230.5);
    assert_eq!(json["points"][1]["raw"], serde_json::json!([0x4366, 0x8000]));
    assert_eq!(json["points"][0]["text"], "AB12");
    assert_eq!(json["identity"]["serial"], "AB12");
    assert_eq!(json["confidence"], "low");
}

#[test]
fn what_cannot_be_read_is_told_with_what_to_do() {
    let site = Site::start();
    let (code, text) = site.shown(&["read", "bx", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 64);
    assert!(text.contains("has no device `bx`") && text.contains("did you mean `box`"), "{text}");
    let (code, text) = site.shown(&["read", "box", "voltag", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 64);
    assert!(text.contains("no point `voltag`") && text.contains("`voltage`"), "{text}");
    let (code, text) = site.shown(&["read", "box", "--config", "nowhere.toml"]);
    assert_eq!(code, 66);
    assert!(text.contains("could not read the configuration nowhere.toml"), "{text}");
    let (code, text) = site.shown(&["read", "lost", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 1);
    assert!(text.contains("hint: a gateway answered"), "{text}");
}

#[test]
fn the_registers_that_read_prints_are_those_that_profile_test_reads() {
    let site = Site::start();
    let output = site.run(&["read", "box", "--registers", CONFIG[0], CONFIG[1]]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("holding 10 0x4366 0x8000  # voltage"), "{text}");
    site.write("registers.txt", &text);
    let arguments = ["profile", "test", "./box.toml", "--registers", "registers.txt"];
    let (code, text) = site.shown(&arguments);
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!("profile_test", text);
}

#[test]
fn check_has_a_verdict_for_each() {
    let site = Site::start();
    let (code, json) = site.json(&["check", CONFIG[0], CONFIG[1], "--json"]);
    assert_eq!((code, &json["ok"]), (1, &false.into()));
    let checks = json["checks"].as_array().unwrap();
    let verdicts: Vec<_> = checks
        .iter()
        .map(|check| (check["name"].as_str().unwrap(), check["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("journal", "ok"),
            ("broker", "unreachable"),
            ("box", "partly"),
            ("other", "unreachable"),
            ("lost", "refused"),
        ]
    );
    for check in checks.iter().filter(|check| check["ok"] == false) {
        assert!(check["hint"].is_string() && check["problems"][0].is_string(), "{check}");
    }
    let (code, text) = site.shown(&["check", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 1);
    assert!(text.contains("the profile ./box.toml is unverified (low confidence)"), "{text}");
    assert!(text.contains("4 of 5 failed"), "{text}");
    assert!(text.contains("`current` is out of range: the device sent 0x7530"), "{text}");
}

#[test]
fn check_offline_asks_nobody_and_reads_the_site_s_own_profiles() {
    let site = Site::start();
    let (code, text) = site.shown(&["check", "--offline", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("check_offline", text);
    site.write("box.toml", &PROFILE.replace("meter_voltage_volts", "meter_voltag_volts"));
    let (code, text) = site.shown(&["check", "--offline", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 78);
    assert!(text.contains("the profile ./box.toml has problems"), "{text}");
    assert!(text.contains("meter_voltage_volts"), "{text}");
    let (code, json) = site.json(&["check", "--offline", CONFIG[0], CONFIG[1], "--json"]);
    assert_eq!(code, 78);
    let files: Vec<_> =
        json["problems"].as_array().unwrap().iter().map(|found| found["file"].clone()).collect();
    assert_eq!(files, ["agent.toml", "./box.toml"]);
    std::fs::remove_file(site.directory.path().join("box.toml")).unwrap();
    let (code, text) = site.shown(&["profile", "check", "box.toml"]);
    assert_eq!(code, 66, "{text}");
    let (code, text) = site.shown(&["check", "--offline", CONFIG[0], CONFIG[1]]);
    assert_eq!(code, 78);
    assert!(text.contains("could not read the profile ./box.toml"), "{text}");
}

#[test]
fn scan_finds_the_units_behind_a_gateway() {
    let site = Site::start();
    let host = site.address.to_string();
    let scan = ["scan", "tcp", &host, "--units", "5-9", "--pause", "0"];
    let (code, text) = site.shown(&scan);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("unknown") && text.contains("hint: no profile is known"), "{text}");
    let (code, text) = site.shown(&[&scan[..], &["--profile", "./box.toml"]].concat());
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("scan", text);
    let (code, json) = site.json(&["scan", "tcp", &host, "--units", "5-6", "--json"]);
    assert_eq!(code, 1);
    assert_eq!((&json["asked"], &json["found"]), (&2.into(), &serde_json::json!([])));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, json) = site.json(&["scan", "tcp", &nobody, "--units", "1-247", "--json"]);
    assert_eq!((code, &json["asked"]), (1, &1.into()), "a closed port is asked once");
    assert!(json["closed"][0]["reason"].as_str().unwrap().contains("no connection"));
}

#[test]
fn every_shipped_profile_can_be_shown() {
    let site = Site::start();
    let (code, list) = site.json(&["profile", "list", "--json"]);
    assert_eq!(code, 0);
    let all = list.as_array().unwrap();
    assert!(all.len() > 20);
    for profile in all {
        let name = profile["name"].as_str().unwrap();
        let (code, text) = site.shown(&["profile", "show", name]);
        assert_eq!(code, 0, "{text}");
        let low = profile["confidence"] == "low";
        assert_eq!(text.contains("is unverified (low confidence)"), low, "{text}");
    }
    let (code, text) = site.shown(&["profile", "list"]);
    assert_eq!(code, 0);
    for profile in all {
        let name = profile["name"].as_str().unwrap();
        // The longest names are broken in two.
        let row = text.lines().find(|line| {
            let first = line.split(' ').next().unwrap();
            !first.is_empty() && name.starts_with(first) && name.len() < first.len() + 4
        });
        let trust = profile["confidence"].as_str().unwrap();
        assert!(row.unwrap().split_whitespace().any(|word| word == trust), "{name}:\n{text}");
    }
    let protocols = |wanted: &str| all.iter().filter(|one| one["protocol"] == wanted).count();
    assert_eq!(protocols("modbus") + protocols("mqtt"), all.len());
    assert!(protocols("mqtt") > 10 && text.contains("MQTT: "), "{text}");
    let (code, text) = site.shown(&["profile", "show", "apc_smart_up"]);
    assert_eq!(code, 64);
    assert!(text.contains("did you mean `apc_smart_ups`?"), "{text}");
}

/// The profile of a sensor, the site's own.
const PROBE: &str = "manufacturer = \"Example\"\nmodel = \"Probe\"\n\
    kind = \"environment_sensor\"\nconfidence = \"low\"\n\
    points = [ { metric = \"environment_leak\" } ]\n";

#[test]
fn profiles_of_sensors_are_shown_and_have_no_registers() {
    let site = Site::start();
    let (code, text) = site.shown(&["profile", "show", "zigbee2mqtt_contact"]);
    assert_eq!(code, 0, "{text}");
    for part in ["availability: {topic}/availability", "access_door_open", "inverted", "optional"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let (code, json) = site.json(&["profile", "show", "tasmota_am2301", "--json"]);
    assert_eq!((code, &json["topic"]), (0, &"tele/{topic}/SENSOR".into()));
    assert_eq!(json["points"][1]["path"], "AM2301.Humidity");
    assert_eq!(json["points"][1]["scale"], 0.01);
    let (code, text) = site.shown(&["profile", "show", "zigbee2mqtt_climat"]);
    assert_eq!(code, 64);
    assert!(text.contains("did you mean `zigbee2mqtt_climate`?"), "{text}");
    let (code, text) = site.shown(&["profile", "test", "uhppoted", "--registers", "none"]);
    assert_eq!(code, 64);
    assert!(text.contains("one of MQTT sensors, it has no registers"), "{text}");

    site.write("probe.toml", PROBE);
    let (code, text) = site.shown(&["profile", "check", "probe.toml"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("probe.toml: valid") && text.contains("is unverified"), "{text}");
    site.write("probe.toml", &PROBE.replace("environment_leak", "environment_leek"));
    let (code, text) = site.shown(&["profile", "check", "probe.toml"]);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("did you mean `environment_leak`?"), "{text}");
}

#[test]
fn a_profile_says_what_the_installation_decides_and_takes_it() {
    let site = Site::start();
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, text) = site.shown(&["profile", "show", "acrel_adw300"]);
    assert!(plain(&text).contains("parameter ct_ratio = 1 (from 1 to 10000): ratio of"), "{text}");
    let (_, text) = site.shown(&["profile", "show", "papouch_tme"]);
    let told = "parameter temperature_exponent = ? (one of -2, -1, 0): power of ten";
    assert!(plain(&text).contains(told), "{text}");
    assert!(text.contains("(?) has to be set"), "{text}");
    let (_, json) = site.json(&["profile", "show", "papouch_tme", "--json"]);
    let parameter = &json["parameters"][0];
    assert_eq!(parameter["name"], "temperature_exponent");
    assert_eq!((&parameter["required"], &parameter["default"]), (&true.into(), &Json::Null));
    assert_eq!(parameter["values"], serde_json::json!([-2.0, -1.0, 0.0]));

    // 23.5 degrees in tenths, and a probe that is well.
    site.write("held", "input 0 235 0\n");
    let test = ["profile", "test", "papouch_tme", "--registers", "held", "--json"];
    let (_, json) = site.json(&test);
    assert_eq!(json["points"][0]["series"][0]["missing"], "not_available", "{json}");
    let (code, json) = site.json(&[&test[..], &["--set", "temperature_exponent=-1"]].concat());
    assert_eq!((code, &json["points"][0]["series"][0]["value"]), (0, &23.5.into()), "{json}");
    for (set, told) in [
        ("temperature_exponent=5", "cannot be 5: it is one of -2, -1, 0"),
        ("scale=1", "has no parameter `scale`"),
        ("scale", "write it as `name=number`"),
        ("scale=x", "`x` is no number"),
    ] {
        let (code, text) = site.shown(&[&test[..5], &["--set", set]].concat());
        assert!(code == 64 && plain(&text).contains(told), "{code} {text}");
    }
}

/// A sensor whose profile nobody has checked, one whose profile is known to be right, and one that the
/// site describes itself.
const SENSORS: &str = "[[device]]\nname = \"probe\"\n\
    mqtt = { topic = \"hall/probe\", profile = \"./probe.toml\" }\n\
    [[device]]\nname = \"reader\"\n\
    mqtt = { topic = \"/rfid\", profile = \"esp_rfid\" }\n\
    [[device]]\nname = \"leak\"\n\
    mqtt = { topic = \"hall/leak\", points = [ { metric = \"environment_leak\" } ] }\n";

#[test]
fn check_and_run_say_which_profiles_nobody_has_checked() {
    let site = Site::start();
    site.write("probe.toml", PROBE);
    let text = std::fs::read_to_string(site.directory.path().join("agent.toml")).unwrap();
    site.write("agent.toml", &(text + SENSORS));
    let offline = ["check", "--offline", CONFIG[0], CONFIG[1]];
    let (code, text) = site.shown(&offline);
    assert_eq!(code, 0, "{text}");
    assert_eq!(text.matches("warning: the profile").count(), 2, "{text}");
    for name in ["./box.toml", "./probe.toml"] {
        assert!(text.contains(&format!("warning: the profile {name} is unverified")), "{text}");
    }
    let (_, json) = site.json(&[&offline[..], &["--json"]].concat());
    assert_eq!(json["unverified_profiles"], serde_json::json!(["./box.toml", "./probe.toml"]));

    let mut agent = Command::new(env!("CARGO_BIN_EXE_hallwatch-agent"));
    agent.current_dir(site.directory.path()).args(["run", CONFIG[0], CONFIG[1]]);
    let mut agent = agent.env("RUST_LOG", "warn").stderr(Stdio::piped()).spawn().unwrap();
    let stderr = agent.stderr.take().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    // All of them are said before anything is asked.
    let mut log = Vec::new();
    while let Ok(line) = lines.recv_timeout(std::time::Duration::from_secs(20)) {
        let is_warning = line.contains("the profile was never checked at a device");
        if log.len() >= 2 && !is_warning || log.len() > 100 {
            break;
        }
        log.push(line);
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    let told = |device: &str| {
        let said = log.iter().filter(|line| line.contains("never checked at a device"));
        said.filter(|line| line.contains("WARN") && line.contains(device)).count()
    };
    assert_eq!([told("box.toml"), told("probe.toml"), told("esp_rfid")], [1, 1, 0], "{log:?}");
}

fn reports(directory: &Path) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_report = |path: &std::path::PathBuf| path.to_string_lossy().contains("commissioning-");
    let mut found: Vec<_> = all.filter(is_report).collect();
    found.sort();
    found
}

#[test]
fn commission_saves_what_the_engineer_says() {
    let site = Site::start();
    site.write(
        "answers",
        "by = J. Doe\npoint.voltage = ok\npoint.frequency = display says 50.01 | 1 s later\n\
         point.* = ok\n",
    );
    let arguments = ["commission", "box", CONFIG[0], CONFIG[1], "--answers", "answers"];
    let (code, text) = site.shown(&arguments);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("1 confirmed, 1 noted, 2 missing, 0 skipped"), "{text}");
    let saved = reports(site.directory.path());
    assert_eq!(saved.len(), 2, "{saved:?}");
    let json: Json = serde_json::from_slice(&std::fs::read(&saved[0]).unwrap()).unwrap();
    let (by, device) = (json["by"].as_str(), json["device"].as_str());
    assert_eq!((by, device), (Some("J. Doe"), Some("box")));
    assert_eq!(json["agent"], "acme/fra-1/gw-1");
    assert_eq!((&json["confidence"], &json["complete"]), (&"low".into(), &true.into()));
    assert_eq!(json["points"][0]["raw"], serde_json::json!([0x4366, 0x8000]));
    assert_eq!(json["points"][0]["outcome"], "confirmed");
    assert_eq!(json["points"][2]["outcome"], "missing");
    let markdown = std::fs::read_to_string(&saved[1]).unwrap();
    assert!(
        markdown.starts_with("# Commissioning of box\n\n- by: J. Doe\n- from: 2"),
        "{markdown}"
    );
    assert!(markdown.contains(
        "| voltage | holding 10 | 4366 8000 | 230.5 volts | confirmed |  |\n\
         | frequency | holding 12 | 1387 | 49.99 hertz | noted | display says 50.01 \\| 1 s later |"
    ));
    // A second one replaces nothing; what the file does not answer ends it.
    site.write("answers", "by = J. Doe\npoint.voltage = ok\n");
    let (code, text) = site.shown(&arguments);
    assert_eq!(code, 78);
    assert!(text.contains("answers has no answer to `point.frequency`"), "{text}");
    let (code, text) = site.shown(&[&arguments[..], &["voltage"]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(reports(site.directory.path()).len() >= 4);
}

const ANSWERS: &str = "tenant = acme\nsite = fra-1\nbroker.url = mqtts://broker.example:8883\n\
    device.1.name = ups-a\ndevice.1.profile = apc_smart_ups\ndevice.1.address = 192.0.2.13\n\
    device.1.feed = A\ndevice.2.name = box\ndevice.2.profile = ./box.toml\n\
    device.2.address = 192.0.2.14:1502\ndevice.2.unit = 7\n";

#[test]
fn init_writes_what_check_takes_and_replaces_nothing_unasked() {
    let site = Site::start();
    site.write("answers", ANSWERS);
    let arguments = ["init", "--output", "new.toml", "--answers", "answers"];
    let (code, text) = site.shown(&arguments);
    assert_eq!(code, 0, "{text}");
    let path = site.directory.path().join("new.toml");
    let written = std::fs::read_to_string(&path).unwrap();
    insta::assert_snapshot!("init", written);
    let (code, text) = site.shown(&["check", "--offline", "--config", "new.toml"]);
    assert_eq!(code, 0, "{text}");
    site.write("answers", &ANSWERS.replace("fra-1", "fra-2"));
    let (code, text) = site.shown(&arguments);
    assert_eq!(code, 1);
    assert!(text.contains("new.toml was left as it is"), "{text}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    site.write("answers", &(ANSWERS.replace("fra-1", "fra-2") + "overwrite = yes\n"));
    assert_eq!(site.shown(&arguments).0, 0);
    assert!(std::fs::read_to_string(&path).unwrap().contains("site = \"fra-2\""));
}

#[test]
fn init_asks_what_the_profile_has_to_be_told() {
    let site = Site::start();
    let init = |scale: &str| {
        let with = format!("profile = papouch_tme\ndevice.1.temperature_exponent = {scale}");
        site.write("answers", &ANSWERS.replace("profile = apc_smart_ups", &with));
        let (code, text) = site.shown(&["init", "--output", "new.toml", "--answers", "answers"]);
        (code, text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let (code, text) = init("10");
    assert!(code != 0 && text.contains("`temperature_exponent` cannot be 10"), "{text}");
    let (code, text) = init("-1");
    assert_eq!(code, 0, "{text}");
    let written = std::fs::read_to_string(site.directory.path().join("new.toml")).unwrap();
    let line = "profile = \"papouch_tme\", parameters = { temperature_exponent = -1 } }";
    assert!(written.contains(line), "{written}");
    let (code, text) = site.shown(&["check", "--offline", "--config", "new.toml"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the profile papouch_tme is unverified (low confidence)"), "{text}");
}

#[test]
fn init_refuses_an_answer_as_the_agent_would() {
    let site = Site::start();
    for (from, to, told) in [
        ("site = fra-1", "site = fra 1", "`site`"),
        ("mqtts://broker.example:8883", "http://broker.example", "`broker.url`"),
        ("apc_smart_ups", "apc_smart_up", "did you mean `apc_smart_ups`?"),
        ("unit = 7", "unit = 700", "`device.2.unit`"),
        ("name = box", "name = ups-a", "`device.2.name`"),
        ("feed = A", "feed = A\nfeet = B", "nobody asked for the answer `feet`"),
    ] {
        let _ = std::fs::remove_file(site.directory.path().join("new.toml"));
        site.write("answers", &ANSWERS.replace(from, to));
        let (_, text) = site.shown(&["init", "--output", "new.toml", "--answers", "answers"]);
        // Lines are broken to fit the terminal.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(told), "{to}: {text}");
        let exists = site.directory.path().join("new.toml").exists();
        assert_eq!(exists, to.contains("feet"), "{to}: {text}");
    }
}
