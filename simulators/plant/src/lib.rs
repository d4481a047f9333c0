//! A small data hall that obeys physics, behind devices that speak their own protocols.
//!
//! The hall ([`physics`]) is a pure, seeded model: utility, transfer switch, generator, two UPS,
//! racks, cooling, air, a door. [`Plant`] is the handle to one; [`Plant::serve`] lets time pass and
//! opens a Modbus TCP server for each device and an MQTT connection for each sensor station.
//! Faults are caused and ended by name, by hand, over HTTP ([`control`]) or by a [`Scenario`].
//!
//! The registers are written from the vendors' descriptions. This crate knows nothing of the agent,
//! its Modbus client or its profiles, so that a mistake on one side cannot hide one on the other.
//!
//! Reading order: [`physics`], [`fault`], [`devices`], [`plant`], [`scenario`], [`run`].

pub mod physics;

pub mod fault;
pub mod noise;

pub mod devices;
mod encode;
mod registers;

mod calendar;
mod report;
mod sensors;

pub mod plant;
pub mod scenario;

mod error;

mod io;
pub mod run;

pub use devices::DeviceId;
pub use error::Error;
pub use fault::Fault;
pub use io::control;
pub use io::mqtt::Broker;
pub use plant::{DeviceStatus, FaultStatus, Options, Plant};
pub use run::{Running, ServeOptions};
pub use scenario::Scenario;
