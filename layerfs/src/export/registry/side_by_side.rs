//! [`side_by_side`]: several pieces of work at once; [`FirstFailure`]: what ends them all.

use crate::error::StoreError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The first failure in time, which is the one that is told: others may only follow from it.
#[derive(Debug, Default)]
pub(super) struct FirstFailure {
    is_there: AtomicBool,
    error: Mutex<Option<StoreError>>,
}

impl FirstFailure {
    /// Reports whether anything has failed: what is not done yet need not be.
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// Returns what came out well; keeps an error, if it is the first.
    fn sift<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.is_there.store(true, Ordering::Relaxed);
        None
    }

    fn take(&self) -> Option<StoreError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Does `work` for all `items`, begun in their order, at most `at_once` at a time; returns what came of each.
///
/// # Errors
/// The first failure in time; what was not begun then is left.
pub(super) fn side_by_side<I: Sync, T: Send>(
    items: &[I],
    at_once: usize,
    failure: &FirstFailure,
    work: impl Fn(&I) -> Result<T, StoreError> + Sync,
) -> Result<Vec<T>, StoreError> {
    let results: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < items.len()) {
            if failure.is_there() {
                return;
            }
            let result = failure.sift(work(&items[at]));
            *results[at].lock().unwrap_or_else(PoisonError::into_inner) = result;
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..at_once.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    if let Some(error) = failure.take() {
        return Err(error);
    }
    Ok(results.into_iter().filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn failed(why: &str) -> StoreError {
        StoreError::Malformed { place: "test".to_owned(), why: why.to_owned() }
    }

    #[test]
    fn all_is_done_in_its_order_and_not_too_much_at_once() {
        let (busy, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items: Vec<u64> = (0..20).collect();
        let doubled = side_by_side(&items, 4, &FirstFailure::default(), |item| {
            most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20 - item));
            busy.fetch_sub(1, Ordering::SeqCst);
            Ok(item * 2)
        });
        assert_eq!(doubled.expect("done"), (0..20).map(|item| item * 2).collect::<Vec<_>>());
        assert!((2..=4).contains(&most.into_inner()));
        let nothing = side_by_side(&[] as &[u64], 4, &FirstFailure::default(), |item| Ok(*item));
        assert_eq!(nothing.expect("done"), Vec::<u64>::new());
    }

    /// Those that end because another failed come first in order, and later in time.
    #[test]
    fn the_first_failure_in_time_is_told_and_the_rest_is_left() {
        let (failure, begun) = (FirstFailure::default(), AtomicUsize::new(0));
        let result = side_by_side(&[0, 1, 2, 3, 4], 2, &failure, |item| {
            begun.fetch_add(1, Ordering::SeqCst);
            match item {
                0 => {
                    while !failure.is_there() {
                        std::thread::yield_now();
                    }
                    Err(failed("ended by another"))
                }
                1 => Err::<(), _>(failed("refused")),
                _ => Ok(()),
            }
        });
        assert!(result.expect_err("failed").to_string().ends_with("refused"));
        assert_eq!(begun.into_inner(), 2);
    }
}
