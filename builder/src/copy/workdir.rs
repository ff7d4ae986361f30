//! WORKDIR as changes.

use super::error::CopyError;
use super::owner::Owner;
use super::plan::CopyPlan;
use super::upper::Upper;
use layerfs::meta::{Metadata, Timestamp};
use layerfs::path::TreePath;
use layerfs::stack::Stack;

/// Plans a WORKDIR: every directory that is missing down to `path`, links followed, of mode 0755 and `owner`, at
/// `epoch` or else the mtime of the deepest parent that existed. No change if it exists.
///
/// # Errors
/// [`CopyError::Destination`] if something else stands in the way.
pub fn plan_workdir(
    path: &TreePath,
    owner: Owner,
    epoch: Option<Timestamp>,
    below: &Stack,
) -> Result<CopyPlan, CopyError> {
    let mut upper = Upper::new(below);
    let real = upper.resolve(path)?;
    let mut existing = Some(real.clone());
    while let Some(path) = existing.as_ref().filter(|path| upper.at(path).is_none()) {
        existing = path.parent();
    }
    let parent = existing.and_then(|path| upper.at(&path)).map(|metadata| metadata.mtime);
    let made = epoch.or(parent).unwrap_or_default();
    let metadata = Metadata { uid: owner.uid, gid: owner.gid, ..Metadata::directory(made) };
    upper.make_directories(&real, &metadata)?;
    Ok(upper.finish(&metadata, Vec::new()))
}
