//! [`Alone`]: what one thread does at a time, for any number of things.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Lets one thread at a time be at a thing; clones know of one another. Processes do not: see [`crate::turn::Turns`].
#[derive(Debug)]
pub struct Alone<K> {
    busy: Arc<Busy<K>>,
}

#[derive(Debug)]
struct Busy<K> {
    taken: Mutex<HashSet<K>>,
    changed: Condvar,
}

/// A thing that nobody else is at until this is dropped.
#[derive(Debug)]
pub struct Held<'a, K: Eq + Hash> {
    busy: &'a Busy<K>,
    key: K,
}

impl<K> Clone for Alone<K> {
    fn clone(&self) -> Self {
        Self { busy: Arc::clone(&self.busy) }
    }
}

impl<K> Default for Alone<K> {
    fn default() -> Self {
        Self { busy: Arc::new(Busy { taken: Mutex::new(HashSet::new()), changed: Condvar::new() }) }
    }
}

impl<K> Busy<K> {
    fn lock(&self) -> MutexGuard<'_, HashSet<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Alone<K> {
    /// Waits until nobody is at `key`, and is then.
    pub fn at(&self, key: K) -> Held<'_, K> {
        let mut taken = self.busy.lock();
        while !taken.insert(key.clone()) {
            taken = self.busy.changed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        Held { busy: &self.busy, key }
    }
}

impl<K: Eq + Hash> Drop for Held<'_, K> {
    fn drop(&mut self) {
        self.busy.lock().remove(&self.key);
        self.busy.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_at_a_time_is_at_a_thing_and_others_at_other_things() {
        let alone = Alone::<u8>::default();
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let other = alone.at(2);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let alone = alone.clone();
                let (inside, most) = (&inside, &most);
                scope.spawn(move || {
                    let _held = alone.at(1);
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(1));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        drop(other);
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }
}
