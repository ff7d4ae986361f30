use super::*;
use crate::digest::{DiffId, Digest, HashReader};
use crate::meta::{Metadata, Timestamp};
use crate::stack::Stack;
use crate::testing::{Item, Needs, Tar, assert_on_disk, lines, namespaced};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

fn in_directory(body: impl FnOnce(&RootDir)) {
    let place = tempfile::tempdir().expect("a directory");
    let root = RootDir::open(place.path()).expect("open");
    body(&root);
    root.remove_tree(&TreePath::root()).expect("remove");
}

/// Unpacks and indexes; both must say the same, and so must the disk.
fn both(tar: &[u8]) -> Unpacked {
    let indexed = index_tar(&mut &tar[..]).expect("index");
    in_directory(|root| {
        let unpacked = unpack(&mut &tar[..], root).expect("unpack");
        assert_eq!(unpacked.index, indexed.index);
        assert_eq!(unpacked.borrowed, indexed.borrowed);
        if unpacked.borrowed.links.is_empty() {
            assert_on_disk(root, &unpacked.index);
        }
    });
    indexed
}

fn device(flag: u8, major: u32, minor: u32) -> Item {
    Item { device: (major, minor), ..Item::new(flag) }
}

/// 9-12, 11-4, 11-5, 11-6.
#[test]
fn userns_entries_become_a_layer() {
    let cases: Vec<(&str, Tar, &[&str])> = vec![
        (
            "plain",
            Tar::default().dir("./").dir("d/").file("./d/f", "x"),
            &["directory / 755 0:0", "directory /d 755 0:0", "file /d/f 1 644 0:0"],
        ),
        ("absolute", Tar::default().dir("/d").file("/d/f", ""), &["directory /d 755 0:0", "file /d/f 0 644 0:0"]),
        ("the last file wins", Tar::default().file("f", "one").file("f", "three"), &["file /f 5 644 0:0"]),
        ("file over directory", Tar::default().dir("d").file("d/f", "x").file("d", "y"), &["file /d 1 644 0:0"]),
        (
            "directory over file",
            Tar::default().file("d", "y").dir("d").file("d/f", "x"),
            &["directory /d 755 0:0", "file /d/f 1 644 0:0"],
        ),
        (
            "directory twice",
            Tar::default().dir("d").file("d/f", "x").item("d", Item { mode: 0o700, ..Item::new(b'5') }),
            &["directory /d 700 0:0", "file /d/f 1 644 0:0"],
        ),
        (
            "restrictive directory",
            Tar::default().item("d", Item { mode: 0, ..Item::new(b'5') }).file("d/f", "x"),
            &["directory /d 0 0:0", "file /d/f 1 644 0:0"],
        ),
        (
            "link in the way",
            Tar::default().dir("usr").dir("usr/lib").link("lib", "usr/lib").file("lib/f", "x"),
            &[
                "symlink /lib usr/lib",
                "directory /usr 755 0:0",
                "directory /usr/lib 755 0:0",
                "file /usr/lib/f 1 644 0:0",
            ],
        ),
        (
            "absolute link in the way",
            Tar::default().dir("usr").link("lib", "/../usr").file("lib/f", "x"),
            &["symlink /lib /../usr", "directory /usr 755 0:0", "file /usr/f 1 644 0:0"],
        ),
        (
            "link replaced",
            Tar::default().dir("a").link("l", "a").file("l", "x"),
            &["directory /a 755 0:0", "file /l 1 644 0:0"],
        ),
        (
            "hardlinks",
            Tar::default().file("b", "x").hard("a", "b").hard("c", "/a"),
            &["hardlink /a /b", "file /b 1 644 0:0", "hardlink /c /b"],
        ),
        (
            "hardlink before its target",
            Tar::default().hard("a", "b").file("b", "x"),
            &["hardlink /a /b", "file /b 1 644 0:0"],
        ),
        (
            "target replaced after",
            Tar::default().file("a", "x").hard("b", "a").hard("c", "a").file("a", "new"),
            &["file /a 3 644 0:0", "file /b 1 644 0:0", "hardlink /c /b"],
        ),
        (
            "link onto itself by another name",
            Tar::default().file("a", "x").hard("b", "a").hard("a", "b"),
            &["file /a 1 644 0:0", "hardlink /b /a"],
        ),
        ("hardlink to a symlink", Tar::default().link("a", "x").hard("b", "a"), &["symlink /a x", "hardlink /b /a"]),
        (
            "whiteouts",
            Tar::default().dir("d").file("d/.wh.f", "").file(".wh.g", ""),
            &["directory /d 755 0:0", "whiteout /d/f", "whiteout /g"],
        ),
        ("whiteout twice", Tar::default().file(".wh.g", "").file(".wh.g", ""), &["whiteout /g"]),
        ("whiteout before its file", Tar::default().file(".wh.f", "").file("f", "x"), &["file /f 1 644 0:0"]),
        ("whiteout after its file", Tar::default().file("f", "x").file(".wh.f", ""), &["file /f 1 644 0:0"]),
        (
            "whiteout beside its directory",
            Tar::default().dir("d").file("d/f", "").file(".wh.d", ""),
            &["directory /d 755 0:0", "file /d/f 0 644 0:0", "opaque /d"],
        ),
        (
            "opaque",
            Tar::default().dir("d").file("d/f", "").file("d/.wh..wh..opq", ""),
            &["directory /d 755 0:0", "file /d/f 0 644 0:0", "opaque /d"],
        ),
        (
            "aufs leftovers",
            Tar::default().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "").file(".wh..wh.aufs", ""),
            &[],
        ),
        (
            "whiteout through a link",
            Tar::default().dir("a").link("l", "a").file("l/.wh.f", ""),
            &["directory /a 755 0:0", "whiteout /a/f", "symlink /l a"],
        ),
        (
            "devices stay in the index",
            Tar::default().item("null", device(b'3', 1, 3)).item("sda", device(b'4', 8, 0)).hard("n", "null"),
            &["hardlink /n /null", "char /null 1:3 644 0:0", "block /sda 8:0 644 0:0"],
        ),
        ("a 0:0 device is no whiteout", Tar::default().item("odd", device(b'3', 0, 0)), &["char /odd 0:0 644 0:0"]),
        (
            "a device replaced",
            Tar::default().item("null", device(b'3', 1, 3)).file("null", "x"),
            &["file /null 1 644 0:0"],
        ),
        ("fifo", Tar::default().item("p", Item { mode: 0o600, ..Item::new(b'6') }), &["fifo /p 600 0:0"]),
        ("setuid", Tar::default().item("su", Item { mode: 0o4755, ..Item::new(b'0') }), &["file /su 0 4755 0:0"]),
        (
            "implied",
            Tar::default().file("a/b/c", "x"),
            &["directory /a 755 0:0", "directory /a/b 755 0:0", "file /a/b/c 1 644 0:0"],
        ),
        (
            "stated after implied",
            Tar::default().file("a/f", "x").dir("a"),
            &["directory /a 755 0:0", "file /a/f 1 644 0:0"],
        ),
    ];
    namespaced(Needs::OneId, || {
        for (name, tar, wanted) in cases {
            assert_eq!(lines(&both(&tar.end()).index), wanted, "{name}");
        }
    });
}

#[test]
fn what_a_layer_leans_on_is_found_out() {
    let path = |text: &str| TreePath::from(text);
    for (tar, directories, links) in [
        (Tar::default().file("f", "").hard("g", "f"), vec![], vec![]),
        (Tar::default().file("a/b/f", ""), vec![path("a"), path("a/b")], vec![]),
        (Tar::default().hard("g", "usr/f"), vec![], vec![(path("g"), path("usr/f"))]),
        (Tar::default().file("a/f", "").dir("a"), vec![], vec![]),
        (Tar::default().hard("g", "f").file("g", ""), vec![], vec![]),
    ] {
        let found = index_tar(&mut &tar.end()[..]).expect("index");
        assert_eq!(found.index.implied, directories);
        for path in &found.index.implied {
            let node = &found.index.get(path).expect("implied").node;
            assert_eq!(node.metadata(), Some(&Metadata::directory(Timestamp::default())), "{path}");
        }
        assert_eq!(found.borrowed, Borrowed { directories, links });
    }
}

#[test]
fn userns_hostile_entries_are_refused() {
    namespaced(Needs::OneId, hostile_entries_are_refused);
}

fn hostile_entries_are_refused() {
    for (tar, wanted) in [
        (Tar::default().file("../x", ""), "layer entry `../x` is refused: `../x` climbs with `..`"),
        (Tar::default().file("a/../../x", ""), "layer entry `a/../../x` is refused: `a/../../x` climbs with `..`"),
        (
            Tar::default().hard("x", "../../etc/passwd"),
            "layer entry `x` is refused: `../../etc/passwd` climbs with `..`",
        ),
        (
            Tar::default().file("d/.wh..", ""),
            "layer entry `d/.wh..` is refused: a whiteout of `.` or `..`, or of nothing",
        ),
        (
            Tar::default().file(".wh...", ""),
            "layer entry `.wh...` is refused: a whiteout of `.` or `..`, or of nothing",
        ),
        (Tar::default().file(".wh.", ""), "layer entry `.wh.` is refused: a whiteout of `.` or `..`, or of nothing"),
        (Tar::default().file(".wh.d/f", ""), "layer entry `.wh.d/f` is refused: a whiteout holds nothing"),
        (
            Tar::default().link("l", ".wh.x").file("l/f", ""),
            "layer entry `l/f` is refused: a link leads to `/.wh.x/f`, which means a whiteout",
        ),
        (Tar::default().link(".", "x"), "layer entry `.` is refused: `/` is a directory"),
        (
            Tar::default().file("f", "").file("f/x", ""),
            "layer entry `f/x` is refused: `/f` is no directory in this layer",
        ),
        (
            Tar::default().link("l", "l").file("l/x", ""),
            "layer entry `l/x` is refused: too many levels of symbolic links",
        ),
        (Tar::default().dir("d").hard("h", "d"), "layer entry `h` is refused: its target `/d` is a directory"),
        (Tar::default().hard("h", "h"), "layer entry `h` is refused: a hardlink to `/h` is none"),
        (Tar::default().hard("h", "/"), "layer entry `h` is refused: a hardlink to `/` is none"),
    ] {
        let tar = tar.end();
        let error = index_tar(&mut &tar[..]).expect_err(wanted).to_string();
        assert_eq!(error, wanted);
        in_directory(|root| assert_eq!(unpack(&mut &tar[..], root).expect_err(wanted).to_string(), wanted));
    }
}

#[test]
fn userns_bombs_end_at_the_limits() {
    namespaced(Needs::OneId, bombs_end_at_the_limits);
}

fn bombs_end_at_the_limits() {
    let tar = Tar::default().file("a", "123").file("b", "456").end();
    for (limits, wanted) in [
        (UnpackLimits { entries: 1, ..UnpackLimits::default() }, "the layer has more than 1 entries, at `b`"),
        (UnpackLimits { bytes: 5, ..UnpackLimits::default() }, "the layer has more than 5 bytes, at `b`"),
    ] {
        in_directory(|root| {
            assert_eq!(unpack_within(&mut &tar[..], root, limits).expect_err(wanted).to_string(), wanted)
        });
    }
    let long = Item { pax: vec![("path", vec![b'x'; 256])], ..Item::new(b'0') };
    let error = index_tar(&mut &Tar::default().item("x", long).end()[..]).expect_err("a long name");
    assert!(error.to_string().ends_with("a name of 256 bytes, 255 are possible"), "{error}");
}

/// What comes after the end of an archive is nobody's entry, and still has to be read for the digest.
#[test]
fn a_stream_without_end_is_refused_at_the_limit() {
    let tar = Tar::default().file("f", "x").end();
    let limits = UnpackLimits { bytes: 1 << 20, ..UnpackLimits::default() };
    let mut counted = HashReader::new(std::io::repeat(0));
    let error = index_tar(&mut LayerStream::new(tar.chain(&mut counted), limits)).expect_err("too long");
    assert_eq!(error.to_string(), "the layer's tar has more than 1048576 bytes");
    let (_, _, read) = counted.finish();
    assert!(read < 2 << 20, "{read} bytes were read");

    let mut whole = LayerStream::new(&tar[..], UnpackLimits { bytes: tar.len() as u64, ..limits });
    index_tar(&mut whole).expect("just short enough");
    assert_eq!(whole.finish().expect("the end"), DiffId(Digest::of(&tar)));
    let untouched = LayerStream::new(std::io::repeat(0), limits);
    assert!(matches!(untouched.finish(), Err(LayerError::TooLong { limit: 0x10_0000 })));
}

#[test]
fn subid_owners_xattrs_and_times_come_back() {
    namespaced(Needs::Ranges, || {
        let capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00".to_vec();
        let ping = Item {
            mode: 0o4755,
            gid: 42,
            uid: 7,
            pax: vec![
                ("mtime", b"1234.56789".to_vec()),
                ("SCHILY.xattr.security.capability", capability.clone()),
                ("SCHILY.xattr.user.odd", b"a\0b\nc=".to_vec()),
                ("SCHILY.xattr.user.overlay.opaque", b"y".to_vec()),
                ("SCHILY.xattr.trusted.overlay.opaque", b"y".to_vec()),
                ("SCHILY.xattr.trusted.x", b"kept in the index".to_vec()),
            ],
            ..Item::new(b'0')
        };
        let d = Item { uid: 1000, mode: 0o2711, pax: vec![("mtime", b"-5.25".to_vec())], ..Item::new(b'5') };
        let tar = Tar::default().item("d", d).item("d/ping", ping).end();
        let found = both(&tar).index;
        let [directory, file] = [0, 1].map(|at| found.changes[at].node.metadata().expect("an inode").clone());
        assert_eq!(directory.mtime, Timestamp { seconds: -6, nanoseconds: 750_000_000 });
        assert_eq!((directory.uid, directory.mode), (1000, 0o2711));
        assert_eq!(file.mtime, Timestamp { seconds: 1234, nanoseconds: 567_890_000 });
        assert_eq!((file.uid, file.gid, file.mode), (7, 42, 0o4755));
        assert_eq!(file.xattrs.get(&b"security.capability"[..]).map(|v| v.to_vec()), Some(capability));
        assert_eq!(file.xattrs.len(), 4);
    });
}

#[test]
fn userns_an_owner_without_a_place_is_named_with_its_cure() {
    namespaced(Needs::OneId, || {
        let tar = Tar::default().dir("etc").item("etc/shadow", Item { gid: 42, ..Item::new(b'0') }).end();
        in_directory(|root| {
            let error = unpack(&mut &tar[..], root).expect_err("gid 42 is not mapped");
            assert_eq!(error.to_string(), "`/etc/shadow` belongs to 0:42, which has no place among the user's ids");
            let cure = error.cure().expect("a cure");
            assert!(cure.contains("package `uidmap`") && cure.contains("--add-subuids 100000-165535"), "{cure}");
        });
    });
}

#[test]
fn userns_holes_stay_holes() {
    namespaced(Needs::OneId, || {
        let mut content = vec![0; 8 << 20];
        content.extend(b"end");
        content.extend(vec![0; 4 << 20]);
        let tar = Tar::default().item("f", Item { content: content.clone(), ..Item::new(b'0') }).end();
        in_directory(|root| {
            unpack(&mut &tar[..], root).expect("unpack");
            let shown = root.show(&TreePath::from("f"));
            assert!(std::fs::metadata(&shown).expect("stat").blocks() * 512 <= 64 << 10, "blocks on disk");
            assert!(std::fs::read(&shown).expect("read") == content);
        });
    });
}

/// A hardlink to a lower file is one more name of it, as where layers are applied one after the other: the name linked to
/// comes up with it, unless the layer says something else of that. Each case: the upper layer, and what it is then.
#[test]
fn userns_hardlinks_to_lower_files_are_one_inode() {
    let lower = Tar::default()
        .item("a", Item { mode: 0o711, ..Item::new(b'5') })
        .item("a/b", Item { mode: 0o700, ..Item::new(b'5') });
    let lower = lower.file("a/b/f", "bytes").hard("a/f", "a/b/f").link("l", "a/b").link("s", "nowhere");
    let lower = lower.dir("etc").file("etc/passwd", "root:x:0:0\n").item("null", device(b'3', 1, 3)).end();
    let cases: Vec<(&str, Tar, &[&str])> = vec![
        (
            "directories above the target come with it",
            Tar::default().hard("g", "a/b/f").hard("h", "l/f"),
            &[
                "directory /a 711 0:0",
                "directory /a/b 700 0:0",
                "file /a/b/f 5 644 0:0",
                "hardlink /g /a/b/f",
                "hardlink /h /a/b/f",
            ],
        ),
        (
            "two names of one lower inode",
            Tar::default().hard("g", "a/b/f").hard("h", "a/f"),
            &[
                "directory /a 711 0:0",
                "directory /a/b 700 0:0",
                "file /a/b/f 5 644 0:0",
                "hardlink /a/f /a/b/f",
                "hardlink /g /a/b/f",
                "hardlink /h /a/b/f",
            ],
        ),
        (
            "the target is deleted",
            Tar::default().hard("g", "a/f").hard("h", "a/f").dir("a").file("a/.wh.f", ""),
            &["directory /a 755 0:0", "whiteout /a/f", "file /g 5 644 0:0", "hardlink /h /g"],
        ),
        (
            "its directory is hidden",
            Tar::default().hard("g", "a/b/f").hard("h", "a/b/f").dir("a").file("a/.wh..wh..opq", ""),
            &["directory /a 755 0:0", "file /g 5 644 0:0", "hardlink /h /g", "opaque /a"],
        ),
        (
            "its directory is replaced",
            Tar::default().hard("g", "a/b/f").file("a", ""),
            &["file /a 0 644 0:0", "file /g 5 644 0:0"],
        ),
        ("a symbolic link", Tar::default().hard("t", "s"), &["symlink /s nowhere", "hardlink /t /s"]),
        ("a device", Tar::default().hard("m", "null").hard("n", "null"), &["char /m 1:3 644 0:0", "hardlink /n /m"]),
        (
            "accounts",
            Tar::default().hard("g", "etc/passwd"),
            &["directory /etc 755 0:0", "file /etc/passwd 11 644 0:0", "hardlink /g /etc/passwd"],
        ),
    ];
    namespaced(Needs::OneId, || {
        in_directory(|below_root| {
            let below = Arc::new(unpack(&mut &lower[..], below_root).expect("unpack").index);
            let stack = Stack::new(vec![Arc::clone(&below)]);
            let open = |_: usize, path: &TreePath| below_root.open_file(path);
            for (name, tar, wanted) in cases {
                let tar = tar.end();
                in_directory(|root| {
                    let unpacked = unpack(&mut &tar[..], root).expect("unpack");
                    let index = complete(unpacked, Some(root), &stack, &open).expect(name);
                    assert_eq!(lines(&index), wanted, "{name}");
                    assert_eq!(index.check(), Ok(()), "{name}");
                    assert_on_disk(root, &index);
                    let alone = index_tar(&mut &tar[..]).expect("index");
                    assert_eq!(complete(alone, None, &stack, &open).expect(name), index, "{name}");
                    let merged = Stack::new(vec![Arc::clone(&below), Arc::new(index)]);
                    let accounts = merged.account_file(&TreePath::from("etc/passwd"));
                    assert_eq!(accounts, Some(&b"root:x:0:0\n"[..]), "{name}");
                });
            }
        });
    });
}

#[test]
fn userns_what_is_borrowed_is_filled_in() {
    namespaced(Needs::OneId, || {
        let lower = Tar::default().item("a", Item { mode: 0o711, ..Item::new(b'5') }).file("a/f", "bytes").end();
        in_directory(|below_root| {
            let below = unpack(&mut &lower[..], below_root).expect("unpack").index;
            let stack = Stack::new(vec![Arc::new(below)]);
            let tar =
                Tar::default().file("a/new", "").hard("g", "a/f").hard("h", "a/f").dir("d").hard("d/i", "a/f").end();
            in_directory(|root| {
                let unpacked = unpack(&mut &tar[..], root).expect("unpack");
                let open = |_: usize, path: &TreePath| below_root.open_file(path);
                let index = complete(unpacked, Some(root), &stack, &open).expect("complete");
                assert_eq!(
                    lines(&index),
                    [
                        "directory /a 711 0:0",
                        "file /a/f 5 644 0:0",
                        "file /a/new 0 644 0:0",
                        "directory /d 755 0:0",
                        "hardlink /d/i /a/f",
                        "hardlink /g /a/f",
                        "hardlink /h /a/f",
                    ]
                );
                assert_on_disk(root, &index);
                assert_eq!(std::fs::read(root.show(&TreePath::from("h"))).expect("read"), b"bytes");
                let alone = index_tar(&mut &tar[..]).expect("index");
                assert_eq!(complete(alone, None, &stack, &open).expect("complete"), index);
            });
            let nothing = index_tar(&mut &Tar::default().hard("g", "no/such").end()[..]).expect("index");
            let error = complete(nothing, None, &stack, &|_, path| below_root.open_file(path)).expect_err("no target");
            assert_eq!(
                error.to_string(),
                "`/g` is a hardlink to `/no/such`, which is no file of this layer or one below it"
            );
        });
    });
}

#[test]
fn account_files_are_kept() {
    let tar = Tar::default().dir("etc").file("etc/passwd", "root:x:0:0").link("etc/group", "passwd").end();
    let found = index_tar(&mut &tar[..]).expect("index").index;
    let kept: Vec<_> = found.accounts.iter().map(|(path, bytes)| (path.to_string(), bytes.as_slice())).collect();
    assert_eq!(kept, [("/etc/passwd".to_owned(), &b"root:x:0:0"[..])]);
}

#[test]
fn a_size_that_lies_is_an_error() {
    let tar = Tar::default().file("f", "0123456789").end();
    let error = index_tar(&mut &tar[..515]).expect_err("cut short");
    assert!(matches!(error, LayerError::Tar(_)), "{error}");
    in_directory(|root| assert!(matches!(unpack(&mut &tar[..515], root), Err(LayerError::Tar(_)))));
}

#[test]
fn userns_a_full_disk_is_named_with_its_cure() {
    namespaced(Needs::OneId, || {
        let place = tempfile::tempdir().expect("a directory");
        let small = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", place.path(), "tmpfs", small, Some(c"size=1m")).expect("mount");
        let root = RootDir::open(place.path()).expect("open");
        let tar = Tar::default().file("big", &"x".repeat(2 << 20)).end();
        let error = unpack(&mut &tar[..], &root).expect_err("the disk is full");
        assert_eq!(error.to_string(), format!("no space left to write `{}`", place.path().join("big").display()));
        assert!(error.cure().is_some_and(|cure| cure.contains("lbuild prune")));
        rustix::mount::unmount(place.path(), rustix::mount::UnmountFlags::DETACH).expect("unmount");
    });
}

#[test]
fn userns_sparse_files_of_other_tars_keep_their_holes() {
    namespaced(Needs::OneId, || {
        let place = tempfile::tempdir().expect("a directory");
        let script = "truncate -s 64M f; for at in 1 30 60; do
            printf data | dd of=f bs=1M seek=$at conv=notrunc 2>/dev/null; done
            for format in gnu posix; do tar --format=$format -S -cf $format.tar f; done";
        let made = std::process::Command::new("sh").args(["-c", script]).current_dir(&place).status().expect("a shell");
        assert!(made.success());
        for format in ["gnu.tar", "posix.tar"] {
            let mut tar = std::fs::File::open(place.path().join(format)).expect("open");
            in_directory(|root| {
                let index = unpack(&mut tar, root).expect("unpack").index;
                assert_eq!(lines(&index), ["file /f 67108864 644 0:0"], "{format}");
                let shown = root.show(&TreePath::from("f"));
                assert!(std::fs::metadata(&shown).expect("stat").blocks() * 512 <= 256 << 10, "{format}: blocks");
                let wanted = std::fs::read(place.path().join("f")).expect("read");
                assert!(std::fs::read(&shown).expect("read") == wanted, "{format}: bytes");
            });
        }
    });
}
