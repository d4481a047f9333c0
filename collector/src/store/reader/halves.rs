//! Two threads for what is a lot of work: much of that is waiting for memory.

use std::thread;

/// From so much work on; of less, the start of a thread, and what it has to read anew that the first
/// one has at hand, cost more than they save.
const MUCH: usize = 8_192;

/// What `work` makes of all, in their order; it may be asked twice, of one half each. `each` is how
/// much work one is, in tenths of a microsecond.
///
/// # Errors
/// That of the first half that has one.
pub(super) fn by_halves<T: Sync, U: Send, E: Send>(
    all: &[T],
    each: usize,
    work: impl Fn(&[T]) -> Result<Vec<U>, E> + Sync,
) -> Result<Vec<U>, E> {
    if all.len() < 2 || all.len().saturating_mul(each) < MUCH {
        return work(all);
    }
    let (left, right) = all.split_at(all.len() / 2);
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, || work(right));
        let done = work(left);
        // Where there is no further thread, or it has panicked, this one does it all.
        let right = other.ok().and_then(|other| other.join().ok()).unwrap_or_else(|| work(right));
        let mut done = done?;
        done.extend(right?);
        Ok(done)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_come_in_the_order_of_the_whole() {
        for (count, each) in [(0, 1), (1, MUCH), (MUCH - 1, 1), (MUCH, 1), (3, MUCH)] {
            let all: Vec<usize> = (0..count).collect();
            // One may give more than one: what is in order stays so.
            let twice = |part: &[usize]| part.iter().flat_map(|n| [*n, *n + 1]).collect::<Vec<_>>();
            let parts = std::sync::Mutex::new(0);
            let done = by_halves(&all, each, |part| {
                *parts.lock().unwrap() += 1;
                if part.contains(&2) && count == 3 { Err("two") } else { Ok(twice(part)) }
            });
            assert_eq!(done, if count == 3 { Err("two") } else { Ok(twice(&all)) });
            let much = count > 1 && count * each >= MUCH;
            assert_eq!(parts.into_inner().unwrap(), if much { 2 } else { 1 });
        }
    }
}
