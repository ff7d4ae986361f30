use super::changes::BLOCK;
use super::*;
use crate::meta::{Kind, Metadata, Timestamp};

fn file(path: &str) -> Change {
    let metadata = Metadata { kind: Kind::File { size: 3 }, ..Metadata::directory(Timestamp::from_seconds(-5)) };
    Change { path: path.into(), node: Node::Inode(metadata) }
}

fn directory(path: &str) -> Change {
    Change { path: path.into(), node: Node::Inode(Metadata::directory(Timestamp::default())) }
}

fn hardlink(path: &str, target: &str) -> Change {
    Change { path: path.into(), node: Node::Hardlink { target: target.into() } }
}

fn index(changes: Vec<Change>) -> Result<LayerIndex, IndexError> {
    LayerIndex::new(changes, Vec::new(), Vec::new(), BTreeMap::new())
}

fn sample() -> LayerIndex {
    let changes = vec![
        file("a/b/c"),
        directory("a"),
        file("a-b"),
        directory("a/b"),
        hardlink("a/x", "a-b"),
        directory("etc"),
        file("etc/passwd"),
        Change { path: "gone".into(), node: Node::Whiteout },
    ];
    let accounts = BTreeMap::from([("etc/passwd".into(), b"abc".to_vec())]);
    LayerIndex::new(changes, vec!["a/b".into()], vec!["etc".into()], accounts).unwrap()
}

#[test]
fn paths_are_found_and_ranges_are_whole() {
    let index = sample();
    assert_eq!(index.get(&"a-b".into()), Some(&file("a-b")));
    assert_eq!(index.get(&"b".into()), None);
    let below = |path: &str| index.below(&path.into()).map(|at| index.changes[at].path.to_string()).collect::<Vec<_>>();
    assert_eq!(below("a"), ["/a/b", "/a/b/c", "/a/x"]);
    assert_eq!(below("a-b"), Vec::<String>::new());
    assert_eq!(below("").len(), index.changes.len());
}

#[test]
fn an_index_survives_encode_and_decode() {
    let index = sample();
    assert_eq!(LayerIndex::decode(index.encode()), Ok(index));
}

/// Returns an index of `directories` that each hold every kind of change: four changes for each, and one more.
fn long(directories: usize) -> LayerIndex {
    let kinds = [
        Kind::File { size: 1 << 40 },
        Kind::Symlink { target: (*b"..\xff/x").into() },
        Kind::Fifo,
        Kind::CharDevice { major: 1, minor: 300 },
        Kind::BlockDevice { major: 300, minor: 2 },
    ];
    let xattrs = |number: usize| BTreeMap::from([(b"user.x"[..].into(), vec![0xff; number % 3].into())]);
    let mut changes = vec![file("first")];
    for number in 0..directories {
        let top = directory(&format!("d{number}"));
        let inner = |name: &[u8], node| Change { path: top.path.child(name), node };
        let mtime = Timestamp { seconds: -1, nanoseconds: 999_999_999 };
        let kind = kinds[number % kinds.len()].clone();
        let metadata = Metadata { kind, xattrs: xattrs(number), mode: 0o7777, ..Metadata::directory(mtime) };
        changes.extend([
            inner(b"inode", Node::Inode(metadata)),
            inner(b"link", Node::Hardlink { target: "first".into() }),
            inner(b"gone", Node::Whiteout),
            top,
        ]);
    }
    index(changes).expect("an index")
}

/// What is read is decoded block by block, and answers as what was made does.
#[test]
fn an_index_that_was_read_answers_as_the_one_that_was_made() {
    let made = long(BLOCK);
    let read = || LayerIndex::decode(made.encode()).expect("an index");
    assert!(read() == made && Vec::from(read().changes) == Vec::from(made.changes.clone()));
    assert!(read().changes.iter().rev().eq(made.changes.iter().rev()));
    for index in [&made, &read()] {
        assert!(index.changes.is_linked(&"first".into()), "each directory has a name of it");
    }
    let absent = ["", "a", "d", "d1/a", "d1/z", "d9/inode/x", "e", "z"].map(TreePath::from);
    for path in made.changes.iter().map(|change| &change.path).chain(&absent) {
        let (one, other) = (read(), read());
        assert_eq!(one.get(path), made.get(path), "{path}");
        assert!(*path == TreePath::from("first") || !one.changes.is_linked(path), "{path}");
        assert!(one.changes.decoded() <= 1, "{path}");
        assert_eq!(other.below(path), made.below(path), "{path}");
        assert!(other.changes.decoded() <= 2, "{path}");
    }
}

/// Whoever writes a file that verifies may write what they like: it is an index or none, whatever is asked of it later.
#[test]
fn damage_is_seen_when_an_index_is_read() {
    let good = long(BLOCK / 4).encode();
    let mut survived = 0;
    for at in MAGIC.len()..good.len() {
        for value in [0, 1, b'/', b'.', good[at] ^ 0x80, good[at].wrapping_add(1), 0xff] {
            let mut other = good.clone();
            other[at] = value;
            if let Ok(index) = LayerIndex::decode(other) {
                assert_eq!(index.changes.iter().count(), index.changes.len(), "byte {at}");
                survived += 1;
            }
        }
    }
    assert!(survived > 0, "what only says another mode or time is an index too");
}

/// Other damage is seen by the file that an index stands in.
#[test]
fn another_version_and_another_length_are_seen() {
    let good = sample().encode();
    for at in 0..good.len() {
        let wanted = if at < MAGIC.len() { IndexError::Version } else { IndexError::Damaged };
        assert_eq!(LayerIndex::decode(good[..at].to_vec()), Err(wanted), "length {at}");
    }
    for at in 0..MAGIC.len() {
        let mut other = good.clone();
        other[at] ^= 1;
        assert_eq!(LayerIndex::decode(other), Err(IndexError::Version), "byte {at}");
    }
    assert_eq!(LayerIndex::decode([&good[..], b"\0"].concat()), Err(IndexError::Damaged));
}

#[test]
fn what_breaks_the_promises_is_refused() {
    assert_eq!(index(vec![file("a"), file("a")]), Err(IndexError::Duplicate("a".into())));
    assert_eq!(index(vec![file("a/b")]), Err(IndexError::NoDirectory("a/b".into())));
    assert_eq!(index(vec![file("a"), file("a/b")]), Err(IndexError::NoDirectory("a/b".into())));
    let broken =
        |path: &str, target: &str| Err(IndexError::BrokenHardlink { path: path.into(), target: target.into() });
    assert_eq!(index(vec![hardlink("a", "b")]), broken("a", "b"));
    assert_eq!(index(vec![hardlink("a", "b"), hardlink("b", "c"), file("c")]), broken("a", "b"));
    assert_eq!(index(vec![hardlink("a", "b"), directory("b")]), broken("a", "b"));
    let opaque = LayerIndex::new(vec![file("a")], vec!["a".into()], Vec::new(), BTreeMap::new());
    assert_eq!(opaque, Err(IndexError::NotADirectory("a".into())));
    let accounts = BTreeMap::from([("a".into(), Vec::new())]);
    let other = LayerIndex::new(vec![file("a")], Vec::new(), Vec::new(), accounts);
    assert_eq!(other, Err(IndexError::Account("a".into())));
}

/// Frozen with the first release: an index that another lbuild wrote must be read, or have another version.
#[test]
fn an_index_has_these_bytes() {
    let directory = Metadata { uid: 7, ..Metadata::directory(Timestamp { seconds: -1, nanoseconds: 5 }) };
    let link = Metadata { kind: Kind::Symlink { target: (*b"x").into() }, ..directory.clone() };
    let changes = vec![
        Change { path: TreePath::from("a"), node: Node::Inode(directory) },
        Change { path: TreePath::from("a/b"), node: Node::Inode(link) },
        Change { path: TreePath::from("a/c"), node: Node::Hardlink { target: TreePath::from("a/b") } },
        Change { path: TreePath::from("a/d"), node: Node::Whiteout },
    ];
    let opaque = vec![TreePath::from("a")];
    let index = LayerIndex::new(changes, opaque, Vec::new(), BTreeMap::new()).expect("an index");
    insta::assert_snapshot!(crate::digest::hex(&index.encode()));
}
