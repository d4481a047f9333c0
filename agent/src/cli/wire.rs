//! Asking one device.

use std::collections::BTreeSet;
use std::time::Duration;

use hallwatch_agent::config::Modbus;
use hallwatch_agent::profile::{Placement, Profile};
use hallwatch_modbus::answer::Object;
use hallwatch_modbus::sunspec::{Chain, Step, Walk};
use hallwatch_modbus::{AnyClient, Data, Error, Failure, Options, Read, Table, Tcp, TcpEndpoint};
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
    /// Does not connect yet.
    pub(crate) fn new(modbus: &Modbus) -> Self {
        let pause = modbus.profile.connection.pause.unwrap_or_default();
        let options = options(modbus.timeout, pause);
        let endpoint = TcpEndpoint::new(&modbus.address);
        let client = AnyClient::over_tcp(endpoint, Tcp::default(), options);
        Self { client, unit: modbus.unit, errors: Vec::new() }
    }

    /// The profile as it is for this device: of one that names SunSpec models the chain is walked.
    ///
    /// # Errors
    /// When the walk brought no answer, or the profile does not fit the device.
    pub(crate) async fn place(&mut self, profile: &Profile) -> Result<Option<Profile>, Error> {
        if profile.models().is_empty() {
            return Ok(Some(profile.clone()));
        }
        let chain = walk(&mut self.client, self.unit).await?;
        let Some(chain) = chain else { return Ok(None) };
        let placement = Placement { chain: Some(chain), ..Placement::default() };
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
        Failure::Connect(source) if source.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nothing listens there: is Modbus TCP switched on in the device, and is the port \
             right? Some devices take one connection only, and a running agent has it"
                .into()
        }
        Failure::Connect(source)
            if source.to_string().contains("lookup") || source.to_string().contains("resolve") =>
        {
            "the name is not known here: use the address, or mend the resolver".into()
        }
        Failure::Connect(_) | Failure::ConnectTimeout(_) => {
            "is the device on, the address right, and the way to it open (cable, VLAN, route, \
             firewall)?"
                .into()
        }
        Failure::Authentication(_) => "is our certificate one that the server accepts?".into(),
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
        Failure::Frame(_) => "what answers does not keep to the protocol: is it Modbus TCP, or \
                              RTU behind a converter?"
            .into(),
    }
}
