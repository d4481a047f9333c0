//! What can be wrong with a request to the plant.

use std::io;
use std::net::SocketAddr;

use crate::devices::DeviceId;

/// Why the plant did not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such fault.
    #[error("no fault named `{name}`; known are {}", known.join(", "))]
    UnknownFault {
        /// What was asked for.
        name: String,
        /// Every fault there is.
        known: Vec<String>,
    },
    /// There is no such device.
    #[error("no device named `{name}`; known are {}", known.join(", "))]
    UnknownDevice {
        /// What was asked for.
        name: String,
        /// Every device there is.
        known: Vec<String>,
    },
    /// The device has no such register.
    #[error("{device} has no register {address}")]
    UnknownRegister {
        /// The device.
        device: DeviceId,
        /// The wire address.
        address: u16,
    },
    /// There is no such built-in scenario.
    #[error("no scenario named `{name}`; known are {}", known.join(", "))]
    UnknownScenario {
        /// What was asked for.
        name: String,
        /// Every built-in scenario.
        known: Vec<String>,
    },
    /// A scenario has problems: all of them, with their places.
    #[error(transparent)]
    Scenario(#[from] hallwatch_config::Invalid),
    /// Plant time cannot run at this speed.
    #[error("speed {speed} is not within 0.1 and 1000")]
    Speed {
        /// What was asked for.
        speed: f64,
    },
    /// No socket could be opened for a device.
    #[error("listening on {address} for {device}")]
    Listen {
        /// The device.
        device: DeviceId,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
