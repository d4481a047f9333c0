//! What was found, for people and for programs.

use std::sync::Arc;

use hallwatch_agent::profile::Profile;
use hallwatch_modbus::framing::{Parity, StopBits};
use serde_json::{Value as Json, json};

use super::bus::Bus;
use super::find::{Found, Scan};
use crate::cli::check::count;
use crate::cli::screen::{Paint, Style, clean};
use crate::cli::show;
use crate::cli::table::{Cell, Table, wrap};

/// The names of the basic and regular objects of an identification (Modbus Application Protocol
/// 1.1b3, section 6.21).
const OBJECTS: [&str; 7] =
    ["vendor", "product code", "revision", "vendor URL", "product", "model", "application"];

pub(super) fn text(scan: &Scan, paint: Paint) -> String {
    let found = scan.found();
    let mut lines =
        vec![format!("{} asked, {} answered", count(scan.asked, "unit"), scan.answered.len())];
    lines.extend(
        scan.closed.iter().flat_map(|one| wrap(&format!("{}: {}", one.bus, one.reason), 80)),
    );
    if found.is_empty() {
        if scan.closed.is_empty() {
            let hint = "hint: is the unit switched on, its Modbus enabled, and on a serial line: \
                        baud, parity and the two wires the right way round?";
            lines.extend(wrap(hint, 80));
        }
        return lines.join("\n") + "\n";
    }
    let mut table = Table::new(["WHERE", "UNIT", "DEVICE", "PROFILE"]);
    for one in found {
        let name = device(one);
        let profile = one.profiles.first().map_or("-", |profile| profile.name.as_str());
        let unit = match one.alike {
            1 => one.unit.to_string(),
            _ => "any".into(),
        };
        table.row([
            Cell::new(one.bus.to_string()),
            Cell::new(unit),
            Cell::new(name),
            Cell::new(profile),
        ]);
        for note in notes(one) {
            table.note(Cell::styled(note, Style::Faint));
        }
    }
    let mut text = format!("{}\n\n{}", lines.join("\n"), table.render(paint));
    if let Some(one) = found.iter().find(|one| one.profiles.is_empty()) {
        let hint = format!(
            "hint: no profile is known by what such a device shows; try one of its maker: \
             hallwatch-agent read {} --profile NAME",
            target(one)
        );
        text.push_str(&format!("\n{}\n", wrap(&hint, 80).join("\n")));
    }
    let snippets = snippets(found);
    if !snippets.is_empty() {
        text.push_str("\nFor the configuration, with names of your own:\n\n");
        text.push_str(&snippets.join("\n"));
    }
    text
}

/// What it calls itself, or what its profile is for.
fn device(found: &Found) -> String {
    let said = |what: &str| {
        found.identity.iter().find(|(known, _)| known == what).map(|(_, text)| text.clone())
    };
    let object = |id: u8| {
        found.traits.objects.iter().find(|object| object.id == id).map(|object| object.text.clone())
    };
    let maker = object(0).or_else(|| said("manufacturer"));
    let model = object(5).or_else(|| object(4)).or_else(|| object(1)).or_else(|| said("model"));
    let own: Vec<String> = [maker, model].into_iter().flatten().collect();
    match found.profiles.first() {
        _ if !own.is_empty() => own.join(" "),
        Some(profile) => format!("{} {}", profile.manufacturer, profile.model),
        None => "unknown".into(),
    }
}

fn notes(found: &Found) -> Vec<String> {
    let mut notes = Vec::new();
    if found.alike > 1 {
        notes.push(format!("answers alike to all {} units: it does not look at them", found.alike));
    }
    let mut said: Vec<String> = Vec::new();
    for object in &found.traits.objects {
        let name = OBJECTS
            .get(usize::from(object.id))
            .map_or_else(|| format!("object {}", object.id), |name| (*name).to_owned());
        said.push(format!("{name} {}", object.text));
    }
    said.extend(found.identity.iter().map(|(what, text)| format!("{what} {text}")));
    if !said.is_empty() {
        notes.push(said.join(", "));
    }
    if let Some(chain) = &found.traits.chain {
        let models: Vec<String> = chain.models.iter().map(|model| model.id.to_string()).collect();
        notes.push(format!("SunSpec models {}", models.join(", ")));
    }
    if found.profiles.len() > 1 {
        let others: Vec<&str> =
            found.profiles.iter().skip(1).map(|profile| profile.name.as_str()).collect();
        notes.push(format!("also possible: {}", others.join(", ")));
    }
    if let Some(text) = found.profiles.first().and_then(|profile| show::unverified(profile)) {
        notes.push(format!("warning: {text}"));
    }
    notes
}

/// What was found, as a configuration has it: lines that several units share once, then the
/// devices.
fn snippets(found: &[Found]) -> Vec<String> {
    let known: Vec<(&Found, &Arc<Profile>)> =
        found.iter().filter_map(|one| Some((one, one.profiles.first()?))).collect();
    let mut lines: Vec<&Bus> = Vec::new();
    let mut snippets = Vec::new();
    for (one, _) in &known {
        if !lines.contains(&&one.bus)
            && let Some(endpoint) = endpoint(&one.bus)
        {
            lines.push(&one.bus);
            let number = lines.len();
            snippets.push(format!("[[line]]\nname = \"line-{number}\"\n{endpoint}\n"));
        }
    }
    let mut names: Vec<String> = Vec::new();
    for (one, profile) in known {
        let (unit, profile, kind) = (one.unit, &profile.name, profile.kind.replace('_', "-"));
        let place = match lines.iter().position(|line| **line == one.bus) {
            Some(at) => format!("modbus = {{ line = \"line-{}\"", at + 1),
            None => {
                let address = clean(one.bus.place());
                format!("modbus_tcp = {{ address = \"{address}\"")
            }
        };
        // Units of several buses may have the same number.
        let name = format!("{kind}-{unit}");
        let alike = names.iter().filter(|known| **known == name).count();
        let shown = if alike == 0 { name.clone() } else { format!("{name}-{}", alike + 1) };
        names.push(name);
        snippets.push(format!(
            "[[device]]\nname = \"{shown}\"\n{place}, unit = {unit}, profile = \"{profile}\" }}\n"
        ));
    }
    snippets
}

/// Where a line is, as a configuration has it; none for Modbus TCP, which devices write themselves.
fn endpoint(bus: &Bus) -> Option<String> {
    let place = clean(bus.place());
    match bus {
        Bus::Tcp { rtu: false, .. } => None,
        Bus::Tcp { rtu: true, .. } => Some(format!("rtu_over_tcp = {{ address = \"{place}\" }}")),
        Bus::Serial { line, .. } => {
            let parity = parity(line.parity);
            let stop_bits = if line.stop_bits == StopBits::Two { 2 } else { 1 };
            Some(format!(
                "serial = {{ port = \"{place}\", baud = {}, parity = \"{parity}\", \
                 stop_bits = {stop_bits} }}",
                line.baud
            ))
        }
    }
}

const fn parity(parity: Parity) -> &'static str {
    match parity {
        Parity::None => "none",
        Parity::Even => "even",
        Parity::Odd => "odd",
    }
}

/// How `read` is told the device.
fn target(found: &Found) -> String {
    let unit = found.unit;
    match &found.bus {
        Bus::Tcp { address, rtu: false } => format!("{address}/{unit}"),
        Bus::Tcp { address, rtu: true } => format!("{address}/{unit} --rtu"),
        Bus::Serial { path, line } => {
            let parity = parity(line.parity);
            format!("{path}/{unit} --baud {} --parity {parity}", line.baud)
        }
    }
}

pub(super) fn json(scan: &Scan, is_whole: bool) -> Json {
    let found: Vec<Json> = scan.found().iter().map(found_json).collect();
    let closed: Vec<Json> = scan
        .closed
        .iter()
        .map(|one| json!({ "endpoint": one.bus.to_string(), "reason": one.reason }))
        .collect();
    let answered: Vec<Json> = scan
        .answered
        .iter()
        .map(|(bus, unit)| json!({ "endpoint": bus.to_string(), "unit": unit }))
        .collect();
    json!({
        "complete": is_whole,
        "asked": scan.asked,
        "answered": answered,
        "found": found,
        "configuration": snippets(scan.found()).join("\n"),
        "closed": closed,
    })
}

fn found_json(found: &Found) -> Json {
    let objects =
        found.traits.objects.iter().map(|object| (object.id.to_string(), json!(object.text)));
    let identity = found.identity.iter().map(|(what, text)| (what.clone(), json!(text)));
    let models = found.traits.chain.as_ref();
    let models = models.map(|chain| chain.models.iter().map(|model| model.id).collect::<Vec<_>>());
    let profiles: Vec<Json> = found
        .profiles
        .iter()
        .map(|profile| {
            json!({
                "name": profile.name,
                "confidence": show::confidence(profile.confidence),
            })
        })
        .collect();
    json!({
        "endpoint": found.bus.to_string(),
        "unit": found.unit,
        "any_unit": found.alike > 1,
        "device": device(found),
        "identification": objects.collect::<serde_json::Map<_, _>>(),
        "identity": identity.collect::<serde_json::Map<_, _>>(),
        "sunspec_models": models,
        "profiles": profiles,
    })
}
