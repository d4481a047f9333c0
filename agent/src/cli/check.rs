//! `check`: the configuration, and whether all that it names can be reached.

mod broker;
mod modbus;
mod verdict;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hallwatch_agent::config::{Config, Device, DeviceSource};
use hallwatch_agent::io::uplink;
use hallwatch_agent::uplink::Uplink;
use hallwatch_model::chain;
use serde_json::{Value as Json, json};

use super::screen::{Screen, Style};
use super::table::{Cell, Table};
use super::{Failed, load, show};
use verdict::{Verdict, Word};

/// Check the configuration, and whether all that it names can be reached.
///
/// Ends with 0 when all is well, 1 when something cannot be reached or does not answer as it
/// should, 78 when the configuration is wrong. Devices are only read; nothing is journalled or
/// delivered.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Look at the configuration only: open nothing, ask nobody.
    #[arg(long)]
    offline: bool,
    /// How long to listen to MQTT sensors, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=3600))]
    listen: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let config = load::config(&arguments.config, arguments.json)?;
    let screen = Screen::new(arguments.json);
    let verdicts = if arguments.offline {
        Vec::new()
    } else {
        everything(&config, Duration::from_secs(arguments.listen)).await
    };
    let failed = verdicts.iter().filter(|verdict| verdict.word.is_bad()).count();
    if screen.json {
        screen.print_json(&report(&arguments, &config, &verdicts));
    } else {
        let head = format!(
            "{}: valid, agent {}, {}\n",
            arguments.config.display(),
            config.path,
            count(config.devices.len(), "device")
        );
        screen.print(&head);
        for profile in unverified(&config) {
            let text = format!("warning: {}", show::warning(profile));
            for line in super::table::wrap(&text, 80) {
                screen.print(&format!("{}\n", screen.paint.paint(Style::Warning, &line)));
            }
        }
        if !arguments.offline {
            screen.print(&format!("\n{}\n", table(&verdicts).render(screen.paint)));
            let last = match failed {
                0 => "all is well".to_owned(),
                failed => format!("{failed} of {} failed", verdicts.len()),
            };
            screen.print(&format!("{last}\n"));
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(super::FAILURE) })
}

/// The journal's directory, the brokers, the devices in the order of the configuration.
async fn everything(config: &Config, listen: Duration) -> Vec<Verdict> {
    let mut verdicts = vec![journal(&config.data)];
    let (brokers, devices) =
        tokio::join!(broker::check(config, listen), modbus::check(&config.devices));
    verdicts.extend(brokers.brokers);
    let (mut sensors, mut asked) = (brokers.sensors, devices);
    for (device, index) in config.devices.iter().zip(0usize..) {
        let verdict = match &device.source {
            DeviceSource::Modbus(_) => asked.remove(&index),
            DeviceSource::Mqtt(_) => sensors.remove(&index),
            DeviceSource::Uplink(uplink) => Some(check_uplink(device, uplink)),
        };
        verdicts.extend(verdict);
    }
    verdicts
}

/// Whether the journal can be written: a file is made there and removed, the journal itself is
/// not touched, as a running agent may have it.
fn journal(directory: &Path) -> Verdict {
    let what = directory.display().to_string();
    if !directory.exists() {
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let verdict = Verdict::new("journal", what, Word::Absent);
        return match probe(parent) {
            Ok(()) => verdict.detail("made at the first start"),
            Err(error) => Verdict { word: Word::Failed, ..verdict }
                .problem(format!("it is not there, and cannot be made: {error}"))
                .hint(format!(
                    "make it: `install -d -o USER {}`, USER being the agent's",
                    directory.display()
                )),
        };
    }
    let verdict = Verdict::new("journal", what, Word::Ok);
    match probe(directory) {
        Ok(()) => verdict.detail("can be written"),
        Err(error) => Verdict { word: Word::Failed, ..verdict }
            .problem(format!("could not write there: {error}"))
            .hint("run this as the agent's user; is the file system full or mounted read-only?"),
    }
}

/// Makes a file in `directory` and removes it.
fn probe(directory: &Path) -> std::io::Result<()> {
    let path = directory.join(format!(".hallwatch-check-{}", std::process::id()));
    std::fs::File::options().write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)
}

fn check_uplink(device: &Device, uplink: &Uplink) -> Verdict {
    let probes = count(uplink.probes.len(), "probe");
    let what = uplink.probes.first().map_or_else(String::new, |probe| probe.path.to_string());
    let name = device.name.as_str();
    let problems = uplink::check(uplink);
    if problems.is_empty() {
        return Verdict::new(name, format!("uplink {what}"), Word::Ok)
            .detail(format!("{probes} can be sent"));
    }
    let mut verdict = Verdict::new(name, format!("uplink {what}"), Word::Failed).detail(probes);
    for (probe, error) in problems {
        verdict = verdict.problem(format!("{probe}: {}", chain(&error)));
    }
    verdict.hint("is the source address or interface there (`ip address`), and is it this agent's?")
}

/// The profiles in use that were never checked at a device, each once.
fn unverified(config: &Config) -> BTreeSet<&str> {
    config.devices.iter().filter_map(Device::unverified).collect()
}

fn table(verdicts: &[Verdict]) -> Table {
    let mut table = Table::new(["NAME", "WHAT", "VERDICT", "DETAIL"]);
    for verdict in verdicts {
        table.row([
            Cell::new(&verdict.name),
            Cell::new(&verdict.what),
            Cell::styled(verdict.word.text(), verdict.word.style()),
            Cell::new(&verdict.detail),
        ]);
        for problem in &verdict.problems {
            table.note(Cell::new(problem));
        }
        if let Some(hint) = &verdict.hint {
            table.note(Cell::styled(format!("hint: {hint}"), Style::Faint));
        }
    }
    table
}

fn report(arguments: &Arguments, config: &Config, verdicts: &[Verdict]) -> Json {
    let checks: Vec<Json> = verdicts.iter().map(Verdict::json).collect();
    json!({
        "ok": !verdicts.iter().any(|verdict| verdict.word.is_bad()),
        "config": arguments.config.display().to_string(),
        "agent": config.path.to_string(),
        "devices": config.devices.len(),
        "offline": arguments.offline,
        "unverified_profiles": unverified(config),
        "checks": checks,
    })
}

/// `1 device`, `2 devices`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
