//! The connection against real brokers, and against listeners that are none.
#![expect(clippy::unwrap_used, reason = "tests")]

mod every;
mod peers;
mod versions;

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hallwatch_link::{Error, Event, Message, Options, Tls, open, reason};
use tempfile::TempDir;
use tokio::time::timeout;

use peers::{
    Mosquitto, PATIENCE, connect_and_vanish, connected, failed, free_port, message, next, received,
    subscriber,
};

#[tokio::test]
async fn what_is_published_is_heard_in_order_and_more_than_the_windows_hold() {
    let broker = Mosquitto::plain();
    let (_a, mut hears) = subscriber(broker.options("hears"), "t/+");
    connected(&mut hears).await;
    let (says, mut said) = open(broker.options("says"));
    connected(&mut said).await;
    let sending = tokio::spawn(async move {
        for number in 0..2_000 {
            says.publish(message("t/1", &number.to_string())).await.unwrap();
        }
        // Dropping the publisher sends what is queued and says goodbye.
        drop(says);
        assert!(timeout(PATIENCE, said.next()).await.unwrap().is_none());
    });
    for number in 0..2_000 {
        assert_eq!(received(&mut hears).await, message("t/1", &number.to_string()));
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn a_killed_broker_is_found_again_and_subscribed_again() {
    let mut broker = Mosquitto::plain();
    let (publisher, mut events) = subscriber(broker.options("both"), "t");
    connected(&mut events).await;
    for round in 0..3 {
        broker.kill();
        let lost = next(&mut events).await;
        assert!(matches!(lost, Event::Disconnected { .. }), "{lost:?}");
        broker.restart();
        connected(&mut events).await;
        let sent = message("t", &format!("after {round}"));
        publisher.publish(sent.clone()).await.unwrap();
        assert_eq!(received(&mut events).await, sent);
    }
}

#[tokio::test]
async fn a_publish_that_the_acl_denies_is_refused_and_the_connection_goes_on() {
    let directory = TempDir::new().unwrap();
    let acl = directory.path().join("acl");
    fs::write(&acl, "topic readwrite allowed\n").unwrap();
    let broker =
        Mosquitto::start(&format!("allow_anonymous true\nuser root\nacl_file {}", acl.display()));
    let (publisher, mut events) = subscriber(broker.options("gw-1"), "allowed");
    connected(&mut events).await;
    publisher.publish(message("denied", "x")).await.unwrap();
    match next(&mut events).await {
        Event::Refused { topic, reason_code } => {
            assert_eq!((topic.as_str(), reason_code), ("denied", reason::NOT_AUTHORIZED));
        }
        other => panic!("{other:?}"),
    }
    publisher.publish(message("allowed", "y")).await.unwrap();
    assert_eq!(received(&mut events).await, message("allowed", "y"));
}

#[tokio::test]
async fn a_message_larger_than_the_broker_takes_is_refused_without_a_reconnect() {
    // The first limit is announced in the CONNACK, the second one only in the PUBACK.
    for limit in ["max_packet_size 2000", "message_size_limit 2000"] {
        let broker = Mosquitto::start(&format!("allow_anonymous true\nuser root\n{limit}"));
        let (publisher, mut events) = subscriber(broker.options("gw-1"), "t");
        connected(&mut events).await;
        publisher.publish(message("t", &"x".repeat(3_000))).await.unwrap();
        publisher.publish(message("t", "small")).await.unwrap();
        let mut seen = (false, false);
        while seen != (true, true) {
            match next(&mut events).await {
                Event::Refused { reason_code: reason::PACKET_TOO_LARGE, .. } => seen.0 = true,
                Event::Message(message) if message.payload == "small" => seen.1 = true,
                other => panic!("{limit}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn the_will_is_published_when_we_vanish_but_not_after_a_goodbye() {
    let broker = Mosquitto::plain();
    let (_a, mut hears) = subscriber(broker.options("hears"), "will/+");
    connected(&mut hears).await;
    let with_will = |id: &str| Options {
        will: Some(message(&format!("will/{id}"), "gone")),
        ..broker.options(id)
    };

    let (polite, mut events) = open(with_will("polite"));
    connected(&mut events).await;
    drop(polite);
    assert!(timeout(PATIENCE, events.next()).await.unwrap().is_none());

    connect_and_vanish(with_will("rude"));
    assert_eq!(received(&mut hears).await, message("will/rude", "gone"));
}

#[tokio::test]
async fn retained_messages_say_so_and_are_heard_by_whoever_comes_later() {
    let broker = Mosquitto::plain();
    let (publisher, mut events) = open(broker.options("says"));
    connected(&mut events).await;
    publisher.publish(Message { retain: true, ..message("t", "kept") }).await.unwrap();
    drop(publisher);
    while timeout(PATIENCE, events.next()).await.unwrap().is_some() {}
    let (_b, mut hears) = subscriber(broker.options("hears"), "t");
    assert_eq!(received(&mut hears).await, Message { retain: true, ..message("t", "kept") });
}

#[tokio::test]
async fn a_wrong_password_is_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("passwords");
    fs::write(&file, "").unwrap();
    let broker = Mosquitto::start(&format!(
        "allow_anonymous false\nuser root\npassword_file {}",
        file.display()
    ));
    let options = Options {
        username: Some("gw".into()),
        password: Some("wrong".into()),
        ..broker.options("gw-1")
    };
    let error = failed(options).await;
    assert!(matches!(error, Error::Refused { reason_code: 0x86 | 0x87, .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{}", broker.port)), "{error}");
}

#[tokio::test]
async fn a_listener_that_never_answers_and_one_that_is_not_there_are_told_apart() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let quick = |port| Options {
        connect_timeout: Duration::from_millis(300),
        ..Options::new("127.0.0.1", port, "gw-1")
    };
    let error = failed(quick(port)).await;
    assert!(matches!(error, Error::Timeout { what: "answer to our CONNECT", .. }), "{error:?}");
    let error = failed(quick(free_port())).await;
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn a_broker_that_falls_silent_is_noticed_within_one_and_a_half_keep_alives() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let accepted = std::thread::spawn(move || {
        let (mut stream, _) = silent.accept().unwrap();
        // CONNACK: accepted, no properties; then nothing for ever.
        stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
        stream
    });
    let options =
        Options { keep_alive: Duration::from_secs(1), ..Options::new("127.0.0.1", port, "gw-1") };
    let (_publisher, mut events) = open(options);
    connected(&mut events).await;
    let lost = timeout(PATIENCE, events.next()).await.unwrap();
    assert!(
        matches!(
            lost,
            Some(Event::Disconnected { error: Error::Timeout { what: "sign of life", .. } })
        ),
        "{lost:?}"
    );
    drop(accepted.join().unwrap());
}

#[tokio::test]
async fn a_slow_consumer_slows_the_broker_down_and_loses_nothing() {
    let broker = Mosquitto::plain();
    let options = Options {
        queue: 4,
        receive_maximum: 4,
        keep_alive: Duration::from_secs(1),
        subscriptions: vec!["t".into()],
        ..broker.options("slow")
    };
    let (_a, mut slow) = open(options);
    connected(&mut slow).await;
    let (says, mut said) = open(broker.options("says"));
    connected(&mut said).await;
    for number in 0..100 {
        says.publish(message("t", &number.to_string())).await.unwrap();
    }
    // Longer than the keep-alive: our own slowness must not look like the broker's death.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for number in 0..100 {
        match next(&mut slow).await {
            Event::Message(heard) => assert_eq!(heard, message("t", &number.to_string())),
            other => panic!("{other:?}"),
        }
    }
}

/// A certificate authority, a server and a client certificate, all made by openssl.
struct Pki(TempDir);

impl Pki {
    fn new() -> Self {
        let pki = Self(TempDir::new().unwrap());
        for ca in ["ca", "other"] {
            pki.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
                 -subj /CN=test-{ca} -keyout {ca}.key -out {ca}.pem"
            ));
        }
        let names = "subjectAltName=IP:127.0.0.1";
        for (name, extension) in [("server", names), ("client", "subjectAltName=DNS:gw-1")] {
            fs::write(pki.path(&format!("{name}.ext")), extension).unwrap();
            pki.openssl(&format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
                 -keyout {name}.key -out {name}.csr"
            ));
            pki.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
                 -extfile {name}.ext -out {name}.pem"
            ));
        }
        pki
    }

    fn openssl(&self, arguments: &str) {
        let made = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl is needed: apt-get install openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn broker(&self, more: &str) -> Mosquitto {
        Mosquitto::start(&format!(
            "allow_anonymous true\nuser root\ncafile {}\ncertfile {}\nkeyfile {}\n{more}",
            self.path("ca.pem").display(),
            self.path("server.pem").display(),
            self.path("server.key").display()
        ))
    }
}

#[tokio::test]
async fn tls_is_spoken_checked_and_its_failures_are_named() {
    let pki = Pki::new();
    let broker = pki.broker("");
    let tls = |ca: &str| Some(Tls::load(&pki.path(ca), None).unwrap());

    let options = Options { tls: tls("ca.pem"), ..broker.options("good") };
    let (publisher, mut events) = open(Options { subscriptions: vec!["t".into()], ..options });
    connected(&mut events).await;
    publisher.publish(message("t", &"x".repeat(100_000))).await.unwrap();
    assert_eq!(received(&mut events).await.payload.len(), 100_000);

    let error = failed(Options { tls: tls("other.pem"), ..broker.options("wrong-ca") }).await;
    assert!(matches!(error, Error::Handshake { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("certificate"), "{cause}");

    // The name in the certificate counts, not the address that answers.
    let named = Options { host: "localhost".into(), ..broker.options("wrong-name") };
    let error = failed(Options { tls: tls("ca.pem"), ..named }).await;
    assert!(matches!(error, Error::Handshake { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("name"), "{cause}");

    let no_file = Tls::load(&pki.path("absent.pem"), None).unwrap_err();
    assert!(no_file.to_string().contains("absent.pem"), "{no_file}");
    let no_certificate = Tls::load(&pki.path("ca.key"), None).unwrap_err();
    assert!(no_certificate.to_string().contains("a CA certificate"), "{no_certificate}");
}

#[tokio::test]
async fn a_missing_client_certificate_is_an_authentication_problem() {
    let pki = Pki::new();
    let broker = pki.broker("require_certificate true");
    let ca = pki.path("ca.pem");
    let without = Options { tls: Some(Tls::load(&ca, None).unwrap()), ..broker.options("none") };
    let error = failed(without).await;
    assert!(matches!(error, Error::Authentication { .. }), "{error:?}");

    let (certificate, key) = (pki.path("client.pem"), pki.path("client.key"));
    let identity = Some((certificate.as_path(), key.as_path()));
    let with = Options { tls: Some(Tls::load(&ca, identity).unwrap()), ..broker.options("gw-1") };
    let (_publisher, mut events) = open(with);
    let event = next(&mut events).await;
    assert!(matches!(event, Event::Connected { .. }), "{event:?}");
}
