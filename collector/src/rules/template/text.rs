//! The functions on texts: addresses and links.

use std::borrow::Cow;
use std::net::IpAddr;

/// `host:port` as host (without the brackets of IPv6) and port, as Go's `net.SplitHostPort`.
fn host_and_port(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    if let Some(bracketed) = host.strip_prefix('[') {
        let host = bracketed.strip_suffix(']')?;
        return (!host.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((host, port));
    }
    (!address.contains(['[', ']']) && !host.contains(':')).then_some((host, port))
}

/// `stripPort`: what is no address with a port stays as it is.
pub(super) fn strip_port(address: &str) -> &str {
    host_and_port(address).map_or(address, |(host, _)| host)
}

/// `stripDomain`: the host's own name, with the port if there was one. IP addresses stay.
pub(super) fn strip_domain(address: &str) -> String {
    let (host, port) = host_and_port(address).unwrap_or((address, ""));
    if host.parse::<IpAddr>().is_ok() {
        return address.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    match port {
        "" => name.to_owned(),
        _ if name.contains(':') => format!("[{name}]:{port}"),
        _ => format!("{name}:{port}"),
    }
}

/// The path of an address, as it stands before the paths of its pages: empty where there is none.
pub(super) fn path_prefix(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    let path = after.find('/').map_or("", |at| &after[at..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

/// Where Prometheus' own interface shows an expression: as a graph in tab 0, as a table in tab 1.
pub(crate) fn link(expression: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", escaped(expression))
}

/// As a part of a link's query, the way Go writes it.
pub(super) fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            Cow::Owned(char::from(byte).to_string())
        }
        b' ' => Cow::Borrowed("+"),
        _ => Cow::Owned(format!("%{byte:02X}")),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_domains_as_prometheus() {
        for (address, port, domain) in [
            ("ups-a.example.org:502", "ups-a.example.org", "ups-a:502"),
            ("ups-a.example.org", "ups-a.example.org", "ups-a"),
            ("ups-a", "ups-a", "ups-a"),
            ("192.0.2.1:502", "192.0.2.1", "192.0.2.1:502"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]:502", "2001:db8::1", "[2001:db8::1]:502"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1", "[2001:db8::1", "[2001:db8::1"),
            ("", "", ""),
            (":502", "", ":502"),
        ] {
            assert_eq!(strip_port(address), port, "{address:?}");
            assert_eq!(strip_domain(address), domain, "{address:?}");
        }
    }
}
