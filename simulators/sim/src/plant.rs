//! The plant alone: devices, sensors and the control, for an agent that runs elsewhere.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use hallwatch_config::Source;
use hallwatch_plant::{Broker, DeviceId, Options, Plant, Running, Scenario, ServeOptions, control};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Error;

/// What can be chosen.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where faults are caused and ended over HTTP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8601")]
    pub control: SocketAddr,
    /// The broker that the MQTT sensors publish to, such as mqtt://127.0.0.1:1883; without one
    /// they are silent.
    #[arg(long, value_name = "URL")]
    pub broker: Option<String>,
    /// Where a device listens, such as ups-a=127.0.0.1:1502; others get free ports. Repeatable.
    #[arg(long = "device", value_name = "NAME=ADDR")]
    pub devices: Vec<String>,
    /// How much faster than the clock the plant lives, 0.1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub speed: f64,
    /// Decides every random choice.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// A timeline of faults: a file, or the name of a shipped one.
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
}

/// Serves a plant until `stop` turns true.
///
/// # Errors
/// When a socket, the scenario or an option is not to be had.
#[expect(clippy::print_stdout, reason = "this is what the command prints")]
pub async fn run(arguments: Arguments, stop: watch::Receiver<bool>) -> Result<(), Error> {
    let plant = Plant::new(Options { seed: arguments.seed, speed: arguments.speed })?;
    if let Some(name) = &arguments.scenario {
        plant.play(scenario(name)?);
    }
    let control = listen("the control", arguments.control).await?;
    let broker = arguments.broker.as_deref().map(broker).transpose()?;
    let listeners = listeners(&arguments.devices).await?;
    let running = serve(&plant, ServeOptions { listeners, broker }, control, stop.clone()).await?;
    println!("{:<16}{:<22}{:<6}profile", "device", "address", "unit");
    for status in &running.devices {
        let address = status.address.map(|address| address.to_string()).unwrap_or_default();
        let device = status.device;
        println!("{:<16}{address:<22}{:<6}{}", device.name(), device.unit(), device.profile());
    }
    println!("faults: http://{}/faults (POST and DELETE /faults/NAME)", arguments.control);
    running.finished().await;
    Ok(())
}

/// Opens the devices, the sensors and the control of a plant.
pub(crate) async fn serve(
    plant: &Plant,
    options: ServeOptions,
    control: TcpListener,
    stop: watch::Receiver<bool>,
) -> Result<Running, Error> {
    let running = plant.serve(options, stopped(stop.clone())).await?;
    let router = control::router(plant.clone());
    tokio::spawn(async move {
        let served = axum::serve(control, router).with_graceful_shutdown(stopped(stop)).await;
        if let Err(error) = served {
            tracing::error!(%error, "the plant's control ended");
        }
    });
    Ok(running)
}

/// Completes when `stop` turns true, or nobody can turn it any more.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

pub(crate) async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| Error::Listen { what, address, source })
}

/// The scenario in the file `name`, or the shipped one of that name.
pub(crate) fn scenario(name: &str) -> Result<Scenario, Error> {
    if !Path::new(name).exists() {
        return Ok(Scenario::named(name)?);
    }
    let text = std::fs::read_to_string(name).map_err(|source| Error::File {
        attempt: "read",
        path: PathBuf::from(name),
        source,
    })?;
    Ok(Scenario::read(&Source::new(name, text))?)
}

/// `mqtt://HOST:PORT`, where the port may be missing.
pub(crate) fn broker(url: &str) -> Result<Broker, Error> {
    let usage =
        |reason: &str| Error::Usage { what: format!("--broker {url}"), reason: reason.to_owned() };
    let rest = url.strip_prefix("mqtt://").ok_or_else(|| usage("it must begin with mqtt://"))?;
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| usage("the port is not a port"))?),
        None => (rest, 1883),
    };
    if host.is_empty() || host.contains('/') {
        return Err(usage("it must be mqtt://HOST or mqtt://HOST:PORT"));
    }
    Ok(Broker::new(host, port))
}

async fn listeners(devices: &[String]) -> Result<BTreeMap<DeviceId, TcpListener>, Error> {
    let mut listeners = BTreeMap::new();
    for text in devices {
        let usage = |reason: String| Error::Usage { what: format!("--device {text}"), reason };
        let (name, address) =
            text.split_once('=').ok_or_else(|| usage("it must be NAME=ADDR".to_owned()))?;
        let device = DeviceId::named(name).ok_or_else(|| {
            let names: Vec<&str> = DeviceId::ALL.iter().map(|device| device.name()).collect();
            usage(format!("no such device, there are {}", names.join(", ")))
        })?;
        let address = address.parse().map_err(|_| {
            usage(format!("{address} is not an address and a port, such as 127.0.0.1:1502"))
        })?;
        listeners.insert(device, listen("a device", address).await?);
    }
    Ok(listeners)
}
