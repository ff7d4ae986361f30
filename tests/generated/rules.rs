//! [`Rules`]: what another builder does otherwise, and why.

use super::Batch;
use super::case::Case;
use super::peer::Peer;
use crate::tree::Tree;

/// What another builder does otherwise, and how often it was seen.
pub struct Rules {}

impl Rules {
    pub fn of(_peer: &Peer) -> Self {
        Self {}
    }
    pub fn refusal(&mut self, _case: &Case, _error: &str) -> bool {
        false
    }
    pub fn acceptance(&mut self, _case: &Case) -> bool {
        false
    }
    pub fn differences(&mut self, _batch: &Batch, _cases: &[&Case], ours: Tree, theirs: Tree) -> Vec<(String, String)> {
        ours.differences(&theirs)
    }
    pub fn report(&self) {}
}
