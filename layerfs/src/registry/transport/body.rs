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

    /// Keeps the error, and returns what stands for it where it would be taken for one of the connection.
    fn failed(&mut self, error: io::Error) -> io::Error {
        self.failure = Some(error);
        io::Error::other("the bytes to send cannot be read")
    }
}

impl Read for Sending<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pace.is_stalled(self.sent) {
            return Err(stalled());
        }
        let left = self.size - self.sent;
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match self.inner.read(&mut buffer[..most]) {
            Ok(0) if most > 0 => Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.sent += count as u64;
                (self.told)(self.sent);
                Ok(count)
            }
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl std::fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending").field("size", &self.size).field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// A body on its way here, which fails once it all but stands still.
#[derive(Debug)]
pub(super) struct Paced<R> {
    inner: R,
    pace: Pace,
    came: u64,
}

impl<R: Read> Paced<R> {
    /// Returns a reader of `inner`, of which time is taken from now on.
    pub fn new(inner: R, idle: Duration) -> Self {
        Self { inner, pace: Pace::new(idle), came: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.came += count as u64;
        if count > 0 && self.pace.is_stalled(self.came) { Err(stalled()) } else { Ok(count) }
    }
}

/// Returns the error of a transfer that all but stands still.
fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "less than 1 KiB came each second")
}

/// Tells slow from stalled: less than 1 KiB each second, over four of the longest waits between two bytes.
#[derive(Debug)]
struct Pace {
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

/// Tells whether a transfer that breaks off again and again gets on all the same.
#[derive(Debug)]
pub(in crate::registry) struct Gain {
    since: Instant,
    /// The most that came so far.
    then: u64,
}

impl Gain {
    const LEAST: u64 = 16 << 10;

    /// Returns a measure that begins now, with so many bytes.
    pub fn new(count: u64) -> Self {
        Self { since: Instant::now(), then: count }
    }

    /// Reports whether enough came since it was asked last; `count` is all that came so far.
    pub fn is_enough(&mut self, count: u64) -> bool {
        self.is_enough_at(Instant::now(), count)
    }

    fn is_enough_at(&mut self, now: Instant, count: u64) -> bool {
        let (passed, gained) = (now.saturating_duration_since(self.since), count.saturating_sub(self.then));
        (self.since, self.then) = (now, self.then.max(count));
        gained >= Self::LEAST && gained as f64 >= passed.as_secs_f64() * Pace::LEAST as f64
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

    #[test]
    fn a_transfer_gets_on_if_enough_comes_between_its_failures() {
        let mut gain = Gain::new(1000);
        let start = gain.since;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!gain.is_enough_at(at(1), 1000 + (16 << 10) - 1));
        assert!(gain.is_enough_at(at(2), 1000 + (32 << 10)));
        // What was there once is not counted again.
        assert!(!gain.is_enough_at(at(3), 1000));
        assert!(!gain.is_enough_at(at(4), 1000 + (32 << 10)));
        // A minute for what should take half of one.
        assert!(!gain.is_enough_at(at(64), 1000 + (62 << 10)));
    }
}
