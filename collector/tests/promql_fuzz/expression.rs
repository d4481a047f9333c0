//! Expressions as trees of text, which can be written for either release and made smaller.

use std::fmt::Write as _;

/// What kind of value an expression has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Vector,
    Matrix,
}

/// How well the answer is determined by the semantics of PromQL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Level {
    /// To the bit, and so is any sum: numbers of at most `whole` bits before and `parts` bits
    /// behind the point.
    Dyadic { whole: u32, parts: u32 },
    /// To the bit; but a sum depends on its order.
    Same,
    /// To the bit; but of a sum nothing is left but the largest.
    Huge,
    /// Up to a few last bits.
    Near,
}

impl Level {
    fn rank(self) -> u32 {
        match self {
            Self::Dyadic { .. } => 0,
            Self::Same => 1,
            Self::Huge => 2,
            Self::Near => 3,
        }
    }

    /// Exact, if the bits fit into a float.
    pub(crate) fn dyadic(whole: u32, parts: u32) -> Self {
        if whole + parts <= 50 { Self::Dyadic { whole, parts } } else { Self::Same }
    }

    /// The less determined one; of two sums of bits the larger.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Dyadic { whole: a, parts: b }, Self::Dyadic { whole: c, parts: d }) => {
                Self::dyadic(a.max(c), b.max(d))
            }
            (a, b) => {
                if a.rank() >= b.rank() {
                    a
                } else {
                    b
                }
            }
        }
    }
}

/// A piece of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// As it stands.
    Text(String),
    /// Only for the older release.
    Older(&'static str),
    /// The length of a window, in milliseconds, and whether it takes part in the result.
    Range { millis: i64, counts: bool },
    /// An expression.
    Child(Expr),
}

/// An expression.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) level: Level,
    pub(crate) parts: Vec<Part>,
    /// Whether the order of the answer to an instant query means something.
    pub(crate) ordered: bool,
}

/// For whom an expression is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Ours: windows are open on the left.
    Three,
    /// Debian's: windows are closed on the left.
    Two,
}

impl Expr {
    pub(crate) fn new(kind: Kind, level: Level, parts: Vec<Part>) -> Self {
        Self { kind, level, parts, ordered: false }
    }

    pub(crate) fn leaf(kind: Kind, level: Level, text: impl Into<String>) -> Self {
        Self::new(kind, level, vec![Part::Text(text.into())])
    }

    /// The text of it.
    pub(crate) fn text(&self, release: Release) -> String {
        let mut out = String::new();
        self.write(release, &mut out);
        out
    }

    fn write(&self, release: Release, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Older(text) if release == Release::Two => out.push_str(text),
                Part::Older(_) => {}
                Part::Range { millis, counts } => {
                    let shorter = release == Release::Two && !counts;
                    duration(out, millis - i64::from(shorter));
                }
                Part::Child(child) => child.write(release, out),
            }
        }
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = &Self> {
        self.parts.iter().filter_map(|part| match part {
            Part::Child(child) => Some(child),
            Part::Text(_) | Part::Older(_) | Part::Range { .. } => None,
        })
    }

    fn below(&self, out: &mut Vec<Self>) {
        for child in self.children() {
            out.push(child.clone());
            child.below(out);
        }
    }

    /// Whether `other` may stand in its place.
    fn fits(&self, other: &Self) -> bool {
        self.kind == other.kind && other.level.rank() <= self.level.rank()
    }

    /// Smaller expressions, the smallest first: a part of it in place of a larger one.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut below = Vec::new();
        self.below(&mut below);
        let mut all: Vec<Self> =
            below.iter().filter(|child| child.kind != Kind::Matrix).cloned().collect();
        for (at, part) in self.parts.iter().enumerate() {
            let Part::Child(child) = part else { continue };
            let mut under = Vec::new();
            child.below(&mut under);
            let fitting = under.into_iter().filter(|grandchild| child.fits(grandchild));
            for new in fitting.chain(child.smaller().into_iter().filter(|new| child.fits(new))) {
                let mut copy = self.clone();
                copy.parts[at] = Part::Child(new);
                all.push(copy);
            }
        }
        let mut sized: Vec<(usize, Self)> =
            all.into_iter().map(|expr| (expr.text(Release::Three).len(), expr)).collect();
        sized.sort_by_key(|(length, _)| *length);
        sized.dedup_by_key(|(_, expr)| expr.text(Release::Three));
        sized.into_iter().map(|(_, expr)| expr).take(200).collect()
    }
}

/// A duration of a window.
fn duration(out: &mut String, millis: i64) {
    let (seconds, rest) = (millis / 1000, millis % 1000);
    // Writing to a string does not fail.
    if seconds > 0 {
        let _ = write!(out, "{seconds}s");
    }
    if rest > 0 || seconds == 0 {
        let _ = write!(out, "{rest}ms");
    }
}
