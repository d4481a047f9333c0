//! `[device.mqtt]`: which topics a sensor speaks on, and what its payloads mean; or the profile
//! that knows.

use std::sync::Arc;

use hallwatch_config::{Section, Spanned};

use super::library::Library;
use crate::sensor::description::{Author, Description, topic};
use crate::sensor::{Sensor, SensorProfile};

pub(super) fn sensor(mut section: Section<'_>, library: &mut Library<'_>) -> Option<Sensor> {
    let name = section.checked_optional("profile", |text| Ok::<_, String>(text.to_owned()));
    let profile = name.as_ref().map(|name| {
        let profile = library.sensor(&mut section, name);
        model(&mut section, name, profile)
    });
    let has_profile = section.has("profile");
    let own = Description::read(&mut section, Author::Site, has_profile);
    if !has_profile {
        Description::must_tell(&mut section);
        return own?.sensor();
    }
    profile??.overridden(own?).sensor()
}

/// What the profile says of a sensor on the topic that `section` names.
fn model(
    section: &mut Section<'_>,
    name: &Spanned<String>,
    profile: Option<Arc<SensorProfile>>,
) -> Option<Description> {
    if !section.has("topic") {
        let message = format!("the profile `{}` needs `topic`", name.value);
        let help = match &profile {
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
