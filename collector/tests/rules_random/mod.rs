//! What the tests with random rules share: chance, seeds, and how two engines are compared.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;

use hallwatch_collector::rules::push::Timing;
use hallwatch_collector::rules::{
    Engine, Evaluation, Options, PushEngine, Received, RuleSet, SavedAlert, View, load,
};
use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::MemorySource;

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

/// The engine that samples push.
pub(crate) fn pushed(text: &str, saved: Vec<SavedAlert>, options: Options) -> PushEngine {
    PushEngine::new(rules(text), saved, options, Timing::default())
}

/// Both engines with the same rules and the same samples: they must agree at every step.
pub(crate) struct Both {
    text: String,
    options: Options,
    batch: Engine,
    pushed: PushEngine,
    source: MemorySource,
}

impl Both {
    pub(crate) fn new(text: &str, options: Options) -> Self {
        Self {
            text: text.to_owned(),
            options: options.clone(),
            pushed: pushed(text, Vec::new(), options.clone()),
            batch: Engine::new(rules(text), Vec::new(), options),
            source: MemorySource::new(),
        }
    }

    /// All `news` came `at` this time; what is written of it, and what is to be seen then.
    pub(crate) fn step(
        &mut self,
        news: &[(Labels, Sample)],
        at: Timestamp,
        place: &str,
    ) -> (Evaluation, View) {
        for (labels, sample) in news {
            self.source.push(labels, sample.time, to_float(sample.value));
        }
        let received = Received { samples: news, watermark: None, backfill: false };
        let by_samples =
            [self.pushed.receive(received, at, &self.source), self.pushed.tick(at, &self.source)];
        let evaluation = self.batch.evaluate(at, &self.source);
        let view = self.batch.view();
        assert_eq!(samples(&by_samples), samples(std::slice::from_ref(&evaluation)), "{place}");
        assert_eq!(shown(&self.pushed.view()), shown(&view), "{place}");
        for (labels, sample) in &evaluation.samples {
            self.source.push(labels, at, to_float(sample.value));
        }
        (evaluation, view)
    }

    /// Both go on from what they save.
    pub(crate) fn restart(&mut self, at: Timestamp, place: &str) {
        let (pushed_saved, batch_saved) = (self.pushed.save(), self.batch.save());
        assert_eq!(sorted(pushed_saved.clone()), sorted(batch_saved.clone()), "{place}");
        self.pushed = pushed(&self.text, pushed_saved, self.options.clone());
        self.pushed.seed(at, &self.source).unwrap();
        self.batch = Engine::new(rules(&self.text), batch_saved, self.options.clone());
    }
}

fn sorted(mut alerts: Vec<SavedAlert>) -> String {
    alerts.sort_by(|a, b| (&a.rule, &a.alert.labels).cmp(&(&b.rule, &b.alert.labels)));
    format!("{alerts:?}")
}

/// What is written, by series.
fn samples(evaluations: &[Evaluation]) -> BTreeMap<Labels, String> {
    let all = evaluations.iter().flat_map(|evaluation| &evaluation.samples);
    all.map(|(labels, sample)| (labels.clone(), format!("{sample:?}"))).collect()
}

/// What is shown of alerts.
fn shown(view: &View) -> Vec<String> {
    let rules = view.groups.iter().flat_map(|group| &group.rules);
    rules.map(|rule| format!("{} {:?} {:?}", rule.name, rule.health, rule.alerting)).collect()
}
