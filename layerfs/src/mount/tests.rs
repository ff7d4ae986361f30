use super::*;
use crate::change::{Change, Node};
use crate::diff;
use crate::meta::{Kind, Metadata, Timestamp};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::testing::{Item, Needs, Tar, assert_on_disk, lines, namespaced};
use crate::unpack::{complete, unpack};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;

/// A directory of layers, and the stack of them.
struct Laboratory {
    place: tempfile::TempDir,
    names: Vec<String>,
    stack: Stack,
    runs: usize,
}

impl Laboratory {
    fn of(tars: Vec<Vec<u8>>) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        fs::create_dir(place.path().join("l")).expect("create");
        let mut laboratory = Self { place, names: Vec::new(), stack: Stack::default(), runs: 0 };
        for tar in tars {
            laboratory.add(&tar);
        }
        laboratory
    }

    fn small() -> Self {
        let xattr = Item { pax: vec![("SCHILY.xattr.user.k", b"v".to_vec())], ..Item::new(b'0') };
        let lower = Tar::default().dir("./").dir("etc").file("etc/passwd", "root:x:0:0\n").dir("d").file("d/a", "aaa");
        let lower = lower.file("d/b", "bbb").dir("d/sub").file("d/sub/x", "x").file("d/sub/y", "y").dir("bin");
        let lower = lower.file("bin/h1", "hh").hard("bin/h2", "bin/h1").link("link", "d").file("f", "fff");
        let lower = lower.item("su", Item { mode: 0o4755, ..Item::new(b'0') }).item("xa", xattr);
        let lower = lower.dir("dev").item("dev/null", Item { device: (1, 3), ..Item::new(b'3') });
        let upper = Tar::default().dir("d").file("d/.wh.b", "").dir("e").file("e/1", "1").file("e/2", "2");
        Self::of(vec![lower.end(), upper.end()])
    }

    fn layers(&self) -> PathBuf {
        self.place.path().join("l")
    }

    fn add(&mut self, tar: &[u8]) {
        let name = format!("{:x}", self.names.len());
        let path = self.layers().join(&name);
        fs::create_dir_all(&path).expect("create");
        let root = RootDir::open(&path).expect("open");
        let unpacked = unpack(&mut &*tar, &root).expect("unpack");
        let open = diff::opener(self.layers(), self.names.clone());
        let index = complete(unpacked, Some(&root), &self.stack, &open).expect("complete");
        self.names.push(name);
        self.stack.push(Arc::new(index));
    }

    /// Runs `script` in the mounted stack; returns what was to be seen after it, and the layer.
    fn run(&mut self, mounter: &dyn Mounter, script: &str) -> (View, Result<LayerIndex, LayerError>, PathBuf) {
        self.runs += 1;
        let at = |name: &str| self.place.path().join(format!("{name}{}", self.runs));
        let (scratch, target, destination) =
            (at("scratch"), at("target"), self.layers().join(format!("r{}", self.runs)));
        let active = mounter.prepare(&self.names, &self.stack, &scratch).expect("prepare");
        fs::create_dir(&target).expect("create");
        active.instructions.attach(&target).expect("attach");
        let script = format!("set -e; umask 022; {script}");
        let status = Command::new("/bin/sh").args(["-c", &script]).current_dir(&target).status().expect("a shell");
        assert!(status.success(), "{}: {script}", mounter.name());
        let view = view(&target);
        rustix::mount::unmount(&target, rustix::mount::UnmountFlags::empty()).expect("unmount");
        let index = mounter.commit(active, &self.stack, &destination);
        fs::remove_dir_all(&scratch).expect("removed");
        (view, index, destination)
    }

    fn end(self) {
        RootDir::open(self.place.path()).expect("open").remove_tree(&TreePath::root()).expect("remove");
    }
}

/// Everything below a directory: metadata, bytes, and the first of each inode's names.
type View = BTreeMap<TreePath, (Metadata, Vec<u8>, TreePath)>;

fn view(top: &Path) -> View {
    let root = RootDir::open(top).expect("open");
    let mut view = View::new();
    let mut first_names = BTreeMap::new();
    let mut ahead = vec![TreePath::root()];
    while let Some(path) = ahead.pop() {
        let found = root.inspect(&path).expect("stat");
        if found.metadata.is_directory() {
            ahead.extend(root.list(&path).expect("list").iter().rev().map(|name| path.child(name)));
        }
        let is_file = matches!(found.metadata.kind, Kind::File { .. });
        let bytes = if is_file { fs::read(root.show(&path)).expect("read") } else { Vec::new() };
        let first = if found.metadata.is_directory() {
            path.clone()
        } else {
            first_names.entry(found.inode).or_insert_with(|| path.clone()).clone()
        };
        if !found.socket {
            view.insert(path, (found.metadata, bytes, first));
        }
    }
    view
}

/// Returns an index with times that are not set by a script taken out.
fn timeless(index: &LayerIndex) -> Vec<Change> {
    let mut changes = Vec::from(index.changes.clone());
    for change in &mut changes {
        if let Node::Inode(metadata) = &mut change.node
            && metadata.mtime.seconds > 1_000_000
        {
            metadata.mtime = Timestamp::default();
        }
    }
    changes
}

const SOCKET: &str = "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'";

/// Scripts, and the layer that each makes of [`Laboratory::small`].
fn scripts() -> Vec<(String, Vec<&'static str>)> {
    let root = "directory / 755 0:0";
    let d = "directory /d 755 0:0";
    let table: Vec<(&str, Vec<&'static str>)> = vec![
        ("true", vec![]),
        ("echo hi > new", vec![root, "file /new 3 644 0:0"]),
        ("chmod 600 d/a", vec![d, "file /d/a 3 600 0:0"]),
        ("touch -d @500 f", vec!["file /f 3 644 0:0"]),
        ("rm d/a", vec![d, "whiteout /d/a"]),
        ("rm -r d", vec![root, "whiteout /d"]),
        ("rm -r d; mkdir d; echo n > d/a", vec![root, d, "file /d/a 2 644 0:0", "whiteout /d/sub"]),
        (
            "rm -r d; mkdir -p d/sub; echo z > d/sub/z",
            vec![
                root,
                d,
                "whiteout /d/a",
                "directory /d/sub 755 0:0",
                "whiteout /d/sub/x",
                "whiteout /d/sub/y",
                "file /d/sub/z 2 644 0:0",
            ],
        ),
        ("cp -a e e2; rm -r e; mv e2 e; touch -d @1000 .", vec![]),
        ("mv f g", vec![root, "whiteout /f", "file /g 3 644 0:0"]),
        ("mkdir n; echo x > n/x; mv n m", vec![root, "directory /m 755 0:0", "file /m/x 2 644 0:0"]),
        ("echo x > p; ln p q", vec![root, "file /p 2 644 0:0", "hardlink /q /p"]),
        ("ln f g", vec![root, "file /f 3 644 0:0", "hardlink /g /f"]),
        ("rm link; ln -s e link", vec![root, "symlink /link e"]),
        ("setfattr -n user.k -v 1 f", vec!["file /f 3 644 0:0"]),
        ("setfattr -x user.k xa", vec!["file /xa 0 644 0:0"]),
        ("chmod 700 d", vec!["directory /d 700 0:0"]),
        ("chmod 0 d", vec!["directory /d 0 0:0"]),
        ("truncate -s 1M f", vec!["file /f 1048576 644 0:0"]),
        ("rm f; printf fff > f; touch -d @1000 f; touch -d @1000 .", vec![]),
        ("printf FFF > f; touch -d @1000 f", vec!["file /f 3 644 0:0"]),
        (": >> f", vec![]),
        ("rm d/sub/x", vec![d, "directory /d/sub 755 0:0", "whiteout /d/sub/x"]),
        ("mkfifo p", vec![root, "fifo /p 644 0:0"]),
        (SOCKET, vec![root]),
        ("rm -r e; echo x > e", vec![root, "file /e 2 644 0:0"]),
        ("rm f; mkdir f", vec![root, "directory /f 755 0:0"]),
        ("cp f s; chmod 4755 s", vec![root, "file /s 3 4755 0:0"]),
        ("touch t; rm t; touch -d @1000 .", vec![]),
        ("echo x > d/b; rm d/b; touch -d @1000 d", vec![]),
        ("echo x > d/b", vec![d, "file /d/b 2 644 0:0"]),
        ("echo u >> etc/passwd", vec!["directory /etc 755 0:0", "file /etc/passwd 13 644 0:0"]),
        ("chmod 711 .", vec!["directory / 711 0:0"]),
        ("rm -r dev; touch -d @1000 .", vec!["whiteout /dev"]),
        (
            "rm link; cp -a d link; touch -d @1000 .",
            vec![
                "directory /link 755 0:0",
                "file /link/a 3 644 0:0",
                "directory /link/sub 755 0:0",
                "file /link/sub/x 1 644 0:0",
                "file /link/sub/y 1 644 0:0",
            ],
        ),
    ];
    let mut all: Vec<(String, Vec<&'static str>)> = table.into_iter().map(|(s, l)| (s.to_owned(), l)).collect();
    all.push((format!("mv f s; rm s; {SOCKET}; mv s f; touch -d @1000 ."), vec!["whiteout /f"]));
    all
}

/// What every mounter does: 9-12, 1.7-4, 7-22.
fn mounter_contract(laboratory: &mut Laboratory, mounter: &dyn Mounter) -> Vec<(String, Vec<Change>)> {
    let mut layers = Vec::new();
    for (script, wanted) in scripts() {
        let shown = format!("{}: {script}", mounter.name());
        let (view, index, destination) = laboratory.run(mounter, &script);
        let index = index.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(lines(&index), wanted, "{shown}");
        assert_on_disk(&RootDir::open(&destination).expect("open"), &index);
        applied(laboratory, mounter, &index, &destination, &view, &shown);
        layers.push((script, timeless(&index)));
    }
    layers
}

/// The stack with the layer on it shows what the command left.
fn applied(
    laboratory: &mut Laboratory,
    mounter: &dyn Mounter,
    index: &LayerIndex,
    destination: &Path,
    wanted: &View,
    shown: &str,
) {
    let (stack, names) = (laboratory.stack.clone(), laboratory.names.clone());
    laboratory.stack.push(Arc::new(index.clone()));
    laboratory.names.push(destination.file_name().expect("a name").to_string_lossy().into_owned());
    let by_index: BTreeMap<TreePath, Metadata> = laboratory
        .stack
        .walk(&TreePath::root())
        .into_iter()
        .filter(|(_, found)| !matches!(found.metadata.kind, Kind::CharDevice { .. }))
        .map(|(path, found)| (path, found.metadata.clone()))
        .collect();
    let mut firsts = BTreeMap::new();
    let first_names: BTreeMap<TreePath, TreePath> = laboratory
        .stack
        .walk(&TreePath::root())
        .into_iter()
        .filter(|(_, found)| !matches!(found.metadata.kind, Kind::CharDevice { .. }))
        .map(|(path, found)| {
            let first = firsts.entry((found.layer, found.inode)).or_insert_with(|| path.clone()).clone();
            (path, first)
        })
        .collect();
    let (again, nothing, _) = laboratory.run(mounter, "true");
    let normal = |mut metadata: Metadata| {
        metadata.mode = if metadata.is_symlink() { 0o777 } else { metadata.mode };
        metadata
    };
    let seen: BTreeMap<TreePath, Metadata> = wanted.iter().map(|(path, (m, ..))| (path.clone(), m.clone())).collect();
    assert_eq!(
        by_index.into_iter().map(|(p, m)| (p, normal(m))).collect::<BTreeMap<_, _>>(),
        seen,
        "{shown}: the indexes"
    );
    let without_names =
        |view: &View| view.iter().map(|(p, (m, b, _))| (p.clone(), m.clone(), b.clone())).collect::<Vec<_>>();
    assert_eq!(without_names(&again), without_names(wanted), "{shown}: mounted again");
    // Which names are of one inode is asked of the new mount: in the old one a file that was copied up keeps the number
    // of the lower one under its old name alone.
    let groups: BTreeMap<TreePath, TreePath> = again.into_iter().map(|(path, (.., first))| (path, first)).collect();
    assert_eq!(groups, first_names, "{shown}: hardlinks");
    assert_eq!(lines(&nothing.expect("commit")), Vec::<String>::new(), "{shown}: and nothing more");
    (laboratory.stack, laboratory.names) = (stack, names);
}

#[test]
fn userns_both_mounters_keep_the_contract_and_make_one_layer() {
    namespaced(Needs::OneId, || {
        let mut laboratory = Laboratory::small();
        let overlay = OverlayMounter::new(&laboratory.layers());
        let copy = CopyMounter::new(&laboratory.layers());
        let by_overlay = mounter_contract(&mut laboratory, &overlay);
        let by_copy = mounter_contract(&mut laboratory, &copy);
        for (one, other) in by_overlay.iter().zip(&by_copy) {
            assert_eq!(one, other);
        }
        assert_eq!(by_overlay.len(), by_copy.len());
        laboratory.end();
    });
}

/// The two exceptions that the trait names, so that a change of either is seen.
#[test]
fn userns_mounters_differ_where_posix_and_overlay_do() {
    namespaced(Needs::OneId, || {
        let mut laboratory = Laboratory::small();
        let rename = "python3 -c 'import os; os.rename(\"d\", \"z\")' 2>/dev/null || echo refused > said";
        for (mounter, wanted) in [
            (
                &OverlayMounter::new(&laboratory.layers()) as &dyn Mounter,
                [
                    vec!["directory /bin 755 0:0", "file /bin/h1 4 644 0:0"],
                    vec!["directory / 755 0:0", "file /said 8 644 0:0"],
                ],
            ),
            (
                &CopyMounter::new(&laboratory.layers()),
                [
                    vec!["directory /bin 755 0:0", "file /bin/h1 4 644 0:0", "hardlink /bin/h2 /bin/h1"],
                    vec![
                        "directory / 755 0:0",
                        "whiteout /d",
                        "directory /z 755 0:0",
                        "file /z/a 3 644 0:0",
                        "directory /z/sub 755 0:0",
                        "file /z/sub/x 1 644 0:0",
                        "file /z/sub/y 1 644 0:0",
                    ],
                ],
            ),
        ] {
            for (script, wanted) in ["echo x >> bin/h1", rename].into_iter().zip(wanted) {
                let (_, index, _) = laboratory.run(mounter, script);
                assert_eq!(lines(&index.expect("commit")), wanted, "{}: {script}", mounter.name());
            }
        }
        laboratory.end();
    });
}

#[test]
fn userns_accounts_reserved_names_and_own_marks() {
    namespaced(Needs::OneId, || {
        let mut laboratory = Laboratory::small();
        for mounter in
            [&OverlayMounter::new(&laboratory.layers()) as &dyn Mounter, &CopyMounter::new(&laboratory.layers())]
        {
            let (_, index, _) = laboratory.run(mounter, "echo u >> etc/passwd");
            let accounts = index.expect("commit").accounts;
            assert_eq!(accounts, BTreeMap::from([(TreePath::from("etc/passwd"), b"root:x:0:0\nu\n".to_vec())]));
            let (_, refused, _) = laboratory.run(mounter, "touch d/.wh.x");
            let wanted = "`/d/.wh.x` cannot be part of a layer: names that start with `.wh.` mean deletions there";
            assert_eq!(refused.expect_err("a reserved name").to_string(), wanted);
        }
        let overlay = OverlayMounter::new(&laboratory.layers());
        let (_, index, _) = laboratory.run(&overlay, "setfattr -n user.overlay.opaque -v y d");
        let index = index.expect("commit");
        let metadata = index.changes[0].node.metadata().expect("an inode");
        assert_eq!(metadata.xattrs.get(&b"user.overlay.opaque"[..]).map(|v| v.to_vec()), Some(b"y".to_vec()));
        assert_eq!(lines(&index), ["directory /d 755 0:0"]);
        laboratory.end();
    });
}

/// Images have a layer twice: two commands that changed nothing, or the same.
#[test]
fn userns_a_layer_may_stand_twice() {
    namespaced(Needs::OneId, || {
        let repeated = Tar::default().dir("d").file("d/a", "a").file("d/.wh.b", "").file("f", "f").end();
        let other =
            Tar::default().file(".wh.f", "").dir("d").file("d/.wh..wh..opq", "").file("d/b", "b").file("g", "g").end();
        let mut views = Vec::new();
        for mounter in ["overlay", "copy"] {
            let mut laboratory = Laboratory::of(vec![repeated.clone(), other.clone()]);
            laboratory.names.push(laboratory.names[0].clone());
            laboratory.stack.push(Arc::clone(&laboratory.stack.layers()[0]));
            let layers = laboratory.layers();
            let mounter: Box<dyn Mounter> = match mounter {
                "overlay" => Box::new(OverlayMounter::new(&layers)),
                _ => Box::new(CopyMounter::new(&layers)),
            };
            let (view, index, _) = laboratory.run(&*mounter, "test -e d/a; test ! -e d/b; test -e f; test -e g; rm f");
            assert_eq!(lines(&index.expect("commit")), ["directory / 755 0:0", "whiteout /f"]);
            views.push(view.into_iter().map(|(path, (_, bytes, _))| (path, bytes)).collect::<Vec<_>>());
            laboratory.end();
        }
        assert_eq!(views[0], views[1]);
    });
}

#[test]
fn userns_any_number_of_layers() {
    namespaced(Needs::OneId, || {
        for files in [0, 1, 500, 501] {
            let tars = (0..files).map(|n| Tar::default().file(&format!("f{n}"), "x").end()).collect();
            let mut laboratory = Laboratory::of(tars);
            let overlay = OverlayMounter::new(&laboratory.layers());
            let (view, index, _) = laboratory.run(&overlay, "echo hi > new; rm -f f0 f499");
            let removed = usize::from(files > 0) + usize::from(files > 499);
            assert_eq!(view.len(), 2 + files - removed, "{files} layers");
            let index = index.expect("commit");
            let wanted = ["directory / 755 0:0", "whiteout /f0", "whiteout /f499", "file /new 3 644 0:0"];
            let there =
                |line: &&&str| (**line != "whiteout /f0" || files > 0) && (**line != "whiteout /f499" || files > 499);
            assert_eq!(lines(&index), wanted.iter().filter(there).copied().collect::<Vec<_>>(), "{files} layers");
            laboratory.end();
        }
    });
}

#[test]
fn too_many_layers_are_refused_by_number() {
    let instructions = MountInstructions::Overlay {
        layers: "/nowhere".into(),
        lower: (0..1000).map(|name| name.to_string()).collect(),
        upper: "/nowhere/u".into(),
        work: "/nowhere/w".into(),
    };
    let error = instructions.attach(Path::new("/nowhere/t")).expect_err("too many");
    assert_eq!(error.to_string(), "1000 layers are more than the 999 that can be mounted over one another");
}

#[test]
fn userns_the_probe_finds_overlay_and_leaves_nothing() {
    namespaced(Needs::OneId, || {
        let place = tempfile::tempdir().expect("a directory");
        assert_eq!(probe(place.path()).expect("probe").name(), "overlay");
        assert_eq!(fs::read_dir(place.path()).expect("list").count(), 0);
    });
}

#[test]
fn userns_without_overlay_the_probe_finds_copy_or_says_noexec() {
    namespaced(Needs::OneId, || {
        let place = tempfile::tempdir().expect("a directory");
        let sub = place.path().join("full");
        fs::create_dir(&sub).expect("create");
        for (options, wanted) in [("size=1m", Ok("copy")), ("size=1m,noexec", Err("it is mounted `noexec`"))] {
            // An overlay on an overlay on an overlay is refused: here is a layers directory that cannot be mounted.
            let nested = nest(&sub);
            let flags = if options.contains("noexec") { "remount,bind,noexec" } else { "remount,bind" };
            let bound = Command::new("mount").args(["--bind"]).args([&nested, &nested]).status().expect("mount");
            let remounted = Command::new("mount").args(["-o", flags]).arg(&nested).status().expect("mount");
            assert!(bound.success() && remounted.success());
            match (probe(&nested), wanted) {
                (Ok(mounter), Ok(name)) => assert_eq!(mounter.name(), name),
                (Err(error), Err(end)) => assert!(error.to_string().ends_with(end), "{error}"),
                (found, _) => panic!("{options}: {found:?}"),
            }
            rustix::mount::unmount(&nested, rustix::mount::UnmountFlags::DETACH).expect("unmount");
            rustix::mount::unmount(&nested, rustix::mount::UnmountFlags::DETACH).expect("unmount");
            RootDir::open(&sub).expect("open").remove_tree(&TreePath::root()).expect("remove");
        }
    });
}

/// Mounts an overlay on which no other can have its upper directory.
fn nest(place: &Path) -> PathBuf {
    let at = |name: &str| place.join(name);
    for name in ["lower", "upper", "work", "nested"] {
        fs::create_dir(at(name)).expect("create");
    }
    let instructions = MountInstructions::Overlay {
        layers: place.to_owned(),
        lower: vec!["lower".to_owned()],
        upper: at("upper"),
        work: at("work"),
    };
    instructions.attach(&at("nested")).expect("attach");
    at("nested")
}

/// Files that did not change but moved with their directory, with everything but their bytes equal.
#[test]
fn userns_directories_that_changed_places_are_seen() {
    namespaced(Needs::OneId, || {
        let tar = Tar::default().dir("/").dir("p").file("p/f", "1").dir("q").file("q/f", "2").end();
        let mut laboratory = Laboratory::of(vec![tar]);
        for mounter in
            [&OverlayMounter::new(&laboratory.layers()) as &dyn Mounter, &CopyMounter::new(&laboratory.layers())]
        {
            let (_, index, destination) = laboratory.run(mounter, "mv p t; mv q p; mv t q; touch -d @1000 . p q");
            let index = index.expect("commit");
            let wanted = ["directory /p 755 0:0", "file /p/f 1 644 0:0", "directory /q 755 0:0", "file /q/f 1 644 0:0"];
            assert_eq!(lines(&index), wanted, "{}", mounter.name());
            assert_eq!(fs::read(destination.join("p/f")).expect("read"), b"2");
        }
        laboratory.end();
    });
}
