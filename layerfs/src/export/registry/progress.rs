//! [`PushObserver`]: who is told how a push goes on.

use crate::digest::Digest;
use std::fmt::Debug;

/// Listens to a push. Called from several threads.
pub trait PushObserver: Debug + Send + Sync {
    /// Takes one event.
    fn event(&self, event: PushEvent<'_>);
}

/// What a push reports. Its parts are numbered in the order in which they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent<'a> {
    /// A part began.
    Began {
        /// Its number.
        part: usize,
        /// Its name, in BuildKit's words: `pushing layers`.
        name: String,
    },
    /// Bytes of a layer were sent.
    Sent {
        /// In which part.
        part: usize,
        /// The layer's diff ID, or the config's digest.
        what: &'a Digest,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, where that is known.
        total: Option<u64>,
    },
    /// A part ended.
    Ended {
        /// Its number.
        part: usize,
        /// Why it failed, if it did.
        error: Option<String>,
    },
}
