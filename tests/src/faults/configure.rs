//! What the processes of the rig are told.

use std::path::{Path, PathBuf};

use hallwatch_sim::site::{self, Device};

use super::rig::COLLECTORS;
use super::witness;
use crate::disk;

/// How often the plant's devices are read, in milliseconds.
pub(super) const INTERVAL: i64 = 1_000;

pub(super) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Disks and configurations: the agent's, then the collectors'.
pub(super) fn configure(
    directory: &Path,
    core: &str,
    devices: &[Device],
    keeps: bool,
) -> [PathBuf; 1 + COLLECTORS] {
    let rules = directory.join("rules.yaml");
    write(
        &rules,
        "groups:\n  - name: some\n    rules:\n      - alert: DeviceDown\n        \
         expr: device_up == 0\n        labels: { severity: critical }\n        \
         annotations: { summary: down }\n",
    );
    let broker = format!("mqtt://{core}:1883");
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let make = |data: &Path, broker: &str, listen| -> (String, String) {
        let site = site::Site {
            broker,
            data,
            interval: &format!("{INTERVAL}ms"),
            keep: if keeps { "2h" } else { "0s" },
            listen: at(listen),
            webhook: "http://127.0.0.1:9/page",
            rules: Some(&rules),
        };
        (site::agent_toml(&site, devices), site::collector_toml(&site))
    };
    let replaced = |text: &str, old: &str, new: &str| {
        assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
        text.replacen(old, new, 1)
    };
    disk::mount(&directory.join("agent"), "64m");
    let (text, _) = make(directory, &broker, 0);
    let text = replaced(&text, "collectors = [\"c-1\"]", "collectors = [\"c-1\", \"c-2\"]");
    let text = replaced(
        &text,
        &format!("[sensors]\nurl = {broker:?}"),
        "[sensors]\nurl = \"mqtt://127.0.0.1:1884\"",
    );
    let profile = directory.join("witness.toml");
    write(&profile, &witness::profile());
    let agent = directory.join("agent.toml");
    write(&agent, &(text + &witness::devices(&profile)));
    let mut paths = [agent, PathBuf::new(), PathBuf::new()];
    for (number, path) in paths.iter_mut().skip(1).enumerate() {
        let name = format!("c-{}", number + 1);
        disk::mount(&directory.join(&name).join("collector"), "96m");
        let port = 8_600 + u16::try_from(number).unwrap_or(0);
        let (_, text) = make(&directory.join(&name), "mqtt://127.0.0.1:1883", port);
        let text = replaced(&text, "id = \"c-1\"", &format!("id = \"{name}\""));
        *path = directory.join(&name).join("collector.toml");
        write(path, &text);
    }
    paths
}
