//! The files that a configuration names. They are read with it, so that what is wrong with them is
//! known before anything starts.

use std::io;
use std::path::{Path, PathBuf};

use hallwatch_config::{Section, Spanned, TlsPaths};

use super::broker::TlsFiles;

/// The largest certificate, key, secret or rule file, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Where files are read from.
pub trait Files {
    /// The whole file.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than any honest one.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
}

/// The real ones.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let size = std::fs::metadata(path)?.len();
        if size > MAX_FILE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has {size} bytes, at most {MAX_FILE_BYTES} are read"),
            ));
        }
        std::fs::read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }
}

/// Files relative to the directory of the configuration.
pub(super) struct Base<'a> {
    pub(super) base: &'a Path,
    pub(super) files: &'a dyn Files,
}

impl Base<'_> {
    /// Where the files of a TLS connection are, when authorities are named and all is there.
    pub(super) fn tls(&self, section: &mut Section<'_>, paths: &TlsPaths) -> Option<TlsFiles> {
        let mut pem = |path: &Option<Spanned<PathBuf>>| self.pem(section, path.as_ref()?);
        let (ca, certificate, key) = (pem(&paths.ca), pem(&paths.certificate), pem(&paths.key));
        ca.map(|ca| TlsFiles { ca, client: certificate.zip(key) })
    }

    /// Where a file of certificates or a key is, when it is one.
    fn pem(&self, section: &mut Section<'_>, path: &Spanned<PathBuf>) -> Option<PathBuf> {
        let bytes = self.read(section, path)?;
        if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
            section.problem(
                path.span.clone(),
                format!("`{}` is not a PEM file", path.display()),
                "not PEM",
                Some("a PEM file has a line `-----BEGIN …-----`".into()),
            );
            return None;
        }
        Some(self.base.join(&path.value))
    }

    /// A file that holds nothing but a secret, on one line.
    pub(super) fn secret(
        &self,
        section: &mut Section<'_>,
        path: &Spanned<PathBuf>,
    ) -> Option<String> {
        let bytes = self.read(section, path)?;
        let text = String::from_utf8(bytes).unwrap_or_default();
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || secret.chars().any(char::is_control) {
            section.problem(
                path.span.clone(),
                format!("`{}` does not hold one line of text", path.display()),
                "no secret",
                Some("write the secret, and nothing else, into the file".into()),
            );
            return None;
        }
        Some(secret.to_owned())
    }

    /// Name and text of each file that `pattern` names: a path whose last part may have `*` in it.
    pub(super) fn matching(
        &self,
        section: &mut Section<'_>,
        pattern: &Spanned<String>,
    ) -> Vec<(String, String)> {
        let path = Path::new(&pattern.value);
        let last = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut paths = vec![path.to_owned()];
        if last.contains('*') {
            let parent = path.parent().unwrap_or(Path::new(""));
            let listed = match self.files.list(&self.base.join(parent)) {
                Ok(names) => names,
                Err(error) => {
                    unreadable(section, pattern.span.clone(), parent, &error);
                    return Vec::new();
                }
            };
            let mut names: Vec<String> =
                listed.into_iter().filter(|name| matches_pattern(last, name)).collect();
            names.sort();
            if names.is_empty() {
                section.problem(
                    pattern.span.clone(),
                    format!("no file matches `{}`", pattern.value),
                    "nothing there",
                    Some(format!("looked in `{}`", self.base.join(parent).display())),
                );
            }
            paths = names.into_iter().map(|name| parent.join(name)).collect();
        }
        let mut read = Vec::new();
        for path in paths {
            let path = Spanned { value: path, span: pattern.span.clone() };
            let Some(bytes) = self.read(section, &path) else { continue };
            match String::from_utf8(bytes) {
                Ok(text) => read.push((path.value.display().to_string(), text)),
                Err(_) => section.problem(
                    path.span.clone(),
                    format!("`{}` is not UTF-8 text", path.display()),
                    "not text",
                    None,
                ),
            }
        }
        read
    }

    fn read(&self, section: &mut Section<'_>, path: &Spanned<PathBuf>) -> Option<Vec<u8>> {
        match self.files.read(&self.base.join(&path.value)) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                unreadable(section, path.span.clone(), &path.value, &error);
                None
            }
        }
    }
}

fn unreadable(
    section: &mut Section<'_>,
    span: std::ops::Range<usize>,
    path: &Path,
    error: &io::Error,
) {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "paths are relative to this file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "the collector's user must be able to read it".to_owned()
        }
        _ => error.to_string(),
    };
    let label = match error.kind() {
        io::ErrorKind::NotFound => "not found",
        io::ErrorKind::PermissionDenied => "not allowed",
        _ => "not readable",
    };
    section.problem(span, format!("cannot read `{}`", path.display()), label, Some(help));
}

/// Whether `name` is what `pattern` says; `*` stands for any text.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("*.yaml", "power.yaml", true),
            ("*.yaml", "power.yml", false),
            ("*", "x", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("a*", "b", false),
            ("power.yaml", "power.yaml", true),
            ("power.yaml", "power.yaml2", false),
            ("a*a", "a", false),
        ];
        for (pattern, name, wanted) in cases {
            assert_eq!(matches_pattern(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
