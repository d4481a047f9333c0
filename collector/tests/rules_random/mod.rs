//! What the tests with random rules share: chance, seeds, and how two engines are compared.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;

use hallwatch_collector::rules::{Evaluation, RuleSet, View, load};
use hallwatch_model::Labels;

/// A xorshift generator: small, seeded, the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.below(2);
        }
        random
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub(crate) fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::try_from(self.below(u64::try_from(of.len()).unwrap())).unwrap()]
    }

    /// What a sensor may say.
    pub(crate) fn value(&mut self) -> f64 {
        [0.0, 0.5, 2.0, 3.0, 4.0][usize::try_from(self.below(5)).unwrap()]
    }
}

/// `HALLWATCH_ORACLE_SEEDS=7,8,9` runs other seeds, `HALLWATCH_ORACLE_SEEDS=0..5000` many.
pub(crate) fn seeds(usual: std::ops::Range<u64>) -> Vec<u64> {
    let Ok(text) = std::env::var("HALLWATCH_ORACLE_SEEDS") else { return usual.collect() };
    match text.split_once("..") {
        Some((from, to)) => (from.parse().unwrap()..to.parse().unwrap()).collect(),
        None => text.split(',').map(|seed| seed.parse().unwrap()).collect(),
    }
}

pub(crate) fn rules(text: &str) -> RuleSet {
    load(&[("rules.yaml", text)]).unwrap_or_else(|invalid| panic!("{invalid}\n{text}"))
}

/// What is written, by series.
pub(crate) fn samples(evaluations: &[Evaluation]) -> BTreeMap<Labels, String> {
    let all = evaluations.iter().flat_map(|evaluation| &evaluation.samples);
    all.map(|(labels, sample)| (labels.clone(), format!("{sample:?}"))).collect()
}

/// What is shown of alerts.
pub(crate) fn shown(view: &View) -> Vec<String> {
    let rules = view.groups.iter().flat_map(|group| &group.rules);
    rules.map(|rule| format!("{} {:?} {:?}", rule.name, rule.health, rule.alerting)).collect()
}
