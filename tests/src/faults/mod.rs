//! The fault runner: a whole site under a random, replayable mixture of faults, and an oracle that
//! afterwards compares everything that was read with everything that is stored.
//!
//! Reading order: `plan` (what happens when, from a seed alone), `dice` (its chance), `relay` and
//! `barrier` (the bad link), `witness` (devices whose every answer can be told from all others),
//! `rig` (the processes, of which `managed` is one, what `configure` tells them, their `disk` and
//! `clock`, and what a fault does to them), `runner` (does what the plan says), `oracle` (pure: what is missing,
//! wrong, twice or unexplained), `verdict` (says so).

pub mod barrier;
mod clock;
mod configure;
pub mod dice;
mod managed;
pub mod oracle;
pub mod plan;
pub mod relay;
pub mod rig;
pub mod runner;
pub mod verdict;
pub mod witness;
