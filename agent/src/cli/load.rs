//! Reading the files that a tool is told.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hallwatch_agent::Config;
use hallwatch_agent::config::is_profile_file;
use hallwatch_agent::profile::{Profile, shipped};
use hallwatch_agent::sensor::SensorProfile;
use hallwatch_config::{Invalid, MAX_SOURCE_BYTES, Source, suggest};
use serde_json::{Value as Json, json};

use super::Failed;
use super::screen::{Screen, is_coloured};

/// The whole of a text file of a sensible size.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = u64::try_from(MAX_SOURCE_BYTES).unwrap_or(u64::MAX);
    // One more than is taken, so that what is too long is noticed.
    File::open(path)?.take(most.saturating_add(1)).read_to_string(&mut text)?;
    Ok(text)
}

fn text(path: &Path, what: &str) -> Result<String, Failed> {
    read_text(path).map_err(|error| {
        Failed::no_input(format!("could not read {what} {}: {error}", path.display()))
    })
}

/// The configuration at `path`, checked, with the profiles of the site's own that it names: their
/// paths count from its directory.
pub(crate) fn config(path: &Path, json: bool) -> Result<Config, Failed> {
    let text = text(path, "the configuration")?;
    parse(path, text).map_err(|invalid| refuse(&invalid, json))
}

/// The same for a text that would stand at `path`.
pub(crate) fn parse(path: &Path, text: String) -> Result<Config, Invalid> {
    let directory = path.parent().map(Path::to_owned).unwrap_or_default();
    Config::parse_with(&Source::new(path.display().to_string(), text), &|profile| {
        read_text(&directory.join(profile))
    })
}

/// The profile `name`: a shipped one, or a file.
pub(crate) fn profile(name: &str, json: bool) -> Result<Arc<Profile>, Failed> {
    if is_profile_file(name) {
        let path = PathBuf::from(name);
        let source = Source::new(name, text(&path, "the profile")?);
        if SensorProfile::is_one(&source) {
            return Err(not_registers(name));
        }
        return Profile::parse(name, &source)
            .map(Arc::new)
            .map_err(|invalid| refuse(&invalid, json));
    }
    match Profile::named(name) {
        Some(Ok(profile)) => Ok(Arc::new(profile)),
        Some(Err(invalid)) => Err(refuse(&invalid, json)),
        None if SensorProfile::named(name).is_some() => Err(not_registers(name)),
        None => {
            let known: Vec<&str> = shipped().iter().map(|(name, _)| *name).collect();
            Err(no_such(name, &known))
        }
    }
}

/// The profile `name` when it is that of an MQTT sensor: a shipped one, or a file.
pub(crate) fn sensor_profile(name: &str, json: bool) -> Result<Option<SensorProfile>, Failed> {
    let found = if is_profile_file(name) {
        let source = Source::new(name, text(Path::new(name), "the profile")?);
        SensorProfile::is_one(&source).then(|| SensorProfile::parse(name, &source))
    } else {
        SensorProfile::named(name)
    };
    found.transpose().map_err(|invalid| refuse(&invalid, json))
}

/// There is no profile `name` among `known`.
pub(crate) fn no_such(name: &str, known: &[&str]) -> Failed {
    let help = suggest::help(name, "profiles", known);
    let help = format!("{help}; a file is told by its path, such as ./{name}.toml");
    Failed::usage(format!("there is no profile `{name}`")).hint(help)
}

fn not_registers(name: &str) -> Failed {
    Failed::usage(format!("the profile `{name}` is one of MQTT sensors, it has no registers"))
        .hint("`profile show` says what it makes of messages")
}

/// Tells every mistake of a file.
pub(crate) fn refuse(invalid: &Invalid, json: bool) -> Failed {
    if json {
        Screen::new(true).print_json(&problems(invalid));
        Failed::told(super::CONFIGURATION)
    } else {
        let colours = is_coloured(&io::stderr());
        Failed::text(super::CONFIGURATION, invalid.render(colours))
    }
}

fn problems(invalid: &Invalid) -> Json {
    let problems = invalid.problems().iter().map(|found| {
        json!({
            "file": found.file,
            "line": found.line,
            "column": found.column,
            "message": found.message,
            "label": found.label,
            "help": found.help,
        })
    });
    let problems: Vec<Json> = problems.collect();
    json!({ "ok": false, "problems": problems, "left_out": invalid.left_out() })
}
