//! Where the profiles of devices come from: the program, and files of the site.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use hallwatch_config::{Invalid, Section, Source, Spanned};

use crate::profile::{Profile, shipped};

/// All profiles that a configuration names, each read once.
pub(super) struct Library<'f> {
    files: &'f dyn Fn(&Path) -> io::Result<String>,
    /// By name as it is written; none for one that cannot be used.
    known: BTreeMap<String, Result<Arc<Profile>, String>>,
    problems: Vec<Invalid>,
}

impl<'f> Library<'f> {
    pub(super) fn new(files: &'f dyn Fn(&Path) -> io::Result<String>) -> Self {
        Self { files, known: BTreeMap::new(), problems: Vec::new() }
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

    /// What is wrong in the site's own files.
    pub(super) fn problems(self) -> impl Iterator<Item = Invalid> {
        self.problems.into_iter()
    }

    fn read(&mut self, path: &str) -> Result<Arc<Profile>, String> {
        let text = (self.files)(Path::new(path))
            .map_err(|error| format!("could not read the profile {path}: {error}"))?;
        match Profile::parse(path, &Source::new(path, text)) {
            Ok(profile) => Ok(Arc::new(profile)),
            Err(invalid) => {
                self.problems.push(invalid);
                Err(format!("the profile {path} has problems"))
            }
        }
    }
}

/// Whether a profile's name is that of a file: shipped ones have neither.
pub fn is_file(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "toml")
}
