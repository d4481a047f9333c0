//! One Modbus TCP server per device.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_modbus::bytes::Bytes;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

use crate::devices::DeviceId;
use crate::fault::Fault;
use crate::plant::Plant;
use crate::registers::{Refusal, Table};

/// Connections that one device keeps at a time; more are closed at once, as real cards do.
const MAX_CONNECTIONS: usize = 16;
/// Wait after the listener failed, for example for lack of file descriptors.
const LISTENER_PAUSE: Duration = Duration::from_millis(500);
/// How late a device answers that is too busy: longer than any client waits by default.
const LATE: Duration = Duration::from_secs(4);
/// How long connections may take to end.
const DRAIN: Duration = Duration::from_secs(2);
/// What a device with garbage on its line does to every byte.
const GARBAGE: u8 = 0xa5;

/// Serves `device` until `stop` becomes true.
pub(crate) async fn serve(
    plant: Plant,
    device: DeviceId,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) {
    let server = Server::new(listener);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connect = |stream: TcpStream, _: SocketAddr| {
        let plant = plant.clone();
        let place = Arc::clone(&places).try_acquire_owned();
        async move {
            let Ok(place) = place else { return Ok(None) };
            if plant.has(Fault::DeviceGone(device)) {
                return Ok(None);
            }
            // A small answer should not wait for a bigger one.
            let _ = stream.set_nodelay(true);
            let line = Line::new(plant.clone(), device, stream, place);
            Ok(Some((Desk { plant, device }, line)))
        }
    };
    let trouble = move |error: io::Error| tracing::debug!(%device, %error, "connection ended");
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            result = server.serve(&connect, trouble) => {
                if let Err(error) = result {
                    tracing::warn!(%device, %error, "listener failed, trying again");
                }
            }
        }
        tokio::time::sleep(LISTENER_PAUSE).await;
    }
    // The connections were told to end; all places free again means that they have.
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    if tokio::time::timeout(DRAIN, places.acquire_many(all)).await.is_err() {
        tracing::warn!(%device, "connections did not end in time");
    }
}

/// Answers the requests of one connection.
struct Desk {
    plant: Plant,
    device: DeviceId,
}

impl Service for Desk {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Exception>> + Send>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let mine = self.device.answers_any_unit() || request.slave == self.device.unit();
        let silent = !mine || self.plant.has(Fault::DeviceHangs(self.device));
        let late = self.plant.has(Fault::DeviceLate(self.device));
        let answer = if silent { Ok(None) } else { self.answer(&request.request).map(Some) };
        Box::pin(async move {
            if late {
                tokio::time::sleep(LATE).await;
            }
            answer.map_err(|refusal| match refusal {
                Refusal::Function => ExceptionCode::IllegalFunction,
                Refusal::Address => ExceptionCode::IllegalDataAddress,
                Refusal::Quantity => ExceptionCode::IllegalDataValue,
            })
        })
    }
}

impl Desk {
    fn answer(&self, request: &Request<'_>) -> Result<Response, Refusal> {
        match *request {
            Request::ReadHoldingRegisters(address, quantity) => self
                .plant
                .read_registers(self.device, Table::Holding, address, quantity)
                .map(Response::ReadHoldingRegisters),
            Request::ReadInputRegisters(address, quantity) => self
                .plant
                .read_registers(self.device, Table::Input, address, quantity)
                .map(Response::ReadInputRegisters),
            Request::ReadDiscreteInputs(address, quantity) => self
                .plant
                .read_discrete(self.device, address, quantity)
                .map(Response::ReadDiscreteInputs),
            Request::ReadDeviceIdentification(code, object) => {
                identification(self.device, code.value(), object)
            }
            // Writes, and whatever else there is.
            _ => Err(Refusal::Function),
        }
    }
}

/// Function 43/14, basic objects: vendor, product code, revision. In Modbus only as a stream.
fn identification(device: DeviceId, code: u8, object: u8) -> Result<Response, Refusal> {
    const MEI: u8 = 0x0e;
    const BASIC_STREAM: u8 = 0x01;
    let objects = device.identification().ok_or(Refusal::Function)?;
    if !(1..=3).contains(&code) {
        return Err(Refusal::Quantity);
    }
    // A stream that begins at an object that does not exist begins at the first.
    let first = if usize::from(object) < objects.len() { usize::from(object) } else { 0 };
    let mut body = vec![MEI, code, BASIC_STREAM, 0, 0];
    body.push(u8::try_from(objects.len() - first).unwrap_or(0));
    for (id, text) in (0_u8..).zip(objects).skip(first) {
        body.push(id);
        body.push(u8::try_from(text.len()).unwrap_or(0));
        body.extend_from_slice(text.as_bytes());
    }
    Ok(Response::Custom(0x2b, Bytes::from(body)))
}

/// A connection that ends when its device goes, and on which the device may talk nonsense.
struct Line {
    plant: Plant,
    device: DeviceId,
    stream: TcpStream,
    gone: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _place: OwnedSemaphorePermit,
}

impl Line {
    fn new(plant: Plant, device: DeviceId, stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        let watched = plant.clone();
        let gone = async move { watched.until(Fault::DeviceGone(device)).await };
        Self { plant, device, stream, gone: Some(Box::pin(gone)), _place: place }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(gone) = &mut self.gone else { return Poll::Ready(Ok(())) };
        if gone.as_mut().poll(cx).is_ready() {
            // Nothing read means end of stream: the server lets go of the connection.
            self.gone = None;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.plant.has(Fault::DeviceGarbage(self.device)) {
            let garbage: Vec<u8> = bytes.iter().map(|byte| byte ^ GARBAGE).collect();
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &garbage))?;
            return Poll::Ready(Ok(written));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
