//! A process of the rig, and its supervisor.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::pager::now;
use crate::process::Process;

/// What a process that ended by itself waits for before its supervisor starts it again.
const RESTART: Duration = Duration::from_secs(1);

/// A process that is started again when it ends, as its unit would.
pub(super) struct Managed {
    name: &'static str,
    command: Box<dyn Fn() -> Command + Send>,
    pub(super) process: Option<Process>,
    /// Faults that keep it down.
    pub(super) held: u32,
    restart_at: Option<Instant>,
    excused_until: Option<Instant>,
    /// When it was started, in milliseconds.
    pub(super) starts: Vec<i64>,
}

#[expect(clippy::disallowed_methods, reason = "the runner's own patience")]
pub(super) fn present() -> Instant {
    Instant::now()
}

/// A command that can be given again and again.
fn again(command: &Command) -> impl Fn() -> Command + Send + use<> {
    let program = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let pairs =
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let pairs: Vec<_> = pairs.collect();
    move || {
        let mut command = Command::new(&program);
        command.args(&arguments).envs(pairs.iter().cloned());
        command
    }
}

impl Managed {
    pub(super) fn new(name: &'static str, command: &Command) -> Self {
        let command = Box::new(again(command));
        Self {
            name,
            command,
            process: None,
            held: 0,
            restart_at: None,
            excused_until: None,
            starts: Vec::new(),
        }
    }

    pub(super) fn start(&mut self, directory: &Path) {
        self.restart_at = None;
        self.starts.push(now().as_millis());
        let started = Process::start(self.name, directory, (self.command)());
        self.process = Some(started.unwrap_or_else(|error| panic!("{}: {error}", self.name)));
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        self.restart_at = None;
    }

    pub(super) fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            process.signal(name);
        }
    }

    pub(super) fn excuse(&mut self, time: Duration) {
        self.excused_until = Some(present() + time);
    }

    /// Starts it again when it has ended; says so when it had no reason.
    pub(super) fn supervise(&mut self, directory: &Path, ended: &mut Vec<String>) {
        if let Some(process) = &mut self.process
            && let Some(status) = process.status()
        {
            self.process = None;
            let excused = self.held > 0 || self.excused_until.is_some_and(|end| present() < end);
            if !excused {
                ended.push(format!("{} ended by itself: {status}", self.name));
            }
            self.restart_at = Some(present() + RESTART);
        }
        let due = self.restart_at.is_some_and(|at| present() >= at);
        if self.held == 0 && self.process.is_none() && due {
            self.start(directory);
        }
    }

    /// No fault keeps it down any more.
    pub(super) fn release(&mut self, directory: &Path, ended: &mut Vec<String>) {
        self.held = self.held.saturating_sub(1);
        if self.held > 0 {
            return;
        }
        if let Some(process) = &mut self.process {
            // It was asked to end, and had its time.
            if process.is_running() {
                ended.push(format!("{} did not end when it was asked to", self.name));
            }
            self.kill();
        }
        self.start(directory);
    }
}
