//! `hallwatch-sim`: a simulated data hall, alone or with everything that watches it.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hallwatch_sim::{Error, demo, plant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole site: broker, plant, agent, collector and a pager.
    Demo(demo::Arguments),
    /// The plant alone: Modbus devices, MQTT sensors and the control of faults.
    Plant(plant::Arguments),
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the end of a command line program")]
async fn main() -> ExitCode {
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let level =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,rumqttd=off"));
    let colored = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_ansi(colored)
        .with_writer(std::io::stderr)
        .init();
    let ended = match stop() {
        Ok(stop) => match command {
            Command::Demo(arguments) => demo::run(arguments, stop).await,
            Command::Plant(arguments) => plant::run(arguments, stop).await,
        },
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hallwatch-sim: {}", hallwatch_model::chain(&error));
            ExitCode::from(match error {
                Error::Usage { .. } => 64,
                Error::Invalid(_) => 78,
                _ => 1,
            })
        }
    }
}

/// Turns true at the first SIGINT or SIGTERM.
fn stop() -> Result<watch::Receiver<bool>, Error> {
    let hear = |kind| {
        signal(kind).map_err(|source| Error::File {
            attempt: "hear signals of",
            path: "/proc/self".into(),
            source,
        })
    };
    let (mut interrupt, mut terminate) =
        (hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?);
    let (tell, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let _ = tell.send(true);
    });
    Ok(stop)
}
