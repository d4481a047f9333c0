//! The tools of the site engineer.
//!
//! Reading order: [`check`], [`read`], [`scan`], [`profile`], [`commission`], [`init`] (one for
//! each command); `subject` and `wire` (which device, and asking it), `show` (values as text),
//! `load` (files), `ask` (questions to the engineer), `table` and `screen` (the terminal).

mod ask;
mod check;
mod commission;
mod init;
mod load;
mod orders;
mod profile;
mod read;
mod registers;
mod scan;
mod screen;
mod show;
mod subject;
mod table;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hallwatch_agent::config::Config;
use hallwatch_agent::io::clock::Clock;
use hallwatch_model::chain;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use screen::{Screen, complain, is_coloured};

/// sysexits(3): the command line was wrong.
const USAGE: u8 = 64;
/// sysexits(3): a file that should be read cannot be.
const NO_INPUT: u8 = 66;
/// sysexits(3): the configuration is wrong.
const CONFIGURATION: u8 = 78;
/// Something is not as it should be.
const FAILURE: u8 = 1;
/// How long tasks that block may go on after the end.
const GRACE: std::time::Duration = std::time::Duration::from_secs(1);
/// Where the configuration of an installed agent is.
const INSTALLED: &str = "/etc/hallwatch/agent.toml";

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
    Check(check::Arguments),
    Read(read::Arguments),
    Scan(scan::Arguments),
    Profile(profile::Arguments),
    Commission(commission::Arguments),
    Init(init::Arguments),
}

impl Command {
    fn is_json(&self) -> bool {
        match self {
            Self::Run { .. } => false,
            Self::Check(arguments) => arguments.is_json(),
            Self::Read(arguments) => arguments.is_json(),
            Self::Scan(arguments) => arguments.is_json(),
            Self::Profile(arguments) => arguments.is_json(),
            Self::Commission(arguments) => arguments.is_json(),
            Self::Init(arguments) => arguments.is_json(),
        }
    }
}

/// How a command ended that did not do what it was asked; what is to be said has been collected.
#[derive(Debug)]
pub(crate) struct Failed {
    code: u8,
    message: Option<String>,
    hint: Option<String>,
    /// Not behind `error:`: it is a listing of its own.
    bare: bool,
}

impl Failed {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()), hint: None, bare: false }
    }

    fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    fn no_input(message: impl Into<String>) -> Self {
        Self::new(NO_INPUT, message)
    }

    fn failure(message: impl Into<String>) -> Self {
        Self::new(FAILURE, message)
    }

    fn text(code: u8, text: String) -> Self {
        Self { bare: true, ..Self::new(code, text) }
    }

    /// All has been said already.
    fn told(code: u8) -> Self {
        Self { code, message: None, hint: None, bare: false }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// `json`: a program asked, and reads what it is told where the answer would have been.
    fn tell(self, json: bool) -> ExitCode {
        if json && let Some(message) = &self.message {
            let error = json!({ "ok": false, "error": message, "hint": self.hint });
            Screen::new(true).print_json(&error);
            return ExitCode::from(self.code);
        }
        if let Some(message) = self.message {
            if self.bare {
                screen::say(&message);
            } else {
                complain(&message);
            }
        }
        if let Some(hint) = self.hint {
            screen::advise(&hint);
        }
        ExitCode::from(self.code)
    }
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let failed = error.use_stderr();
            let _ = error.print();
            return if failed { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let is_tool = !matches!(arguments.command, Command::Run { .. });
    let json = arguments.command.is_json();
    // Tools say themselves what happens.
    let usual = if is_tool { "off" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_coloured(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
    let result = match arguments.command {
        Command::Run { config } => run(&config),
        Command::Check(arguments) => on_one_thread(check::run(arguments)),
        Command::Read(arguments) => on_one_thread(read::run(arguments)),
        Command::Scan(arguments) => on_one_thread(scan::run(arguments)),
        Command::Profile(arguments) => profile::run(arguments),
        Command::Commission(arguments) => on_one_thread(commission::run(arguments)),
        Command::Init(arguments) => init::run(arguments),
    };
    match result {
        Ok(code) => code,
        Err(failed) => failed.tell(json),
    }
}

fn on_one_thread(tool: impl Future<Output = Result<ExitCode, Failed>>) -> Result<ExitCode, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::failure(format!("could not start: {error}")))?;
    let result = runtime.block_on(tool);
    // A name that is still being resolved does not hold up the end.
    runtime.shutdown_background();
    result
}

fn run(config: &std::path::Path) -> Result<ExitCode, Failed> {
    let config = load::config(config, false)?;
    let result =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().and_then(|runtime| {
            // Among its tasks, not beside them: each reading would wake another thread.
            let result = match runtime.block_on(runtime.spawn(until_stopped(config))) {
                Ok(result) => result,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(error) => Err(std::io::Error::other(error)),
                },
            };
            // A name that is still being resolved, or a disk that hangs, does not hold up the end.
            runtime.shutdown_timeout(GRACE);
            result
        });
    match result {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(error)) => Err(Failed::new(error.exit_status(), chain(&error))),
        Err(error) => Err(Failed::failure(format!("could not start: {error}"))),
    }
}

async fn until_stopped(config: Config) -> std::io::Result<Result<(), hallwatch_agent::Error>> {
    let stopped = stopped()?;
    let stopped = async move {
        stopped.await;
        tracing::info!("stopping");
    };
    Ok(hallwatch_agent::run(config, stopped).await)
}

/// Ends with SIGINT (Ctrl-C) or SIGTERM.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The time of day, such as `2026-03-01T04:05:06Z`.
fn time_of_day() -> String {
    show::time(Clock::start().time())
}
