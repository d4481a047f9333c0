//! What was found out about devices, kept over a restart: `findings.json` in the data directory.
//!
//! Nothing depends on it but time: without it all is found again. So a file that cannot be read is
//! set aside, and one that cannot be written is only logged. To have everything tried anew, remove
//! the file while the agent is stopped.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hallwatch_modbus::holes::{ILLEGAL_ADDRESS, Refusal, Refused};
use hallwatch_modbus::sunspec::{Chain, Model};
use hallwatch_modbus::{Hole, Table};
use serde_json::{Value as Json, json};

use crate::config::Modbus;
use crate::poll::Known;

const NAME: &str = "findings.json";
/// Thousands of devices are fewer; a longer file is damaged.
const MAX_BYTES: u64 = 64 << 20;
const VERSION: u64 = 1;

/// Which device: what was found holds for a unit at an address, read by a profile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    address: String,
    unit: u8,
    profile: String,
    /// Of the profile.
    fingerprint: String,
}

impl Key {
    pub(crate) fn of(modbus: &Modbus) -> Self {
        Self {
            address: modbus.line.endpoint.to_string(),
            unit: modbus.unit,
            profile: modbus.profile.name.clone(),
            fingerprint: format!("{:016x}", modbus.profile.fingerprint()),
        }
    }

    /// What was found with another state of the profile is of no use any more.
    fn replaces(&self, other: &Self) -> bool {
        (&self.address, self.unit, &self.profile) == (&other.address, other.unit, &other.profile)
    }
}

/// All findings, shared by the lines.
#[derive(Clone, Debug)]
pub(crate) struct Findings(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    devices: BTreeMap<Key, Known>,
}

impl Findings {
    /// Reads what is kept in `directory`.
    pub(crate) fn open(directory: &Path) -> Self {
        let path = directory.join(NAME);
        let devices = match read(&path) {
            Ok(text) => parse(&text).unwrap_or_else(|| {
                set_aside(&path);
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "could not read what was found out about devices");
                BTreeMap::new()
            }
        };
        Self(Arc::new(Mutex::new(Kept { path, devices })))
    }

    /// What is known of a device.
    pub(crate) fn of(&self, key: &Key) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).devices.get(key).cloned()
    }

    /// Keeps what is known of a device; the file is written by another thread.
    pub(crate) fn keep(&self, key: Key, known: Known) {
        let kept = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.devices.retain(|other, _| !key.replaces(other));
            if known != Known::default() {
                kept.devices.insert(key, known);
            }
            if let Err(error) = write(&kept.path, &kept.devices) {
                let path = kept.path.display();
                tracing::warn!(%path, %error, "could not keep what was found out about a device");
            }
        });
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Beside the old file and then in its place: half a file is never seen.
fn write(path: &Path, devices: &BTreeMap<Key, Known>) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(text(devices).as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// Renames the file to the first free number.
fn set_aside(path: &Path) {
    let mut all = (1u32..).map(|number| path.with_extension(format!("json.damaged-{number}")));
    let Some(aside) = all.find(|aside| !aside.exists()) else { return };
    let result = fs::rename(path, &aside);
    let (path, aside) = (path.display(), aside.display());
    match result {
        Ok(()) => tracing::error!(%path, %aside, "what was found out about devices is damaged"),
        Err(error) => tracing::error!(%path, %error, "could not set a damaged file aside"),
    }
}

const TABLES: [(&str, Table); 4] = [
    ("coil", Table::Coils),
    ("discrete", Table::DiscreteInputs),
    ("holding", Table::HoldingRegisters),
    ("input", Table::InputRegisters),
];

fn word(table: Table) -> &'static str {
    TABLES.iter().find(|(_, known)| *known == table).map_or("", |(word, _)| word)
}

fn text(devices: &BTreeMap<Key, Known>) -> String {
    let devices = devices.iter().map(|(key, known)| {
        let forbidden = known.refused.forbidden.iter();
        let barriers = known.refused.barriers.iter();
        let chain = known.chain.as_ref().map(|chain| {
            let models = chain.models.iter();
            let models = models.map(|model| json!([model.id, model.address, model.length]));
            json!({ "table": word(chain.table), "models": models.collect::<Vec<_>>() })
        });
        json!({
            "address": key.address,
            "unit": key.unit,
            "profile": key.profile,
            "fingerprint": key.fingerprint,
            "identity": known.identity,
            "forbidden": forbidden
                .map(|Refusal { hole, code }| json!([word(hole.table), hole.first, hole.last, code]))
                .collect::<Vec<_>>(),
            "barriers": barriers.map(|(table, at)| json!([word(*table), at])).collect::<Vec<_>>(),
            "chain": chain,
        })
    });
    let all = json!({ "version": VERSION, "devices": devices.collect::<Vec<_>>() });
    format!("{all:#}\n")
}

/// None when it is damaged.
fn parse(bytes: &[u8]) -> Option<BTreeMap<Key, Known>> {
    let all: Json = serde_json::from_slice(bytes).ok()?;
    if all.get("version")?.as_u64()? != VERSION {
        return None;
    }
    all.get("devices")?.as_array()?.iter().map(device).collect()
}

fn device(json: &Json) -> Option<(Key, Known)> {
    let text = |key: &str| Some(json.get(key)?.as_str()?.to_owned());
    let key = Key {
        address: text("address")?,
        unit: json.get("unit")?.as_u64()?.try_into().ok()?,
        profile: text("profile")?,
        fingerprint: text("fingerprint")?,
    };
    let list = |key: &str| json.get(key)?.as_array();
    let barriers = list("barriers")?.iter().map(|barrier| {
        let [table, at] = barrier.as_array()?.as_slice() else { return None };
        Some((table_of(table)?, number(at)?))
    });
    let refused = Refused {
        forbidden: list("forbidden")?.iter().map(refusal).collect::<Option<_>>()?,
        barriers: barriers.collect::<Option<_>>()?,
    };
    let identity = match json.get("identity")? {
        Json::Null => None,
        parts => Some(parts.as_array()?.iter().map(part).collect::<Option<_>>()?),
    };
    let chain = match json.get("chain")? {
        Json::Null => None,
        chain => {
            let models = chain.get("models")?.as_array()?.iter().map(|model| {
                let [id, address, length] = model.as_array()?.as_slice() else { return None };
                Some(Model { id: number(id)?, address: number(address)?, length: number(length)? })
            });
            let models = models.collect::<Option<_>>()?;
            Some(Chain { table: table_of(chain.get("table")?)?, models })
        }
    };
    Some((key, Known { identity, refused, chain }))
}

fn refusal(json: &Json) -> Option<Refusal> {
    let (table, first, last, code) = match json.as_array()?.as_slice() {
        [table, first, last, code] => (table, first, last, number(code)?.try_into().ok()?),
        // As kept before the code was.
        [table, first, last] => (table, first, last, ILLEGAL_ADDRESS),
        _ => return None,
    };
    let hole = Hole { table: table_of(table)?, first: number(first)?, last: number(last)? };
    (hole.first <= hole.last).then_some(Refusal { hole, code })
}

fn part(json: &Json) -> Option<(String, String)> {
    let [what, text] = json.as_array()?.as_slice() else { return None };
    Some((what.as_str()?.to_owned(), text.as_str()?.to_owned()))
}

fn number(json: &Json) -> Option<u16> {
    json.as_u64()?.try_into().ok()
}

fn table_of(json: &Json) -> Option<Table> {
    let word = json.as_str()?;
    TABLES.iter().find(|(known, _)| *known == word).map(|(_, table)| *table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(unit: u8, fingerprint: &str) -> Key {
        let (address, profile) = ("10.0.0.5:502".to_owned(), "meter".to_owned());
        Key { address, unit, profile, fingerprint: fingerprint.to_owned() }
    }

    fn known() -> Known {
        let table = Table::HoldingRegisters;
        Known {
            identity: Some(vec![("serial".to_owned(), "4711".to_owned())]),
            refused: Refused {
                forbidden: vec![Refusal {
                    hole: Hole { table: Table::InputRegisters, first: 3, last: 7 },
                    code: 3,
                }],
                barriers: vec![(Table::Coils, 65_535)],
            },
            chain: Some(Chain { table, models: vec![Model { id: 1, address: 2, length: 66 }] }),
        }
    }

    #[test]
    fn a_refusal_without_its_code_is_one_by_exception_2() {
        let read = |text: &str| refusal(&serde_json::from_str(text).unwrap());
        let hole = Hole { table: Table::InputRegisters, first: 3, last: 7 };
        assert_eq!(read(r#"["input", 3, 7, 3]"#), Some(Refusal { hole, code: 3 }));
        assert_eq!(read(r#"["input", 3, 7]"#), Some(Refusal { hole, code: 2 }));
        for wrong in [r#"["input", 3, 7, 256]"#, r#"["input", 7, 3, 2]"#, r#"["input", 3]"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    /// What is kept after that, as another start sees it.
    async fn kept(directory: &Path, findings: Findings, key: Key, known: Known) -> Findings {
        findings.keep(key, known);
        // The last handle is given back when the file is written.
        while Arc::strong_count(&findings.0) > 1 {
            tokio::task::yield_now().await;
        }
        Findings::open(directory)
    }

    #[tokio::test]
    async fn findings_outlive_the_process_and_not_the_profile() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        let findings = Findings::open(here);
        assert_eq!(findings.of(&key(1, "a")), None);
        let findings = kept(here, findings, key(1, "a"), known()).await;
        let findings = kept(here, findings, key(2, "a"), Known { chain: None, ..known() }).await;
        assert_eq!(findings.of(&key(1, "a")), Some(known()));
        assert_eq!(findings.of(&key(2, "a")), Some(Known { chain: None, ..known() }));
        // A profile that reads from elsewhere; nothing is known is nothing kept.
        assert_eq!(findings.of(&key(1, "b")), None);
        let findings = kept(here, findings, key(2, "b"), Known::default()).await;
        assert_eq!((findings.of(&key(2, "a")), findings.of(&key(2, "b"))), (None, None));
        assert_eq!(findings.of(&key(1, "a")), Some(known()));
    }

    #[tokio::test]
    async fn a_damaged_file_is_set_aside_and_all_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let (here, path) = (directory.path(), directory.path().join(NAME));
        let good = text(&[(key(1, "a"), known())].into());
        let half = &good[..good.len() / 2];
        let wrong = good.replace("\"unit\": 1", "\"unit\": 256");
        let newer = good.replace("\"version\": 1", "\"version\": 2");
        let damaged = [half, "", "[]", &wrong, &newer, "\u{0}\u{0}"];
        for (text, number) in damaged.into_iter().zip(1..) {
            fs::write(&path, text).unwrap();
            let findings = Findings::open(here);
            assert_eq!(findings.of(&key(1, "a")), None, "{text}");
            let aside = path.with_extension(format!("json.damaged-{number}"));
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
            assert!(!path.exists());
        }
        let findings = kept(here, Findings::open(here), key(1, "a"), known()).await;
        assert_eq!(findings.of(&key(1, "a")), Some(known()));
    }
}
