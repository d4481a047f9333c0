//! InfluxDB's line protocol.
//!
//! A metric's name is cut at its first underscore: `ups_load_ratio` becomes the field `load_ratio`
//! of the measurement `ups`, which is how people of InfluxDB would have it. VictoriaMetrics joins
//! the two with an underscore and so has the very name that Prometheus has: queries work unchanged
//! on both. A name without an underscore, such as `ALERTS`, becomes the field of an empty
//! measurement; VictoriaMetrics takes that, InfluxDB does not.

use std::fmt::Write as _;

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Labels, Sample};

/// Lines, one after the other in one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    text: String,
    /// Where each line ends, behind its line break.
    ends: Vec<usize>,
}

impl Lines {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of the lines `from` to `to`, the latter excluded.
    #[must_use]
    pub fn text(&self, from: usize, to: usize) -> &str {
        let start = |line: usize| match line.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).copied().unwrap_or(self.text.len()),
        };
        self.text.get(start(from)..start(to)).unwrap_or_default()
    }

    /// Where to end a request that starts at line `from`: at most `lines` and `bytes`, but at least
    /// one line.
    #[must_use]
    pub fn cut(&self, from: usize, lines: usize, bytes: usize) -> usize {
        let most = from.saturating_add(lines).min(self.len());
        let mut to = from.saturating_add(1).min(self.len());
        while to < most && self.text(from, to + 1).len() <= bytes {
            to += 1;
        }
        to
    }

    fn push(&mut self, labels: &Labels, sample: &Sample, nameless: Nameless) {
        let (Ok(value), Some(name)) = (sample.value, labels.name()) else { return };
        if !value.is_finite() || name.is_empty() {
            return;
        }
        let (measurement, field) = match (name.split_once('_'), nameless) {
            (Some((measurement, field)), _) if !measurement.is_empty() && !field.is_empty() => {
                (measurement, field)
            }
            (_, Nameless::Write) => ("", name),
            (_, Nameless::LeaveOut) => return,
        };
        escape(&mut self.text, measurement, &[',', ' ']);
        for label in labels.iter().filter(|label| &*label.name != METRIC_NAME) {
            self.text.push(',');
            escape(&mut self.text, &label.name, &[',', '=', ' ']);
            self.text.push('=');
            escape(&mut self.text, &label.value, &[',', '=', ' ']);
        }
        self.text.push(' ');
        escape(&mut self.text, field, &[',', '=', ' ']);
        let _ = writeln!(self.text, "={value:?} {}", sample.time.as_millis());
        self.ends.push(self.text.len());
    }
}

/// What to do with names that leave the measurement empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nameless {
    /// Write them, as VictoriaMetrics takes them.
    Write,
    /// Leave them out: this database has refused one.
    LeaveOut,
}

/// The lines of all samples that have one: none for values that the protocol cannot say (missing
/// ones, NaN, infinities).
pub fn encode<'a>(
    samples: impl IntoIterator<Item = &'a (Labels, Sample)>,
    nameless: Nameless,
) -> Lines {
    let mut lines = Lines::default();
    for (labels, sample) in samples {
        lines.push(labels, sample, nameless);
    }
    lines
}

/// The protocol has no way to say a line break or another control character, nor a backslash at the
/// end of a tag: these become what is nearest.
fn escape(out: &mut String, text: &str, special: &[char]) {
    for character in text.chars() {
        if character == '\\' {
            out.push_str("\\\\");
        } else if character.is_control() {
            // Escaped like any blank.
            out.push_str(if special.contains(&' ') { "\\ " } else { " " });
        } else {
            if special.contains(&character) {
                out.push('\\');
            }
            out.push(character);
        }
    }
    if text.ends_with('\\') {
        out.push_str("\\ ");
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::{Missing, Timestamp, Value};

    use super::*;

    fn line(name: &str, labels: &[(&str, &str)], value: Value) -> String {
        let labels = Labels::metric(name, labels.iter().copied());
        let sample = Sample { time: Timestamp::from_millis(1_795_276_800_250), value };
        encode(&[(labels, sample)], Nameless::Write).text(0, 1).to_owned()
    }

    #[test]
    fn lines() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], Value, &'static str);
        let cases: [Case; 9] = [
            (
                "ups_load_ratio",
                &[("tenant", "acme"), ("device", "ups-a")],
                Ok(0.5),
                "ups,device=ups-a,tenant=acme load_ratio=0.5 1795276800250\n",
            ),
            ("ups_load_ratio", &[], Ok(1.0), "ups load_ratio=1.0 1795276800250\n"),
            ("ALERTS", &[("a", "b")], Ok(1.0), ",a=b ALERTS=1.0 1795276800250\n"),
            ("a_b", &[("x", "1,2 3=4")], Ok(-1e-30), "a,x=1\\,2\\ 3\\=4 b=-1e-30 1795276800250\n"),
            ("a_b", &[("x", "c:\\dir\\")], Ok(2.0), "a,x=c:\\\\dir\\\\\\  b=2.0 1795276800250\n"),
            ("a_b", &[("x", "one\ntwo")], Ok(2.0), "a,x=one\\ two b=2.0 1795276800250\n"),
            ("a_b", &[], Ok(f64::NAN), ""),
            ("a_b", &[], Ok(f64::INFINITY), ""),
            ("a_b", &[], Err(Missing::Timeout), ""),
        ];
        for (name, labels, value, wanted) in cases {
            assert_eq!(line(name, labels, value), wanted);
        }
    }

    #[test]
    fn nameless_ones_can_be_left_out() {
        let sample = Sample { time: Timestamp::from_millis(1), value: Ok(1.0) };
        let all = ["ALERTS", "a_b"].map(|name| (Labels::metric(name, []), sample));
        assert_eq!(encode(&all, Nameless::Write).text(0, 2), " ALERTS=1.0 1\na b=1.0 1\n");
        assert_eq!(encode(&all, Nameless::LeaveOut).text(0, 2), "a b=1.0 1\n");
    }

    #[test]
    fn requests_are_cut_between_lines() {
        let sample = Sample { time: Timestamp::from_millis(1), value: Ok(1.0) };
        let all = vec![(Labels::metric("a_b", []), sample); 5];
        let lines = encode(&all, Nameless::Write);
        assert_eq!((lines.len(), lines.text(0, 5).len()), (5, 5 * "a b=1.0 1\n".len()));
        assert_eq!(lines.text(1, 2), "a b=1.0 1\n");
        assert_eq!(lines.cut(0, 3, 1_000), 3);
        assert_eq!(lines.cut(3, 3, 1_000), 5);
        assert_eq!(lines.cut(0, 9, 25), 2);
        assert_eq!(lines.cut(0, 9, 1), 1, "a line that is too long must still leave");
        assert_eq!(lines.cut(5, 9, 1), 5);
    }
}
