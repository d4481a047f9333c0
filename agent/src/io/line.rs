//! From a line of the configuration to a client.

use std::time::Duration;

use hallwatch_link::Tls;
use hallwatch_modbus::{AnyClient, Options, SerialEndpoint, Tcp, TcpEndpoint, TlsEndpoint};

use crate::config::{Endpoint, Modbus};
use crate::error::Error;
use crate::poll::Cost;

/// More characters than a question and its answer ever have.
const CHARACTERS: u32 = 8 + 256;
/// A silent device is waited for at least so long: most begin to answer sooner.
const LEAST_WAIT: Duration = Duration::from_millis(50);

/// A client of the line of `modbus`. Reads the certificates that the line names; does not connect
/// yet.
///
/// # Errors
/// When a certificate or key cannot be used.
pub fn client(modbus: &Modbus) -> Result<AnyClient, Error> {
    let (line, options) = (&*modbus.line, options(modbus, false));
    let tcp = |address: &str| TcpEndpoint::new(address).with_keepalive(line.keep_alive);
    let ids = || if line.rewrites_transaction_ids { Tcp::lenient() } else { Tcp::default() };
    Ok(match &line.endpoint {
        Endpoint::Tcp { address } => AnyClient::over_tcp(tcp(address), ids(), options),
        Endpoint::Tls { address, server_name, ca, identity } => {
            let identity = identity.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
            let tls = Tls::load(ca, identity)
                .map_err(|source| Error::Line { line: line.name.clone(), source })?;
            let endpoint = TlsEndpoint::new(tcp(address), server_name.clone(), tls.client_config());
            AnyClient::over_tls(endpoint, ids(), options)
        }
        Endpoint::RtuOverTcp { address } => {
            AnyClient::rtu_over_tcp(tcp(address), line.echo, options)
        }
        Endpoint::Serial { port, settings } => {
            AnyClient::over_serial(SerialEndpoint::new(port, *settings), line.echo, options)
        }
    })
}

/// How patient a client is with a device. `heard`: it has answered before, so that its latency is
/// known. Of one that never has, nothing is known but what the configuration says.
#[must_use]
pub fn options(modbus: &Modbus, heard: bool) -> Options {
    let line = &modbus.line;
    let wire = match &line.endpoint {
        Endpoint::Serial { settings, .. } => settings.characters(CHARACTERS),
        _ => Duration::ZERO,
    };
    let quiet = if line.endpoint.has_transaction_ids() { Duration::ZERO } else { line.quiet_time };
    let connecting = line.connect_timeout + line.pause_after_connect;
    Options {
        connect_timeout: line.connect_timeout,
        answer_timeout: if heard { modbus.min_timeout } else { modbus.timeout },
        max_answer_timeout: modbus.timeout,
        // Twice: a connection that was kept may turn out to be closed.
        deadline: (modbus.timeout + wire + quiet + connecting).saturating_mul(2),
        timeouts_before_close: line.close_after_timeouts,
        pause: modbus.pause,
        pause_after_connect: line.pause_after_connect,
        close_after_cycle: line.close_after_cycle,
        slowest_answer: line.quiet_time,
    }
}

/// How patient a client is with a device of which nothing is known, on a line where a wait for one
/// is a wait for all: as short as with one that is known to be quick, and no longer each time. A
/// device that turns out to be slower is heard in the silence after that, and is then waited for as
/// long as it may take.
#[must_use]
pub fn cautious(modbus: &Modbus) -> Options {
    let usual = options(modbus, true);
    Options { max_answer_timeout: usual.answer_timeout, ..usual }
}

/// As [`cautious`], for a device that is silent: no longer than `wait`.
#[must_use]
pub fn probe(modbus: &Modbus, wait: Duration) -> Options {
    let usual = cautious(modbus);
    let wait = wait.min(usual.answer_timeout);
    Options { answer_timeout: wait, max_answer_timeout: wait, ..usual }
}

/// What a question that takes `wire` on the wire costs the line when it is not answered.
#[must_use]
pub fn cost(modbus: &Modbus, wire: Duration) -> Cost {
    let Modbus { timeout, min_timeout, pause, .. } = *modbus;
    if modbus.line.endpoint.has_transaction_ids() {
        let quiet = Duration::ZERO;
        return Cost { least: timeout, usual: timeout, longest: timeout, quiet };
    }
    let quiet = modbus.line.quiet_time;
    // What comes later than that is to come while the line is quiet.
    let least = LEAST_WAIT.max(timeout.saturating_sub(quiet)).min(min_timeout);
    Cost {
        least: least + wire,
        usual: min_timeout + wire,
        longest: timeout + wire,
        quiet: quiet.max(pause),
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_config::Source;

    use super::*;
    use crate::config::{Config, DeviceSource};

    fn modbus(lines: &str) -> Modbus {
        let head = "[agent]\nid = \"a\"\ntenant = \"t\"\nsite = \"s\"\ndata = \"d\"\n\
            collectors = [\"c\"]\n[broker]\nurl = \"mqtt://h\"\n";
        let config = Config::parse(&Source::new("agent.toml", head.to_owned() + lines)).unwrap();
        let DeviceSource::Modbus(modbus) = &config.devices[0].source else { panic!() };
        modbus.clone()
    }

    #[test]
    fn options_are_what_was_written() {
        let ms = Duration::from_millis;
        let modbus = modbus(
            "[[line]]\nname = \"l\"\nserial = { port = \"/dev/ttyS0\", baud = 9600, parity = \
             \"none\" }\nconnect_timeout = \"2s\"\npause_after_connect = \"50ms\"\n\
             close_after_timeouts = 7\nclose_after_cycle = true\nquiet_time = \"900ms\"\n\
             [[device]]\nname = \"d\"\nmodbus = { line = \"l\", unit = 1, profile = \
             \"eastron_sdm630\", timeout = \"800ms\", min_timeout = \"100ms\", pause = \"5ms\" }\n",
        );
        let told = options(&modbus, true);
        // 264 characters of ten bits at 9600 bits a second take 275 ms.
        let deadline = 2 * (ms(800) + ms(275) + ms(900) + ms(2000) + ms(50));
        let expected = Options {
            connect_timeout: ms(2000),
            answer_timeout: ms(100),
            max_answer_timeout: ms(800),
            deadline,
            timeouts_before_close: 7,
            pause: ms(5),
            pause_after_connect: ms(50),
            close_after_cycle: true,
            slowest_answer: ms(900),
        };
        assert_eq!(told, expected);
        // Of one that never answered nothing is known but what it may take.
        assert_eq!(options(&modbus, false), Options { answer_timeout: ms(800), ..expected });
        assert_eq!(cautious(&modbus), Options { max_answer_timeout: ms(100), ..expected });
        let short = Options { answer_timeout: ms(70), max_answer_timeout: ms(70), ..expected };
        assert_eq!(probe(&modbus, ms(70)), short);
        assert_eq!(probe(&modbus, ms(700)), cautious(&modbus));
    }

    #[test]
    fn a_wait_that_is_cut_leaves_late_answers_to_the_quiet_time() {
        let ms = Duration::from_millis;
        let cost = |line: &str, device: &str| {
            let device = format!(
                "{line}\n[[device]]\nname = \"d\"\nmodbus = {{ line = \"l\", unit = 1, profile = \
                 \"eastron_sdm630\"{device} }}\n"
            );
            super::cost(&modbus(&format!("[[line]]\nname = \"l\"\n{device}")), ms(7))
        };
        let of = |least: u64, usual: u64, longest: u64, quiet| Cost {
            least: ms(least + 7),
            usual: ms(usual + 7),
            longest: ms(longest + 7),
            quiet: ms(quiet),
        };
        let rtu = "rtu_over_tcp = { address = \"h:1\" }";
        assert_eq!(cost(rtu, ""), of(50, 250, 1_000, 1_000));
        assert_eq!(cost(rtu, ", pause = \"2s\""), of(50, 250, 1_000, 2_000));
        assert_eq!(cost(rtu, ", timeout = \"100ms\""), of(25, 25, 100, 100));
        let short = format!("{rtu}\nquiet_time = \"850ms\"");
        assert_eq!(cost(&short, ""), of(150, 250, 1_000, 850));
        let tcp = Cost { least: ms(1_000), usual: ms(1_000), longest: ms(1_000), quiet: ms(0) };
        assert_eq!(cost("tcp = { address = \"h:1\" }", ""), tcp);
    }
}
