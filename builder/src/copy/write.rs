//! Writes a [`CopyPlan`] as a layer. A file that may have changed since its digest went into the key is hashed again; one
//! whose stamp says that it has not is read only.

use super::error::CopyError;
use super::plan::{Changes, ContentSource, CopyPlan, Expected, PlannedChange};
use crate::context::tree::{Content, Opened, SourceTree, TreeError};
use layerfs::change::{Change, Node};
use layerfs::digest::{Digest, HashReader};
use layerfs::index::ACCOUNT_FILES;
use layerfs::io_error::IoError;
use layerfs::meta::Metadata;
use layerfs::path::TreePath;
use layerfs::tar::TarError;
use layerfs::tar::writer::TarWriter;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

/// Files up to this size, in bytes, are read ahead by all cores.
const SMALL: u64 = 64 << 10;
/// As many changes are read ahead at once, while as many are written; with [`SMALL`], 32 MiB at the most.
const BATCH: usize = 256;
/// As many changes are read by one core: others would be woken for too little.
const FEW: usize = 16;
/// Largest account file that an index keeps, in bytes.
const MAX_ACCOUNT_FILE: u64 = 10 << 20;

/// Takes the changes of a layer as they are written.
pub type TakeChange<'a> = dyn FnMut(Change) -> Result<(), IoError> + 'a;

/// Bytes of the account files that a layer writes.
pub type Accounts = BTreeMap<TreePath, Vec<u8>>;

/// Writes the tar of `plan` to `out`, hands each change to `take` once it is written, and returns what was written to and
/// the account files among them. Each change is one entry.
///
/// # Errors
/// [`CopyError::Changed`] if a file's bytes are not those that the key was made of; the tree's; [`CopyError::Tar`]; what
/// `take` failed with.
pub fn write_layer<W: Write>(
    plan: &CopyPlan,
    tree: &dyn SourceTree,
    out: W,
    take: &mut TakeChange<'_>,
) -> Result<(W, Accounts), CopyError> {
    let mut writer = LayerWriter { tar: TarWriter::new(out), plan, tree, accounts: Accounts::new() };
    let mut changes = plan.changes();
    let mut batch = Batch::read(&mut changes, tree)?;
    while !batch.is_last() {
        let mut upcoming = Ok(Batch::default());
        // This thread writes a batch while the others read the next one.
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| upcoming = Batch::read(&mut changes, tree));
            writer.write_all(batch, take)
        })?;
        batch = upcoming?;
    }
    writer.write_all(batch, take)?;
    let LayerWriter { tar, accounts, .. } = writer;
    Ok((tar.finish()?, accounts))
}

/// Some changes, and the bytes of the small files of the source tree among them.
#[derive(Default)]
struct Batch {
    changes: Vec<PlannedChange>,
    contents: Vec<Option<Vec<u8>>>,
}

impl Batch {
    /// Reads the next changes, by all cores.
    fn read(changes: &mut Changes<'_>, tree: &dyn SourceTree) -> Result<Self, CopyError> {
        let changes: Vec<PlannedChange> = changes.take(BATCH).collect();
        let contents = read_batch(&changes, tree)?;
        Ok(Self { changes, contents })
    }

    /// Reports whether no change comes after these.
    fn is_last(&self) -> bool {
        self.changes.len() < BATCH
    }
}

/// Reads the small files of the source tree among some changes, by all cores; returns as many, nothing for what is no such
/// file.
fn read_batch(batch: &[PlannedChange], tree: &dyn SourceTree) -> Result<Vec<Option<Vec<u8>>>, CopyError> {
    if batch.len() <= FEW {
        return read_ahead(batch, tree);
    }
    let share = BATCH.div_ceil(rayon::current_num_threads()).max(FEW);
    let ready: Vec<Vec<_>> = batch.par_chunks(share).map(|some| read_ahead(some, tree)).collect::<Result<_, _>>()?;
    Ok(ready.into_iter().flatten().collect())
}

/// Reads the small files of the source tree among some changes; returns as many, nothing for what is no such file.
fn read_ahead(changes: &[PlannedChange], tree: &dyn SourceTree) -> Result<Vec<Option<Vec<u8>>>, CopyError> {
    let mut ready = vec![None; changes.len()];
    let small: Vec<(usize, &TreePath)> =
        changes.iter().enumerate().filter_map(|(at, planned)| Some((at, small_source(planned)?))).collect();
    for some in small.chunks(tree.at_once()) {
        let paths: Vec<&TreePath> = some.iter().map(|(_, path)| *path).collect();
        let files = tree.open_all(&paths).map_err(TreeError::from)?;
        for ((at, path), mut file) in some.iter().zip(files) {
            ready[*at] = Some(read_small(&changes[*at], path, &mut *file)?);
        }
    }
    Ok(ready)
}

/// Returns where in the source tree the bytes of a change are, if they are few.
fn small_source(planned: &PlannedChange) -> Option<&TreePath> {
    match (&planned.source, planned.change.node.metadata()) {
        (Some(ContentSource::Tree(source)), Some(metadata)) if metadata.size() <= SMALL => Some(source),
        _ => None,
    }
}

/// Reads a small file, and checks it.
fn read_small(planned: &PlannedChange, source: &TreePath, file: &mut dyn Content) -> Result<Vec<u8>, CopyError> {
    let size = planned.change.node.metadata().map_or(0, Metadata::size);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default() + 1];
    let count = read_full(file, &mut bytes).map_err(|error| IoError::new("read", source.to_string(), &error))?;
    bytes.truncate(count);
    let as_expected = |expected: Expected| is_untouched(file, &expected) || expected.digest == Digest::of(&bytes);
    let same = count as u64 == size && planned.expected.is_none_or(as_expected);
    if same { Ok(bytes) } else { Err(CopyError::Changed { path: source.clone() }) }
}

/// Reports whether a file has the stamp that it had when its digest was taken, so that its bytes are the same until now.
fn is_untouched(file: &dyn Content, expected: &Expected) -> bool {
    expected.stamp.is_some() && file.stamp() == expected.stamp
}

/// Reads until the buffer is full or the file ends.
fn read_full(reader: &mut dyn Content, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

struct LayerWriter<'a, W> {
    tar: TarWriter<W>,
    plan: &'a CopyPlan,
    tree: &'a dyn SourceTree,
    accounts: Accounts,
}

impl<W: Write> LayerWriter<'_, W> {
    /// Writes a batch and hands each of its changes to `take`.
    fn write_all(&mut self, batch: Batch, take: &mut TakeChange<'_>) -> Result<(), CopyError> {
        batch.changes.into_iter().zip(batch.contents).try_for_each(|(planned, bytes)| {
            self.write(&planned, bytes)?;
            Ok(take(planned.change)?)
        })
    }

    /// Writes one change; `bytes` are its content if it was read ahead.
    fn write(&mut self, planned: &PlannedChange, bytes: Option<Vec<u8>>) -> Result<(), CopyError> {
        let path = &planned.change.path;
        match &planned.change.node {
            Node::Whiteout => Ok(self.tar.whiteout(path)?),
            Node::Hardlink { target } => {
                let Some(metadata) = self.plan.linked(target) else { return Ok(()) };
                Ok(self.tar.hardlink(path, target, metadata)?)
            }
            Node::Inode(metadata) => match (&planned.source, bytes) {
                (None, _) => Ok(self.tar.inode(path, metadata, &mut io::empty())?),
                (Some(_), Some(bytes)) => self.content(path, metadata, &mut bytes.as_slice()),
                (Some(source), None) => self.stream(planned, metadata, source),
            },
        }
    }

    /// Writes a file from where its bytes are, and checks them on the way.
    fn stream(
        &mut self,
        planned: &PlannedChange,
        metadata: &Metadata,
        source: &ContentSource,
    ) -> Result<(), CopyError> {
        let path = &planned.change.path;
        match source {
            ContentSource::Bytes(bytes) => self.content(path, metadata, &mut &**bytes),
            ContentSource::Spool { archive, offset } => {
                let file = &self.plan.archives[*archive].spool;
                let mut content = SpoolReader { file, offset: *offset, left: metadata.size() };
                self.content(path, metadata, &mut content)
            }
            ContentSource::Tree(source) => {
                let file = self.tree.open(source).map_err(TreeError::from)?;
                match self.checked(path, metadata, file, planned.expected) {
                    Err(CopyError::Tar(TarError::SizeChanged { .. })) | Ok(false) => {
                        Err(CopyError::Changed { path: source.clone() })
                    }
                    Ok(true) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Writes a file, and reports whether its bytes were what was expected.
    fn checked(
        &mut self,
        path: &TreePath,
        metadata: &Metadata,
        mut file: Opened<'_>,
        expected: Option<Expected>,
    ) -> Result<bool, CopyError> {
        let Some(expected) = expected.filter(|expected| !is_untouched(&*file, expected)) else {
            self.content(path, metadata, &mut file)?;
            return Ok(expected.is_none_or(|expected| is_untouched(&*file, &expected)));
        };
        let mut content = HashReader::new(file);
        self.content(path, metadata, &mut content)?;
        Ok(expected.digest == content.finish().1)
    }

    /// Writes a file, and keeps the bytes of account files for the index.
    fn content(&mut self, path: &TreePath, metadata: &Metadata, content: &mut dyn Read) -> Result<(), CopyError> {
        let is_account = ACCOUNT_FILES.iter().any(|name| name.as_bytes() == path.as_bytes());
        if !is_account || metadata.size() > MAX_ACCOUNT_FILE {
            return Ok(self.tar.inode(path, metadata, content)?);
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| IoError::new("read", path.to_string(), &error))?;
        self.tar.inode(path, metadata, &mut bytes.as_slice())?;
        self.accounts.insert(path.clone(), bytes);
        Ok(())
    }
}

/// Reads a stretch of a spool.
struct SpoolReader<'a> {
    file: &'a std::fs::File,
    offset: u64,
    left: u64,
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tree::{Child, Entry, Stamp};
    use layerfs::change::Change;
    use layerfs::meta::{Kind, Timestamp};
    use std::cell::RefCell;

    /// A tree of one file that is touched or not while it is read.
    struct Touched {
        bytes: Vec<u8>,
        /// The stamps that the file has when it is asked for them, the first last.
        stamps: Vec<Option<Stamp>>,
    }

    struct TouchedFile<'a>(&'a [u8], RefCell<Vec<Option<Stamp>>>);

    impl Read for TouchedFile<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Content for TouchedFile<'_> {
        fn stamp(&self) -> Option<Stamp> {
            self.1.borrow_mut().pop().expect("it is asked no more often")
        }
    }

    impl SourceTree for Touched {
        fn lookup(&self, _path: &TreePath) -> Result<Option<Entry>, TreeError> {
            unreachable!("all is planned")
        }

        fn children(&self, _directory: &TreePath) -> Result<Vec<Child>, TreeError> {
            unreachable!("all is planned")
        }

        fn open(&self, _path: &TreePath) -> Result<Opened<'_>, IoError> {
            Ok(Box::new(TouchedFile(&self.bytes, RefCell::new(self.stamps.clone()))))
        }
    }

    fn has_changed(outcome: &Result<Vec<u8>, CopyError>) -> bool {
        matches!(outcome, Err(CopyError::Changed { path }) if *path == TreePath::from("from"))
    }

    fn written(size: u64, expected: Expected, tree: &Touched) -> Result<Vec<u8>, CopyError> {
        let metadata = Metadata { kind: Kind::File { size }, ..Metadata::directory(Timestamp::from_seconds(1)) };
        let change = Change { path: TreePath::from("f"), node: Node::Inode(metadata) };
        let source = Some(ContentSource::Tree(TreePath::from("from")));
        let planned = PlannedChange { change, source, expected: Some(expected) };
        let plan = CopyPlan::new(Vec::new(), vec![planned], Vec::new());
        write_layer(&plan, tree, Vec::new(), &mut |_| Ok(())).map(|(tar, _)| tar)
    }

    #[test]
    fn what_was_not_touched_is_not_hashed_again_and_what_was_is() {
        let (then, now) = (Some(Stamp([1; 16])), Some(Stamp([2; 16])));
        // The stamp when the digest was taken; those at writing, the last first; whether the digest fits; the outcome, of
        // a small file, which is asked once, and of a large one.
        let cases = [
            ("untouched", then, vec![then, then], false, [true, true]),
            ("touched before", then, vec![now], true, [true, true]),
            ("changed before", then, vec![now], false, [false, false]),
            ("no stamp at writing", then, vec![None], false, [false, false]),
            ("no stamp at all", None, vec![], true, [true, true]),
            ("no stamp at all, changed", None, vec![], false, [false, false]),
        ];
        for (name, stamp, stamps, fits, wanted) in cases {
            for (size, wanted) in [SMALL, SMALL + 1].into_iter().zip(wanted) {
                let bytes = vec![b'x'; usize::try_from(size).unwrap()];
                let digest = if fits { Digest::of(&bytes) } else { Digest::of("else") };
                let tree = Touched { bytes, stamps: stamps.clone() };
                let outcome = written(size, Expected { digest, stamp }, &tree);
                match wanted {
                    true => assert!(outcome.is_ok(), "{name}, {size}: {outcome:?}"),
                    false => assert!(has_changed(&outcome), "{name}, {size}: {outcome:?}"),
                }
            }
        }
    }

    #[test]
    fn a_large_file_that_is_touched_while_it_is_written_has_changed() {
        let (then, now) = (Some(Stamp([1; 16])), Some(Stamp([2; 16])));
        let bytes = vec![b'x'; usize::try_from(SMALL).unwrap() + 1];
        let expected = Expected { digest: Digest::of(&bytes), stamp: then };
        let outcome = written(SMALL + 1, expected, &Touched { bytes, stamps: vec![now, then] });
        assert!(has_changed(&outcome), "{outcome:?}");
    }
}
