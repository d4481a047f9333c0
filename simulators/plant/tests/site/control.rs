//! Control over real HTTP, by a client of a few lines.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ::modbus::Client;
use hallwatch_plant::{DeviceId, Fault, control};
use serde_json::{Value, json};

use crate::support::Site;

fn open(site: &Site) -> SocketAddr {
    let router = control::router(site.plant.clone());
    let listener = site.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    site.runtime.spawn(async move { axum::serve(listener, router).await });
    address
}

/// Status and body of one request.
fn call(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: plant\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn fault<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|fault| fault["name"] == name).unwrap()
}

#[test]
fn faults_are_listed_caused_and_ended() {
    let site = Site::start();
    let http = open(&site);
    let (status, list) = call(http, "GET", "/faults", "");
    assert_eq!(status, 200);
    assert_eq!(list.as_array().unwrap().len(), Fault::all().count());
    let off = fault(&list, "utility-off");
    assert_eq!(off["active"], false);
    assert_eq!(off["since"], Value::Null);
    assert_eq!(off["description"], "the utility feed loses its voltage");

    // Twice is as good as once.
    for _ in 0..2 {
        let (status, answer) = call(http, "POST", "/faults/utility-off", "");
        assert_eq!((status, &answer["active"]), (200, &json!(true)));
    }
    let (_, list) = call(http, "GET", "/faults", "");
    let since = fault(&list, "utility-off")["since"].as_str().unwrap().to_owned();
    assert!(since.starts_with("20") && since.ends_with('Z') && since.len() == 20, "{since}");
    site.plant.step(Duration::from_secs(1));
    let (_, state) = call(http, "GET", "/state", "");
    assert_eq!(state["faults"], json!(["utility-off"]));
    assert_eq!(state["utility"]["volts"], 0.0);
    assert_eq!(state["ups"]["a"]["mode"], "on_battery");

    for _ in 0..2 {
        let (status, answer) = call(http, "DELETE", "/faults/utility-off", "");
        assert_eq!((status, &answer["active"]), (200, &json!(false)));
    }
    assert!(!site.plant.has(Fault::UtilityOff));
}

#[test]
fn unknown_faults_are_refused_with_the_known_names() {
    let site = Site::start();
    let http = open(&site);
    for method in ["POST", "DELETE"] {
        let (status, answer) = call(http, method, "/faults/utility-of", "");
        assert_eq!(status, 404);
        let known = answer["known"].as_array().unwrap();
        assert!(known.contains(&json!("utility-off")) && known.contains(&json!("device-gone-ats")));
        assert!(answer["error"].as_str().unwrap().starts_with("no fault named `utility-of`"));
    }
}

#[test]
fn devices_are_listed_with_profile_address_and_unit() {
    let site = Site::start();
    let (status, list) = call(open(&site), "GET", "/devices", "");
    assert_eq!(status, 200);
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 12);
    let ups = list.iter().find(|device| device["name"] == "ups-b").unwrap();
    let address = site.address(DeviceId::UpsB).to_string();
    assert_eq!(
        ups,
        &json!({
            "name": "ups-b", "kind": "ups", "profile": "apc_smart_ups", "feed": "B",
            "address": address, "unit": 1, "answers_any_unit": false,
        })
    );
}

#[test]
fn a_register_set_over_http_is_read_over_modbus() {
    let site = Site::start();
    let http = open(&site);
    let path = "/registers/ups-a/130";
    let (status, _) = call(http, "POST", path, r#"{"word": 1234}"#);
    assert_eq!(status, 200);
    let mut ups = site.client(DeviceId::UpsA);
    assert_eq!(ups.read_holding_registers(130, 1).unwrap(), [1234]);
    assert_eq!(call(http, "DELETE", path, "").0, 200);
    assert_eq!(ups.read_holding_registers(130, 1).unwrap(), [51_200]);
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let site = Site::start();
    let http = open(&site);
    let long = format!(r#"{{"word": 1, "more": "{}"}}"#, "x".repeat(10_000));
    for (path, body, status) in [
        ("/registers/ups-a/130", r#"{"word": 65536}"#, 400),
        ("/registers/ups-a/130", r#"{"word": -1}"#, 400),
        ("/registers/ups-a/130", r#"{"word": "1"}"#, 400),
        ("/registers/ups-a/130", "{}", 400),
        ("/registers/ups-a/130", "not json", 400),
        ("/registers/ups-a/130", &long, 413),
        ("/registers/ups-a/70000", r#"{"word": 1}"#, 400),
        ("/registers/ups-a/x", r#"{"word": 1}"#, 400),
        ("/registers/ups-a/5", r#"{"word": 1}"#, 404),
        ("/registers/ups-z/130", r#"{"word": 1}"#, 404),
        ("/nothing", "", 404),
        ("/state", "", 405),
    ] {
        assert_eq!(call(http, "POST", path, body).0, status, "{path} {body:.40}");
    }
    let mut ups = site.client(DeviceId::UpsA);
    assert_eq!(ups.read_holding_registers(130, 1).unwrap(), [51_200]);
}
