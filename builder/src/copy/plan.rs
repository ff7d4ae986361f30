//! [`CopyPlan`]: the changes that a COPY makes to a stack.
//!
//! Destination rules are BuildKit's (FEATURES.md 1.6), with one exception: a copied or unpacked directory that meets a
//! link to a directory is merged into that directory, where BuildKit gives up (COPY) or puts the directory in the link's
//! place (ADD). So `COPY rootfs /` works on bases whose `/bin` is a link, `ADD rootfs.tar /` leaves the shell where it is,
//! and no entry ever stands below a link of a lower layer.

use super::archive::{Archive, Member};
use super::entries::{Place, tree_path};
use super::error::CopyError;
use super::mode::ModeRule;
use super::owner::Owner;
use super::run::{Dress, Run, below};
use super::select::{Item, SelectedEntry, Selection};
use super::upper::{NewInode, Upper};
use crate::context::tree::{LinkKey, Stamp};
use crate::plan::op::Script;
use layerfs::change::Change;
use layerfs::digest::Digest;
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::stack::Stack;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Directories of as many entries are kept as they were selected.
const LARGE: usize = 1024;

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
    runs: Vec<Run>,
    /// All that is in no run, sorted. Of a path that is in both, this counts.
    loose: Vec<PlannedChange>,
    /// Archives that contents are read from.
    pub archives: Vec<Archive>,
}

impl CopyPlan {
    pub(super) fn new(runs: Vec<Run>, loose: Vec<PlannedChange>, archives: Vec<Archive>) -> Self {
        Self { runs, loose, archives }
    }

    /// Reports whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// Returns the changes in the order of their paths.
    pub fn changes(&self) -> Changes<'_> {
        let mut sources = vec![Upcoming::Loose(self.loose.iter())];
        sources.extend(self.runs.iter().rev().map(|run| Upcoming::Run(run, Place::default())));
        Changes { sources: sources.into_iter().map(|mut source| (source.next(), source)).collect() }
    }

    /// Returns the metadata of the inode that a hardlink of the plan names.
    pub(super) fn linked(&self, target: &TreePath) -> Option<&Metadata> {
        let at = self.loose.binary_search_by(|planned| planned.change.path.cmp(target)).ok()?;
        self.loose[at].change.node.metadata()
    }
}

/// The changes of a [`CopyPlan`], made one by one.
#[derive(Debug)]
pub struct Changes<'a> {
    /// Each with the change that comes next of it. Of the same path the first source counts.
    sources: Vec<(Option<PlannedChange>, Upcoming<'a>)>,
}

#[derive(Debug)]
enum Upcoming<'a> {
    Loose(std::slice::Iter<'a, PlannedChange>),
    Run(&'a Run, Place),
}

impl Upcoming<'_> {
    fn next(&mut self) -> Option<PlannedChange> {
        match self {
            Self::Loose(changes) => changes.next().cloned(),
            Self::Run(run, place) => run.next(place),
        }
    }
}

impl Iterator for Changes<'_> {
    type Item = PlannedChange;

    fn next(&mut self) -> Option<PlannedChange> {
        let paths =
            self.sources.iter().enumerate().filter_map(|(at, (next, _))| Some((&next.as_ref()?.change.path, at)));
        let (_, first) = paths.min()?;
        let (next, source) = &mut self.sources[first];
        let change = std::mem::replace(next, source.next())?;
        for (next, source) in &mut self.sources[first + 1..] {
            if next.as_ref().is_some_and(|next| next.change.path == change.change.path) {
                *next = source.next();
            }
        }
        Some(change)
    }
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
    // What is unpacked may replace anything.
    let large = if archives.is_empty() { LARGE } else { usize::MAX };
    plan_runs(selection, heredocs, archives, target, (below, large))
}

/// Plans as [`plan`] does; directories of `large` entries and more become runs.
pub(super) fn plan_runs(
    selection: Selection,
    heredocs: &[Script],
    archives: BTreeMap<usize, Archive>,
    target: &Target<'_>,
    (below, large): (&Stack, usize),
) -> Result<CopyPlan, CopyError> {
    let made = selection.newest().unwrap_or(target.now);
    let dress = Dress { owner: target.owner, mode: target.mode.clone() };
    let mut planner = Planner { upper: Upper::new(below), target, dress, made: target.epoch.unwrap_or(made), large };
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
    Ok(planner.upper.finish(&parent, spools))
}

/// A plan in the making.
struct Planner<'a> {
    upper: Upper<'a>,
    target: &'a Target<'a>,
    dress: Dress,
    /// Time of directories that are made.
    made: Timestamp,
    /// Directories of as many entries may become runs.
    large: usize,
}

/// A directory whose contents are on their way into a layer.
struct Contents {
    root: TreePath,
    destination: TreePath,
    /// Directories, relative to both, that went elsewhere, and where.
    redirects: BTreeMap<TreePath, TreePath>,
    links: HashMap<LinkKey, usize>,
    is_run: bool,
}

impl Planner<'_> {
    /// Returns the metadata of a directory that is made on the way: the permissions of an octal `--chmod` count, a
    /// symbolic one does not.
    fn new_directory(&self) -> Metadata {
        let owner = self.target.owner.unwrap_or_default();
        let mode = self.target.mode.as_ref().and_then(ModeRule::octal).map_or(0o755, |mode| mode & 0o777);
        Metadata { mode, uid: owner.uid, gid: owner.gid, ..Metadata::directory(self.made) }
    }

    fn copy(&mut self, item: Item) -> Result<(), CopyError> {
        match &item.directory {
            Some(top) => {
                let top = top.mtime;
                self.copy_contents(item, top)
            }
            None => {
                let path = self.place_file(&item.name)?;
                let entry = item.entries.iter().next();
                let Some(entry) = entry else { return Ok(()) };
                self.check(&path)?;
                self.put(path, entry, &mut HashMap::new());
                Ok(())
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
        let found = self.upper.at(&destination).map(Cow::into_owned);
        if let Some(metadata) = found.filter(|_| !destination.is_root()) {
            let metadata = Metadata { mtime, ..metadata };
            self.upper.put(destination.clone(), NewInode { metadata, source: None, expected: None });
        }
        let (entries, root) = (Arc::new(item.entries), item.root);
        let is_run = entries.len() >= self.large && self.upper.takes_run();
        if is_run {
            let run = Run::new(Arc::clone(&entries), root.clone(), destination.clone(), self.dress.clone());
            self.upper.begin_run(run);
        }
        let mut contents = Contents { root, destination, redirects: BTreeMap::new(), links: HashMap::new(), is_run };
        entries.iter().try_for_each(|entry| self.place(entry, &mut contents))?;
        if is_run {
            self.upper.end_run();
        }
        Ok(())
    }

    /// Puts one entry of a directory where it goes.
    fn place(&mut self, entry: SelectedEntry, contents: &mut Contents) -> Result<(), CopyError> {
        let Some(relative) = entry.path.strip_prefix(&contents.root) else { return Ok(()) };
        let redirected = redirected(&relative, &contents.redirects);
        // What may have several names is told apart by them, and what goes elsewhere is not where the run says.
        let stays = contents.is_run && redirected.is_none() && entry.link.is_none();
        let path = redirected.unwrap_or_else(|| tree_path(&below(&contents.destination, relative.as_bytes())));
        if !entry.metadata.is_directory() {
            self.check(&path)?;
            match stays {
                true => self.upper.run_on(&path, entry.path.as_bytes()),
                false => self.put(path, entry, &mut contents.links),
            }
            return Ok(());
        }
        let real = self.directory_at(&path)?;
        match real == path {
            true if stays => self.upper.run_on(&path, entry.path.as_bytes()),
            _ => self.put_directory(real.clone(), entry.metadata),
        }
        if real != path {
            if contents.is_run {
                self.upper.leave_run(entry.path.as_bytes());
            }
            contents.redirects.insert(relative, real);
        }
        Ok(())
    }

    /// Returns where a directory that is copied to `path` goes: there, or where a link there leads.
    fn directory_at(&self, path: &TreePath) -> Result<TreePath, CopyError> {
        check_name(path)?;
        let not_a_directory = || CopyError::NotADirectory { path: path.clone() };
        match self.upper.at(path) {
            Some(found) if found.is_symlink() => {
                let real = self.upper.resolve(path)?;
                if self.upper.is_directory(&real) { Ok(real) } else { Err(not_a_directory()) }
            }
            Some(found) if !found.is_directory() => Err(not_a_directory()),
            _ => Ok(path.clone()),
        }
    }

    fn put_directory(&mut self, path: TreePath, metadata: Metadata) {
        if !path.is_root() {
            let metadata = self.dress.dressed(metadata);
            self.upper.put(path, NewInode { metadata, source: None, expected: None });
        }
    }

    /// Refuses to put anything but a directory at `path` if that is one, or no name for it.
    fn check(&self, path: &TreePath) -> Result<(), CopyError> {
        check_name(path)?;
        match self.upper.is_directory(path) {
            true => Err(CopyError::IsADirectory { path: path.clone() }),
            false => Ok(()),
        }
    }

    /// Puts anything but a directory at `path`, which was checked; a link there is replaced, never written through.
    fn put(&mut self, path: TreePath, entry: SelectedEntry, links: &mut HashMap<LinkKey, usize>) {
        if let Some(inode) = entry.link.and_then(|link| links.get(&link)) {
            self.upper.link(path, *inode);
            return;
        }
        let source = super::select::is_file(&entry.metadata).then_some(ContentSource::Tree(entry.path));
        let metadata = self.dress.dressed(entry.metadata);
        let expected = entry.digest.map(|digest| Expected { digest, stamp: entry.stamp });
        let inode = self.upper.put(path, NewInode { metadata, source, expected });
        links.extend(entry.link.map(|link| (link, inode)));
    }

    fn heredoc(&mut self, script: &Script) -> Result<(), CopyError> {
        let path = self.place_file(script.name.as_bytes())?;
        self.check(&path)?;
        let kind = Kind::File { size: script.body.len() as u64 };
        let metadata = Metadata { kind, mode: 0o644, uid: 0, gid: 0, mtime: self.made, xattrs: Xattrs::new() };
        let source = Some(ContentSource::Bytes(script.body.as_bytes().into()));
        let metadata = self.dress.dressed(metadata);
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

/// Returns where `relative` goes if a directory above it went elsewhere.
fn redirected(relative: &TreePath, redirects: &BTreeMap<TreePath, TreePath>) -> Option<TreePath> {
    if redirects.is_empty() {
        return None;
    }
    relative.ancestors().iter().rev().find_map(|above| {
        let (real, rest) = (redirects.get(above)?, relative.strip_prefix(above)?);
        Some(real.join(rest.as_bytes()))
    })
}

/// Refuses a name that would read as a deletion in a layer.
fn check_name(path: &TreePath) -> Result<(), CopyError> {
    match path.name().starts_with(b".wh.") {
        true => Err(CopyError::WhiteoutName { path: path.clone() }),
        false => Ok(()),
    }
}
