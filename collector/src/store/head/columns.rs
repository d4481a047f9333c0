//! Times and values, side by side.

/// As many values as times, which ascend.
pub(in super::super) type Columns = (Vec<i64>, Vec<f64>);

/// Removes from the columns, beyond the first `had`, what is not from `start` to `end`.
pub(in super::super) fn cut(
    had: usize,
    start: i64,
    end: i64,
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
) {
    let added = times.get(had..).unwrap_or_default();
    let from = had + added.partition_point(|time| *time < start);
    let to = had + added.partition_point(|time| *time <= end);
    times.truncate(to);
    values.truncate(to);
    if from > had {
        times.drain(had..from.min(to));
        values.drain(had..from.min(to));
    }
}

/// Joins two ascending columns; of the same time in both, the first one's value stays.
pub(in super::super) fn merge(
    first: (&[i64], &[f64]),
    second: (&[i64], &[f64]),
) -> (Vec<i64>, Vec<f64>) {
    let mut times = Vec::with_capacity(first.0.len() + second.0.len());
    let mut values = Vec::with_capacity(first.0.len() + second.0.len());
    let mut left = first.0.iter().zip(first.1).peekable();
    let mut right = second.0.iter().zip(second.1).peekable();
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) => {
                if a == b {
                    right.next();
                    left.next()
                } else if a < b {
                    left.next()
                } else {
                    right.next()
                }
            }
            (Some(_), None) => left.next(),
            (None, _) => right.next(),
        };
        let Some((time, value)) = next else { return (times, values) };
        times.push(*time);
        values.push(*value);
    }
}
