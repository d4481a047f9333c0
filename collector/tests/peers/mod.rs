//! Real peers for tests, each on a free loopback port and ended with its test.

#![allow(dead_code, reason = "each test uses its own part of this")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A process that is killed when its owner goes.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn start(program: &str, package: &str, arguments: &[String], port: u16) -> Peer {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program} ({error}): apt install {package}"));
    Peer { child, port }
}

/// A broker without persistence.
pub(crate) async fn mosquitto(folder: &Path, port: u16) -> Peer {
    let path = folder.join("mosquitto.conf");
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false").unwrap();
    let arguments = ["-c".to_owned(), path.display().to_string()];
    let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("mosquitto");
    let peer = start(program, "mosquitto", &arguments, port);
    eventually("mosquitto answers", async || {
        TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
    })
    .await;
    peer
}

/// A VictoriaMetrics that shows at once what it was given.
pub(crate) async fn victoria_metrics(folder: &Path, port: u16) -> Peer {
    let arguments = [
        format!("-storageDataPath={}", folder.join("victoria").display()),
        format!("-httpListenAddr=127.0.0.1:{port}"),
        "-retentionPeriod=12".to_owned(),
        "-search.latencyOffset=0s".to_owned(),
        "-selfScrapeInterval=0".to_owned(),
    ];
    let peer = start("victoria-metrics", "victoria-metrics", &arguments, port);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("victoria-metrics answers", async || {
        (http(address, "GET", "/health").await?.0 == 200).then_some(())
    })
    .await;
    peer
}

/// An Alertmanager that pages `pager` soon, in a cluster with the one that gossips at the second
/// port. It waits for that one for three seconds, where 15 s are the default.
pub(crate) fn alertmanager(folder: &Path, pager: SocketAddr, gossip: Option<(u16, u16)>) -> Peer {
    let path = folder.join("alertmanager.yml");
    let text = format!(
        "route: {{ receiver: pager, group_by: [alertname, site, device], group_wait: 500ms, \
         group_interval: 1s, repeat_interval: 4h }}\n\
         receivers: [{{ name: pager, webhook_configs: [{{ url: 'http://{pager}/page' }}] }}]\n"
    );
    std::fs::write(&path, text).unwrap();
    let port = free_port();
    let mut arguments = vec![
        format!("--config.file={}", path.display()),
        format!("--storage.path={}", folder.join("alertmanager").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    match gossip {
        None => arguments.push("--cluster.listen-address=".to_owned()),
        Some((own, other)) => arguments.extend([
            format!("--cluster.listen-address=127.0.0.1:{own}"),
            format!("--cluster.advertise-address=127.0.0.1:{own}"),
            format!("--cluster.peer=127.0.0.1:{other}"),
            "--cluster.peer-timeout=3s".to_owned(),
            "--cluster.gossip-interval=100ms".to_owned(),
            "--cluster.reconnect-interval=1s".to_owned(),
        ]),
    }
    start("prometheus-alertmanager", "prometheus-alertmanager", &arguments, port)
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("in vain: {what}"),
    }
}

/// One request without a body: status and body; `None` when nobody answers.
pub(crate) async fn http(address: SocketAddr, method: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((status, if chunked { unchunked(body) } else { body.to_owned() }))
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    out
}

/// What an HTTP client was told: the request line and the body.
pub(crate) type Told = Arc<Mutex<Vec<(String, String)>>>;

/// A server that keeps every request, and answers with what `answer` says to its body.
pub(crate) async fn listener(
    answer: impl Fn(&str) -> (u16, &'static str) + Send + Sync + 'static,
) -> (SocketAddr, Told) {
    listener_on(0, answer).await
}

/// The same at this port.
pub(crate) async fn listener_on(
    port: u16,
    answer: impl Fn(&str) -> (u16, &'static str) + Send + Sync + 'static,
) -> (SocketAddr, Told) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let told = Told::default();
    let kept = Arc::clone(&told);
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&answer)));
        }
    });
    (address, told)
}

async fn serve(
    mut stream: TcpStream,
    kept: Told,
    answer: Arc<impl Fn(&str) -> (u16, &'static str) + Send + Sync>,
) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
                bytes.drain(..at + 4);
                break (head, length);
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        while bytes.len() < length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let body = String::from_utf8(bytes.drain(..length).collect()).unwrap();
        let (status, text) = answer(&body);
        kept.lock().unwrap().push((head.lines().next()?.to_owned(), body));
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
