//! Runs the independent tasks of an evaluation on several threads. Does not stop at the first error; the caller checks
//! the results.

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use indicatif::ProgressBar;

/// Runs `task` for each number below `count` on at most `jobs` threads, and returns the results in the order of the
/// numbers. The bar advances with each result.
pub(super) fn run<T: Send>(
    count: usize,
    jobs: NonZeroUsize,
    bar: &ProgressBar,
    task: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    thread::scope(|scope| {
        for _ in 0..jobs.get().min(count) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let result = task(number);
                    bar.inc(1);
                    // A poisoned lock is harmless: the list is complete after each push, and a panic ends the scope.
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_and_the_results_are_in_order() {
        let squares: Vec<usize> = (0..100).map(|number| number * number).collect();
        for jobs in [1, 3, 200] {
            let bar = ProgressBar::hidden();
            let results = run(100, NonZeroUsize::new(jobs).expect("some"), &bar, |number| number * number);
            assert_eq!((results, bar.position()), (squares.clone(), 100), "{jobs} threads");
        }
        assert!(run(0, NonZeroUsize::MIN, &ProgressBar::hidden(), |number| number).is_empty());
    }
}
