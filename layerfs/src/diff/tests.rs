//! The kernel's own upper directories are tried in `mount`; here is what it makes seldom or not at all.

use super::*;
use crate::meta::disk::{OPAQUE, ORIGIN};
use crate::testing::{Needs, Tar, assert_on_disk, lines, namespaced};
use crate::unpack::{index_tar, unpack};
use std::sync::Arc;

/// Runs `body` with the unpacked `tar` as upper directory over what `below` says.
fn over(below: Tar, upper: Tar, body: impl FnOnce(&RootDir, &Stack)) {
    let stack = Stack::new(vec![Arc::new(index_tar(&mut &below.end()[..]).expect("index").index)]);
    let place = tempfile::tempdir().expect("a directory");
    let root = RootDir::open(place.path()).expect("open");
    unpack(&mut &upper.dir("/").end()[..], &root).expect("unpack");
    body(&root, &stack);
    root.remove_tree(&TreePath::root()).expect("remove");
}

fn nothing_below(_: usize, path: &TreePath) -> Result<File, IoError> {
    panic!("{path} was opened: its metadata was enough to tell");
}

fn normal(below: Tar, upper: Tar, wanted: &[&str]) {
    over(below.dir("/"), upper, |root, stack| {
        let index = normalize(root, stack, &nothing_below).expect("normalize");
        assert_eq!(lines(&index), wanted);
        assert_on_disk(root, &index);
        assert!(index.opaque.is_empty() && index.implied.is_empty());
    });
}

#[test]
fn userns_normal_form() {
    namespaced(Needs::OneId, || {
        let d = || Tar::default().dir("d");
        // A whiteout of what is not below, also where a layer below hides it.
        normal(d(), d().file("d/.wh.x", "").file(".wh.y", ""), &[]);
        // Opaque over nothing, and over a file: only the directory is left.
        normal(Tar::default(), d().file("d/.wh..wh..opq", ""), &["directory /d 755 0:0"]);
        normal(Tar::default().file("d", ""), d().file("d/.wh..wh..opq", ""), &["directory /d 755 0:0"]);
        // Opaque over the same, two deep.
        let same = || Tar::default().dir("d").dir("d/e").file("d/e/f", "").link("d/l", "x");
        normal(same(), same().file("d/.wh..wh..opq", ""), &[]);
        // Opaque over more, two deep; a directory over a file hides nothing by name.
        normal(
            same(),
            d().dir("d/e").dir("d/l").file("d/.wh..wh..opq", ""),
            &["directory /d 755 0:0", "directory /d/e 755 0:0", "whiteout /d/e/f", "directory /d/l 755 0:0"],
        );
        // Another target, another kind, another size.
        normal(same(), d().link("d/l", "y"), &["directory /d 755 0:0", "symlink /d/l y"]);
        // The lowest of the names is the inode, in the order of the bytes, not of the walk.
        normal(
            Tar::default(),
            d().file("d/z", "").hard("d-", "d/z"),
            &["directory /d 755 0:0", "file /d- 0 644 0:0", "hardlink /d/z /d-"],
        );
        // Two names of one inode below are one change or none.
        let pair = || Tar::default().file("a", "").hard("b", "a");
        normal(pair(), pair(), &[]);
        normal(Tar::default().file("a", "").file("b", ""), pair(), &["file /a 0 644 0:0", "hardlink /b /a"]);
    });
}

/// More directories, names of one and marks than one core has to do with.
#[test]
fn userns_much_comes_to_the_same_form_by_all_cores() {
    let (many, files) = (3 * FEW_NAMES, |number| format!("d/f{number:04}"));
    let mut tar = Tar::default().dir("d");
    let mut wanted = vec!["directory /d 755 0:0".to_owned()];
    for number in 0..many {
        tar = tar.file(&files(number), "");
        wanted.push(format!("file /{} 0 644 0:0", files(number)));
    }
    for number in 0..many {
        tar = tar.dir(&format!("e{number:04}")).file(&format!("e{number:04}/f"), "");
        wanted.extend([format!("directory /e{number:04} 755 0:0"), format!("file /e{number:04}/f 0 644 0:0")]);
    }
    namespaced(Needs::OneId, || {
        over(Tar::default().dir("/"), tar, |root, stack| {
            let paths = || (0..many).map(|number| TreePath::from(files(number).as_str()));
            paths().for_each(|path| root.set_mark(&path, ORIGIN, b"x").expect("mark"));
            let index = normalize(root, stack, &nothing_below).expect("normalize");
            assert_eq!(lines(&index), wanted);
            assert_on_disk(root, &index);
            assert!(paths().all(|path| root.inspect(&path).expect("look").marks.is_empty()));
        });
    });
}

#[test]
fn userns_parts_kept_elsewhere_are_refused_by_name() {
    namespaced(Needs::OneId, || {
        for mark in ["user.overlay.redirect", "user.overlay.metacopy"] {
            over(Tar::default(), Tar::default().dir("d"), |root, stack| {
                root.set_mark(&TreePath::from("d"), mark.as_bytes(), b"x").expect("mark");
                let error = normalize(root, stack, &nothing_below).expect_err(mark);
                assert_eq!(
                    error.to_string(),
                    format!("`/d` has xattr `{mark}`: the overlay keeps a part of it elsewhere")
                );
            });
        }
    });
}

#[test]
fn userns_whiteouts_made_of_xattrs_become_devices() {
    namespaced(Needs::OneId, || {
        let below = Tar::default().dir("/").dir("d").file("d/f", "x").file("d/g", "x");
        over(below, Tar::default().dir("d").file("d/f", ""), |root, stack| {
            root.set_mark(&TreePath::from("d"), OPAQUE, b"x").expect("mark");
            root.set_mark(&TreePath::from("d/f"), b"user.overlay.whiteout", b"").expect("mark");
            let index = normalize(root, stack, &nothing_below).expect("normalize");
            assert_eq!(lines(&index), ["directory /d 755 0:0", "whiteout /d/f"], "`x` hides nothing else");
            assert_on_disk(root, &index);
        });
    });
}
