//! `hallwatch-collector`: reads the command line and the configuration, opens the port, runs; or
//! does what an operator asks of the data.

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hallwatch_collector::config::{self, Config, Influx, LoadError, Sink};
use hallwatch_config::Url;
use hallwatch_model::chain;
use tokio::net::TcpListener;

/// The command line is wrong (`EX_USAGE`).
const USAGE: u8 = 64;
/// The collector failed while it ran (`EX_SOFTWARE`).
const SOFTWARE: u8 = 70;
/// The configuration is wrong (`EX_CONFIG`).
const CONFIG: u8 = 78;

/// Hears Hallwatch agents, stores, alerts, pages, and answers Prometheus queries.
#[derive(Debug, Parser)]
#[command(name = "hallwatch-collector", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGINT or SIGTERM.
    Run {
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Copy every sample to a database that takes InfluxDB line protocol v2, beside those of
        /// the configuration. Organisation and bucket are `hallwatch`.
        #[arg(long, value_name = "influx=URL", value_parser = sink)]
        sink: Vec<Sink>,
    },
    /// Ask for samples with PromQL: of the collector when it runs, otherwise of its store.
    Query {
        #[command(flatten)]
        query: cli::Query,
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Delete series, a tenant, or a time of them: hidden at once, then gone from the disk.
    Delete {
        #[command(flatten)]
        delete: cli::Delete,
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Copy everything that is kept into an empty folder, while the collector runs or not.
    Backup {
        /// The folder, which is made.
        dir: PathBuf,
        /// Give up after so many seconds for a file.
        #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
        patience: u64,
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Put a backup into the collector's data directory, in which there must be no store.
    Restore {
        /// The backup.
        dir: PathBuf,
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Fill a collector that lost its disk from its peer, while both run: what is here already
    /// stays as it is, and no alert fires for the past.
    Backfill {
        /// Where the peer serves, when it is not where the configuration says.
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// How far back, such as `30d`; everything that the peer has and this one would keep.
        #[arg(long, value_name = "DURATION", value_parser = hallwatch_config::parse_duration)]
        since: Option<std::time::Duration>,
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Read everything that is kept, and tell what of it is damaged; 1 when anything is.
    Verify {
        #[command(flatten)]
        verify: cli::Verify,
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check, test, export and explain rules.
    Rules {
        #[command(subcommand)]
        command: cli::Rules,
    },
    /// Check the configuration and the rules, and do nothing else.
    Check {
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn sink(text: &str) -> Result<Sink, String> {
    let url = text.strip_prefix("influx=").ok_or("a sink is written `influx=URL`")?;
    let url: Url = url.parse().map_err(|error| format!("{error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the URL of a sink is `http://…` or `https://…`".to_owned());
    }
    let (org, bucket) = ("hallwatch".to_owned(), "hallwatch".to_owned());
    // One name per database, so that each has its own place in the log.
    let name: String = format!("cli-{}-{}", url.host(), url.port())
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    Ok(Sink { name, influx: Influx { url, org, bucket, token: None } })
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes. That they cannot be printed is nobody's concern.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let (path, more_sinks, run) = match cli.command {
        Command::Run { config, sink } => (config, sink, true),
        Command::Check { config } => (config, Vec::new(), false),
        Command::Rules { command } => return cli::rules(&command),
        Command::Query { query, config } => {
            return on_data(&config, |config| cli::query(config, &query).map(|()| true));
        }
        Command::Delete { delete, config } => {
            return on_data(&config, |config| cli::delete(config, &delete).map(|()| true));
        }
        Command::Backup { dir, patience, config } => {
            return on_data(&config, |config| cli::backup(config, &dir, patience).map(|()| true));
        }
        Command::Restore { dir, config } => {
            return on_data(&config, |config| cli::restore(config, &dir).map(|()| true));
        }
        Command::Verify { verify, config } => {
            return on_data(&config, |config| cli::verify(config, &verify));
        }
        Command::Backfill { from, since, config } => {
            let from = from.as_deref();
            return on_data(&config, |config| cli::backfill(config, from, since).map(|()| true));
        }
    };
    let mut config = match config::load(&path) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    for warning in config.warnings.iter().chain(&config.rules.set.warnings) {
        say(&format!(
            "warning: {}:{}:{}: {}",
            warning.file, warning.line, warning.column, warning.message
        ));
    }
    if !run {
        say(&format!("{} is in order", path.display()));
        return ExitCode::SUCCESS;
    }
    config.sinks.extend(more_sinks);
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&format!("error: {message}"));
            ExitCode::from(SOFTWARE)
        }
    }
}

/// Does something with the data of the collector that `path` configures; 1 when it was done and is
/// not well.
fn on_data(path: &std::path::Path, work: impl FnOnce(&Config) -> Result<bool, String>) -> ExitCode {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    match work(&config) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            say(&format!("error: {message}"));
            ExitCode::from(SOFTWARE)
        }
    }
}

fn refused(error: &LoadError) -> ExitCode {
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    match error {
        LoadError::Invalid(invalid) => say(&invalid.render(color)),
        LoadError::Read { source, .. } => say(&format!("error: {error}: {source}")),
    }
    ExitCode::from(CONFIG)
}

fn start(config: Config) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        let listen = config.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let signals = Signals::install().map_err(|error| format!("no signals: {error}"))?;
        tracing::info!(%address, id = %config.id, "hallwatch-collector starts");
        let result = hallwatch_collector::run(config, listener, signals.wait()).await;
        result.map_err(|error| chain(&error))
    })
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is what the command line is for")]
fn say(text: &str) {
    eprintln!("{text}");
}
