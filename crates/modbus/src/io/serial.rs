//! Serial lines.

use std::fmt;
use std::io;

use tokio_serial::{SerialPortBuilderExt, SerialStream};

use super::endpoint::Connect;
use crate::framing::{DataBits, Line, Parity, StopBits};

/// A serial port with its line's settings. It is opened for us alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SerialEndpoint {
    path: String,
    line: Line,
}

impl SerialEndpoint {
    /// The port at `path`, such as `/dev/ttyUSB0` or better `/dev/serial/by-id/…`.
    #[must_use]
    pub fn new(path: impl Into<String>, line: Line) -> Self {
        Self { path: path.into(), line }
    }

    /// The line's settings.
    #[must_use]
    pub const fn line(&self) -> Line {
        self.line
    }
}

impl fmt::Display for SerialEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.line)
    }
}

impl Connect for SerialEndpoint {
    type Stream = SerialStream;

    async fn connect(&self) -> io::Result<SerialStream> {
        let line = self.line;
        let parity = match line.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        };
        let data_bits = match line.data_bits {
            DataBits::Seven => tokio_serial::DataBits::Seven,
            DataBits::Eight => tokio_serial::DataBits::Eight,
        };
        let stop_bits = match line.stop_bits {
            StopBits::One => tokio_serial::StopBits::One,
            StopBits::Two => tokio_serial::StopBits::Two,
        };
        let port = tokio_serial::new(&self.path, line.baud)
            .parity(parity)
            .data_bits(data_bits)
            .stop_bits(stop_bits);
        port.open_native_async().map_err(io::Error::from)
    }
}
