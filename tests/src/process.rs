//! A process that a test started: its output is kept, and it ends with the test.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait::wait_for;

/// A running process. Killed when dropped.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command`; what it prints goes to `<directory>/<name>.log`, after what an earlier
    /// process of that name printed.
    pub fn start(name: &str, directory: &Path, mut command: Command) -> io::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that processes of this name have printed.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits until it has ended by itself.
    pub async fn terminate(&mut self) -> ExitStatus {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
        assert!(sent.success(), "{} is gone already:\n{}", self.name, self.output());
        self.ended(Duration::from_secs(20)).await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(&what, within, async || self.child.try_wait().expect("wait")).await
    }

    /// How it has ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal, such as `TERM`; nothing happens to a process that has ended.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let _ =
            Command::new("kill").args([&format!("-{name}"), &id]).stderr(Stdio::null()).status();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    #[expect(clippy::print_stdout, reason = "the test runner shows it when the test has failed")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let output = self.output();
            let tail = output.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
            println!("---- {} said:\n{}\n----", self.name, &output[tail..]);
        }
    }
}

/// The binary `name` of this workspace, beside the test that runs.
pub fn binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    // A test is in target/debug/deps, a benchmark in target/release.
    let directories = this.ancestors().skip(1).take(2);
    let path = directories
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| this.with_file_name(name));
    assert!(path.exists(), "{} is not built: run tests/run, or cargo build", path.display());
    path
}
