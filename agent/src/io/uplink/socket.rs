//! Sockets that leave the machine by a given path.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, UdpSocket};

use crate::uplink::Path;

/// A socket for ICMP echo, connected to its target.
pub(super) struct EchoSocket {
    pub(super) socket: UdpSocket,
    /// Set when the kernel matches identifiers and knows which one is ours.
    pub(super) identifier: Option<u16>,
}

/// Opens a socket for ICMP echo: an unprivileged one or, when the system does not want that, a raw
/// one. Needs a tokio runtime.
///
/// # Errors
/// `PermissionDenied` when neither is allowed; otherwise what the path says.
pub(super) fn echo(target: IpAddr, path: &Path) -> io::Result<EchoSocket> {
    let protocol = if target.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let domain = domain(target);
    let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => (socket, false),
        Err(_) => (Socket::new(domain, Type::RAW, Some(protocol))?, true),
    };
    prepare(&socket, path, target)?;
    connect(&socket, SocketAddr::new(target, 0))?;
    // An unprivileged socket's port is the identifier that the kernel writes into its requests.
    let port = socket.local_addr()?.as_socket().map(|address| address.port());
    let identifier = if raw { None } else { port };
    Ok(EchoSocket { socket: UdpSocket::from_std(socket.into())?, identifier })
}

/// A TCP socket that is not connected.
pub(super) fn tcp(target: IpAddr, path: &Path) -> io::Result<TcpSocket> {
    let socket = Socket::new(domain(target), Type::STREAM, Some(Protocol::TCP))?;
    prepare(&socket, path, target)?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// A UDP socket that hears `target` only.
pub(super) fn udp(target: SocketAddr, path: &Path) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain(target.ip()), Type::DGRAM, Some(Protocol::UDP))?;
    prepare(&socket, path, target.ip())?;
    connect(&socket, target)?;
    UdpSocket::from_std(socket.into())
}

/// Some socket on the path, to see whether that is possible. Without a target the source decides
/// on the family.
pub(super) fn any(target: Option<IpAddr>, path: &Path) -> io::Result<TcpSocket> {
    let some = target.or(path.source).unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    tcp(some, path)
}

/// Connects, which sends nothing here but looks for a route. One that forbids says the same as a
/// missing permission and means something else.
fn connect(socket: &Socket, target: SocketAddr) -> io::Result<()> {
    socket.connect(&target.into()).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => io::ErrorKind::HostUnreachable.into(),
        _ => error,
    })
}

fn domain(target: IpAddr) -> Domain {
    if target.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }
}

fn prepare(socket: &Socket, path: &Path, target: IpAddr) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if let Some(interface) = &path.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(source) = path.source {
        if source.is_ipv4() != target.is_ipv4() {
            // A name had only addresses of the other family.
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    Ok(())
}
