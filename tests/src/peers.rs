//! The real peers: a broker and a database, each on a free loopback port.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::wait::wait_for;

/// The program of a Debian package; panics with how to install it.
pub fn program(name: &str, package: &str) -> PathBuf {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}, or run tests/run"))
}

/// A loopback address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address")
}

/// Waits until somebody listens.
pub async fn listens(address: SocketAddr) {
    let what = format!("a listener on {address}");
    wait_for(&what, Duration::from_secs(20), async || {
        TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
    })
    .await;
}

/// A mosquitto with Hallwatch's limits.
pub struct Mosquitto {
    /// Where it listens.
    pub address: SocketAddr,
    config: PathBuf,
    directory: PathBuf,
    process: Process,
}

impl Mosquitto {
    /// Starts one without persistence: after a restart it knows nothing. It passes a little more
    /// than Hallwatch reads, so that the collector's own limit is met.
    pub async fn start(directory: &Path) -> Self {
        let address = free_address();
        let config = directory.join("mosquitto.conf");
        let text = format!(
            "listener {} {}\nallow_anonymous true\npersistence false\n\
             message_size_limit 1100000\nlog_type error\nlog_type warning\nlog_type notice\n",
            address.port(),
            address.ip()
        );
        std::fs::write(&config, text).expect("mosquitto.conf");
        let process = Self::spawn(directory, &config);
        listens(address).await;
        Self { address, config, directory: directory.to_owned(), process }
    }

    fn spawn(directory: &Path, config: &Path) -> Process {
        let mut command = Command::new(program("mosquitto", "mosquitto"));
        command.arg("-c").arg(config);
        Process::start("mosquitto", directory, command).expect("mosquitto")
    }

    /// kill -9, then a new one on the same port.
    pub async fn kill_and_restart(&mut self) {
        self.kill();
        self.restart().await;
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// A new one on the same port.
    pub async fn restart(&mut self) {
        self.process = Self::spawn(&self.directory, &self.config);
        listens(self.address).await;
    }

    /// The URL for agents and collectors.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }
}

/// A VictoriaMetrics of its own.
pub struct VictoriaMetrics {
    /// Where it listens.
    pub address: SocketAddr,
    _process: Process,
}

impl VictoriaMetrics {
    /// Starts one with an empty store.
    pub async fn start(directory: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(program("victoria-metrics", "victoria-metrics"));
        command
            .arg(format!("-storageDataPath={}", directory.join("victoria").display()))
            .arg(format!("-httpListenAddr={address}"))
            .args(["-retentionPeriod=12", "-search.latencyOffset=0s", "-selfScrapeInterval=0"]);
        let process = Process::start("victoria-metrics", directory, command).expect("it starts");
        listens(address).await;
        Self { address, _process: process }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
