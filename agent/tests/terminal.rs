//! What the tools print where: a progress bar and colours at a terminal, neither into a pipe, 80
//! columns everywhere, and JSON from every command that is asked for it.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../../crates/modbus/tests/peers/peer.rs"]
mod peer;

use std::process::{Command, Output};

use peer::{Pair, Peer};
use serde_json::Value as Json;
use tempfile::TempDir;

/// Recognised by holding register 10 of either unit of pymodbus; nobody has checked it.
const PROFILE: &str = "manufacturer = \"Example\"\n\
    model = \"a meter with a name that is longer than any column of a table can be\"\n\
    kind = \"power_meter\"\nconfidence = \"low\"\n[[fingerprint]]\ntable = \"holding\"\naddress = 10\n\
    values = [4106, 28682]\n\
    [[point]]\nname = \"frequency_of_the_grid_as_the_meter_sees_it\"\ntable = \"holding\"\n\
    address = 10\ntype = \"u16\"\nscale = 0.01\nmetric = \"meter_frequency_hertz\"\n\
    [[point]]\nname = \"voltage\"\ntable = \"input\"\naddress = 30\ntype = \"u16\"\nscale = 0.1\n\
    metric = \"meter_voltage_volts\"\nlabels = { phase = \"l1\" }\n";

/// A file whose name no table has a column for.
const FILE: &str = "./a-profile-of-the-site-with-a-rather-long-name.toml";
const DEVICE: &str = "meter-of-the-second-busbar-in-the-third-room-on-the-left";

/// A directory, and a serial line, at the other end of which pymodbus answers: units 1 and 7 have
/// registers, any other says who it is.
struct Desk {
    directory: TempDir,
    pair: Pair,
    _units: Peer,
}

impl Desk {
    fn new() -> Self {
        let (directory, pair) = (tempfile::tempdir().unwrap(), Pair::new());
        let desk = Self { _units: Peer::pymodbus(&["rtu", &pair.end("a")]), pair, directory };
        desk.write(FILE, PROFILE);
        desk.write(
            "agent.toml",
            &format!(
                "[agent]\nid = \"gw-1\"\ntenant = \"acme\"\nsite = \"fra-1\"\ndata = \"data\"\n\
                 collectors = [\"c-1\"]\n[broker]\nurl = \"mqtt://127.0.0.1:1\"\n\
                 [[line]]\nname = \"bus\"\n\
                 serial = {{ port = \"{}\", baud = 19200, parity = \"none\" }}\n\
                 [[device]]\nname = \"{DEVICE}\"\n\
                 modbus = {{ line = \"bus\", unit = 7, profile = \"{FILE}\" }}\n",
                desk.port()
            ),
        );
        desk
    }

    fn port(&self) -> String {
        self.pair.end("b")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn scan(&self) -> Vec<String> {
        let words = ["scan", "serial", &self.port(), "--parity", "none", "--units", "5-7"];
        let more = ["--pause", "0", "--timeout", "300", "--profile", FILE];
        words.into_iter().chain(more).map(str::to_owned).collect()
    }

    /// With pipes for its output.
    fn piped(&self, arguments: &[String]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_hallwatch-agent"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("RUST_LOG")
            .env_remove("NO_COLOR")
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[String]) -> (Option<i32>, Json) {
        let output = self.piped(&[arguments, &["--json".to_owned()]].concat());
        let json = serde_json::from_slice(&output.stdout);
        let json = json.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"));
        (output.status.code(), json)
    }

    /// At a terminal of 80 columns, with `variables` set: exit code and all that is shown there.
    fn terminal(&self, arguments: &[String], variables: &str) -> (Option<i32>, String) {
        let program = env!("CARGO_BIN_EXE_hallwatch-agent");
        let words = arguments.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let output = Command::new("script")
            .args(["-qec", &format!("stty cols 80; {variables} {program} {words}"), "/dev/null"])
            .current_dir(self.directory.path())
            .env_remove("RUST_LOG")
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .output()
            .expect("script is needed: apt-get install bsdutils");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// What a reader of `text` sees, line by line, without what colours it.
fn lines(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    // A progress bar is drawn over itself.
    plain.split(['\n', '\r']).map(str::to_owned).collect()
}

#[track_caller]
fn assert_fits(text: &str) {
    for line in lines(text) {
        // What is to be copied is not broken.
        let is_copied = ["serial = {", "modbus = {"].iter().any(|start| line.starts_with(start));
        assert!(line.chars().count() <= 80 || is_copied, "wider than 80: {line}\n{text}");
    }
}

/// Whether a style of the tools begins somewhere.
fn has_colours(text: &str) -> bool {
    ["\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"]
        .iter()
        .any(|code| text.contains(code))
}

#[test]
fn scan_shows_a_bar_and_colours_at_a_terminal_only() {
    let desk = Desk::new();
    let (code, shown) = desk.terminal(&desk.scan(), "");
    assert_eq!(code, Some(0), "{shown}");
    // `0/3` to `3/3`, redrawn, with what is asked and a guess at the time that is left.
    let bars: Vec<String> =
        lines(&shown).into_iter().filter(|line| line.contains("/3, ")).collect();
    assert!(bars.iter().any(|line| line.contains("left, ") && line.contains("unit ")), "{shown}");
    assert!(shown.contains("\x1b[2K") || shown.contains('\r'), "it is drawn over: {shown:?}");
    assert!(has_colours(&shown), "{shown:?}");
    let table = lines(&shown).into_iter().position(|line| line.starts_with("WHERE"));
    assert!(table.is_some(), "{shown}");
    assert_fits(&shown);
    // Whoever wants no colours has none; the bar stays.
    let (code, shown) = desk.terminal(&desk.scan(), "NO_COLOR=1");
    assert_eq!(code, Some(0), "{shown}");
    assert!(!has_colours(&shown) && shown.contains("/3, "), "{shown:?}");

    let output = desk.piped(&desk.scan());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.starts_with("3 units asked, 3 answered\n"), "{out}");
    assert_eq!(err, "", "no bar into a pipe");
    assert!(!out.contains(['\x1b', '\r']), "{out:?}");
    assert_fits(&out);
}

#[test]
fn scan_of_a_serial_line_as_json() {
    let desk = Desk::new();
    let (code, json) = desk.json(&desk.scan());
    assert_eq!((code, &json["complete"], &json["asked"]), (Some(0), &true.into(), &3.into()));
    let endpoint = format!("{} (19200 8N1)", desk.port());
    let answered = [5, 6, 7].map(|unit| serde_json::json!({ "endpoint": endpoint, "unit": unit }));
    assert_eq!((&json["answered"], &json["closed"]), (&answered.into(), &Json::Array(vec![])));
    let found = json["found"].as_array().unwrap();
    let found = found.iter().find(|found| found["unit"] == 7).unwrap();
    assert_eq!(found["endpoint"], endpoint);
    let profile = serde_json::json!({ "name": FILE, "confidence": "low" });
    assert_eq!((&found["profiles"][0], &found["any_unit"]), (&profile, &false.into()));
    let configuration = json["configuration"].as_str().unwrap();
    assert!(configuration.contains("modbus = { line = \"line-1\", unit = 7"), "{configuration}");
    // At a terminal programs are told the same, on a stream of their own.
    let (_, shown) = desk.terminal(&[desk.scan(), words("--json")].concat(), "");
    assert!(!has_colours(&shown) && shown.contains("\"complete\": true"), "{shown}");

    let nowhere = words("scan serial /dev/no-such-port --units 1");
    let (code, json) = desk.json(&nowhere);
    assert_eq!((code, &json["found"]), (Some(1), &serde_json::json!([])));
    assert!(json["closed"][0]["reason"].as_str().unwrap().contains("No such file"), "{json}");
}

#[test]
fn tables_fit_80_columns_and_are_coloured_at_a_terminal_only() {
    let desk = Desk::new();
    let config = "--config agent.toml";
    let title = |command: &str, title: &str| (words(command), title.to_owned());
    for (arguments, title) in [
        title(&format!("check {config}"), "NAME"),
        title(&format!("read {DEVICE} {config}"), "POINT"),
        title(&format!("read {DEVICE} --orders {config}"), "POINT"),
        title("profile list", "NAME"),
        title("profile show uhppoted_status", "PATH"),
        title("profile show deepsea_gencomm", "POINT"),
        title(&format!("profile show {FILE}"), "POINT"),
    ] {
        let (_, shown) = desk.terminal(&arguments, "");
        assert_fits(&shown);
        assert!(has_colours(&shown), "{arguments:?}: {shown:?}");
        let output = desk.piped(&arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(text.lines().any(|line| line.starts_with(&title)), "{arguments:?}: {text} {said}");
        assert!(!text.contains('\x1b') && !said.contains('\x1b'), "{arguments:?}: {text:?}");
        assert_fits(&text);
        assert_fits(&said);
    }
}

#[test]
fn the_log_of_a_run_is_coloured_at_a_terminal_only() {
    let desk = Desk::new();
    // The directory of its journal cannot be made: it says so, and ends.
    desk.write("data", "");
    let run = words("run --config agent.toml");
    let (_, shown) = desk.terminal(&run, "RUST_LOG=debug");
    assert!(shown.contains("could not"), "{shown}");
    let output = desk.piped(&run);
    assert!(output.status.code() != Some(0) && !output.stderr.is_empty(), "{output:?}");
    assert!(!output.stderr.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_command_answers_in_json() {
    let desk = Desk::new();
    desk.write("registers", "holding 10 4999\n");
    desk.write("said", "by = J. Doe\npoint.* = ok\n");
    desk.write(
        "answers",
        "tenant = acme\nsite = fra-1\nbroker.url = mqtt://127.0.0.1\ndevice.1.name = ups-a\n\
         device.1.profile = apc_smart_ups\ndevice.1.address = 192.0.2.13\n",
    );
    let config = "--config agent.toml";
    for (command, key) in [
        (format!("check --offline {config}"), "checks"),
        (format!("check {config}"), "checks"),
        (format!("read {DEVICE} {config}"), "points"),
        (format!("read {DEVICE} --orders {config}"), "points"),
        ("profile show apc_smart_ups".into(), "points"),
        ("profile show zigbee2mqtt_leak".into(), "points"),
        (format!("profile check {FILE}"), "points"),
        (format!("profile test {FILE} --registers registers"), "points"),
        (format!("commission {DEVICE} --answers said {config}"), "saved"),
        ("init --output new.toml --answers answers".into(), "written"),
    ] {
        let (_, json) = desk.json(&words(&command));
        assert!(json.get(key).is_some(), "{command}: {json}");
    }
    let (code, list) = desk.json(&words("profile list"));
    assert!(code == Some(0) && list.as_array().unwrap().len() > 50);
    for protocol in ["modbus", "mqtt"] {
        let one = list.as_array().unwrap().iter().find(|one| one["protocol"] == protocol).unwrap();
        let (_, shown) =
            desk.json(&words(&format!("profile show {}", one["name"].as_str().unwrap())));
        for key in ["name", "protocol", "kind", "manufacturer", "model", "confidence"] {
            assert_eq!(shown[key], one[key], "{key}");
        }
    }
    // So do those that fail.
    for (command, code, said) in [
        (format!("read nobody {config}"), 64, "has no device `nobody`"),
        ("read nobody --config nowhere".into(), 66, "could not read the configuration"),
        ("check --config nowhere".into(), 66, "could not read the configuration"),
        ("profile show apc_smart_up".into(), 64, "there is no profile"),
        ("profile list --kind upps".into(), 64, "no profile is of the kind"),
        (format!("commission {DEVICE} --output nowhere {config}"), 66, "there is no directory"),
        ("init --output new.toml --answers answers".into(), 1, "was left as it is"),
        ("scan tcp 127.0.0.1 --units 1 --profile ./nowhere.toml".into(), 66, "could not read"),
    ] {
        let (ended, json) = desk.json(&words(&command));
        assert_eq!((ended, &json["ok"]), (Some(code), &false.into()), "{command}: {json}");
        assert!(json["error"].as_str().unwrap().contains(said), "{command}: {json}");
    }
}
