//! [`Cancel`]: one flag that ends a build, and a descriptor to poll beside every pipe, socket and wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends a build: a flag to look at and an eventfd to poll. Clones are the same flag.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    flag: AtomicBool,
    event: OwnedFd,
}

impl Cancel {
    /// Returns a flag that is not set.
    ///
    /// # Errors
    /// The operating system's, if there is no descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(Inner { flag: AtomicBool::new(false), event })))
    }

    /// Sets the flag and makes the descriptor readable for good.
    pub fn cancel(&self) {
        self.0.flag.store(true, Ordering::SeqCst);
        if rustix::io::write(&self.0.event, &1u64.to_ne_bytes()).is_err() {
            // An eventfd that is full is readable already, which is all that is wanted.
        }
    }

    /// Reports whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.flag.load(Ordering::SeqCst)
    }
}

impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}
