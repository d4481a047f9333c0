//! Servers that others wrote, a pair of pseudo terminals and certificates: what stands at the other
//! end of a line, for the tests of the client and for those of the agent that uses it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Where this file is, seen from any package of the repository.
const HERE: &str = "crates/modbus/tests/peers";

fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|above| above.join(HERE).is_dir()).unwrap()
}

/// What `install` brought.
fn installed(path: &str) -> PathBuf {
    let target = option_env!("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| repository().join("target"));
    let found = target.join("peers").join(path);
    assert!(found.exists(), "{} is missing: run {HERE}/install", found.display());
    found
}

/// A server's process, which ends with the test. Holding register n of unit 1 has 4096 + n, input
/// register n 2048 more; pymodbus has a unit 7 with 7 * 4096 + n, too.
pub(crate) struct Peer {
    child: Child,
    /// `host:port`, when it has a port.
    pub(crate) address: String,
}

impl Peer {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("ready").expect("the peer does not start").trim();
        Self { address: format!("127.0.0.1:{port}"), child }
    }

    pub(crate) fn pymodbus(arguments: &[&str]) -> Self {
        let script = repository().join(HERE).join("pymodbus_server.py");
        Self::start(Command::new(installed("venv/bin/python")).arg(script).args(arguments))
    }

    pub(crate) fn libmodbus(arguments: &[&str]) -> Self {
        Self::start(Command::new(installed("libmodbus_server")).args(arguments))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two ends of a serial line.
pub(crate) struct Pair {
    directory: TempDir,
    child: Child,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let end =
            |name: &str| format!("pty,raw,echo=0,link={}", directory.path().join(name).display());
        let child = Command::new("socat")
            .args([end("a"), end("b")])
            .spawn()
            .expect("socat is needed: apt-get install socat");
        let pair = Self { directory, child };
        for _ in 0..1000 {
            if ["a", "b"].iter().all(|name| Path::new(&pair.end(name)).exists()) {
                return pair;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("socat makes no pair of terminals");
    }

    pub(crate) fn end(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Certificates of two authorities: `ca` has signed `server` and `client`, `other` is foreign and
/// has signed `stranger`.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run = |arguments: &str| {
            let status = Command::new("openssl")
                .args(arguments.split_whitespace())
                .current_dir(directory.path())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert!(status.success(), "openssl {arguments}");
        };
        let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        for ca in ["ca", "other"] {
            run(&format!("{key} -keyout {ca}.key -out {ca}.pem -subj /CN={ca}"));
        }
        for (name, ca) in [("server", "ca"), ("client", "ca"), ("stranger", "other")] {
            run(&format!(
                "{key} -CA {ca}.pem -CAkey {ca}.key -keyout {name}.key -out {name}.pem \
                 -subj /CN={name} -addext subjectAltName=DNS:gateway.example \
                 -addext basicConstraints=CA:FALSE"
            ));
        }
        Self(directory)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A server that wants a certificate by `ca`.
    pub(crate) fn server(&self) -> Peer {
        let [server, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| self.path(name));
        Peer::pymodbus(&["tls", &server, &key, &ca])
    }
}
