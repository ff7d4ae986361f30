//! [`Payload`]: what a request sends; and [`Pace`], which tells slow from stalled.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// The body of a request.
#[derive(Debug)]
pub(in crate::registry) enum Payload<'a> {
    /// None, not even an empty one.
    None,
    /// Bytes, sent again after a redirect.
    Bytes(&'a [u8]),
    /// Bytes that come as they are read, once.
    Stream(Sending<'a>),
}

impl Payload<'_> {
    /// Returns the number of bytes.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream(sending) => Some(sending.size),
        }
    }

    /// Reports whether it can be sent again.
    pub fn is_again(&self) -> bool {
        !matches!(self, Self::Stream(_))
    }

    /// Returns the error that reading the bytes to send ended with, if it did.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        match self {
            Self::Stream(sending) => sending.failure.take(),
            _ => None,
        }
    }
}

/// Bytes on their way out: counted, told about, and stopped where they stall.
pub(in crate::registry) struct Sending<'a> {
    inner: &'a mut dyn Read,
    size: u64,
    sent: u64,
    pace: Pace,
    told: &'a dyn Fn(u64),
    failure: Option<io::Error>,
}

impl<'a> Sending<'a> {
    /// Returns `size` bytes of `inner`; `told` hears how many are gone.
    pub fn new(inner: &'a mut dyn Read, size: u64, idle: Duration, told: &'a dyn Fn(u64)) -> Self {
        Self { inner, size, sent: 0, pace: Pace::new(idle), told, failure: None }
    }
}

impl Read for Sending<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pace.is_stalled(self.sent) {
            return Err(stalled());
        }
        match self.inner.read(buffer) {
            Ok(count) => {
                self.sent += count as u64;
                (self.told)(self.sent);
                Ok(count)
            }
            Err(error) => {
                self.failure = Some(error);
                Err(io::Error::other("the bytes to send cannot be read"))
            }
        }
    }
}

impl std::fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending").field("size", &self.size).field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// Returns the error of a transfer that all but stands still.
pub(in crate::registry) fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "less than 1 KiB came each second")
}

/// Tells slow from stalled: less than 1 KiB each second, over four of the longest waits between two bytes.
#[derive(Debug)]
pub(in crate::registry) struct Pace {
    window: Duration,
    since: Instant,
    then: u64,
}

impl Pace {
    const LEAST: u64 = 1024;

    /// Returns a measure that begins now.
    pub fn new(idle: Duration) -> Self {
        Self { window: idle * 4, since: Instant::now(), then: 0 }
    }

    /// Reports whether too little came since the last window began; `count` is all that came so far.
    pub fn is_stalled(&mut self, count: u64) -> bool {
        self.is_stalled_at(Instant::now(), count)
    }

    fn is_stalled_at(&mut self, now: Instant, count: u64) -> bool {
        let passed = now.saturating_duration_since(self.since);
        if passed < self.window {
            return false;
        }
        let came = count.saturating_sub(self.then);
        (self.since, self.then) = (now, count);
        (came as f64) < passed.as_secs_f64() * Self::LEAST as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_is_a_stall_and_a_slow_line_is_not() {
        let idle = Duration::from_secs(10);
        let mut pace = Pace::new(idle);
        let start = pace.since;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!pace.is_stalled_at(at(39), 0));
        assert!(!pace.is_stalled_at(at(40), 40 * 1024));
        assert!(!pace.is_stalled_at(at(79), 40 * 1024));
        assert!(pace.is_stalled_at(at(80), 80 * 1024 - 1));
    }
}
