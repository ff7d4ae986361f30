//! What becomes of what a command does: layers, leftovers, cancelling.

use crate::Test;
use crate::fixture::{BASE, Fixture, layer, shell, start};
use builder::progress::Stream;
use builder::sandbox::spec::RunSpec;
use builder::worker::WorkerError;
use builder::worker::protocol::Exit;
use layerfs::cancel::Cancel;
use layerfs::change::Node;
use layerfs::digest::{ChainId, DiffId, Digest};
use layerfs::index::LayerIndex;
use layerfs::layer::LayerKey;
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::tar::TarWriter;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("userns_layer_holds_what_the_command_did", layers),
    ("userns_layers_of_images_are_unpacked_once", unpacking),
    ("userns_stubs_are_not_in_the_layer", stubs),
    ("userns_working_directory_is_made", working_directory),
    ("subid_working_directory_is_the_users", own_working_directory),
    ("userns_a_failing_command_leaves_nothing", failing),
    ("userns_a_layer_is_read_and_checked", reading),
    ("userns_cancel_kills_at_once", cancel),
    ("userns_output_streams_as_it_comes", streaming),
    ("userns_the_end_of_the_worker_ends_commands", worker_end),
    ("userns_leftover_processes_end_with_the_command", leftovers),
];

fn paths(index: &LayerIndex) -> Vec<String> {
    index.changes.iter().map(|change| change.path.to_string()).collect()
}

fn layers(fixture: &Fixture) {
    let first = fixture.commit(shell("echo one > /root/a; rm /bin/yes"), 10);
    assert_eq!(paths(&first), ["/bin", "/bin/yes", "/root", "/root/a"]);
    assert_eq!(first.changes[1].node, Node::Whiteout);
    let second =
        RunSpec { stack: vec![BASE, layer(10)], ..shell("cat /root/a; test ! -e /bin/yes && echo two >> /root/a") };
    assert_eq!(paths(&fixture.commit(second, 11)), ["/root", "/root/a"]);
    let third = RunSpec { stack: vec![BASE, layer(10), layer(11)], ..shell("cat /root/a") };
    assert_eq!(fixture.run(third).expect("runs").output, "one\ntwo\n");
}

/// A layer that leans on another waits for it; many who ask get one; another diff ID is refused.
fn unpacking(fixture: &Fixture) {
    let cancel = Cancel::new().expect("a cancel");
    let (lower, upper) = (tar(&[("d", None), ("d/a", Some("a"))]), tar(&[("d/b", Some("b"))]));
    let ids = [&lower, &upper].map(|bytes| DiffId(Digest::of(bytes)));
    let unpack = |bytes: &[u8], number: usize| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file.rewind().expect("rewound");
        let chain = ChainId::of(&ids[..=number]).expect("a chain");
        fixture.worker.unpack(file.as_fd(), ids[number], chain, ids[..number].to_vec(), &cancel)
    };
    assert!(matches!(unpack(&upper, 0), Err(WorkerError::DiffIdMismatch { .. })));
    std::thread::scope(|scope| {
        let tops: Vec<_> = (0..3).map(|_| scope.spawn(|| unpack(&upper, 1))).collect();
        std::thread::sleep(Duration::from_millis(50));
        let bottoms: Vec<_> = (0..3).map(|_| scope.spawn(|| unpack(&lower, 0))).collect();
        for bottom in bottoms {
            assert_eq!(bottom.join().expect("joined"), Ok(LayerKey::Diff(ids[0])));
        }
        for top in tops {
            let chain = ChainId::of(&ids).expect("a chain");
            assert_eq!(top.join().expect("joined"), Ok(LayerKey::Chain(chain)));
        }
    });
    let chain = LayerKey::Chain(ChainId::of(&ids).expect("a chain"));
    let spec = RunSpec { stack: vec![BASE, LayerKey::Diff(ids[0]), chain], ..shell("cat /d/a /d/b; stat -c %a /d") };
    assert_eq!(fixture.run(spec).expect("runs").output, "ab700\n");
}

/// Returns a plain tar of directories (0700) and files.
fn tar(entries: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (path, text) in entries {
        let kind = text.map_or(Kind::Directory, |text| Kind::File { size: text.len() as u64 });
        let mode = if text.is_some() { 0o644 } else { 0o700 };
        let metadata =
            Metadata { kind, mode, uid: 0, gid: 0, mtime: Timestamp::from_seconds(7), xattrs: Xattrs::new() };
        let mut content = text.unwrap_or_default().as_bytes();
        tar.inode(&TreePath::from(*path), &metadata, &mut content).expect("written");
    }
    tar.finish().expect("the tar is written")
}

/// Rows 1.7-4, 7-20.
fn stubs(fixture: &Fixture) {
    assert_eq!(paths(&fixture.commit(shell("true"), 12)), Vec::<String>::new());
    assert_eq!(paths(&fixture.commit(shell("mkdir -p /run/x"), 13)), ["/", "/run", "/run/x"]);
}

/// Row 7-18.
fn working_directory(fixture: &Fixture) {
    let spec =
        RunSpec { working_directory: TreePath::from("a/b"), ..shell("readlink /proc/self/cwd; stat -c '%a %u:%g' .") };
    assert_eq!(fixture.run(spec.clone()).expect("runs").output, "/a/b\n755 0:0\n");
    assert_eq!(paths(&fixture.commit(spec, 14)), ["/", "/a", "/a/b"]);
}

/// Row 7-18.
fn own_working_directory(fixture: &Fixture) {
    let spec = RunSpec {
        working_directory: TreePath::from("w/x"),
        user: "ann".to_owned(),
        ..shell("stat -c '%a %u:%g' . ..")
    };
    assert_eq!(fixture.run(spec).expect("runs").output, "755 1000:1000\n755 1000:1000\n");
}

fn failing(fixture: &Fixture) {
    let spec = RunSpec { result: builder::sandbox::spec::RunResult::Commit(layer(15)), ..shell("touch /x; exit 4") };
    assert_eq!(fixture.run(spec).expect("runs").exit, Exit::Status(4));
    let gone = fixture.run(RunSpec { stack: vec![layer(15)], ..shell("true") });
    assert_eq!(gone, Err(WorkerError::NoLayer(layer(15))));
    let left = || std::fs::read_dir(fixture.store.path().join("tmp")).expect("read").collect::<Vec<_>>();
    // It is taken away after the answer.
    let start = Instant::now();
    while !left().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", left());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn reading(fixture: &Fixture) {
    fixture.commit(shell("echo text > /root/file"), 16);
    let cancel = Cancel::new().expect("a cancel");
    assert_eq!(fixture.worker.check(layer(16), &cancel), Ok(vec![]));
    let files = vec![(layer(16), TreePath::from("root/file")); 300];
    let mut opened = fixture.worker.open_files(files, &cancel).expect("opened");
    let mut text = String::new();
    opened.remove(299).read_to_string(&mut text).expect("read");
    assert_eq!((text.as_str(), opened.len()), ("text\n", 299));
    let file = tempfile::tempfile().expect("a file");
    let (diff_id, size) = fixture.worker.write_tar(layer(16), file.as_fd(), &cancel).expect("written");
    assert_eq!(file.metadata().expect("stat").len(), size);
    let again = tempfile::tempfile().expect("a file");
    assert_eq!(fixture.worker.write_tar(layer(16), again.as_fd(), &cancel), Ok((diff_id, size)));
}

fn cancel(fixture: &Fixture) {
    let cancel = Cancel::new().expect("a cancel");
    let began = Instant::now();
    let result = std::thread::scope(|scope| {
        let run = scope.spawn(|| fixture.worker.run(shell("sleep 600 & sleep 600"), &[], &mut |_, _| {}, &cancel));
        std::thread::sleep(Duration::from_millis(200));
        cancel.cancel();
        run.join().expect("joined")
    });
    assert_eq!(result, Err(WorkerError::Cancelled));
    assert!(began.elapsed() < Duration::from_secs(60), "a killed command is not waited for");
}

fn streaming(fixture: &Fixture) {
    let cancel = Cancel::new().expect("a cancel");
    let mut pieces = Vec::new();
    // The command waits for a file that appears only once its first line was seen here.
    let script = "echo first; while test ! -e /c/go; do sleep 0.02; done; echo second >&2";
    let kind = |readonly| builder::sandbox::spec::MountSource::Cache {
        id: "stream".to_owned(),
        sharing: builder::plan::op::Sharing::Shared,
        readonly,
        seed: None,
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    let with_cache = |script: &str, readonly| RunSpec {
        mounts: vec![builder::sandbox::spec::MountSpec { target: TreePath::from("c"), kind: kind(readonly) }],
        ..shell(script)
    };
    let mut take = |stream: Stream, bytes: std::sync::Arc<Vec<u8>>| {
        if pieces.is_empty() {
            fixture.run(with_cache("touch /c/go", false)).expect("runs");
        }
        pieces.push((stream, bytes.to_vec()));
    };
    let exit = fixture.worker.run(with_cache(script, true), &[], &mut take, &cancel);
    assert_eq!(exit, Ok(Exit::Status(0)));
    assert_eq!(pieces, [(Stream::Stdout, b"first\n".to_vec()), (Stream::Stderr, b"second\n".to_vec())]);
}

fn worker_end(fixture: &Fixture) {
    let other = start(fixture.store.path());
    let cancel = Cancel::new().expect("a cancel");
    let marker = format!("6{}", std::process::id());
    let script = format!("sleep {marker}");
    let result = std::thread::scope(|scope| {
        let run = scope.spawn(|| other.run(shell(&script), &[], &mut |_, _| {}, &cancel));
        wait_until(|| running(&marker));
        let worker = children_named("lbuild-worker");
        for process in worker {
            if process_tree_has(process, &marker) {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), nix::sys::signal::Signal::SIGKILL)
                    .expect("killed");
            }
        }
        run.join().expect("joined")
    });
    assert!(matches!(result, Err(WorkerError::Lost(_))), "{result:?}");
    wait_until(|| !running(&marker));
}

fn leftovers(fixture: &Fixture) {
    let marker = format!("7{}", std::process::id());
    let outcome = fixture.shell(&format!("(sleep {marker} > /dev/null 2>&1 &); exit 0"));
    assert_eq!(outcome.exit, Exit::Status(0));
    assert!(!running(&marker));
}

fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn processes() -> Vec<(i32, i32, String)> {
    let entries = std::fs::read_dir("/proc").expect("read").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    let read = |pid: i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?.replace('\0', " ");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
        Some((pid, parent, line))
    };
    pids.filter_map(read).collect()
}

fn running(marker: &str) -> bool {
    processes().iter().any(|(_, _, line)| line.trim_end() == format!("sleep {marker}"))
}

fn children_named(name: &str) -> Vec<i32> {
    let own = std::process::id() as i32;
    processes()
        .iter()
        .filter(|(_, parent, line)| *parent == own && line.starts_with(name))
        .map(|found| found.0)
        .collect()
}

fn process_tree_has(top: i32, marker: &str) -> bool {
    let all = processes();
    let mut at = all.iter().find(|(_, _, line)| line.trim_end() == format!("sleep {marker}"));
    while let Some((pid, parent, _)) = at {
        if *pid == top {
            return true;
        }
        at = all.iter().find(|(other, _, _)| other == parent);
    }
    false
}
