//! `[device.uplink]`: TOML to an [`Uplink`], every problem with its place.
//!
//! ```toml
//! [[device]]
//! name = "isp-1"
//! [device.uplink]
//! interval = "10s"        # one report per interval
//! every = "1s"            # one sending of each probe
//! timeout = "1s"
//! source = "192.0.2.2"    # and, or instead, `interface = "eth1"`
//! ca = "/etc/hallwatch-agent/ca.pem"   # instead of the system's authorities
//! probes = [
//!     { icmp = "198.51.100.1" },
//!     { tcp = "198.51.100.1:443" },
//!     { dns = { server = "198.51.100.53", name = "example.com" } },
//!     { http = "https://status.example/", address = "203.0.113.7" },
//!     { name = "gateway", icmp = "192.0.2.1", interface = "eth2" },
//! ]
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hallwatch_config::{Section, Spanned, Url, format_duration};

use super::device::label_value;
use crate::uplink::{DnsName, Host, HttpTarget, Path, Probe, Target, Uplink};

/// How many probes an uplink may have.
const MAX_PROBES: usize = 16;
/// An interface's name in Linux, without the zero at its end (`IFNAMSIZ`).
const MAX_INTERFACE_BYTES: usize = 15;
/// The port of DNS.
const DNS_PORT: u16 = 53;
/// The words that pick what a probe asks.
const KINDS: [&str; 4] = ["icmp", "tcp", "dns", "http"];

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn uplink(mut section: Section<'_>) -> Option<Uplink> {
    let interval = section.ranged("interval", SECOND..=3600 * SECOND, 10 * SECOND);
    let every = section.ranged("every", SECOND / 10..=3600 * SECOND, SECOND.min(interval));
    let timeout = section.ranged("timeout", SECOND / 100..=60 * SECOND, SECOND.min(interval));
    for (key, duration) in [("every", every), ("timeout", timeout)] {
        if duration > interval
            && let Some(value) = section.value(key)
        {
            let message = format!(
                "`{key}` must not be longer than the interval, {}",
                format_duration(interval)
            );
            let help = Some("an interval without a decided probe says nothing".to_owned());
            section.problem(value.span(), message, "too long", help);
        }
    }
    let path = path(&mut section);
    let ca = section.optional::<PathBuf>("ca");
    let written = section.value("probes").map(|value| value.span());
    let elements = section.sections("probes");
    match (&written, elements.len()) {
        (None, _) => {
            let help = Some("add `probes = [ { icmp = \"198.51.100.1\" } ]`".to_owned());
            section.problem(section.span(), "the uplink has no probes", "", help);
        }
        (Some(span), 0) => {
            let help = Some("for example `probes = [ { icmp = \"198.51.100.1\" } ]`".to_owned());
            section.problem(span.clone(), "the uplink has no probes", "none", help);
        }
        (Some(span), count) if count > MAX_PROBES => {
            let message = format!("an uplink has at most {MAX_PROBES} probes");
            section.problem(span.clone(), message, format!("{count} probes"), None);
        }
        _ => {}
    }
    let bound = says_path(&section);
    let probes: Vec<_> = elements.into_iter().map(|inner| probe(inner, &path, bound)).collect();
    let probes: Option<Vec<(Spanned<String>, Probe)>> = probes.into_iter().collect();
    let probes = probes?;
    let mut seen = BTreeSet::new();
    for (name, _) in &probes {
        if !seen.insert(name.value.as_str()) {
            let message = format!("two probes are named `{}`", name.value);
            let help = Some(format!("give one another name: `name = \"{}-2\"`", name.value));
            section.problem(name.span.clone(), message, "used before", help);
        }
    }
    if let Some(value) = section.value("ca")
        && !probes.iter().any(|(_, p)| matches!(&p.target, Target::Http(page) if page.tls))
    {
        let message = "`ca` means nothing without an `https` probe";
        section.problem(value.span(), message, "not used", None);
    }
    let probes: Vec<Probe> = probes.into_iter().map(|(_, probe)| probe).collect();
    Some(Uplink { interval, every, timeout, ca, probes })
}

fn path(section: &mut Section<'_>) -> Path {
    Path {
        source: section.checked_optional("source", source).map(|found| found.value),
        interface: section.checked_optional("interface", interface).map(|found| found.value),
    }
}

/// Whether a path is written here, valid or not.
fn says_path(section: &Section<'_>) -> bool {
    section.has("source") || section.has("interface")
}

/// A probe and its name, which stands where it is written or where the probe does.
fn probe(mut section: Section<'_>, shared: &Path, bound: bool) -> Option<(Spanned<String>, Probe)> {
    let span = section.span();
    let name = section.checked_optional("name", label_value);
    let own = path(&mut section);
    let path = Path {
        source: own.source.or(shared.source),
        interface: own.interface.or_else(|| shared.interface.clone()),
    };
    let bound = bound || says_path(&section);
    section.known(&KINDS);
    section.known(&["address"]);
    let present: Vec<&str> = KINDS.into_iter().filter(|kind| section.has(kind)).collect();
    let kind = match present.as_slice() {
        [kind] => *kind,
        [] => {
            let help = "a probe is one of `icmp`, `tcp`, `dns` and `http`".to_owned();
            section.problem(span, "the probe asks nothing", "", Some(help));
            return None;
        }
        [first, second, ..] => {
            let message = format!("`{first}` and `{second}` exclude each other in a probe");
            let help = Some("write one probe for each".to_owned());
            section.problem(span, message, "one too many", help);
            return None;
        }
    };
    if kind != "http"
        && let Some(value) = section.value("address")
    {
        let message = "`address` goes with `http` only";
        section.problem(value.span(), message, "not used", None);
    }
    let target = match kind {
        "icmp" => section.checked("icmp", address).map(|found| Target::Icmp(found.value)),
        "tcp" => section.checked("tcp", host_and_port).map(|found| {
            let (host, port) = found.value;
            Target::Tcp(host, port)
        }),
        "dns" => section.section("dns").and_then(dns),
        _ => http(&mut section),
    };
    let target = target?;
    if !bound {
        let message = "the probe has neither `source` nor `interface`: it would go by any path";
        let help = "add `source = \"192.0.2.2\"` or `interface = \"eth1\"`, here or to the uplink";
        section.problem(span.clone(), message, "", Some(help.to_owned()));
    }
    if let (Some(source), Some(address)) = (path.source, target.address())
        && source.is_ipv4() != address.is_ipv4()
    {
        let family = |address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let message = format!(
            "the source {source} is {} and what is asked, {address}, is {}",
            family(source),
            family(address)
        );
        section.problem(span.clone(), message, "never possible", None);
    }
    let name = name.unwrap_or_else(|| Spanned { value: target.kind().to_owned(), span });
    Some((name.clone(), Probe { name: name.value, target, path }))
}

fn dns(mut section: Section<'_>) -> Option<Target> {
    let server = section.checked("server", server);
    let name = section.checked("name", DnsName::new);
    Some(Target::Dns(server?.value, name?.value))
}

fn http(section: &mut Section<'_>) -> Option<Target> {
    let given = section.checked_optional("address", address).map(|found| found.value);
    let written = section.value("http")?;
    let url = section.url("http", &["https", "http"])?;
    let host = match host(url.host()) {
        Ok(host) => host,
        Err(reason) => {
            let message = format!("`http`: {reason}");
            return written.refuse(message, "not a host", None);
        }
    };
    match page(&url) {
        Ok(page) => Some(Target::Http(HttpTarget {
            connect: given.map_or_else(|| host.clone(), Host::Address),
            host,
            port: url.port(),
            tls: url.is_tls(),
            page,
        })),
        Err(reason) => {
            let help = Some("write other characters as `%` and two hexadecimal digits".to_owned());
            written.refuse(format!("`http`: {reason}"), "not possible", help)
        }
    }
}

/// Path and query.
fn page(url: &Url) -> Result<String, &'static str> {
    let text = url.as_str();
    let after_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
    let page = after_scheme.find(['/', '?', '#']).and_then(|at| after_scheme.get(at..));
    let page = page.unwrap_or_default().split('#').next().unwrap_or_default();
    if page.len() > 1000 {
        return Err("a path has at most 1000 characters");
    }
    if !page.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a path has ASCII characters only");
    }
    Ok(if page.starts_with('/') { page.to_owned() } else { format!("/{page}") })
}

fn source(text: &str) -> Result<IpAddr, &'static str> {
    let address = text.parse().map_err(|_| "a source is an IP address of this machine")?;
    one_machine(address)
}

fn address(text: &str) -> Result<IpAddr, &'static str> {
    let address = text
        .parse()
        .map_err(|_| "it must be an IP address: resolving a name would take another path")?;
    one_machine(address)
}

fn one_machine(address: IpAddr) -> Result<IpAddr, &'static str> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        Err("it is not the address of one machine")
    } else {
        Ok(address)
    }
}

fn interface(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > MAX_INTERFACE_BYTES {
        Err("the name of an interface has at most 15 characters")
    } else if text.chars().any(|c| !c.is_ascii_graphic() || matches!(c, '/' | ':')) {
        Err("the name of an interface has no blanks, `/` or `:`")
    } else {
        Ok(text.to_owned())
    }
}

fn server(text: &str) -> Result<SocketAddr, &'static str> {
    const WANTED: &str = "a server is an IP address, with or without a port";
    let server = match text.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, DNS_PORT),
        Err(_) => text.parse().map_err(|_| WANTED)?,
    };
    one_machine(server.ip())?;
    if server.port() == 0 { Err("its port is not from 1 to 65535") } else { Ok(server) }
}

fn host_and_port(text: &str) -> Result<(Host, u16), String> {
    let (name, port) =
        text.rsplit_once(':').ok_or("it needs a port, such as `198.51.100.1:443`")?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|port| digits && *port > 0);
    let port = port.ok_or("its port is not from 1 to 65535")?;
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match inner {
        Some(v6) => {
            let v6 = v6.parse::<std::net::Ipv6Addr>();
            let v6 = v6.map_err(|_| "there is no IPv6 address between `[` and `]`")?;
            Ok((Host::Address(one_machine(v6.into())?), port))
        }
        None => Ok((host(name)?, port)),
    }
}

fn host(text: &str) -> Result<Host, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Host::Address(one_machine(address)?));
    }
    let name = DnsName::new(text).map_err(|error| error.to_string())?;
    // As resolvers do, or `10.0.0.256` would be taken for a name.
    let last = name.as_str().rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("it is neither a name nor an IP address".to_owned());
    }
    Ok(Host::Name(name))
}

#[cfg(test)]
mod tests;
