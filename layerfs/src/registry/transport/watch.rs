//! [`Watch`]: the thread that ends all connections when the build is cancelled.

use super::agents::Agents;
use crate::cancel::Cancel;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A thread that waits for the build to be cancelled, or for itself to be dropped.
#[derive(Debug)]
pub(super) struct Watch {
    /// Readable when the thread is to end; nothing if the thread could not be made.
    end: Option<Arc<OwnedFd>>,
}

impl Watch {
    /// Begins to watch. Without a descriptor or thread to be had nothing is watched: then time limits end what hangs.
    pub fn new(agents: Arc<Agents>, cancel: Cancel) -> Self {
        let Ok(end) = eventfd(0, EventfdFlags::CLOEXEC) else { return Self { end: None } };
        let end = Arc::new(end);
        let theirs = Arc::clone(&end);
        let thread = std::thread::Builder::new().name("registry-watch".to_owned());
        let started = thread.spawn(move || {
            if wait(&cancel, &theirs) {
                agents.shutdown();
            }
        });
        Self { end: started.is_ok().then_some(end) }
    }
}

/// Waits for either; reports whether the build was cancelled.
fn wait(cancel: &Cancel, end: &OwnedFd) -> bool {
    loop {
        let mut both = [PollFd::new(cancel, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        match poll(&mut both, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) if !both[0].revents().is_empty() => return true,
            Ok(_) if !both[1].revents().is_empty() => return false,
            Ok(_) => {}
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(end) = &self.end {
            // An eventfd that is written to once is never full.
            rustix::io::write(end, &1u64.to_ne_bytes()).ok();
        }
    }
}
