//! Faults of the link by nftables: what a packet filter can do to it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::peers::program;

/// What is filtered on the interface of the runner's own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// Every connection is reset, and none is made.
    Cut,
    /// Everything is dropped.
    Partition,
    /// Three in ten packets are dropped, each way.
    Loss,
    /// What belongs to these ports of the other side is dropped.
    HalfOpen(Vec<u16>),
}

impl Barrier {
    fn table(&self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Partition => "partition",
            Self::Loss => "loss",
            Self::HalfOpen(_) => "half_open",
        }
    }

    /// The rules, for a link whose interface here is `interface`.
    fn rules(&self, interface: &str) -> String {
        let ports = |ports: &[u16]| {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            format!("{{ {} }}", ports.join(", "))
        };
        let (come, go) = match self {
            Self::Cut => ("meta l4proto tcp reject with tcp reset".to_owned(), "drop".to_owned()),
            Self::Partition => ("drop".to_owned(), "drop".to_owned()),
            Self::Loss => {
                let rule = "numgen random mod 100 < 30 drop".to_owned();
                (rule.clone(), rule)
            }
            // An empty set is no set.
            Self::HalfOpen(none) if none.is_empty() => ("accept".into(), "accept".into()),
            Self::HalfOpen(known) => (
                format!("tcp sport {} drop", ports(known)),
                format!("tcp dport {} drop", ports(known)),
            ),
        };
        format!(
            "table inet {} {{\n\
             chain come {{\n\
             type filter hook input priority 0\n\
             iifname \"{interface}\" {come}\n\
             }}\n\
             chain go {{\n\
             type filter hook output priority 0\n\
             oifname \"{interface}\" {go}\n\
             }}\n\
             }}\n",
            self.table()
        )
    }

    /// From now on.
    pub fn raise(&self, interface: &str) {
        let mut nft = Command::new(program("nft", "nftables"))
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("nft");
        let mut input = nft.stdin.take().expect("its input");
        input.write_all(self.rules(interface).as_bytes()).expect("rules");
        drop(input);
        assert!(nft.wait().expect("nft").success(), "{}", self.rules(interface));
    }

    /// Until now.
    pub fn lower(&self) {
        let status = Command::new(program("nft", "nftables"))
            .args(["delete", "table", "inet", self.table()])
            .status();
        assert!(status.expect("nft").success(), "{self:?} was not there");
    }
}
