//! The tools of the command line on lines of every kind, and at a terminal.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::peer::{Certificates, Pair, Peer};

/// Recognised by holding register 10 of either unit of pymodbus.
const PROFILE: &str = "manufacturer = \"Example\"\nmodel = \"Box\"\nkind = \"power_meter\"\n\
    confidence = \"high\"\n[[fingerprint]]\ntable = \"holding\"\naddress = 10\n\
    values = [4106, 28682]\n\
    [[point]]\nname = \"frequency\"\ntable = \"holding\"\naddress = 10\ntype = \"u16\"\n\
    scale = 0.01\nmetric = \"meter_frequency_hertz\"\n\
    [[point]]\nname = \"voltage\"\ntable = \"input\"\naddress = 30\ntype = \"u16\"\nscale = 0.1\n\
    metric = \"meter_voltage_volts\"\nlabels = { phase = \"l1\" }\n";

const HEAD: &str = "[agent]\nid = \"gw-1\"\ntenant = \"acme\"\nsite = \"fra-1\"\ndata = \"data\"\n\
    collectors = [\"c-1\"]\n[broker]\nurl = \"mqtt://127.0.0.1:1\"\n";

/// Where the tools are used.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write("own.toml", PROFILE);
        desk
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hallwatch-agent"));
        command.args(arguments).current_dir(self.0.path()).env_remove("RUST_LOG");
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let (code, text) = told(&self.command(arguments).output().unwrap());
        // What is to be copied is not broken.
        let fits = |line: &str| line.chars().count() <= 80 || line.contains(" = {");
        assert!(text.lines().all(fits), "wider than 80:\n{text}");
        (code, text)
    }

    /// With `input` typed into a pipe.
    fn typed(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        told(&child.wait_with_output().unwrap())
    }

    /// At a terminal: what is written to its input is typed there.
    fn terminal(&self, arguments: &str) -> Child {
        let program = env!("CARGO_BIN_EXE_hallwatch-agent");
        Command::new("socat")
            .args(["-t", "20", "-"])
            .arg(format!("EXEC:\"{program} {arguments}\",pty,setsid,ctty,stderr"))
            .current_dir(self.0.path())
            .env_remove("RUST_LOG")
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("socat is needed: apt-get install socat")
    }

    /// What `scan` proposes for the configuration is one, and `check` finds all of it well.
    fn check_proposal(&self, scanned: &str, devices: usize) {
        let (_, proposal) = scanned.split_once("with names of your own:").unwrap();
        assert_eq!(proposal.matches("[[device]]").count(), devices, "{scanned}");
        self.write("agent.toml", &(HEAD.to_owned() + proposal));
        let output = self.command(&["check", "--config", "agent.toml", "--json"]).output().unwrap();
        let json: Json = serde_json::from_slice(&output.stdout).unwrap();
        let checks = json["checks"].as_array().unwrap_or_else(|| panic!("{json}: {proposal}"));
        let of_devices: Vec<_> =
            checks.iter().filter(|check| check["name"].as_str().unwrap().contains('-')).collect();
        assert_eq!(of_devices.len(), devices, "{json}");
        for check in of_devices {
            assert_eq!(check["verdict"], "ok", "{check}");
        }
    }
}

fn told(output: &Output) -> (i32, String) {
    let mut text = String::from_utf8(output.stdout.clone()).unwrap();
    text.push_str(&String::from_utf8(output.stderr.clone()).unwrap());
    (output.status.code().unwrap(), text)
}

/// The words of a text, however its lines are broken.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const SCAN: [&str; 6] = ["--units", "1,7", "--pause", "0", "--profile", "./own.toml"];

#[test]
fn scan_and_read_and_check_on_a_serial_line() {
    let (desk, pair) = (Desk::new(), Pair::new());
    let peer = Peer::pymodbus(&["rtu", &pair.end("a")]);
    let port = pair.end("b");
    let serial = ["scan", "serial", &port, "--parity", "none"];
    let (code, text) = desk.run(&[&serial[..], &SCAN].concat());
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains(&format!("serial = {{ port = \"{port}\", baud = 19200, parity = \"none\""))
    );
    assert_eq!(text.matches("[[line]]").count(), 1, "{text}");
    desk.check_proposal(&text, 2);

    let target = format!("{port}/7");
    let arguments = ["read", &target, "--profile", "./own.toml", "--parity", "none"];
    let (code, text) = desk.run(&arguments);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("286.82") && text.contains("Modbus RTU"), "{text}");
    let (code, text) = desk.run(&["read", "power-meter-7", "--config", "agent.toml"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("286.82") && text.contains("(19200 8N1) unit 7"), "{text}");

    let (code, text) = desk.run(&["read", "/dev/ttyUSB0", "--profile", "./own.toml"]);
    assert_eq!(code, 64);
    assert!(words(&text).contains("write PORT/UNIT"), "{text}");
    let (code, text) = desk.run(&["read", "/dev/no-such-port/1", "--profile", "./own.toml"]);
    assert_eq!(code, 1);
    assert!(words(&text).contains("there is no such port"), "{text}");
    // Nobody answers: what to look at on a serial line.
    drop(peer);
    let arguments = ["read", &target, "--profile", "./own.toml", "--timeout", "100"];
    let (code, text) = desk.run(&arguments);
    assert_eq!(code, 1);
    assert!(words(&text).contains("baud, parity"), "{text}");
}

#[test]
fn scan_and_read_and_check_over_rtu_over_tcp() {
    let (desk, peer) = (Desk::new(), Peer::pymodbus(&["rtu-tcp"]));
    let (code, text) = desk.run(&[&["scan", "tcp", &peer.address, "--rtu"], &SCAN[..]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&format!("rtu_over_tcp = {{ address = \"{}\" }}", peer.address)));
    desk.check_proposal(&text, 2);
    let target = format!("{}/1", peer.address);
    let (code, text) = desk.run(&["read", &target, "--rtu", "--profile", "./own.toml"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("41.06"), "{text}");
}

#[test]
fn check_says_what_to_do_about_certificates() {
    let (desk, certificates) = (Desk::new(), Certificates::make());
    let peer = certificates.server();
    let check = |ca: &str, name: &str| {
        let line = crate::tls_line(&certificates, &peer, ca, name);
        let device = "[[device]]\nname = \"meter-1\"\n\
            modbus = { line = \"tls\", unit = 1, profile = \"./own.toml\" }\n";
        desk.write("agent.toml", &format!("{HEAD}{line}{device}"));
        let output = desk.command(&["check", "--config", "agent.toml", "--json"]).output().unwrap();
        let json: Json = serde_json::from_slice(&output.stdout).unwrap();
        let checks = json["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["name"] == "meter-1").unwrap();
        let hint = found["hint"].as_str().unwrap_or_default().to_owned();
        (found["verdict"].as_str().unwrap().to_owned(), hint)
    };
    assert_eq!(check("ca", "client").0, "ok");
    let (verdict, hint) = check("ca", "stranger");
    assert_eq!(verdict, "unreachable");
    assert!(
        hint.contains("does not accept our certificate: is `certificate` of the line"),
        "{hint}"
    );
    let (verdict, hint) = check("other", "client");
    assert_eq!(verdict, "unreachable");
    assert!(hint.contains("is `ca` the authority that signed it"), "{hint}");
    fs::remove_file(certificates.path("client.pem")).unwrap();
    let (verdict, hint) = check("ca", "client");
    assert_eq!(verdict, "failed");
    assert!(hint.contains("PEM files"), "{hint}");
}

#[test]
fn read_watches_until_it_is_stopped() {
    let (desk, peer) = (Desk::new(), Peer::pymodbus(&["tcp"]));
    let target = format!("{}/1", peer.address);
    let arguments = ["read", &target, "--profile", "./own.toml", "--watch", "--every", "100"];
    let mut command = desk.command(&[&arguments[..], &["--json"]].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let json: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(json["points"][0]["number"], 41.06, "{json}");
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));

    // At a terminal the picture is replaced, and Ctrl-C ends it.
    let mut child = desk.terminal(&arguments.join(" "));
    let mut shown = child.stdout.take().unwrap();
    let mut text = String::new();
    let mut bytes = [0; 1024];
    while text.matches("\x1b[H\x1b[2J").count() < 3 {
        let count = shown.read(&mut bytes).unwrap();
        assert!(count > 0, "it ended: {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert!(text.contains("41.06") && text.contains("frequency"), "{text}");
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(b"\x03").unwrap();
    keyboard.flush().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn read_takes_what_the_installation_decides() {
    let (desk, peer) = (Desk::new(), Peer::pymodbus(&["tcp"]));
    let profile = PROFILE.replace(
        "[[point]]\nname = \"voltage\"",
        "times = \"ratio\"\n\
        [parameters.ratio]\nrequired = true\nmin = 1\nmax = 100\nhelp = \"of a transformer\"\n\
        [[point]]\nname = \"voltage\"",
    );
    desk.write("own.toml", &profile);
    let address = format!("{}/1", peer.address);
    let read = |more: &[&str]| {
        let base = ["read", &*address, "--profile", "./own.toml", "frequency"];
        desk.run(&[&base[..], more].concat())
    };
    let (code, text) = read(&["--set", "ratio=10"]);
    assert!(code == 0 && text.contains("410.6"), "{text}");
    // What has to be told and is not is not available, and no mistake.
    let (code, text) = read(&[]);
    assert!(code == 0 && !text.contains("41.06"), "{text}");
    for (wrong, said) in [
        ("ratio=0", "cannot be 0"),
        ("ration=2", "has no parameter `ration`"),
        ("ratio=ten", "`ten` is no number"),
    ] {
        let (code, text) = read(&["--set", wrong]);
        assert!(code == 64 && text.contains(said), "{code}: {text}");
    }
    let (code, text) = desk.run(&["read", "meter-1", "--set", "ratio=2"]);
    assert!(code == 64 && text.contains("--profile"), "{code}: {text}");
}

#[test]
fn init_asks_for_lines_of_every_kind() {
    let desk = Desk::new();
    // Tenant, site, agent, journal, collectors, broker, its user, broker of sensors; for each
    // device name, profile, address, [baud, parity, stop bits], unit, room, rack, feed. A wrong
    // answer is asked again.
    let typed = "acme\nfra 1\nfra-1\n\n\n\nmqtt://127.0.0.1\n\n\n\
        meter-1\n./own.toml\n/dev/ttyUSB0\n9600\nevn\nnone\n2\n3\nhall-1\n\n\n\
        meter-2\n./own.toml\n/dev/ttyUSB0\n3\n4\n\n\n\n\
        meter-3\n./own.toml\nrtu:10.0.0.9:4001\n1\n\n\n\n\
        meter-4\n./own.toml\n10.0.0.5\n1\n\n\n\n\n";
    let (code, text) = desk.typed(&["init", "--output", "new.toml"], typed);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("did you mean `even`?"), "{text}");
    assert!(words(&text).contains("is read twice"), "{text}");
    let written = desk.read("new.toml");
    for expected in [
        "serial = { port = \"/dev/ttyUSB0\", baud = 9600, parity = \"none\", stop_bits = 2 }",
        "rtu_over_tcp = { address = \"10.0.0.9:4001\" }",
        "modbus = { line = \"line-1\", unit = 4, profile = \"./own.toml\" }",
        "modbus = { line = \"line-2\", unit = 1, profile = \"./own.toml\" }",
        "modbus_tcp = { address = \"10.0.0.5:502\", unit = 1, profile = \"./own.toml\" }",
    ] {
        assert!(written.contains(expected), "{expected}: {written}");
    }
    assert_eq!(written.matches("\n[[line]]").count(), 2, "{written}");
    assert_eq!(desk.run(&["check", "--offline", "--config", "new.toml"]).0, 0);
    // The end of the input is said, and nothing is written.
    let (code, text) = desk.typed(&["init", "--output", "other.toml"], "acme\n");
    assert_eq!(code, 1);
    assert!(text.contains("the input ended before `site`"), "{text}");
    assert!(!desk.0.path().join("other.toml").exists());
}

fn report(directory: &Path) -> Json {
    let mut all = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_report = |path: &std::path::PathBuf| {
        path.to_string_lossy().contains("commissioning-")
            && path.extension().is_some_and(|extension| extension == "json")
    };
    let path = all.find(is_report).unwrap();
    let json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fs::remove_file(path).unwrap();
    json
}

#[test]
fn commission_asks_point_by_point() {
    let (desk, peer) = (Desk::new(), Peer::pymodbus(&["rtu-tcp"]));
    desk.write(
        "agent.toml",
        &format!(
            "{HEAD}[[line]]\nname = \"bus\"\nrtu_over_tcp = {{ address = \"{}\" }}\n\
             [[device]]\nname = \"meter-1\"\n\
             modbus = {{ line = \"bus\", unit = 1, profile = \"./own.toml\" }}\n",
            peer.address
        ),
    );
    // Who, read again, confirm; a note.
    let arguments = ["commission", "meter-1", "--config", "agent.toml"];
    let (code, text) = desk.typed(&arguments, "J. Doe\nr\n\nshows 822.9\n");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("1 confirmed, 1 noted, 0 missing, 0 skipped"), "{text}");
    assert_eq!(text.matches("[1/2] frequency").count(), 2, "read again: {text}");
    let json = report(desk.0.path());
    assert_eq!((&json["by"], &json["complete"]), (&"J. Doe".into(), &true.into()));
    assert_eq!(json["address"], format!("{} (RTU)", peer.address));
    assert_eq!(json["points"][0]["outcome"], "confirmed");
    assert_eq!(json["points"][1]["note"], "shows 822.9");

    // Half-way, at a terminal: what was compared is saved.
    let mut child = desk.terminal("commission meter-1 --config agent.toml");
    let (mut keyboard, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut text = String::new();
    for (prompt, answer) in [("Who compares", "J. Doe\n"), ("[1/2]", "ok\n"), ("[2/2]", "q\n")] {
        // What is typed before the program asks is for nobody.
        let asked =
            |text: &str| text.rsplit_once(prompt).is_some_and(|(_, rest)| rest.ends_with(": "));
        while !asked(&text) {
            let mut bytes = [0; 1024];
            let count = shown.read(&mut bytes).unwrap();
            assert!(count > 0, "it ended: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        keyboard.write_all(answer.as_bytes()).unwrap();
        keyboard.flush().unwrap();
    }
    shown.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    // What is shown last may be lost: socat leaves as soon as the program has failed.
    assert!(text.contains("[2/2] voltage"), "{text}");
    let json = report(desk.0.path());
    assert_eq!((&json["by"], &json["complete"]), (&"J. Doe".into(), &false.into()));
    assert_eq!(json["points"].as_array().unwrap().len(), 1);
}
