//! `scan`: which units answer on a bus or host, and what they may be.

mod bus;
mod find;
mod recognise;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use hallwatch_agent::profile::{Profile, shipped};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::screen::{Screen, say};
use super::subject::Parity;
use super::{Failed, load};
use bus::{Bus, Hosts};
use find::Scan;

/// Find devices: units and ports that answer, and the profiles that may fit.
///
/// Only reads, one question at a time, with a pause after each. Ctrl-C ends it with what was found.
/// Do not scan a serial line while an agent reads it.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    target: Target,
}

#[derive(Subcommand, Debug)]
enum Target {
    /// A host: Modbus TCP, or a converter to a serial line.
    Tcp {
        /// The host, with a port or a range of ports: 10.0.0.5, 10.0.0.5:502, 10.0.0.5:502-510.
        #[arg(value_name = "HOST[:PORT][-PORT]")]
        target: Hosts,
        /// RTU over TCP: a converter that passes frames of a serial line on as they are.
        #[arg(long)]
        rtu: bool,
        #[command(flatten)]
        manner: Manner,
    },
    /// A serial port.
    Serial {
        /// The port, such as /dev/ttyUSB0.
        #[arg(value_name = "PATH")]
        path: String,
        /// Bits a second.
        #[arg(long, default_value_t = 19_200, value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
        baud: u32,
        /// The parity bit.
        #[arg(long, value_enum, default_value_t = Parity::Even)]
        parity: Parity,
        /// Stop bits.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
        stop_bits: u8,
        #[command(flatten)]
        manner: Manner,
    },
}

/// How it is asked.
#[derive(Args, Clone, Debug)]
struct Manner {
    /// The unit ids to try, such as 1-10,17; all that a device can have when not told.
    #[arg(long, value_name = "UNITS")]
    units: Option<bus::Units>,
    /// How long a unit may take to answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    timeout: u64,
    /// How long to wait after each answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pause: u64,
    /// The file of a profile of your own, to be recognised with the shipped ones. Repeatable.
    #[arg(long = "profile", value_name = "FILE")]
    profiles: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn is_json(&self) -> bool {
        let (Target::Tcp { manner, .. } | Target::Serial { manner, .. }) = &self.target;
        manner.json
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let (buses, manner) = match arguments.target {
        Target::Tcp { target, rtu, manner } => {
            let buses: Vec<Bus> =
                target.addresses().map(|address| Bus::Tcp { address, rtu }).collect();
            (buses, manner)
        }
        Target::Serial { path, baud, parity, stop_bits, manner } => {
            (vec![Bus::Serial { path, line: bus::line(baud, parity, stop_bits) }], manner)
        }
    };
    let mut profiles: Vec<Arc<Profile>> = Vec::new();
    let own = manner.profiles.iter().map(String::as_str);
    for name in own.chain(shipped().iter().map(|(name, _)| *name)) {
        profiles.push(load::profile(name, manner.json)?);
    }
    let screen = Screen::new(manner.json);
    let progress = progress();
    let mut scan = Scan::new(
        profiles,
        Duration::from_millis(manner.timeout),
        Duration::from_millis(manner.pause),
        progress.clone(),
    );
    let stopped = super::stopped()
        .map_err(|error| Failed::failure(format!("could not hear Ctrl-C: {error}")))?;
    let is_whole = tokio::select! {
        () = scan.run(&buses, manner.units.as_ref()) => true,
        () = stopped => false,
    };
    progress.finish_and_clear();
    if !is_whole {
        scan.stop();
    }
    let found = scan.found();
    if screen.json {
        screen.print_json(&report::json(&scan, is_whole));
    } else {
        screen.print(&report::text(&scan, screen.paint));
        if !is_whole {
            say("stopped before the end: this is what was found until then");
        }
    }
    Ok(if found.is_empty() { ExitCode::from(super::FAILURE) } else { ExitCode::SUCCESS })
}

/// On a terminal only, and not in the way of what is printed.
fn progress() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left, {wide_msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
