//! The sink against databases that misbehave.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod peers;

use std::sync::atomic::{AtomicUsize, Ordering};

use hallwatch_collector::config::Influx;
use hallwatch_collector::sink::influx::{WriteError, Writer};
use hallwatch_collector::sink::{Lines, Nameless, encode};
use hallwatch_model::{Labels, Sample, Timestamp};
use peers::listener;

fn lines(names: impl IntoIterator<Item = String>) -> Lines {
    let samples: Vec<(Labels, Sample)> = names
        .into_iter()
        .map(|name| {
            let sample = Sample { time: Timestamp::from_millis(1_000), value: Ok(1.0) };
            (Labels::metric(&name, []), sample)
        })
        .collect();
    encode(&samples, Nameless::Write)
}

fn writer(address: std::net::SocketAddr) -> Writer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let influx = Influx {
        url: format!("http://{address}/").parse().unwrap(),
        org: "my org".into(),
        bucket: "b&c".into(),
        token: Some("secret".into()),
    };
    Writer::new(reqwest::Client::new(), &influx).unwrap()
}

#[tokio::test]
async fn one_bad_line_blocks_nothing() {
    let strict = |body: &str| {
        if body.contains("bad") { (400, "unable to parse\nit") } else { (204, "") }
    };
    let (address, told) = listener(strict).await;
    let names = (0..1000).map(|i| match i {
        137 => "bad_one".to_owned(),
        999 => "bad_two".to_owned(),
        _ => format!("m_{i}"),
    });
    let mut rejected = Vec::new();
    writer(address).write(&lines(names), 0, &mut rejected).await.unwrap();
    let bad: Vec<(&str, &str)> =
        rejected.iter().map(|r| (r.line.as_str(), r.answer.as_str())).collect();
    let answer = "unable to parse it";
    assert_eq!(bad, [("bad one=1.0 1000", answer), ("bad two=1.0 1000", answer)]);

    let told = told.lock().unwrap();
    assert_eq!(told[0].0, "post /api/v2/write?org=my+org&bucket=b%26c&precision=ms http/1.1");
    // Every good line arrived once, in order.
    let taken: String =
        told.iter().filter(|(_, body)| !body.contains("bad")).map(|(_, body)| &**body).collect();
    let wanted = lines((0..999).filter(|i| *i != 137).map(|i| format!("m_{i}")));
    assert_eq!(taken, wanted.text(0, 998));
    assert!(told.len() < 60, "halving needs few requests: {}", told.len());
}

#[tokio::test]
async fn a_busy_database_is_asked_again_from_where_it_stopped() {
    let requests = AtomicUsize::new(0);
    let busy = move |_: &str| match requests.fetch_add(1, Ordering::Relaxed) {
        1 => (503, "busy"),
        2 => (401, "no"),
        _ => (204, ""),
    };
    let (address, told) = listener(busy).await;
    let all = lines((0..6000).map(|i| format!("m_{i}")));
    let writer = writer(address);
    let mut rejected = Vec::new();
    for status in [503, 401] {
        let from = 0_usize;
        let from = if status == 503 { from } else { 5000 };
        let (reached, error) = writer.write(&all, from, &mut rejected).await.unwrap_err();
        assert_eq!(reached, 5000);
        assert!(matches!(&error, WriteError::Refused { status: s, .. } if *s == status), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    writer.write(&all, 5000, &mut rejected).await.unwrap();
    assert!(rejected.is_empty());
    let told = told.lock().unwrap();
    let taken: String = [0, 3].map(|i: usize| told[i].1.clone()).concat();
    assert_eq!(taken, all.text(0, 6000));
}

#[tokio::test]
async fn nobody_there() {
    let port = peers::free_port();
    let (reached, error) = writer(([127, 0, 0, 1], port).into())
        .write(&lines(["m_1".to_owned()]), 0, &mut Vec::new())
        .await
        .unwrap_err();
    assert_eq!(reached, 0);
    assert!(matches!(error, WriteError::Unreachable { .. }), "{error}");
}
