//! `init`: a commented configuration from answers.

mod draft;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hallwatch_agent::profile::{Allowed, Connection, Parameter, Parity, Profile};
use serde_json::json;

use super::ask::{Ask, Question};
use super::check::count;
use super::screen::{Screen, warn};
use super::{Failed, load};
use draft::{Device, Draft};

/// Write a configuration from answers to questions.
///
/// Each answer is checked as the agent would check it. A file that is there is only replaced when
/// that is what you say.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Where to write it.
    #[arg(long, value_name = "FILE", default_value = "agent.toml")]
    output: PathBuf,
    /// Answers given beforehand: lines such as `site = fra-1`, `device.1.name = ups-a`.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let screen = Screen::new(arguments.json);
    let path = &arguments.output;
    let mut ask = Ask::new(arguments.answers.as_deref())?;
    let exists = path.try_exists().unwrap_or(true);
    if exists {
        let text = format!("{} is there. Replace it (yes, no)", path.display());
        if !ask.yes(Question { key: "overwrite", text: &text, default: Some("no") })? {
            let message = format!("{} was left as it is", path.display());
            return Err(Failed::failure(message).hint("give another file with --output"));
        }
    }
    let mut draft = Draft::default();
    Interview { ask: &mut ask, draft: &mut draft, path }.all()?;
    let text = draft.render();
    load::parse(path, text.clone()).map_err(|invalid| load::refuse(&invalid, arguments.json))?;
    write(path, &text, exists)
        .map_err(|error| Failed::failure(format!("could not write {}: {error}", path.display())))?;
    for key in ask.unused() {
        warn(&format!("nobody asked for the answer `{key}`"));
    }
    let devices = draft.devices.len();
    if screen.json {
        let written = path.display().to_string();
        screen.print_json(&json!({ "written": written, "devices": devices }));
    } else {
        let shown = path.display();
        screen.print(&format!(
            "wrote {shown} with {}\n\nnext:\n  hallwatch-agent check --config {shown}\n  \
             hallwatch-agent commission DEVICE --config {shown}\n",
            count(devices, "device")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// As a whole or not at all.
fn write(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    if !replace {
        let mut file = File::create_new(path)?;
        file.write_all(text.as_bytes())?;
        return file.sync_all();
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file = File::create_new(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let moved = written.and_then(|()| std::fs::rename(&beside, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    moved
}

struct Interview<'i> {
    ask: &'i mut Ask,
    draft: &'i mut Draft,
    path: &'i Path,
}

impl Interview<'_> {
    fn all(mut self) -> Result<(), Failed> {
        self.field("tenant", "Tenant: whose data it is", None, |draft, text| draft.tenant = text)?;
        self.field("site", "Site", None, |draft, text| draft.site = text)?;
        self.field("id", "Name of this agent", Some("gw-1"), |draft, text| draft.id = text)?;
        let data = Some("/var/lib/hallwatch-agent");
        self.field("data", "Directory of the journal", data, |draft, text| draft.data = text)?;
        let question = "Collectors that must acknowledge, with `,` between them";
        self.field("collectors", question, Some("c-1"), |draft, text| {
            draft.collectors = text.split(',').map(|one| one.trim().to_owned()).collect();
        })?;
        self.broker()?;
        let question = "Broker of the MQTT sensors, when it is another one (mqtt://…), or nothing";
        self.field("sensors.url", question, Some(""), |draft, text| draft.sensors = text)?;
        for number in 1.. {
            if !self.device(number)? {
                break;
            }
        }
        Ok(())
    }

    fn broker(&mut self) -> Result<(), Failed> {
        let question = "Broker towards the collectors (mqtt:// or mqtts://host:port)";
        self.field("broker.url", question, None, |draft, text| {
            draft.broker.is_tls = text.starts_with("mqtts:");
            draft.broker.url = text;
        })?;
        if self.draft.broker.is_tls {
            let ca = Some("/etc/hallwatch/ca.pem");
            let question = "Authority of the broker's certificate (PEM file)";
            self.field("broker.ca", question, ca, |draft, text| draft.broker.ca = text)?;
            let question = "This agent's certificate (PEM file), or nothing";
            self.field("broker.certificate", question, Some(""), |draft, text| {
                draft.broker.certificate = text;
            })?;
            if !self.draft.broker.certificate.is_empty() {
                let key = Some("/etc/hallwatch/agent.key");
                let question = "The certificate's key (PEM file)";
                self.field("broker.key", question, key, |draft, text| draft.broker.key = text)?;
            }
        }
        let question = "User name at the broker, or nothing";
        self.field("broker.username", question, Some(""), |draft, text| {
            draft.broker.username = text;
        })?;
        if !self.draft.broker.username.is_empty() {
            let question = "File that holds the password";
            let file = Some("/etc/hallwatch/broker.password");
            self.field("broker.password_file", question, file, |draft, text| {
                draft.broker.password_file = text;
            })?;
        }
        Ok(())
    }

    /// Asks for one more device; false when there is none.
    fn device(&mut self, number: usize) -> Result<bool, Failed> {
        let key = |field: &str| format!("device.{number}.{field}");
        let first = number == 1;
        let question = if first {
            "Name of the first Modbus device"
        } else {
            "Name of the next one, or nothing"
        };
        let (path, draft) = (self.path, &mut *self.draft);
        let name_key = key("name");
        let default = if first { None } else { Some("") };
        let question = Question { key: &name_key, text: question, default };
        let device = self.ask.ask(question, |answer| {
            if answer.is_empty() && !first {
                return Ok(None);
            }
            let unit = draft.free_unit();
            let device = Device { name: answer.to_owned(), unit, ..Device::default() };
            let mut next = draft.clone();
            next.devices.push(device.clone());
            check(path, &next).map(|()| Some(device))
        })?;
        let Some(device) = device else { return Ok(false) };
        self.draft.devices.push(device);
        let question = "Its profile (`hallwatch-agent profile list`), or a file";
        self.own(&key("profile"), question, None, |device, text| {
            // Something that is allowed stands for what is not asked yet.
            device.parameters = load::profile(&text, false).map_or(Vec::new(), |profile| {
                required(&profile).map(|one| (one.name.clone(), usual(&one.allowed))).collect()
            });
            device.profile = text;
        })?;
        let profile = self.draft.devices.last().map(|device| device.profile.clone());
        let profile = profile.and_then(|name| load::profile(&name, false).ok());
        for (parameter, at) in profile.iter().flat_map(|profile| required(profile)).zip(0usize..) {
            let question =
                format!("{}, {} ({})", parameter.name, parameter.help, parameter.allowed);
            self.own(&key(&parameter.name), &question, None, |device, text| {
                if let Some((_, value)) = device.parameters.get_mut(at) {
                    *value = text;
                }
            })?;
        }
        let connection = profile.map(|profile| profile.connection.clone()).unwrap_or_default();
        let port = connection.port.unwrap_or(502);
        let question = format!(
            "Its address: host[:port] (usually {port}), rtu:host:port, or a port like /dev/ttyUSB0"
        );
        self.own(&key("address"), &question, None, |device, text| {
            let bare = !text.starts_with('/') && (!text.contains(':') || text.ends_with(']'));
            device.address = if bare { format!("{text}:{port}") } else { text };
        })?;
        if self.draft.opens_port() {
            self.serial(&key, &connection)?;
        }
        let unit = connection.unit.unwrap_or(1).to_string();
        self.own(&key("unit"), "Its unit id", Some(&unit), |device, text| device.unit = text)?;
        let room = "Its room, or nothing";
        self.own(&key("room"), room, Some(""), |device, text| device.room = text)?;
        let rack = "Its rack, or nothing";
        self.own(&key("rack"), rack, Some(""), |device, text| device.rack = text)?;
        let feed = "Its feed (A, B), or nothing";
        self.own(&key("feed"), feed, Some(""), |device, text| device.feed = text)?;
        Ok(true)
    }

    /// The settings of the last device's serial port.
    fn serial(&mut self, key: &dyn Fn(&str) -> String, usual: &Connection) -> Result<(), Failed> {
        let baud = usual.baud.unwrap_or(19_200).to_string();
        self.own(&key("baud"), "Bits a second", Some(&baud), |device, text| {
            device.serial.baud = text;
        })?;
        let parity = match usual.parity {
            Some(Parity::None) => "none",
            Some(Parity::Odd) => "odd",
            Some(Parity::Even) | None => "even",
        };
        let question = "Parity (none, even, odd)";
        self.own(&key("parity"), question, Some(parity), |device, text| {
            device.serial.parity = text;
        })?;
        let stop_bits = usual.stop_bits.unwrap_or(1).to_string();
        self.own(&key("stop_bits"), "Stop bits (1, 2)", Some(&stop_bits), |device, text| {
            device.serial.stop_bits = text;
        })
    }

    /// A field of the last device.
    fn own(
        &mut self,
        key: &str,
        text: &str,
        default: Option<&str>,
        set: impl Fn(&mut Device, String),
    ) -> Result<(), Failed> {
        self.field(key, text, default, |draft, answer| {
            if let Some(device) = draft.devices.last_mut() {
                set(device, answer);
            }
        })
    }

    /// Asks until the configuration is valid with the answer in it.
    fn field(
        &mut self,
        key: &str,
        text: &str,
        default: Option<&str>,
        set: impl Fn(&mut Draft, String),
    ) -> Result<(), Failed> {
        let (path, draft) = (self.path, &*self.draft);
        *self.draft = self.ask.ask(Question { key, text, default }, |answer| {
            let mut next = draft.clone();
            set(&mut next, answer.to_owned());
            check(path, &next).map(|()| next)
        })?;
        Ok(())
    }
}

/// Whether the agent would take it: what is not asked yet is there as something valid.
/// What has to be told to the profile.
fn required(profile: &Profile) -> impl Iterator<Item = &Parameter> {
    profile.parameters().iter().filter(|parameter| parameter.default.is_none())
}

fn usual(allowed: &Allowed) -> String {
    match allowed {
        Allowed::Values(values) => values.last().map_or_else(String::new, f64::to_string),
        Allowed::Range { min, .. } => min.to_string(),
    }
}

fn check(path: &Path, draft: &Draft) -> Result<(), String> {
    load::parse(path, draft.render()).map(drop).map_err(|invalid| {
        let told = invalid.problems().iter().map(|problem| match &problem.help {
            Some(help) => format!("{} ({help})", problem.message),
            None => problem.message.clone(),
        });
        told.collect::<Vec<_>>().join("; ")
    })
}
