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

/// A Modbus device.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) room: String,
    pub(super) rack: String,
    pub(super) feed: String,
    pub(super) profile: String,
    /// `host:port`, `rtu:host:port` (RTU over TCP), or the path of a serial port.
    pub(super) address: String,
    pub(super) unit: String,
    /// What the profile needs to be told, by name.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) serial: Serial,
}

/// The settings of the serial port; those of its first device count.
#[derive(Clone, Debug)]
pub(super) struct Serial {
    pub(super) baud: String,
    pub(super) parity: String,
    pub(super) stop_bits: String,
}

impl Default for Serial {
    fn default() -> Self {
        Self { baud: "19200".into(), parity: "even".into(), stop_bits: "1".into() }
    }
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
            serial: Serial::default(),
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
        let stand_in = [Device::default()];
        let devices = if self.devices.is_empty() { &stand_in[..] } else { &self.devices };
        let lines = lines(devices);
        for (first, number) in lines.iter().zip(1..) {
            first.render_line(number, &mut out);
        }
        out.push_str("\n# Devices that are asked.\n");
        for device in devices {
            let line = lines.iter().position(|first| first.address == device.address);
            device.render(line.map(|at| at + 1), &mut out);
        }
        out.push_str(EXAMPLES);
        out
    }
}

impl Draft {
    /// A unit id that no device has, for one that has not been told yet.
    pub(super) fn free_unit(&self) -> String {
        let is_free = |unit: &String| self.devices.iter().all(|device| device.unit != *unit);
        (1..=247).map(|unit: u8| unit.to_string()).find(is_free).unwrap_or_default()
    }

    /// Whether the last device is the first on its serial port, so that its settings are asked.
    pub(super) fn opens_port(&self) -> bool {
        self.devices.split_last().is_some_and(|(last, before)| {
            last.address.starts_with('/')
                && before.iter().all(|device| device.address != last.address)
        })
    }
}

/// The first device of each line that is described once for all of its devices.
fn lines(devices: &[Device]) -> Vec<&Device> {
    let mut lines: Vec<&Device> = Vec::new();
    for device in devices.iter().filter(|device| device.has_line()) {
        if lines.iter().all(|first| first.address != device.address) {
            lines.push(device);
        }
    }
    lines
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
    fn has_line(&self) -> bool {
        self.address.starts_with('/') || self.address.starts_with(RTU)
    }

    /// The line that it is the first device of.
    fn render_line(&self, number: usize, out: &mut String) {
        let _ = writeln!(
            out,
            "\n# A line that several units share.\n[[line]]\nname = \"line-{number}\""
        );
        let _ = match self.address.strip_prefix(RTU) {
            Some(address) => writeln!(out, "rtu_over_tcp = {{ address = {} }}", text(address)),
            None => writeln!(
                out,
                "serial = {{ port = {}, baud = {}, parity = {}, stop_bits = {} }}",
                text(&self.address),
                number_or_text(&self.serial.baud),
                text(&self.serial.parity),
                number_or_text(&self.serial.stop_bits),
            ),
        };
    }

    fn render(&self, line: Option<usize>, out: &mut String) {
        let _ = writeln!(out, "\n[[device]]\nname = {}", text(&self.name));
        for (key, value) in [("room", &self.room), ("rack", &self.rack), ("feed", &self.feed)] {
            if !value.is_empty() {
                let _ = writeln!(out, "{key} = {}", text(value));
            }
        }
        let on = match line {
            Some(number) => format!("modbus = {{ line = \"line-{number}\""),
            None => format!("modbus_tcp = {{ address = {}", text(&self.address)),
        };
        let mut parameters = String::new();
        for (name, value) in &self.parameters {
            let before = if parameters.is_empty() { ", parameters = { " } else { ", " };
            let _ = write!(parameters, "{before}{name} = {}", number_or_text(value));
        }
        if !parameters.is_empty() {
            parameters.push_str(" }");
        }
        let _ = writeln!(
            out,
            "# How often it is read: interval = \"1s\"\n\
             {on}, unit = {}, profile = {}{parameters} }}",
            number_or_text(&self.unit),
            text(&self.profile),
        );
    }
}

/// A number is written as one; anything else as a text, to be refused with its place.
fn number_or_text(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => number.to_string(),
        _ => text(value),
    }
}

/// Before the address of a converter.
const RTU: &str = "rtu:";

/// What is not asked for.
const EXAMPLES: &str = r#"
# Modbus TCP within TLS (a device: modbus = { line = "secure", unit = 1, profile = "…" }):
#
# [[line]]
# name = "secure"
# tls = { address = "192.0.2.20:802", ca = "/etc/hallwatch/modbus-ca.pem", certificate = "/etc/hallwatch/modbus.pem", key = "/etc/hallwatch/modbus.key" }

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
