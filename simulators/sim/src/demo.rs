//! The whole site in one process: broker, plant, agent, collector and a pager, each through the
//! same configuration and code as in the field.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hallwatch_config::Source;
use hallwatch_plant::{Options, Plant, ServeOptions};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::pages::Pager;
use crate::site::{self, Device, Site};
use crate::{Error, broker, plant};

/// What can be chosen.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the page and the Prometheus API are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8600")]
    pub http: SocketAddr,
    /// Where faults are caused and ended over HTTP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8601")]
    pub control: SocketAddr,
    /// Where everything is kept; a temporary directory unless given.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A file that gets every notification as a JSON line.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How much faster than the clock the plant lives, 0.1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub speed: f64,
    /// A broker in place of the embedded one, such as mqtt://127.0.0.1:1883.
    #[arg(long, value_name = "URL")]
    pub broker: Option<String>,
    /// A timeline of faults to play: a file, or the name of a shipped one.
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
}

/// How long agent, collector and plant may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the site until `stop` turns true, or a part of it fails.
///
/// # Errors
/// When a part does not start, or ends by itself.
pub async fn run(arguments: Arguments, stop: watch::Receiver<bool>) -> Result<(), Error> {
    // Every port and file first: a mistake shows before anything has started.
    let http = plant::listen("the page", arguments.http).await?;
    let control = plant::listen("the control", arguments.control).await?;
    let pages = plant::listen("the pager", SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let pager = Pager::new(arguments.record.as_deref())?;
    let scenario = arguments.scenario.as_deref().map(plant::scenario).transpose()?;
    let data = Data::new(arguments.data.as_deref())?;
    let url = match &arguments.broker {
        Some(url) => url.clone(),
        None => format!("mqtt://{}", broker::start()?),
    };
    let hall = Plant::new(Options { speed: arguments.speed, ..Options::default() })?;
    if let Some(scenario) = scenario {
        hall.play(scenario);
    }

    let options = ServeOptions { broker: Some(plant::broker(&url)?), ..ServeOptions::default() };
    let running = plant::serve(&hall, options, control, stop.clone()).await?;
    let webhook = format!("http://{}/page", address(&pages)?);
    let configuration = Site {
        broker: &url,
        data: data.path(),
        interval: "1s",
        keep: "0s",
        listen: address(&http)?,
        webhook: &webhook,
        rules: None,
    };
    let devices = running.devices.iter().filter_map(|status| {
        Some(Device {
            name: status.device.name().to_owned(),
            profile: status.device.profile().to_owned(),
            address: status.address?,
            unit: status.device.unit(),
        })
    });
    let devices: Vec<Device> = devices.collect();
    let agent = data.write("agent.toml", site::agent_toml(&configuration, &devices))?;
    let agent = hallwatch_agent::Config::parse(&agent)?;
    let collector = data.write("collector.toml", site::collector_toml(&configuration))?;
    let collector = hallwatch_collector::config::load(Path::new(collector.name()))
        .map_err(|error| Error::Collector(error.into()))?;

    let mut parts = JoinSet::new();
    parts.spawn(serve_pages(pages, pager, stop.clone()));
    let until = plant::stopped(stop.clone());
    parts.spawn(async move {
        let ended = hallwatch_collector::run(collector, http, until).await;
        ended.map_err(|error| Error::Collector(error.into()))
    });
    let until = plant::stopped(stop.clone());
    parts.spawn(async move {
        hallwatch_agent::run(agent, until).await.map_err(|error| Error::Agent(error.into()))
    });
    parts.spawn(async move {
        running.finished().await;
        Ok(())
    });
    welcome(&arguments, &configuration);

    // A part that ends before it was told to has failed, or says so itself.
    tokio::select! {
        () = plant::stopped(stop) => {}
        Some(ended) = parts.join_next() => flatten(ended)?,
    }
    let drained = timeout(GRACE, async {
        while let Some(ended) = parts.join_next().await {
            flatten(ended)?;
        }
        Ok(())
    });
    match drained.await {
        Ok(ended) => ended,
        Err(_) => {
            tracing::warn!("not everything ended within {} s", GRACE.as_secs());
            Ok(())
        }
    }
}

fn flatten(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    ended.unwrap_or_else(|error| Err(Error::Collector(error.into())))
}

fn address(listener: &tokio::net::TcpListener) -> Result<SocketAddr, Error> {
    let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
    listener.local_addr().map_err(|source| Error::Listen {
        what: "the demo",
        address: unknown,
        source,
    })
}

async fn serve_pages(
    listener: tokio::net::TcpListener,
    pager: Pager,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let what = "the pager";
    let address = address(&listener)?;
    axum::serve(listener, pager.router())
        .with_graceful_shutdown(plant::stopped(stop))
        .await
        .map_err(|source| Error::Listen { what, address, source })
}

/// Where the demo keeps its files; a temporary place goes when the demo ends.
enum Data {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Data {
    fn new(directory: Option<&Path>) -> Result<Self, Error> {
        let failed = |path: &Path, source| Error::File {
            attempt: "make the directory",
            path: path.to_owned(),
            source,
        };
        match directory {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(|source| failed(path, source))?;
                // The configurations hold this path, and may be used from elsewhere.
                let path = path.canonicalize().map_err(|source| failed(path, source))?;
                Ok(Self::Kept(path))
            }
            None => {
                let made = TempDir::with_prefix("hallwatch-demo-");
                made.map(Self::Temporary).map_err(|source| failed(&std::env::temp_dir(), source))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }

    fn write(&self, name: &str, text: String) -> Result<Source, Error> {
        let path = self.path().join(name);
        let failed = |source| Error::File { attempt: "write", path: path.clone(), source };
        std::fs::write(&path, &text).map_err(failed)?;
        Ok(Source::new(path.display().to_string(), text))
    }
}

#[expect(clippy::print_stdout, reason = "the demo tells where to look")]
fn welcome(arguments: &Arguments, site: &Site<'_>) {
    let Site { listen, data, broker, .. } = site;
    let control = arguments.control;
    println!(
        "\nHallwatch: a simulated data hall, its agent and its collector\n\n  \
         the page      http://{listen}/\n  \
         PromQL        http://{listen}/api/v1/query?query=ups_load_ratio\n  \
         faults        http://{control}/faults\n  \
         the broker    {broker}\n  \
         files         {}: agent.toml and collector.toml are what you would write\n\n\
         Try this, and look at the page; pages appear below:\n  \
         curl -X POST   http://{control}/faults/generator-will-not-start\n  \
         curl -X POST   http://{control}/faults/utility-off\n  \
         curl -X DELETE http://{control}/faults/utility-off\n\n\
         Ctrl-C ends it.\n",
        data.display()
    );
}
