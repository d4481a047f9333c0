//! `[device.mqtt]`: which topics a sensor speaks on, and what its payloads mean; or the profile
//! that knows.

use hallwatch_config::{Section, Spanned};

use super::library::Library;
use crate::sensor::description::{Author, Description, topic};
use crate::sensor::{Sensor, SensorProfile};

pub(super) fn sensor(mut section: Section<'_>, library: &mut Library<'_>) -> Option<Sensor> {
    let name = section.checked_optional("profile", |text| Ok::<_, String>(text.to_owned()));
    let profile = name.as_ref().and_then(|name| library.sensor(&mut section, name));
    let model = name.as_ref().map(|name| model(&mut section, name, profile.as_deref()));
    let has_profile = section.has("profile");
    let own = Description::read(&mut section, Author::Site, has_profile);
    if !has_profile {
        Description::must_tell(&mut section);
        return whole(&mut section, own?);
    }
    let unverified = profile.filter(|profile| profile.is_unverified());
    let unverified = unverified.map(|profile| profile.name.clone());
    Some(Sensor { unverified, ..whole(&mut section, model??.overridden(own?))? })
}

/// The sensor, when it is known which messages are its own.
fn whole(section: &mut Section<'_>, description: Description) -> Option<Sensor> {
    let problem = match (&description.only.path, &description.only.is) {
        (Some(path), None) => Some((
            format!("`only` has no `is`: what each message of this device says at `{path}`"),
            "add `only = { is = \"…\" }`",
        )),
        (None, Some(_)) => Some((
            "`only` has no `path`: where that stands in a message".to_owned(),
            "add it, `only = { path = \"…\", is = \"…\" }`",
        )),
        _ => None,
    };
    let Some((message, help)) = problem else { return description.sensor() };
    let span = section.value("only").map_or_else(|| section.span(), |value| value.span());
    section.problem(span, message, "", Some(help.to_owned()));
    None
}

/// What the profile says of a sensor on the topic that `section` names.
fn model(
    section: &mut Section<'_>,
    name: &Spanned<String>,
    profile: Option<&SensorProfile>,
) -> Option<Description> {
    if !section.has("topic") {
        let message = format!("the profile `{}` needs `topic`", name.value);
        let help = match profile {
            Some(profile) => format!("add `topic = \"…\"`; it listens to `{}`", profile.topic()),
            None => "add `topic = \"…\"`".to_owned(),
        };
        section.problem(name.span.clone(), message, "not without it", Some(help));
        return None;
    }
    let value = section.value("topic")?;
    // What is wrong with the text itself is told where it is read.
    let text = value.as_str().filter(|text| topic(text).is_ok())?;
    let placed = profile?.description().placed(text);
    placed
        .map_err(|problem| {
            let message =
                format!("a topic of the profile `{}` cannot be used: {problem}", name.value);
            section.problem(value.span(), message, "with this in it", None);
        })
        .ok()
}
