//! What stands at the other end of a line: pymodbus, a pair of pseudo terminals, certificates.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/modbus/tests/peers");

/// What `crates/modbus/tests/peers/install` brought.
fn installed(path: &str) -> PathBuf {
    let target = option_env!("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let found = target.join("peers").join(path);
    assert!(
        found.exists(),
        "{} is missing: run crates/modbus/tests/peers/install",
        found.display()
    );
    found
}

/// A pymodbus server with units 1 and 7, which ends with the test. Holding register n of unit u
/// has u * 4096 + n, input register n 2048 more.
pub(crate) struct Pymodbus {
    child: Child,
    /// `host:port`, when it has a port.
    pub(crate) address: String,
}

impl Pymodbus {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(installed("venv/bin/python"))
            .arg(Path::new(PEERS).join("pymodbus_server.py"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("ready").expect("pymodbus does not start").trim();
        let address = format!("127.0.0.1:{port}");
        Self { child, address }
    }
}

impl Drop for Pymodbus {
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
    pub(crate) fn server(&self) -> Pymodbus {
        let [server, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| self.path(name));
        Pymodbus::start(&["tls", &server, &key, &ca])
    }

    /// `[[line]]` named `tls` to that server, where we are `name`.
    pub(crate) fn line(&self, server: &Pymodbus, ca: &str, name: &str) -> String {
        format!(
            "[[line]]\nname = \"tls\"\ntls = {{ address = \"{}\", ca = \"{}\", certificate = \
             \"{}\", key = \"{}\", server_name = \"gateway.example\" }}\n",
            server.address,
            self.path(&format!("{ca}.pem")),
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        )
    }
}
