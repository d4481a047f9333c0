//! A bad configuration: every mistake with its place, exit code 78, and no port opened.

use std::net::TcpListener;
use std::process::Command;

use hallwatch_tests::process::binary;

fn run(program: &str, arguments: &[&str], config: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("site.toml");
    std::fs::write(&path, config).expect("a configuration");
    let output = Command::new(binary(program))
        .args(arguments)
        .arg(&path)
        .current_dir(directory.path())
        .output()
        .expect("it starts");
    assert!(output.stdout.is_empty(), "mistakes go to stderr");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// Places of mistakes, as `line:column`.
fn places(text: &str) -> Vec<String> {
    let arrow = text.lines().filter_map(|line| line.trim_start().strip_prefix("--> "));
    arrow.filter_map(|place| Some(place.rsplit_once("site.toml:")?.1.to_owned())).collect()
}

const AGENT: &str = r#"[agent]
id = "GW 1"
tenant = "acme"
data = 7
collectors = []

[broker]
url = "http://127.0.0.1"

[[device]]
name = "ups-a"
intervall = "1s"
modbus_tcp = { address = "127.0.0.1", unit = 300, profile = "apc_smart_up" }

[[device]]
name = "ups-a"
mqtt = { topic = "a/+/b", points = [{ path = "x", metric = "ups_on_batery" }] }
"#;

#[test]
fn an_agent_names_every_mistake_and_opens_nothing() {
    for command in ["check", "run"] {
        let (code, text) = run("hallwatch-agent", &[command, "--config"], AGENT);
        assert_eq!(code, Some(78), "{text}");
        let places = places(&text);
        for place in ["2:6", "4:8", "8:7", "12:1", "13:26", "13:46", "13:61", "17:18", "17:60"] {
            assert!(places.iter().any(|p| p == place), "nothing at {place}:\n{places:?}\n{text}");
        }
        assert!(text.contains("apc_smart_ups"), "no hint at the right profile:\n{text}");
        assert!(text.contains("ups_on_battery"), "no hint at the right metric:\n{text}");
        assert!(text.contains("site"), "the missing `site` is not named:\n{text}");
        assert!(text.contains('^'), "{text}");
    }
}

#[test]
fn a_collector_names_every_mistake_and_opens_nothing() {
    // Somebody has the port: whoever tried to open it would fail in another way.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address");
    let config = format!(
        r#"[collector]
id = "c_1"
data = "/nonexistent/hallwatch"
listen = "{listen}"

[broker]
url = "mqtt://"

[[site]]
id = "fra-1"
agents = "gw-1"

[notify]
group_wait = "soon"

[[receiver]]
name = "noc"
webhook = {{ url = "ftp://x" }}

[retention]
size = "20 elephants"
"#
    );
    for command in ["check", "run"] {
        let (code, text) = run("hallwatch-collector", &[command, "--config"], &config);
        assert_eq!(code, Some(78), "{text}");
        let places = places(&text);
        for place in ["2:6", "7:7", "11:10", "14:14", "18:19", "21:8"] {
            assert!(places.iter().any(|p| p == place), "nothing at {place}:\n{places:?}\n{text}");
        }
        assert!(text.contains("tenant"), "the missing `tenant` is not named:\n{text}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_64() {
    for program in ["hallwatch-agent", "hallwatch-collector", "hallwatch-sim"] {
        let status = Command::new(binary(program)).arg("--no-such-thing").output().expect("runs");
        assert_eq!(status.status.code(), Some(64), "{program}");
    }
}
