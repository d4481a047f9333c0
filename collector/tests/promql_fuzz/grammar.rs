//! Random expressions: every function, aggregation and operator that Prometheus 2.42 has.

use crate::dice::Dice;
use crate::expression::{Expr, Kind, Level, Part, Release};
use crate::prometheus::T0;

/// What an expression is made of is chosen here.
pub(crate) struct Grammar<'a>(pub(crate) &'a mut Dice);

/// Whether a function that jumps may follow: only where no bit is in doubt.
fn is_exact(level: Level) -> bool {
    level != Level::Near
}

fn text(text: impl Into<String>) -> Part {
    Part::Text(text.into())
}

fn child(expr: Expr) -> Part {
    Part::Child(expr)
}

/// What a sum (or a mean, `mean`) of so many values of a level is.
fn summed(level: Level, bits: u32, mean: bool) -> Level {
    match level {
        Level::Dyadic { whole, parts } if !mean => Level::dyadic(whole + bits, parts),
        _ => Level::Near,
    }
}

impl Grammar<'_> {
    /// A query: a vector mostly, sometimes a scalar.
    pub(crate) fn query(&mut self) -> Expr {
        let depth = self.0.pick(&[1, 2, 2, 3, 3, 4]);
        match self.0.below(20) {
            0 => self.scalar(depth),
            1 => {
                let name = self.0.pick(&["sort", "sort_desc"]);
                let inner = self.exact(depth);
                let mut expr = Expr::new(
                    Kind::Vector,
                    inner.level,
                    vec![text(format!("{name}(")), child(inner), text(")")],
                );
                expr.ordered = true;
                expr
            }
            _ => self.vector(depth),
        }
    }

    fn vector(&mut self, depth: u32) -> Expr {
        if depth == 0 {
            return self.selector();
        }
        match self.0.below(22) {
            0 => self.selector(),
            1..=5 => self.window_function(depth),
            6..=9 => self.aggregation(depth),
            10..=13 => self.operation(depth),
            14 | 15 => self.map(depth),
            16 => self.date(depth),
            17 => self.relabel(depth),
            18 => self.bounds(depth),
            19 => self.histogram(),
            20 => self.other(depth),
            _ => self.negated(depth),
        }
    }

    /// A vector of which no bit is in doubt.
    fn exact(&mut self, depth: u32) -> Expr {
        for _ in 0..20 {
            let expr = self.vector(depth);
            if is_exact(expr.level) {
                return expr;
            }
        }
        self.selector()
    }

    /// A vector that may be added up.
    fn moderate(&mut self, depth: u32) -> Expr {
        for _ in 0..20 {
            let expr = self.vector(depth);
            if expr.level != Level::Huge {
                return expr;
            }
        }
        self.plain("g", Level::dyadic(7, 2))
    }

    fn scalar(&mut self, depth: u32) -> Expr {
        match self.0.below(if depth == 0 { 7 } else { 10 }) {
            0..=4 => self.number(),
            5 => Expr::leaf(Kind::Scalar, Level::Same, self.0.pick(&["time()", "pi()"])),
            6 => Expr::leaf(
                Kind::Scalar,
                Level::Huge,
                self.0.pick(&["Inf", "-Inf", "NaN", "1e308", "-0", "0x1F", "1e-320", "017", "+3"]),
            ),
            7 | 8 => {
                let inner = self.exact(depth - 1);
                let level = inner.level;
                Expr::new(Kind::Scalar, level, vec![text("scalar("), child(inner), text(")")])
            }
            _ => {
                let (a, b) = (self.scalar(depth - 1), self.scalar(depth - 1));
                let operator = self.0.pick(&["+", "-", "*", "/", "%", "== bool", "< bool"]);
                let level = match arithmetic(operator, a.level, b.level) {
                    Level::Near => return a,
                    level => level,
                };
                let parts =
                    vec![text("("), child(a), text(format!(" {operator} ")), child(b), text(")")];
                Expr::new(Kind::Scalar, level, parts)
            }
        }
    }

    /// A scalar for an aggregation, without `@`: see the table of differences.
    fn parameter(&mut self, depth: u32) -> Expr {
        let scalar = self.scalar(depth);
        if scalar.text(Release::Three).contains('@') { self.number() } else { scalar }
    }

    fn number(&mut self) -> Expr {
        let number =
            self.0.pick(&["0", "1", "2", "3", "-1", "0.5", "10", "100", "0.25", "-2.5", "4"]);
        Expr::leaf(Kind::Scalar, Level::dyadic(7, 2), number)
    }

    fn selector(&mut self) -> Expr {
        let (name, level) = self.metric();
        self.plain(name, level)
    }

    fn plain(&mut self, name: &str, level: Level) -> Expr {
        let matchers = self.matchers(name);
        let shift = self.shift();
        Expr::leaf(Kind::Vector, level, format!("{matchers}{shift}"))
    }

    fn metric(&mut self) -> (&'static str, Level) {
        self.0.pick(&[
            ("c_total", Level::dyadic(23, 0)),
            ("c_total", Level::dyadic(23, 0)),
            ("fresh_total", Level::dyadic(13, 0)),
            ("g", Level::dyadic(7, 2)),
            ("g", Level::dyadic(7, 2)),
            ("g", Level::dyadic(7, 2)),
            ("temp", Level::dyadic(7, 2)),
            ("s", Level::dyadic(2, 0)),
            ("s", Level::dyadic(2, 0)),
            ("info", Level::dyadic(1, 0)),
            ("odd", Level::dyadic(2, 1)),
            ("huge", Level::Huge),
            ("h_bucket", Level::dyadic(21, 0)),
            ("h_count", Level::dyadic(21, 0)),
            ("lone", Level::dyadic(1, 0)),
            ("nothing", Level::dyadic(1, 0)),
        ])
    }

    fn matchers(&mut self, name: &str) -> String {
        const MATCHERS: [&str; 16] = [
            r#"job="api""#,
            r#"job!="api""#,
            r#"job=~"a.*""#,
            r#"job!~"d.""#,
            r#"instance="0""#,
            r#"instance=~"0|2""#,
            r#"instance!~"[01]""#,
            r#"instance=~"(1|2)?""#,
            r#"zone="""#,
            r#"zone!="""#,
            r#"zone=~".+""#,
            r#"zone=~"ü.*""#,
            r#"zone=~"(?i:A|B)""#,
            r#"version=~"v[1]""#,
            r#"le=~"1|2[.]5""#,
            r#"job=~"api|db|x""#,
        ];
        let mut all: Vec<String> = Vec::new();
        while self.0.one_in(3) && all.len() < 3 {
            all.push(self.0.pick(&MATCHERS).to_owned());
        }
        if self.0.one_in(25) {
            all.push(format!(r#"__name__="{name}""#));
            return format!("{{{}}}", all.join(","));
        }
        if all.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", all.join(",")) }
    }

    /// `@` and `offset`, seldom.
    fn shift(&mut self) -> String {
        let at = self.0.between(0, 400) * 15;
        let base = T0 / 1000;
        let at = match self.0.below(30) {
            0 => format!(" @ {}", base + at),
            1 => format!(" @ {}.371", base + at),
            2 => " @ start()".into(),
            3 => " @ end()".into(),
            _ => String::new(),
        };
        let offset = match self.0.below(14) {
            0 => self.0.pick(&[" offset 1m", " offset 5m", " offset 45s", " offset 1h"]),
            1 => self.0.pick(&[" offset -1m", " offset -7m"]),
            _ => "",
        };
        if self.0.one_in(2) { format!("{at}{offset}") } else { format!("{offset}{at}") }
    }

    /// A window over samples or over a subquery.
    fn matrix(&mut self, depth: u32) -> Expr {
        if depth > 0 && self.0.one_in(3) {
            let inner = self.vector(depth - 1);
            return self.subquery(inner, false);
        }
        let (name, level) = self.metric();
        self.window(name, level, false)
    }

    fn window(&mut self, name: &str, level: Level, counts: bool) -> Expr {
        let matchers = self.matchers(name);
        let shift = self.shift();
        let millis = self.range(counts);
        let parts = vec![
            text(format!("{matchers}[")),
            Part::Range { millis, counts },
            text(format!("]{shift}")),
        ];
        Expr::new(Kind::Matrix, level, parts)
    }

    /// Where the length of the window takes part in the result it cannot be rewritten: then its edge
    /// never meets a sample.
    fn range(&mut self, counts: bool) -> i64 {
        let millis =
            self.0.pick(&[15_000, 30_000, 45_000, 60_000, 90_000, 300_000, 900_000, 1_800_000]);
        millis + if counts { 7 } else { 0 }
    }

    fn subquery(&mut self, inner: Expr, counts: bool) -> Expr {
        let level = inner.level;
        let millis = self.range(counts).max(60_000 + if counts { 7 } else { 0 });
        let step = self.0.pick(&["15s", "30s", "1m", "37s", "2m", ""]);
        let shift = self.shift();
        // Always in parentheses: an offset would go to a selector, or nowhere.
        let parts = vec![
            text("("),
            child(inner),
            text(")["),
            Part::Range { millis, counts },
            text(format!(":{step}]{shift}")),
        ];
        Expr::new(Kind::Matrix, level, parts)
    }

    fn window_function(&mut self, depth: u32) -> Expr {
        match self.0.below(20) {
            0..=3 => self.counter_function(),
            4 => {
                let inner = if self.0.one_in(3) {
                    let inner = self.exact(depth - 1);
                    self.subquery(inner, true)
                } else {
                    let (name, level) = self.metric();
                    self.window(name, level, true)
                };
                let level = if inner.level == Level::Huge { Level::Huge } else { Level::Same };
                Expr::new(Kind::Vector, level, vec![text("delta("), child(inner), text(")")])
            }
            5 => {
                let inner = self.finite_matrix(depth);
                let function = self.0.pick(&[
                    "deriv(",
                    "stddev_over_time(",
                    "stdvar_over_time(",
                    "avg_over_time(",
                ]);
                Expr::new(Kind::Vector, Level::Near, vec![text(function), child(inner), text(")")])
            }
            6 => {
                let inner = self.unfixed_matrix(depth);
                let ahead = self.0.pick(&["60", "0", "-30", "3600"]);
                let parts =
                    vec![text("predict_linear("), child(inner), text(format!(", {ahead})"))];
                Expr::new(Kind::Vector, Level::Near, parts)
            }
            7 => {
                let inner = self.finite_matrix(depth);
                let (smoothing, trend) =
                    (self.0.pick(&["0.5", "0.1", "0.9", "1"]), self.0.pick(&["0.5", "0.3", "0"]));
                let tail = format!(", {smoothing}, {trend})");
                let parts = vec![text("holt_winters("), child(inner), text(tail)];
                Expr::new(Kind::Vector, Level::Near, parts)
            }
            8 | 9 => {
                let inner = self.unfixed_matrix(depth);
                let q = self.0.pick(&[
                    "0",
                    "0.5",
                    "0.9",
                    "1",
                    "-1",
                    "2",
                    "NaN",
                    "0.25",
                    "scalar(s{job=\"api\",instance=\"0\"})",
                ]);
                let level = Level::Near;
                let parts =
                    vec![text(format!("quantile_over_time({q}, ")), child(inner), text(")")];
                Expr::new(Kind::Vector, level, parts)
            }
            10 | 11 => {
                let inner = self.finite_matrix(depth);
                let level = summed(inner.level, 11, false);
                Expr::new(
                    Kind::Vector,
                    level,
                    vec![text("sum_over_time("), child(inner), text(")")],
                )
            }
            12 => {
                let inner = self.matrix(depth);
                let parts = vec![text("absent_over_time("), child(inner), text(")")];
                Expr::new(Kind::Vector, Level::dyadic(1, 0), parts)
            }
            13 | 14 => {
                let function = self.0.pick(&["count_over_time(", "present_over_time("]);
                let inner = self.matrix(depth);
                let parts = vec![text(function), child(inner), text(")")];
                Expr::new(Kind::Vector, Level::dyadic(11, 0), parts)
            }
            15 => {
                let function = self.0.pick(&["changes(", "resets("]);
                let inner = self.exact_matrix(depth);
                let parts = vec![text(function), child(inner), text(")")];
                Expr::new(Kind::Vector, Level::dyadic(11, 0), parts)
            }
            16 => {
                let function = self.0.pick(&["idelta(", "irate("]);
                let inner = self.exact_matrix(depth);
                let level = if inner.level == Level::Huge { Level::Huge } else { Level::Same };
                Expr::new(Kind::Vector, level, vec![text(function), child(inner), text(")")])
            }
            _ => {
                let function =
                    self.0.pick(&["min_over_time(", "max_over_time(", "last_over_time("]);
                let inner = self.matrix(depth);
                let level = inner.level;
                Expr::new(Kind::Vector, level, vec![text(function), child(inner), text(")")])
            }
        }
    }

    /// A matrix whose values can be added up.
    fn finite_matrix(&mut self, depth: u32) -> Expr {
        loop {
            let matrix = self.matrix(depth);
            if matrix.level != Level::Huge {
                return matrix;
            }
        }
    }

    /// The same without `@`.
    fn unfixed_matrix(&mut self, depth: u32) -> Expr {
        loop {
            let matrix = self.finite_matrix(depth);
            if !matrix.text(Release::Three).contains('@') {
                return matrix;
            }
        }
    }

    fn exact_matrix(&mut self, depth: u32) -> Expr {
        loop {
            let matrix = self.matrix(depth);
            if is_exact(matrix.level) {
                return matrix;
            }
        }
    }

    /// `rate` and `increase`, of counters that are far from zero, or at zero.
    fn counter_function(&mut self) -> Expr {
        let (name, _) = self.0.pick(&[
            ("c_total", 0),
            ("c_total", 0),
            ("fresh_total", 0),
            ("h_bucket", 0),
            ("h_count", 0),
        ]);
        let inner = self.window(name, Level::Same, true);
        let function = self.0.pick(&["rate(", "rate(", "increase("]);
        Expr::new(Kind::Vector, Level::Same, vec![text(function), child(inner), text(")")])
    }

    fn aggregation(&mut self, depth: u32) -> Expr {
        let grouping = self.grouping();
        let (before, after) = if self.0.one_in(2) {
            (format!(" {grouping} "), String::new())
        } else {
            (String::new(), format!(" {grouping}"))
        };
        let simple = |name: &str, level, inner: Expr| {
            let parts =
                vec![text(format!("{name}{before}(")), child(inner), text(format!("){after}"))];
            Expr::new(Kind::Vector, level, parts)
        };
        match self.0.below(16) {
            0..=2 => {
                let inner = self.moderate(depth - 1);
                let level = summed(inner.level, 6, false);
                simple("sum", level, inner)
            }
            3 => {
                let inner = self.moderate(depth - 1);
                simple(self.0.pick(&["avg", "stddev", "stdvar"]), Level::Near, inner)
            }
            4 | 5 => {
                let inner = self.vector(depth - 1);
                let level = inner.level;
                simple(self.0.pick(&["min", "max"]), level, inner)
            }
            6 | 7 => {
                let inner = self.vector(depth - 1);
                simple(self.0.pick(&["count", "group"]), Level::dyadic(7, 0), inner)
            }
            8..=10 => {
                let name = self.0.pick(&["topk", "bottomk"]);
                let k = if self.0.one_in(5) {
                    self.parameter(depth - 1)
                } else {
                    Expr::leaf(
                        Kind::Scalar,
                        Level::Same,
                        self.0.pick(&["1", "2", "3", "100", "0", "-1", "1.9"]),
                    )
                };
                let inner = self.exact(depth - 1);
                let level = inner.level;
                let parts = vec![
                    text(format!("{name}{before}(")),
                    child(k),
                    text(", "),
                    child(inner),
                    text(format!("){after}")),
                ];
                let mut expr = Expr::new(Kind::Vector, level, parts);
                // Groups come as their first series do, in subqueries of 2 in any order.
                expr.ordered = grouping.is_empty();
                expr
            }
            11 | 12 => {
                let q = if self.0.one_in(5) {
                    self.parameter(depth - 1)
                } else {
                    Expr::leaf(
                        Kind::Scalar,
                        Level::Same,
                        self.0.pick(&["0", "0.5", "0.9", "1", "-1", "1.5", "NaN"]),
                    )
                };
                let inner = self.moderate(depth - 1);
                let parts = vec![
                    text(format!("quantile{before}(")),
                    child(q),
                    text(", "),
                    child(inner),
                    text(format!("){after}")),
                ];
                Expr::new(Kind::Vector, Level::Near, parts)
            }
            _ if !grouping.starts_with("by") || grouping.matches(',').count() != 2 => {
                let label = self.0.pick(&["value", "job", "instance", "value", "a-b", ""]);
                let inner = self.exact(depth - 1);
                // The sign of a zero may differ after a sum; here it would be a label.
                let plus = if inner.text(Release::Three).contains("sum") { "0 + " } else { "" };
                let parts = vec![
                    text(format!("count_values{before}(\"{label}\", {plus}(")),
                    child(inner),
                    text(format!(")){after}")),
                ];
                Expr::new(Kind::Vector, Level::dyadic(7, 0), parts)
            }
            _ => {
                let inner = self.vector(depth - 1);
                simple("group", Level::dyadic(7, 0), inner)
            }
        }
    }

    fn labels(&mut self) -> String {
        let all = ["job", "instance", "zone", "version", "le", "none"];
        let mut names = Vec::new();
        for _ in 0..self.0.pick(&[0, 1, 1, 2, 2, 3]) {
            names.push(self.0.pick(&all));
        }
        names.join(", ")
    }

    fn grouping(&mut self) -> String {
        match self.0.below(4) {
            0 => String::new(),
            1 => format!("without ({})", self.labels()),
            _ => format!("by ({})", self.labels()),
        }
    }

    fn operation(&mut self, depth: u32) -> Expr {
        const COMPARISONS: [&str; 6] = ["==", "!=", ">", "<", ">=", "<="];
        let wrap = |level, a: Expr, operator: String, b: Expr| {
            // The older release forgets to drop the name.
            let unnamed = |side: &Expr| {
                let named = operator.starts_with("atan2") && side.kind == Kind::Vector;
                Part::Older(if named { "1 * " } else { "" })
            };
            let mut parts = vec![text("("), text("("), unnamed(&a), child(a), text(")")];
            parts.extend([text(format!(" {operator} ("))]);
            parts.extend([unnamed(&b), child(b), text("))")]);
            Expr::new(Kind::Vector, level, parts)
        };
        match self.0.below(14) {
            // Sets.
            0..=2 => {
                let (a, b) = (self.vector(depth - 1), self.vector(depth - 1));
                let operator = self.0.pick(&["and", "or", "unless"]);
                let matching = self.matching(false);
                let level = if operator == "or" { a.level.or(b.level) } else { a.level };
                wrap(level, a, format!("{operator}{matching}"), b)
            }
            // A vector and a number.
            3..=6 => {
                let (a, b) = (self.exact(depth - 1), self.scalar(depth - 1));
                let comparison = self.0.one_in(2);
                let operator = if comparison {
                    format!("{}{}", self.0.pick(&COMPARISONS), self.0.pick(&["", " bool"]))
                } else {
                    self.0.pick(&["+", "-", "*", "/", "%", "^", "atan2"]).to_owned()
                };
                let swap = self.0.one_in(3);
                let level = if operator.ends_with("bool") {
                    Level::dyadic(1, 0)
                } else if comparison {
                    a.level
                } else {
                    arithmetic(&operator, a.level, b.level)
                };
                if swap { wrap(level, b, operator, a) } else { wrap(level, a, operator, b) }
            }
            7 => {
                let inner = self.vector(depth - 1);
                let operator = self.0.pick(&["*", "/"]);
                let level = match inner.level {
                    Level::Near => Level::Near,
                    level => arithmetic(operator, level, Level::dyadic(3, 0)),
                };
                let number =
                    Expr::leaf(Kind::Scalar, Level::Same, self.0.pick(&["2", "4", "-1", "8"]));
                wrap(level, inner, operator.into(), number)
            }
            // Two vectors.
            _ => {
                let (a, b) = if self.0.one_in(2) {
                    self.matched()
                } else {
                    (self.exact(depth - 1), self.exact(depth - 1))
                };
                let comparison = self.0.one_in(2);
                let operator = if comparison {
                    format!("{}{}", self.0.pick(&COMPARISONS), self.0.pick(&["", " bool"]))
                } else {
                    self.0.pick(&["+", "-", "*", "/", "%", "^", "atan2"]).to_owned()
                };
                let level = if operator.ends_with("bool") {
                    Level::dyadic(1, 0)
                } else if comparison {
                    a.level.or(b.level)
                } else {
                    arithmetic(&operator, a.level, b.level)
                };
                let matching = self.matching(true);
                wrap(level, a, format!("{operator}{matching}"), b)
            }
        }
    }

    /// Two vectors that have labels in common.
    fn matched(&mut self) -> (Expr, Expr) {
        let few = Level::dyadic(7, 2);
        let (a, b) = self.0.pick(&[
            ("g", "s"),
            ("s", "g"),
            ("g", "info"),
            ("info", "s"),
            ("g", "g"),
            ("temp", "s"),
            ("s", "fresh_total"),
        ]);
        let (mut a, mut b) = (
            self.plain(a, few.or(Level::dyadic(13, 2))),
            self.plain(b, few.or(Level::dyadic(13, 2))),
        );
        for side in [&mut a, &mut b] {
            if self.0.one_in(3) {
                let grouping = self.0.pick(&["by (job, instance)", "by (job)", "by (instance)"]);
                let function = self.0.pick(&["max", "min", "count"]);
                let inner = side.clone();
                let parts = vec![text(format!("{function} {grouping} (")), child(inner), text(")")];
                *side = Expr::new(Kind::Vector, side.level, parts);
            }
        }
        (a, b)
    }

    fn matching(&mut self, groups: bool) -> String {
        let on = match self.0.below(5) {
            0 | 1 => return String::new(),
            2 => format!(" ignoring ({})", self.labels()),
            3 => " on (job, instance)".to_owned(),
            _ => format!(" on ({})", self.labels()),
        };
        if !groups || self.0.one_in(2) {
            return on;
        }
        let side = self.0.pick(&["group_left", "group_left", "group_right"]);
        let include = self.0.pick(&["", "()", "(version)", "(zone, none)"]);
        format!("{on} {side} {include}")
    }

    fn map(&mut self, depth: u32) -> Expr {
        let inner = self.exact(depth - 1);
        let level = inner.level;
        let (function, level) = match self.0.below(4) {
            0 => (self.0.pick(&["abs", "sgn"]), level),
            1 => (self.0.pick(&["ceil", "floor"]), level),
            2 => (
                self.0.pick(&["sqrt", "deg", "rad"]),
                if level == Level::Huge { Level::Huge } else { Level::Same },
            ),
            _ if level != Level::Huge && self.0.one_in(3) => {
                (self.0.pick(&["ln", "log2", "log10"]), Level::Near)
            }
            _ => (
                self.0.pick(&[
                    "exp", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
                    "asinh", "acosh", "atanh",
                ]),
                Level::Near,
            ),
        };
        Expr::new(Kind::Vector, level, vec![text(format!("{function}(")), child(inner), text(")")])
    }

    fn date(&mut self, depth: u32) -> Expr {
        let function = self.0.pick(&[
            "minute",
            "hour",
            "day_of_week",
            "day_of_month",
            "day_of_year",
            "days_in_month",
            "month",
            "year",
        ]);
        let level = Level::dyadic(12, 0);
        if self.0.one_in(4) {
            return Expr::leaf(Kind::Vector, level, format!("{function}()"));
        }
        let mut inner = self.exact(depth - 1);
        for _ in 0..20 {
            if inner.level != Level::Huge {
                break;
            }
            inner = self.exact(depth - 1);
        }
        if inner.level == Level::Huge {
            return Expr::leaf(Kind::Vector, level, format!("{function}()"));
        }
        Expr::new(Kind::Vector, level, vec![text(format!("{function}(")), child(inner), text(")")])
    }

    fn relabel(&mut self, depth: u32) -> Expr {
        // The name is only touched where it is still there: see the table of differences.
        let (inner, named) = if self.0.one_in(4) {
            (self.selector(), true)
        } else {
            (self.vector(depth - 1), false)
        };
        let level = inner.level;
        let target = if named {
            "__name__"
        } else {
            self.0.pick(&["new", "job", "instance", "zone", "zone", "job", "0", ""])
        };
        let (function, tail) = if self.0.one_in(3) {
            let sources = [r#""job", "instance""#, r#""job""#, r#""none", "zone""#];
            let sources = if named { r#""__name__", "job""# } else { self.0.pick(&sources) };
            let separator = self.0.pick(&["-", "", "::"]);
            ("label_join(", format!(r#", "{target}", "{separator}", {sources})"#))
        } else {
            let replacement = self.0.pick(&["$1", "x", "", "$1-$1", "${1}y", "$2", "$n", "$$"]);
            let source = self.0.pick(&["job", "instance", "none", "zone"]);
            let source = if named { "__name__" } else { source };
            let regex =
                self.0.pick(&["(.*)", "(a|b|d).*", "([0-9])", "nope", "", "(?P<n>.)(.*)", "("]);
            let tail = format!(r#", "{target}", "{replacement}", "{source}", "{regex}")"#);
            ("label_replace(", tail)
        };
        Expr::new(Kind::Vector, level, vec![text(function), child(inner), text(tail)])
    }

    fn bounds(&mut self, depth: u32) -> Expr {
        let inner = self.exact(depth - 1);
        let (a, b) = (self.scalar(depth - 1), self.scalar(depth - 1));
        let level = inner.level.or(a.level).or(b.level);
        let mut parts = Vec::new();
        match self.0.below(4) {
            0 => parts.extend([
                text("clamp("),
                child(inner),
                text(", "),
                child(a),
                text(", "),
                child(b),
            ]),
            1 => {
                let name = self.0.pick(&["clamp_min(", "clamp_max("]);
                parts.extend([text(name), child(inner), text(", "), child(a)]);
            }
            2 => parts.extend([text("round("), child(inner)]),
            _ => parts.extend([
                text("round("),
                child(inner),
                text(", "),
                text(self.0.pick(&["0.5", "10", "0.1", "3", "0", "-1", "1e-9"])),
            ]),
        }
        parts.push(text(")"));
        let level = if let Level::Dyadic { .. } = level { Level::Same } else { level };
        Expr::new(Kind::Vector, level, parts)
    }

    fn histogram(&mut self) -> Expr {
        let q = self.0.pick(&["0.5", "0.9", "0", "1", "-1", "1.5", "NaN", "0.999"]);
        let inner = match self.0.below(4) {
            0 => self.plain("h_bucket", Level::dyadic(21, 0)).text(Release::Three),
            1 => format!(
                "sum by (le{}) (rate(h_bucket[{}s7ms]))",
                self.0.pick(&["", ", job"]),
                self.0.pick(&[60, 300])
            ),
            2 => format!(
                "rate(h_bucket{{{}}}[{}s7ms])",
                self.0.pick(&["", "le!=\"1\"", "le!=\"+Inf\""]),
                self.0.pick(&[60, 300])
            ),
            _ => self.0.pick(&["g", "s", "h_bucket - 1000000", "sum(h_bucket)"]).to_owned(),
        };
        Expr::leaf(Kind::Vector, Level::Near, format!("histogram_quantile({q}, {inner})"))
    }

    fn other(&mut self, depth: u32) -> Expr {
        match self.0.below(5) {
            0 | 1 => {
                let inner = self.vector(depth - 1);
                let parts = vec![text("absent("), child(inner), text(")")];
                Expr::new(Kind::Vector, Level::dyadic(1, 0), parts)
            }
            2 => {
                let inner = self.scalar(depth - 1);
                let level = inner.level;
                Expr::new(Kind::Vector, level, vec![text("vector("), child(inner), text(")")])
            }
            3 => {
                let mut inner = self.vector(depth - 1);
                if inner.text(Release::Three).contains('@') {
                    inner = self.aggregation(1);
                }
                let parts = vec![text("timestamp("), child(inner), text(")")];
                Expr::new(Kind::Vector, Level::Same, parts)
            }
            _ => {
                let function = self.0.pick(&["sort(", "sort_desc("]);
                let inner = self.vector(depth - 1);
                let level = inner.level;
                Expr::new(Kind::Vector, level, vec![text(function), child(inner), text(")")])
            }
        }
    }

    fn negated(&mut self, depth: u32) -> Expr {
        let inner = self.vector(depth - 1);
        let level = inner.level;
        Expr::new(Kind::Vector, level, vec![text("(-("), child(inner), text("))")])
    }
}

/// The level of the result of an operator on two of which no bit is in doubt.
fn arithmetic(operator: &str, a: Level, b: Level) -> Level {
    if operator.ends_with("bool") {
        return Level::dyadic(1, 0);
    }
    if a == Level::Near || b == Level::Near || operator == "^" || operator == "atan2" {
        return Level::Near;
    }
    match (operator, a, b) {
        ("+" | "-", Level::Dyadic { whole, parts }, Level::Dyadic { whole: w, parts: p }) => {
            Level::dyadic(whole.max(w) + 1, parts.max(p))
        }
        ("*", Level::Dyadic { whole, parts }, Level::Dyadic { whole: w, parts: p }) => {
            Level::dyadic(whole + w, parts + p)
        }
        (_, Level::Huge, _) | (_, _, Level::Huge) => Level::Huge,
        _ => Level::Same,
    }
}
