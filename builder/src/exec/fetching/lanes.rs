//! [`Lanes`]: how many layers move at once between us and one host.

use layerfs::cancel::Cancel;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Layers that move at once between us and one host, as containerd's limit.
const MOST: usize = 4;
/// How often one who waits looks whether the build was ended.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many layers move at once between us and each host.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    taken: Mutex<HashMap<String, usize>>,
    changed: Condvar,
}

/// One of them; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    lanes: &'a Lanes,
    host: String,
}

impl Lanes {
    /// Waits for a lane to `host`; nothing if the build is ended meanwhile.
    pub(super) fn take(&self, host: &str, cancel: &Cancel) -> Option<Lane<'_>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while taken.get(host).is_some_and(|count| *count >= MOST) {
            if cancel.is_cancelled() {
                return None;
            }
            taken = self.changed.wait_timeout(taken, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken.entry(host.to_owned()).or_default() += 1;
        Some(Lane { lanes: self, host: host.to_owned() })
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        let mut taken = self.lanes.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.host) {
            *count -= 1;
        }
        self.lanes.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_four_lanes_of_its_own() {
        let (lanes, cancel) = (Lanes::default(), Cancel::new().expect("a flag"));
        let mut held: Vec<_> = (0..MOST).map(|_| lanes.take("a", &cancel).expect("free")).collect();
        assert!(lanes.take("b", &cancel).is_some());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lanes.take("a", &cancel).is_some());
            held.pop();
            assert!(waiting.join().expect("ends"));
        });
        held.extend(lanes.take("a", &cancel));
        cancel.cancel();
        assert!(lanes.take("a", &cancel).is_none());
    }
}
