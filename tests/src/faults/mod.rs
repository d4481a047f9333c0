//! The fault runner: a whole site under a random, replayable mixture of faults, and an oracle that
//! afterwards compares everything that was read with everything that is stored.
//!
//! Reading order: `plan` (what happens when, from a seed alone), `dice` (its chance), `relay` and
//! `barrier` (the bad link), `witness` (devices whose every answer can be told from all others),
//! `rig` (the processes), `runner` (does what the plan says), `oracle` (pure: what is missing,
//! wrong, twice or unexplained), `verdict` (says so).

pub mod barrier;
pub mod dice;
pub mod oracle;
pub mod plan;
pub mod relay;
pub mod rig;
pub mod runner;
pub mod verdict;
pub mod witness;
