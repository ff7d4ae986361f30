//! [`Buffers`]: chunks in memory, at most so many at once, however many layers are on their way.

use crate::registry::remote::Upload;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, PoisonError};

/// Room for chunks: what bounds the memory of a push.
#[derive(Debug)]
pub(super) struct Buffers {
    left: Mutex<usize>,
    freed: Condvar,
}

/// Room for one chunk; dropped, it goes back.
#[derive(Debug)]
pub(super) struct Buffer<'a> {
    bytes: Vec<u8>,
    room: &'a Buffers,
}

impl Buffers {
    /// Returns room for `count` chunks.
    pub(super) fn new(count: usize) -> Self {
        Self { left: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for room. Who has some must not ask for more, or two may wait for each other.
    pub(super) fn take(&self) -> Buffer<'_> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.freed.wait_while(left, |left| *left == 0).unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        Buffer::new(self)
    }

    /// Returns room if there is some now.
    pub(super) fn try_take(&self) -> Option<Buffer<'_>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.checked_sub(1)?;
        Some(Buffer::new(self))
    }
}

impl<'a> Buffer<'a> {
    fn new(room: &'a Buffers) -> Self {
        // The kernel gives pages as they are written to, so that a small blob takes little.
        Self { bytes: Vec::with_capacity(Upload::CHUNK), room }
    }
}

impl Deref for Buffer<'_> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        *self.room.left.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.room.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_never_more_than_the_room() {
        let buffers = Buffers::new(2);
        let first = buffers.take();
        let second = buffers.try_take();
        assert!(second.is_some() && buffers.try_take().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| buffers.take().capacity());
            drop(first);
            assert_eq!(waiting.join().expect("got room"), Upload::CHUNK);
        });
        drop(second);
        assert_eq!(*buffers.left.lock().expect("locked"), 2);
    }
}
