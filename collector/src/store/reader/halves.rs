//! Two threads for what is asked of very many series: most of that is waiting for memory.

use std::thread;

/// From so many on; below, the start of a thread costs more than it saves.
const MANY: usize = 4_096;

/// What `work` makes of all, in their order; it may be asked twice, of one half each.
pub(super) fn by_halves<T: Sync, U: Send>(
    all: &[T],
    work: impl Fn(&[T]) -> Vec<U> + Sync,
) -> Vec<U> {
    if all.len() < MANY {
        return work(all);
    }
    let (left, right) = all.split_at(all.len() / 2);
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, || work(right));
        let mut done = work(left);
        // Where there is no further thread, or it has panicked, this one does it all.
        let right = other.ok().and_then(|other| other.join().ok()).unwrap_or_else(|| work(right));
        done.extend(right);
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_come_in_the_order_of_the_whole() {
        for count in [0, 1, MANY - 1, MANY, 3 * MANY + 1] {
            let all: Vec<usize> = (0..count).collect();
            // One may give more than one: what is in order stays so.
            let twice = |part: &[usize]| part.iter().flat_map(|n| [*n, *n + 1]).collect();
            let parts = std::sync::Mutex::new(0);
            let done = by_halves(&all, |part| {
                *parts.lock().unwrap() += 1;
                twice(part)
            });
            assert_eq!(done, twice(&all));
            assert_eq!(parts.into_inner().unwrap(), if count < MANY { 1 } else { 2 });
        }
    }
}
