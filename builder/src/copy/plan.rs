//! [`CopyPlan`]: the changes that a COPY makes to a stack.
//!
//! Destination rules are BuildKit's (FEATURES.md 1.6), with one exception: a copied directory that meets a link to a
//! directory is merged into that directory, where BuildKit gives up. So `COPY rootfs /` works on bases whose `/bin` is
//! a link, and no entry ever stands below a link of a lower layer, which would hide the shell.

use super::archive::{Archive, Member};
use super::error::CopyError;
use super::mode::ModeRule;
use super::owner::Owner;
use super::select::{Item, SelectedEntry, Selection};
use super::upper::{NewInode, Upper};
use crate::context::tree::{LinkKey, Stamp};
use crate::plan::op::Script;
use layerfs::change::Change;
use layerfs::digest::Digest;
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::stack::Stack;
use std::collections::{BTreeMap, HashMap};

/// Where the bytes of a planned file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentSource {
    /// In the source tree.
    Tree(TreePath),
    /// In the Dockerfile.
    Bytes(Box<[u8]>),
    /// In what an archive was spooled to.
    Spool {
        /// Index into [`CopyPlan::archives`].
        archive: usize,
        /// First byte.
        offset: u64,
    },
}

/// One change, and where its bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// The change.
    pub change: Change,
    /// Set for regular files.
    pub source: Option<ContentSource>,
    /// What the bytes were when the key was made.
    pub expected: Option<Expected>,
}

/// What the bytes of a file were when the key was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Their digest.
    pub digest: Digest,
    /// The file's stamp: while it has it, the bytes have the digest.
    pub stamp: Option<Stamp>,
}

/// The changes that a COPY makes to a stack: sorted, one for each path, parents included.
#[derive(Debug, Default)]
pub struct CopyPlan {
    /// The changes.
    pub changes: Vec<PlannedChange>,
    /// Archives that contents are read from.
    pub archives: Vec<Archive>,
}

/// Where a COPY goes and what it makes of what it copies.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// The destination, absolute.
    pub destination: &'a TreePath,
    /// True if it was typed as a directory.
    pub is_directory: bool,
    /// `--chown`, resolved.
    pub owner: Option<Owner>,
    /// `--chmod`.
    pub mode: Option<ModeRule>,
    /// SOURCE_DATE_EPOCH.
    pub epoch: Option<Timestamp>,
    /// The time for what has none: heredocs and directories made for them.
    pub now: Timestamp,
}

/// Plans a COPY onto `below`; for `--link` that is the empty stack. `archives` holds, by number of the item, what is
/// unpacked and not copied.
///
/// # Errors
/// [`CopyError::NotADirectory`], [`CopyError::IsADirectory`], [`CopyError::WhiteoutName`], [`CopyError::Destination`].
pub fn plan(
    selection: Selection,
    heredocs: &[Script],
    archives: BTreeMap<usize, Archive>,
    target: &Target<'_>,
    below: &Stack,
) -> Result<CopyPlan, CopyError> {
    let made = selection.newest().unwrap_or(target.now);
    let mut planner = Planner { upper: Upper::new(below), target, made: target.epoch.unwrap_or(made) };
    let mut spools = Vec::new();
    let mut archives = archives;
    for (number, item) in selection.items.into_iter().enumerate() {
        match archives.remove(&number) {
            Some(mut archive) => {
                planner.unpack(std::mem::take(&mut archive.members), spools.len())?;
                spools.push(archive);
            }
            None => planner.copy(item)?,
        }
    }
    for script in heredocs {
        planner.heredoc(script)?;
    }
    let parent = planner.new_directory();
    Ok(CopyPlan { changes: planner.upper.finish(&parent), archives: spools })
}

/// A plan in the making.
struct Planner<'a> {
    upper: Upper<'a>,
    target: &'a Target<'a>,
    /// Time of directories that are made.
    made: Timestamp,
}

impl Planner<'_> {
    /// Returns the metadata of a directory that is made on the way: an octal `--chmod` counts, a symbolic one does not.
    fn new_directory(&self) -> Metadata {
        let owner = self.target.owner.unwrap_or_default();
        let mode = self.target.mode.as_ref().and_then(ModeRule::octal).unwrap_or(0o755);
        Metadata { mode, uid: owner.uid, gid: owner.gid, ..Metadata::directory(self.made) }
    }

    /// Returns `metadata` as `--chown` and `--chmod` make it; links have no mode to change.
    fn dressed(&self, mut metadata: Metadata) -> Metadata {
        if let Some(Owner { uid, gid }) = self.target.owner {
            (metadata.uid, metadata.gid) = (uid, gid);
        }
        if let (Some(rule), false) = (&self.target.mode, metadata.is_symlink()) {
            metadata.mode = rule.apply(metadata.mode, metadata.is_directory());
        }
        metadata
    }

    fn copy(&mut self, item: Item) -> Result<(), CopyError> {
        match &item.directory {
            Some(top) => {
                let top = top.mtime;
                self.copy_contents(item, top)
            }
            None => {
                let path = self.place_file(&item.name)?;
                let entry = item.entries.into_iter().next();
                entry.map_or(Ok(()), |entry| self.put(path, entry, &mut HashMap::new()))
            }
        }
    }

    /// Returns where a file called `name` goes, and makes the directories above it.
    fn place_file(&mut self, name: &[u8]) -> Result<TreePath, CopyError> {
        let destination = self.upper.resolve(self.target.destination)?;
        let into = self.target.is_directory || self.upper.is_directory(&destination);
        let directory = if into { Some(destination.clone()) } else { destination.parent() }.unwrap_or_default();
        let metadata = self.new_directory();
        self.upper.make_directories(&directory, &metadata)?;
        Ok(if into { directory.join(name) } else { destination })
    }

    /// Returns the destination as a directory, made if it is missing.
    fn place_directory(&mut self) -> Result<TreePath, CopyError> {
        let destination = self.upper.resolve(self.target.destination)?;
        if self.upper.at(&destination).is_some_and(|found| !found.is_directory()) {
            return Err(CopyError::NotADirectory { path: destination });
        }
        let metadata = self.new_directory();
        self.upper.make_directories(&destination, &metadata)?;
        Ok(destination)
    }

    /// Merges what a directory holds into the destination, which keeps all of its own but the mtime.
    fn copy_contents(&mut self, item: Item, mtime: Timestamp) -> Result<(), CopyError> {
        let destination = self.place_directory()?;
        if let Some(metadata) = self.upper.at(&destination).cloned().filter(|_| !destination.is_root()) {
            let metadata = Metadata { mtime, ..metadata };
            self.upper.put(destination.clone(), NewInode { metadata, source: None, expected: None });
        }
        self.upper.reserve(item.entries.len());
        let mut redirects: BTreeMap<TreePath, TreePath> = BTreeMap::new();
        let mut links = HashMap::new();
        for entry in item.entries {
            let Some(relative) = entry.path.strip_prefix(&item.root) else { continue };
            let path = redirected(&destination, &relative, &redirects);
            if !entry.metadata.is_directory() {
                self.put(path, entry, &mut links)?;
                continue;
            }
            let real = self.put_directory(path.clone(), entry.metadata)?;
            if real != path {
                redirects.insert(relative, real);
            }
        }
        Ok(())
    }

    /// Puts a copied directory at `path`, or where a link there leads; returns where.
    fn put_directory(&mut self, path: TreePath, metadata: Metadata) -> Result<TreePath, CopyError> {
        check_name(&path)?;
        let real = match self.upper.at(&path) {
            Some(found) if found.is_symlink() => {
                let real = self.upper.resolve(&path)?;
                match self.upper.is_directory(&real) {
                    true => real,
                    false => return Err(CopyError::NotADirectory { path }),
                }
            }
            Some(found) if !found.is_directory() => return Err(CopyError::NotADirectory { path }),
            _ => path,
        };
        if !real.is_root() {
            let metadata = self.dressed(metadata);
            self.upper.put(real.clone(), NewInode { metadata, source: None, expected: None });
        }
        Ok(real)
    }

    /// Puts anything but a directory at `path`; a link there is replaced, never written through.
    fn put(
        &mut self,
        path: TreePath,
        entry: SelectedEntry,
        links: &mut HashMap<LinkKey, usize>,
    ) -> Result<(), CopyError> {
        check_name(&path)?;
        if self.upper.is_directory(&path) {
            return Err(CopyError::IsADirectory { path });
        }
        if let Some(inode) = entry.link.as_deref().and_then(|link| links.get(link)) {
            self.upper.link(path, *inode);
            return Ok(());
        }
        let source = super::select::is_file(&entry.metadata).then_some(ContentSource::Tree(entry.path));
        let metadata = self.dressed(entry.metadata);
        let expected = entry.digest.map(|digest| Expected { digest, stamp: entry.stamp });
        let inode = self.upper.put(path, NewInode { metadata, source, expected });
        links.extend(entry.link.map(|link| (*link, inode)));
        Ok(())
    }

    fn heredoc(&mut self, script: &Script) -> Result<(), CopyError> {
        let path = self.place_file(script.name.as_bytes())?;
        check_name(&path)?;
        if self.upper.is_directory(&path) {
            return Err(CopyError::IsADirectory { path });
        }
        let kind = Kind::File { size: script.body.len() as u64 };
        let metadata = Metadata { kind, mode: 0o644, uid: 0, gid: 0, mtime: self.made, xattrs: Xattrs::new() };
        let source = Some(ContentSource::Bytes(script.body.as_bytes().into()));
        let metadata = self.dressed(metadata);
        self.upper.put(path, NewInode { metadata, source, expected: None });
        Ok(())
    }

    /// Lays the members of an archive over the destination, as `tar -x` in it would, inside the root.
    fn unpack(&mut self, members: Vec<Member>, archive: usize) -> Result<(), CopyError> {
        let destination = self.place_directory()?;
        for member in members {
            // The archive's own root says nothing about the destination.
            if !member.path().is_root() {
                self.unpack_member(&destination, member, archive)?;
            }
        }
        Ok(())
    }

    fn unpack_member(&mut self, top: &TreePath, member: Member, archive: usize) -> Result<(), CopyError> {
        let path = self.inside(top, member.path())?;
        check_name(&path)?;
        if let Some(parent) = path.parent() {
            let metadata = Metadata { mode: 0o755, ..self.new_directory() };
            self.upper.make_directories(&parent, &metadata)?;
        }
        match member {
            Member::Inode { metadata, offset, .. } => {
                let real = match metadata.is_directory() {
                    true => Some(self.upper.resolve(&path)?).filter(|real| self.upper.is_directory(real)),
                    false => None,
                };
                let path = real.unwrap_or(path);
                if path.is_root() {
                    return Ok(());
                }
                let source = super::select::is_file(&metadata).then_some(ContentSource::Spool { archive, offset });
                let metadata = self.owned(metadata);
                self.upper.put(path, NewInode { metadata, source, expected: None });
            }
            Member::Hardlink { target, .. } => {
                let target = self.inside(top, &target)?;
                let inode = self.upper.inode_at(&target).ok_or_else(|| CopyError::NotFound {
                    source_text: format!("{target}, the target of the hardlink {path}"),
                    similar: None,
                })?;
                if target != path {
                    self.upper.link(path, inode);
                }
            }
        }
        Ok(())
    }

    /// Returns where a member's path leads, its last component not followed.
    fn inside(&self, top: &TreePath, path: &TreePath) -> Result<TreePath, CopyError> {
        let joined = top.join(path.as_bytes());
        let parent = self.upper.resolve(&joined.parent().unwrap_or_default())?;
        Ok(parent.join(joined.name()))
    }

    /// Returns `metadata` as `--chown` makes it: `--chmod` says nothing about what is unpacked.
    fn owned(&self, metadata: Metadata) -> Metadata {
        match self.target.owner {
            Some(Owner { uid, gid }) => Metadata { uid, gid, ..metadata },
            None => metadata,
        }
    }
}

/// Returns where `relative` goes below `destination` when directories above it went elsewhere.
fn redirected(destination: &TreePath, relative: &TreePath, redirects: &BTreeMap<TreePath, TreePath>) -> TreePath {
    if !redirects.is_empty() {
        for above in relative.ancestors().iter().rev() {
            if let (Some(real), Some(rest)) = (redirects.get(above), relative.strip_prefix(above)) {
                return real.join(rest.as_bytes());
            }
        }
    }
    destination.join(relative.as_bytes())
}

/// Refuses a name that would read as a deletion in a layer.
fn check_name(path: &TreePath) -> Result<(), CopyError> {
    match path.name().starts_with(b".wh.") {
        true => Err(CopyError::WhiteoutName { path: path.clone() }),
        false => Ok(()),
    }
}
