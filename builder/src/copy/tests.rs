//! Tables for the rows of FEATURES.md 1.6: from a tree in memory, over a stack, to a tar and back to its index.

use super::digest::content_digest;
use super::error::CopyError;
use super::mode::ModeRule;
use super::owner::Owner;
use super::plan::{CopyPlan, Target, plan};
use super::select::{Choice, Selection, select};
use super::workdir::plan_workdir;
use super::write::write_layer;
use crate::context::memo::Memo;
use crate::context::tree::{
    Child, Content, Entry, LayerFiles, LinkKey, MemoryTree, Opened, SourceTree, StackTree, Stamp, TreeError,
};
use crate::plan::op::Script;
use layerfs::change::{Change, Node};
use layerfs::index::LayerIndex;
use layerfs::io_error::IoError;
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::stack::Stack;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::{Arc, Mutex};

/// `d/` a directory, `l>t` a link, `f` a file whose bytes are its path; `f=5` one of mtime 5 with inode 7.
fn metadata(line: &str) -> (TreePath, Metadata, Option<LinkKey>) {
    let (name, kind, mode, mtime) = match line.split_once('>') {
        Some((name, target)) => (name, Kind::Symlink { target: target.as_bytes().into() }, 0o777, 10),
        None if line.ends_with('/') => (line, Kind::Directory, 0o750, 20),
        None => {
            let (name, mtime) = line.split_once('=').unwrap_or((line, "10"));
            (name, Kind::File { size: 1 }, 0o4644, mtime.parse().unwrap())
        }
    };
    let link = line.contains('=').then_some(LinkKey { space: 0, inode: 7 });
    let mtime = Timestamp::from_seconds(mtime);
    (TreePath::from(name), Metadata { kind, mode, uid: 3, gid: 4, mtime, xattrs: Xattrs::new() }, link)
}

fn tree(lines: &[&str]) -> MemoryTree {
    let mut tree = MemoryTree::default();
    for (path, metadata, link) in lines.iter().map(|line| metadata(line)) {
        tree.nodes.insert(path, (Entry { metadata, link, stamp: None, digest: None }, b"x".to_vec()));
    }
    tree
}

fn stack(lines: &[&str]) -> Stack {
    let mut changes: Vec<Change> = lines
        .iter()
        .map(|line| metadata(line))
        .map(|(path, metadata, _)| Change { path, node: Node::Inode(Metadata { uid: 1, gid: 1, ..metadata }) })
        .collect();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Stack::new(vec![Arc::new(LayerIndex { changes: changes.into(), ..LayerIndex::default() })])
}

fn chosen(sources: &[&str], tree: &MemoryTree) -> Result<Selection, CopyError> {
    let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
    select(&Choice::of(&sources), tree)
}

fn copy(sources: &[&str], tree: &MemoryTree, to: &str, below: &Stack) -> Result<CopyPlan, CopyError> {
    let destination = TreePath::from(to);
    let target = Target {
        destination: &destination,
        is_directory: to.ends_with('/'),
        owner: None,
        mode: None,
        epoch: None,
        now: Timestamp::from_seconds(99),
    };
    plan(chosen(sources, tree)?, &[], BTreeMap::new(), &target, below)
}

/// `path kind mode uid mtime` of each change.
fn shown(plan: &CopyPlan) -> Vec<String> {
    let line = |change: &Change| match &change.node {
        Node::Inode(m) => {
            let mark = match &m.kind {
                Kind::Directory => "/".to_owned(),
                Kind::Symlink { target } => format!(">{}", String::from_utf8_lossy(target)),
                _ => String::new(),
            };
            format!("{}{mark} {:o} {} {}", change.path, m.mode, m.uid, m.mtime.seconds)
        }
        Node::Hardlink { target } => format!("{}=>{target}", change.path),
        Node::Whiteout => format!("{} gone", change.path),
    };
    plan.changes().map(|planned| line(&planned.change)).collect()
}

/// Returns the tar of a plan, and its index.
fn written(plan: &CopyPlan, tree: &dyn SourceTree) -> Result<(Vec<u8>, LayerIndex), CopyError> {
    let mut changes = Vec::new();
    let take = &mut |change| {
        changes.push(change);
        Ok(())
    };
    let (bytes, accounts) = write_layer(plan, tree, Vec::new(), take)?;
    Ok((bytes, LayerIndex { changes: changes.into(), accounts, ..LayerIndex::default() }))
}

#[test]
fn rows_1_6_2_to_1_6_14_where_things_go() {
    let source = tree(&["d/", "d/a", "d/s/", "d/s/b", "f", "l>d", "h1=5", "h2=5", "m/", "m/d1/", "m/d1/in/", "m/x"]);
    let below = stack(&["bin>usr/bin", "usr/", "usr/bin/", "e/", "e/s/", "e/a>/f", "dang>new/file", "file"]);
    let cases: &[(&str, &[&str], &str, &[&str])] = &[
        ("1.6-2 parents are made", &["f"], "x/y/", &["/x/ 755 0 10", "/x/y/ 755 0 10", "/x/y/f 4644 3 10"]),
        ("1.6-2 renamed", &["f"], "x/y", &["/x/ 755 0 10", "/x/y 4644 3 10"]),
        ("1.6-2 into a directory that exists", &["f"], "e", &["/e/ 750 1 20", "/e/f 4644 3 10"]),
        (
            "1.6-3 contents merge; a link in the way is replaced (11-6)",
            &["d"],
            "e",
            &["/e/ 750 1 20", "/e/a 4644 3 10", "/e/s/ 750 3 20", "/e/s/b 4644 3 10"],
        ),
        (
            "1.6-4 a matched directory is copied as contents",
            &["m/*"],
            "n/",
            &["/n/ 755 0 20", "/n/in/ 750 3 20", "/n/x 4644 3 10"],
        ),
        ("1.6-7 the last one wins", &["f", "h1"], "o", &["/o 4644 3 5"]),
        (
            "1.6-8 a named link is followed",
            &["l"],
            "n",
            &["/n/ 755 0 20", "/n/a 4644 3 10", "/n/s/ 750 3 20", "/n/s/b 4644 3 10"],
        ),
        (
            "1.6-9 a link on the way is followed",
            &["f"],
            "bin/",
            &["/usr/ 750 1 20", "/usr/bin/ 750 1 20", "/usr/bin/f 4644 3 10"],
        ),
        ("1.6-9 a dangling link's target is made", &["f"], "dang", &["/new/ 755 0 10", "/new/file 4644 3 10"]),
        ("1.6-6 nothing matches", &["zz*", "q?/x"], "n/", &[]),
    ];
    for (what, sources, to, wanted) in cases {
        assert_eq!(shown(&copy(sources, &source, to, &below).unwrap()), *wanted, "{what}");
    }
}

#[test]
fn a_directory_over_a_lower_link_is_merged_where_the_link_leads() {
    let source = tree(&["r/", "r/bin/", "r/bin/sh"]);
    let below = stack(&["bin>usr/bin", "usr/", "usr/bin/"]);
    let plan = copy(&["r"], &source, "/", &below).unwrap();
    assert_eq!(shown(&plan), ["/usr/ 750 1 20", "/usr/bin/ 750 3 20", "/usr/bin/sh 4644 3 10"]);
}

#[test]
fn row_1_6_5_directories_and_files_do_not_replace_each_other() {
    let source = tree(&["d/", "d/s/", "f", "g/", "g/e"]);
    let below = stack(&["file", "t/", "t/s", "u/", "u/e/"]);
    for (from, to, wanted) in [
        ("d", "file", "cannot copy to non-directory: `/file`"),
        ("d", "t", "cannot copy to non-directory: `/t/s`"),
        ("g", "u", "cannot replace to directory `/u/e` with file"),
        ("f", "file/", "destination: `/file` is not a directory"),
    ] {
        assert_eq!(copy(&[from], &source, to, &below).unwrap_err().to_string(), wanted);
    }
    let wh = tree(&["d/", "d/.wh.x"]);
    assert!(matches!(copy(&["d"], &wh, "n", &below), Err(CopyError::WhiteoutName { .. })));
}

#[test]
fn row_1_6_6_a_missing_source_is_named() {
    let source = tree(&["src/", "src/main.rs"]);
    let error = copy(&["src/mian.rs"], &source, "x", &Stack::default()).unwrap_err();
    assert!(matches!(&error, CopyError::NotFound { similar: Some(name), .. } if name == "src/main.rs"), "{error:?}");
}

#[test]
fn row_1_6_8_a_source_that_leads_nowhere_says_where() {
    let source = tree(&["src/", "src/main>/gone/x"]);
    let error = copy(&["./src/main"], &source, "x", &Stack::default()).unwrap_err();
    assert_eq!(error.to_string(), "copy `./src/main`: a link leads to `/gone/x`, which is not there");
}

#[test]
fn row_1_6_10_hardlinks_within_one_copy_stay() {
    let source = tree(&["d/", "d/b=5", "d/a=5"]);
    let plan = copy(&["d"], &source, "n", &Stack::default()).unwrap();
    assert_eq!(shown(&plan), ["/n/ 755 0 20", "/n/a 4644 3 5", "/n/b=>/n/a"]);
    let (bytes, index) = written(&plan, &source).unwrap();
    assert_eq!(index.changes.len(), 3);
    assert!(index.check().is_ok());
    let mut reader = layerfs::tar::TarReader::new(bytes.as_slice());
    let mut count = 0;
    while reader.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn rows_1_6_12_1_6_13_1_6_17_owner_mode_and_heredocs() {
    let destination = TreePath::from("n/m");
    let target = |mode: &str| Target {
        destination: &destination,
        is_directory: true,
        owner: Some(Owner { uid: 8, gid: 9 }),
        mode: Some(ModeRule::parse(mode).unwrap()),
        epoch: Some(Timestamp::from_seconds(1)),
        now: Timestamp::from_seconds(99),
    };
    let heredocs = [Script { name: "EOF".to_owned(), body: "hi\n".to_owned() }];
    let planned = |mode| plan(Selection::default(), &heredocs, BTreeMap::new(), &target(mode), &Stack::default());
    assert_eq!(shown(&planned("0600").unwrap()), ["/n/ 600 8 1", "/n/m/ 600 8 1", "/n/m/EOF 600 8 1"]);
    assert_eq!(shown(&planned("+x").unwrap()), ["/n/ 755 8 1", "/n/m/ 755 8 1", "/n/m/EOF 755 8 1"]);
}

#[test]
fn row_5_4_the_digest_covers_all_but_mtime() {
    let digest = |lines: &[&str], owner, sources: &[&str]| {
        let tree = tree(lines);
        content_digest(&mut chosen(sources, &tree).unwrap(), owner, &tree, &Memo::default(), &|_| {}).unwrap()
    };
    let base = digest(&["d/", "d/a=5", "d/b=5"], None, &["d"]);
    assert_eq!(base, digest(&["d/", "d/a=6", "d/b=7"], None, &["d"]), "mtime");
    for (what, other) in [
        ("name", digest(&["d/", "d/a=5", "d/c=5"], None, &["d"])),
        ("link group", digest(&["d/", "d/a", "d/b"], None, &["d"])),
        ("kind", digest(&["d/", "d/a=5", "d/b>a"], None, &["d"])),
        ("owner rule", digest(&["d/", "d/a=5", "d/b=5"], Some("1"), &["d"])),
        ("sources", digest(&["d/", "d/a=5", "d/b=5"], None, &["d/a", "d/b"])),
    ] {
        assert_ne!(base, other, "{what}");
    }
}

/// Files whose bytes are their paths, opened three at a time at the most.
#[derive(Default)]
struct InThrees {
    asked: Mutex<Vec<usize>>,
}

impl LayerFiles for InThrees {
    fn at_once(&self) -> usize {
        3
    }

    fn open(&self, files: &[(usize, &TreePath)]) -> std::io::Result<Vec<File>> {
        self.asked.lock().unwrap().push(files.len());
        let file = |(_, path): &(usize, &TreePath)| {
            let mut file = tempfile::tempfile()?;
            file.write_all(path.as_bytes())?;
            file.rewind()?;
            Ok(file)
        };
        files.iter().map(file).collect()
    }
}

/// What comes of files that are opened together is what comes of them one by one.
#[test]
fn files_of_a_stage_are_opened_together_and_in_order() {
    let one_by_one = MemoryTree {
        nodes: (0..700)
            .map(|number| {
                let path = TreePath::from(format!("d/{number}").as_str());
                let size = path.as_bytes().len() as u64;
                let metadata = Metadata { kind: Kind::File { size }, ..metadata("f").1 };
                (path.clone(), (Entry::plain(metadata), path.as_bytes().to_vec()))
            })
            .chain([("d".into(), (Entry::plain(metadata("d/").1), Vec::new()))])
            .collect(),
    };
    let change = |(path, (entry, _)): (&TreePath, &(Entry, _))| Change {
        path: path.clone(),
        node: Node::Inode(entry.metadata.clone()),
    };
    let changes = one_by_one.nodes.iter().map(change).collect();
    let stack = Stack::new(vec![Arc::new(LayerIndex { changes, ..LayerIndex::default() })]);
    let files = InThrees::default();
    let together = StackTree::new(&stack, &files);

    let digest = |tree: &dyn SourceTree| {
        let mut selection = select(&Choice::of(&["d".to_owned()]), tree).unwrap();
        let digest = content_digest(&mut selection, None, tree, &Memo::default(), &|_| {}).unwrap();
        (
            digest,
            selection.items.iter().flat_map(|item| item.entries.iter()).map(|entry| entry.digest).collect::<Vec<_>>(),
        )
    };
    assert_eq!(digest(&together), digest(&one_by_one));
    let tar = |tree: &dyn SourceTree| {
        let plan = copy(&["d"], &one_by_one, "to/", &Stack::default()).unwrap();
        written(&plan, tree).unwrap().0
    };
    assert!(tar(&together) == tar(&one_by_one));
    let asked = files.asked.into_inner().unwrap();
    assert_eq!(asked.iter().sum::<usize>(), 2 * 700);
    assert!(asked.iter().all(|count| *count <= 3) && asked.len() < 2 * 700 / 2, "{asked:?}");
}

#[test]
fn a_file_that_changes_between_hashing_and_writing_is_named() {
    let mut source = tree(&["f"]);
    let mut selection = chosen(&["f"], &source).unwrap();
    content_digest(&mut selection, None, &source, &Memo::default(), &|_| {}).unwrap();
    let destination = TreePath::from("f");
    let target = Target {
        destination: &destination,
        is_directory: false,
        owner: None,
        mode: None,
        epoch: None,
        now: Timestamp::default(),
    };
    let plan = plan(selection, &[], BTreeMap::new(), &target, &Stack::default()).unwrap();
    source.nodes.get_mut(&TreePath::from("f")).unwrap().1 = b"y".to_vec();
    let error = written(&plan, &source).unwrap_err();
    assert!(matches!(error, CopyError::Changed { path } if path == TreePath::from("f")));
}

/// A tree whose file is another one than the entry that was looked at: directories changed places in between.
struct Swapped(MemoryTree);

impl SourceTree for Swapped {
    fn lookup(&self, path: &TreePath) -> Result<Option<Entry>, TreeError> {
        self.0.lookup(path)
    }

    fn children(&self, directory: &TreePath) -> Result<Vec<Child>, TreeError> {
        self.0.children(directory)
    }

    fn open(&self, path: &TreePath) -> Result<Opened<'_>, IoError> {
        let stamp = Stamp([u8::from(path.name() != b"same"); 16]);
        Ok(Box::new(Stamped { bytes: b"x", stamp }))
    }
}

/// Bytes in a file that has a stamp.
struct Stamped {
    bytes: &'static [u8],
    stamp: Stamp,
}

impl Read for Stamped {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Content for Stamped {
    fn stamp(&self) -> Option<Stamp> {
        Some(self.stamp)
    }
}

/// What was read of another file is neither the key's nor remembered, even if the first is back when the layer is written.
#[test]
fn a_file_that_is_another_while_it_is_hashed_is_named() {
    let mut source = Swapped(tree(&["same", "swapped"]));
    source.0.nodes.values_mut().for_each(|(entry, _)| entry.stamp = Some(Stamp([0; 16])));
    let memo = Memo::default();
    let digest = |name: &str| {
        let mut selection = select(&Choice::of(&[name.to_owned()]), &source).unwrap();
        content_digest(&mut selection, None, &source, &memo, &|_| {})
    };
    assert!(digest("same").is_ok());
    assert!(matches!(digest("swapped"), Err(CopyError::Changed { path }) if path == TreePath::from("swapped")));
}

#[test]
fn row_1_5_7_workdir_makes_what_is_missing() {
    let below = stack(&["w/", "l>w", "f"]);
    let owner = Owner { uid: 5, gid: 6 };
    for (path, epoch, wanted) in [
        ("w", None, &[][..]),
        ("l/a/b", None, &["/w/ 750 1 20", "/w/a/ 755 5 20", "/w/a/b/ 755 5 20"]),
        ("w/a", Some(7), &["/w/ 750 1 20", "/w/a/ 755 5 7"]),
    ] {
        let epoch = epoch.map(Timestamp::from_seconds);
        assert_eq!(shown(&plan_workdir(&TreePath::from(path), owner, epoch, &below).unwrap()), wanted, "{path}");
    }
    assert!(plan_workdir(&TreePath::from("f/x"), owner, None, &below).is_err());
}

#[test]
fn rows_1_6_19_and_11_9_an_archive_is_laid_over_the_destination() {
    let inner = tree(&["./", "in/x", "t"]);
    let packed = {
        let mut tar = layerfs::tar::TarWriter::new(Vec::new());
        tar.inode(&TreePath::root(), &Metadata { mode: 0o700, ..metadata("r/").1 }, &mut std::io::empty()).unwrap();
        tar.inode(&TreePath::from("in/x"), &inner.nodes[&TreePath::from("in/x")].0.metadata, &mut &b"x"[..]).unwrap();
        tar.hardlink(&TreePath::from("in/y"), &TreePath::from("in/x"), &metadata("x").1).unwrap();
        tar.finish().unwrap()
    };
    let zipped = zstd::encode_all(packed.as_slice(), 1).unwrap();
    let limits = crate::fetch_limits::FetchLimits::default();
    let temporary = tempfile::tempdir().unwrap();
    // As with `tar -x`, what follows the end of the archive is not looked at: here the compression breaks off.
    let mut cut = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut cut, &packed).unwrap();
    let mut cut = cut.finish().unwrap();
    cut.truncate(cut.len() - 8);
    for (bytes, is_archive) in
        [(packed, true), (zipped, true), (cut, true), (b"no tar".to_vec(), false), (Vec::new(), false)]
    {
        let mut source = tree(&["a.tar"]);
        let (entry, content) = source.nodes.get_mut(&TreePath::from("a.tar")).unwrap();
        entry.metadata.kind = Kind::File { size: bytes.len() as u64 };
        *content = bytes;
        let path = TreePath::from("a.tar");
        let read = super::archive::read_archive(&source, &path, None, temporary.path(), &limits).unwrap();
        assert_eq!(read.is_some(), is_archive);
        let Some(archive) = read else { continue };
        let destination = TreePath::from("e/l");
        let mut archive = Some(archive);
        for (owner, wanted) in [
            (None, ["/abs/ 750 1 20", "/abs/in/ 755 0 10", "/abs/in/x 4644 3 10", "/abs/in/y=>/abs/in/x"]),
            (
                Some(Owner { uid: 7, gid: 8 }),
                ["/abs/ 750 1 20", "/abs/in/ 755 7 10", "/abs/in/x 4644 7 10", "/abs/in/y=>/abs/in/x"],
            ),
        ] {
            let target = Target {
                destination: &destination,
                is_directory: false,
                owner,
                mode: None,
                epoch: None,
                now: Timestamp::default(),
            };
            let selection = chosen(&["a.tar"], &source).unwrap();
            let below = stack(&["e/", "e/l>/abs", "abs/"]);
            let read =
                || super::archive::read_archive(&source, &path, None, temporary.path(), &limits).unwrap().unwrap();
            let archive = archive.take().unwrap_or_else(read);
            let plan = plan(selection, &[], BTreeMap::from([(0, archive)]), &target, &below).unwrap();
            assert_eq!(shown(&plan), wanted, "{owner:?}");
            assert!(written(&plan, &source).is_ok());
        }
    }
}

/// The destination keeps all of its own but the time, which is the copied directory's.
#[test]
fn row_1_6_10_a_destination_that_is_there_gets_the_time_of_what_is_copied() {
    let mut source = tree(&["d/", "d/a"]);
    source.nodes.get_mut(&TreePath::from("d")).unwrap().0.metadata.mtime = Timestamp::from_seconds(30);
    let plan = copy(&["d"], &source, "w/", &stack(&["w/"])).unwrap();
    assert_eq!(shown(&plan), ["/w/ 750 1 30", "/w/a 4644 3 10"]);
}

/// What a pattern would mean is a name after a `\`; a name that has a `\` of its own goes first.
#[test]
fn row_1_6_6_escaped_names_are_names() {
    let names = |source: &str, there: &[&str]| -> Vec<String> {
        let selection = chosen(&[source], &tree(there)).unwrap();
        selection.items.iter().map(|item| item.root.to_string()).collect()
    };
    assert_eq!(names("a\\*b", &["a*b", "axb"]), ["/a*b"]);
    assert_eq!(names("a\\\\b", &["a\\b"]), ["/a\\b"]);
    assert_eq!(names("a\\*b", &["a*b", "a\\*b"]), ["/a\\*b"]);
    assert_eq!(names("a*b", &["a*b", "axb"]), ["/a*b", "/axb"]);
}

fn filtered(sources: &[&str], exclude: &[&str], parents: bool) -> Result<Vec<String>, String> {
    let source =
        tree(&["a/", "a/b/", "a/b/c/", "a/b/c/f.txt", "a/b/g.md", "a/x.txt", "d/", "d/x.txt", "l>a", "top.txt"]);
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (sources, exclude) = (own(sources), own(exclude));
    let choice = Choice { sources: &sources, exclude: &exclude, parents };
    let selection = select(&choice, &source).map_err(|error| error.to_string())?;
    let destination = TreePath::from("/n");
    let (owner, mode, epoch) = (None, None, None);
    let now = Timestamp::from_seconds(99);
    let target = Target { destination: &destination, is_directory: true, owner, mode, epoch, now };
    let plan = plan(selection, &[], BTreeMap::new(), &target, &stack(&[])).map_err(|error| error.to_string())?;
    Ok(plan.changes().map(|planned| planned.change.path.to_string()).collect())
}

/// Expected values follow from BuildKit's code: patterns are matched below each source that is a directory, and never
/// against the source itself.
#[test]
fn row_1_6_16_exclude() {
    let cases: &[(&[&str], &[&str], &[&str])] = &[
        (&["a"], &["*.txt"], &["/n", "/n/b", "/n/b/c", "/n/b/c/f.txt", "/n/b/g.md"]),
        (&["a"], &["**/*.txt"], &["/n", "/n/b", "/n/b/c", "/n/b/g.md"]),
        (&["a"], &["b"], &["/n", "/n/x.txt"]),
        (&["a"], &["b", "!b/c"], &["/n", "/n/b", "/n/b/c", "/n/b/c/f.txt", "/n/x.txt"]),
        (&["a"], &["**/*.txt", "!**/x.*"], &["/n", "/n/b", "/n/b/c", "/n/b/g.md", "/n/x.txt"]),
        (&["a"], &["*"], &["/n"]),
        (&["a"], &["/x.txt"], &["/n", "/n/b", "/n/b/c", "/n/b/c/f.txt", "/n/b/g.md", "/n/x.txt"]),
        (&["top.txt"], &["*.txt"], &["/n", "/n/top.txt"]),
        (&["*.txt", "d"], &["*.txt"], &["/n", "/n/top.txt"]),
    ];
    for (sources, exclude, wanted) in cases {
        let found = filtered(sources, exclude, false);
        assert_eq!(found, Ok(wanted.iter().map(|path| (*path).to_owned()).collect()), "{sources:?} {exclude:?}");
    }
    assert_eq!(filtered(&["a"], &["["], false).unwrap_err().split(':').next(), Some("--exclude"));
}

/// Expected values follow from the reference's examples of `COPY --parents` and from BuildKit's code.
#[test]
fn row_1_6_15_parents() {
    let cases: &[(&[&str], &[&str], &[&str])] = &[
        (&["a/x.txt", "d/x.txt"], &[], &["/n", "/n/a", "/n/a/x.txt", "/n/d", "/n/d/x.txt"]),
        (&["a/./b/c"], &[], &["/n", "/n/b", "/n/b/c", "/n/b/c/f.txt"]),
        (&["./a/b/g.md"], &[], &["/n", "/n/a", "/n/a/b", "/n/a/b/g.md"]),
        (&["a/**/*.txt"], &[], &["/n", "/n/a", "/n/a/b", "/n/a/b/c", "/n/a/b/c/f.txt", "/n/a/x.txt"]),
        (&["a/./**/*.txt"], &["b"], &["/n", "/n/x.txt"]),
        (&["a/b"], &["**/c"], &["/n", "/n/a", "/n/a/b", "/n/a/b/g.md"]),
        (&["*/x.txt"], &["d"], &["/n", "/n/a", "/n/a/x.txt"]),
        (&["none/*"], &[], &["/n"]),
        (&["l"], &[], &["/n", "/n/l"]),
        (&["l/./b/g.md"], &[], &["/n", "/n/b", "/n/b/g.md"]),
        (&["d/./"], &[], &["/n", "/n/x.txt"]),
    ];
    for (sources, exclude, wanted) in cases {
        let found = filtered(sources, exclude, true);
        assert_eq!(found, Ok(wanted.iter().map(|path| (*path).to_owned()).collect()), "{sources:?} {exclude:?}");
    }
    for source in ["a/none", "none/./a", "l/x.txt"] {
        assert_eq!(filtered(&[source], &[], true), Err(format!("copy `{source}`: not found")), "{source}");
    }
}
