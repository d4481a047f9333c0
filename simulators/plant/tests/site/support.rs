//! A plant on loopback for one test.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ::modbus::Transport;
use hallwatch_plant::{Broker, DeviceId, Options, Plant, Running, ServeOptions};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Runs until it is dropped.
pub(crate) struct Site {
    pub(crate) plant: Plant,
    pub(crate) runtime: Runtime,
    running: Option<Running>,
    stop: Option<oneshot::Sender<()>>,
}

impl Site {
    /// A plant whose time hardly moves unless the test steps it.
    pub(crate) fn start() -> Self {
        Self::with(Options { seed: 42, speed: 0.1 }, None)
    }

    pub(crate) fn with(options: Options, broker: Option<Broker>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let plant = Plant::new(options).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = ServeOptions { broker, ..ServeOptions::default() };
        let running = runtime.block_on(plant.serve(serve, async {
            let _ = stopped.await;
        }));
        Self { plant, runtime, running: Some(running.unwrap()), stop: Some(stop) }
    }

    pub(crate) fn address(&self, device: DeviceId) -> SocketAddr {
        let devices = self.plant.devices();
        devices.into_iter().find(|status| status.device == device).unwrap().address.unwrap()
    }

    pub(crate) fn client(&self, device: DeviceId) -> Transport {
        let config = ::modbus::Config {
            tcp_port: self.address(device).port(),
            tcp_connect_timeout: Some(Duration::from_secs(5)),
            tcp_read_timeout: Some(Duration::from_secs(5)),
            ..::modbus::Config::default()
        };
        Transport::new_with_cfg("127.0.0.1", config).unwrap()
    }

    /// Ends everything and checks that it ended soon, and that nobody listens any more.
    pub(crate) fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let addresses: Vec<_> =
            running.devices.iter().map(|status| status.address.unwrap()).collect();
        drop(self.stop.take());
        let finished =
            async { tokio::time::timeout(Duration::from_secs(5), running.finished()).await };
        self.runtime.block_on(finished).expect("drained within its grace period");
        for address in addresses {
            assert!(TcpStream::connect(address).is_err(), "{address} still listens");
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}
