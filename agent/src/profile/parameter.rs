//! Numbers that the installation decides and the register map cannot: a transformer's ratio, the
//! unit that a controller is set to.

use std::fmt;

use hallwatch_config::Section;

/// A number that a site may set, or has to.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is where the site says nothing; none when the site has to say.
    pub default: Option<f64>,
    /// What it can be.
    pub allowed: Allowed,
    /// What it means, in a sentence.
    pub help: String,
}

/// What a parameter can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Allowed {
    /// One of these.
    Values(Vec<f64>),
    /// A number in this range.
    Range {
        /// The least.
        min: f64,
        /// The largest.
        max: f64,
    },
}

impl Allowed {
    /// Whether it can be this.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        match self {
            Self::Values(values) => values.contains(&value),
            Self::Range { min, max } => (*min..=*max).contains(&value),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(values) => {
                let words: Vec<String> = values.iter().map(f64::to_string).collect();
                write!(f, "one of {}", words.join(", "))
            }
            Self::Range { min, max } => write!(f, "from {min} to {max}"),
        }
    }
}

/// The parameters of a profile, by name.
pub(super) fn parameters(root: &mut Section<'_>) -> Vec<Parameter> {
    let sections = root.named_sections("parameters");
    let mut all: Vec<Parameter> =
        sections.into_iter().map(|(name, section)| parameter(name.value, section)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A parameter that is named also when it is wrong, so that it is not unknown, too.
fn parameter(name: String, mut section: Section<'_>) -> Parameter {
    let default: Option<f64> = section.optional("default");
    let is_required = section.or("required", false);
    let values: Option<Vec<f64>> = section.optional("values");
    let (min, max): (Option<f64>, Option<f64>) = (section.optional("min"), section.optional("max"));
    let help = section.required::<String>("help");
    let span = section.span();
    if default.is_some() == is_required {
        let help = "`default = 1`, or `required = true` when nothing can be taken for granted";
        let message = format!("`{name}` has either a default or is required");
        section.problem(span.clone(), message, "", Some(help.to_owned()));
    }
    let allowed = match (values, min, max) {
        (Some(values), None, None) if !values.is_empty() => Allowed::Values(values),
        (None, Some(min), Some(max)) if min <= max => Allowed::Range { min, max },
        _ => {
            let help = "`values = [0, 1]`, or `min` and `max`";
            let message = format!("nothing says what `{name}` can be");
            section.problem(span, message, "", Some(help.to_owned()));
            Allowed::Range { min: f64::NEG_INFINITY, max: f64::INFINITY }
        }
    };
    if let Some(default) = default.filter(|default| !allowed.contains(*default)) {
        let span = section.value("default").map_or(0..0, |value| value.span());
        section.problem(span, format!("{default} is not {allowed}"), "not allowed", None);
    }
    Parameter { name, default, allowed, help: help.unwrap_or_default() }
}
