//! [`Pins`]: the one execution of each key that a build sees.

use crate::cache::{RECORD_VERSION, Record};
use crate::key::CacheKey;
use layerfs::layer::{ExecutionId, Layer};
use std::collections::HashMap;
use std::sync::Arc;

/// The one execution of each key that a build sees.
///
/// The first record taken pins every execution it passes through; a later record counts only if its executions agree.
/// Since a record holds its whole stack, a pinned key can be used without a record of its own: its stack is a prefix
/// of the record that pinned it. So layers of different executions never mix, whatever was pruned.
#[derive(Debug, Default)]
pub struct Pins {
    pinned: HashMap<CacheKey, Pinned>,
}

/// A step that a record passes through. The records of a stage's steps share what they have in common: cut out for each
/// step, a chain of hundreds would be held hundreds of times.
#[derive(Debug)]
struct Pinned {
    record: Arc<Record>,
    /// Which step of the record's chain.
    at: usize,
}

impl Pins {
    /// Returns the pinned record of `key`.
    pub fn get(&self, key: &CacheKey) -> Option<Record> {
        self.pinned.get(key).map(|pinned| prefix_of(&pinned.record, pinned.at))
    }

    /// Takes `record`, pinning all it passes through; false, and nothing pinned, if it disagrees with an earlier pin or
    /// contradicts itself.
    pub fn take(&mut self, record: &Record) -> bool {
        let agrees = |(key, execution): (CacheKey, ExecutionId)| {
            self.pinned.get(&key).is_none_or(|pinned| step_of(&pinned.record, pinned.at).1 == execution)
        };
        if !built(record).eq(chain_of(record).map(|(_, execution)| execution)) || !chain_of(record).all(agrees) {
            return false;
        }
        let record = Arc::new(record.clone());
        for (at, (key, _)) in chain_of(&record).enumerate() {
            self.pinned.entry(key).or_insert_with(|| Pinned { record: Arc::clone(&record), at });
        }
        true
    }
}

/// Returns key and execution of the `at`-th step of a record's chain.
fn step_of(record: &Record, at: usize) -> (CacheKey, ExecutionId) {
    record.ancestors.get(at).copied().unwrap_or((record.key, record.execution))
}

/// Returns keys and executions of a record's steps, its own last.
fn chain_of(record: &Record) -> impl Iterator<Item = (CacheKey, ExecutionId)> {
    (0..=record.ancestors.len()).map(|at| step_of(record, at))
}

fn built(record: &Record) -> impl Iterator<Item = ExecutionId> {
    record.stack.iter().filter_map(|layer| match layer {
        Layer::Built { execution, .. } => Some(*execution),
        Layer::Base { .. } => None,
    })
}

/// Returns the record of the `at`-th step of a record's chain: its stack up to that step's layer.
fn prefix_of(record: &Record, at: usize) -> Record {
    let (key, execution) = step_of(record, at);
    let is_own = |layer: &Layer| matches!(layer, Layer::Built { execution: own, .. } if *own == execution);
    let end = record.stack.iter().position(is_own).map_or(0, |position| position + 1);
    let whole = at == record.ancestors.len();
    Record {
        version: RECORD_VERSION,
        key,
        execution,
        ancestors: record.ancestors[..at].to_vec(),
        stack: record.stack[..end].to_vec(),
        components: if whole { record.components.clone() } else { Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerfs::digest::Digest;
    use layerfs::meta::Timestamp;

    fn key(name: &str) -> CacheKey {
        CacheKey(Digest::of(name))
    }

    fn record(chain: &[(&str, u8)]) -> Record {
        let links: Vec<_> = chain.iter().map(|(name, n)| (key(name), ExecutionId([*n; 16]))).collect();
        let (own, ancestors) = links.split_last().expect("a chain has a step");
        let layer = |link: &(CacheKey, ExecutionId)| Layer::Built { execution: link.1, created: Timestamp::default() };
        Record {
            version: RECORD_VERSION,
            key: own.0,
            execution: own.1,
            ancestors: ancestors.to_vec(),
            stack: links.iter().map(layer).collect(),
            components: Vec::new(),
        }
    }

    #[test]
    fn a_record_of_another_execution_is_refused() {
        let mut pins = Pins::default();
        assert!(pins.take(&record(&[("a", 1), ("b", 2)])));
        assert!(!pins.take(&record(&[("a", 9), ("c", 3)])));
        assert!(pins.get(&key("c")).is_none());
        assert!(pins.take(&record(&[("a", 1), ("c", 3)])));
    }

    #[test]
    fn a_pinned_ancestor_serves_without_a_record_of_its_own() {
        let mut pins = Pins::default();
        assert!(pins.take(&record(&[("a", 1), ("b", 2)])));
        assert_eq!(pins.get(&key("a")), Some(record(&[("a", 1)])));
    }

    #[test]
    fn a_record_whose_stack_is_not_its_chain_is_refused() {
        let mut bent = record(&[("a", 1), ("b", 2)]);
        bent.stack.pop();
        assert!(!Pins::default().take(&bent));
    }
}
