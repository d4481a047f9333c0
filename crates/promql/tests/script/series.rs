//! Series in a script: `name{a="b"} 1 2+1x3 _ stale`.

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;

use super::number_of;

/// A series and its values, `None` where there is no sample.
pub(crate) struct Description {
    pub(crate) labels: Labels,
    pub(crate) values: Vec<Option<f64>>,
    /// It has native histogram samples, which were left out.
    pub(crate) native: bool,
    /// These are the start timestamps of a series, not its values.
    pub(crate) start_timestamps: bool,
}

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

impl Description {
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let (labels, rest) = parse_labels(line)?;
        let start_timestamps = rest.starts_with("@st");
        let rest = rest.strip_prefix("@st").unwrap_or(rest);
        let mut description = Self { labels, values: Vec::new(), native: false, start_timestamps };
        let mut rest = rest.trim();
        while !rest.is_empty() {
            let end = if rest.starts_with("{{") {
                // Native histograms, also as `{{…}}+{{…}}x5`: skipped with what repeats them.
                description.native = true;
                native_end(rest)
            } else {
                rest.find(char::is_whitespace).unwrap_or(rest.len())
            };
            let (item, after) = rest.split_at(end);
            if description.native && item.starts_with("{{") {
                let count = item.rsplit_once("}}x").and_then(|(_, n)| n.parse::<usize>().ok());
                description.values.extend(vec![None; count.map_or(1, |count| count + 1)]);
            } else if !description.start_timestamps {
                item_values(item, &mut description.values)?;
            }
            rest = after.trim_start();
        }
        Ok(description)
    }
}

fn native_end(text: &str) -> usize {
    let mut at = 0;
    loop {
        at += text[at..].find("}}").map_or(text.len() - at, |end| end + 2);
        if !text[at..].starts_with(['+', '-']) {
            break;
        }
    }
    text[at..].find(char::is_whitespace).map_or(text.len(), |end| at + end)
}

fn item_values(item: &str, values: &mut Vec<Option<f64>>) -> Result<(), String> {
    let bad = || format!("cannot read the value {item:?}");
    let (base, count) = match item.rsplit_once('x') {
        Some((base, count)) => (base, Some(count.parse::<usize>().map_err(|_| bad())?)),
        None => (item, None),
    };
    if base == "_" {
        values.extend(vec![None; count.unwrap_or(1)]);
        return Ok(());
    }
    let repeats = count.unwrap_or(0) + 1;
    if base == "stale" {
        values.extend(vec![Some(STALE); repeats]);
        return Ok(());
    }
    if let Some(value) = number_of(base) {
        values.extend(vec![Some(value); repeats]);
        return Ok(());
    }
    // `start+step`: the sign that splits is not one of an exponent.
    let split = (1..base.len()).find_map(|at| {
        let (start, step) = base.split_at(at);
        step.starts_with(['+', '-']).then(|| Some((number_of(start)?, number_of(step)?))).flatten()
    });
    let (start, step) = split.ok_or_else(bad)?;
    // Added up step by step, as the original does.
    let mut value = start;
    for _ in 0..repeats {
        values.push(Some(value));
        value += step;
    }
    Ok(())
}

/// The labels at the start of a line, and the rest of the line.
fn parse_labels(line: &str) -> Result<(Labels, &str), String> {
    let bad = || format!("cannot read the labels of {line:?}");
    let name_end =
        line.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(line.len());
    let mut pairs: Vec<(String, String)> = Vec::new();
    if name_end > 0 {
        pairs.push((METRIC_NAME.into(), line[..name_end].into()));
    }
    let mut rest = &line[name_end..];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (name, after) = if rest.starts_with('"') {
                quoted(rest).ok_or_else(bad)?
            } else {
                let end = rest.find(['=', ',', '}']).ok_or_else(bad)?;
                (rest[..end].trim().to_owned(), &rest[end..])
            };
            rest = after.trim_start();
            match rest.strip_prefix('=') {
                Some(value) => {
                    let (value, after) = quoted(value.trim_start()).ok_or_else(bad)?;
                    pairs.push((name, value));
                    rest = after.trim_start();
                }
                None => pairs.push((METRIC_NAME.into(), name)),
            }
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
    } else if name_end == 0 {
        return Err(bad());
    }
    Ok((Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))), rest))
}

/// A text in quotes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut characters = text.char_indices();
    let (_, quote) = characters.next().filter(|(_, c)| matches!(c, '"' | '\'' | '`'))?;
    let mut value = String::new();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return Some((value, &text[at + 1..]));
        }
        if character == '\\' && quote != '`' {
            value.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            });
        } else {
            value.push(character);
        }
    }
    None
}
