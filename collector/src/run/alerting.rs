//! The thread that evaluates rules and decides who is told: engine, router and their state.
//!
//! What changed, and what is to be sent, is on disk before anybody acts on it.

use std::sync::{Arc, Mutex, PoisonError};

use hallwatch_model::{Labels, Timestamp};
use tokio::sync::mpsc;

use super::core::Evaluated;
use super::forms;
use crate::clock;
use crate::notify::Router;
use crate::rules::{AlertState, Engine, Transition};
use crate::state::{self, State};
use crate::store::Reader;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Evaluate the rules as of now.
    Evaluate(Timestamp),
    /// A notification to this receiver, about the group with these labels, was given up.
    GivenUp(String, Labels),
}

/// What the thread owns.
pub(super) struct Alerting {
    pub(super) engine: Engine,
    pub(super) router: Router,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) reader: Reader,
}

impl Alerting {
    /// Works until nobody asks any more.
    ///
    /// # Errors
    /// When the state cannot be written: what the engine knows is ahead of the disk then, and only
    /// a restart sets that right.
    pub(super) fn work(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        done: &mpsc::Sender<Evaluated>,
    ) -> Result<(), state::Error> {
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::GivenUp(receiver, labels) => self.router.failed(&receiver, &labels),
                Command::Evaluate(now) => {
                    let evaluated = self.evaluate(now)?;
                    if done.blocking_send(evaluated).is_err() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, now: Timestamp) -> Result<Evaluated, state::Error> {
        let began = clock::uptime();
        let evaluation = self.engine.evaluate(now, &self.reader);
        let notifications = self.router.handle(&evaluation.transitions, now);
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.commit(&evaluation, &mut self.router, &notifications)?;
        }
        for transition in &evaluation.transitions {
            log(transition);
        }
        let took = clock::uptime().since(began);
        let view = self.engine.view();
        Ok(Evaluated {
            samples: evaluation.samples,
            at: now,
            took,
            rules: Arc::new(forms::of_api(&view, took)),
            alerts: Arc::new(forms::of_page(&view)),
            notifications: notifications.len(),
            failing: forms::failing(&view),
        })
    }
}

/// Every change of an alert is in the log, with its reason.
fn log(transition: &Transition) {
    let Transition { alert, from, to, reason, .. } = transition;
    let (from, to) = (from.word(), to.word());
    if matches!(transition.to, AlertState::Firing | AlertState::Resolved) {
        tracing::info!(alert = %alert.labels, from, to, ?reason, "an alert changed");
    } else {
        tracing::debug!(alert = %alert.labels, from, to, ?reason, "an alert changed");
    }
}
