//! `collector.toml`: what is written becomes a checked [`Config`], or all that is wrong with it.

mod broker;
mod files;
mod peer;
mod receiver;
mod site;
mod topology;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hallwatch_config::{
    Bytes, Finding, Invalid, Problem, Problems, Section, Source, Spanned, Url, read,
};
use hallwatch_model::Id;
use thiserror::Error;

use crate::rules::{self, RuleSet};
use crate::topology::Plan;

pub use broker::{Broker, Login, TlsFiles};
pub use files::{Disk, Files};
pub use peer::Peer;
pub use receiver::{Alertmanager, Channel, Receiver, Webhook};
pub use site::Site;

/// The default of `listen`: nobody but this machine, until told otherwise.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8600);

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The collector's name, unique among those that hear the same agents.
    pub id: Id,
    /// The directory that everything is kept in.
    pub data: PathBuf,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Where people reach that, `http` or `https`; `None`: as it is served.
    pub external_url: Option<Url>,
    /// Where the agents are heard.
    pub broker: Broker,
    /// The sites and the agents that may speak for them. At least one.
    pub sites: Vec<Site>,
    /// What hangs on what, of the sites that say so.
    pub topologies: Vec<Plan>,
    /// What is allowed, but seldom meant.
    pub warnings: Vec<Finding>,
    /// What to alert on.
    pub rules: Rules,
    /// How alerts become notifications.
    pub notify: Notify,
    /// Who is notified.
    pub receivers: Vec<Receiver>,
    /// The other collector of a pair.
    pub peer: Option<Peer>,
    /// Which databases get a copy.
    pub sinks: Vec<Sink>,
    /// How much is kept.
    pub retention: Retention,
}

/// The rules, checked, and how often they are evaluated.
#[derive(Debug)]
pub struct Rules {
    /// Those of the files that are named, or of the library that Hallwatch ships.
    pub set: RuleSet,
    /// How often, 100 ms to 1 h.
    pub interval: Duration,
    /// The configuration that names the files, to load them again; `None` when it is no file.
    pub from: Option<PathBuf>,
}

/// How alerts are grouped and when they are sent, in Alertmanager's sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Alerts that agree in these labels are sent together.
    pub group_by: Vec<String>,
    /// How long a new group waits for more.
    pub group_wait: Duration,
    /// How long a group waits until it tells of changes.
    pub group_interval: Duration,
    /// After how long an unchanged group is told again.
    pub repeat_interval: Duration,
    /// How long after its cause an alert that was suppressed may remain until it is told of.
    pub escalate_after: Duration,
}

/// A database that gets a copy of every sample.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Its name; its place in the store's log is kept under it.
    pub name: String,
    /// What it speaks.
    pub influx: Influx,
}

/// A database that takes InfluxDB's line protocol, version 2 of its API.
#[derive(Clone)]
pub struct Influx {
    /// `http` or `https`; `/api/v2/write` is added.
    pub url: Url,
    /// The organisation.
    pub org: String,
    /// The bucket.
    pub bucket: String,
    /// The token, where the database wants one.
    pub token: Option<String>,
}

/// How much is kept; whatever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The age of samples, from 1 h.
    pub age: Duration,
    /// The age of their summaries by minutes, from 1 h.
    pub minutes: Duration,
    /// The age of their summaries by hours, from 1 h.
    pub hours: Duration,
    /// The size on disk, from 64 MiB.
    pub size: Bytes,
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It, or a rule file that it names, has mistakes. Displays as all of them.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Reads and checks the file `path`, and the files that it names.
///
/// # Errors
/// When it cannot be read, or anything in it is wrong.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    let bytes = Disk.read(path).map_err(read)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| read(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
    let base = path.parent().unwrap_or(Path::new(""));
    let mut config = parse(&Source::new(path.display().to_string(), text), base, &Disk)?;
    config.rules.from = Some(path.to_owned());
    Ok(config)
}

/// Checks `source` and the rules that it names. Paths in it are relative to `base`.
///
/// # Errors
/// When anything is wrong, all of it.
pub fn parse(source: &Source, base: &Path, files: &dyn Files) -> Result<Config, Invalid> {
    let mut named = Named::default();
    let checked = read(source, |root| check(root, &files::Base { base, files }, &mut named));
    let library: Vec<(&str, &str)> = match &named.files {
        Some(files) => files.iter().map(|(name, text)| (&**name, &**text)).collect(),
        None => rules::library::FILES.to_vec(),
    };
    let set = rules::load(&library);
    let mut strange = Problems::new(source);
    named.warnings.into_iter().for_each(|warning| strange.push(warning));
    let warnings = strange.into_result(()).err();
    let warnings = warnings.map(|all| all.problems().to_vec()).unwrap_or_default();
    match (checked, set) {
        (Ok(rest), Ok(set)) => {
            Ok(rest(Rules { set, interval: named.interval, from: None }, warnings))
        }
        (Err(invalid), Ok(_)) | (Ok(_), Err(invalid)) => Err(invalid),
        (Err(first), Err(second)) => Err(first.and(second)),
    }
}

/// What `[rules]` says, and what is strange in the rest.
struct Named {
    /// Name and text of each file. `None`: the library that Hallwatch ships.
    files: Option<Vec<(String, String)>>,
    interval: Duration,
    warnings: Vec<Problem>,
}

impl Default for Named {
    fn default() -> Self {
        Self { files: None, interval: Duration::from_secs(1), warnings: Vec::new() }
    }
}

/// Everything but the rules; with them it becomes a [`Config`].
fn check(
    root: &mut Section<'_>,
    disk: &files::Base<'_>,
    named: &mut Named,
) -> Option<impl FnOnce(Rules, Vec<Finding>) -> Config + use<>> {
    let identity = root.required_section("collector").map(identity);
    let broker = root.required_section("broker").map(|section| broker::broker(section, disk));
    let mut warnings = Vec::new();
    let sites = site::sites(root, &mut warnings);
    *named = Named { warnings, ..rule_files(root.section("rules"), disk) };
    let notify = notify(root.section("notify"));
    let receivers = receiver::receivers(root);
    let own = identity.as_ref().and_then(|identity| identity.as_ref()).map(|(id, ..)| id.clone());
    let has_peer = root.has("peer");
    let peer = root.section("peer").and_then(|peer| peer::peer(peer, own.as_ref(), disk));
    let sinks = sinks(root, disk);
    let retention = retention(root.section("retention"));
    let (id, data, listen, external_url) = identity??;
    let data = disk.base.join(data);
    let broker = broker??;
    let (sites, topologies) = sites?;
    if has_peer && peer.is_none() {
        return None;
    }
    Some(move |rules, warnings| Config {
        id,
        data,
        listen,
        external_url,
        broker,
        sites,
        topologies,
        warnings,
        rules,
        notify,
        receivers,
        peer,
        sinks,
        retention,
    })
}

type Identity = (Id, PathBuf, SocketAddr, Option<Url>);

fn identity(mut section: Section<'_>) -> Option<Identity> {
    let id = section.checked("id", Id::new);
    let data = section.required::<PathBuf>("data");
    let listen = section.or("listen", LISTEN);
    let external_url = section.url("external_url", &["http", "https"]);
    Some((id?.value, data?, listen, external_url))
}

fn rule_files(section: Option<Section<'_>>, disk: &files::Base<'_>) -> Named {
    let Named { interval, .. } = Named::default();
    let Some(mut section) = section else { return Named::default() };
    let interval = section.ranged("interval", Duration::from_millis(100)..=HOUR, interval);
    let patterns = section.optional::<Vec<Spanned<String>>>("files");
    let files = patterns.map(|patterns| {
        patterns.iter().flat_map(|pattern| disk.matching(&mut section, pattern)).collect()
    });
    Named { files, interval, warnings: Vec::new() }
}

fn notify(section: Option<Section<'_>>) -> Notify {
    let mut notify = Notify {
        group_by: vec!["site".into(), "alertname".into()],
        group_wait: Duration::from_secs(1),
        group_interval: Duration::from_secs(60),
        repeat_interval: 4 * HOUR,
        escalate_after: Duration::from_secs(30),
    };
    let Some(mut section) = section else { return notify };
    if section.has("group_by") {
        notify.group_by = section
            .checked_list("group_by", |name| label_name(name).map(str::to_owned))
            .into_iter()
            .map(|name| name.value)
            .collect();
    }
    let shortest = Duration::from_millis(100);
    notify.group_wait = section.ranged("group_wait", Duration::ZERO..=HOUR, notify.group_wait);
    notify.group_interval = section.ranged("group_interval", shortest..=DAY, notify.group_interval);
    notify.repeat_interval =
        section.ranged("repeat_interval", Duration::from_secs(60)..=YEAR, notify.repeat_interval);
    notify.escalate_after =
        section.ranged("escalate_after", Duration::ZERO..=HOUR, notify.escalate_after);
    notify
}

/// A label name, as Prometheus allows it.
fn label_name(name: &str) -> Result<&str, &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(allowed)
    {
        return Err("a label name has only letters, digits and `_`, and no digit first");
    }
    Ok(name)
}

fn sinks(root: &mut Section<'_>, disk: &files::Base<'_>) -> Vec<Sink> {
    let mut names = Vec::new();
    let mut sinks = Vec::new();
    for mut section in root.sections("sink") {
        let name = section.checked("name", |name| Id::new(name).map(|id| id.to_string()));
        let influx = section.required_section("influx").and_then(|mut section| {
            let url = section.required_url("url", &["http", "https"]);
            let org = section.or("org", "hallwatch".to_owned());
            let bucket = section.or("bucket", "hallwatch".to_owned());
            let token_file = section.optional::<Spanned<PathBuf>>("token_file");
            let token = token_file.and_then(|path| disk.secret(&mut section, &path));
            Some(Influx { url: url?, org, bucket, token })
        });
        names.extend(name.clone());
        if let (Some(name), Some(influx)) = (name, influx) {
            sinks.push(Sink { name: name.value, influx });
        }
    }
    root.unique("sink", &names);
    sinks
}

fn retention(section: Option<Section<'_>>) -> Retention {
    let (minutes, hours) = (YEAR, 10 * YEAR);
    let default = Retention { age: 30 * DAY, minutes, hours, size: Bytes(20 << 30) };
    let Some(mut section) = section else { return default };
    Retention {
        age: section.ranged("age", HOUR..=10 * YEAR, default.age),
        minutes: section.ranged("minutes", HOUR..=10 * YEAR, default.minutes),
        hours: section.ranged("hours", HOUR..=50 * YEAR, default.hours),
        size: section.ranged("size", Bytes(64 << 20)..=Bytes(1 << 50), default.size),
    }
}

/// A text that people read: not empty, one line, at most 100 characters.
fn some_text(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters");
    }
    if text.chars().count() > 100 {
        return Err("it has more than 100 characters");
    }
    Ok(text.to_owned())
}

// Secrets stay out of logs.

impl std::fmt::Debug for Influx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Influx {{ url: {:?}, org: {:?}, bucket: {:?} }}",
            self.url, self.org, self.bucket
        )
    }
}
