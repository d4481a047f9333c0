//! A unit that answers some reads and never one, as many do with registers that they do not have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_modbus::framing::crc;
use hallwatch_model::Missing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::Running;
use crate::support::{Broker, Collector, Held, Site, until};

/// All units, and the one that drops questions for [`DROPPED`].
const UNITS: [u8; 4] = [1, 2, 3, 4];
const PARTLY: u8 = 3;
const READ: u16 = 0;
const DROPPED: u16 = 300;
const INTERVAL: Duration = Duration::from_millis(500);

/// Behind a converter to a serial line. Every register holds a thousand times the unit and one more
/// in the second block.
#[derive(Clone, Default)]
struct Units {
    /// By unit and first address.
    asked: Arc<Mutex<BTreeMap<(u8, u16), usize>>>,
    /// Nothing is dropped any more.
    whole: Arc<Mutex<bool>>,
}

impl Units {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let units = self.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let units = units.clone();
                tokio::spawn(async move {
                    let mut question = [0; 8];
                    while stream.read_exact(&mut question).await.is_ok() {
                        let Some(frame) = units.answer(question) else { continue };
                        sleep(Duration::from_millis(5)).await;
                        if stream.write_all(&frame).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn answer(&self, question: [u8; 8]) -> Option<Vec<u8>> {
        let [unit, function, a1, a2, c1, c2, low, high] = question;
        assert_eq!(crc(&question[..6]).to_le_bytes(), [low, high], "{question:02x?}");
        let (address, count) = (u16::from_be_bytes([a1, a2]), u16::from_be_bytes([c1, c2]));
        assert_eq!((function, count), (3, 1));
        *self.asked.lock().unwrap().entry((unit, address)).or_default() += 1;
        if unit == PARTLY && address == DROPPED && !*self.whole.lock().unwrap() {
            return None;
        }
        let [high, low] = (1_000 * u16::from(unit) + u16::from(address == DROPPED)).to_be_bytes();
        let mut frame = vec![unit, 3, 2, high, low];
        frame.extend(crc(&frame).to_le_bytes());
        Some(frame)
    }

    /// How often they were asked since this was last called.
    fn take(&self) -> BTreeMap<(u8, u16), usize> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn values(held: &Held, unit: u8, phase: &str) -> Vec<Result<f64, Missing>> {
    let device = format!("meter-{unit}");
    held.values("meter_voltage_volts", &[("device", &device), ("phase", phase)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_never_answered_costs_neither_the_unit_nor_its_neighbours_their_turns() {
    let units = Units::default();
    let address = units.start().await;
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let mut text = format!(
        "[[line]]\nname = \"bus\"\nrtu_over_tcp = {{ address = \"{address}\" }}\n\
         timeout = \"150ms\"\nmin_timeout = \"150ms\"\nquiet_time = \"150ms\"\n"
    );
    for unit in UNITS {
        text.push_str(&format!(
            "[[device]]\nname = \"meter-{unit}\"\ninterval = \"{}ms\"\n\
             modbus = {{ line = \"bus\", unit = {unit}, profile = \"./own.toml\" }}\n",
            INTERVAL.as_millis()
        ));
    }
    let site = Site::new(&broker, &text);
    let point = |name: &str, address: u16| {
        format!(
            "[[point]]\nname = \"{name}\"\ntable = \"holding\"\naddress = {address}\n\
             type = \"u16\"\nmetric = \"meter_voltage_volts\"\nlabels = {{ phase = \"{name}\" }}\n"
        )
    };
    // The one that is dropped is the first that the plan would have.
    let own = format!(
        "manufacturer = \"Example\"\nmodel = \"Box\"\nkind = \"power_meter\"\n\
         confidence = \"high\"\n{}{}",
        point("b", DROPPED),
        point("a", READ)
    );
    std::fs::write(site.directory.path().join("own.toml"), own).unwrap();
    let agent = Running::start(&site);

    // It is asked in its turns until it is known that it is not answered, and then no more.
    until("a read that is put aside", || {
        let asked = units.asked.lock().unwrap();
        let of = |address| asked.get(&(PARTLY, address)).copied().unwrap_or_default();
        (of(READ) >= of(DROPPED) + 10).then_some(())
    })
    .await;
    units.take();
    sleep(20 * INTERVAL).await;
    let asked = units.take();
    let of = |unit, address| asked.get(&(unit, address)).copied().unwrap_or_default();
    for unit in UNITS {
        // A loaded machine may skip a few.
        assert!(of(unit, READ) >= 12, "unit {unit}: {asked:?}");
    }
    let retried = of(PARTLY, DROPPED);
    assert!(retried <= 5, "it is tried again seldom: {asked:?}");
    collector.read(|held| {
        let missing = values(held, PARTLY, "b");
        assert!(missing.len() >= 10, "a point that is not read is told of: {missing:?}");
        assert!(missing.iter().all(|value| *value == Err(Missing::Timeout)), "{missing:?}");
        let reason = [("device", "meter-3"), ("reason", "timeout")];
        let failed = held.last("device_errors_total", &reason).unwrap().unwrap();
        assert!(failed <= 6.0, "what is not asked for does not fail: {failed}");
        let labels = [("device", "meter-3")];
        let up = held.values("device_up", &labels);
        assert!(!up.is_empty() && up.iter().all(|value| *value == Ok(1.0)), "{up:?}");
        assert!(values(held, PARTLY, "a").iter().all(|value| value.is_err() || *value == Ok(3e3)));
    });

    *units.whole.lock().unwrap() = true;
    let back = |held: &Held| {
        let good = values(held, PARTLY, "b").into_iter().filter(|value| *value == Ok(3001.0));
        (good.count() >= 3).then_some(())
    };
    // Its pause is thirty seconds at most, and then there is time for it on this line.
    for _ in 0..60 {
        if collector.read(back).is_some() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    collector.until("values of the read that was put aside", back).await;
    agent.stop().await;
    collector.read(|held| {
        for unit in UNITS {
            let right = f64::from(unit) * 1e3;
            let good = |phase| values(held, unit, phase).into_iter().flatten().collect::<Vec<_>>();
            assert!(good("a").iter().all(|value| *value == right), "unit {unit}");
            assert!(good("b").iter().all(|value| *value == right + 1.0), "unit {unit}");
        }
    });
}
