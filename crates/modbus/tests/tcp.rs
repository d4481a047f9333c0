//! The client over real sockets: against the server of `tokio-modbus` as an independent peer, and
//! against listeners that close, refuse or are silent.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::future;
use std::net::SocketAddr;
use std::time::Duration;

use hallwatch_modbus::request::Category;
use hallwatch_modbus::{Client, Data, Failure, Options, Read, Table, TcpEndpoint};
use hallwatch_model::Missing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

/// Answers with what was asked: unit in the high byte, address in the low one; odd addresses are
/// set bits. Addresses from 1000 on do not exist. Writes would be seen as `IllegalFunction`.
struct Peer;

impl Service for Peer {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Response, ExceptionCode>>;

    fn call(&self, asked: SlaveRequest<'static>) -> Self::Future {
        let unit = u16::from(asked.slave) << 8;
        let registers = |from: u16, count: u16, base: u16| -> Vec<u16> {
            (from..from + count).map(|address| unit + base + address).collect()
        };
        let bits = |from: u16, count: u16| (from..from + count).map(|n| n % 2 == 1).collect();
        future::ready(match asked.request {
            Request::ReadHoldingRegisters(1000.., _) => Err(ExceptionCode::IllegalDataAddress),
            Request::ReadCoils(from, count) => Ok(Response::ReadCoils(bits(from, count))),
            Request::ReadDiscreteInputs(from, count) => {
                Ok(Response::ReadDiscreteInputs(bits(from, count)))
            }
            Request::ReadHoldingRegisters(from, count) => {
                Ok(Response::ReadHoldingRegisters(registers(from, count, 0)))
            }
            Request::ReadInputRegisters(from, count) => {
                Ok(Response::ReadInputRegisters(registers(from, count, 0x80)))
            }
            // Its types for this answer are not public; the bytes are those of the specification.
            Request::ReadDeviceIdentification(_, 0) if asked.slave == 9 => {
                Ok(custom(b"\x0e\x01\x01\xff\x01\x01\x00\x04ACME"))
            }
            Request::ReadDeviceIdentification(_, 1) if asked.slave == 9 => {
                Ok(custom(b"\x0e\x01\x01\x00\x00\x02\x01\x03P-1\x02\x04V2.0"))
            }
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

fn custom(body: &'static [u8]) -> Response {
    Response::Custom(0x2b, body.into())
}

async fn peer() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let connected = |stream, from: SocketAddr| async move {
            accept_tcp_connection(stream, from, |_| Ok(Some(Peer)))
        };
        Server::new(listener).serve(&connected, |_| ()).await
    });
    client(address)
}

fn client(address: SocketAddr) -> Client {
    Client::tcp(TcpEndpoint::new(address.to_string()), Options::default())
}

fn read(table: Table, address: u16, count: u16) -> Read {
    Read::new(table, address, count).unwrap()
}

#[tokio::test]
async fn an_independent_server_is_understood() {
    let mut client = peer().await;
    let holding = client.read(3, &read(Table::HoldingRegisters, 7, 2)).await.unwrap();
    assert_eq!(holding, Data::Registers([0x0307, 0x0308].into()));
    let input = client.read(4, &read(Table::InputRegisters, 7, 1)).await.unwrap();
    assert_eq!(input, Data::Registers([0x0487].into()));
    let bits = [true, false, true, false, true, false, true, false, true, false];
    for table in [Table::Coils, Table::DiscreteInputs] {
        let data = client.read(255, &read(table, 1, 10)).await.unwrap();
        assert_eq!(data, Data::Bits(bits.into()), "{table}");
    }
    let longest = client.read(1, &read(Table::HoldingRegisters, 0, 125)).await.unwrap();
    assert_eq!(longest, Data::Registers((0x0100..0x017d).collect()));

    let error = client.read(3, &read(Table::HoldingRegisters, 1000, 2)).await.unwrap_err();
    assert_eq!(error.missing(), Missing::Exception(2));
    let error = client.identify(3, Category::Basic, 0).await.unwrap_err();
    assert_eq!(error.missing(), Missing::Exception(1));
    let part = client.identify(9, Category::Basic, 0).await.unwrap();
    assert_eq!((part.objects[0].text.as_str(), part.next), ("ACME", Some(1)));
    let rest = client.identify(9, Category::Basic, 1).await.unwrap();
    let texts: Vec<_> = rest.objects.iter().map(|object| (object.id, &*object.text)).collect();
    assert_eq!((texts, rest.next), (vec![(1, "P-1"), (2, "V2.0")], None));
    // All of that over one connection.
    assert_eq!(client.counters().connections, 1);
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_read_without_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = client(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 12];
            if stream.read_exact(&mut request).await.is_ok() {
                let [t1, t2, _, _, _, _, unit, function, _, address, ..] = request;
                let answer = [t1, t2, 0, 0, 0, 5, unit, function, 2, 0x12, address];
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
    for address in 0..4 {
        let data = client.read(1, &read(Table::InputRegisters, address, 1)).await.unwrap();
        assert_eq!(data, Data::Registers([0x1200 + address].into()));
    }
    assert_eq!(client.counters().connections, 4);
}

#[tokio::test]
async fn a_closed_port_and_a_silent_server_have_their_names() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = client(address);
    client.set_options(Options {
        answer_timeout: Duration::from_millis(50),
        timeouts_before_close: 1,
        ..Options::default()
    });
    // The kernel accepts for it, so that connecting works.
    let error = client.read(1, &read(Table::Coils, 0, 1)).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Timeout(_)), "{error:?}");
    assert_eq!(error.missing(), Missing::Timeout);
    drop(listener);
    let error = client.read(1, &read(Table::Coils, 0, 1)).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Connect(_)), "{error:?}");
    assert_eq!(error.missing(), Missing::DeviceOffline);
    assert_eq!(
        error.to_string(),
        format!("cannot read coils 0 (function 1) of unit 1 at {address}")
    );
}
