//! The plant on the network: time that passes, servers and sensors, all owned, all ended together.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::devices::DeviceId;
use crate::error::Error;
use crate::io::mqtt::{self, Broker};
use crate::io::{Clock, modbus, unix_seconds};
use crate::physics::STEP;
use crate::plant::{DeviceStatus, Plant};
use crate::sensors::{Station, StationKind};

/// The most plant time that one tick may catch up; a machine that is slower than that lets the
/// plant fall behind rather than stand still.
const CATCH_UP: Duration = Duration::from_secs(200);

/// Where the plant meets the network.
#[derive(Debug, Default)]
pub struct ServeOptions {
    /// Listeners of the devices; a device without one gets a free port on 127.0.0.1.
    pub listeners: BTreeMap<DeviceId, TcpListener>,
    /// Where the sensors publish; without one they are silent.
    pub broker: Option<Broker>,
}

/// A plant that is being served.
#[derive(Debug)]
pub struct Running {
    /// The devices and their addresses.
    pub devices: Vec<DeviceStatus>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Waits until everything has ended, which it does after the shutdown future has.
    pub async fn finished(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the plant ended badly");
            }
        }
    }
}

impl Plant {
    /// Lets time pass and opens the devices and sensors, until `shutdown` completes.
    ///
    /// # Errors
    /// [`Error::Listen`] if a device gets no socket; nothing is left open then.
    pub async fn serve(
        &self,
        mut options: ServeOptions,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Running, Error> {
        let mut bound = Vec::new();
        for device in DeviceId::ALL {
            bound.push((device, listen(device, options.listeners.remove(&device)).await?));
        }
        self.set_clock(unix_seconds());
        let (stopper, stop) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for (device, (listener, address)) in bound {
            self.set_address(device, address);
            tasks.spawn(modbus::serve(self.clone(), device, listener, stop.clone()));
        }
        let clock = Clock::start();
        if let Some(broker) = options.broker.map(Arc::new) {
            use StationKind::{BadgeReader, Router, Tasmota, Zigbee};
            for kind in [Zigbee, Tasmota, BadgeReader, Router] {
                let (plant, broker) = (self.clone(), Arc::clone(&broker));
                tasks.spawn(mqtt::keep(plant, broker, Station::new(kind), clock, stop.clone()));
            }
        }
        tasks.spawn(pass_time(self.clone(), clock, stop));
        tasks.spawn(async move {
            shutdown.await;
            // Nobody listening any more means that everything has ended already.
            let _ = stopper.send(true);
        });
        Ok(Running { devices: self.devices(), tasks })
    }
}

async fn listen(
    device: DeviceId,
    given: Option<TcpListener>,
) -> Result<(TcpListener, SocketAddr), Error> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let failed = |source| Error::Listen { device, address: free, source };
    let listener = match given {
        Some(listener) => listener,
        None => TcpListener::bind(free).await.map_err(failed)?,
    };
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Plant time follows the clock, multiplied by the speed.
async fn pass_time(plant: Plant, clock: Clock, mut stop: watch::Receiver<bool>) {
    let mut tick = interval(STEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = clock.elapsed();
    let mut owed = Duration::ZERO;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = tick.tick() => {}
        }
        let now = clock.elapsed();
        owed = (owed + now.saturating_sub(last).mul_f64(plant.speed())).min(CATCH_UP);
        last = now;
        plant.set_clock(unix_seconds());
        // Whole steps only, so that the physics does not depend on the machine's load.
        while owed >= STEP {
            plant.step(STEP);
            owed -= STEP;
        }
    }
}
