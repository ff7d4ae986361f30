//! What the writer writes, the reader reads; and what others write.

use super::*;
use crate::change::{Change, Node};
use crate::index::LayerIndex;
use crate::meta::{Kind, Metadata, Timestamp, Xattrs};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Read};

fn metadata(kind: Kind) -> Metadata {
    Metadata { kind, mode: 0o644, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Xattrs::new() }
}

fn file(size: u64) -> Metadata {
    metadata(Kind::File { size })
}

fn read_all(tar: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(tar);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).map_err(|source| TarError::Stream { act: "read", source })?;
        entries.push((entry, content));
    }
    Ok(entries)
}

fn paths(tar: &[u8]) -> Vec<String> {
    read_all(tar).unwrap().iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned()).collect()
}

/// A header as any writer may make it, `set` changing it before the checksum.
fn header(name: &[u8], flag: u8, size: u64, set: impl FnOnce(&mut ::tar::Header)) -> Vec<u8> {
    let mut header = ::tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[156] = flag;
    header.set_size(size);
    set(&mut header);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn entry(name: &[u8], flag: u8, content: &[u8]) -> Vec<u8> {
    padded(header(name, flag, content.len() as u64, |_| {}), content)
}

fn padded(mut head: Vec<u8>, content: &[u8]) -> Vec<u8> {
    head.extend_from_slice(content);
    head.resize(head.len().next_multiple_of(BLOCK), 0);
    head
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let mut length = key.len() + value.len() + 3;
    length = (length..).find(|&l| length + l.to_string().len() == l).unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// FEATURES 9-12, 11-5.
#[test]
fn the_bytes_of_a_small_layer_are_fixed() {
    let mut tar = TarWriter::new(Vec::new());
    let xattrs = Xattrs::from([(b"security.capability"[..].into(), b"\x01\0\n="[..].into())]);
    let fine = Timestamp { seconds: 1, nanoseconds: 500_000_000 };
    tar.inode(&TreePath::root(), &Metadata::directory(fine), &mut io::empty()).unwrap();
    tar.inode(&"bin".into(), &Metadata::directory(Timestamp::from_seconds(7)), &mut io::empty()).unwrap();
    tar.inode(&"bin/ping".into(), &Metadata { xattrs, ..file(5) }, &mut &b"hello"[..]).unwrap();
    tar.hardlink(&"bin/pong".into(), &"bin/ping".into(), &file(5)).unwrap();
    tar.whiteout(&"bin/gone".into()).unwrap();
    tar.opaque(&"bin".into()).unwrap();
    tar.opaque(&TreePath::root()).unwrap();
    let bytes = tar.finish().unwrap();
    let names = ["./", "bin/", "bin/ping", "bin/pong", "bin/.wh.gone", "bin/.wh..wh..opq", ".wh..wh..opq"];
    assert_eq!(paths(&bytes), names);
    assert_eq!(read_all(&bytes).unwrap()[3].0.kind, EntryKind::Hardlink { target: b"bin/ping".to_vec() });
    assert_eq!(bytes.len(), 512 * (2 + 7 + 2 + 1 + 2));
    insta::assert_snapshot!(crate::digest::Digest::of(&bytes));
}

#[test]
fn content_of_another_size_is_an_error() {
    let write = |content: &mut dyn Read| TarWriter::new(Vec::new()).inode(&"f".into(), &file(3), content);
    assert!(matches!(write(&mut &b"ab"[..]), Err(TarError::SizeChanged { wanted: 3, got: 2, .. })));
    assert!(matches!(write(&mut &b"abcd"[..]), Err(TarError::SizeChanged { wanted: 3, got: 4, .. })));
    assert!(write(&mut &b"abc"[..]).is_ok());
}

#[test]
fn what_would_read_as_a_whiteout_is_refused() {
    let mut tar = TarWriter::new(Vec::new());
    let wrong = TreePath::from("a/.wh.b");
    assert!(matches!(tar.inode(&wrong, &file(0), &mut io::empty()), Err(TarError::Unwritable { .. })));
    assert!(matches!(tar.hardlink(&wrong, &"a".into(), &file(0)), Err(TarError::Unwritable { .. })));
    assert!(matches!(tar.whiteout(&wrong), Err(TarError::Unwritable { .. })));
    assert!(matches!(tar.whiteout(&TreePath::root()), Err(TarError::Unwritable { .. })));
}

#[test]
fn an_index_is_written_with_inodes_before_their_links() {
    let inode = |path: &str, metadata| Change { path: path.into(), node: Node::Inode(metadata) };
    let directory = || Metadata::directory(Timestamp::default());
    let changes = vec![
        Change { path: "a".into(), node: Node::Hardlink { target: "z/f".into() } },
        inode("i", directory()),
        Change { path: "i/w".into(), node: Node::Whiteout },
        inode("o", directory()),
        inode("z", directory()),
        inode("z/f", file(3)),
    ];
    let index = LayerIndex::new(changes, vec!["o".into()], vec!["i".into()], BTreeMap::new()).unwrap();
    let mut open = |_: &TreePath| Ok::<_, TarError>(Box::new(&b"abc"[..]) as Box<dyn Read>);
    let bytes = write_layer(&index, Vec::new(), &mut open).unwrap();
    assert_eq!(paths(&bytes), ["z/", "z/f", "a", "i/.wh.w", "o/", "o/.wh..wh..opq"]);
}

#[test]
fn long_names_of_gnu_tar() {
    let (long, link) = (vec![b'n'; 300], vec![b'l'; 300]);
    let mut tar = entry(b"././@LongLink", b'L', &[&long[..], b"\0"].concat());
    tar.extend(entry(b"././@LongLink", b'K', &[&link[..], b"\0"].concat()));
    tar.extend(entry(b"short", b'2', b""));
    let read = read_all(&tar).unwrap();
    assert_eq!(read[0].0.path, long);
    assert_eq!(read[0].0.kind, EntryKind::Inode(Kind::Symlink { target: link.into() }));
}

#[test]
fn global_headers_count_until_taken_back() {
    let mut tar = entry(b"g", b'g', &record("mtime", b"5"));
    tar.extend(entry(b"one", b'0', b"x"));
    tar.extend(entry(b"x", b'x', &record("mtime", b"")));
    tar.extend(entry(b"two", b'0', b""));
    tar.extend(entry(b"three", b'0', b""));
    let times: Vec<i64> = read_all(&tar).unwrap().iter().map(|(entry, _)| entry.mtime.seconds).collect();
    assert_eq!(times, [5, 0, 5]);
}

#[test]
fn both_forms_of_xattrs() {
    let both = [record("LIBARCHIVE.xattr.user.a%3Db", b"eA"), record("LIBARCHIVE.xattr.user.c", b"eA")].concat();
    let mut tar = entry(b"x", b'x', &[both, record("SCHILY.xattr.user.c", b"")].concat());
    tar.extend(entry(b"f", b'0', b""));
    let wanted = Xattrs::from([(b"user.a=b"[..].into(), b"x"[..].into()), (b"user.c"[..].into(), b""[..].into())]);
    assert_eq!(read_all(&tar).unwrap()[0].0.xattrs, wanted);
}

#[test]
fn old_headers_and_prefixes() {
    let mut tar = header(b"d/", 0, 0, |header| header.as_mut_bytes()[257..265].fill(0));
    tar.extend(header(b"name", b'0', 0, |header| header.as_mut_bytes()[345..348].copy_from_slice(b"pre")));
    tar.extend(header(b"old", b'0', 0, |header| header.as_mut_bytes()[136..148].fill(0xff)));
    let read = read_all(&tar).unwrap();
    assert_eq!(read[0].0.kind, EntryKind::Inode(Kind::Directory));
    assert_eq!(read[1].0.path, b"pre/name");
    assert_eq!(read[2].0.mtime, Timestamp::from_seconds(-1));
}

fn sparse_tars() -> Vec<(&'static str, Vec<u8>)> {
    let content = b"ABCDEF";
    let old = header(b"s", b'S', 6, |header| {
        header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0");
        for (at, number) in [(386, 4), (398, 4), (410, 1000), (422, 2), (434, 2000), (446, 0), (483, 2000)] {
            header.as_mut_bytes()[at..at + 11].copy_from_slice(format!("{number:011o}").as_bytes());
        }
    });
    let zero = ["4", "4", "1000", "2"].chunks(2).flat_map(|pair| {
        [record("GNU.sparse.offset", pair[0].as_bytes()), record("GNU.sparse.numbytes", pair[1].as_bytes())].concat()
    });
    let zero = [record("GNU.sparse.size", b"2000"), zero.collect()].concat();
    let one = [record("GNU.sparse.size", b"2000"), record("GNU.sparse.map", b"4,4,1000,2,2000,0")].concat();
    let modern = [
        record("GNU.sparse.major", b"1"),
        record("GNU.sparse.minor", b"0"),
        record("GNU.sparse.name", b"s"),
        record("GNU.sparse.realsize", b"2000"),
    ];
    let map = padded(b"2\n4\n4\n1000\n2\n".to_vec(), b"");
    vec![
        ("old", padded(old, content)),
        ("0.0", [entry(b"x", b'x', &zero), entry(b"s", b'0', content)].concat()),
        ("0.1", [entry(b"x", b'x', &one), entry(b"s", b'0', content)].concat()),
        ("1.0", [entry(b"x", b'x', &modern.concat()), entry(b"wrong", b'0', &[&map[..], content].concat())].concat()),
    ]
}

#[test]
fn sparse_files_of_every_format_are_expanded() {
    let mut wanted = vec![0; 2000];
    wanted[4..8].copy_from_slice(b"ABCD");
    wanted[1000..1002].copy_from_slice(b"EF");
    let segments = vec![Segment { offset: 4, length: 4 }, Segment { offset: 1000, length: 2 }];
    for (format, mut tar) in sparse_tars() {
        tar.extend(entry(b"next", b'0', b"x"));
        let read = read_all(&tar).unwrap();
        assert_eq!(read[0].0.path, b"s", "{format}");
        assert_eq!(read[0].0.kind, EntryKind::Inode(Kind::File { size: 2000 }), "{format}");
        assert_eq!(read[0].0.segments.as_ref(), Some(&segments), "{format}");
        assert_eq!(read[0].1, wanted, "{format}");
        assert_eq!(read[1].0.path, b"next", "{format}");
        let mut reader = TarReader::new(&tar[..]);
        reader.next().unwrap();
        let mut packed = Vec::new();
        reader.packed().read_to_end(&mut packed).unwrap();
        assert_eq!(packed, b"ABCDEF", "{format}");
        assert_eq!(reader.next().unwrap().unwrap().path, b"next", "{format}");
    }
}

#[test]
fn malformed_archives_are_refused() {
    let with = |records: Vec<u8>, flag| [entry(b"x", b'x', &records), entry(b"f", flag, b"")].concat();
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("checksum", {
            let mut bad = entry(b"f", b'0', b"");
            bad[0] = b'g';
            bad
        }),
        ("type", entry(b"f", b'M', b"")),
        ("nul in path", with(record("path", b"a\0b"), b'0')),
        ("nul in link", with(record("linkpath", b"a\0b"), b'2')),
        ("big extension", header(b"x", b'x', (1 << 20) + 1, |_| {})),
        ("many extensions", [entry(b"x", b'x', &record("path", &[b'a'; 1_000_000])).repeat(5)].concat()),
        ("big globals", entry(b"g", b'g', &record("path", &[b'a'; 65536]))),
        ("negative size", header(b"f", b'0', 0, |header| header.as_mut_bytes()[124..136].fill(0xff))),
        ("huge uid", with(record("uid", b"4294967296"), b'0')),
        ("mtime", with(record("mtime", b"soon"), b'0')),
        (
            "sparse overlap",
            with([record("GNU.sparse.size", b"9"), record("GNU.sparse.map", b"4,0,2,0")].concat(), b'0'),
        ),
        ("sparse past end", with([record("GNU.sparse.size", b"9"), record("GNU.sparse.map", b"10,0")].concat(), b'0')),
        ("sparse sum", with([record("GNU.sparse.size", b"9"), record("GNU.sparse.map", b"0,1")].concat(), b'0')),
    ];
    for (what, tar) in table {
        assert!(matches!(read_all(&tar), Err(TarError::Malformed { entry: 1, .. })), "{what}: {:?}", read_all(&tar));
    }
}

#[test]
fn truncation_is_seen_and_a_missing_end_is_not_one() {
    let whole = [entry(b"x", b'x', &record("path", b"f")), entry(b"f", b'0', &[1; 700])].concat();
    for end in 0..=whole.len() {
        let complete = end == 0 || end >= 1024 + 512 + 700;
        assert_eq!(read_all(&whole[..end]).is_ok(), complete, "{end}");
    }
}

#[test]
fn a_block_of_zeros_ends_the_archive_and_the_rest_may_be_read() {
    let tar = [entry(b"f", b'0', b""), vec![0; 512], entry(b"g", b'0', b""), vec![7; 100]].concat();
    let mut rest = &tar[..];
    let mut reader = TarReader::new(&mut rest);
    assert_eq!(reader.next().unwrap().unwrap().path, b"f");
    assert!(reader.next().unwrap().is_none());
    assert!(reader.next().unwrap().is_none());
    reader.finish().unwrap();
    assert!(rest.is_empty());
}

fn any_bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Box<[u8]>> {
    prop::collection::vec(1u8.., length).prop_map(Vec::into_boxed_slice)
}

fn any_metadata() -> impl Strategy<Value = (Metadata, Vec<u8>)> {
    let content = prop::collection::vec(any::<u8>(), 0..2000);
    let device = any::<(u32, u32)>();
    let kind = prop_oneof![
        content.prop_map(|content| (Kind::File { size: content.len() as u64 }, content)),
        Just((Kind::Directory, Vec::new())),
        Just((Kind::Fifo, Vec::new())),
        any_bytes(1..150).prop_map(|target| (Kind::Symlink { target }, Vec::new())),
        device.prop_map(|(major, minor)| (Kind::CharDevice { major, minor }, Vec::new())),
        device.prop_map(|(major, minor)| (Kind::BlockDevice { major, minor }, Vec::new())),
    ];
    let seconds = prop_oneof![-(1i64 << 40)..1 << 40, Just(0)];
    let mtime = (seconds, prop_oneof![Just(0), 0u32..1_000_000_000]);
    let xattrs = prop::collection::btree_map(any_bytes(1..20), any::<Vec<u8>>().prop_map(Vec::into_boxed_slice), 0..3);
    (kind, 0u32..=0o7777, any::<(u32, u32)>(), mtime, xattrs).prop_map(
        |((kind, content), mode, (uid, gid), time, xattrs)| {
            let mtime = Timestamp { seconds: time.0, nanoseconds: time.1 };
            (Metadata { kind, mode, uid, gid, mtime, xattrs }, content)
        },
    )
}

fn any_path() -> impl Strategy<Value = TreePath> {
    any_bytes(1..160)
        .prop_map(|bytes| TreePath::normalize(&bytes))
        .prop_filter("whiteouts", |path| !path.is_root() && !path.name().starts_with(WHITEOUT_PREFIX))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(nodes in prop::collection::vec((any_path(), any_metadata()), 0..6)) {
        let mut tar = TarWriter::new(Vec::new());
        for (path, (metadata, content)) in &nodes {
            tar.inode(path, metadata, &mut &content[..]).unwrap();
            tar.hardlink(path, path, metadata).unwrap();
        }
        let read = read_all(&tar.finish().unwrap()).unwrap();
        prop_assert_eq!(read.len(), nodes.len() * 2);
        for ((path, (metadata, content)), pair) in nodes.iter().zip(read.chunks(2)) {
            let name = [path.as_bytes(), if metadata.is_directory() { b"/" } else { b"" }].concat();
            prop_assert_eq!(&pair[0].0.path, &name);
            prop_assert_eq!(pair[0].0.metadata(), Some(metadata.clone()));
            prop_assert_eq!(&pair[0].1, content);
            let hardlink = EntryKind::Hardlink { target: path.as_bytes().to_vec() };
            prop_assert_eq!(&pair[1].0, &Entry { path: path.as_bytes().to_vec(), kind: hardlink, ..pair[0].0.clone() });
        }
    }

    #[test]
    fn changed_archives_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        for (_, mut tar) in sparse_tars() {
            for (at, byte) in &changes {
                let at = at.index(tar.len());
                tar[at] = *byte;
            }
            for block in (0..tar.len()).step_by(BLOCK) {
                let mut header = ::tar::Header::from_byte_slice(&tar[block..block + BLOCK]).clone();
                header.set_cksum();
                tar[block..block + BLOCK].copy_from_slice(header.as_bytes());
            }
            let mut reader = TarReader::new(&tar[..]);
            while let Ok(Some(entry)) = reader.next() {
                drop(entry);
                drop((&mut reader).take(1 << 16).read_to_end(&mut Vec::new()));
            }
        }
    }
}
