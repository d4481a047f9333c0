//! The configurations of agent and collector for a simulated plant, as a site engineer would have
//! written them. The demo and the whole-site tests go through the same files as everybody else.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// A Modbus device of the plant, and how to reach it.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name, such as `ups-a`.
    pub name: String,
    /// The name of the agent's profile for it.
    pub profile: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its Modbus unit.
    pub unit: u8,
}

/// What the configurations have to say beside the devices.
#[derive(Clone, Debug)]
pub struct Site<'a> {
    /// The broker between agent and collector, and that of the sensors: `mqtt://host:port`.
    pub broker: &'a str,
    /// Where agent and collector may write.
    pub data: &'a Path,
    /// How often devices are read, such as `1s`.
    pub interval: &'a str,
    /// How long the journal keeps what is acknowledged, such as `0s`.
    pub keep: &'a str,
    /// Where the collector serves.
    pub listen: SocketAddr,
    /// Where pages go.
    pub webhook: &'a str,
    /// A rule file in place of the shipped rules.
    pub rules: Option<&'a Path>,
}

/// Where a device of the plant stands: room, rack and feed, empty where there is none.
fn place(name: &str) -> [(&'static str, &'static str); 3] {
    let (room, rack, feed) = match name {
        "ups-a" => ("plant", "", "A"),
        "ups-b" => ("plant", "", "B"),
        "pdu-a1" => ("hall-1", "r01", "A"),
        "pdu-b1" => ("hall-1", "r01", "B"),
        "pdu-a2" => ("hall-1", "r02", "A"),
        "pdu-b2" => ("hall-1", "r02", "B"),
        _ if name.starts_with("crac-") => ("hall-1", "", ""),
        _ => ("plant", "", ""),
    };
    [("room", room), ("rack", rack), ("feed", feed)]
}

/// The MQTT sensors of the plant.
const SENSORS: &str = r#"
[[device]]
name = "aisle-1-cold"
room = "hall-1"
[device.mqtt]
topic = "zigbee2mqtt/aisle_1_cold"
availability = { topic = "zigbee2mqtt/bridge/state" }
max_age = "5m"
points = [
    { path = "temperature", metric = "environment_temperature_celsius" },
    { path = "humidity", metric = "environment_humidity_ratio", scale = 0.01 },
]

[[device]]
name = "aisle-2-cold"
room = "hall-1"
[device.mqtt]
topic = "zigbee2mqtt/aisle_2_cold"
availability = { topic = "zigbee2mqtt/bridge/state" }
max_age = "5m"
points = [
    { path = "temperature", metric = "environment_temperature_celsius" },
    { path = "humidity", metric = "environment_humidity_ratio", scale = 0.01 },
]

[[device]]
name = "rack-12-probe"
room = "hall-1"
rack = "r12"
[device.mqtt]
topic = "rack12_probe"
profile = "tasmota_am2301"

[[device]]
name = "leak-row4"
room = "hall-1"
[device.mqtt]
topic = "zigbee2mqtt/leak_row4"
availability = { topic = "zigbee2mqtt/bridge/state" }
max_age = "2h"
points = [
    { path = "water_leak", metric = "environment_leak" },
    { path = "battery", metric = "sensor_battery_ratio", scale = 0.01 },
]

[[device]]
name = "smoke-room1"
room = "hall-1"
[device.mqtt]
topic = "zigbee2mqtt/smoke_room1"
availability = { topic = "zigbee2mqtt/bridge/state" }
max_age = "2h"
points = [{ path = "smoke", metric = "environment_smoke" }]

[[device]]
name = "hall-door"
room = "hall-1"
[device.mqtt]
topic = "zigbee2mqtt/hall_door"
availability = { topic = "zigbee2mqtt/bridge/state" }
max_age = "2h"
points = [{ path = "contact", metric = "access_door_open", invert = true }]   # true = closed

[[device]]
name = "hall-reader"
room = "hall-1"
[device.mqtt]
topic = "/rfid"
events = "esp-rfid"
"#;

/// What hangs on what in the plant.
const TOPOLOGY: &str = r#"
[site.topology]
racks = ["r01", "r02"]

[site.topology.power]
utility = { kind = "utility", feeds = ["ats"] }
generator = { kind = "generator", feeds = ["ats"] }
ats = { kind = "ats", feeds = ["ups-a", "ups-b"] }
ups-a = { kind = "ups", feeds = ["pdu-a1", "pdu-a2"] }
ups-b = { kind = "ups", feeds = ["pdu-b1", "pdu-b2"] }
pdu-a1 = { kind = "pdu", feeds = ["r01"] }
pdu-b1 = { kind = "pdu", feeds = ["r01"] }
pdu-a2 = { kind = "pdu", feeds = ["r02"] }
pdu-b2 = { kind = "pdu", feeds = ["r02"] }

[site.topology.cooling]
hall-1 = { units = ["crac-1", "crac-2", "crac-3"], needs = 2 }
"#;

/// The agent's configuration.
#[must_use]
pub fn agent_toml(site: &Site<'_>, devices: &[Device]) -> String {
    let Site { broker, interval, keep, .. } = site;
    let data = site.data.join("agent");
    let mut text = format!(
        "# The agent of the simulated site.\n\n\
         [agent]\nid = \"gw-1\"\ntenant = \"acme\"\nsite = \"fra-1\"\ndata = {data:?}\n\
         collectors = [\"c-1\"]\n\n\
         [broker]\nurl = {broker:?}\n\n\
         [sensors]\nurl = {broker:?}\n\n\
         [journal]\nkeep = {keep:?}\n"
    );
    for Device { name, profile, address, unit } in devices {
        let _ = write!(text, "\n[[device]]\nname = {name:?}\n");
        for (key, value) in place(name).iter().filter(|(_, value)| !value.is_empty()) {
            let _ = writeln!(text, "{key} = {value:?}");
        }
        let _ = writeln!(
            text,
            "interval = {interval:?}\nmodbus_tcp = {{ address = \"{address}\", unit = {unit}, \
             profile = {profile:?} }}"
        );
    }
    text + SENSORS
}

/// The collector's configuration.
#[must_use]
pub fn collector_toml(site: &Site<'_>) -> String {
    let Site { broker, listen, webhook, rules, .. } = site;
    let data = site.data.join("collector");
    let rules = rules.map_or_else(String::new, |file| format!("\n[rules]\nfiles = [{file:?}]\n"));
    format!(
        "# The collector of the simulated site.\n\n\
         [collector]\nid = \"c-1\"\ndata = {data:?}\nlisten = \"{listen}\"\n\n\
         [broker]\nurl = {broker:?}\n\n\
         [[site]]\nid = \"fra-1\"\ntenant = \"acme\"\nname = \"Frankfurt 1\"\nagents = [\"gw-1\"]\n\
         {TOPOLOGY}\n\
         [notify]\ngroup_by = [\"site\", \"alertname\"]\ngroup_wait = \"0s\"\n\
         group_interval = \"5s\"\nrepeat_interval = \"4h\"\n\n\
         [[receiver]]\nname = \"pager\"\nwebhook = {{ url = {webhook:?} }}\n\
         {rules}"
    )
}
