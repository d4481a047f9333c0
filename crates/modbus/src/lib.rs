//! A read-only Modbus client: it can ask for coils, inputs, registers and a device's
//! identification, and cannot encode a write.
//!
//! Everything but [`io`] is pure. Reading order: [`request`] and [`answer`] (protocol data units),
//! [`framing`] (how they travel on a stream or a line), [`plan`] (which reads cover which points),
//! [`holes`] (which addresses a device refuses), [`decode`] (registers to numbers), [`sunspec`] and
//! [`identify`] (devices that describe themselves), [`latency`], [`io`] (connections and timeouts),
//! [`error`].
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::as_conversions))]

pub mod answer;
pub mod decode;
pub mod error;
pub mod framing;
pub mod holes;
pub mod identify;
pub mod io;
pub mod latency;
pub mod plan;
pub mod request;
pub mod sunspec;

pub use answer::{AnswerError, Data, Identification};
pub use decode::Conversion;
pub use error::{Error, Failure};
pub use framing::{AnyFraming, FrameError, Framing, Line, Rtu, Tcp};
pub use identify::Identity;
pub use io::any::{AnyClient, AnyEndpoint};
pub use io::client::Client;
pub use io::endpoint::{Connect, TcpEndpoint};
pub use io::options::{Counters, Options};
pub use io::serial::SerialEndpoint;
pub use io::tls::TlsEndpoint;
pub use plan::{Hole, Limits, Plan, PlanError};
pub use request::{Read, ReadError, Request, Table};
