//! Interrupts: the first SIGINT or SIGTERM cancels the build, the second ends lbuild at once.
//!
//! The two signals are blocked in every thread and taken by one that waits for them, so that no handler runs in the
//! middle of anything.

use crate::exit::Exit;
use layerfs::cancel::Cancel;
use nix::sys::signal::{SigSet, Signal};

/// Starts to listen; must be called before any other thread is started.
///
/// # Errors
/// The operating system's, if the signals cannot be blocked or the thread cannot be started.
pub fn listen(cancel: Cancel) -> std::io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || wait(&signals, &cancel))?;
    Ok(())
}

fn wait(signals: &SigSet, cancel: &Cancel) {
    while signals.wait().is_ok() {
        if cancel.is_cancelled() {
            // The worker sees the end of its pipe and dies with all that it started.
            std::process::exit(Exit::Interrupted.code().into());
        }
        cancel.cancel();
    }
}
