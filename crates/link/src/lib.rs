//! The MQTT connection that agent and collector share.
//!
//! [`open`] starts a task that connects, subscribes, publishes, answers and reconnects for as long
//! as somebody holds a [`Publisher`]. It is a *transport*: the broker may lose, repeat and reorder,
//! and so may this. What is published while there is no connection waits in a bounded queue; what
//! was on its way when a connection broke is dropped, never resent from here. Whoever needs
//! certainty keeps a journal and acknowledgements of its own above this crate.
//!
//! MQTT 5 is spoken, or 3.1.1 where a broker knows nothing newer. `codec` alone knows the difference.
//!
//! The codec is `rumqttc`'s; the connection is our own, because the codec is sound and the event
//! loop around it is not.
//!
//! Reading order: [`options`], [`event`], [`error`], `backoff`, [`codec`], `session` (what to say and
//! when to give up, without a socket or a clock), `io` (sockets, TLS, the task).

mod backoff;
pub mod codec;
pub mod error;
pub mod event;
mod io;
pub mod options;
mod session;

pub use error::{Closed, CodecError, Error, Peer, TryPublishError};
pub use event::{Event, Message, reason};
pub use io::{Events, Publisher, open, tls::Tls};
pub use options::{Backoff, CLUSTER_SILENCE, Options, Version};
