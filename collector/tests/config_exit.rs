//! How the program itself takes mistakes: exit codes, everything at once, and no port opened.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn collector(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hallwatch-collector")).args(arguments).output().unwrap()
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("collector.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

const GOOD: &str = "
collector = { id = 'c-1', data = 'data', listen = 'LISTEN' }
broker = { url = 'mqtt://127.0.0.1:1' }
site = [{ id = 'fra-1', tenant = 'acme', agents = ['gw-1'] }]
";

#[test]
fn a_wrong_command_line_is_64() {
    let cases: &[&[&str]] = &[
        &[],
        &["walk"],
        &["run"],
        &["check", "--config"],
        &["run", "--config", "x", "--sink", "influx=ftp://x"],
        &["run", "--config", "x", "--sink", "http://x"],
    ];
    for arguments in cases {
        let output = collector(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", shown(&output));
    }
    assert_eq!(collector(&["--help"]).status.code(), Some(0));
    assert_eq!(collector(&["--version"]).status.code(), Some(0));
}

#[test]
fn a_wrong_configuration_is_78_and_opens_no_port() {
    let folder = tempfile::tempdir().unwrap();
    // If it opened the port, it would find it taken, and say that instead.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let bad = GOOD.replace("LISTEN", &listen).replace("mqtt://", "tcp://").replace("gw-1", "gw 1");
    let path = write(folder.path(), &bad);
    for command in ["run", "check"] {
        let output = collector(&[command, "--config", &path]);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(
            text.contains("collector.toml:3:18") && text.contains("collector.toml:4:"),
            "{text}"
        );
        assert!(text.contains("^^^^") && text.contains("2 problems"), "{text}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");

    let rules = "groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]\n";
    std::fs::write(folder.path().join("bad.yaml"), rules).unwrap();
    let text = format!("{}rules = {{ files = ['bad.yaml'] }}", GOOD.replace("LISTEN", &listen));
    let output = collector(&["run", "--config", &write(folder.path(), &text)]);
    assert_eq!(output.status.code(), Some(78), "{}", shown(&output));
    assert!(shown(&output).contains("bad.yaml:1:"), "{}", shown(&output));

    let output = collector(&["run", "--config", "/nowhere/collector.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(shown(&output).contains("/nowhere/collector.toml"), "{}", shown(&output));
}

#[test]
fn a_good_configuration_is_0_and_a_taken_port_70() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let path = write(folder.path(), &GOOD.replace("LISTEN", &listen));
    let output = collector(&["check", "--config", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let output = collector(&["run", "--config", &path]);
    assert_eq!(output.status.code(), Some(70), "{}", shown(&output));
    assert!(shown(&output).contains(&format!("cannot listen on {listen}")), "{}", shown(&output));
}

#[test]
fn a_signal_ends_it_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    // A broker that is not there, a sink that is not there: none of that may hinder the end.
    let path = write(folder.path(), &GOOD.replace("LISTEN", "127.0.0.1:0"));
    let sink = "influx=http://127.0.0.1:1";
    let mut child = Command::new(env!("CARGO_BIN_EXE_hallwatch-collector"))
        .args(["run", "--config", &path, "--sink", sink])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let wait = |what: &dyn Fn() -> bool| {
        for _ in 0..300 {
            if what() {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        false
    };
    let data = folder.path().join("data");
    assert!(wait(&|| data.join("state.sqlite").exists()), "it starts");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let mut status = None;
    for _ in 0..300 {
        status = child.try_wait().unwrap();
        if status.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    if status.is_none() {
        child.kill().unwrap();
    }
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}
