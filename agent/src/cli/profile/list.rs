//! All shipped profiles, as people and programs read them.

use std::process::ExitCode;

use hallwatch_agent::profile::{Confidence, Profile, shipped};
use hallwatch_agent::sensor::profile::shipped as shipped_sensors;
use serde_json::json;

use super::super::screen::{Screen, Style};
use super::super::table::{Cell, Table};
use super::super::{Failed, load, show};
use super::sensor;

/// A profile in the list.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) protocol: &'static str,
    pub(super) kind: &'static str,
    pub(super) manufacturer: String,
    pub(super) model: String,
    pub(super) confidence: Confidence,
}

impl Row {
    fn of(profile: &Profile) -> Self {
        Self {
            name: profile.name.clone(),
            protocol: "modbus",
            kind: profile.kind,
            manufacturer: profile.manufacturer.clone(),
            model: profile.model.clone(),
            confidence: profile.confidence,
        }
    }
}

pub(super) fn list(kind: Option<&str>, json: bool) -> Result<ExitCode, Failed> {
    let mut profiles = Vec::new();
    for (name, _) in shipped() {
        profiles.push(Row::of(&*load::profile(name, json)?));
    }
    for (name, _) in shipped_sensors() {
        profiles.extend(load::sensor_profile(name, json)?.map(|profile| sensor::row(&profile)));
    }
    profiles.sort_by(|a, b| a.name.cmp(&b.name));
    let mut kinds: Vec<&str> = profiles.iter().map(|profile| profile.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if let Some(kind) = kind {
        if !kinds.contains(&kind) {
            let help = hallwatch_config::suggest::help(kind, "kinds", &kinds);
            return Err(Failed::usage(format!("no profile is of the kind `{kind}`")).hint(help));
        }
        profiles.retain(|profile| profile.kind == kind);
    }
    let screen = Screen::new(json);
    if json {
        let all = profiles.iter().map(|profile| {
            json!({
                "name": profile.name,
                "protocol": profile.protocol,
                "kind": profile.kind,
                "manufacturer": profile.manufacturer,
                "model": profile.model,
                "confidence": show::confidence(profile.confidence),
            })
        });
        screen.print_json(&json!(all.collect::<Vec<_>>()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["NAME", "KIND", "TRUST", "DEVICE"]);
    for profile in &profiles {
        let low = profile.confidence == Confidence::Low;
        let style = if low { Style::Warning } else { Style::Plain };
        table.row([
            Cell::new(&profile.name),
            Cell::new(profile.kind),
            Cell::styled(show::confidence(profile.confidence), style),
            Cell::new(match profile.protocol {
                "mqtt" => format!("MQTT: {} {}", profile.manufacturer, profile.model),
                _ => format!("{} {}", profile.manufacturer, profile.model),
            }),
        ]);
    }
    screen.print(&table.render(screen.paint));
    Ok(ExitCode::SUCCESS)
}
