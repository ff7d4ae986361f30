//! What becomes of large directories is what becomes of small ones.

use crate::context::tree::{Entry, LinkKey, MemoryTree};
use crate::copy::mode::ModeRule;
use crate::copy::owner::Owner;
use crate::copy::plan::{CopyPlan, PlannedChange, Target, plan_runs};
use crate::copy::select::{Choice, select};
use crate::plan::op::Script;
use layerfs::change::{Change, Node};
use layerfs::digest::Digest;
use layerfs::index::LayerIndex;
use layerfs::meta::{Kind, Metadata, Timestamp};
use layerfs::path::TreePath;
use layerfs::stack::Stack;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `d/` a directory, `l>t` a link, `f` a file, `f=5` one with inode 5; the mode tells where it comes from.
fn node(line: &str, mode: u32) -> (TreePath, Entry) {
    let plain = Metadata { mode, ..Metadata::directory(Timestamp::from_seconds(i64::from(mode))) };
    let (name, kind) = match line.split_once('>') {
        Some((name, target)) => (name, Kind::Symlink { target: target.as_bytes().into() }),
        None if line.ends_with('/') => (line, Kind::Directory),
        None => (line.split('=').next().unwrap(), Kind::File { size: 3 }),
    };
    let link = line.split_once('=').map(|(_, inode)| LinkKey { space: 0, inode: inode.parse().unwrap() });
    let is_file = matches!(kind, Kind::File { .. });
    let digest = is_file.then(|| Digest::of(format!("{line}{mode}")));
    (TreePath::from(name), Entry { metadata: Metadata { kind, ..plain }, link, stamp: None, digest })
}

fn below(lines: &[&str]) -> Stack {
    let change = |line: &&str| {
        let (path, entry) = node(line, 0o700);
        Change { path, node: Node::Inode(entry.metadata) }
    };
    let mut changes: Vec<Change> = lines.iter().map(change).collect();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Stack::new(vec![Arc::new(LayerIndex { changes: changes.into(), ..LayerIndex::default() })])
}

/// Plans a COPY of directories, each given by what it holds, with as many entries or more as `large` as runs.
fn planned(directories: &[&[&str]], target: &Target<'_>, stack: &Stack, large: usize) -> Result<CopyPlan, String> {
    let mut tree = MemoryTree::default();
    let sources: Vec<String> = (0..directories.len()).map(|number| format!("s{number}")).collect();
    for (number, (source, lines)) in sources.iter().zip(directories).enumerate() {
        let top = TreePath::from(source.as_str());
        let mode = 0o600 + u32::try_from(number).unwrap();
        tree.nodes.insert(top.clone(), (node("/", mode).1, Vec::new()));
        for (path, entry) in lines.iter().map(|line| node(line, mode)) {
            tree.nodes.insert(top.join(path.as_bytes()), (entry, Vec::new()));
        }
    }
    let selection = select(&Choice::of(&sources), &tree).unwrap();
    let heredocs = [Script { name: "a-b".to_owned(), body: "text".to_owned() }];
    plan_runs(selection, &heredocs, BTreeMap::new(), target, (stack, large)).map_err(|error| error.to_string())
}

#[test]
fn runs_give_the_changes_that_single_entries_give() {
    let cases: &[(&str, &[&[&str]])] = &[
        ("one", &[&["a/", "a/x", "a/y>x", "b", "a-b", "z/", "z/z/", "z/z/z"]]),
        ("the later one wins", &[&["a/", "a/x", "b", "c", "zz"], &["a/", "a/w", "a/x", "a/y", "c"], &["a/", "a/x"]]),
        ("beside each other", &[&["m", "n"], &["a", "b"], &["x", "y"]]),
        ("links go through", &[&["bin/", "bin/sh", "usr/", "usr/bin/", "usr/bin/ls", "usr/bin/sh"]]),
        ("links later on", &[&["etc/", "lib/", "lib/a", "lib/s/", "lib/s/b", "usr/", "usr/lib/", "usr/lib/a"]]),
        ("links to what comes with it", &[&["opt/", "opt/new/", "opt/new/x", "to/", "to/x", "to/y"]]),
        ("several names", &[&["a=1", "b=2", "c=1", "d/", "d/a=1", "e"], &["a", "b=1", "f=1"]]),
        ("a file where a directory is", &[&["a/", "a/x", "b"], &["a"]]),
        ("a directory where a file is", &[&["a", "b"], &["a/", "a/x"]]),
        ("a name of the heredoc", &[&["a", "a-b", "c"], &["a-b"]]),
        ("a directory called like the heredoc", &[&["a-b/", "a-b/x"]]),
        ("a file over a lower directory", &[&["usr", "x"]]),
        ("a whiteout", &[&["a", "x/", "x/.wh.y"]]),
    ];
    let stack = below(&["bin>usr/bin", "lib>usr/lib", "usr/", "usr/bin/", "usr/lib/", "to>opt/new", "opt/", "a-b"]);
    for to in ["/", "n/m", "usr"] {
        for (owner, mode) in [(None, None), (Some(Owner { uid: 7, gid: 8 }), Some(ModeRule::parse("u+x").unwrap()))] {
            let destination = TreePath::from(to);
            let now = Timestamp::from_seconds(99);
            let target =
                Target { destination: &destination, is_directory: true, owner, mode: mode.clone(), epoch: None, now };
            for (what, directories) in cases {
                let plan = |large| planned(directories, &target, &stack, large);
                let changes = |plan: &CopyPlan| plan.changes().collect::<Vec<PlannedChange>>();
                let wanted = plan(usize::MAX);
                for large in [1, 3] {
                    let (found, wanted) = (plan(large), wanted.as_ref());
                    assert_eq!(found.as_ref().map(changes), wanted.map(changes), "{what}, to {to}");
                }
            }
        }
    }
}

/// As many directories as become runs, and more, each of which has paths of all others.
#[test]
fn more_directories_than_runs_are_copied_too() {
    let names: Vec<Vec<String>> =
        (1..=12).map(|step| (0..300).step_by(step).map(|number| format!("f{number:03}")).collect()).collect();
    let lines: Vec<Vec<&str>> = names.iter().map(|some| some.iter().map(String::as_str).collect()).collect();
    let directories: Vec<&[&str]> = lines.iter().map(Vec::as_slice).collect();
    let destination = TreePath::from("n");
    let now = Timestamp::from_seconds(99);
    let target = Target { destination: &destination, is_directory: true, owner: None, mode: None, epoch: None, now };
    let plan = |large| planned(&directories, &target, &below(&[]), large).unwrap();
    let (wanted, found) = (plan(usize::MAX), plan(1));
    assert!(wanted.changes().eq(found.changes()));
    assert_eq!((found.changes().count(), found.is_empty()), (302, false));
}
