//! Upper directory to layer: brings what a command left behind to normal form, and indexes it in the same walk.
//!
//! ```text
//! scan (what is there) -> decide (what differs from below) -> rewrite (the directory becomes the layer) -> index
//! ```
//! The normal form: a change equal to what lies below it is dropped; the parents of changes are always there; an opaque
//! directory becomes one whiteout for each name that is gone; a whiteout of nothing is dropped; sockets and marks of the
//! mount are deleted; `/` is stated only if it was changed itself. No file's bytes are read but to compare them with a
//! file below that is equal in all else.

mod baseline;
mod decide;
mod opener;
mod rewrite;
mod scan;

pub use baseline::Baseline;
pub use opener::opener;

use crate::change::{Change, Node};
use crate::index::{ACCOUNT_FILES, LayerIndex};
use crate::io_error::{IoContext, IoError};
use crate::meta::Kind;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::Stack;
use crate::unpack::LayerError;
use decide::Decision;
use rayon::prelude::*;
use scan::Scan;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;

/// Longest account file whose bytes are kept, in bytes.
const LONGEST_ACCOUNT_FILE: u64 = 10 << 20;

/// What was seen is freed so many entries at a time while changes are made of it: of a large layer, both would be much.
const FREED_AT_A_TIME: usize = 8192;

/// Names that one core has to do with at a time.
const FEW_NAMES: usize = 256;

/// Opens a regular file of a layer below: the layer's number, 0 the lowest, and the path in it.
pub type OpenBelow<'a> = dyn Fn(usize, &TreePath) -> Result<File, IoError> + 'a;

/// Brings `upper`, the upper directory of an overlay over `below` that is no longer mounted, to normal form in place,
/// and returns its index.
///
/// # Errors
/// [`LayerError::ReservedName`] for a file called `.wh.*`, [`LayerError::Incomplete`] for a redirected directory or a
/// file without its bytes; [`LayerError::Io`]. `upper` is then neither one nor the other, and to be deleted.
pub fn normalize(upper: &RootDir, below: &Stack, open: &OpenBelow<'_>) -> Result<LayerIndex, LayerError> {
    run(upper, below, open, None)
}

/// Brings `tree`, a copy of everything in `below` that was changed since `baseline` was taken of it, to the same form.
///
/// # Errors
/// As [`normalize`].
pub fn normalize_whole(
    tree: &RootDir,
    below: &Stack,
    open: &OpenBelow<'_>,
    baseline: &Baseline,
) -> Result<LayerIndex, LayerError> {
    run(tree, below, open, Some(baseline))
}

fn run(
    upper: &RootDir,
    below: &Stack,
    open: &OpenBelow<'_>,
    baseline: Option<&Baseline>,
) -> Result<LayerIndex, LayerError> {
    let scan = Scan::of(upper, baseline.is_some())?;
    let decision = Decision::of(&scan, upper, below, open, baseline)?;
    rewrite::rewrite(upper, &scan, &decision)?;
    index(upper, scan, decision)
}

/// Returns what `work` makes of the items, at most `most` at a time, by all cores. No thread is woken for no more than
/// these: most commands leave little.
fn in_parts<T: Sync, R: Send>(
    items: &[T],
    most: usize,
    work: impl Fn(&[T]) -> Result<Vec<R>, LayerError> + Sync,
) -> Result<Vec<R>, LayerError> {
    if items.len() <= most {
        return work(items);
    }
    let parts: Vec<Vec<R>> = items.par_chunks(most).map(&work).collect::<Result<_, _>>()?;
    Ok(parts.into_iter().flatten().collect())
}

fn index(upper: &RootDir, scan: Scan, decision: Decision) -> Result<LayerIndex, LayerError> {
    let mut first_names: HashMap<(u64, u64), TreePath> = HashMap::new();
    let inodes = decision.kept.iter().filter(|kept| **kept).count();
    let mut changes = Vec::with_capacity(inodes + decision.whiteouts.len());
    let mut seen = scan.seen;
    seen.reverse();
    for kept in decision.kept {
        let Some((path, found)) = seen.pop() else { break };
        if seen.len().is_multiple_of(FREED_AT_A_TIME) {
            seen.shrink_to_fit();
        }
        if !kept {
            continue;
        }
        let several = found.links > 1 && !found.metadata.is_directory();
        let node = match first_names.get(&found.inode) {
            Some(first) => Node::Hardlink { target: first.clone() },
            None => Node::Inode(found.metadata),
        };
        if several {
            first_names.entry(found.inode).or_insert_with(|| path.clone());
        }
        changes.push(Change { path, node });
    }
    changes.extend(decision.whiteouts.into_iter().map(|path| Change { path, node: Node::Whiteout }));
    changes.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let index = LayerIndex { changes: changes.into(), ..LayerIndex::default() };
    Ok(LayerIndex { accounts: accounts(upper, &index)?, ..index })
}

fn accounts(upper: &RootDir, index: &LayerIndex) -> Result<BTreeMap<TreePath, Vec<u8>>, LayerError> {
    let mut accounts = BTreeMap::new();
    for path in ACCOUNT_FILES.map(TreePath::from) {
        let kind = index.get(&path).and_then(|change| change.node.metadata()).map(|metadata| &metadata.kind);
        if matches!(kind, Some(Kind::File { size }) if *size <= LONGEST_ACCOUNT_FILE) {
            let mut bytes = Vec::new();
            upper.open_file(&path)?.read_to_end(&mut bytes).at("read", upper.show(&path))?;
            accounts.insert(path, bytes);
        }
    }
    Ok(accounts)
}

#[cfg(test)]
mod tests;
