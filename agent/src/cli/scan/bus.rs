//! What is scanned: hosts with ports, serial ports, unit ids.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hallwatch_modbus::framing::{DataBits, StopBits};
use hallwatch_modbus::{AnyClient, Line, Options, SerialEndpoint, Tcp, TcpEndpoint};

use super::Parity;

/// Something with units behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bus {
    Tcp { address: String, rtu: bool },
    Serial { path: String, line: Line },
}

impl Bus {
    pub(super) fn client(&self, options: Options) -> AnyClient {
        match self {
            Self::Tcp { address, rtu: false } => {
                AnyClient::over_tcp(TcpEndpoint::new(address), Tcp::default(), options)
            }
            Self::Tcp { address, rtu: true } => {
                AnyClient::rtu_over_tcp(TcpEndpoint::new(address), false, options)
            }
            Self::Serial { path, line } => {
                AnyClient::over_serial(SerialEndpoint::new(path, *line), false, options)
            }
        }
    }

    /// The address or port alone.
    pub(super) fn place(&self) -> &str {
        match self {
            Self::Tcp { address, .. } => address,
            Self::Serial { path, .. } => path,
        }
    }

    /// The units to try when nobody says which. Devices with TCP of their own often have 255 or 0.
    pub(super) fn usual_units(&self) -> Vec<u8> {
        let mut units: Vec<u8> = (1..=247).collect();
        if let Self::Tcp { rtu: false, .. } = self {
            units.extend([255, 0]);
        }
        units
    }

    /// How long a unit of a line may keep the line after its time is up. An answer carries its
    /// unit's id, so a late one cannot pass for another unit's.
    pub(super) fn slowest_answer(&self, timeout: Duration) -> Duration {
        match self {
            Self::Tcp { rtu: false, .. } => Duration::ZERO,
            _ => timeout,
        }
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, rtu: false } => f.write_str(address),
            Self::Tcp { address, rtu: true } => write!(f, "{address} (RTU)"),
            Self::Serial { path, line } => write!(f, "{path} ({line})"),
        }
    }
}

/// The settings of a line.
pub(super) fn line(baud: u32, parity: Parity, stop_bits: u8) -> Line {
    Line {
        baud,
        parity: parity.of_line(),
        data_bits: DataBits::Eight,
        stop_bits: if stop_bits == 2 { StopBits::Two } else { StopBits::One },
    }
}

/// A host and the ports to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    host: String,
    first: u16,
    last: u16,
}

impl Hosts {
    pub(super) fn addresses(&self) -> impl Iterator<Item = String> {
        (self.first..=self.last).map(|port| format!("{}:{port}", self.host))
    }
}

impl FromStr for Hosts {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const PORTS: &str = "ports are from 1 to 65535, a range is 502-510";
        let (host, ports) = match text.rsplit_once(':') {
            Some((host, ports)) if !host.contains(':') || host.ends_with(']') => (host, ports),
            // An IPv6 address without a port.
            Some(_) => (text, "502"),
            None => (text, "502"),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| text.parse().ok().filter(|port: &u16| *port > 0).ok_or(PORTS);
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(PORTS);
        }
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err("a host is a name or an address");
        }
        let is_bare_v6 = host.contains(':') && !host.starts_with('[');
        let host = if is_bare_v6 { format!("[{host}]") } else { host.to_owned() };
        Ok(Self { host, first, last })
    }
}

/// Unit ids in the order to try them, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Units(pub(super) Vec<u8>);

impl FromStr for Units {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "unit ids are from 0 to 255, such as 1-10,17";
        let mut units = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u8>().map_err(|_| WANTED);
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(WANTED);
            }
            for unit in first..=last {
                if !units.contains(&unit) {
                    units.push(unit);
                }
            }
        }
        Ok(Self(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_units_are_told_in_short() {
        let hosts = |text: &str| text.parse::<Hosts>().map(|hosts| hosts.addresses().collect());
        let list = |all: &[&str]| Ok(all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(hosts("10.0.0.5"), list(&["10.0.0.5:502"]));
        assert_eq!(hosts("gw.example:1502"), list(&["gw.example:1502"]));
        assert_eq!(hosts("a:502-504"), list(&["a:502", "a:503", "a:504"]));
        assert_eq!(hosts("[::1]:7"), list(&["[::1]:7"]));
        assert_eq!(hosts("2001:db8::1"), list(&["[2001:db8::1]:502"]));
        for wrong in ["", ":502", "a:0", "a:9-8", "a:x", "a b:1", "a:70000"] {
            assert!(hosts(wrong).is_err(), "{wrong}");
        }
        assert_eq!("3-5,1,4".parse(), Ok(Units(vec![3, 4, 5, 1])));
        for wrong in ["", "256", "5-3", "a", "1,,2"] {
            assert!(wrong.parse::<Units>().is_err(), "{wrong}");
        }
    }
}
