//! Where the profiles of devices come from: the program, and files of the site.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use hallwatch_config::{Invalid, Section, Source, Spanned};

use crate::profile::{Profile, shipped};
use crate::sensor::{SensorProfile, profile as sensors};

/// All profiles that a configuration names, each read once.
pub(super) struct Library<'f> {
    files: &'f dyn Fn(&Path) -> io::Result<String>,
    /// By name as it is written; none for one that cannot be used.
    known: BTreeMap<String, Result<Arc<Profile>, String>>,
    sensors: BTreeMap<String, Result<Arc<SensorProfile>, String>>,
    problems: Vec<Invalid>,
}

impl<'f> Library<'f> {
    pub(super) fn new(files: &'f dyn Fn(&Path) -> io::Result<String>) -> Self {
        Self { files, known: BTreeMap::new(), sensors: BTreeMap::new(), problems: Vec::new() }
    }

    /// The profile `name`; what is the matter with it is told at its place in `section`.
    pub(super) fn profile(
        &mut self,
        section: &mut Section<'_>,
        name: &Spanned<String>,
    ) -> Option<Arc<Profile>> {
        let word = &name.value;
        if !self.known.contains_key(word) {
            let found = if is_file(word) {
                self.read(word)
            } else if let Some((name, text)) = shipped().iter().find(|(known, _)| known == word) {
                Profile::parse(name, &Source::new(format!("profiles/{name}.toml"), *text))
                    .map_err(|invalid| format!("the shipped profile is not valid: {invalid}"))
                    .map(Arc::new)
            } else if is_shipped(sensors::shipped(), word) {
                section.problem(
                    name.span.clone(),
                    SPEAKS,
                    "not of registers",
                    Some(AS_SENSOR.into()),
                );
                return None;
            } else {
                section.no_such("profile", name, shipped().iter().map(|(known, _)| *known));
                return None;
            };
            self.known.insert(word.clone(), found);
        }
        match self.known.get(word)? {
            Ok(profile) => Some(Arc::clone(profile)),
            Err(message) => {
                section.problem(name.span.clone(), message.clone(), "", None);
                None
            }
        }
    }

    /// The same for the profile of an MQTT sensor.
    pub(super) fn sensor(
        &mut self,
        section: &mut Section<'_>,
        name: &Spanned<String>,
    ) -> Option<Arc<SensorProfile>> {
        let word = &name.value;
        if !self.sensors.contains_key(word) {
            let found = if is_file(word) {
                self.read_sensor(word)
            } else if let Some(found) = SensorProfile::named(word) {
                found
                    .map_err(|invalid| format!("the shipped profile is not valid: {invalid}"))
                    .map(Arc::new)
            } else if is_shipped(shipped(), word) {
                section.problem(
                    name.span.clone(),
                    IS_ASKED,
                    "not of a sensor",
                    Some(AS_MODBUS.into()),
                );
                return None;
            } else {
                section.no_such(
                    "profile",
                    name,
                    sensors::shipped().iter().map(|(known, _)| *known),
                );
                return None;
            };
            self.sensors.insert(word.clone(), found);
        }
        match self.sensors.get(word)? {
            Ok(profile) => Some(Arc::clone(profile)),
            Err(message) => {
                section.problem(name.span.clone(), message.clone(), "", None);
                None
            }
        }
    }

    /// What is wrong in the site's own files.
    pub(super) fn problems(self) -> impl Iterator<Item = Invalid> {
        self.problems.into_iter()
    }

    fn read(&mut self, path: &str) -> Result<Arc<Profile>, String> {
        let text = self.text(path)?;
        if SensorProfile::is_one(&text) {
            return Err(format!("{SPEAKS}: {AS_SENSOR}"));
        }
        let read = Profile::parse(path, &text);
        self.kept(path, read)
    }

    fn read_sensor(&mut self, path: &str) -> Result<Arc<SensorProfile>, String> {
        let text = self.text(path)?;
        if Profile::is_one(&text) {
            return Err(format!("{IS_ASKED}: {AS_MODBUS}"));
        }
        let read = SensorProfile::parse(path, &text);
        self.kept(path, read)
    }

    fn text(&self, path: &str) -> Result<Source, String> {
        let text = (self.files)(Path::new(path))
            .map_err(|error| format!("could not read the profile {path}: {error}"))?;
        Ok(Source::new(path, text))
    }

    fn kept<T>(&mut self, path: &str, read: Result<T, Invalid>) -> Result<Arc<T>, String> {
        read.map(Arc::new).map_err(|invalid| {
            self.problems.push(invalid);
            format!("the profile {path} has problems")
        })
    }
}

const SPEAKS: &str = "this is the profile of an MQTT sensor";
const AS_SENSOR: &str = "write it into `mqtt = { topic = \"…\", profile = \"…\" }`";
const IS_ASKED: &str = "this is the profile of a Modbus device";
const AS_MODBUS: &str = "write it into `modbus_tcp = { address = \"…\", profile = \"…\" }`";

fn is_shipped(shipped: &[(&str, &str)], name: &str) -> bool {
    shipped.iter().any(|(known, _)| *known == name)
}

/// Whether a profile's name is that of a file: shipped ones have neither.
pub fn is_file(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "toml")
}
