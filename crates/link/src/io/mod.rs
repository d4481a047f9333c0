//! The task that holds the connection, and its two ends.

mod dial;
mod task;
pub(crate) mod tls;

use std::convert::Infallible;

use tokio::sync::mpsc;

use crate::error::{Closed, TryPublishError};
use crate::event::{Event, Message};
use crate::options::Options;

/// Starts the task that connects and reconnects until every [`Publisher`] is dropped, or
/// [`Events`] is. Must be called within a tokio runtime.
///
/// When the last [`Publisher`] goes, what is queued is still sent if there is a connection (for at
/// most two seconds), then the broker is told goodbye, so that it does not publish the will, and
/// [`Events::next`] answers `None`.
#[must_use]
pub fn open(options: Options) -> (Publisher, Events) {
    let (queue, messages) = mpsc::channel(options.queue.max(1));
    let (alive, publishers) = mpsc::channel(1);
    let (events, receiver) = mpsc::channel(options.queue.max(1));
    tokio::spawn(task::Task::new(options, messages, publishers, events).run());
    (Publisher { queue, _alive: alive }, Events { receiver })
}

/// The end into which messages go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    queue: mpsc::Sender<Message>,
    /// Tells the task, by its closing, that nobody is left.
    _alive: mpsc::Sender<Infallible>,
}

impl Publisher {
    /// Queues a message, QoS 1. Waits while the queue is full, which it stays as long as there is
    /// no connection. A task that also takes the [`Events`] must use [`Self::try_publish`]: waiting
    /// here while nobody takes events would wait for itself.
    ///
    /// # Errors
    /// When the connection's task has ended.
    pub async fn publish(&self, message: Message) -> Result<(), Closed> {
        self.queue.send(message).await.map_err(|_| Closed)
    }

    /// Queues a message, QoS 1, without waiting.
    ///
    /// # Errors
    /// When the queue is full or the connection's task has ended.
    pub fn try_publish(&self, message: Message) -> Result<(), TryPublishError> {
        self.queue.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(message) => TryPublishError::Full(message),
            mpsc::error::TrySendError::Closed(message) => TryPublishError::Closed(message),
        })
    }

    /// How many more messages the queue takes right now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.queue.capacity()
    }
}

/// The end from which events come. While nobody takes them, nothing more is read from the broker.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` after the connection was closed for good. Safe to cancel.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}
