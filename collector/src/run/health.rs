//! How each part of the collector is: what `/readyz` and the foot of the page say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::page::Health;

/// Where the parts say how they are. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    parts: Arc<Mutex<BTreeMap<String, (bool, String)>>>,
    shown: watch::Sender<Arc<Vec<Health>>>,
}

impl Board {
    /// No part has said anything.
    pub(crate) fn new() -> Self {
        Self { parts: Arc::default(), shown: watch::Sender::new(Arc::default()) }
    }

    /// Where it can be read.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Vec<Health>>> {
        self.shown.subscribe()
    }

    /// What is said right now.
    pub(crate) fn all(&self) -> Vec<Health> {
        self.shown.borrow().to_vec()
    }

    /// `part` does its work, or does not; logged when that changes.
    pub(crate) fn set(&self, part: &str, ok: bool, text: impl Into<String>) {
        let text = text.into();
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = parts.insert(part.to_owned(), (ok, text.clone()));
        if before.as_ref() == Some(&(ok, text.clone())) {
            return;
        }
        match (before.map(|before| before.0), ok) {
            (Some(true) | None, false) => tracing::warn!(part, "{text}"),
            (Some(false), true) => tracing::info!(part, "{text}"),
            _ => {}
        }
        let all = parts.iter().map(|(part, (ok, text))| Health {
            part: part.clone(),
            ok: *ok,
            text: text.clone(),
            essential: matches!(part.as_str(), "broker" | "rules" | "store"),
        });
        let all = Arc::new(all.collect());
        drop(parts);
        self.shown.send_replace(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_latest_of_each_part() {
        let board = Board::new();
        board.set("store", true, "ok");
        board.set("broker", false, "no connection");
        board.set("broker", true, "connected");
        let all: Vec<(String, bool)> =
            board.all().into_iter().map(|part| (part.part, part.ok)).collect();
        assert_eq!(all, [("broker".to_owned(), true), ("store".to_owned(), true)]);
    }
}
