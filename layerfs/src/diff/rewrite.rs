//! Makes an upper directory the layer that was decided on.

use crate::diff::decide::Decision;
use crate::diff::scan::Scan;
use crate::io_error::IoError;
use crate::meta::Kind;
use crate::meta::disk::{ORIGIN, OnDisk};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::unpack::LayerError;
use std::collections::BTreeSet;

/// Removes from `upper` what is no change, makes the whiteouts that are missing, and strips the marks of the mount.
pub(super) fn rewrite(upper: &RootDir, scan: &Scan, decision: &Decision) -> Result<(), LayerError> {
    let touched = remove(upper, scan, decision).map_err(LayerError::written)?;
    make_whiteouts(upper, scan, decision, touched).map_err(LayerError::written)
}

/// Removes what is no change, the deepest first, and returns the directories that it was in.
fn remove(upper: &RootDir, scan: &Scan, decision: &Decision) -> Result<BTreeSet<TreePath>, IoError> {
    let mut touched = BTreeSet::new();
    for ((path, found), kept) in scan.seen.iter().zip(&decision.kept).rev() {
        let whiteout = is_device_whiteout(found) && decision.whiteouts.contains(path);
        if path.is_root() || *kept || whiteout {
            strip(upper, path, found)?;
            continue;
        }
        if found.metadata.is_directory() {
            upper.remove_directory(path)?
        } else {
            upper.remove_file(path)?
        }
        touched.remove(path);
        touched.insert(path.parent().unwrap_or_default());
    }
    Ok(touched)
}

fn is_device_whiteout(found: &OnDisk) -> bool {
    matches!(found.metadata.kind, Kind::CharDevice { major: 0, minor: 0 })
}

fn strip(upper: &RootDir, path: &TreePath, found: &OnDisk) -> Result<(), IoError> {
    found.marks.keys().try_for_each(|mark| upper.remove_mark(path, mark))
}

/// Makes the whiteouts that are missing, marks the directories of all, and gives directories their times again.
fn make_whiteouts(
    upper: &RootDir,
    scan: &Scan,
    decision: &Decision,
    mut touched: BTreeSet<TreePath>,
) -> Result<(), IoError> {
    let mut marked = BTreeSet::new();
    for path in &decision.whiteouts {
        let parent = path.parent().unwrap_or_default();
        if !scan.get(path).is_some_and(is_device_whiteout) {
            upper.create_whiteout(path)?;
            touched.insert(parent.clone());
        }
        // Without it the kernel shows whiteouts in directories that are not merged.
        if marked.insert(parent.clone()) {
            upper.set_mark(&parent, ORIGIN, b"")?;
        }
    }
    for path in touched {
        if let Some(found) = scan.get(&path) {
            upper.set_mtime(&path, found.metadata.mtime)?;
        }
    }
    Ok(())
}
