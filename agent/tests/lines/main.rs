//! Lines of every kind, from the registers of an independent server to the collector.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bus;
mod explored;
mod partly;
#[expect(dead_code, reason = "the client's tests use the rest")]
#[path = "../../../crates/modbus/tests/peers/peer.rs"]
mod peer;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../support/mod.rs"]
mod support;
mod tools;

use std::process::{Child, Command, Stdio};

use hallwatch_agent::config::Config;
use hallwatch_config::Source;
use peer::{Certificates, Pair, Peer};
use support::{Broker, Collector, Held, PATIENCE, Process, Site};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Writes `own.toml` into the site's directory. `point` is a 16-bit number of holding registers
/// that becomes a frequency in hundredths.
fn own_profile(site: &Site, point: &str) {
    let text = format!(
        "manufacturer = \"Example\"\nmodel = \"Box\"\nkind = \"power_meter\"\n\
         confidence = \"high\"\n{point}\ntable = \"holding\"\ntype = \"u16\"\nscale = 0.01\n\
         metric = \"meter_frequency_hertz\"\n"
    );
    std::fs::write(site.directory.path().join("own.toml"), text).unwrap();
}

/// An agent in this process.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), hallwatch_agent::Error>>,
}

impl Running {
    fn start(site: &Site) -> Self {
        let directory = site.directory.path();
        let source = Source::new("agent.toml", site.text.as_str());
        let own = |path: &std::path::Path| std::fs::read_to_string(directory.join(path));
        let config = Config::parse_with(&source, &own)
            .unwrap_or_else(|invalid| panic!("{}", invalid.render(false)));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(hallwatch_agent::run(config, async {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

const SERIAL: &str = "baud = 19200, parity = \"none\"";

/// `[[line]]` named `tls` to a server that wants a certificate, where we are `name`.
fn tls_line(files: &Certificates, server: &Peer, ca: &str, name: &str) -> String {
    format!(
        "[[line]]\nname = \"tls\"\ntls = {{ address = \"{}\", ca = \"{}\", certificate = \
         \"{}\", key = \"{}\", server_name = \"gateway.example\" }}\n",
        server.address,
        files.path(&format!("{ca}.pem")),
        files.path(&format!("{name}.pem")),
        files.path(&format!("{name}.key")),
    )
}

/// Holding register 10 of units 1 and 7 of pymodbus, in hundredths.
const VALUES: [(&str, f64); 2] = [("meter-1", 41.06), ("meter-7", 286.82)];

fn devices(line: &str) -> String {
    let device = |unit: u8| {
        format!(
            "[[device]]\nname = \"meter-{unit}\"\ninterval = \"200ms\"\nmodbus = {{ line = \
             \"{line}\", unit = {unit}, profile = \"./own.toml\" }}\n"
        )
    };
    device(1) + &device(7)
}

const POINT: &str = "[[point]]\nname = \"frequency\"\naddress = 10";

/// The program, with `line` and units 1 and 7 on it, until both values have arrived.
async fn arrives(line: &str, name: &str) {
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(&broker, &(line.to_owned() + &devices(name)));
    own_profile(&site, POINT);
    let agent = Process::start(&site.file());
    for (device, right) in VALUES {
        let values = |held: &Held| held.values("meter_frequency_hertz", &[("device", device)]);
        let many = |held: &Held| {
            (values(held).iter().filter(|value| **value == Ok(right)).count() >= 5).then_some(())
        };
        collector.until("values", many).await;
        collector.read(|held| {
            let wrong = values(held).into_iter().find(|value| *value != Ok(right));
            assert_eq!(wrong, None, "{device} at {line}");
        });
    }
    assert_eq!(agent.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_arrive_over_a_serial_line() {
    let pair = Pair::new();
    let _peer = Peer::pymodbus(&["rtu", &pair.end("a")]);
    let port = pair.end("b");
    let line = format!("[[line]]\nname = \"bus\"\nserial = {{ port = \"{port}\", {SERIAL} }}\n");
    arrives(&line, "bus").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_arrive_over_rtu_over_tcp() {
    let peer = Peer::pymodbus(&["rtu-tcp"]);
    let address = &peer.address;
    let line = format!("[[line]]\nname = \"bus\"\nrtu_over_tcp = {{ address = \"{address}\" }}\n");
    arrives(&line, "bus").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_arrive_over_tls_with_our_certificate() {
    let certificates = Certificates::make();
    let peer = certificates.server();
    arrives(&tls_line(&certificates, &peer, "ca", "client"), "tls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_arrive_from_one_that_is_left_after_each_cycle() {
    let peer = Peer::pymodbus(&["tcp"]);
    let line = format!(
        "[[line]]\nname = \"gateway\"\ntcp = {{ address = \"{}\" }}\nclose_after_cycle = true\n\
         pause_after_connect = \"10ms\"\npause = \"5ms\"\nrewrites_transaction_ids = true\n",
        peer.address
    );
    arrives(&line, "gateway").await;
}

/// A certificate that the server does not know: the device is offline, and the log says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_accepted_is_said_to_be() {
    let certificates = Certificates::make();
    let peer = certificates.server();
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let line = tls_line(&certificates, &peer, "ca", "stranger");
    let site = Site::new(&broker, &(line + &devices("tls")));
    own_profile(&site, POINT);
    let mut agent = logged(&site);
    let offline = |held: &Held| {
        (held.last("device_up", &[("device", "meter-1")]) == Some(Ok(0.0))).then_some(())
    };
    collector.until("the device to be offline", offline).await;
    let id = agent.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = agent.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8(output.stderr).unwrap();
    let told = log.matches("it does not accept our certificate").count();
    assert_eq!(told, 2, "once for each device: {log}");

    // One that cannot be read at all keeps the agent from starting, and is named.
    std::fs::remove_file(certificates.path("stranger.key")).unwrap();
    agent = logged(&site);
    let output = agent.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("could not prepare TLS on the line tls"), "{log}");
    assert!(log.contains("stranger.key"), "{log}");
}

/// The program, whose few warnings are kept.
fn logged(site: &Site) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hallwatch-agent"))
        .args(["run", "--config"])
        .arg(site.file())
        .env("RUST_LOG", "warn")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
