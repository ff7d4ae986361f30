//! [`Selection`]: what the sources of a COPY name, read from a tree without its bytes.

use super::entries::Entries;
use super::error::CopyError;
use super::filter::Filter;
use crate::context::glob::{Glob, GlobError};
use crate::context::tree::{Entry, LinkKey, SourceTree, Stamp};
use crate::dockerfile::suggest::nearest;
use layerfs::digest::Digest;
use layerfs::meta::{Kind, Metadata, Timestamp};
use layerfs::path::TreePath;

/// What the sources of a COPY name, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// One for each source, or for each match of a pattern.
    pub items: Vec<Item>,
}

impl Selection {
    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.items.iter().map(|item| item.entries.len()).sum()
    }

    /// Reports whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes of its regular files.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.entries.bytes()).sum()
    }
}

/// A file, or a directory whose contents are copied.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it stands in the tree, links followed.
    pub root: TreePath,
    /// Its last component as named, which a file keeps in a directory.
    pub name: Box<[u8]>,
    /// Set for a directory: its own metadata.
    pub directory: Option<Metadata>,
    /// The file itself, or all that the directory holds, sorted by path.
    pub entries: Entries,
}

impl Item {
    /// Returns the regular file that it is, if it is one.
    pub fn file(&self) -> Option<SelectedEntry> {
        let only = self.entries.iter().next().filter(|_| self.directory.is_none());
        only.filter(|entry| is_file(&entry.metadata))
    }
}

/// One file, directory, link or device.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedEntry {
    /// Where it stands in the tree.
    pub path: TreePath,
    /// What it is, its owner as in the tree.
    pub metadata: Metadata,
    /// Set if it may be one of several names of an inode.
    pub link: Option<LinkKey>,
    /// Set if its digest may be remembered.
    pub stamp: Option<Stamp>,
    /// Digest of a regular file's bytes, once they were read.
    pub digest: Option<Digest>,
}

/// Which files of a tree a COPY takes.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// Paths and patterns, in order.
    pub sources: &'a [String],
    /// `--exclude`.
    pub exclude: &'a [String],
    /// `--parents`.
    pub parents: bool,
}

impl<'a> Choice<'a> {
    /// Returns the choice of all that `sources` name.
    pub fn of(sources: &'a [String]) -> Self {
        Self { sources, exclude: &[], parents: false }
    }
}

impl SelectedEntry {
    pub(super) fn new(path: TreePath, entry: Entry) -> Self {
        let Entry { metadata, link, stamp, digest } = entry;
        Self { path, metadata, link, stamp, digest }
    }
}

impl Selection {
    /// Returns the newest mtime of all that is selected, the selected directories included.
    pub fn newest(&self) -> Option<Timestamp> {
        let entries = self.items.iter().filter_map(|item| item.entries.newest());
        let tops = self.items.iter().filter_map(|item| item.directory.as_ref()).map(|top| top.mtime);
        entries.chain(tops).max()
    }
}

/// Returns what `choice` names in `tree`. A pattern that matches nothing names nothing.
///
/// # Errors
/// [`CopyError::NotFound`] and [`CopyError::Excluded`] for a source without wildcards, [`CopyError::Pattern`] for a
/// malformed one; the tree's.
pub fn select(choice: &Choice<'_>, tree: &dyn SourceTree) -> Result<Selection, CopyError> {
    let filter = Filter::excluding(choice.exclude).map_err(CopyError::Exclude)?;
    let mut items = Vec::new();
    for source in choice.sources {
        if choice.parents {
            items.push(with_parents(source, &filter, tree)?);
            continue;
        }
        for path in matches_of(source, tree)? {
            items.push(item(source, &path, &filter, tree)?);
        }
    }
    Ok(Selection { items })
}

/// Reads one source of `--parents` (1.6-15): what it names below the pivot, `/./` in the source, else below the root,
/// with the directories between. A path without wildcards must be there, and no link in it is followed.
fn with_parents(source: &str, filter: &Filter, tree: &dyn SourceTree) -> Result<Item, CopyError> {
    let (pivot, pattern) = source.split_once("/./").unwrap_or(("", source));
    let (pivot, pattern) = (TreePath::normalize(pivot.as_bytes()), TreePath::normalize(pattern.as_bytes()));
    if pattern.is_root() {
        return item(source, &pivot, filter, tree);
    }
    let whole = || pivot.join(pattern.as_bytes());
    let only = filter.only(pattern.as_bytes()).map_err(|why| malformed(source, why))?;
    let root = tree.resolve(&pivot)?;
    let Some(top) = tree.lookup(&root)?.filter(|entry| entry.metadata.is_directory()) else {
        return Err(not_found(source, &whole(), &whole(), tree));
    };
    let entries = only.walk(&root, tree)?;
    if entries.is_empty() && !is_pattern(pattern.as_bytes()) && tree.lookup(&root.join(pattern.as_bytes()))?.is_none() {
        return Err(not_found(source, &whole(), &whole(), tree));
    }
    Ok(Item { root, name: Box::default(), directory: Some(top.metadata), entries })
}

/// Reports whether a source is a pattern.
pub fn is_pattern(source: &[u8]) -> bool {
    let mut bytes = source.iter();
    while let Some(b) = bytes.next() {
        match b {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Returns the paths that a source names: itself, or what it matches in the order of a walk.
fn matches_of(source: &str, tree: &dyn SourceTree) -> Result<Vec<TreePath>, CopyError> {
    let whole = TreePath::normalize(source.as_bytes());
    if !is_pattern(whole.as_bytes()) {
        return Ok(vec![literal(whole, tree)?]);
    }
    let parts: Vec<&[u8]> = whole.components().collect();
    let plain = parts.iter().take_while(|part| !is_pattern(part)).count();
    let globs = parts[plain..].iter().map(|part| Glob::plain(part)).collect::<Result<Vec<_>, _>>();
    let globs = globs.map_err(|why| malformed(source, why))?;
    let start = tree.resolve(&TreePath::normalize(&parts[..plain].join(&b'/')))?;
    let mut found = Vec::new();
    if tree.lookup(&start)?.is_some_and(|entry| entry.metadata.is_directory()) {
        expand(&start, &globs, tree, &mut found)?;
    }
    Ok(found)
}

fn malformed(source: &str, why: GlobError) -> CopyError {
    CopyError::Pattern { source_text: source.to_owned(), why }
}

/// Returns a literal path; one with escapes that does not exist as it stands is meant without them.
fn literal(path: TreePath, tree: &dyn SourceTree) -> Result<TreePath, CopyError> {
    if !path.as_bytes().contains(&b'\\') || tree.lookup(&path)?.is_some() {
        return Ok(path);
    }
    let mut plain = Vec::new();
    let mut bytes = path.as_bytes().iter();
    while let Some(b) = bytes.next() {
        plain.extend(if *b == b'\\' { bytes.next() } else { Some(b) });
    }
    Ok(TreePath::normalize(&plain))
}

/// Adds what `globs`, one for each component, match below `directory`. No link is followed on the way.
fn expand(
    directory: &TreePath,
    globs: &[Glob],
    tree: &dyn SourceTree,
    found: &mut Vec<TreePath>,
) -> Result<(), CopyError> {
    let Some((first, rest)) = globs.split_first() else { return Ok(()) };
    for (name, entry) in tree.children(directory)? {
        if !first.matches(&name) {
            continue;
        }
        let path = directory.child(&name);
        if rest.is_empty() {
            found.push(path);
        } else if entry.metadata.is_directory() {
            expand(&path, rest, tree, found)?;
        }
    }
    Ok(())
}

/// Reads one source; a link at its end is followed, links below it are not.
fn item(source: &str, path: &TreePath, filter: &Filter, tree: &dyn SourceTree) -> Result<Item, CopyError> {
    let root = tree.resolve(path)?;
    let name = path.name().into();
    let Some(entry) = tree.lookup(&root)? else { return Err(not_found(source, path, &root, tree)) };
    if !entry.metadata.is_directory() {
        let entries = Entries::from_iter([SelectedEntry::new(root.clone(), entry)]);
        return Ok(Item { entries, root, name, directory: None });
    }
    let entries = filter.walk(&root, tree)?;
    Ok(Item { root, name, directory: Some(entry.metadata), entries })
}

/// Returns the error for a source that is not there: hidden by a rule, or missing.
fn not_found(source: &str, path: &TreePath, root: &TreePath, tree: &dyn SourceTree) -> CopyError {
    let source_text = source.to_owned();
    match tree.excluded_by(path).or_else(|| tree.excluded_by(root)) {
        Some(exclusion) => CopyError::Excluded { source_text, exclusion },
        None if is_link(path, tree) => CopyError::Dangling { source_text, target: root.clone() },
        None => CopyError::NotFound { source_text, similar: similar(path, tree) },
    }
}

/// Reports whether a link stands at `path` itself; for words only, so what cannot be read is none.
fn is_link(path: &TreePath, tree: &dyn SourceTree) -> bool {
    let parent = path.parent().and_then(|parent| tree.resolve(&parent).ok());
    let entry = parent.and_then(|parent| tree.lookup(&parent.join(path.name())).ok().flatten());
    entry.is_some_and(|entry| entry.metadata.is_symlink())
}

/// Returns the path that is there and differs little from `path` in each component that is not.
fn similar(path: &TreePath, tree: &dyn SourceTree) -> Option<String> {
    let mut found = TreePath::root();
    for component in path.components() {
        let next = found.join(component);
        // A suggestion only: what cannot be read suggests nothing.
        let there = tree.resolve(&next).ok().and_then(|path| tree.lookup(&path).ok().flatten()).is_some();
        found = if there { next } else { found.join(neighbour(&found, component, tree)?.as_bytes()) };
    }
    (found != *path).then(|| String::from_utf8_lossy(found.as_bytes()).into_owned())
}

/// Returns the name in a directory that is most like one that it does not hold.
fn neighbour(directory: &TreePath, name: &[u8], tree: &dyn SourceTree) -> Option<String> {
    let names = tree.children(&tree.resolve(directory).ok()?).ok()?;
    let names: Vec<String> = names.into_iter().filter_map(|(name, _)| String::from_utf8(name.into()).ok()).collect();
    nearest(&String::from_utf8_lossy(name), names.iter().map(String::as_str)).map(str::to_owned)
}

/// Reports whether an entry has bytes of its own.
pub(super) fn is_file(metadata: &Metadata) -> bool {
    matches!(metadata.kind, Kind::File { .. })
}
