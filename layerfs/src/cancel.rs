//! [`Cancel`]: one flag that ends a build, and a descriptor to poll beside every pipe, socket and wait.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Ends a build: a flag to look at and an eventfd to poll. Clones are the same flag.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    flag: AtomicBool,
    event: OwnedFd,
    children: Mutex<Vec<Weak<Inner>>>,
}

impl Cancel {
    /// Returns a flag that is not set.
    ///
    /// # Errors
    /// The operating system's, if there is no descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(Inner { flag: AtomicBool::new(false), event, children: Mutex::default() })))
    }

    /// Returns a flag that this one sets, and that may be set without it.
    ///
    /// # Errors
    /// As [`Cancel::new`].
    pub fn child(&self) -> std::io::Result<Self> {
        let child = Self::new()?;
        self.0.children.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&child.0));
        if self.is_cancelled() {
            child.cancel();
        }
        Ok(child)
    }

    /// Sets the flag and makes the descriptor readable for good, here and in every child.
    pub fn cancel(&self) {
        self.0.flag.store(true, Ordering::SeqCst);
        if rustix::io::write(&self.0.event, &1u64.to_ne_bytes()).is_err() {
            // An eventfd that is full is readable already, which is all that is wanted.
        }
        for child in self.0.children.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            Self(child).cancel();
        }
    }

    /// Reports whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.flag.load(Ordering::SeqCst)
    }

    /// Returns a reader of `inner` that fails once the flag is set.
    pub fn watch<R: Read>(&self, inner: R) -> Watched<R, impl Fn() -> bool> {
        Watched::new(inner, || self.is_cancelled())
    }
}

impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

/// Bytes between two looks at who waits for them.
const LOOK_EVERY: usize = 1 << 20;

/// A reader that fails once nobody wants what it reads: however long the stream, its reader hears soon of its end.
#[derive(Debug)]
pub struct Watched<R, F> {
    inner: R,
    is_cancelled: F,
    unchecked: usize,
}

impl<R: Read, F: Fn() -> bool> Watched<R, F> {
    /// Returns a reader of `inner` that fails once `is_cancelled` says so; it is asked first, and then once a MiB.
    pub fn new(inner: R, is_cancelled: F) -> Self {
        Self { inner, is_cancelled, unchecked: LOOK_EVERY }
    }
}

impl<R: Read, F: Fn() -> bool> Read for Watched<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unchecked >= LOOK_EVERY {
            self.unchecked = 0;
            if (self.is_cancelled)() {
                // Not `Interrupted`: whoever copies would try again.
                return Err(io::Error::other("cancelled"));
            }
        }
        let count = self.inner.read(buffer)?;
        self.unchecked += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_set_by_its_parent_and_not_the_other_way() -> std::io::Result<()> {
        let parent = Cancel::new()?;
        let (first, second) = (parent.child()?, parent.child()?);
        first.cancel();
        assert!(!parent.is_cancelled() && !second.is_cancelled());
        parent.cancel();
        assert!(second.is_cancelled() && parent.child()?.is_cancelled());
        Ok(())
    }

    #[test]
    fn a_watched_stream_ends_soon_after_the_flag_is_set() -> io::Result<()> {
        let cancel = Cancel::new()?;
        let mut endless = cancel.watch(io::repeat(7));
        let mut read = |count: u64| io::copy(&mut (&mut endless).take(count), &mut io::sink());
        assert_eq!(read(4 << 20)?, 4 << 20);
        cancel.cancel();
        assert_eq!(read(4 << 20).map_err(|error| error.to_string()), Err("cancelled".to_owned()));
        assert!(cancel.watch(io::empty()).read(&mut [0]).is_err(), "looked at before the first byte");
        Ok(())
    }
}
