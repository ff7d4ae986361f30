use super::*;
use crate::meta::{Timestamp, Xattrs};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn metadata(kind: Kind, mode: u32) -> Metadata {
    Metadata { kind, mode, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Xattrs::new() }
}

/// `d`irectory, `i`mplied or `o`paque directory, `f`ile, `w`hiteout, `l`ink or `h`ardlink (`l:target`), by path.
fn layer(mode: u32, lines: &[(&str, &str)]) -> Arc<LayerIndex> {
    let (mut opaque, mut implied, mut accounts) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut change = |&(path, what): &(&str, &str)| {
        let path = TreePath::from(path);
        let (letter, target) = what.split_at(1);
        let node = match letter {
            "w" => Node::Whiteout,
            "h" => Node::Hardlink { target: target[1..].into() },
            "f" => Node::Inode(metadata(Kind::File { size: 1 }, mode)),
            "l" => Node::Inode(metadata(Kind::Symlink { target: target.as_bytes()[1..].into() }, mode)),
            _ => Node::Inode(metadata(Kind::Directory, mode)),
        };
        match letter {
            "o" => opaque.push(path.clone()),
            "i" => implied.push(path.clone()),
            "f" if crate::index::ACCOUNT_FILES.contains(&&path.to_string()[1..]) => {
                accounts.insert(path.clone(), vec![mode as u8]);
            }
            _ => {}
        }
        Change { path, node }
    };
    let changes = lines.iter().map(&mut change).collect();
    Arc::new(LayerIndex::new(changes, opaque, implied, accounts).unwrap())
}

fn names(stack: &Stack, path: &str) -> Vec<(String, u32)> {
    let children = stack.children(&path.into());
    children.iter().map(|(name, found)| (String::from_utf8_lossy(name).into_owned(), found.metadata.mode)).collect()
}

#[test]
fn layers_hide_by_overlay_rules() {
    let stack = Stack::new(vec![
        layer(
            1,
            &[("a", "d"), ("a/x", "f"), ("a/y", "f"), ("b", "d"), ("b/x", "f"), ("c", "d"), ("c/x", "f"), ("f", "f")],
        ),
        layer(2, &[("a", "i"), ("a/x", "w"), ("b", "o"), ("b/z", "f"), ("c", "l:a"), ("f", "d")]),
        layer(3, &[("c", "d"), ("c/new", "f"), ("f", "i"), ("n", "i")]),
    ]);
    let at = |path: &str| stack.lookup(&path.into()).map(|found| (found.layer, found.metadata.mode));
    let table = [
        ("a", Some((0, 1))), // implied in layer 1, so the metadata below shows
        ("a/x", None),
        ("a/y", Some((0, 1))),
        ("b", Some((1, 2))),
        ("b/x", None),
        ("b/z", Some((1, 2))),
        ("c", Some((2, 3))),
        ("c/x", None), // the link of layer 1 hid it
        ("c/new", Some((2, 3))),
        ("f", Some((1, 2))),
        ("n", Some((2, 3))),
        ("", None),
    ];
    for (path, wanted) in table {
        assert_eq!(at(path), wanted, "{path}");
    }
    let named = |list: &[(&str, u32)]| list.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect::<Vec<_>>();
    assert_eq!(names(&stack, "c"), named(&[("new", 3)]));
    assert_eq!(names(&stack, ""), named(&[("a", 1), ("b", 2), ("c", 3), ("f", 2), ("n", 3)]));
    assert_eq!(names(&stack, "a/y"), named(&[]));
}

#[test]
fn hardlinks_are_names_of_one_inode() {
    let stack = Stack::new(vec![layer(1, &[("a", "h:z"), ("b", "h:z"), ("z", "f")])]);
    for path in ["a", "b", "z"] {
        let found = stack.lookup(&path.into()).unwrap();
        assert_eq!((found.layer, found.inode, found.metadata.mode), (0, "z".into(), 1));
    }
}

#[test]
fn links_are_followed_inside_the_root() {
    let stack = Stack::new(vec![layer(
        1,
        &[
            ("bin", "l:usr/bin"),
            ("up", "l:../../../usr"),
            ("usr", "d"),
            ("usr/bin", "d"),
            ("usr/bin/sh", "l:/usr/bin/dash"),
            ("usr/bin/up", "l:../bin/./sh"),
            ("usr/bin/dash", "f"),
            ("loop", "l:loop"),
            ("empty", "l:"),
        ],
    )]);
    let resolve = |path: &str, last| stack.resolve(&path.into(), last).map(|path| path.to_string());
    for (path, last, wanted) in [
        ("bin/sh", true, "/usr/bin/dash"),
        ("bin/sh", false, "/usr/bin/sh"),
        ("bin/up", true, "/usr/bin/dash"),
        ("up/bin/none/x", true, "/usr/bin/none/x"),
        ("bin", false, "/bin"),
        ("", true, "/"),
        ("loop", false, "/loop"),
        ("empty", true, "/empty"),
    ] {
        assert_eq!(resolve(path, last).as_deref(), Ok(wanted), "{path}");
    }
    assert_eq!(resolve("loop", true), Err(StackError::Loop("loop".into())));
    assert_eq!(resolve("bin/dash/x", true), Err(StackError::NotADirectory("usr/bin/dash".into())));
    assert_eq!(resolve("empty/x", true), Err(StackError::NotADirectory("empty".into())));
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let chain = |count: usize| {
        let lines: Vec<(String, String)> = (0..count).map(|i| (format!("{i}"), format!("l:{}", i + 1))).collect();
        let lines: Vec<(&str, &str)> = lines.iter().map(|(path, what)| (path.as_str(), what.as_str())).collect();
        Stack::new(vec![layer(1, &lines)]).resolve(&"0".into(), true)
    };
    assert_eq!(chain(40), Ok("40".into()));
    assert_eq!(chain(41), Err(StackError::Loop("0".into())));
}

#[test]
fn account_files_come_from_the_layer_that_shows() {
    let base = layer(1, &[("etc", "d"), ("etc/group", "f"), ("etc/passwd", "f"), ("old", "d")]);
    let top = layer(2, &[("etc", "i"), ("etc/passwd", "f"), ("link", "l:etc")]);
    let stack = Stack::new(vec![base, top, layer(3, &[("etc", "i"), ("etc/group", "w")])]);
    assert_eq!(stack.account_file(&"etc/passwd".into()), Some(&[2][..]));
    assert_eq!(stack.account_file(&"link/passwd".into()), Some(&[2][..]));
    assert_eq!(stack.account_file(&"etc/group".into()), None);
    assert_eq!(stack.account_file(&"etc".into()), None);
}

/// What stands at a path: layer, inode, mode, whether it is a directory.
type Seen = (usize, TreePath, u32, bool);

/// The tree, by laying one layer after the other over a map.
fn model(layers: &[Arc<LayerIndex>]) -> BTreeMap<TreePath, Seen> {
    let mut tree = BTreeMap::new();
    for (number, layer) in layers.iter().enumerate() {
        lay(&mut tree, number, layer);
    }
    tree
}

fn lay(tree: &mut BTreeMap<TreePath, Seen>, number: usize, layer: &LayerIndex) {
    for change in layer.changes.iter() {
        let is_directory = change.node.metadata().is_some_and(Metadata::is_directory);
        let below = |path: &TreePath| path.is_within(&change.path) && *path != change.path;
        if !is_directory || layer.opaque.contains(&change.path) {
            tree.retain(|path, _| !below(path));
        }
        if !is_directory || tree.get(&change.path).is_some_and(|seen| !seen.3) {
            tree.remove(&change.path);
        }
    }
    for change in layer.changes.iter() {
        let inode = match &change.node {
            Node::Whiteout => continue,
            Node::Inode(_) => change.path.clone(),
            Node::Hardlink { target } => target.clone(),
        };
        let metadata = layer.get(&inode).and_then(|change| change.node.metadata()).unwrap();
        let shows_lower = layer.implied.contains(&change.path) && !layer.opaque.contains(&change.path);
        if !(shows_lower && tree.contains_key(&change.path)) {
            tree.insert(change.path.clone(), (number, inode, metadata.mode, metadata.is_directory()));
        }
    }
}

const NAMES: [&str; 3] = ["a", "a-", "b"];

fn universe() -> Vec<TreePath> {
    let mut paths = vec![TreePath::root()];
    let mut last = paths.clone();
    for _ in 0..3 {
        last = last.iter().flat_map(|path| NAMES.map(|name| path.child(name.as_bytes()))).collect();
        paths.extend(last.iter().cloned());
    }
    paths
}

fn any_layer() -> impl Strategy<Value = Arc<LayerIndex>> {
    let line = (prop::sample::select(universe()), 0u8..8, 1u32..0o7777);
    prop::collection::vec(line, 0..12).prop_map(|lines| {
        let mut nodes: BTreeMap<TreePath, (u8, u32)> = BTreeMap::new();
        for (path, what, mode) in lines {
            let what = if path.is_root() { 5 + what % 3 } else { what };
            nodes.insert(path, (what, mode));
        }
        for path in nodes.keys().cloned().collect::<Vec<_>>() {
            for above in path.ancestors().into_iter().filter(|above| !above.is_root()) {
                let node = nodes.entry(above).or_insert((6, 0o111));
                node.0 = node.0.max(5);
            }
        }
        build(&nodes)
    })
}

fn build(nodes: &BTreeMap<TreePath, (u8, u32)>) -> Arc<LayerIndex> {
    let file = nodes.iter().find(|(_, (what, _))| *what < 2).map(|(path, _)| path.clone());
    let node = |what: u8, mode| match (what, &file) {
        (2, _) => Node::Whiteout,
        (3, Some(target)) => Node::Hardlink { target: target.clone() },
        (4, _) => Node::Inode(metadata(Kind::Symlink { target: b"a"[..].into() }, mode)),
        (0..=4, _) => Node::Inode(metadata(Kind::File { size: 0 }, mode)),
        _ => Node::Inode(metadata(Kind::Directory, mode)),
    };
    let changes = nodes.iter().map(|(path, (what, mode))| Change { path: path.clone(), node: node(*what, *mode) });
    let of = |wanted| nodes.iter().filter(|(_, (what, _))| *what == wanted).map(|(path, _)| path.clone()).collect();
    Arc::new(LayerIndex::new(changes.collect(), of(7), of(6), BTreeMap::new()).unwrap())
}

fn seen(found: &Found<'_>) -> Seen {
    (found.layer, found.inode.clone(), found.metadata.mode, found.metadata.is_directory())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_stack_is_its_layers_laid_over_one_another(layers in prop::collection::vec(any_layer(), 0..6)) {
        let tree = model(&layers);
        let stack = Stack::new(layers);
        for path in universe() {
            let wanted = tree.get(&path).cloned();
            prop_assert_eq!(stack.lookup(&path).as_ref().map(seen), wanted.clone(), "lookup {}", path);
            let within = tree.iter().filter(|(other, _)| other.is_within(&path));
            let walk: Vec<_> = stack.walk(&path).iter().map(|(path, found)| (path.clone(), seen(found))).collect();
            let all: Vec<_> = within.clone().map(|(path, seen)| (path.clone(), seen.clone())).collect();
            prop_assert_eq!(walk, all, "walk {}", path);
            let children = stack.children(&path);
            let children: Vec<_> = children.iter().map(|(name, found)| (path.child(name), seen(found))).collect();
            let mut direct: Vec<_> = within.filter(|(other, _)| other.parent().as_ref() == Some(&path)).collect();
            direct.sort_by_key(|(path, _)| path.name());
            prop_assert_eq!(children, direct.into_iter().map(|(path, seen)| (path.clone(), seen.clone())).collect::<Vec<_>>());
        }
    }
}
