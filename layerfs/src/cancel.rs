//! [`Cancel`]: one flag that ends a build, and a descriptor to poll beside every pipe, socket and wait.

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
}

impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
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
}
