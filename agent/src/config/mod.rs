//! The agent's configuration: TOML to a checked [`Config`], every problem at once.
//!
//! What can be written is shown by `deploy/agent.toml`. Checking opens nothing and reads no other
//! file but the profiles of the site's own; passwords and certificates are read when the agent
//! starts.

mod broker;
mod device;
mod library;
mod line;
mod parameters;
mod sensor;
mod uplink;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_config::{Bytes, DurationOrZero, Invalid, Section, Source, Spanned, read};
use hallwatch_model::{AgentPath, Id};

pub use broker::Broker;
use library::Library;
pub use library::is_file as is_profile_file;

pub(crate) use device::label_value;
pub use device::{Device, Modbus, Place, Source as DeviceSource};
use line::Lines;
pub use line::{Endpoint, Line};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an agent has to know. Checked: devices have unique names and profiles that exist, metrics
/// are in the vocabulary, series are unique.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub path: AgentPath,
    /// The directory of its journal.
    pub data: PathBuf,
    /// Who must acknowledge each entry before it may leave the journal; at least one.
    pub collectors: Vec<Id>,
    /// The broker towards the collectors.
    pub broker: Broker,
    /// The bounds of the journal.
    pub journal: JournalBounds,
    /// The broker of the MQTT sensors, when it is another one than `broker`.
    pub sensors: Option<Broker>,
    /// The devices.
    pub devices: Vec<Device>,
}

/// How much the journal may hold. What exceeds a bound goes, oldest first, and is recorded as a
/// gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalBounds {
    /// Bytes in use in the journal's file.
    pub max_bytes: u64,
    /// Age of an entry.
    pub max_age: Duration,
    /// How long an entry stays after all collectors have acknowledged it.
    pub keep: Duration,
}

impl Default for JournalBounds {
    /// 1 GiB, seven days, and nothing is kept that is not owed.
    fn default() -> Self {
        Self { max_bytes: 1 << 30, max_age: 7 * DAY, keep: Duration::ZERO }
    }
}

impl Config {
    /// Reads and checks `source`, which names no profile of the site's own.
    ///
    /// # Errors
    /// When there is any problem, all of them.
    pub fn parse(source: &Source) -> Result<Self, Invalid> {
        Self::parse_with(source, &|_| Err(io::ErrorKind::Unsupported.into()))
    }

    /// Reads and checks `source`. `files` gives the text of a profile of the site's own, by its
    /// path as the configuration has it; it is asked once for each.
    ///
    /// # Errors
    /// When there is any problem, all of them, those of the profiles last.
    pub fn parse_with(
        source: &Source,
        files: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Invalid> {
        let mut library = Library::new(files);
        let result = read(source, |root| config(root, &mut library));
        result.map_err(|invalid| library.problems().fold(invalid, Invalid::and))
    }
}

fn config(root: &mut Section<'_>, library: &mut Library<'_>) -> Option<Config> {
    let agent = root.required_section("agent").map(|mut agent| {
        let id = agent.checked("id", Id::new);
        let tenant = agent.checked("tenant", Id::new);
        let site = agent.checked("site", Id::new);
        let data = agent.required::<PathBuf>("data");
        let collectors = collectors(&mut agent);
        let path =
            || Some(AgentPath { tenant: tenant?.value, site: site?.value, agent: id?.value });
        (path(), data, collectors)
    });
    let broker = root.required_section("broker").map(broker::broker);
    let sensors = root.section("sensors").map(broker::broker);
    let journal = root.section("journal").map_or_else(JournalBounds::default, journal);
    let mut lines = Lines::read(root);
    let devices = root.sections("device").into_iter();
    let (names, mut devices): (Vec<_>, Vec<Option<Device>>) =
        devices.map(|one| device::device(one, library, &mut lines)).unzip();
    let lines = lines.finish(root);
    for device in devices.iter_mut().flatten() {
        if let DeviceSource::Modbus(modbus) = &mut device.source
            && let Some(line) = lines.get(&modbus.line.name)
        {
            modbus.line = Arc::clone(line);
        }
    }
    let whole = devices.len();
    let names: Vec<Spanned<Id>> = names.into_iter().flatten().collect();
    root.unique("device", &names);
    if whole == 0 && !root.has("device") {
        let help = Some("add `[[device]]`, once for each".to_owned());
        root.problem(0..0, "there is no device to watch", "", help);
    }

    let (path, data, collectors) = agent?;
    let broker = broker?;
    let sensors = match sensors {
        Some(sensors) => Some(sensors?).filter(|sensors| Some(sensors) != broker.as_ref()),
        None => None,
    };
    Some(Config {
        path: path?,
        data: data?,
        collectors,
        broker: broker?,
        journal,
        sensors,
        devices: devices.into_iter().collect::<Option<_>>()?,
    })
}

fn collectors(agent: &mut Section<'_>) -> Vec<Id> {
    let written = agent.has("collectors");
    let collectors = agent.checked_list("collectors", Id::new);
    agent.unique("collector", &collectors);
    let empty = agent
        .value("collectors")
        .and_then(|value| value.elements())
        .is_some_and(|elements| elements.is_empty());
    if !written || empty {
        let help = Some("name those that must acknowledge, `collectors = [\"c-1\"]`".to_owned());
        let span = agent.value("collectors").map_or_else(|| agent.span(), |value| value.span());
        agent.problem(span, "there is no collector to deliver to", "", help);
    }
    collectors.into_iter().map(|id| id.value).collect()
}

fn journal(mut section: Section<'_>) -> JournalBounds {
    let default = JournalBounds::default();
    let bytes =
        section.ranged("max_bytes", Bytes(1 << 20)..=Bytes(1 << 40), Bytes(default.max_bytes));
    let max_age = section.ranged("max_age", HOUR..=366 * DAY, default.max_age);
    let keep = section.value("keep").map(|value| value.span());
    let kept = section.or("keep", DurationOrZero(default.keep)).0;
    if let Some(span) = keep
        && kept > max_age
    {
        section.problem(span, "`keep` must not be longer than `max_age`", "too long", None);
    }
    JournalBounds { max_bytes: bytes.0, max_age, keep: kept }
}
