//! Makes an upper directory the layer that was decided on.

use crate::diff::decide::Decision;
use crate::diff::scan::Scan;
use crate::diff::{FEW_NAMES, in_parts};
use crate::io_error::IoError;
use crate::meta::Kind;
use crate::meta::disk::{ORIGIN, OnDisk};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::unpack::LayerError;
use std::collections::BTreeSet;

/// Removes from `upper` what is no change, makes the whiteouts that are missing, and strips the marks of the mount.
pub(super) fn rewrite(upper: &RootDir, scan: &Scan, decision: &Decision) -> Result<(), LayerError> {
    strip(upper, scan, decision)?;
    let touched = remove(upper, scan, decision).map_err(LayerError::written)?;
    make_whiteouts(upper, scan, decision, touched).map_err(LayerError::written)
}

/// Removes the marks of what stays: each file that was copied up has one.
fn strip(upper: &RootDir, scan: &Scan, decision: &Decision) -> Result<(), LayerError> {
    let stays =
        scan.seen.iter().zip(&decision.kept).filter(|((path, found), kept)| stays(path, found, **kept, decision));
    let marked: Vec<&(TreePath, OnDisk)> =
        stays.map(|(seen, _)| seen).filter(|(_, found)| !found.marks.is_empty()).collect();
    let strip =
        |(path, found): &&(TreePath, OnDisk)| found.marks.names().try_for_each(|mark| upper.remove_mark(path, mark));
    in_parts(&marked, FEW_NAMES, |some| {
        some.iter().try_for_each(strip).map_err(LayerError::written)?;
        Ok(Vec::<()>::new())
    })?;
    Ok(())
}

/// Reports whether what was found at `path` is part of the layer as it is.
fn stays(path: &TreePath, found: &OnDisk, kept: bool, decision: &Decision) -> bool {
    path.is_root() || kept || (is_device_whiteout(found) && decision.whiteouts.contains(path))
}

/// Removes what is no change, the deepest first, and returns the directories that it was in.
fn remove(upper: &RootDir, scan: &Scan, decision: &Decision) -> Result<BTreeSet<TreePath>, IoError> {
    let mut touched = BTreeSet::new();
    for ((path, found), kept) in scan.seen.iter().zip(&decision.kept).rev() {
        if stays(path, found, *kept, decision) {
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
