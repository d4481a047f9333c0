//! The device that a command is about: one of a configuration, or any at an address.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hallwatch_agent::config::{DeviceSource, Modbus};
use hallwatch_config::suggest;

use super::{Failed, INSTALLED, load};

/// How a device is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Choice {
    /// A device of the configuration; with --profile an address, host[:port][/unit].
    #[arg(value_name = "DEVICE")]
    device: String,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = INSTALLED)]
    config: PathBuf,
    /// Read the device at an address with this profile (a name, or a file), without a
    /// configuration.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// How long an answer may take, in milliseconds, when the device is at an address.
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    timeout: u64,
}

/// A device that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) site: Option<String>,
    pub(crate) modbus: Modbus,
}

impl Subject {
    /// `host:port unit 1`.
    pub(crate) fn place(&self) -> String {
        format!("Modbus TCP {} unit {}", self.modbus.address, self.modbus.unit)
    }
}

impl Choice {
    pub(crate) fn subject(&self, json: bool) -> Result<Subject, Failed> {
        match &self.profile {
            Some(profile) => self.at_address(profile, json),
            None => self.configured(json),
        }
    }

    fn at_address(&self, profile: &str, json: bool) -> Result<Subject, Failed> {
        let (address, unit) = address(&self.device).ok_or_else(|| {
            Failed::usage(format!("`{}` is no address of a device", self.device))
                .hint("write host[:port][/unit], such as 10.0.0.5:502/1")
        })?;
        let profile = load::profile(profile, json)?;
        let modbus = Modbus {
            address,
            unit: unit.or(profile.connection.unit).unwrap_or(1),
            profile,
            timeout: Duration::from_millis(self.timeout),
            interval: Duration::from_secs(1),
        };
        Ok(Subject { name: self.device.clone(), site: None, modbus })
    }

    fn configured(&self, json: bool) -> Result<Subject, Failed> {
        let config = load::config(&self.config, json)?;
        let device = config.devices.iter().find(|device| device.name.as_str() == self.device);
        let Some(device) = device else {
            let known: Vec<&str> =
                config.devices.iter().map(|device| device.name.as_str()).collect();
            let message = format!("{} has no device `{}`", self.config.display(), self.device);
            let help = suggest::help(&self.device, "devices", &known);
            return Err(Failed::usage(message).hint(help));
        };
        match &device.source {
            DeviceSource::ModbusTcp(modbus) => Ok(Subject {
                name: self.device.clone(),
                site: Some(config.path.to_string()),
                modbus: modbus.clone(),
            }),
            DeviceSource::Mqtt(_) => Err(Failed::usage(format!(
                "`{}` is an MQTT sensor: it speaks and cannot be asked",
                self.device
            ))
            .hint("`hallwatch-agent check` listens to it")),
            DeviceSource::Uplink(_) => {
                Err(Failed::usage(format!("`{}` is an uplink and has no registers", self.device))
                    .hint("`hallwatch-agent check` says whether it can be probed"))
            }
        }
    }
}

/// `host[:port][/unit]`, also `[ipv6]:port/unit`; the port is 502 unless told.
fn address(text: &str) -> Option<(String, Option<u8>)> {
    let (host, unit) = match text.rsplit_once('/') {
        Some((host, unit)) => (host, Some(unit.parse().ok()?)),
        None => (text, None),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        return None;
    }
    let has_port = match host.rsplit_once(':') {
        Some((before, port)) if !before.contains(':') || before.ends_with(']') => {
            port.parse::<u16>().ok().filter(|port| *port > 0)?;
            true
        }
        Some(_) if !host.starts_with('[') => return Some((format!("[{host}]:502"), unit)),
        _ => false,
    };
    Some((if has_port { host.to_owned() } else { format!("{host}:502") }, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_in_many_ways() {
        let cases = [
            ("10.0.0.5", Some(("10.0.0.5:502", None))),
            ("10.0.0.5/3", Some(("10.0.0.5:502", Some(3)))),
            ("ups.example:1502/255", Some(("ups.example:1502", Some(255)))),
            ("[2001:db8::1]:503/1", Some(("[2001:db8::1]:503", Some(1)))),
            ("2001:db8::1", Some(("[2001:db8::1]:502", None))),
            ("[::1]", Some(("[::1]:502", None))),
            ("10.0.0.5/256", None),
            ("10.0.0.5:0", None),
            ("a b", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(address, unit)| (address.to_owned(), unit));
            assert_eq!(address(text), expected, "{text}");
        }
    }
}
