//! What hangs on what at a site: the power path, the cooling zones, the uplinks.
//!
//! A [`Plan`] is what the configuration says. A [`Watch`] is told of every sample, knows from it how
//! each node is ([`Health`]), and writes how many paths each rack, units each zone and uplinks each
//! site has left, and what failed first. A [`Suppressor`] keeps from paging what only follows from an
//! alert that fires already. All of it is pure.
//!
//! What is missing makes a node *unknown*: neither healthy nor failed. So everything is counted
//! twice: `…_healthy` counts what is known to be good, `…_possible` what is not known to have failed.
//! The shipped rules page on the second and warn on the first.
//!
//! Reading order: [`plan`], `flow` (how many paths are independent), `facts` (what is seen of a
//! device, and what it says), [`watch`], [`suppress`].

mod facts;
mod flow;
pub mod plan;
pub mod suppress;
pub mod watch;

pub use facts::Health;
pub use plan::{Kind, Node, Plan, Power, Rack, Zone};
pub use suppress::{Suppressed, Suppressor};
pub use watch::Watch;
