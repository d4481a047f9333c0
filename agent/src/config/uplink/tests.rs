use hallwatch_config::{Source, read};

use super::*;

fn parse(text: &str) -> Result<Uplink, String> {
    let source = Source::new("agent.toml", text);
    read(&source, |root| root.required_section("uplink").and_then(uplink))
        .map_err(|invalid| invalid.to_string())
}

#[test]
fn what_is_written_is_read() {
    let read = parse(
        r#"
        [uplink]
        interval = "30s"
        every = "500ms"
        timeout = "2s"
        source = "192.0.2.2"
        probes = [
            { icmp = "198.51.100.1" },
            { tcp = "gw.example:443", interface = "eth7" },
            { dns = { server = "198.51.100.53", name = "example.com" } },
            { http = "https://status.example?x=1#top", address = "203.0.113.7" },
            { name = "gateway", icmp = "192.0.2.1", source = "192.0.2.3" },
        ]
        "#,
    );
    let read = read.unwrap();
    let shown: Vec<String> =
        read.probes.iter().map(|p| format!("{}: {} {}", p.name, p.target, p.path)).collect();
    assert_eq!(
        shown,
        [
            "icmp: icmp 198.51.100.1 from 192.0.2.2",
            "tcp: tcp gw.example:443 from 192.0.2.2 over eth7",
            "dns: dns example.com at 198.51.100.53:53 from 192.0.2.2",
            "http: http https://status.example/?x=1 from 192.0.2.2",
            "gateway: icmp 192.0.2.1 from 192.0.2.3",
        ]
    );
    let Target::Http(page) = &read.probes[3].target else { panic!("{read:?}") };
    assert_eq!(page.connect.address(), Some([203, 0, 113, 7].into()));
    assert_eq!(read.interval, 30 * SECOND);
    assert_eq!(read.every, SECOND / 2);
    assert_eq!(read.timeout, 2 * SECOND);
}

#[test]
fn defaults_are_a_sending_a_second_and_a_report_every_ten() {
    let read = parse("[uplink]\ninterface = 'ppp0'\nprobes = [ { icmp = '2001:db8::1' } ]\n");
    let read = read.unwrap();
    assert_eq!((read.interval, read.every, read.timeout), (10 * SECOND, SECOND, SECOND));
    assert_eq!(read.probes[0].path.interface.as_deref(), Some("ppp0"));
    let read =
        parse("[uplink]\nsource = '::1'\nprobes = [ { tcp = '[::1]:80' } ]\ninterval = '1s'\n");
    assert_eq!(read.map(|read| read.every), Ok(SECOND));
}

#[test]
fn probes_are_counted() {
    let none = parse("[uplink]\n").unwrap_err();
    assert!(none.contains("the uplink has no probes"), "{none}");
    let many = "{ icmp = '198.51.100.1' },".repeat(17);
    let many = parse(&format!("[uplink]\nsource = '192.0.2.2'\nprobes = [ {many} ]\n"));
    assert!(many.unwrap_err().contains("an uplink has at most 16 probes"));
}
