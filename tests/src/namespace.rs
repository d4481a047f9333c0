//! A network and a file system view of its own, for what has to use fixed addresses and paths.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::peers::program;
use crate::process::Process;
use crate::wait::wait_for;

/// Set in a test that is isolated already.
const ISOLATED: &str = "HALLWATCH_TEST_ISOLATED";

/// Runs the test `name` isolated, see [`is_isolated`].
pub fn isolated(name: &str, test: impl Future<Output = ()>) {
    if is_isolated(name) {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
    }
}

/// Whether this process is the one that shall do what the test `name` is about: it runs alone, with
/// mounts and processes that end with it, however it ends. For any other process the test has
/// passed by then, or this panics.
///
/// Needs root: mounting does.
#[must_use]
pub fn is_isolated(name: &str) -> bool {
    if std::env::var_os(ISOLATED).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("this program has a path");
    let status = Command::new(program("unshare", "util-linux"))
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(this)
        .args(["--exact", name, "--nocapture"])
        .env(ISOLATED, "1")
        .status()
        .expect("unshare");
    assert!(status.success(), "{name}, isolated (which needs root): {status}");
    false
}

/// Processes started in here see only this loopback, and may write to `/etc` and `/var/lib`
/// without the machine noticing. Ends when dropped.
pub struct Namespace {
    holder: Process,
}

impl Namespace {
    /// Makes one whose loopback has these addresses beside 127.0.0.1.
    ///
    /// Needs root: mounting does.
    pub async fn start(directory: &Path, addresses: &[&str]) -> Self {
        let ready = directory.join("ready");
        let addresses: String =
            addresses.iter().map(|a| format!("ip address add {a}/32 dev lo\n")).collect();
        let script = format!(
            "set -eu\n\
             mount -t tmpfs tmpfs /mnt\n\
             for path in /etc /var/lib; do\n\
               layer=/mnt/$(echo $path | tr / _)\n\
               mkdir -p $layer/upper $layer/work\n\
               mount -t overlay overlay -o lowerdir=$path,upperdir=$layer/upper,workdir=$layer/work $path\n\
             done\n\
             ip link set lo up\n\
             {addresses}\
             touch {}\n\
             exec sleep 600\n",
            ready.display()
        );
        let mut command = Command::new(program("unshare", "util-linux"));
        command.args(["--net", "--mount", "sh", "-c", &script]);
        let mut holder = Process::start("namespace", directory, command).expect("unshare");
        wait_for("a namespace (making one needs root)", Duration::from_secs(20), async || {
            assert!(holder.is_running(), "no namespace, this needs root: {}", holder.output());
            fs::exists(&ready).unwrap_or(false).then_some(())
        })
        .await;
        Self { holder }
    }

    /// A command that runs in here.
    pub fn command(&self, program_in_here: &Path) -> Command {
        let mut command = Command::new(program("nsenter", "util-linux"));
        command.args(["--target", &self.holder.id().to_string(), "--net", "--mount"]);
        command.arg("--wd=/").arg("--").arg(program_in_here);
        command
    }

    /// Runs a shell script in here to its end; what it printed, or `None` if it failed.
    pub fn shell(&self, script: &str) -> Option<String> {
        let output = self.command(Path::new("/bin/sh")).args(["-c", script]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
