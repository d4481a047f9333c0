//! `read`: the points of one device, registers beside values.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hallwatch_agent::profile::{Inspected, Profile};
use hallwatch_config::suggest;
use hallwatch_model::{Missing, chain};
use serde_json::{Value as Json, json};

use super::screen::{Screen, Style, warn};
use super::subject::{Choice, Subject};
use super::table::{Cell, Table};
use super::wire::{Answers, TLS_FILES, Wire, hint};
use super::{Failed, orders, registers, show, time_of_day};

/// Read a device: registers beside values and units.
///
/// Ends with 0 when every point has a value or is not available in the device, with 1 otherwise.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Only these points, and all of their states.
    #[arg(value_name = "POINT")]
    points: Vec<String>,
    /// Read again and again until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// The time between two readings of --watch, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    every: u64,
    /// Show all four orders of words and bytes side by side; the profile's is marked with `*`.
    #[arg(long)]
    orders: bool,
    /// Print the registers only, as `profile test --registers` reads them.
    #[arg(long, conflicts_with_all = ["orders", "watch", "json"])]
    registers: bool,
    /// Print JSON; with --watch one document on each line.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

/// One reading of the device.
struct Reading {
    answers: Answers,
    identity: Answers,
    errors: Vec<hallwatch_modbus::Error>,
    time: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let screen = Screen::new(arguments.json);
    let subject = arguments.choice.subject(arguments.json)?;
    if let Some(text) = show::unverified(&subject.modbus.profile) {
        warn(&text);
    }
    let names: BTreeSet<&str> = arguments.points.iter().map(String::as_str).collect();
    let stopped = super::stopped()
        .map_err(|error| Failed::failure(format!("could not hear Ctrl-C: {error}")))?;
    tokio::pin!(stopped);
    let mut wire = wire(&subject)?;
    let profile = tokio::select! {
        placed = place(&mut wire, &subject) => placed?,
        () = &mut stopped => return Ok(ExitCode::from(super::FAILURE)),
    };
    known(&profile, &subject, &names)?;
    let mut wanted = profile.reads_for(&names);
    if names.is_empty() {
        wanted =
            ((0..profile.reads().len()).collect(), (0..profile.identity_reads().len()).collect());
    }
    let mut identity: Option<Answers> = None;
    loop {
        let reading = async {
            let answers = wire.read(profile.reads(), Some(&wanted.0)).await;
            if identity.is_none() {
                identity = Some(wire.read(profile.identity_reads(), Some(&wanted.1)).await);
            }
            let errors = std::mem::take(&mut wire.errors);
            let identity = identity.clone().unwrap_or_default();
            Reading { answers, identity, errors, time: time_of_day() }
        };
        let reading = tokio::select! {
            reading = reading => reading,
            () = &mut stopped => return Ok(ExitCode::SUCCESS),
        };
        let points: Vec<Inspected<'_>> = profile
            .inspect(&reading.answers, &reading.identity)
            .into_iter()
            .filter(|point| names.is_empty() || names.contains(point.info.name))
            .collect();
        let code = print(screen, &arguments, &subject, &profile, &reading, &points);
        if !arguments.watch {
            return Ok(code);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(arguments.every)) => {}
            () = &mut stopped => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// The device's line.
pub(crate) fn wire(subject: &Subject) -> Result<Wire, Failed> {
    Wire::new(&subject.modbus).map_err(|error| Failed::failure(chain(&error)).hint(TLS_FILES))
}

/// The profile as it is for this device.
pub(crate) async fn place(wire: &mut Wire, subject: &Subject) -> Result<Profile, Failed> {
    match wire.place(&subject.modbus).await {
        Ok(Some(profile)) => Ok(profile),
        Ok(None) => Err(Failed::failure(format!(
            "{} is not a SunSpec device, which the profile {} is for",
            subject.name, subject.modbus.profile.name
        ))
        .hint("`hallwatch-agent scan` says what it may be")),
        Err(error) => Err(Failed::failure(chain(&error)).hint(hint(&error))),
    }
}

fn known(profile: &Profile, subject: &Subject, names: &BTreeSet<&str>) -> Result<(), Failed> {
    let points = profile.points();
    let known: Vec<&str> =
        points.iter().filter(|point| point.is_read).map(|point| point.name).collect();
    match names.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let message = match points.iter().find(|point| point.name == *name) {
                Some(_) => format!("the profile {} does not read `{name}` here", profile.name),
                None => format!(
                    "the profile {} of {} has no point `{name}`",
                    profile.name, subject.name
                ),
            };
            Err(Failed::usage(message).hint(suggest::help(name, "points", &known)))
        }
    }
}

fn print(
    screen: Screen,
    arguments: &Arguments,
    subject: &Subject,
    profile: &Profile,
    reading: &Reading,
    points: &[Inspected<'_>],
) -> ExitCode {
    let bad = |point: &&Inspected<'_>| {
        point.missing().is_some_and(|missing| missing != Missing::NotAvailable)
    };
    let failed = points.iter().filter(bad).count();
    if screen.json {
        let json = report(arguments, subject, profile, reading, points);
        if arguments.watch { screen.print_json_line(&json) } else { screen.print_json(&json) }
    } else if arguments.registers {
        let head = format!("# {}, {}, {}\n", subject.name, profile.name, reading.time);
        screen.print(&(head + &registers::write(points)));
    } else {
        if arguments.watch && screen.is_terminal() {
            // To the top, and nothing of the last reading stays.
            screen.print("\x1b[H\x1b[2J");
        }
        let identity = profile.identity(&reading.identity);
        let head = format!("{}: {}, {}", subject.name, subject.place(), profile.name);
        let mut head = super::table::wrap(&head, 80).join("\n") + "\n";
        let said: Vec<String> =
            identity.iter().map(|(what, text)| format!("{what} {text}")).collect();
        if !said.is_empty() {
            let said = super::screen::clean(&said.join(", "));
            head.push_str(&format!("{}\n", super::table::wrap(&said, 80).join("\n")));
        }
        if arguments.watch {
            head.push_str(&format!("{}\n", reading.time));
        }
        let table = if arguments.orders {
            orders::table(points)
        } else {
            values(points, !arguments.points.is_empty())
        };
        screen.print(&format!("{head}\n{}", table.render(screen.paint)));
        let mut told: Vec<String> = Vec::new();
        for error in &reading.errors {
            let lines = [format!("error: {}", chain(error)), format!("hint: {}", hint(error))];
            told.extend(lines.into_iter().flat_map(|line| super::table::wrap(&line, 80)));
        }
        told.dedup();
        if !told.is_empty() {
            screen.print(&format!("\n{}\n", told.join("\n")));
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(super::FAILURE) }
}

/// `all`: also states that do not hold.
pub(crate) fn values(points: &[Inspected<'_>], all: bool) -> Table {
    let mut table = Table::new(["POINT", "AT", "RAW", "VALUE", "UNIT"]);
    for point in points {
        let (value, unit) = show::value(point);
        let style = match point.missing() {
            None => Style::Plain,
            Some(Missing::NotAvailable) => Style::Warning,
            Some(_) => Style::Bad,
        };
        table.row([
            Cell::new(point.info.name),
            Cell::new(show::place(&point.info)),
            Cell::styled(show::raw(point), Style::Faint),
            Cell::styled(value, style),
            Cell::new(unit),
        ]);
        if let Some(reason) = show::reason(point) {
            table.note(Cell::styled(reason, style));
        }
        for state in show::states(point, all) {
            table.note(Cell::new(state));
        }
    }
    table
}

fn report(
    arguments: &Arguments,
    subject: &Subject,
    profile: &Profile,
    reading: &Reading,
    points: &[Inspected<'_>],
) -> Json {
    let points: Vec<Json> = points
        .iter()
        .map(|point| {
            let mut json = show::point_json(point);
            if arguments.orders
                && let Some(json) = json.as_object_mut()
            {
                json.insert("orders".into(), orders::json(point));
            }
            json
        })
        .collect();
    let errors: Vec<Json> = reading
        .errors
        .iter()
        .map(|error| json!({ "error": chain(error), "hint": hint(error) }))
        .collect();
    let identity = profile.identity(&reading.identity);
    let identity = identity.into_iter().map(|(what, text)| (what.to_owned(), json!(text)));
    json!({
        "device": subject.name,
        "address": subject.modbus.line.endpoint.to_string(),
        "unit": subject.modbus.unit,
        "profile": profile.name,
        "confidence": show::confidence(profile.confidence),
        "time": reading.time,
        "identity": identity.collect::<serde_json::Map<_, _>>(),
        "points": points,
        "errors": errors,
    })
}
