//! A configuration that is being written: valid at any time.

use std::fmt::Write as _;

/// All that is asked for. What is empty is left out.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) tenant: String,
    pub(super) site: String,
    pub(super) data: String,
    pub(super) collectors: Vec<String>,
    pub(super) broker: Broker,
    pub(super) sensors: String,
    pub(super) devices: Vec<Device>,
}

#[derive(Clone, Debug)]
pub(super) struct Broker {
    pub(super) url: String,
    pub(super) is_tls: bool,
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) username: String,
    pub(super) password_file: String,
}

/// A Modbus TCP device.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) room: String,
    pub(super) rack: String,
    pub(super) feed: String,
    pub(super) profile: String,
    pub(super) address: String,
    pub(super) unit: String,
    /// What the profile needs to be told, by name.
    pub(super) parameters: Vec<(String, String)>,
}

impl Default for Draft {
    /// Stands for what is not asked yet.
    fn default() -> Self {
        Self {
            id: "gw-1".into(),
            tenant: "tenant".into(),
            site: "site".into(),
            data: "/var/lib/hallwatch-agent".into(),
            collectors: vec!["c-1".into()],
            broker: Broker {
                url: "mqtt://127.0.0.1:1883".into(),
                is_tls: false,
                ca: "/etc/hallwatch/ca.pem".into(),
                certificate: String::new(),
                key: "/etc/hallwatch/agent.key".into(),
                username: String::new(),
                password_file: "/etc/hallwatch/broker.password".into(),
            },
            sensors: String::new(),
            devices: Vec::new(),
        }
    }
}

impl Default for Device {
    fn default() -> Self {
        let profile = hallwatch_agent::profile::shipped().first();
        Self {
            name: "device".into(),
            room: String::new(),
            rack: String::new(),
            feed: String::new(),
            profile: profile.map(|(name, _)| (*name).to_owned()).unwrap_or_default(),
            address: "127.0.0.1:502".into(),
            unit: "1".into(),
            parameters: Vec::new(),
        }
    }
}

impl Draft {
    /// The file.
    pub(super) fn render(&self) -> String {
        let collectors: Vec<String> = self.collectors.iter().map(|one| text(one)).collect();
        let mut out = format!(
            "# The agent of one site. After a change: hallwatch-agent check --config FILE\n\n\
             [agent]\n\
             id = {}\n\
             # Whose data it is.\n\
             tenant = {}\n\
             site = {}\n\
             # The journal: readings that are still owed.\n\
             data = {}\n\
             # Each must acknowledge before the journal lets go.\n\
             collectors = [{}]\n\n\
             # Towards the collectors.\n\
             [broker]\n",
            text(&self.id),
            text(&self.tenant),
            text(&self.site),
            text(&self.data),
            collectors.join(", "),
        );
        self.broker.render(&mut out);
        out.push_str(
            "\n# What exceeds a bound goes, oldest first, and is recorded as a gap.\n\
             # [journal]\n# max_bytes = \"1GiB\"\n# max_age = \"7d\"\n",
        );
        out.push_str("\n# The broker of the MQTT sensors, when it is another one.\n");
        let _ = if self.sensors.is_empty() {
            writeln!(out, "# [sensors]\n# url = \"mqtt://127.0.0.1:1883\"")
        } else {
            writeln!(out, "[sensors]\nurl = {}", text(&self.sensors))
        };
        out.push_str("\n# Devices that are asked.\n");
        let stand_in = [Device::default()];
        let devices = if self.devices.is_empty() { &stand_in[..] } else { &self.devices };
        for device in devices {
            device.render(&mut out);
        }
        out.push_str(EXAMPLES);
        out
    }
}

impl Broker {
    fn render(&self, out: &mut String) {
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(out, "{key} = {}", text(value));
        };
        line("url", &self.url);
        if self.is_tls {
            line("ca", &self.ca);
            if !self.certificate.is_empty() {
                line("certificate", &self.certificate);
                line("key", &self.key);
            }
        }
        if !self.username.is_empty() {
            line("username", &self.username);
            line("password_file", &self.password_file);
        }
    }
}

impl Device {
    fn render(&self, out: &mut String) {
        let _ = writeln!(out, "\n[[device]]\nname = {}", text(&self.name));
        for (key, value) in [("room", &self.room), ("rack", &self.rack), ("feed", &self.feed)] {
            if !value.is_empty() {
                let _ = writeln!(out, "{key} = {}", text(value));
            }
        }
        let unit = number(&self.unit);
        let mut parameters = String::new();
        for (name, value) in &self.parameters {
            let before = if parameters.is_empty() { ", parameters = { " } else { ", " };
            let _ = write!(parameters, "{before}{name} = {}", number(value));
        }
        if !parameters.is_empty() {
            parameters.push_str(" }");
        }
        let _ = writeln!(
            out,
            "# How often it is read: interval = \"1s\"\n\
             modbus_tcp = {{ address = {}, unit = {unit}, profile = {}{parameters} }}",
            text(&self.address),
            text(&self.profile),
        );
    }
}

/// What is not asked for.
const EXAMPLES: &str = r#"
# A sensor that speaks by itself, over MQTT:
#
# [[device]]
# name = "aisle-1-cold"
# room = "hall-1"
# [device.mqtt]
# topic = "zigbee2mqtt/aisle_1_cold"
# max_age = "10m"                # older values are missing
# points = [{ path = "temperature", metric = "environment_temperature_celsius" }]

# A way out of the site:
#
# [[device]]
# name = "isp-1"
# [device.uplink]
# source = "198.51.100.2"        # the address (or `interface`) on this provider's path
# probes = [{ icmp = "203.0.113.1" }, { tcp = "203.0.113.1:443" }]
"#;

/// A text in TOML.
/// A number is written as one; anything else as a text, to be refused with its place.
fn number(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => number.to_string(),
        _ => text(value),
    }
}

fn text(value: &str) -> String {
    let mut out = String::from('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
