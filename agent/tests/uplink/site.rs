//! A site with two providers, in network namespaces of its own. Needs root and iproute2.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use hallwatch_agent::uplink::Path;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What every provider leads to: the same address, so that only the path tells them apart.
pub(crate) const TARGET: &str = "198.51.100.1";
pub(crate) const TARGET_V6: &str = "2001:db8:100::1";
/// Another host behind the same provider.
pub(crate) const OTHER: &str = "198.51.100.2";

/// The site's own addresses at its two providers.
pub(crate) const SOURCE: [&str; 2] = ["192.0.2.2", "203.0.113.2"];
pub(crate) const SOURCE_V6: [&str; 2] = ["2001:db8:a::2", "2001:db8:b::2"];
/// The providers' ends of the two cables.
const GATEWAY: [&str; 2] = ["192.0.2.1", "203.0.113.1"];
const GATEWAY_V6: [&str; 2] = ["2001:db8:a::1", "2001:db8:b::1"];
/// The site's interfaces towards them.
pub(crate) const INTERFACE: [&str; 2] = ["isp-a", "isp-b"];

/// A network namespace; deleted when this is dropped, whatever happened.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    fn new(role: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hallwatch-{}-{count}-{role}", std::process::id());
        ip(&["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// `ip` within.
    pub(crate) fn ip(&self, arguments: &str) {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        ip(&[&["-n", &self.name], &arguments[..]].concat());
    }

    /// Runs `work` on a thread within.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let path = format!("/run/netns/{}", self.name);
        std::thread::spawn(move || {
            let file = File::open(&path).unwrap();
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(file.as_fd(), network).unwrap();
            work()
        })
    }

    /// Runs `work` on a thread within, to its end.
    pub(crate) fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match self.spawn(work).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Writes a setting of the network within.
    pub(crate) fn sysctl(&self, path: &'static str, value: &'static str) {
        self.within(move || std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A panic is more telling than what goes wrong while it is cleaned up.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("needs iproute2");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "needs root: ip {}: {said}", arguments.join(" "));
}

/// The site and its providers.
pub(crate) struct Site {
    pub(crate) site: Namespace,
    pub(crate) providers: [Namespace; 2],
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Namespace::new("site");
        let providers = [Namespace::new("a"), Namespace::new("b")];
        let made = Self { site, providers };
        for which in 0..2 {
            made.connect(which);
        }
        made
    }

    /// Lays the cable to a provider: addresses, a default route and, for those who choose by
    /// source, a table of its own.
    pub(crate) fn connect(&self, which: usize) {
        let (site, provider) = (&self.site, &self.providers[which]);
        let (interface, own, own_v6) = (INTERFACE[which], SOURCE[which], SOURCE_V6[which]);
        let (gateway, gateway_v6) = (GATEWAY[which], GATEWAY_V6[which]);
        let (metric, table) = (100 + which, 101 + which);
        site.ip(&format!("link add {interface} type veth peer name site0 netns {}", provider.name));
        site.ip(&format!("addr add {own}/30 dev {interface}"));
        site.ip(&format!("addr add {own_v6}/64 dev {interface} nodad"));
        site.ip(&format!("link set {interface} up"));
        provider.ip(&format!("addr add {gateway}/30 dev site0"));
        provider.ip(&format!("addr add {gateway_v6}/64 dev site0 nodad"));
        provider.ip("link set site0 up");
        provider.ip(&format!("addr replace {TARGET}/32 dev lo"));
        provider.ip(&format!("addr replace {OTHER}/32 dev lo"));
        provider.ip(&format!("addr replace {TARGET_V6}/128 dev lo nodad"));
        site.ip(&format!("route add default via {gateway} dev {interface} metric {metric}"));
        site.ip(&format!("route add default via {gateway} dev {interface} table {table}"));
        site.ip(&format!("rule add from {own} table {table}"));
        site.ip(&format!("-6 route add default via {gateway_v6} dev {interface} metric {metric}"));
        site.ip(&format!("-6 route add default via {gateway_v6} dev {interface} table {table}"));
        site.ip(&format!("-6 rule add from {own_v6} table {table}"));
    }
}

/// The path over a provider, by source address.
pub(crate) fn by_source(which: usize) -> Path {
    Path { source: Some(SOURCE[which].parse::<IpAddr>().unwrap()), interface: None }
}

/// The path over a provider, by interface.
pub(crate) fn by_interface(which: usize) -> Path {
    Path { source: None, interface: Some(INTERFACE[which].to_owned()) }
}
