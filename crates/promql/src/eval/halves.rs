//! Two threads for the work on very many samples.

use std::panic::resume_unwind;
use std::thread;

use crate::error::Error;

/// From so many samples and steps on; of fewer, the start of a thread costs more than it saves.
const MANY_CELLS: usize = 1 << 15;

/// What `work` makes of all, in their order; of so many cells that it is worth a thread, it is asked
/// twice, of one half each.
pub(super) fn by_halves<T: Send, U: Send>(
    mut all: Vec<T>,
    cells: usize,
    work: impl Fn(Vec<T>) -> Result<Vec<U>, Error> + Sync,
) -> Result<Vec<U>, Error> {
    if all.len() < 2 || cells < MANY_CELLS {
        return work(all);
    }
    let mut right = all.split_off(all.len() / 2);
    let (left, other) = thread::scope(|scope| {
        let begin = || work(std::mem::take(&mut right));
        let other = thread::Builder::new().spawn_scoped(scope, begin);
        let left = work(all);
        (left, other.ok().map(thread::ScopedJoinHandle::join))
    });
    let mut done = left?;
    done.extend(match other {
        Some(Ok(right)) => right?,
        Some(Err(panic)) => resume_unwind(panic),
        // There is no further thread.
        None => work(right)?,
    });
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_come_in_the_order_of_the_whole() {
        for (count, cells) in [(0, MANY_CELLS), (1, MANY_CELLS), (7, 1), (7, MANY_CELLS)] {
            let all: Vec<usize> = (0..count).collect();
            let asked = std::sync::Mutex::new(0);
            let odd = |part: Vec<usize>| {
                *asked.lock().unwrap() += 1;
                Ok(part.into_iter().filter(|number| number % 2 == 1).collect())
            };
            let done = by_halves(all.clone(), cells, odd).unwrap();
            assert!(done.into_iter().eq(all.into_iter().filter(|number| number % 2 == 1)));
            let twice = count > 1 && cells >= MANY_CELLS;
            assert_eq!(asked.into_inner().unwrap(), if twice { 2 } else { 1 });
        }
    }

    #[test]
    fn an_error_of_either_half_is_that_of_the_whole() {
        for wrong in [0, 3] {
            let fails = |part: Vec<usize>| {
                if part.contains(&wrong) { Err(Error::SameLabels) } else { Ok(part) }
            };
            let done = by_halves(vec![0, 1, 2, 3], MANY_CELLS, fails);
            assert!(matches!(done, Err(Error::SameLabels)));
        }
    }
}
