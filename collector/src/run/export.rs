//! One task per sink: from the store's log to a database, by cursor, for ever.

use std::path::PathBuf;
use std::time::Duration;

use hallwatch_model::{Timestamp, chain};
use tokio::sync::{mpsc, oneshot};

use super::health::Board;
use super::writer::Job;
use crate::clock;
use crate::sink::influx::{Rejected, Writer, pause};
use crate::sink::{Lines, Nameless, encode};
use crate::store::{Logged, Reader};
use crate::telemetry::Telemetry;

/// Entries of the log that are read at once. An entry is a batch of a second or so.
const ENTRIES: usize = 200;
/// How often an exporter that is done looks for more.
const LOOK: Duration = Duration::from_millis(500);
/// The file of refused lines does not grow beyond this.
const MAX_DEAD_BYTES: u64 = 16 << 20;

/// What a task needs.
pub(super) struct Export {
    pub(super) name: String,
    pub(super) writer: Writer,
    pub(super) reader: Reader,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) board: Board,
    pub(super) telemetry: Telemetry,
    /// Where lines go that the database will not have.
    pub(super) dead_letters: PathBuf,
}

/// What a database was found not to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taste {
    /// No such finding.
    Unknown,
    /// It refused a line without a measurement.
    NothingNameless,
}

impl Export {
    /// Runs until it is dropped, or the store is gone.
    pub(super) async fn run(self) {
        let part = format!("sink {}", self.name);
        self.board.set(&part, true, "starting");
        let (reply, cursor) = oneshot::channel();
        let exporter = format!("influx/{}", self.name);
        if self.jobs.send(Job::Cursor(exporter.clone(), reply)).await.is_err() {
            return;
        }
        let Ok(mut after) = cursor.await else { return };
        let mut nameless = Nameless::Write;
        loop {
            let entries = match self.entries(after).await {
                Ok(entries) => entries,
                Err(text) => {
                    self.board.set(&part, false, text);
                    tokio::time::sleep(pause(7)).await;
                    continue;
                }
            };
            let Some(last) = entries.last().map(|entry| entry.position) else {
                self.lag(None);
                self.board.set(&part, true, "up to date");
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let oldest = entries.first().map(|entry| entry.received);
            let lines = encode(entries.iter().flat_map(|entry| &entry.samples), nameless);
            if self.write(&part, &lines, oldest).await == Taste::NothingNameless {
                // One refusal is enough: each costs a dozen requests.
                nameless = Nameless::LeaveOut;
            }
            let (reply, kept) = oneshot::channel();
            let job = Job::SetCursor(exporter.clone(), last, reply);
            if self.jobs.send(job).await.is_err() || kept.await.is_err() {
                return;
            }
            after = last;
        }
    }

    async fn entries(&self, after: u64) -> Result<Vec<Logged>, String> {
        let reader = self.reader.clone();
        match tokio::task::spawn_blocking(move || reader.log(after, ENTRIES)).await {
            Ok(Ok(entries)) => Ok(entries),
            Ok(Err(error)) => Err(chain(&error)),
            Err(error) => Err(chain(&error)),
        }
    }

    /// Writes all lines, however long that takes, and says what it learnt of the database.
    async fn write(&self, part: &str, lines: &Lines, oldest: Option<Timestamp>) -> Taste {
        let mut taste = Taste::Unknown;
        let name = self.name.as_str();
        let mut from = 0;
        let mut attempt = 0;
        loop {
            let mut rejected = Vec::new();
            let result = self.writer.write(lines, from, &mut rejected).await;
            if rejected.iter().any(|rejected| rejected.line.starts_with([',', ' '])) {
                taste = Taste::NothingNameless;
            }
            if !rejected.is_empty() {
                self.set_aside(rejected).await;
            }
            match result {
                Ok(()) => {
                    let written = u64::try_from(lines.len() - from).unwrap_or(u64::MAX);
                    self.telemetry.sink_lines.with_label_values(&[name]).inc_by(written);
                    return taste;
                }
                Err((reached, error)) => {
                    let written = u64::try_from(reached - from).unwrap_or(u64::MAX);
                    self.telemetry.sink_lines.with_label_values(&[name]).inc_by(written);
                    self.telemetry.sink_retries.with_label_values(&[name]).inc();
                    if reached > from {
                        attempt = 0;
                    }
                    from = reached;
                    self.lag(oldest);
                    self.board.set(part, false, chain(&error));
                    tokio::time::sleep(pause(attempt)).await;
                    attempt = attempt.saturating_add(1);
                }
            }
        }
    }

    fn lag(&self, oldest: Option<Timestamp>) {
        let lag = oldest.map_or(0.0, |oldest| clock::now().since(oldest).as_secs_f64());
        self.telemetry.sink_lag_seconds.with_label_values(&[&*self.name]).set(lag);
    }

    /// Lines that the database will not have are kept apart, as long as there is room for them.
    async fn set_aside(&self, rejected: Vec<Rejected>) {
        let count = u64::try_from(rejected.len()).unwrap_or(u64::MAX);
        let name = &self.name;
        self.telemetry.sink_refused.with_label_values(&[&**name]).inc_by(count);
        if let Some(Rejected { line, answer }) = rejected.first() {
            tracing::warn!(sink = name, count, line, answer, "the database refuses lines");
        }
        let path = self.dead_letters.clone();
        let written = tokio::task::spawn_blocking(move || append(&path, &rejected)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(sink = name, %error, "refused lines cannot be kept");
        }
    }
}

fn append(path: &std::path::Path, rejected: &[Rejected]) -> std::io::Result<()> {
    use std::io::Write as _;

    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    let mut size = file.metadata()?.len();
    let mut text = String::new();
    for Rejected { line, answer } in rejected {
        let more = format!("# {answer}\n{line}\n");
        size += u64::try_from(more.len()).unwrap_or(u64::MAX);
        if size > MAX_DEAD_BYTES {
            break;
        }
        text.push_str(&more);
    }
    file.write_all(text.as_bytes())
}
