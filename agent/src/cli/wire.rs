//! Asking one device.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use hallwatch_agent::config::Modbus;
use hallwatch_agent::io::line;
use hallwatch_agent::profile::{Placement, Profile};
use hallwatch_modbus::answer::Object;
use hallwatch_modbus::sunspec::{Chain, Step, Walk};
use hallwatch_modbus::{AnyClient, Data, Error, Failure, FrameError, Options, Read, Table};
use hallwatch_model::Missing;

use super::show::exception;

/// What came for each read that was asked for.
pub(crate) type Answers = Vec<Result<Data, Missing>>;

/// A device at the end of a wire.
pub(crate) struct Wire {
    client: AnyClient,
    unit: u8,
    /// What went wrong, each once.
    pub(crate) errors: Vec<Error>,
}

impl Wire {
    /// Reads the line's certificates; does not connect yet.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub(crate) fn new(modbus: &Modbus) -> Result<Self, hallwatch_agent::Error> {
        let client = line::client(modbus)?;
        let mut wire = Self { client, unit: modbus.unit, errors: Vec::new() };
        wire.turn_to(modbus);
        Ok(wire)
    }

    /// To another device of the same line.
    pub(crate) fn turn_to(&mut self, modbus: &Modbus) {
        self.unit = modbus.unit;
        self.errors.clear();
        self.client.set_options(line::options(modbus, false));
    }

    /// The profile as it is for this device: of one that names SunSpec models the chain is walked.
    ///
    /// # Errors
    /// When the walk brought no answer, or the profile does not fit the device.
    pub(crate) async fn place(&mut self, modbus: &Modbus) -> Result<Option<Profile>, Error> {
        let profile = &modbus.profile;
        if profile.models().is_empty() {
            return Ok(Some(Profile::clone(profile)));
        }
        let chain = walk(&mut self.client, self.unit).await?;
        let Some(chain) = chain else { return Ok(None) };
        let placement = Placement { chain: Some(chain), ..modbus.placement.clone() };
        Ok(profile.placed(&placement).ok())
    }

    /// The answers to `reads`, of which only those in `wanted` are asked when there is such a
    /// choice. After one that brought no answer at all the others are not tried.
    pub(crate) async fn read(
        &mut self,
        reads: &[Read],
        wanted: Option<&BTreeSet<usize>>,
    ) -> Answers {
        let mut answers = Vec::with_capacity(reads.len());
        let mut silent = None;
        for (read, index) in reads.iter().zip(0..) {
            if wanted.is_some_and(|wanted| !wanted.contains(&index)) {
                answers.push(Err(Missing::DeviceOffline));
                continue;
            }
            if let Some(missing) = silent {
                answers.push(Err(missing));
                continue;
            }
            match self.client.read(self.unit, read).await {
                Ok(data) => answers.push(Ok(data)),
                Err(error) => {
                    let missing = error.missing();
                    if matches!(missing, Missing::Timeout | Missing::DeviceOffline) {
                        silent = Some(missing);
                    }
                    answers.push(Err(missing));
                    self.errors.push(error);
                }
            }
        }
        answers
    }

    /// The answer to one read; none without one.
    pub(crate) async fn ask(&mut self, read: &Read) -> Option<Data> {
        self.client.read(self.unit, read).await.ok()
    }

    /// What the device says of itself by function 43; nothing when it does not know that.
    pub(crate) async fn identify(&mut self) -> Vec<Object> {
        let identity = self.client.identify_all(self.unit).await;
        identity.map(|identity| identity.objects).unwrap_or_default()
    }
}

/// How patient a tool is with a device that may take `timeout` to answer.
pub(crate) fn options(timeout: Duration, pause: Duration) -> Options {
    Options {
        connect_timeout: timeout.max(Duration::from_secs(1)),
        answer_timeout: timeout,
        deadline: timeout.max(Duration::from_secs(1)).saturating_mul(3),
        pause,
        ..Options::default()
    }
}

/// A device's SunSpec models; none when it has no chain.
///
/// # Errors
/// When there was no answer at all.
pub(crate) async fn walk(client: &mut AnyClient, unit: u8) -> Result<Option<Chain>, Error> {
    let mut walk = Walk::new(Table::HoldingRegisters);
    loop {
        match walk.step() {
            Step::Found(chain) => return Ok(Some(chain)),
            Step::None => return Ok(None),
            Step::Read(read) => match client.read(unit, &read).await {
                Ok(data) => walk.answered(Some(&data)),
                Err(error) if error.exception().is_some() => walk.answered(None),
                Err(error) => return Err(error),
            },
        }
    }
}

/// What to do about it.
pub(crate) fn hint(error: &Error) -> String {
    let unit = error.unit;
    match &error.failure {
        Failure::Connect(source) if error.endpoint.starts_with('/') => serial(source),
        Failure::Connect(source) => connect(source),
        Failure::ConnectTimeout(_) => UNREACHABLE.into(),
        Failure::Authentication(_) => REFUSED.into(),
        Failure::Timeout(_) if error.endpoint.starts_with('/') => format!(
            "nobody answers as unit {unit}: are unit id, baud, parity and stop bits right, the \
             two wires the right way round, and the line terminated? `hallwatch-agent scan \
             serial` finds units"
        ),
        Failure::Timeout(_) => format!(
            "somebody is there but unit {unit} says nothing: is the unit id right? \
             `hallwatch-agent scan` finds it; a slow device needs a longer `timeout`"
        ),
        Failure::Stream(_) | Failure::Closed => {
            "the device closed the connection: many take few connections at once, and a running \
             agent has one"
                .into()
        }
        Failure::Answer(_) => match error.exception() {
            Some(code @ (10 | 11)) => format!(
                "a gateway answered ({}): is unit {unit} wired to it, and powered?",
                exception(code)
            ),
            Some(code @ 1..=3) => format!(
                "the device refuses this ({}): is it the right profile, and does its firmware \
                 have these registers?",
                exception(code)
            ),
            Some(code) => format!("the device has a problem of its own ({})", exception(code)),
            None => "what answers does not keep to the protocol: is it Modbus at all?".into(),
        },
        Failure::Frame(frame) => damaged(*frame).into(),
    }
}

/// What to do about a certificate or key that cannot be used.
pub(crate) const TLS_FILES: &str = "are `ca`, `certificate` and `key` of the line PEM files that \
                                    this user may read, and do the last two belong together?";
const UNREACHABLE: &str = "is the device on, the address right, and the way to it open (cable, \
                           VLAN, route, firewall)?";
const REFUSED: &str = "the server does not accept our certificate: is `certificate` of the line \
                       signed by the authority that the server trusts, meant for clients, and \
                       still valid? Without one, add `certificate` and `key`";

/// A TCP connection that was not made, or on which TLS was not agreed.
fn connect(source: &std::io::Error) -> String {
    let text = source.to_string();
    if source.kind() == ErrorKind::ConnectionRefused {
        "nothing listens there: is Modbus TCP switched on in the device, and is the port right? \
         Some devices take one connection only, and a running agent has it"
            .into()
    } else if text.contains("lookup") || text.contains("resolve") {
        "the name is not known here: use the address, or mend the resolver".into()
    } else if text.contains("received fatal alert") {
        REFUSED.into()
    } else if text.contains("invalid peer certificate") {
        "we do not accept the server's certificate: is `ca` the authority that signed it, is it \
         for `server_name`, still valid, and is this machine's clock right?"
            .into()
    } else if source.kind() == ErrorKind::InvalidData {
        "what answers does not speak TLS: is it the port for Modbus TCP Security (usually 802)?"
            .into()
    } else {
        UNREACHABLE.into()
    }
}

/// A serial port that was not opened.
fn serial(source: &std::io::Error) -> String {
    let text = source.to_string();
    if source.kind() == ErrorKind::NotFound || text.contains("No such file") {
        "there is no such port: is the adapter plugged in? `ls /dev/serial/by-id` lists those \
         that are"
            .into()
    } else if source.kind() == ErrorKind::PermissionDenied || text.contains("Permission") {
        "this user may not use the port: on most systems it has to be in the group `dialout`".into()
    } else if text.contains("busy") {
        "another program has the port: stop the agent, or whatever uses it".into()
    } else {
        "is it a serial port, and does it know these settings?".into()
    }
}

const fn damaged(error: FrameError) -> &'static str {
    match error {
        FrameError::Transaction { .. } => {
            "does a gateway rewrite transaction ids? Then set `rewrites_transaction_ids = true`"
        }
        FrameError::Echo => "the two wires echo: set `echo = true` on the line",
        FrameError::NoEcho => "set `echo = false` on the line",
        FrameError::Checksum { .. } | FrameError::Noise => {
            "the line is disturbed: check baud, parity, termination, shield, and whether two \
             devices have one unit id or two masters share the line"
        }
        _ => {
            "what answers does not keep to the protocol: is it Modbus TCP, or RTU behind a \
             converter?"
        }
    }
}
