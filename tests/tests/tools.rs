//! The site engineer's tools against the simulated plant: every device is read, recognised as far
//! as its profile allows, and commissioned, as somebody would who stands in front of it.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use hallwatch_sim::site::Device;
use hallwatch_tests::peers::{Mosquitto, free_address, listens};
use hallwatch_tests::process::{Process, binary};
use hallwatch_tests::site::devices;
use hallwatch_tests::wait::wait_for;
use serde_json::Value as Json;

struct Plant {
    directory: tempfile::TempDir,
    devices: Vec<Device>,
    broker: Mosquitto,
    _plant: Process,
}

impl Plant {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let broker = Mosquitto::start(directory.path()).await;
        let control = free_address();
        let mut command = Command::new(binary("hallwatch-sim"));
        command.args(["plant", "--control", &control.to_string(), "--broker", &broker.url()]);
        let plant = Process::start("plant", directory.path(), command).expect("a plant");
        listens(control).await;
        let devices = devices(&format!("http://{control}")).await;
        Self { directory, devices, broker, _plant: plant }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn device(&self, name: &str) -> &Device {
        self.devices.iter().find(|device| device.name == name).expect("a device of the plant")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(binary("hallwatch-agent"))
            .args(arguments)
            .current_dir(self.path())
            .output()
            .expect("it starts")
    }

    /// Its JSON and its exit code.
    fn json(&self, arguments: &[&str]) -> (Option<i32>, Json) {
        let output = self.run(arguments);
        let json = serde_json::from_slice(&output.stdout);
        let text = || String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), json.unwrap_or_else(|error| panic!("{error}: {}", text())))
    }

    /// Lines that all fit a terminal, and the exit code.
    fn text(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(!text.contains('\x1b'), "colours without a terminal: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "wider than 80:\n{text}");
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    }

    /// Answers to `init` for all devices of the plant and a broker for everything.
    fn answers(&self) -> String {
        let mut text = format!(
            "tenant = acme\nsite = fra-1\ndata = {}\nbroker.url = {}\n",
            self.path().display(),
            self.broker.url()
        );
        for (device, number) in self.devices.iter().zip(1..) {
            for (key, value) in [
                ("name", device.name.clone()),
                ("profile", device.profile.clone()),
                ("address", device.address.to_string()),
                ("unit", device.unit.to_string()),
            ] {
                text.push_str(&format!("device.{number}.{key} = {value}\n"));
            }
        }
        text
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_set_up_checked_and_commissioned_with_the_tools() {
    let plant = Plant::start().await;
    std::fs::write(plant.path().join("answers"), plant.answers()).expect("answers");
    let (code, text) = plant.text(&["init", "--answers", "answers"]);
    assert_eq!(code, Some(0), "{text}");

    // Every device of the plant is read with the profile that it says it is for.
    wait_for("a check without failures", Duration::from_secs(30), async || {
        let (code, json) = plant.json(&["check", "--config", "agent.toml", "--json"]);
        (code == Some(0) && json["ok"] == true).then_some(())
    })
    .await;
    let (code, text) = plant.text(&["check", "--config", "agent.toml"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("all is well"), "{text}");
    for device in &plant.devices {
        let line = text.lines().find(|line| line.starts_with(&format!("{} ", device.name)));
        assert!(line.is_some(), "no verdict for {}:\n{text}", device.name);
    }

    let (code, json) = plant.json(&["read", "ups-a", "--config", "agent.toml", "--json"]);
    assert_eq!(code, Some(0), "{json:#}");
    let points = json["points"].as_array().expect("points");
    let point = |name: &str| {
        points.iter().find(|point| point["point"] == name).unwrap_or_else(|| panic!("no {name}"))
    };
    let volts = point("output_voltage")["series"][0]["value"].as_f64().expect("a voltage");
    assert!((volts - 230.0).abs() < 20.0, "{volts} V");
    let raw = point("output_voltage")["raw"][0].as_f64().expect("a register");
    assert!((raw / 64.0 - volts).abs() < 1e-9, "{raw} is not {volts} V in sixty-fourths");

    std::fs::write(plant.path().join("yes"), "by = J. Doe\npoint.* = ok\n").expect("answers");
    let arguments = ["commission", "ups-a", "--config", "agent.toml", "--answers", "yes", "--json"];
    let (code, report) = plant.json(&arguments);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!((&report["by"], &report["complete"]), (&"J. Doe".into(), &true.into()));
    let confirmed = report["summary"]["confirmed"].as_u64().expect("a number");
    assert!(confirmed > 10, "{confirmed} points");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_recognises_a_device_that_names_itself() {
    let plant = Plant::start().await;
    let pdu = plant.device("pdu-a1");
    let address = pdu.address.to_string();
    let unit = pdu.unit.to_string();
    let (code, json) =
        plant.json(&["scan", "tcp", &address, "--units", &unit, "--pause", "0", "--json"]);
    assert_eq!(code, Some(0), "{json:#}");
    assert_eq!(json["found"][0]["profiles"][0]["name"], pdu.profile.as_str(), "{json:#}");
    assert_eq!(json["complete"], true);
    let (code, text) = plant.text(&["scan", "tcp", &address, "--units", &unit, "--pause", "0"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("profile = \"{}\"", pdu.profile)), "{text}");

    // Ctrl-C ends a scan at once, with what was found until then.
    let mut command = Command::new(binary("hallwatch-agent"));
    command.args(["scan", "tcp", &address, "--pause", "5000", "--units"]);
    command.arg(format!("{unit},2-200"));
    let mut scan = Process::start("scan", plant.path(), command).expect("a scan");
    // It must have asked the first unit before it is stopped; the pause after that is long.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let status = scan.terminate().await;
    let text = scan.output();
    assert!(status.code().is_some(), "it ended by itself: {text}");
    assert!(text.contains("stopped before the end") && text.contains("1 answered"), "{text}");
    assert!(text.contains("not identified yet"), "{text}");
}
