//! A read-only Modbus client: it can ask for coils, inputs, registers and a device's
//! identification, and cannot encode a write.
//!
//! Everything but [`io`] is pure. Reading order: [`request`] and [`answer`] (protocol data units),
//! [`framing`] (how they travel on a stream), [`plan`] (which reads cover which points),
//! [`decode`] (registers to numbers), [`sunspec`] (devices that describe themselves), [`io`] (connections and timeouts), [`error`].
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::as_conversions))]

pub mod answer;
pub mod decode;
pub mod error;
pub mod framing;
pub mod io;
pub mod plan;
pub mod request;
pub mod sunspec;

pub use answer::{AnswerError, Data, Identification};
pub use decode::Conversion;
pub use error::{Error, Failure};
pub use framing::{FrameError, Framing, Tcp};
pub use io::client::{Client, Counters, Options};
pub use io::endpoint::{Connect, TcpEndpoint};
pub use plan::{Hole, Limits, Plan, PlanError};
pub use request::{Read, ReadError, Request, Table};
