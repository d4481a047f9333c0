//! The dictionary from small numbers to series.

use prost::Message as _;

use super::{MAX_DESCRIBED, MAX_LABELS, VERSION, WireError, at_most, check_text, decode, v1};
use crate::batch::{Describe, SeriesId};
use crate::labels::{Labels, METRIC_NAME};

/// A part of a dictionary as it is published.
#[must_use]
pub fn encode_describe(describe: &Describe) -> Vec<u8> {
    let interval =
        |id| describe.intervals.iter().find(|(known, _)| *known == id).map(|(_, ms)| *ms);
    let series = describe.series.iter().map(|(id, labels)| v1::Series {
        id: id.0,
        interval: interval(*id).unwrap_or(0),
        labels: labels.iter().flat_map(|l| [l.name.to_string(), l.value.to_string()]).collect(),
    });
    v1::Describe {
        version: VERSION,
        dictionary: describe.dictionary,
        part: describe.part,
        series: series.collect(),
    }
    .encode_to_vec()
}

/// The inverse of [`encode_describe`].
///
/// # Errors
/// When the bytes are not a dictionary of this version, are beyond a limit, or a series has no
/// name or a label that Prometheus would refuse.
pub fn decode_describe(bytes: &[u8]) -> Result<Describe, WireError> {
    const MESSAGE: &str = "dictionary";
    let wire: v1::Describe = decode(MESSAGE, bytes, |m: &v1::Describe| m.version)?;
    at_most(MESSAGE, "series", wire.series.len(), MAX_DESCRIBED)?;
    let mut series = Vec::with_capacity(wire.series.len());
    let mut intervals = Vec::new();
    for one in wire.series {
        series.push((SeriesId(one.id), decode_labels(&one.labels)?));
        if one.interval > 0 {
            intervals.push((SeriesId(one.id), one.interval));
        }
    }
    Ok(Describe { dictionary: wire.dictionary, part: wire.part, series, intervals })
}

fn decode_labels(texts: &[String]) -> Result<Labels, WireError> {
    const MESSAGE: &str = "dictionary";
    let refuse = |field, reason| WireError::Field { message: MESSAGE, field, reason };
    let (pairs, rest) = texts.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(refuse("label", "it has a name and no value"));
    }
    at_most(MESSAGE, "labels of one series", pairs.len(), MAX_LABELS)?;
    for [name, value] in pairs {
        check_text(MESSAGE, "label name", name)?;
        check_text(MESSAGE, "label value", value)?;
        if !is_label_name(name) {
            return Err(refuse("label name", "only letters, digits and `_`, no digit first"));
        }
    }
    let labels = Labels::from_pairs(pairs.iter().map(|[n, v]| (n.as_str(), v.as_str())));
    match labels.name() {
        Some(name) if is_label_name(name) => Ok(labels),
        Some(_) => Err(refuse("metric name", "only letters, digits and `_`, no digit first")),
        None => Err(refuse(METRIC_NAME, "there is none")),
    }
}

fn is_label_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
