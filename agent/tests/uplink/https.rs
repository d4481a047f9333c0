//! HTTPS probes against `openssl s_server`: whom they believe, and whom not.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(directory: &std::path::Path, arguments: &str) {
    let made = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("needs openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A key and a request to sign it.
const KEY: &str = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x";

fn authority(directory: &std::path::Path, file: &str) {
    openssl(directory, &format!("{KEY} -x509 -days 2 -keyout {file}.key -out {file}.pem"));
}

/// A server's certificate, for `name`, by `authority`.
fn certificate(directory: &std::path::Path, file: &str, name: &str, authority: &str) {
    std::fs::write(directory.join(format!("{file}.ext")), format!("subjectAltName=DNS:{name}"))
        .unwrap();
    openssl(directory, &format!("{KEY} -keyout {file}.key -out {file}.csr"));
    openssl(
        directory,
        &format!(
            "x509 -req -in {file}.csr -CA {authority}.pem -CAkey {authority}.key -days 2 \
             -CAcreateserial -extfile {file}.ext -out {file}.pem"
        ),
    );
}

#[test]
fn https_probes_believe_the_configured_authority_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["ca", "stranger"] {
        authority(directory.path(), file);
    }
    certificate(directory.path(), "good", "status.example", "ca");
    certificate(directory.path(), "other", "status.example", "stranger");
    certificate(directory.path(), "misnamed", "elsewhere.example", "ca");
    let ca = directory.path().join("ca.pem");
    let site = Site::new();
    let provider = &site.providers[0];
    let mut servers = Vec::new();
    for (file, port) in [("good", "443"), ("other", "444"), ("misnamed", "445")] {
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-quiet", "-www", "-accept", port])
            .args(["-cert", &format!("{file}.pem"), "-key", &format!("{file}.key")])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        servers.push(Server(provider.within(move || command.spawn().unwrap())));
        // Until it listens.
        let port: u16 = port.parse().unwrap();
        let listens = provider.within(move || {
            (0..200).any(|_| {
                std::thread::sleep(Duration::from_millis(20));
                std::net::TcpStream::connect((TARGET, port)).is_ok()
            })
        });
        assert!(listens, "openssl s_server does not listen at {port}");
    }
    let _plain = Peer::tcp(provider, &format!("{TARGET}:446"), "HTTP/1.1 200 OK\r\n\r\n");
    let probes = [("good", 443), ("other", 444), ("misnamed", 445), ("plain", 446)]
        .map(|(name, port)| Probe { name: name.into(), ..probe(http(port, true), by_source(0)) })
        .to_vec();
    let uplink = uplink(3000 * MS, 250 * MS, 1000 * MS, probes);
    let uplink = Uplink { ca: Some(ca), ..uplink };
    let (reports, _) = watch(&site.site, uplink, 1);
    let readings = &reports[0];
    assert_eq!(loss(readings, "good"), Ok(0.0), "{readings:#?}");
    for name in ["other", "misnamed", "plain"] {
        assert_eq!(loss(readings, name), Ok(1.0), "{name}: {readings:#?}");
        assert!(errors(readings, name, "tls") >= 5.0, "{name}: {readings:#?}");
        assert_eq!(latency(readings, name, "0.5"), Err(Missing::NotAvailable));
    }
}
