//! The client against servers that others wrote: pymodbus, libmodbus and that of `tokio-modbus`,
//! over TCP, TLS, a pair of pseudo terminals, and RTU over TCP. `tests/peers/install` brings them; that they are missing is
//! an error.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "peers/peer.rs"]
mod peer;

use std::future;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_modbus::holes::{ILLEGAL_ADDRESS, Search};
use hallwatch_modbus::plan::Span;
use hallwatch_modbus::request::Category;
use hallwatch_modbus::{
    AnyClient, Data, Failure, Line, Options, Read, SerialEndpoint, Table, Tcp, TcpEndpoint,
    TlsEndpoint,
};
use hallwatch_model::Missing;
use peer::{Certificates, Pair, Peer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_modbus::server::Service;
use tokio_modbus::server::rtu::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

impl Peer {
    fn endpoint(&self) -> TcpEndpoint {
        TcpEndpoint::new(&*self.address)
    }
}

fn line() -> Line {
    Line { parity: hallwatch_modbus::framing::Parity::None, ..Line::default() }
}

fn read(table: Table, address: u16, count: u16) -> Read {
    Read::new(table, address, count).unwrap()
}

/// Reads what both servers have in their unit 1.
async fn reads(client: &mut AnyClient) {
    let every_third = |from: u16, count: u16| -> Data {
        Data::Bits((from..from + count).map(|n| n % 3 == 0).collect())
    };
    let registers = |from: u16, count: u16| Data::Registers((from..from + count).collect());
    for round in 0..3 {
        let cases = [
            (read(Table::HoldingRegisters, 0, 100), registers(4096, 100)),
            (read(Table::HoldingRegisters, 150, 1), registers(4246, 1)),
            (read(Table::InputRegisters, 10, 125), registers(6154, 125)),
            (read(Table::Coils, 1, 190), every_third(1, 190)),
            (read(Table::DiscreteInputs, 33, 7), every_third(33, 7)),
        ];
        for (asked, expected) in cases {
            let data = client.read(1, &asked).await.unwrap();
            assert_eq!(data, expected, "{asked} in round {round}");
        }
        let error = client.read(1, &read(Table::InputRegisters, 190, 20)).await.unwrap_err();
        assert_eq!(error.missing(), Missing::Exception(2), "{error:?}");
    }
    let seen = client.counters();
    assert_eq!((seen.connections, seen.discarded, seen.stale), (1, 0, 0), "{seen:?}");
}

/// What only pymodbus has: a second unit, an identification, addresses that it refuses.
async fn all_of_pymodbus(client: &mut AnyClient) {
    reads(client).await;
    let other = client.read(7, &read(Table::HoldingRegisters, 3, 2)).await.unwrap();
    assert_eq!(other, Data::Registers([7 * 4096 + 3, 7 * 4096 + 4].into()));

    let identity = client.identify_all(1).await.unwrap();
    let name = "M".repeat(200);
    let expected =
        ["Peers", "PY", "3.16", "peers.example", "A product with a name", &name, "tests"];
    for (text, id) in expected.into_iter().zip(0..) {
        assert_eq!(identity.object(id), Some(text), "{identity:?}");
    }
    assert_eq!(identity.conformity, Some(0x83));
    // The long name does not fit into one answer with the others.
    let first = client.identify(1, Category::Regular, 0).await.unwrap();
    assert!(first.next.is_some(), "{first:?}");

    let points: Vec<Span> = (40..70)
        .map(|n| Span { table: Table::HoldingRegisters, address: n * 2, width: 2 })
        .collect();
    let whole = read(Table::HoldingRegisters, 80, 60);
    assert_eq!(client.read(1, &whole).await.unwrap_err().exception(), Some(ILLEGAL_ADDRESS));
    let mut search = Search::new(whole, ILLEGAL_ADDRESS, &points, &[ILLEGAL_ADDRESS]);
    while let Some(part) = search.read() {
        let outcome = client.read(1, &part).await.map(drop);
        assert!(search.answered(outcome.map_err(|error| error.exception().unwrap())));
    }
    let mut holes = search.finish().forbidden;
    holes.sort_unstable();
    let holes: Vec<_> =
        holes.iter().map(|found| (found.hole.first, found.hole.last, found.code)).collect();
    assert_eq!(holes, [(100, 101, ILLEGAL_ADDRESS), (102, 103, ILLEGAL_ADDRESS)]);
}

#[tokio::test]
async fn pymodbus_over_tcp() {
    let peer = Peer::pymodbus(&["tcp"]);
    let (strict, lenient) = (Tcp::default(), Tcp::lenient());
    for framing in [strict, lenient] {
        let mut client = AnyClient::over_tcp(peer.endpoint(), framing, Options::default());
        all_of_pymodbus(&mut client).await;
    }
}

#[tokio::test]
async fn pymodbus_on_a_line() {
    let pair = Pair::new();
    let _peer = Peer::pymodbus(&["rtu", &pair.end("a")]);
    let endpoint = SerialEndpoint::new(pair.end("b"), line());
    let mut client = AnyClient::over_serial(endpoint, false, Options::default());
    all_of_pymodbus(&mut client).await;
    // A unit that is not there is silent, and its neighbour is read as soon as the line has been.
    client.set_options(Options {
        answer_timeout: Duration::from_millis(100),
        slowest_answer: Duration::from_millis(200),
        ..Options::default()
    });
    let error = client.read(99, &read(Table::Coils, 0, 1)).await.unwrap_err();
    assert!(matches!(error.missing(), Missing::Timeout | Missing::Exception(_)), "{error:?}");
    client.read(1, &read(Table::Coils, 0, 1)).await.unwrap();
}

#[tokio::test]
async fn pymodbus_with_rtu_over_tcp() {
    let peer = Peer::pymodbus(&["rtu-tcp"]);
    let mut client = AnyClient::rtu_over_tcp(peer.endpoint(), false, Options::default());
    all_of_pymodbus(&mut client).await;
}

#[tokio::test]
async fn libmodbus_over_tcp() {
    let peer = Peer::libmodbus(&["tcp"]);
    let mut client = AnyClient::over_tcp(peer.endpoint(), Tcp::default(), Options::default());
    reads(&mut client).await;
    let error = client.identify_all(1).await.unwrap_err();
    assert_eq!(error.missing(), Missing::Exception(1));
}

#[tokio::test]
async fn libmodbus_on_a_line() {
    let pair = Pair::new();
    let _peer = Peer::libmodbus(&["rtu", &pair.end("a")]);
    let endpoint = SerialEndpoint::new(pair.end("b"), line());
    let mut client = AnyClient::over_serial(endpoint, false, Options::default());
    reads(&mut client).await;
}

/// What the other servers have in their unit 1, by `tokio-modbus`; other units are silent.
struct Unit1;

impl Service for Unit1 {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Option<Response>, ExceptionCode>>;

    fn call(&self, asked: SlaveRequest<'static>) -> Self::Future {
        let registers =
            |from: u16, count: u16, base: u16| (from..from + count).map(|n| base + n).collect();
        let bits = |from: u16, count: u16| (from..from + count).map(|n| n % 3 == 0).collect();
        future::ready(match asked.request {
            _ if asked.slave != 1 => Ok(None),
            Request::ReadCoils(from, count) => Ok(Some(Response::ReadCoils(bits(from, count)))),
            Request::ReadDiscreteInputs(from, count) => {
                Ok(Some(Response::ReadDiscreteInputs(bits(from, count))))
            }
            Request::ReadHoldingRegisters(from, count) => {
                Ok(Some(Response::ReadHoldingRegisters(registers(from, count, 4096))))
            }
            Request::ReadInputRegisters(from, count) if from + count <= 200 => {
                Ok(Some(Response::ReadInputRegisters(registers(from, count, 6144))))
            }
            _ => Err(ExceptionCode::IllegalDataAddress),
        })
    }
}

#[tokio::test]
async fn tokio_modbus_on_a_line() {
    let pair = Pair::new();
    let server = Server::new_from_path(pair.end("a"), 19_200).unwrap();
    tokio::spawn(server.serve_forever(Unit1));
    let endpoint = SerialEndpoint::new(pair.end("b"), line());
    let options = Options { slowest_answer: Duration::from_millis(300), ..Options::default() };
    let mut client = AnyClient::over_serial(endpoint, false, options);
    reads(&mut client).await;
    // A silent unit costs its time and the quiet time; the next is read right.
    let error = client.read(2, &read(Table::HoldingRegisters, 0, 2)).await.unwrap_err();
    assert_eq!(error.missing(), Missing::Timeout, "{error:?}");
    let data = client.read(1, &read(Table::HoldingRegisters, 5, 2)).await.unwrap();
    assert_eq!(data, Data::Registers([4101, 4102].into()));
}

#[tokio::test]
async fn a_port_that_is_not_there_is_said_to_be() {
    let endpoint = SerialEndpoint::new("/dev/no-such-port", Line::default());
    let mut client = AnyClient::over_serial(endpoint, false, Options::default());
    let error = client.read(1, &read(Table::Coils, 0, 1)).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Connect(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot read coils 0 (function 1) of unit 1 at /dev/no-such-port (19200 8E1)"
    );
}

/// Who we are and whom we trust.
fn config(files: &Certificates, ca: &str, identity: Option<&str>) -> Arc<ClientConfig> {
    let certificates = |name: &str| -> Vec<CertificateDer<'static>> {
        let found = CertificateDer::pem_file_iter(files.path(&format!("{name}.pem"))).unwrap();
        found.map(Result::unwrap).collect()
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(ca));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_file(files.path(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(certificates(name), key).unwrap()
        }
    })
}

#[tokio::test]
async fn pymodbus_with_tls() {
    let files = Certificates::make();
    let (server, key) = (files.path("server.pem"), files.path("server.key"));
    let open = Peer::pymodbus(&["tls", &server, &key]);
    let strict = files.server();
    let client = |peer: &Peer, name: &'static str, ca, identity| {
        let name = name.try_into().unwrap();
        let endpoint = TlsEndpoint::new(peer.endpoint(), name, config(&files, ca, identity));
        AnyClient::over_tls(endpoint, Tcp::default(), Options::default())
    };
    all_of_pymodbus(&mut client(&open, "gateway.example", "ca", None)).await;
    all_of_pymodbus(&mut client(&strict, "gateway.example", "ca", Some("client"))).await;

    let asked = read(Table::Coils, 0, 1);
    // The handshake succeeds on our side; the server's refusal comes in place of an answer.
    let mut nobody = client(&strict, "gateway.example", "ca", None);
    let error = nobody.read(1, &asked).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Authentication(_)), "{error:?}");
    assert_eq!(error.missing(), Missing::DeviceOffline);
    for (name, ca) in [("gateway.example", "other"), ("elsewhere.example", "ca")] {
        let error = client(&open, name, ca, None).read(1, &asked).await.unwrap_err();
        assert!(matches!(error.failure, Failure::Connect(_)), "{error:?}");
    }
}
