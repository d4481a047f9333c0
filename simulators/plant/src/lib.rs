//! A small data hall that obeys physics, behind devices that speak their own protocols.
pub mod devices;
pub mod fault;
pub mod noise;
pub mod physics;
mod registers;
