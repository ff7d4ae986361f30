use super::*;
use crate::meta::Kind;
use crate::testing::{Needs, namespaced};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

fn path(text: &str) -> TreePath {
    TreePath::from(text)
}

#[test]
fn links_stay_inside() {
    let place = tempfile::tempdir().expect("a directory");
    let (inside, outside) = (place.path().join("in"), place.path().join("out"));
    for directory in [&inside, &outside, &inside.join("out"), &inside.join("etc")] {
        fs::create_dir(directory).expect("create");
    }
    fs::write(outside.join("f"), "outside").expect("write");
    fs::write(inside.join("out/f"), "inside").expect("write");
    symlink("../out", inside.join("up")).expect("link");
    symlink(&outside, inside.join("absolute")).expect("link");
    symlink("/etc", inside.join("hostile")).expect("link");
    symlink("../out/f", inside.join("last")).expect("link");
    let root = RootDir::open(&inside).expect("open");
    let mut text = String::new();
    root.open_file(&path("up/f")).expect("open").read_to_string(&mut text).expect("read");
    assert_eq!(text, "inside", "`..` stops at the root");
    assert!(root.open_file(&path("absolute/f")).expect_err("outside").is_not_found());
    assert_eq!(root.open_file(&path("last")).expect_err("a link at the end").errno, Some(libc::ELOOP));
    root.create_file(&path("hostile/made")).expect("create");
    assert!(inside.join("etc/made").exists(), "an absolute link starts at the root");
    root.remove_tree(&path("up")).expect("remove");
    assert!(outside.join("f").exists() && inside.join("out/f").exists(), "a link is removed, not what it leads to");
}

#[test]
fn only_regular_files_are_opened() {
    let place = tempfile::tempdir().expect("a directory");
    let root = RootDir::open(place.path()).expect("open");
    root.create_fifo(&path("fifo")).expect("create");
    root.create_directory(&path("directory")).expect("create");
    for name in ["fifo", "directory"] {
        let error = root.open_file(&path(name)).expect_err(name);
        assert_eq!(error.message, "is no regular file", "{name}: and nobody waits for a writer");
    }
    assert_eq!(root.metadata(&path("fifo")).expect("stat").kind, Kind::Fifo);
    assert_eq!(root.list(&TreePath::root()).expect("list"), [Box::from(*b"directory"), Box::from(*b"fifo")]);
}

#[test]
fn userns_any_tree_is_removed() {
    namespaced(Needs::OneId, || {
        let place = tempfile::tempdir().expect("a directory");
        let root = RootDir::open(place.path()).expect("open");
        root.create_directory(&path("deep")).expect("create");
        // Deeper than paths, descriptors and a thread's stack go.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(place.path().join("deep"), flags, Mode::empty()).expect("open");
        for _ in 0..5000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).expect("create");
            rustix::fs::mkdirat(&at, "e", Mode::empty()).expect("create");
            at = rustix::fs::openat(&at, "d", flags, Mode::empty()).expect("open");
        }
        fs::create_dir_all(place.path().join("deep/shut/inner")).expect("create");
        fs::set_permissions(place.path().join("deep/shut"), fs::Permissions::from_mode(0o0)).expect("change mode");
        root.remove_tree(&path("deep")).expect("remove");
        assert_eq!(root.list(&TreePath::root()).expect("list"), Vec::<Box<[u8]>>::new());
    });
}

#[test]
fn a_directory_that_was_replaced_is_resolved_again() {
    let place = tempfile::tempdir().expect("a directory");
    let root = RootDir::open(place.path()).expect("open");
    for name in ["a", "b"] {
        root.create_directory(&path(name)).expect("create");
    }
    root.create_file(&path("a/1")).expect("create");
    root.rename(&path("a"), &path("c")).expect("rename");
    root.rename(&path("b"), &path("a")).expect("rename");
    root.create_file(&path("a/2")).expect("create");
    assert_eq!(root.list(&path("a")).expect("list"), [Box::from(*b"2")]);
    assert_eq!(root.list(&path("c")).expect("list"), [Box::from(*b"1")]);
}

#[test]
fn userns_nothing_is_removed_through_a_mount() {
    namespaced(Needs::OneId, || {
        let place = tempfile::tempdir().expect("a directory");
        let root = RootDir::open(place.path()).expect("open");
        fs::create_dir_all(place.path().join("d/mounted")).expect("create");
        fs::create_dir(place.path().join("precious")).expect("create");
        fs::write(place.path().join("precious/f"), "x").expect("write");
        let mounted = place.path().join("d/mounted");
        rustix::mount::mount_bind(place.path().join("precious"), &mounted).expect("mount");
        let error = root.remove_tree(&path("d")).expect_err("it is mounted");
        assert!(matches!(error.errno, Some(libc::EXDEV | libc::EBUSY)), "{error}");
        assert!(place.path().join("precious/f").exists());
        rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::empty()).expect("unmount");
    });
}
