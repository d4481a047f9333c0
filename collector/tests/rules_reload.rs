//! Rules that are loaded again while the collector runs: by signal and by request, with mistakes and
//! without; and what it tells of them.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

struct Running {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(rules: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    // Free a moment ago; no other test uses this collector.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "collector = {{ id = 'c-1', data = 'data', listen = '{address}' }}
         broker = {{ url = 'mqtt://127.0.0.1:1' }}
         site = [{{ id = 'fra-1', tenant = 'acme', agents = ['gw-1'] }}]
         rules = {{ files = ['rules.yaml'], interval = '100ms' }}"
    );
    std::fs::write(folder.path().join("collector.toml"), config).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    write(folder.path(), rules);
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_hallwatch-collector"))
        .args(["run", "--config", "collector.toml"])
        .current_dir(folder.path())
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    Running { child, address, folder }
}

fn write(folder: &Path, rules: &str) {
    std::fs::write(folder.join("rules.yaml"), format!("groups:\n- name: g\n  rules:\n{rules}"))
        .unwrap();
}

impl Running {
    fn ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn json(&self, path: &str) -> Value {
        let (_, body) = self.ask("GET", path).unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// Names of the rules, with state and beginning of their alerts.
    fn rules(&self) -> Vec<(String, Vec<(String, String)>)> {
        let answer = self.json("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let alerts = |rule: &Value| {
            let alerts = rule["alerts"].as_array().into_iter().flatten();
            alerts.map(|alert| (text(&alert["state"]), text(&alert["activeAt"]))).collect()
        };
        rules.map(|rule| (text(&rule["name"]), alerts(rule))).collect()
    }

    fn names(&self) -> Vec<String> {
        self.rules().into_iter().map(|(name, _)| name).collect()
    }

    fn hang_up(&self) {
        let done = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(done.unwrap().success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn eventually(&self, what: &str, happens: impl Fn() -> bool) {
        for _ in 0..300 {
            if happens() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{what}\n{}", self.log());
    }

    fn tool(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_hallwatch-collector"))
            .args(args)
            .args(["--config", "collector.toml"])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = [&output.stdout[..], &output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

const A: &str = "  - {alert: A, expr: 'absent(nothing_of_that_name) > 0', for: 1h}\n";
const B: &str = "  - {alert: B, expr: 'vector(1) > 0', clear: 'vector(1) > 1'}\n";
const SLOW: &str = "  - {record: 'r:slow', expr: 'max_over_time(rate(x[1m])[5m:10s])'}\n";

#[test]
fn a_reload_keeps_what_is_known_and_a_bad_file_changes_nothing() {
    let collector = start(&format!("{A}{SLOW}"));
    collector.eventually("it evaluates", || {
        collector.ask("GET", "/api/v1/rules").is_some()
            && collector.rules().iter().any(|(_, alerts)| !alerts.is_empty())
    });
    let pending = collector.rules().remove(0);
    assert_eq!(pending.1[0].0, "pending");

    write(collector.folder.path(), &format!("{A}{B}"));
    let (code, body) = collector.ask("POST", "/-/reload").unwrap();
    assert_eq!((code, body.contains("\"rules\":2")), (200, true), "{body}");
    collector.eventually("the new rule fires", || {
        let rules = collector.rules();
        rules.len() == 2 && rules[1].1.first().is_some_and(|(state, _)| state == "firing")
    });
    assert_eq!(collector.rules()[0], pending, "it has begun when it began");
    let firing = collector.rules().remove(1);

    write(collector.folder.path(), &format!("{A}{B}  - {{alert: C}}\n"));
    let (code, body) = collector.ask("POST", "/-/reload").unwrap();
    assert_eq!(code, 422, "{body}");
    assert!(body.contains("a rule without an `expr`"), "{body}");
    let told = || collector.json("/api/v1/rules/engine")["data"]["reload"].clone();
    collector.eventually("the API says so", || {
        told()["error"].as_str().is_some_and(|error| error.contains("rules.yaml:6:6"))
    });
    assert_eq!(collector.names(), ["A", "B"]);
    let metrics = || collector.ask("GET", "/metrics").unwrap().1;
    assert!(metrics().contains("hallwatch_collector_rules_reload_successful 0\n"));
    assert!(collector.log().contains("the old ones stay"), "{}", collector.log());
    let (_, ready) = collector.ask("GET", "/readyz").unwrap();
    assert!(ready.contains("the old rules stay: ") && ready.contains("rules.yaml:6:6)"), "{ready}");

    write(collector.folder.path(), &format!("{B}{A}  - {{alert: C, expr: 'vector(1)'}}\n"));
    collector.hang_up();
    collector.eventually("the signal is heard", || collector.names() == ["B", "A", "C"]);
    assert_eq!(collector.rules()[..2], [firing, pending], "in another order, but the same");
    assert!(metrics().contains("hallwatch_collector_rules_reload_successful 1\n"));
    assert_eq!(told()["error"], Value::Null);
}

#[test]
fn it_tells_why_an_alert_is_in_its_state_and_what_the_rules_take() {
    let collector = start(&format!("{A}{B}{SLOW}"));
    collector.eventually("it evaluates", || {
        collector.ask("GET", "/api/v1/rules").is_some()
            && collector.rules().iter().filter(|(_, alerts)| !alerts.is_empty()).count() == 2
    });
    let engine = collector.json("/api/v1/rules/engine")["data"].clone();
    assert_eq!(engine["fallbacks"][0]["rule"], "g/r:slow");
    assert!(engine["usage"]["instances"].as_u64().unwrap() >= 3, "{engine}");
    assert_eq!(collector.json("/api/v1/rules/digest")["data"]["alerts"], serde_json::json!([]));
    let metrics = collector.ask("GET", "/metrics").unwrap().1;
    assert!(metrics.contains("hallwatch_collector_rules_not_pushed 1\n"), "{metrics}");

    let (ok, said) = collector.tool(&["rules", "explain", "A"]);
    assert!(ok, "{said}");
    for wanted in [
        "g/A  {alertname=\"A\"}",
        "pending: the expression began to hold",
        "timer: for 1h: over in 59m",
        "[>] absent(nothing_of_that_name) > 0 = 1",
        "[absent] absent(nothing_of_that_name) = 1",
        "nothing_of_that_name = nothing",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    let (ok, said) = collector.tool(&["rules", "explain", "B", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(ok && said[0]["clear"]["text"] == "vector(1) > 1", "{said}");
    let (ok, said) = collector.tool(&["rules", "explain", "Nobody"]);
    assert!(!ok && said.contains("no alert named \"Nobody\": known alerts are `A`, `B`"), "{said}");
    let foreign =
        "GET /x HTTP/1.0\r\nHost: example.org\r\n\r\n".replace("GET /x", "POST /-/reload");
    let mut stream = TcpStream::connect(collector.address).unwrap();
    stream.write_all(foreign.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 403") || answer.starts_with("HTTP/1.1 403"), "{answer}");
}
