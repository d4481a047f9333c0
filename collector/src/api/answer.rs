//! The answer to a query as Prometheus writes it.

use std::fmt::Write as _;
use std::sync::Arc;

use hallwatch_model::{Label, Labels};
use hallwatch_promql::{Answer, Kept, Value};

use super::number::{write_plain, write_time, write_value};

/// A sample of an instant answer is hardly shorter.
const SAMPLE_BYTES: usize = 100;

/// How long a query took, in seconds.
pub(super) struct Stats {
    /// Until its turn came.
    pub(super) waited: f64,
    /// From then on.
    pub(super) evaluated: f64,
}

/// The whole body of a response, the envelope included. Of each result at most `limit` series are
/// written; that some were left out is a warning.
pub(super) fn body(answer: &Answer<Kept>, limit: usize, stats: Option<&Stats>) -> String {
    let mut out = String::with_capacity(256);
    out.push_str(r#"{"status":"success","data":{"resultType":""#);
    let mut cut = false;
    match &answer.value {
        Value::Scalar(time, value) => {
            out.push_str(r#"scalar","result":["#);
            trimmed_time(&mut out, time.as_millis());
            out.push_str(",\"");
            write_plain(&mut out, *value);
            out.push_str("\"]");
        }
        Value::String(time, text) => {
            out.push_str(r#"string","result":["#);
            trimmed_time(&mut out, time.as_millis());
            out.push(',');
            string(&mut out, text);
            out.push(']');
        }
        Value::Vector(samples) => {
            out.push_str(r#"vector","result":["#);
            cut = samples.len() > limit;
            out.reserve(samples.len().min(limit).saturating_mul(SAMPLE_BYTES));
            // All have one time, the query's: its text is made once.
            let mut time = (None, String::new());
            let mut names = Names::default();
            for (i, sample) in samples.iter().take(limit).enumerate() {
                comma(&mut out, i);
                out.push_str(r#"{"metric":"#);
                names.write(&mut out, &sample.labels);
                if time.0 != Some(sample.time) {
                    time = (Some(sample.time), String::new());
                    write_time(&mut time.1, sample.time.as_millis());
                }
                out.push_str(r#","value":["#);
                out.push_str(&time.1);
                out.push_str(",\"");
                write_value(&mut out, sample.value);
                out.push_str("\"]}");
            }
            out.push(']');
        }
        Value::Matrix(series) => {
            out.push_str(r#"matrix","result":["#);
            cut = series.len() > limit;
            for (i, series) in series.iter().take(limit).enumerate() {
                comma(&mut out, i);
                out.push_str(r#"{"metric":"#);
                labels(&mut out, &series.labels);
                out.push_str(r#","values":["#);
                for (j, (time, value)) in series.times.iter().zip(&series.values).enumerate() {
                    comma(&mut out, j);
                    point(&mut out, *time, *value);
                }
                out.push_str("]}");
            }
            out.push(']');
        }
    }
    if let Some(Stats { waited, evaluated }) = stats {
        let (read, held) = (answer.samples_read, answer.samples_held);
        let total = waited + evaluated;
        // Formatting into a string does not fail.
        let _ = write!(
            out,
            r#","stats":{{"timings":{{"evalTotalTime":{evaluated},"resultSortTime":0,"queryPreparationTime":0,"innerEvalTime":{evaluated},"execQueueTime":{waited},"execTotalTime":{total}}},"samples":{{"totalQueryableSamples":{read},"peakSamples":{held}}}}}"#
        );
    }
    out.push('}');
    let truncated = cut.then(|| "results truncated due to limit".to_owned());
    notes(&mut out, "warnings", answer.warnings.iter().chain(&truncated));
    notes(&mut out, "infos", &answer.infos);
    out.push('}');
    out
}

/// Writes the labels of one series after the other. Neighbours have most of them in common, as the
/// very same ones: those are not written anew but copied from what was written before.
#[derive(Default)]
struct Names<'a> {
    last: &'a [Arc<Label>],
    /// Where each of `last` begins, its comma included, and where their end is.
    begins: Vec<usize>,
    /// Room for the next `begins`.
    room: Vec<usize>,
}

impl<'a> Names<'a> {
    fn write(&mut self, out: &mut String, labels: &'a [Arc<Label>]) {
        let is_same = |(a, b): &(&Arc<Label>, &Arc<Label>)| Arc::ptr_eq(a, b);
        let last = self.last;
        let shorter = last.len().min(labels.len());
        let before = last.iter().zip(labels).take_while(is_same).count();
        // The first has no comma, so it is never copied to, or from, elsewhere.
        let rest = (shorter - before).min(shorter.saturating_sub(1));
        let backwards = last.iter().rev().zip(labels.iter().rev()).take(rest);
        let after = backwards.take_while(is_same).count();
        self.room.clear();
        out.push('{');
        self.copy(out, 0, before);
        for (i, label) in labels.iter().enumerate().take(labels.len() - after).skip(before) {
            self.room.push(out.len());
            comma(out, i);
            string(out, &label.name);
            out.push(':');
            string(out, &label.value);
        }
        self.copy(out, last.len() - after, last.len());
        self.room.push(out.len());
        out.push('}');
        self.last = labels;
        std::mem::swap(&mut self.begins, &mut self.room);
    }

    /// Writes `from..to` of the last ones again.
    fn copy(&mut self, out: &mut String, from: usize, to: usize) {
        let (Some(begins), Some(end)) = (self.begins.get(from..to), self.begins.get(to)) else {
            return;
        };
        let Some(begin) = begins.first() else { return };
        let start = out.len();
        self.room.extend(begins.iter().map(|at| at - begin + start));
        out.extend_from_within(*begin..*end);
    }
}

/// An object of all labels.
pub(super) fn labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, label) in labels.iter().enumerate() {
        comma(out, i);
        string(out, &label.name);
        out.push(':');
        string(out, &label.value);
    }
    out.push('}');
}

fn point(out: &mut String, millis: i64, value: f64) {
    out.push('[');
    write_time(out, millis);
    out.push_str(",\"");
    write_value(out, value);
    out.push_str("\"]");
}

/// Scalars and strings go through Go's general encoder, which writes no superfluous zeros.
fn trimmed_time(out: &mut String, millis: i64) {
    let start = out.len();
    write_time(out, millis);
    if out[start..].contains('.') {
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// `,"warnings":[…]`; nothing when there are none.
fn notes<'a>(out: &mut String, key: &str, notes: impl IntoIterator<Item = &'a String>) {
    let mut notes = notes.into_iter().enumerate().peekable();
    if notes.peek().is_none() {
        return;
    }
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":[");
    for (i, note) in notes {
        comma(out, i);
        string(out, note);
    }
    out.push(']');
}

fn string(out: &mut String, text: &str) {
    // Hardly any text of a label has these; an answer has a hundred thousand of them.
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}

fn comma(out: &mut String, i: usize) {
    if i > 0 {
        out.push(',');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_copied_reads_as_what_is_written(
            series in prop::collection::vec(
                prop::collection::vec((0usize..5, 0usize..3), 0..5), 1..20
            ),
        ) {
            let all = ["__name__", "a", "b", "c\"", "d"].map(|name| {
                let label = |value: &str| Label { name: name.into(), value: value.into() };
                ["1", "two", "\n"].map(|value| Arc::new(label(value)))
            });
            let series: Vec<Labels> = series
                .iter()
                .map(|labels| {
                    let label = |(name, value): &(usize, usize)| all[*name][*value].clone();
                    labels.iter().map(label).collect()
                })
                .collect();
            let (mut copied, mut written) = (String::new(), String::new());
            let mut names = Names::default();
            for one in &series {
                names.write(&mut copied, one.iter().as_slice());
                labels(&mut written, one);
            }
            prop_assert_eq!(copied, written);
        }
    }
}
