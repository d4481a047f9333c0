//! A question for both.

use crate::compare::differ;
use crate::dice::Dice;
use crate::differences::is_known;
use crate::expression::{Expr, Release};
use crate::grammar::Grammar;
use crate::prometheus::{Pair, Reply, T0, ask};

/// When an expression is evaluated.
#[derive(Clone, Debug)]
pub(crate) enum When {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// An expression and when it is evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) expr: Expr,
    pub(crate) when: When,
    /// The text with something wrong in it, of which only the status is compared.
    pub(crate) broken: Option<String>,
}

/// What two servers said to a case.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) ours: Reply,
    pub(crate) theirs: Reply,
}

impl Case {
    /// The case of this number.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut dice = Dice::new(seed, number);
        let expr = Grammar(&mut dice).query();
        // On the samples, and between them.
        let start = T0 + dice.between(-8, 440) * 15_000 + dice.pick(&[0, 0, 371]);
        let when = if dice.one_in(2) {
            When::At(start)
        } else {
            let step = dice.pick(&[15_000, 15_000, 60_000, 37_000, 300_000, 450_000, 1_500]);
            When::Range {
                start,
                end: start + dice.between(0, 40) * step + dice.pick(&[0, 11]),
                step,
            }
        };
        let broken = dice.one_in(10).then(|| broken(&mut dice, &expr.text(Release::Three)));
        Self { expr, when, broken }
    }

    /// What is wrong with the answers, if anything.
    pub(crate) fn differ(&self, answers: &Answers) -> Option<String> {
        let (ours, theirs) = (&answers.ours, &answers.theirs);
        if self.broken.is_none() {
            return differ(&self.expr, ours, theirs);
        }
        (ours.status != theirs.status || ours.body["errorType"] != theirs.body["errorType"])
            .then(|| "another status".into())
    }

    /// Asks both.
    pub(crate) async fn ask(&self, pair: &Pair) -> Answers {
        let text = |release| self.broken.clone().unwrap_or_else(|| self.expr.text(release));
        let (ours, theirs) = (text(Release::Three), text(Release::Two));
        let (ours, theirs) =
            tokio::join!(self.send(&pair.ours, &ours), self.send(&pair.theirs, &theirs));
        Answers { ours, theirs }
    }

    /// Asks Prometheus.
    pub(crate) async fn ask_theirs(&self, pair: &Pair) -> Reply {
        self.send(&pair.theirs, &self.expr.text(Release::Two)).await
    }

    async fn send(&self, base: &str, query: &str) -> Reply {
        match self.when {
            When::At(time) => {
                let parameters = [("query", query), ("time", &seconds(time))];
                ask(base, "POST", "/api/v1/query", &parameters).await
            }
            When::Range { start, end, step } => {
                let (start, end, step) = (seconds(start), seconds(end), seconds(step));
                let parameters =
                    [("query", query), ("start", &start), ("end", &end), ("step", &step)];
                ask(base, "POST", "/api/v1/query_range", &parameters).await
            }
        }
    }

    /// The smallest case found that fails, too, with its difference and answers.
    pub(crate) async fn shrunk(self, pair: &Pair, limit: usize) -> (Self, String, Answers) {
        let answers = self.ask(pair).await;
        let different = self.differ(&answers).unwrap_or_default();
        let is_broken = self.broken.is_some();
        let mut best = (self, different, answers);
        let mut asked = 0;
        'again: while asked < limit && !is_broken {
            let mut candidates = Vec::new();
            if let When::Range { start, end, step } = best.0.when {
                let times = (0..).map(|i| start + i * step).take_while(|time| *time <= end);
                candidates
                    .extend(times.map(|time| Self { when: When::At(time), ..best.0.clone() }));
            }
            let smaller = best.0.expr.smaller().into_iter();
            candidates.extend(smaller.map(|expr| Self { expr, ..best.0.clone() }));
            for candidate in candidates {
                asked += 1;
                let answers = candidate.ask(pair).await;
                if let Some(different) = candidate.differ(&answers)
                    && !is_known(&candidate, &answers, pair).await
                {
                    best = (candidate, different, answers);
                    continue 'again;
                }
                if asked >= limit {
                    break;
                }
            }
            break;
        }
        best
    }
}

/// A character too much, too little, or another one; or a word for another.
fn broken(dice: &mut Dice, text: &str) -> String {
    const WORDS: [(&str, &str); 14] = [
        ("[", "[-"),
        ("s]", "]"),
        (":", ""),
        ("by", "on"),
        ("on", "by"),
        ("(", "(1, "),
        (")", ", 1)"),
        ("rate", "ratio"),
        ("=~", "=~~"),
        ("\"", "'"),
        ("offset", "@"),
        ("bool", ""),
        ("group_left", "group_both"),
        ("==", "== bool"),
    ];
    let mut letters: Vec<char> = text.chars().collect();
    let at = usize::try_from(dice.below(letters.len() as u64)).unwrap();
    match dice.below(4) {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        2 => {
            letters.insert(at, dice.pick(&['(', ')', '[', '{', '"', ',', '-', '+', '0', ' ', '}']))
        }
        _ => {
            let (word, other) = dice.pick(&WORDS);
            return text.replacen(word, other, 1);
        }
    }
    letters.into_iter().collect()
}

fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.broken {
            Some(text) => writeln!(f, "{text}")?,
            None => writeln!(f, "{}", self.expr.text(Release::Three))?,
        }
        match self.when {
            When::At(time) => write!(f, "at {}", seconds(time)),
            When::Range { start, end, step } => {
                write!(f, "from {} to {} by {}", seconds(start), seconds(end), seconds(step))
            }
        }
    }
}
