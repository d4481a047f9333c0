//! What a configuration may say, and what is said about one that is wrong.

use std::io;
use std::path::Path;
use std::time::Duration;

use hallwatch_collector::config::{Channel, Config, Files, parse};
use hallwatch_config::{Invalid, Source};

/// Files that need no disk: what is in them depends on their names.
struct Shelf;

impl Files for Shelf {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/etc/hallwatch/secret") => Ok(b"hunter2\n".to_vec()),
            Some("/etc/hallwatch/pair") => Ok(b"hunter2 and sixteen more\n".to_vec()),
            Some("/etc/hallwatch/empty") => Ok(b"\n".to_vec()),
            Some("/etc/hallwatch/ca.pem") => Ok(b"-----BEGIN CERTIFICATE-----\n".to_vec()),
            Some("/etc/hallwatch/latin1.yaml") => Ok(b"na\xefve".to_vec()),
            Some("/etc/hallwatch/locked") => Err(io::ErrorKind::PermissionDenied.into()),
            Some("/etc/hallwatch/more.yaml" | "/etc/hallwatch/rules/power.yaml") => {
                Ok(b"groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n".to_vec())
            }
            Some("/etc/hallwatch/bad.yaml") => {
                Ok(b"groups: [{name: g, rules: [{alert: A, expr: \"up ==\"}]}]\n".to_vec())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        match directory.to_str() {
            Some("/etc/hallwatch/rules") => Ok(vec!["README".into(), "power.yaml".into()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn checked(name: &str, text: &str) -> Result<Config, Invalid> {
    parse(&Source::new(name, text), Path::new("/etc/hallwatch"), &Shelf)
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let config = checked("collector.toml", include_str!("good/collector.toml")).unwrap();
    assert_eq!(config.id.as_str(), "c-1");
    assert_eq!(config.data, Path::new("/etc/hallwatch/data"));
    let addresses = "mqtt://127.0.0.1:1883 or mqtt://127.0.0.2 or mqtt://127.0.0.3:1884";
    assert_eq!(config.broker.addresses(), addresses);
    assert_eq!(config.broker.version, hallwatch_link::Version::V311);
    assert_eq!(config.broker.login.unwrap().password, "hunter2");
    let paths: Vec<String> =
        config.sites.iter().flat_map(|site| site.agent_paths()).map(|p| p.to_string()).collect();
    assert_eq!(paths, ["acme/fra-1/gw-1", "acme/fra-1/gw-2", "globex/fra-1/gw-1"]);
    assert_eq!(config.sites[0].name, "Frankfurt 1");
    assert_eq!(config.sites[1].name, "fra-1");
    let names: Vec<&str> = config.rules.set.groups.iter().map(|group| &*group.file).collect();
    assert_eq!(names, ["rules/power.yaml", "more.yaml"]);
    assert_eq!(config.rules.interval, Duration::from_millis(500));
    assert_eq!(config.notify.group_wait, Duration::ZERO);
    let Channel::Webhook(webhook) = &config.receivers[0].channel else { panic!() };
    assert_eq!(webhook.timeout, Duration::from_secs(5));
    let managers = config.receivers[1..].iter().map(|receiver| match &receiver.channel {
        Channel::Alertmanager(to) => (to.urls.len(), to.timeout),
        Channel::Webhook(_) => panic!("{receiver:?}"),
    });
    let (five, ten) = (Duration::from_secs(5), Duration::from_secs(10));
    assert_eq!(managers.collect::<Vec<_>>(), [(1, five), (2, ten)]);
    assert_eq!(config.external_url.unwrap().as_str(), "https://hall.example.net");
    assert_eq!(config.sinks[0].influx.token.as_deref(), Some("hunter2"));
    assert_eq!(config.retention.size.0, 100 << 30);
    let peer = config.peer.unwrap();
    assert_eq!((peer.id.as_str(), peer.url.port()), ("c-2", 8600));
    assert!(peer.tls.unwrap().client.is_some());
    let days = |count: u64| Duration::from_secs(count * 24 * 60 * 60);
    assert_eq!(config.retention.minutes, days(365));
    assert_eq!(config.retention.hours, days(3_650));
}

#[test]
fn a_topology_is_understood_and_what_is_strange_in_it_is_a_warning() {
    let config = checked("collector.toml", include_str!("good/collector.toml")).unwrap();
    let plan = &config.topologies[0];
    assert_eq!((plan.tenant.as_str(), plan.site.as_str()), ("acme", "fra-1"));
    assert_eq!(plan.agent, None, "it has two");
    let power = &plan.power;
    let paths: Vec<usize> = (0..power.racks().len()).map(|rack| power.configured(rack)).collect();
    assert_eq!(paths, [2, 1]);
    let ats = power.find("ats").unwrap();
    let number = |name: &str| power.source_number(ats, power.find(name).unwrap());
    // The generator is named first, and is the second source of the switch all the same.
    assert_eq!((number("utility"), number("generator")), (Some(1), Some(2)));
    assert_eq!((plan.zones[0].units.len(), plan.zones[0].needs), (3, 2));
    assert_eq!(plan.uplinks, ["isp-1", "isp-2"]);
    let warnings: Vec<(usize, &str)> =
        config.warnings.iter().map(|warning| (warning.line, &*warning.message)).collect();
    assert_eq!(
        warnings,
        [(21, "rack `r02` has one power path only"), (31, "`pdu-b9` feeds nothing")]
    );
    assert_eq!(config.notify.escalate_after, Duration::from_secs(120));
}

#[test]
fn what_is_not_said_has_a_default_that_harms_nobody() {
    let text = "
        collector = { id = 'c-1', data = '/data' }
        broker = { url = 'mqtt://127.0.0.1' }
        site = [{ id = 'fra-1', tenant = 'acme', agents = ['gw-1'] }]
    ";
    let config = checked("collector.toml", text).unwrap();
    assert!(config.listen.ip().is_loopback());
    assert_eq!(config.external_url, None);
    let own = checked("collector.toml", include_str!("good/collector.toml")).unwrap();
    assert_ne!(config.rules.set.groups.len(), own.rules.set.groups.len(), "the shipped library");
    assert_eq!(config.rules.interval, Duration::from_secs(1));
    assert!(config.receivers.is_empty() && config.sinks.is_empty());
}

#[test]
fn secrets_are_never_printed() {
    let config = checked("collector.toml", include_str!("good/collector.toml")).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn every_mistake_is_told_with_its_place_and_a_hint() {
    let cases = [
        ("empty", include_str!("bad/empty.bad.toml")),
        ("syntax", include_str!("bad/syntax.bad.toml")),
        ("identity", include_str!("bad/identity.bad.toml")),
        ("broker", include_str!("bad/broker.bad.toml")),
        ("broker-tls", include_str!("bad/broker-tls.bad.toml")),
        ("sites", include_str!("bad/sites.bad.toml")),
        ("rules-and-people", include_str!("bad/rules-and-people.bad.toml")),
        ("alertmanager", include_str!("bad/alertmanager.bad.toml")),
        ("sinks", include_str!("bad/sinks.bad.toml")),
        ("peer", include_str!("bad/peer.bad.toml")),
        ("topology", include_str!("bad/topology.bad.toml")),
        ("topology-edges", include_str!("bad/topology-edges.bad.toml")),
        ("topology-circle", include_str!("bad/topology-circle.bad.toml")),
        ("rule-file", include_str!("bad/rule-file.bad.toml")),
    ];
    let mut mistakes = 0;
    for (name, text) in cases {
        let invalid = checked(&format!("{name}.bad.toml"), text).expect_err(name);
        mistakes += invalid.problems().len();
        insta::with_settings!({ snapshot_path => "bad", prepend_module_to_snapshot => false,
            omit_expression => true }, {
            insta::assert_snapshot!(name, invalid.render(false));
        });
    }
    assert!(mistakes >= 60, "{mistakes}");
}
