//! `parameters = { ct_ratio = 40 }`: what a profile leaves to the installation.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use hallwatch_config::{FromValue, Section};

use crate::profile::{Parameter, Placement, Profile};

/// `profile` with the parameters in `section`; `named` is where the profile's name stands.
pub(super) fn with_parameters(
    section: &mut Section<'_>,
    profile: Arc<Profile>,
    named: Range<usize>,
) -> Option<Arc<Profile>> {
    let known = profile.parameters();
    let mut set = BTreeMap::new();
    let mut is_right = true;
    let given = section.value("parameters").map(|value| value.entries());
    let written = given.as_ref().is_some_and(Option::is_some);
    is_right &= given.is_none() || written;
    for (name, value) in given.flatten().into_iter().flatten() {
        let Some(parameter) = known.iter().find(|known| known.name == name.value) else {
            if known.is_empty() {
                let message = format!("the profile `{}` has no parameters", profile.name);
                section.problem(name.span, message, "not known", None);
            } else {
                section.no_such("parameter", &name, known.iter().map(|known| known.name.as_str()));
            }
            is_right = false;
            continue;
        };
        // One that is there and wrong is not missing, too.
        set.insert(name.value.clone(), f64::NAN);
        let Some(number) = f64::from_value(&value) else {
            is_right = false;
            continue;
        };
        if parameter.allowed.contains(number) {
            set.insert(name.value, number);
        } else {
            let message = format!("`{}` cannot be {number}", parameter.name);
            section.problem(value.span(), message, "not allowed", Some(meaning(parameter)));
            is_right = false;
        }
    }
    for parameter in known {
        if parameter.default.is_none() && !set.contains_key(&parameter.name) {
            let name = &parameter.name;
            let message = format!("the profile `{}` needs the parameter `{name}`", profile.name);
            let help = format!("add `parameters = {{ {name} = … }}`; {}", meaning(parameter));
            section.problem(named.clone(), message, "not without it", Some(help));
            is_right = false;
        }
    }
    if !is_right {
        return None;
    }
    if set.is_empty() {
        return Some(profile);
    }
    let placement = Placement { parameters: set, ..Placement::default() };
    match profile.placed(&placement) {
        Ok(placed) => Some(Arc::new(placed)),
        Err(error) => {
            section.problem(named, error.to_string(), "", None);
            None
        }
    }
}

fn meaning(parameter: &Parameter) -> String {
    format!("`{}` is {}: {}", parameter.name, parameter.allowed, parameter.help)
}
