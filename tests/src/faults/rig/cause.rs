//! What a fault does to the rig.

use std::process::Command;
use std::time::Duration;

use super::super::barrier::Barrier;
use super::super::plan::{Fault, Who};
use super::super::relay::Shape;
use super::{CORE, CORE_ADDRESS, EXCUSE, Rig, SITE_ADDRESS, inside};
use crate::disk;
use crate::pager::now;
use crate::peers::program;

impl Rig {
    fn at_site(&self, name: &str, package: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program(name, package));
        command.args(arguments);
        let output = inside(self.site.id(), &command).output().expect("nsenter");
        assert!(output.status.success(), "{name} {}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A fault begins.
    pub fn begin(&mut self, fault: Fault) {
        self.supervise();
        match fault {
            Fault::Kill(who) => {
                let managed = self.managed(who);
                managed.held += 1;
                managed.kill();
            }
            Fault::Restart { .. } | Fault::Away(_) => {
                let who = match fault {
                    Fault::Away(number) => Who::Collector(number),
                    _ => Who::Broker,
                };
                let managed = self.managed(who);
                managed.held += 1;
                managed.signal("TERM");
            }
            Fault::Cut => Barrier::Cut.raise(CORE),
            Fault::Partition => Barrier::Partition.raise(CORE),
            Fault::Loss => Barrier::Loss.raise(CORE),
            Fault::Delay => self.relay.shape(Shape {
                delay: Duration::from_millis(500),
                jitter: Duration::from_millis(200),
                loss: 0,
                duplicate: 5,
                overtake: 5,
            }),
            Fault::HalfOpen => {
                let list = ["-Htn", "state", "established", "dst", CORE_ADDRESS];
                let known = self.at_site("ss", "iproute2", &list);
                let prefix = format!("{SITE_ADDRESS}:");
                let ports = known.split_whitespace().filter_map(|word| word.strip_prefix(&prefix));
                let barrier = Barrier::HalfOpen(ports.filter_map(|p| p.parse().ok()).collect());
                barrier.raise(CORE);
                self.half_open = Some(barrier);
            }
            Fault::DiskFull(who) => {
                self.undurable(who);
                self.managed(who).excuse(Duration::from_secs(3_600));
                disk::fill(&self.disk(who));
            }
            Fault::ReadOnly(who) => {
                self.undurable(who);
                self.managed(who).excuse(Duration::from_secs(3_600));
                self.managed(who).kill();
                disk::remount(&self.disk(who), "ro");
                let directory = self.directory.clone();
                let managed = self.managed(who);
                if managed.held == 0 {
                    managed.start(&directory);
                }
            }
            Fault::Clock(seconds) => self.set_clock(seconds),
            Fault::Freeze(who) => {
                if who == Who::Agent {
                    self.frozen.push((now().as_millis(), i64::MAX));
                }
                self.managed(who).signal("STOP");
            }
        }
    }

    fn undurable(&mut self, who: Who) {
        if who == Who::Agent {
            self.undurable.push((now().as_millis(), i64::MAX));
        }
    }

    /// A fault ends.
    pub fn end(&mut self, fault: Fault) {
        self.supervise();
        let directory = self.directory.clone();
        let mut ended = std::mem::take(&mut self.ended);
        match fault {
            Fault::Kill(who) => {
                self.managed(who).release(&directory, &mut ended);
            }
            Fault::Restart { persistent } => {
                if let Some(process) = &mut self.broker.process
                    && process.status().is_some()
                {
                    self.broker.process = None;
                }
                if !persistent {
                    let _ = std::fs::remove_file(directory.join("broker/mosquitto.db"));
                }
                self.broker.release(&directory, &mut ended);
            }
            Fault::Away(number) => self.collectors[number].release(&directory, &mut ended),
            Fault::Cut => Barrier::Cut.lower(),
            Fault::Partition => Barrier::Partition.lower(),
            Fault::Loss => Barrier::Loss.lower(),
            Fault::Delay => self.relay.shape(Shape::default()),
            Fault::HalfOpen => self.half_open.take().iter().for_each(Barrier::lower),
            Fault::DiskFull(who) => {
                std::fs::remove_file(self.disk(who).join("fill")).expect("the filler");
                self.healed(who);
            }
            Fault::ReadOnly(who) => {
                disk::remount(&self.disk(who), "rw");
                self.healed(who);
            }
            Fault::Clock(_) => self.set_clock(0),
            Fault::Freeze(who) => {
                self.managed(who).signal("CONT");
                if let Some((_, to)) = self.frozen.last_mut().filter(|_| who == Who::Agent) {
                    *to = now().as_millis();
                }
            }
        }
        self.ended.extend(ended);
    }

    /// The disk is well: a process may take its time to notice.
    fn healed(&mut self, who: Who) {
        self.managed(who).excuse(EXCUSE);
        if let Some((_, to)) = self.undurable.last_mut().filter(|_| who == Who::Agent) {
            *to = now().as_millis() + i64::try_from(EXCUSE.as_millis()).unwrap_or(0);
        }
    }
}
