//! `[site.topology]`: what hangs on what.

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_config::{Problem, Section, Spanned};
use hallwatch_model::Id;

use super::some_text;
use crate::topology::{Kind, Node, Plan, Power, Rack, Zone};

/// A node as it is written.
struct Written {
    name: Spanned<String>,
    kind: Kind,
    meter: Option<String>,
    feeds: Vec<Spanned<String>>,
}

/// The topology of a site; `None` when anything in it is wrong. What is strange but allowed goes to
/// `warnings`.
pub(super) fn topology(
    mut section: Section<'_>,
    (tenant, site, agent): (Id, Id, Option<Id>),
    warnings: &mut Vec<Problem>,
) -> Option<Plan> {
    let racks = section.checked_list("racks", some_text);
    section.unique("rack", &racks);
    let uplinks = section.checked_list("uplinks", Id::new);
    section.unique("uplink", &uplinks);
    let power = power(&mut section, &racks, warnings);
    let zones = zones(&mut section);
    let uplinks = uplinks.into_iter().map(|uplink| uplink.value.to_string()).collect();
    Some(Plan { tenant, site, agent, power: power?, zones: zones?, uplinks })
}

fn power(
    section: &mut Section<'_>,
    racks: &[Spanned<String>],
    warnings: &mut Vec<Problem>,
) -> Option<Power> {
    let (sections, mut sound) = (section.named_sections("power"), true);
    let mut nodes = Vec::with_capacity(sections.len());
    for (name, node) in sections {
        match written(name, node) {
            Some(node) => nodes.push(node),
            None => sound = false,
        }
    }
    if !sound || !is_sound(section, &nodes, racks) {
        return None;
    }
    let order = ordered(section, &nodes)?;
    let place: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(at, index)| (&*nodes[*index].name.value, at)).collect();
    // In the order of the text, which numbers the sources of a switch.
    let feeders = |of: &str| -> Vec<usize> {
        let feeds = nodes.iter().filter(|node| node.feeds.iter().any(|fed| fed.value == of));
        feeds.filter_map(|node| place.get(&*node.name.value).copied()).collect()
    };
    let made = order.iter().map(|index| {
        let Written { name, kind, meter, .. } = &nodes[*index];
        let (name, fed_by) = (name.value.clone(), feeders(name));
        Node { name, kind: *kind, meter: meter.clone(), fed_by }
    });
    let hung = racks.iter().map(|rack| Rack { name: rack.value.clone(), fed_by: feeders(rack) });
    let power = Power::new(made.collect(), hung.collect())?;
    warn(&power, &nodes, racks, warnings);
    Some(power)
}

fn written(name: Spanned<String>, mut section: Section<'_>) -> Option<Written> {
    let kind = section.required_choice("kind", &Kind::WORDS);
    let meter = section.value("meter");
    let named = section.checked_optional("meter", Id::new);
    let feeds = section.checked_list("feeds", some_text);
    section.unique("target", &feeds);
    if let Err(error) = Id::new(&name.value) {
        let message = format!("`{}` is not valid: {error}", name.value);
        section.problem(name.span.clone(), message, "not valid", None);
        return None;
    }
    if let (Some(meter), Some(kind)) = (&meter, kind)
        && !matches!(kind, Kind::Utility | Kind::Board)
    {
        let help =
            "it tells by itself how it is; only `utility` and `board` have a meter".to_owned();
        let message = format!("{} cannot be in a node of kind `{}`", meter.name(), kind.word());
        section.problem(meter.span(), message, "not here", Some(help));
    }
    let meter = named.map(|meter| meter.value.to_string());
    Some(Written { name, kind: kind?, meter, feeds })
}

/// What can be said of each node without following the path.
fn is_sound(section: &mut Section<'_>, nodes: &[Written], racks: &[Spanned<String>]) -> bool {
    let mut sound = true;
    let mut problem = |span: &std::ops::Range<usize>, message: String, label: &str, help: &str| {
        sound = false;
        section.problem(span.clone(), message, label, Some(help.to_owned()));
    };
    let kinds: BTreeMap<&str, Kind> =
        nodes.iter().map(|node| (&*node.name.value, node.kind)).collect();
    for rack in racks.iter().filter(|rack| kinds.contains_key(&*rack.value)) {
        let message = format!("`{rack}` is a rack and a node of the power path");
        problem(&rack.span, message, "used twice", "give one of them another name");
    }
    let rack_names: BTreeSet<&str> = racks.iter().map(|rack| &*rack.value).collect();
    let mut fed: BTreeSet<&str> = BTreeSet::new();
    let mut strangers = Vec::new();
    for node in nodes {
        for target in &node.feeds {
            fed.insert(&target.value);
            match kinds.get(&*target.value) {
                Some(kind) if kind.is_source() => {
                    let message = format!("nothing can feed `{target}`: it is a {}", kind.word());
                    problem(
                        &target.span,
                        message,
                        "a source",
                        "write `feeds` the way the power goes",
                    );
                }
                None if !rack_names.contains(&*target.value) => strangers.push(target),
                _ => {}
            }
        }
    }
    for node in nodes {
        let Written { name, kind, meter, feeds } = node;
        if !kind.is_source() && !fed.contains(&*name.value) {
            let help = format!("add `\"{name}\"` to the `feeds` of what is before it");
            problem(&name.span, format!("nothing feeds `{name}`"), "out of reach", &help);
        }
        let switched = feeds.iter().any(|fed| kinds.get(&*fed.value) == Some(&Kind::Ats));
        if *kind == Kind::Utility && meter.is_none() && !switched {
            let help = "add `meter = \"…\"`, a device that measures it, or let it feed an `ats`";
            problem(
                &name.span,
                format!("nobody sees whether `{name}` has voltage"),
                "unseen",
                help,
            );
        }
    }
    for rack in racks.iter().filter(|rack| !fed.contains(&*rack.value)) {
        let help = format!("add `\"{rack}\"` to the `feeds` of its PDUs");
        problem(&rack.span, format!("no power path leads to rack `{rack}`"), "out of reach", &help);
    }
    for target in &strangers {
        let known = kinds.keys().copied().chain(rack_names.iter().copied());
        section.no_such("node", target, known);
    }
    sound && strangers.is_empty()
}

/// The nodes, each after what feeds it. A cycle is a problem.
fn ordered(section: &mut Section<'_>, nodes: &[Written]) -> Option<Vec<usize>> {
    let index: BTreeMap<&str, usize> =
        nodes.iter().enumerate().map(|(at, node)| (&*node.name.value, at)).collect();
    let fed = |at: usize| nodes[at].feeds.iter().filter_map(|fed| index.get(&*fed.value).copied());
    let mut waiting = vec![0_usize; nodes.len()];
    (0..nodes.len()).flat_map(fed).for_each(|at| waiting[at] += 1);
    let mut order: Vec<usize> = (0..nodes.len()).filter(|at| waiting[*at] == 0).collect();
    let mut done = 0;
    while let Some(at) = order.get(done).copied() {
        done += 1;
        for next in fed(at) {
            waiting[next] -= 1;
            if waiting[next] == 0 {
                order.push(next);
            }
        }
    }
    // What is left hangs on a cycle: going up from it leads into one.
    let Some(start) = (0..nodes.len()).find(|at| waiting[*at] > 0) else { return Some(order) };
    let mut way = vec![start];
    loop {
        let at = way[way.len() - 1];
        let before = (0..nodes.len()).find(|by| waiting[*by] > 0 && fed(*by).any(|f| f == at))?;
        if let Some(from) = way.iter().position(|met| *met == before) {
            let ring: Vec<&str> =
                way[from..].iter().rev().map(|at| &*nodes[*at].name.value).collect();
            let last = &nodes[way[from]];
            let first = ring.first().copied().unwrap_or_default();
            let span = last.feeds.iter().find(|fed| fed.value == first).map(|fed| fed.span.clone());
            let message = format!("power goes in a circle: {} → {first}", ring.join(" → "));
            let help = "take the edge out that leads back towards the sources".to_owned();
            section.problem(
                span.unwrap_or(last.name.span.clone()),
                message,
                "leads back",
                Some(help),
            );
            return None;
        }
        way.push(before);
    }
}

/// What is allowed, but seldom meant.
fn warn(power: &Power, nodes: &[Written], racks: &[Spanned<String>], warnings: &mut Vec<Problem>) {
    let mut warning = |span: &std::ops::Range<usize>, message: String, help: &str| {
        let (span, help) = (span.clone(), Some(help.to_owned()));
        warnings.push(Problem { span, message, label: String::new(), help });
    };
    for (at, rack) in racks.iter().enumerate() {
        if power.configured(at) < 2 {
            let message = format!("rack `{rack}` has one power path only");
            let help = "two paths are independent when they share no UPS, board or PDU";
            warning(&rack.span, message, help);
        }
    }
    for node in nodes.iter().filter(|node| node.feeds.is_empty()) {
        let message = format!("`{}` feeds nothing", node.name);
        warning(&node.name.span, message, "name what hangs on it in `feeds`");
    }
}

fn zones(section: &mut Section<'_>) -> Option<Vec<Zone>> {
    let zones: Vec<Option<Zone>> = section
        .named_sections("cooling")
        .into_iter()
        .map(|(name, mut section)| {
            let units = section.checked_list("units", Id::new);
            section.unique("unit", &units);
            if units.is_empty() {
                let help = Some("add `units = [\"crac-1\"]`, its cooling units".to_owned());
                let message = format!("nothing cools the zone `{name}`");
                section.problem(name.span.clone(), message, "no units", help);
            }
            let most = units.len().max(1);
            let needs = section.ranged("needs", 1..=u16::try_from(most).unwrap_or(u16::MAX), 1);
            let needs = if section.has("needs") { usize::from(needs) } else { most.max(2) - 1 };
            let name = some_text(&name.value).map_err(|error| {
                let message = format!("the name of the zone is not valid: {error}");
                section.problem(name.span.clone(), message, "not valid", None);
            });
            let units: Vec<String> = units.into_iter().map(|unit| unit.value.to_string()).collect();
            Some(Zone { name: name.ok()?, units, needs })
        })
        .collect();
    zones.into_iter().collect()
}
