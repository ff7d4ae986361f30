//! [`Flight`]: runs a thing once however many ask for it, shares the result, forgets failures.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Results of things that run once. A failure is handed to whoever ran it; those who waited run it again, one at a time.
#[derive(Debug)]
pub struct Flight<K, V> {
    slots: Mutex<HashMap<K, Arc<Slot<V>>>>,
}

#[derive(Debug)]
struct Slot<V> {
    value: Mutex<Option<V>>,
    running: Mutex<bool>,
    changed: Condvar,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { value: Mutex::new(None), running: Mutex::new(false), changed: Condvar::new() }
    }
}

impl<K, V> Default for Flight<K, V> {
    fn default() -> Self {
        Self { slots: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash, V: Clone> Flight<K, V> {
    /// Returns the value of `key`: what an earlier run gave, or what `make` gives; one `make` of a key runs at a time.
    ///
    /// # Errors
    /// What `make` failed with; the next who asks runs it again.
    pub fn get_or_try<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let slot = Arc::clone(lock(&self.slots).entry(key).or_default());
        let mut running = lock(&slot.running);
        loop {
            if let Some(value) = &*lock(&slot.value) {
                return Ok(value.clone());
            }
            if !*running {
                break;
            }
            running = slot.changed.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running = true;
        drop(running);
        let _turn = Turn(&slot);
        let value = make()?;
        *lock(&slot.value) = Some(value.clone());
        Ok(value)
    }
}

/// Gives the turn back, also when `make` panics.
struct Turn<'a, V>(&'a Slot<V>);

impl<V> Drop for Turn<'_, V> {
    fn drop(&mut self) {
        *lock(&self.0.running) = false;
        self.0.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn many_ask_one_runs() {
        let flight = Flight::<u8, usize>::default();
        let runs = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let value = flight.get_or_try(1, || {
                        std::thread::sleep(std::time::Duration::from_millis(5));
                        Ok::<_, ()>(runs.fetch_add(1, Ordering::SeqCst) + 7)
                    });
                    assert_eq!(value, Ok(7));
                });
            }
        });
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failure_is_forgotten() {
        let flight = Flight::<u8, u8>::default();
        assert_eq!(flight.get_or_try(1, || Err("no")), Err("no"));
        assert_eq!(flight.get_or_try(1, || Ok::<_, &str>(3)), Ok(3));
    }
}
