//! The collector's configuration: any text, and any file that it names, is refused with a message or
//! can be used.
#![no_main]

use std::io;
use std::path::Path;

use hallwatch_collector::config::{Files, parse};
use hallwatch_config::Source;
use libfuzzer_sys::fuzz_target;

/// All files that it may name.
struct Named<'a>(&'a str);

impl Files for Named<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pem") => Ok(b"-----BEGIN CERTIFICATE-----\n".into()),
            Some("yaml") => Ok(b"groups: []\n".into()),
            Some("none") => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(self.0.as_bytes().into()),
        }
    }

    fn list(&self, _directory: &Path) -> io::Result<Vec<String>> {
        Ok(vec!["a.yaml".to_owned(), self.0.to_owned()])
    }
}

fuzz_target!(|text: &str| {
    // What stands behind the last line of dashes is in the files.
    let (text, files) = text.rsplit_once("\n---\n").unwrap_or((text, "secret"));
    // Without rules of its own it would have all that are shipped, which are the same each time.
    let own = if text.contains("[rules]") { "" } else { "\n[rules]\nfiles = [\"a.yaml\"]\n" };
    let source = Source::new("collector.toml", format!("{text}{own}"));
    if let Err(invalid) = parse(&source, Path::new("/etc/hallwatch"), &Named(files)) {
        assert!(!invalid.render(false).is_empty());
    }
});
