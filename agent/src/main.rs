//! The command line of the edge agent.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hallwatch_agent::config::Config;
use hallwatch_config::Source;
use tokio::signal::unix::{SignalKind, signal};

/// sysexits(3): the command line was wrong.
const USAGE: u8 = 64;
/// sysexits(3): a file that should be read cannot be.
const NO_INPUT: u8 = 66;
/// sysexits(3): the configuration is wrong.
const CONFIGURATION: u8 = 78;

/// Reads the devices of a site, journals every reading, delivers until it is acknowledged.
#[derive(Parser)]
#[command(name = "hallwatch-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until stopped by SIGINT or SIGTERM.
    Run {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check the configuration and end. Opens nothing.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let failed = error.use_stderr();
            let _ = error.print();
            return if failed { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match arguments.command {
        Command::Check { config } => match load(&config) {
            Ok(_) => ExitCode::SUCCESS,
            Err(code) => code,
        },
        Command::Run { config } => match load(&config) {
            Ok(config) => run(config),
            Err(code) => code,
        },
    }
}

#[expect(clippy::print_stderr, reason = "the answer to who typed the command")]
fn load(path: &Path) -> Result<Config, ExitCode> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        eprintln!("error: could not read {}: {error}", path.display());
        ExitCode::from(NO_INPUT)
    })?;
    Config::parse(&Source::new(path.display().to_string(), text)).map_err(|invalid| {
        use std::io::IsTerminal as _;
        eprintln!("{}", invalid.render(std::io::stderr().is_terminal()));
        ExitCode::from(CONFIGURATION)
    })
}

#[expect(clippy::print_stderr, reason = "the answer to who typed the command")]
fn run(config: Config) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(until_stopped(config)));
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: could not start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn until_stopped(config: Config) -> std::io::Result<Result<(), hallwatch_agent::Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stopped = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
    };
    Ok(hallwatch_agent::run(config, stopped).await)
}

/// An error with its causes, each after a colon.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
