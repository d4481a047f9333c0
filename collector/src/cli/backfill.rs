//! `backfill`: a collector that lost its disk, or was away for longer than the agents remember, is
//! filled from its peer. And `verify --repair`: damaged chunks are fetched again.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use hallwatch_collector::config::Peer;
use hallwatch_collector::gaps::{Gaps, Report};
use hallwatch_collector::peer::{Client, Error};
use hallwatch_collector::store::verify::{Damaged, verify};
use hallwatch_collector::store::{FILL_SAMPLES, Frame, Options, Reader, Store, take_frame};
use hallwatch_collector::{Config, clock};
use hallwatch_model::{Timestamp, chain};
use serde::Deserialize;

use super::{client, print};

/// What is sent to the own collector at once, in bytes, unless that is [`FILL_SAMPLES`] before.
/// Beside a single frame, no more is held.
const PIECE: usize = 2 << 20;
/// The longest answer that is no stream: gaps and lists of windows.
const MOST_BYTES: usize = 16 << 20;
/// A window that ended so long ago gets nothing more from live data.
const SETTLED: Duration = Duration::from_secs(2 * 60 * 60);
/// How long it takes at most until what was repaired is on disk in its place.
const REPAIR: Duration = Duration::from_secs(60);
/// Which windows are done, in the data directory, until all are.
const PROGRESS: &str = "backfill.progress";

/// The envelope of an answer.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Filled {
    samples: u64,
}

/// Who is filled: the collector when it runs, otherwise its files.
enum Target {
    Running(Client),
    Alone(Box<Store>, Gaps),
}

impl Target {
    fn open(config: &Config, peer: &Peer) -> Result<Self, String> {
        if let Some(running) = client::Client::running(config) {
            let url = format!("http://{}", running.address());
            return Ok(Self::Running(Client::new(&url, &peer.token, None).map_err(told)?));
        }
        let options = Options {
            retention_age: Some(config.retention.age),
            retention_bytes: Some(config.retention.size.0),
            ..Options::default()
        };
        let store = Store::open(&config.data, &options).map_err(|error| chain(&error))?;
        let gaps = Gaps::open(&config.data, |agent, boot| store.ack(agent, boot));
        Ok(Self::Alone(Box::new(store), gaps.map_err(|error| chain(&error))?))
    }

    /// How many of the samples were new.
    async fn fill(&mut self, frames: Vec<Frame>, mend: bool) -> Result<u64, String> {
        match self {
            Self::Running(client) => {
                let mut body = Vec::new();
                frames.iter().for_each(|frame| frame.write(&mut body));
                let path = format!("/api/v1/pair/fill?mend={mend}");
                let answer = client.post(&path, body, MOST_BYTES).await.map_err(told)?;
                let filled: Envelope<Filled> = client.json(&answer).map_err(told)?;
                Ok(filled.data.samples)
            }
            Self::Alone(store, _) => {
                let now = clock::now();
                let filled = store.fill(&frames, mend, now).map_err(|error| chain(&error))?;
                store.maintain(now).map_err(|error| chain(&error))?;
                Ok(filled)
            }
        }
    }

    async fn learn(&self, report: Vec<u8>) -> Result<(), String> {
        match self {
            Self::Running(client) => {
                let answer = client.post("/api/v1/pair/gaps", report, MOST_BYTES).await;
                answer.map(|_| ()).map_err(told)
            }
            Self::Alone(_, gaps) => {
                let report: Report = serde_json::from_slice(&report)
                    .map_err(|_| "the peer says of gaps what cannot be understood")?;
                report.teach(gaps).map(|_| ()).map_err(|error| chain(&error))
            }
        }
    }

    fn end(self) -> Result<(), String> {
        match self {
            Self::Running(_) => Ok(()),
            Self::Alone(mut store, _) => store.flush_all().map_err(|error| chain(&error)),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(error: Error) -> String {
    chain(&error)
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| format!("cannot start the runtime: {error}"))
}

/// The peer of the configuration, at `from` when that is given.
fn source(config: &Config, from: Option<&str>) -> Result<(Peer, Client), String> {
    let peer = config.peer.clone();
    let peer = peer.ok_or("the configuration has no [peer], whose secret is needed")?;
    let url = from.unwrap_or(peer.url.as_str());
    let client = Client::new(url, &peer.token, peer.tls.as_ref()).map_err(told)?;
    Ok((peer, client))
}

/// Fills the collector of this configuration with what its peer has of the last `since`.
pub(crate) fn backfill(
    config: &Config,
    from: Option<&str>,
    since: Option<Duration>,
) -> Result<(), String> {
    let (peer, client) = source(config, from)?;
    let start = since.map_or(Timestamp::default(), |since| clock::now() - since);
    runtime()?.block_on(async {
        let mut target = Target::open(config, &peer)?;
        // What the peer has now it has when its samples were read.
        let path = format!("/api/v1/pair/gaps?start={}", start.as_seconds());
        let gaps = client.get(&path, MOST_BYTES).await.map_err(told)?;
        let gaps: Envelope<Box<serde_json::value::Value>> = client.json(&gaps).map_err(told)?;
        let path = format!("/api/v1/pair/windows?start={}", start.as_seconds());
        let windows = client.get(&path, MOST_BYTES).await.map_err(told)?;
        let windows: Envelope<Vec<i64>> = client.json(&windows).map_err(told)?;
        let progress = Progress::open(config, &client.name());
        let mut bar = Bar::new(windows.data.len());
        // The newest first: it is missed most.
        for window in windows.data.into_iter().rev() {
            if !progress.done.contains(&window) {
                let path = format!("/api/v1/pair/window/{window}");
                let added = copy(&client, &path, &mut target, false, |samples| bar.more(samples));
                added.await?;
                if clock::now() - SETTLED > Reader::window_end(window) {
                    progress.note(window)?;
                }
            }
            bar.window();
        }
        target.learn(gaps.data.to_string().into_bytes()).await?;
        target.end()?;
        progress.remove();
        bar.end();
        Ok(())
    })
}

/// Copies what a path streams; gives how many frames came.
async fn copy(
    client: &Client,
    path: &str,
    target: &mut Target,
    mend: bool,
    mut filled: impl FnMut(u64),
) -> Result<usize, String> {
    let mut answer = client.stream(path).await.map_err(told)?;
    let (mut buffer, mut count) = (Vec::new(), 0);
    let (mut frames, mut bytes, mut samples) = (Vec::new(), 0, 0);
    while let Some(piece) = answer.chunk().await.map_err(|error| told(client.failed(error)))? {
        buffer.extend_from_slice(&piece);
        let mut rest = buffer.as_slice();
        loop {
            let before = rest.len();
            let frame = take_frame(&mut rest)
                .map_err(|_| told(client.strange("it is no stream of samples")))?;
            let Some(frame) = frame else { break };
            samples += frame.samples();
            frames.push(frame);
            count += 1;
            bytes += before - rest.len();
            if bytes >= PIECE || samples >= FILL_SAMPLES {
                filled(target.fill(std::mem::take(&mut frames), mend).await?);
                (bytes, samples) = (0, 0);
            }
        }
        let taken = buffer.len() - rest.len();
        buffer.drain(..taken);
    }
    if !buffer.is_empty() {
        return Err(told(client.strange("it is cut off")));
    }
    if !frames.is_empty() {
        filled(target.fill(frames, mend).await?);
    }
    Ok(count)
}

/// Fetches damaged chunks again from the peer, and waits until they are on disk.
pub(crate) fn repair(
    config: &Config,
    from: Option<&str>,
    damages: &[Damaged],
) -> Result<(), String> {
    let (peer, client) = source(config, from)?;
    let repaired = runtime()?.block_on(async {
        let mut target = Target::open(config, &peer)?;
        let mut repaired = 0;
        for one in damages {
            let (Some(series), Some((start, _))) = (&one.series, one.times) else { continue };
            let matchers: Vec<String> =
                series.iter().map(|label| format!("{}={:?}", label.name, &*label.value)).collect();
            let selector = client::escaped(&format!("{{{}}}", matchers.join(",")));
            let window = Reader::window_of(start);
            let path = format!("/api/v1/pair/window/{window}?match[]={selector}");
            let mut samples = 0;
            copy(&client, &path, &mut target, true, |more| samples += more).await?;
            print(&match samples {
                0 => format!("chunk   {}  the peer does not have it", one.which),
                _ => format!("chunk   {}  {samples} samples from the peer", one.which),
            });
            repaired += usize::from(samples > 0);
        }
        target.end()?;
        Ok::<_, String>(repaired)
    })?;
    let began = clock::uptime();
    loop {
        let found = verify(&config.data).map_err(|error| chain(&error))?.damages;
        let left = damages.len().saturating_sub(repaired);
        let patient = clock::uptime().since(began) < REPAIR;
        if found.len() <= left || !patient {
            return Ok(());
        }
        // A collector that runs writes it within a few seconds.
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Windows that were filled wholly by a run that was cut off.
struct Progress {
    path: PathBuf,
    peer: String,
    done: BTreeSet<i64>,
}

impl Progress {
    fn open(config: &Config, peer: &str) -> Self {
        let path = config.data.join(PROGRESS);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let line = |line: &str| line.strip_prefix(peer)?.trim().parse().ok();
        Self { path, peer: peer.to_owned(), done: text.lines().filter_map(line).collect() }
    }

    fn note(&self, window: i64) -> Result<(), String> {
        let write = || {
            let mut file = std::fs::File::options().create(true).append(true).open(&self.path)?;
            writeln!(file, "{} {window}", self.peer)
        };
        write().map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }

    fn remove(&self) {
        // It may not be there.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How far it is, on a terminal; and what came of it, everywhere.
struct Bar {
    windows: usize,
    done: usize,
    samples: u64,
    shown: bool,
}

impl Bar {
    const COLUMNS: usize = 40;

    fn new(windows: usize) -> Self {
        Self { windows, done: 0, samples: 0, shown: std::io::stderr().is_terminal() }
    }

    fn more(&mut self, samples: u64) {
        self.samples += samples;
        self.draw();
    }

    fn window(&mut self) {
        self.done += 1;
        self.draw();
    }

    fn draw(&self) {
        if !self.shown {
            return;
        }
        let full = self.done * Self::COLUMNS / self.windows.max(1);
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(Self::COLUMNS - full));
        let line =
            format!("\r{bar} {}/{} windows, {} samples", self.done, self.windows, self.samples);
        // A terminal that is gone is no reason to stop.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn end(&self) {
        if self.shown {
            let _ = std::io::stderr().write_all(b"\n");
        }
        print(&format!("{} windows, {} samples that were missing", self.windows, self.samples));
    }
}
