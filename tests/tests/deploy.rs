//! What `deploy/` ships is true: it parses, it names what is there, and agent and collector run
//! with exactly these files against mosquitto with exactly its file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hallwatch_tests::namespace::Namespace;
use hallwatch_tests::peers::program;
use hallwatch_tests::process::{Process, binary};
use hallwatch_tests::prometheus;
use hallwatch_tests::wait::wait_for;
use serde_json::Value as Json;

fn deploy() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).canonicalize().expect("deploy")
}

#[test]
fn the_compose_file_mounts_what_is_there() {
    let folder = deploy().join("compose");
    let text = std::fs::read_to_string(folder.join("compose.yaml")).expect("compose.yaml");
    let compose: Json = serde_saphyr::from_str(&text).expect("YAML");
    let services = compose["services"].as_object().expect("services");
    for name in ["mosquitto", "victoria-metrics", "grafana"] {
        let service = &services[name];
        let image = service["image"].as_str().expect("an image");
        assert!(
            image.contains(':') && !image.ends_with(":latest"),
            "{name} is not pinned: {image}"
        );
        for volume in service["volumes"].as_array().expect("volumes") {
            let source = volume.as_str().and_then(|v| v.split(':').next()).expect("a source");
            if source.starts_with('.') {
                assert!(folder.join(source).exists(), "{name} mounts {source}: not there");
            } else if !source.starts_with('/') {
                assert!(compose["volumes"].as_object().expect("volumes").contains_key(source));
            }
        }
    }
    // The addresses agree with the collector's sample.
    let collector: toml::Table = toml::from_str(
        &std::fs::read_to_string(deploy().join("collector.toml")).expect("collector.toml"),
    )
    .expect("TOML");
    let grafana = services["grafana"]["environment"]["HALLWATCH_URL"].as_str();
    let listen = collector["collector"]["listen"].as_str().expect("listen");
    assert_eq!(grafana, Some(format!("http://{listen}").as_str()));
    let sink = collector["sink"][0]["influx"]["url"].as_str().expect("a URL");
    let command = services["victoria-metrics"]["command"].to_string();
    assert!(command.contains(sink.trim_start_matches("http://")), "{command} is not {sink}");
}

#[test]
fn the_units_are_hardened_and_start_what_they_name() {
    for name in ["agent", "collector"] {
        let unit = deploy().join(format!("systemd/hallwatch-{name}.service"));
        let text = std::fs::read_to_string(&unit).expect("a unit");
        let run =
            format!("ExecStart=/usr/bin/hallwatch-{name} run --config /etc/hallwatch/{name}.toml");
        assert!(text.contains(&run), "{}", unit.display());
        let offline = if name == "agent" { " --offline" } else { "" };
        let check = format!(
            "ExecStartPre=/usr/bin/hallwatch-{name} check{offline} --config \
             /etc/hallwatch/{name}.toml"
        );
        assert!(text.contains(&check), "a start waits for devices: {}", unit.display());
        // 0 is safest, 10 is no protection at all.
        let output = Command::new(program("systemd-analyze", "systemd"))
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(&unit)
            .output()
            .expect("systemd-analyze");
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "exposure above 2.0:\n{table}");
    }
}

/// A CA, a certificate for the broker and one for the agent, as the sample files name them.
const CERTIFICATES: &str = r#"
set -eu
mkdir -p /etc/hallwatch && cd /etc/hallwatch
new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
$new -x509 -days 2 -keyout ca.key -out ca.pem -subj "/CN=Test CA" 2>/dev/null
sign() { # name subject extensions
    $new -keyout $1.key -out $1.csr -subj "$2" 2>/dev/null
    printf '%s\n' "$3" > $1.ext
    openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
        -extfile $1.ext -out $1.pem 2>/dev/null
}
sign broker "/CN=broker.example" "subjectAltName = DNS:broker.example"
sign agent '/CN=acme\/fra-1\/gw-1' "extendedKeyUsage = clientAuth"
chmod 644 *.key
echo "127.0.0.1 broker.example" >> /etc/hosts
"#;

#[tokio::test(flavor = "multi_thread")]
async fn agent_and_collector_run_with_exactly_the_sample_configurations() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let devices = [
        ("utility-meter", "192.0.2.10"),
        ("ats", "192.0.2.11"),
        ("generator", "192.0.2.12"),
        ("ups-a", "192.0.2.13"),
        ("ups-b", "192.0.2.14"),
        ("pdu-a1", "192.0.2.15"),
        ("pdu-b1", "192.0.2.16"),
        ("crac-1", "192.0.2.17"),
    ];
    let namespace = Namespace::start(path, &devices.map(|(_, address)| address)).await;
    namespace.shell(CERTIFICATES).expect("certificates");
    let copy = format!("cp {0}/*.toml {0}/broker.acl /etc/hallwatch/", deploy().display());
    namespace.shell(&copy).expect("the sample configurations");

    let start = |name: &str, program: &Path, arguments: &[&str]| {
        let mut command = namespace.command(program);
        command.args(arguments);
        Process::start(name, path, command).expect("it starts")
    };
    let config = deploy().join("mosquitto.conf");
    let config = config.to_str().expect("a path in UTF-8");
    let _broker = start("mosquitto", &program("mosquitto", "mosquitto"), &["-c", config]);
    let mut arguments = vec!["plant".to_owned(), "--broker".into(), "mqtt://127.0.0.1:1883".into()];
    for (device, address) in devices {
        arguments.extend(["--device".to_owned(), format!("{device}={address}:502")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let _plant = start("plant", &binary("hallwatch-sim"), &arguments);
    let run = |name: &str| {
        let config = format!("/etc/hallwatch/{name}.toml");
        let program = binary(&format!("hallwatch-{name}"));
        // As its unit does; the agent's must not wait for devices.
        let offline = if name == "agent" { " --offline" } else { "" };
        let check = format!("{} check{offline} --config {config}", program.display());
        namespace.shell(&check).unwrap_or_else(|| panic!("{check} failed"));
        start(name, &program, &["run", "--config", &config])
    };
    let _collector = run("collector");
    let _agent = run("agent");

    for expr in [
        "count(device_up == 1) >= 8",
        "environment_temperature_celsius{device=\"aisle-1-cold\"}",
        "agent_up{tenant=\"acme\",site=\"fra-1\"} == 1",
    ] {
        let url = "http://127.0.0.1:8600/api/v1/query";
        let curl = format!("curl --silent --fail {url} --data-urlencode 'query={expr}'");
        wait_for(&format!("an answer to {expr}"), Duration::from_secs(40), async || {
            let answer = serde_json::from_str(&namespace.shell(&curl)?).ok()?;
            (!prometheus::series(&answer).is_empty()).then_some(())
        })
        .await;
    }
}
