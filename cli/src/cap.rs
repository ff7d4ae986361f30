//! [`Cap`]: keeps the store below a size while a build runs.

use crate::ui::Watcher;
use builder::progress::{Event, StepId};
use builder::{PruneOptions, Room};
use layerfs::store::Kind;
use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Time between two looks at the store, at least.
const PAUSE: Duration = Duration::from_secs(1);
/// A look at the store is followed by so many times the time that it took, in which none is taken.
const SHARE: u32 = 9;

/// Keeps the store below `max-used-space` while a build runs, and once more at its end. What running builds hold stays, and
/// what this build made; of the rest, what was not used for longest goes.
#[derive(Debug)]
pub struct Cap {
    most: u64,
    began: SystemTime,
    state: Mutex<State>,
    changed: Condvar,
}

/// What is known of the build.
#[derive(Debug, Default)]
struct State {
    /// Steps that make something now.
    running: BTreeSet<StepId>,
    /// Whether anything was made since the last look.
    grown: bool,
    ended: bool,
}

/// Ends the keeping when dropped.
#[derive(Debug)]
pub struct Ending<'a>(&'a Cap);

impl Cap {
    /// Returns what keeps the store at `most` bytes; the build begins now.
    pub fn new(most: u64) -> Self {
        Self { most, began: SystemTime::now(), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Returns what ends [`Self::keep`].
    pub fn ending(&self) -> Ending<'_> {
        Ending(self)
    }

    /// Lets `prune` look after the store, until the build has ended. A build that makes nothing has nothing looked at.
    /// `prune` returns how many bytes are left; what it fails with, and that more is left than may be, is for `tell`, once.
    pub fn keep<E: std::fmt::Display>(&self, prune: impl Fn(&PruneOptions) -> Result<u64, E>, tell: impl Fn(String)) {
        let (mut pause, mut told, mut made) = (PAUSE, false, false);
        loop {
            let ended = self.wait(pause);
            let grown = self.take_growth();
            made |= grown;
            // At the end once more, though the last look may have been after the last step: only then is all of it told.
            if grown || (ended && made) {
                let began = Instant::now();
                let news = match prune(&self.options(ended)) {
                    Err(error) => Some(format!("the store is not kept below `max-used-space`: {error}")),
                    Ok(left) => (ended && left > self.most).then(|| self.too_much(left)),
                };
                if let Some(news) = news.filter(|_| !told) {
                    tell(news);
                    told = true;
                }
                pause = PAUSE.max(began.elapsed() * SHARE);
            }
            if ended {
                return;
            }
        }
    }

    /// Returns what may go. Cache mounts cannot while a build runs, and would count as gone.
    fn options(&self, ended: bool) -> PruneOptions {
        let mut kinds = BTreeSet::from([Kind::Layers, Kind::Records, Kind::Derivatives]);
        if ended {
            kinds.extend([Kind::Caches, Kind::Leftovers]);
        }
        let unused_for = Some(self.began.elapsed().unwrap_or_default());
        PruneOptions { all: false, kinds, unused_for, room: Room { most: Some(self.most), ..Room::default() } }
    }

    fn too_much(&self, left: u64) -> String {
        use crate::ui::bytes;
        format!(
            "the store has {} and `max-used-space` is {}: images with a name and what this build made stay; `lbuild rmi` \
             frees images, `lbuild du` tells what takes room",
            bytes(left),
            bytes(self.most)
        )
    }

    /// Waits for a while, or for the end of the build; reports whether it has ended.
    fn wait(&self, pause: Duration) -> bool {
        let running = |state: &mut State| !state.ended;
        let waited = self.changed.wait_timeout_while(self.lock(), pause, running);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn take_growth(&self) -> bool {
        let mut state = self.lock();
        std::mem::take(&mut state.grown) || !state.running.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.grown |= !std::mem::take(&mut state.running).is_empty();
        self.0.changed.notify_all();
    }
}

impl Watcher for Cap {
    fn see(&self, event: &Event) {
        let makes = |step: &StepId| step.stage != StepId::INTERNAL || step.is_fetch();
        match event {
            Event::StepStarted { step, .. } if makes(step) => {
                let mut state = self.lock();
                state.running.insert(*step);
                state.grown = true;
            }
            Event::StepFinished { step, .. } => {
                let mut state = self.lock();
                // What it made since the last look has not been seen.
                state.grown |= state.running.remove(step);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder::progress::Outcome;

    fn started(step: StepId) -> Event {
        Event::StepStarted { step, name: String::new() }
    }

    /// Returns how often the store was looked at, and what was told.
    fn kept(events: &[Event], result: Result<u64, &str>) -> (usize, Vec<String>) {
        let cap = Cap::new(1000);
        events.iter().for_each(|event| cap.see(event));
        drop(cap.ending());
        let (looks, told) = (Mutex::new(0), Mutex::new(Vec::new()));
        let prune = |options: &PruneOptions| {
            assert!(options.kinds.contains(&Kind::Caches) && options.room.most == Some(1000));
            *looks.lock().expect("locked") += 1;
            result
        };
        cap.keep(prune, |text| told.lock().expect("locked").push(text));
        (looks.into_inner().expect("unlocked"), told.into_inner().expect("unlocked"))
    }

    #[test]
    fn a_store_is_looked_at_if_a_build_made_something() {
        let step = StepId { stage: 0, step: 1 };
        let (cached, exported) = (Event::StepCached { step, name: String::new() }, started(StepId::internal(0)));
        assert_eq!(kept(&[cached, exported], Ok(9)), (0, vec![]));
        let finished = Event::StepFinished { step, took: Duration::ZERO, outcome: Outcome::Done };
        assert_eq!(kept(&[started(step), finished], Ok(1000)), (1, vec![]));
        assert_eq!(kept(&[started(StepId::pull(0))], Ok(1000)).0, 1);
        let (_, told) = kept(&[started(step)], Ok(1001));
        assert!(told[0].starts_with("the store has 1.00kB and `max-used-space` is 1.00kB"), "{told:?}");
        // The end is looked at, too, if a look came between it and the last step.
        let cap = Cap::new(1000);
        [started(step), Event::StepFinished { step, took: Duration::ZERO, outcome: Outcome::Done }]
            .iter()
            .for_each(|event| cap.see(event));
        let (looks, told) = (Mutex::new(0), Mutex::new(0));
        std::thread::scope(|scope| {
            let ending = cap.ending();
            let looked = || *looks.lock().expect("locked");
            scope.spawn(|| {
                let prune = |_: &PruneOptions| {
                    *looks.lock().expect("locked") += 1;
                    Ok::<_, String>(1001)
                };
                cap.keep(prune, |_| *told.lock().expect("locked") += 1);
            });
            while looked() == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            drop(ending);
        });
        assert_eq!((looks.into_inner().expect("unlocked"), told.into_inner().expect("unlocked")), (2, 1));
        let (_, told) = kept(&[started(step)], Err("no"));
        assert_eq!(told, ["the store is not kept below `max-used-space`: no"]);
    }
}
