//! [`Meter`]: who is told how far long work with bytes has come.

use std::fmt::Debug;
use std::io::{self, Read};
use std::sync::Arc;

/// Work with fewer bytes is not told of: it is over before anybody has read about it.
const LONG: u64 = 8 << 20;
/// Bytes between two words.
const STEP: u64 = 1 << 20;

/// Listens. Called from several threads.
pub trait Gauge: Debug + Send + Sync {
    /// Takes note that of `what`, which has `total` bytes, `done` have been moved.
    fn moved(&self, what: &str, done: u64, total: u64);
}

/// Who is told how far work has come, if anyone is. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Meter(Option<Arc<dyn Gauge>>);

impl Meter {
    /// Returns a meter that tells `gauge`.
    pub fn new(gauge: Arc<dyn Gauge>) -> Self {
        Self(Some(gauge))
    }

    /// Begins work with `total` bytes, which is called `what`.
    pub fn begin(&self, total: u64, what: impl FnOnce() -> String) -> Course {
        let gauge = self.0.as_ref().filter(|_| total >= LONG);
        Course { told: gauge.map(|gauge| (Arc::clone(gauge), what())), done: 0, next: 0, total }
    }
}

/// Work that goes on.
#[derive(Debug)]
pub struct Course {
    told: Option<(Arc<dyn Gauge>, String)>,
    done: u64,
    next: u64,
    total: u64,
}

impl Course {
    /// Returns a reader whose bytes are part of this work.
    pub fn reading<R: Read>(&mut self, from: R) -> Metered<'_, R> {
        Metered { course: self, from }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let Some((gauge, what)) = &self.told else { return };
        if self.done >= self.next || self.done == self.total {
            gauge.moved(what, self.done.min(self.total), self.total);
            self.next = self.done + STEP;
        }
    }
}

/// Counts what is read.
#[derive(Debug)]
pub struct Metered<'a, R> {
    course: &'a mut Course,
    from: R,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if count > 0 {
            self.course.add(count as u64);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<(String, u64, u64)>>);

    impl Gauge for Told {
        fn moved(&self, what: &str, done: u64, total: u64) {
            self.0.lock().expect("locked").push((what.to_owned(), done, total));
        }
    }

    #[test]
    fn long_work_is_told_now_and_then_and_at_its_end() {
        let told = Arc::new(Told::default());
        let meter = Meter::new(told.clone());
        let parts = [LONG - 10, 10];
        let mut course = meter.begin(parts.iter().sum(), || "x".to_owned());
        for part in parts {
            io::copy(&mut course.reading(io::repeat(0).take(part)), &mut io::sink()).expect("copied");
        }
        let mut short = meter.begin(LONG - 1, || unreachable!("nobody is told"));
        io::copy(&mut short.reading(io::repeat(0).take(LONG - 1)), &mut io::sink()).expect("copied");
        let told = told.0.lock().expect("locked");
        assert!(told.iter().all(|(what, _, total)| what == "x" && *total == LONG));
        assert!(told.windows(2).all(|two| two[0].1 < two[1].1), "{told:?}");
        assert!((LONG / STEP..=LONG / STEP + 2).contains(&(told.len() as u64)), "{told:?}");
        assert_eq!(told.last().map(|(_, done, _)| *done), Some(LONG));
        let mut unheard = Meter::default().begin(LONG, || unreachable!("nobody is told"));
        io::copy(&mut unheard.reading(io::repeat(0).take(LONG)), &mut io::sink()).expect("copied");
    }
}
