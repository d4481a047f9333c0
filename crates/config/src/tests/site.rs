//! A small but complete configuration, as an agent would read it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use insta::assert_snapshot;

use super::{accept, check};
use crate::{Bytes, DurationOrZero, Section, Spanned, Url};

#[derive(Debug, PartialEq)]
pub(super) struct Site {
    name: String,
    poll: Duration,
    grace: Duration,
    listen: Option<SocketAddr>,
    journal: PathBuf,
    journal_size: Bytes,
    collector: Url,
    parity: char,
    labels: BTreeMap<String, String>,
    tenants: Vec<String>,
    devices: Vec<Device>,
}

#[derive(Debug, PartialEq)]
struct Device {
    name: Spanned<String>,
    bus: Bus,
    offset: f64,
    enabled: bool,
    registers: Vec<u16>,
}

#[derive(Debug, PartialEq)]
enum Bus {
    ModbusTcp { unit: u8, address: SocketAddr },
    Mqtt { topic: String },
}

pub(super) const GOOD: &str = r#"
name = "hall-1"
poll = "5s"
listen = "127.0.0.1:9464"
parity = "even"
tenants = ["north", "south"]
labels = { building = "B 2", floor = "3" }

[journal]
path = "/var/lib/hallwatch"
size = "64MiB"

[collector]
url = "mqtts://collector.example"
grace = "0s"

[profile.pdu-v1]
[profile.crac-x]

[[device]]
name = "pdu-1"
profile = "pdu-v1"
registers = [0x10, 0x12]
modbus_tcp = { unit = 3, address = "10.0.0.5:502" }

[[device]]
name = "crac-1"
profile = "crac-x"
offset = -1
enabled = false
[device.mqtt]
topic = "hall/crac"
"#;

fn name(text: &str) -> Result<String, &'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.chars().all(allowed) { Ok(text.to_owned()) } else { Err("only `a-z`, `0-9` and `-`") }
}

pub(super) fn site(root: &mut Section<'_>) -> Option<Site> {
    let site_name = root.checked("name", name);
    let poll = root.ranged(
        "poll",
        Duration::from_secs(1)..=Duration::from_secs(3600),
        Duration::from_secs(10),
    );
    let listen = root.optional("listen");
    let parity = root.choice("parity", &[("none", 'n'), ("even", 'e'), ("odd", 'o')], 'n');
    let labels = root.or("labels", BTreeMap::new());
    let tenants = root.checked_list("tenants", name);
    let journal = root.required_section("journal").map(|mut journal| {
        let path = journal.required::<PathBuf>("path");
        (path, journal.or("size", Bytes(1 << 20)))
    });
    let collector = root.required_section("collector").map(|mut collector| {
        let url = collector.required_url("url", &["mqtt", "mqtts"]);
        let DurationOrZero(grace) = collector.or("grace", DurationOrZero(Duration::from_secs(5)));
        (url, grace)
    });
    let profiles: Vec<Spanned<String>> =
        root.named_sections("profile").into_iter().map(|(name, _)| name).collect();
    let known: Vec<&str> = profiles.iter().map(|name| name.as_str()).collect();
    let devices: Vec<Option<Device>> =
        root.sections("device").into_iter().map(|section| device(section, &known)).collect();
    root.unique("device", devices.iter().flatten().map(|device| &device.name));

    let (journal, journal_size) = journal?;
    let (collector, grace) = collector?;
    Some(Site {
        name: site_name?.value,
        poll,
        grace,
        listen,
        journal: journal?,
        journal_size,
        collector: collector?,
        parity,
        labels,
        tenants: tenants.into_iter().map(|tenant| tenant.value).collect(),
        devices: devices.into_iter().collect::<Option<_>>()?,
    })
}

fn device(mut section: Section<'_>, profiles: &[&str]) -> Option<Device> {
    let device_name = section.checked("name", name);
    let profile = section.required::<Spanned<String>>("profile");
    if let Some(profile) = profile.filter(|profile| !profiles.contains(&profile.as_str())) {
        section.no_such("profile", &profile, profiles.iter().copied());
    }
    let offset = section.ranged("offset", -10.0..=10.0, 0.0);
    let enabled = section.or("enabled", true);
    let registers = section.or("registers", Vec::new());
    let bus = section.one_of_sections(&["modbus_tcp", "mqtt"]).and_then(|(kind, mut bus)| {
        if kind == "mqtt" {
            return Some(Bus::Mqtt { topic: bus.required("topic")? });
        }
        let (unit, address) = (bus.ranged("unit", 1..=247, 1), bus.required("address"));
        Some(Bus::ModbusTcp { unit, address: address? })
    });
    Some(Device { name: device_name?, bus: bus?, offset, enabled, registers })
}

#[test]
fn good() {
    let site = accept(GOOD, site);
    let spanned = |value: &str| Spanned { value: value.to_owned(), span: 0..0 };
    assert_eq!(
        site,
        Site {
            name: "hall-1".to_owned(),
            poll: Duration::from_secs(5),
            grace: Duration::ZERO,
            listen: Some(([127, 0, 0, 1], 9464).into()),
            journal: "/var/lib/hallwatch".into(),
            journal_size: Bytes(64 << 20),
            collector: "mqtts://collector.example".parse().unwrap(),
            parity: 'e',
            labels: [("building", "B 2"), ("floor", "3")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            tenants: vec!["north".to_owned(), "south".to_owned()],
            devices: vec![
                Device {
                    name: spanned("pdu-1"),
                    bus: Bus::ModbusTcp { unit: 3, address: ([10, 0, 0, 5], 502).into() },
                    offset: 0.0,
                    enabled: true,
                    registers: vec![16, 18],
                },
                Device {
                    name: spanned("crac-1"),
                    bus: Bus::Mqtt { topic: "hall/crac".to_owned() },
                    offset: -1.0,
                    enabled: false,
                    registers: vec![],
                },
            ],
        }
    );
    assert_eq!(&GOOD[site.devices[0].name.span.clone()], "\"pdu-1\"");
}

#[test]
fn many_problems_at_once() {
    let text = r#"
name = "Hall 1"
pol = "5s"
listen = ":9464"
parity = "evn"
tenants = ["north", 7, "So"]
labels = { building = 2, floor = "3" }
oops

[journal]
size = "64 megabytes"

[colector]
url = "mqtts://collector.example"

[profile.pdu-v1]

[[device]]
name = "pdu-1"
profile = "pdu-v9"
registers = [0x10, 70000, "x"]
modbus_tcp = { unit = 300, adress = "10.0.0.5:502" }
mqtt = { topic = "x" }

[[device]]
name = "pdu-1"
profile = "pdu-v1"
offset = inf
enabled = "no"
mqtt.topic = "a"

[[device]]
name = "pdu-1"
profile = "pdu-v1"
mqtt.topic = "b"
"#;
    assert_snapshot!(check(text, site), @r#"
    error: `name` is not valid: only `a-z`, `0-9` and `-`
     --> agent.toml:2:8
      |
    2 | name = "Hall 1"
      |        ^^^^^^^^ not valid

    error: unknown key `pol`
     --> agent.toml:3:1
      |
    3 | pol = "5s"
      | ^^^ not known
      |
      = help: did you mean `poll`? known keys are `collector`, `device`, `journal`, `labels`, `listen`, `name`, `parity`, `poll`, `profile`, `tenants`

    error: `listen` is not an address with a port
     --> agent.toml:4:10
      |
    4 | listen = ":9464"
      |          ^^^^^^^ not an address
      |
      = help: write an IP address and a port, for example `listen = "127.0.0.1:9464"`

    error: `parity` cannot be `evn`
     --> agent.toml:5:10
      |
    5 | parity = "evn"
      |          ^^^^^ not known
      |
      = help: did you mean `even`? known words are `none`, `even`, `odd`

    error: an element of `tenants` must be a string
     --> agent.toml:6:21
      |
    6 | tenants = ["north", 7, "So"]
      |                     ^ a whole number
      |
      = help: for example `"…"`

    error: an element of `tenants` is not valid: only `a-z`, `0-9` and `-`
     --> agent.toml:6:24
      |
    6 | tenants = ["north", 7, "So"]
      |                        ^^^^ not valid

    error: `building` must be a string
     --> agent.toml:7:23
      |
    7 | labels = { building = 2, floor = "3" }
      |                       ^ a whole number
      |
      = help: for example `building = "…"`

    error: key with no value, expected `=`
     --> agent.toml:8:5
      |
    8 | oops
      |     ^

    error: `path` is missing in `journal`
      --> agent.toml:10:1
       |
    10 | [journal]
       | ^^^^^^^^^
       |
       = help: add `path = "/var/lib/hallwatch"`

    error: `size`: a size is a whole number with a unit: `B`, `KiB`, `MiB`, `GiB` or `TiB`
      --> agent.toml:11:8
       |
    11 | size = "64 megabytes"
       |        ^^^^^^^^^^^^^^ not a size
       |
       = help: for example `size = "64MiB"`

    error: unknown section `colector`
      --> agent.toml:13:2
       |
    13 | [colector]
       |  ^^^^^^^^ not known
       |
       = help: did you mean `collector`? known keys are `collector`, `device`, `journal`, `labels`, `listen`, `name`, `parity`, `poll`, `profile`, `tenants`

    error: no profile named `pdu-v9`
      --> agent.toml:20:11
       |
    20 | profile = "pdu-v9"
       |           ^^^^^^^^ not found
       |
       = help: did you mean `pdu-v1`? known profiles are `pdu-v1`

    error: an element of `registers` must be from 0 to 65535
      --> agent.toml:21:20
       |
    21 | registers = [0x10, 70000, "x"]
       |                    ^^^^^ out of range

    error: an element of `registers` must be a whole number from 0 to 65535
      --> agent.toml:21:27
       |
    21 | registers = [0x10, 70000, "x"]
       |                           ^^^ a string
       |
       = help: for example `1`

    error: `unit` must be from 1 to 247
      --> agent.toml:22:23
       |
    22 | modbus_tcp = { unit = 300, adress = "10.0.0.5:502" }
       |                       ^^^ out of range

    error: unknown key `adress` in `device.modbus_tcp`
      --> agent.toml:22:28
       |
    22 | modbus_tcp = { unit = 300, adress = "10.0.0.5:502" }
       |                            ^^^^^^ not known
       |
       = help: did you mean `address`? known keys are `address`, `unit`

    error: `modbus_tcp` and `mqtt` exclude each other in `device`
      --> agent.toml:23:1
       |
    23 | mqtt = { topic = "x" }
       | ^^^^ one too many
       |
       = help: keep one of `modbus_tcp`, `mqtt`

    error: `offset` must be a finite number
      --> agent.toml:28:10
       |
    28 | offset = inf
       |          ^^^ not finite

    error: `enabled` must be true or false
      --> agent.toml:29:11
       |
    29 | enabled = "no"
       |           ^^^^ a string
       |
       = help: for example `enabled = true`

    error: two devices are named `pdu-1`
      --> agent.toml:33:8
       |
    33 | name = "pdu-1"
       |        ^^^^^^^ used before
       |
       = help: the first is at line 26, column 8

    20 problems in agent.toml
    "#);
}
