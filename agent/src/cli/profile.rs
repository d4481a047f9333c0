//! `profile`: what profiles there are, what one says, and what it makes of registers.

mod list;
mod sensor;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use hallwatch_agent::config::is_profile_file;
use hallwatch_agent::profile::{
    Allowed, Fingerprint, Inspected, Parameter, PointInfo, Profile, Series, Wanted, shipped,
};
use hallwatch_agent::sensor::SensorProfile;
use hallwatch_agent::sensor::profile::shipped as shipped_sensors;
use hallwatch_model::Missing;
use serde_json::{Value as Json, json};

use super::registers::Registers;
use super::screen::{Screen, clean, warn};
use super::subject::{parameter, set};
use super::table::{Cell, Table, wrap};
use super::{Failed, load, read, show};
use list::list;

/// The register maps of devices, and what MQTT sensors send.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// All shipped profiles.
    List {
        /// Only those of this kind of device, such as `ups`.
        #[arg(long)]
        kind: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// What a profile reads, and what that becomes.
    Show {
        /// A shipped profile, or the file of one.
        #[arg(value_name = "NAME|FILE")]
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// What a profile makes of registers in a file.
    Test {
        /// A shipped profile, or the file of one.
        #[arg(value_name = "NAME|FILE")]
        name: String,
        /// Lines such as `holding 3000 0x1234 0x5678`; `read --registers` writes them.
        #[arg(long, value_name = "FILE")]
        registers: PathBuf,
        /// A parameter of the profile; once for each.
        #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parameter)]
        parameters: Vec<(String, f64)>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the file of a profile of your own.
    Check {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Arguments {
    pub(crate) fn is_json(&self) -> bool {
        match self.command {
            Command::List { json, .. }
            | Command::Show { json, .. }
            | Command::Test { json, .. }
            | Command::Check { json, .. } => json,
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    match arguments.command {
        Command::List { kind, json } => list(kind.as_deref(), json),
        Command::Show { name, json } => {
            if let Some(profile) = load::sensor_profile(&name, json)? {
                sensor::print(&profile, "", json);
                return Ok(ExitCode::SUCCESS);
            }
            let profile = known(&name, json)?;
            let screen = Screen::new(json);
            if json {
                screen.print_json(&describe_json(&profile));
            } else {
                screen.print(&describe(&profile, screen));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Test { name, registers, parameters, json } => {
            test(&name, &registers, &parameters, json)
        }
        Command::Check { file, json } => {
            let text = load::read_text(&file).map_err(|error| {
                Failed::no_input(format!("could not read {}: {error}", file.display()))
            })?;
            let path = file.display().to_string();
            let source = hallwatch_config::Source::new(&*path, text);
            if SensorProfile::is_one(&source) {
                let profile = SensorProfile::parse(&path, &source)
                    .map_err(|invalid| load::refuse(&invalid, json))?;
                sensor::print(&profile, &format!("{path}: valid\n\n"), json);
                return Ok(ExitCode::SUCCESS);
            }
            let profile =
                Profile::parse(&path, &source).map_err(|invalid| load::refuse(&invalid, json))?;
            let screen = Screen::new(json);
            if json {
                screen.print_json(&describe_json(&profile));
            } else {
                screen.print(&format!("{path}: valid\n\n{}", describe(&profile, screen)));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The profile of registers `name`; a word that is none may be meant for a sensor's.
fn known(name: &str, json: bool) -> Result<Arc<Profile>, Failed> {
    let names = || shipped().iter().chain(shipped_sensors()).map(|(name, _)| *name);
    if is_profile_file(name) || names().any(|known| known == name) {
        return load::profile(name, json);
    }
    let known: Vec<&str> = names().collect();
    Err(load::no_such(name, &known))
}

fn test(
    name: &str,
    registers: &std::path::Path,
    parameters: &[(String, f64)],
    json: bool,
) -> Result<ExitCode, Failed> {
    let profile = set(load::profile(name, json)?, parameters)?;
    let text = load::read_text(registers).map_err(|error| {
        Failed::no_input(format!("could not read {}: {error}", registers.display()))
    })?;
    let held = Registers::parse(&text).map_err(|(line, message)| {
        Failed::new(super::CONFIGURATION, format!("{}:{line}: {message}", registers.display()))
            .hint("a line is a table, an address and words: holding 3000 0x1234 0x5678")
    })?;
    if let Some(text) = show::unverified(&profile) {
        warn(&text);
    }
    if !profile.models().is_empty() {
        warn("points of SunSpec models are left out: their place is known at a device only");
    }
    let answers = held.answers(profile.reads());
    let identity = held.answers(profile.identity_reads());
    let points = profile.inspect(&answers, &identity);
    let (there, left): (Vec<Inspected<'_>>, Vec<Inspected<'_>>) =
        points.into_iter().partition(|point| {
            let info = &point.info;
            held.has(info.table, info.address, info.conversion.kind.width())
        });
    let screen = Screen::new(json);
    if json {
        let points: Vec<Json> = there.iter().map(show::point_json).collect();
        screen.print_json(&json!({
            "profile": profile.name,
            "confidence": show::confidence(profile.confidence),
            "points": points,
            "not_in_file": left.iter().map(|point| point.info.name).collect::<Vec<_>>(),
        }));
    } else {
        screen.print(&read::values(&there, true).render(screen.paint));
        if !left.is_empty() {
            let names: Vec<&str> = left.iter().map(|point| point.info.name).collect();
            let text = format!("not in the file: {}", names.join(", "));
            screen.print(&format!("\n{}\n", wrap(&text, 80).join("\n")));
        }
    }
    let bad = |point: &Inspected<'_>| {
        point.missing().is_some_and(|missing| missing != Missing::NotAvailable)
    };
    let failed = there.is_empty() || there.iter().any(bad);
    Ok(if failed { ExitCode::from(super::FAILURE) } else { ExitCode::SUCCESS })
}

fn describe(profile: &Profile, screen: Screen) -> String {
    let mut lines = vec![
        format!("{}: {} {}", profile.name, profile.manufacturer, profile.model),
        format!("kind {}, trust {}", profile.kind, show::confidence(profile.confidence)),
    ];
    lines.extend(show::unverified(profile).map(|text| format!("warning: {text}")));
    let connection = &profile.connection;
    let mut factory = Vec::new();
    factory.extend(connection.unit.map(|unit| format!("unit {unit}")));
    factory.extend(connection.port.map(|port| format!("port {port}")));
    factory.extend(connection.baud.map(|baud| format!("{baud} baud")));
    if !factory.is_empty() {
        lines.push(format!("from the factory: {}", factory.join(", ")));
    }
    for Parameter { name, default, allowed, help } in profile.parameters() {
        let default = default.map_or_else(|| "?".to_owned(), show::number);
        lines.push(format!("parameter {name} = {default} ({allowed}): {help}"));
    }
    if profile.parameters().iter().any(|parameter| parameter.default.is_none()) {
        lines.push("a parameter without a default (?) has to be set".to_owned());
    }
    lines.extend(profile.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(profile.sources.iter().map(|source| format!("source: {source}")));
    lines.extend(profile.fingerprints.iter().map(|one| format!("known by: {}", fingerprint(one))));
    let lines: Vec<String> = lines.iter().flat_map(|line| wrap(&clean(line), 80)).collect();
    let mut table = Table::new(["POINT", "AT", "TYPE", "BECOMES"]);
    for point in profile.points() {
        let becomes = match (point.series.as_slice(), point.identity) {
            ([], Some(what)) => format!("identity: {what}"),
            ([], None) if point.model.is_some() => "see its model".into(),
            ([], None) => "for other points".into(),
            (series, _) => becomes(series),
        };
        table.row([
            Cell::new(point.name),
            Cell::new(show::place(&point)),
            Cell::new(show::kind(point.conversion.kind)),
            Cell::new(becomes),
        ]);
    }
    let requests = profile.reads().len();
    format!(
        "{}\n\n{}\n{requests} requests bring all values\n",
        lines.join("\n"),
        table.render(screen.paint)
    )
}

/// The series of a point; of several of one metric how many there are.
fn becomes(series: &[&Series]) -> String {
    let mut by_metric: Vec<(&str, Vec<&Series>)> = Vec::new();
    for one in series {
        match by_metric.iter_mut().find(|(metric, _)| *metric == one.metric.name) {
            Some((_, same)) => same.push(one),
            None => by_metric.push((one.metric.name, vec![one])),
        }
    }
    let names = by_metric.iter().map(|(metric, same)| match same.as_slice() {
        [one] => show::series(one),
        several => format!("{metric} ({} series)", several.len()),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn fingerprint(fingerprint: &Fingerprint) -> String {
    match fingerprint {
        Fingerprint::Object { id, text } => format!("identification object {id} has `{text}`"),
        Fingerprint::Registers { read, wanted, .. } => {
            let place = format!("{} {}", show::table(read.table()), read.address());
            match wanted {
                Wanted::Text(text) => format!("{place} has `{text}`"),
                Wanted::Numbers(ranges) => {
                    let ranges: Vec<String> = ranges
                        .iter()
                        .map(|range| {
                            if range.start() == range.end() {
                                format!("{:#06x}", range.start())
                            } else {
                                format!("{:#06x} to {:#06x}", range.start(), range.end())
                            }
                        })
                        .collect();
                    format!("{place} is {}", ranges.join(", "))
                }
            }
        }
    }
}

fn point_info_json(point: &PointInfo<'_>) -> Json {
    json!({
        "point": point.name,
        "table": show::table(point.table),
        "address": point.address,
        "model": point.model.map(|(model, _)| model),
        "type": show::kind(point.conversion.kind),
        "identity": point.identity,
        "series": point.series.iter().map(|series| show::series(series)).collect::<Vec<_>>(),
    })
}

fn describe_json(profile: &Profile) -> Json {
    let parameters = profile.parameters().iter().map(|parameter| {
        let (values, min, max) = match &parameter.allowed {
            Allowed::Values(values) => (Some(values), None, None),
            Allowed::Range { min, max } => (None, Some(min), Some(max)),
        };
        json!({
            "name": parameter.name,
            "default": parameter.default,
            "required": parameter.default.is_none(),
            "values": values,
            "min": min,
            "max": max,
            "help": parameter.help,
        })
    });
    json!({
        "name": profile.name,
        "protocol": "modbus",
        "kind": profile.kind,
        "manufacturer": profile.manufacturer,
        "model": profile.model,
        "confidence": show::confidence(profile.confidence),
        "sources": profile.sources,
        "notes": profile.notes,
        "unit": profile.connection.unit,
        "port": profile.connection.port,
        "baud": profile.connection.baud,
        "parameters": parameters.collect::<Vec<_>>(),
        "fingerprints": profile.fingerprints.iter().map(fingerprint).collect::<Vec<_>>(),
        "requests": profile.reads().len(),
        "points": profile.points().iter().map(point_info_json).collect::<Vec<_>>(),
    })
}
