//! [`Observer`]: who is told what goes on between lbuild and a registry.

use crate::digest::Digest;
use std::fmt::Debug;
use std::time::Duration;

/// Listens to transfers. Called from several threads.
pub trait Observer: Debug + Send + Sync {
    /// `done` of `total` bytes of a blob were received, or sent.
    fn transfer(&self, blob: &Digest, direction: Direction, done: u64, total: Option<u64>);

    /// A request to `host` failed for `why`, without secrets, and is tried again after `wait`.
    fn waiting(&self, host: &str, why: &str, wait: Duration);

    /// Something the user should know, such as a mirror that was passed over.
    fn warning(&self, text: &str);
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the registry.
    Pull,
    /// To the registry.
    Push,
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn transfer(&self, _: &Digest, _: Direction, _: u64, _: Option<u64>) {}
    fn waiting(&self, _: &str, _: &str, _: Duration) {}
    fn warning(&self, _: &str) {}
}
