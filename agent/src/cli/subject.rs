//! The device that a command is about: one of a configuration, or any at an address.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hallwatch_agent::config::{DeviceSource, Endpoint, Line, Modbus};
use hallwatch_agent::profile::{Connection, Placement, Profile};
use hallwatch_config::suggest;
use hallwatch_modbus::Line as Settings;
use hallwatch_modbus::framing::{DataBits, Parity as LineParity, StopBits};

use super::{Failed, INSTALLED, load};

/// How a device is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Choice {
    /// A device of the configuration; with --profile an address, host[:port][/unit], or a serial
    /// port with the unit, /dev/ttyUSB0/3.
    #[arg(value_name = "DEVICE")]
    device: String,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = INSTALLED)]
    config: PathBuf,
    /// Read the device at an address with this profile (a name, or a file), without a
    /// configuration.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// With --profile a parameter of it; once for each.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parameter)]
    parameters: Vec<(String, f64)>,
    /// How long an answer may take, in milliseconds, when the device is at an address.
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    timeout: u64,
    /// RTU over TCP: the address is of a converter that passes frames of a serial line on.
    #[arg(long)]
    rtu: bool,
    #[command(flatten)]
    serial: Serial,
}

/// The settings of a serial line; what is not told is as the profile's devices leave the factory.
#[derive(Args, Clone, Debug)]
pub(crate) struct Serial {
    /// Bits a second of a serial port; 19200 when neither told nor known of the device.
    #[arg(long, value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: Option<u32>,
    /// The parity bit of a serial port; even when neither told nor known.
    #[arg(long, value_enum)]
    parity: Option<Parity>,
    /// Stop bits of a serial port; 1 when neither told nor known.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    stop_bits: Option<u8>,
}

/// The parity bit.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum Parity {
    None,
    Even,
    Odd,
}

impl Parity {
    pub(crate) const fn of_line(self) -> LineParity {
        match self {
            Self::None => LineParity::None,
            Self::Even => LineParity::Even,
            Self::Odd => LineParity::Odd,
        }
    }
}

impl Serial {
    pub(crate) fn settings(&self, usual: &Connection) -> Settings {
        let spec = Settings::default();
        let usual_parity = usual.parity.map(|parity| match parity {
            hallwatch_agent::profile::Parity::None => LineParity::None,
            hallwatch_agent::profile::Parity::Even => LineParity::Even,
            hallwatch_agent::profile::Parity::Odd => LineParity::Odd,
        });
        let parity = self.parity.map(Parity::of_line).or(usual_parity);
        Settings {
            baud: self.baud.or(usual.baud).unwrap_or(spec.baud),
            parity: parity.unwrap_or(spec.parity),
            data_bits: DataBits::Eight,
            stop_bits: match self.stop_bits.or(usual.stop_bits) {
                Some(2) => StopBits::Two,
                _ => StopBits::One,
            },
        }
    }
}

/// A device that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) site: Option<String>,
    pub(crate) modbus: Modbus,
}

impl Subject {
    /// `Modbus TCP host:port unit 1`.
    pub(crate) fn place(&self) -> String {
        let endpoint = &self.modbus.line.endpoint;
        format!("{} {endpoint} unit {}", endpoint.protocol(), self.modbus.unit)
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
        let profile = set(load::profile(profile, json)?, &self.parameters)?;
        let (endpoint, unit) = self.endpoint(&profile)?;
        let timeout = Duration::from_millis(self.timeout);
        let pause = profile.connection.pause.unwrap_or_default();
        let modbus = Modbus {
            line: Arc::new(Line::new(endpoint, timeout)),
            unit: unit.or(profile.connection.unit).unwrap_or(1),
            profile,
            placement: Placement::default(),
            timeout,
            min_timeout: timeout,
            pause,
            interval: Duration::from_secs(1),
        };
        Ok(Subject { name: self.device.clone(), site: None, modbus })
    }

    fn endpoint(&self, profile: &Profile) -> Result<(Endpoint, Option<u8>), Failed> {
        let wrong = || Failed::usage(format!("`{}` is no address of a device", self.device));
        if self.device.starts_with('/') {
            // Ports end in numbers, too: the unit is always told.
            let told = self.device.rsplit_once('/');
            let (port, unit) = told
                .and_then(|(port, unit)| Some((port.to_owned(), unit.parse().ok()?)))
                .filter(|(port, _)| port.len() > 1)
                .ok_or_else(|| {
                    wrong().hint("write PORT/UNIT, such as /dev/ttyUSB0/3 for its unit 3")
                })?;
            let settings = self.serial.settings(&profile.connection);
            return Ok((Endpoint::Serial { port, settings }, Some(unit)));
        }
        let (address, unit) = address(&self.device).ok_or_else(|| {
            wrong().hint(
                "write host[:port][/unit], such as 10.0.0.5:502/1, or a serial port with the \
                 unit, such as /dev/ttyUSB0/3",
            )
        })?;
        let rtu = self.rtu;
        let endpoint =
            if rtu { Endpoint::RtuOverTcp { address } } else { Endpoint::Tcp { address } };
        Ok((endpoint, unit))
    }

    fn configured(&self, json: bool) -> Result<Subject, Failed> {
        if !self.parameters.is_empty() {
            return Err(Failed::usage("`--set` is for a device at an address, with --profile")
                .hint("the configuration gives a device its `parameters`"));
        }
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
            DeviceSource::Modbus(modbus) => Ok(Subject {
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

/// What `--set` says.
pub(crate) fn parameter(text: &str) -> Result<(String, f64), String> {
    let (name, number) = text.split_once('=').ok_or("write it as `name=number`")?;
    let value = number.parse().map_err(|_| format!("`{number}` is no number"))?;
    Ok((name.to_owned(), value))
}

/// The profile with its parameters as they are set.
pub(crate) fn set(
    profile: Arc<Profile>,
    parameters: &[(String, f64)],
) -> Result<Arc<Profile>, Failed> {
    if parameters.is_empty() {
        return Ok(profile);
    }
    let parameters = parameters.iter().cloned().collect();
    let placed = profile.placed(&Placement { parameters, ..Placement::default() });
    placed.map(Arc::new).map_err(|error| {
        let name = &profile.name;
        Failed::usage(error.to_string()).hint(format!("`profile show {name}` lists the parameters"))
    })
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
