//! A store with one layer, busybox and accounts, and a worker on it.

use builder::plan::op::Network;
use builder::progress::Stream;
use builder::sandbox::spec::{RunResult, RunSpec};
use builder::worker::id_map::{Caller, IdMap};
use builder::worker::protocol::Exit;
use builder::worker::{Worker, WorkerError, WorkerOptions};
use layerfs::cancel::Cancel;
use layerfs::index::LayerIndex;
use layerfs::indexes::IndexStore;
use layerfs::layer::{ExecutionId, LayerKey};
use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::tar::TarWriter;
use layerfs::trace::Trace;
use std::fs::File;
use std::io::Seek;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

const BUSYBOX: &str = "/bin/busybox";
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
const GROUP: &str = "root:x:0:\nwheel:x:10:root,ann\nann:x:1000:\n";

/// The one layer below everything.
pub const BASE: LayerKey = LayerKey::Execution(ExecutionId([1; 16]));

pub struct Fixture {
    pub worker: Worker,
    pub store: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub exit: Exit,
    pub output: String,
    pub errors: String,
}

impl Fixture {
    pub fn new() -> Self {
        let store = tempfile::tempdir().expect("a store");
        for directory in ["layers", "index", "tmp", "mounts"] {
            std::fs::create_dir(store.path().join(directory)).expect("a directory of the store");
        }
        let worker = start(store.path());
        let tar = base();
        worker.unpack_as(tar.as_fd(), BASE, &Cancel::new().expect("a cancel")).expect("the base is unpacked");
        Self { worker, store }
    }

    pub fn is_single(&self) -> bool {
        self.worker.id_map().is_single()
    }

    /// Runs `sh -c script` on the base, changes thrown away.
    pub fn shell(&self, script: &str) -> Outcome {
        self.run(shell(script)).expect("the command runs")
    }

    /// Runs `sh -c script` and returns what it wrote; it must end with 0.
    pub fn output(&self, script: &str) -> String {
        let outcome = self.shell(script);
        assert_eq!(outcome.exit, Exit::Status(0), "{script}: {outcome:?}");
        outcome.output
    }

    pub fn run(&self, spec: RunSpec) -> Result<Outcome, WorkerError> {
        self.run_with(spec, &[])
    }

    pub fn run_with(&self, spec: RunSpec, secrets: &[BorrowedFd<'_>]) -> Result<Outcome, WorkerError> {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut take = |stream, bytes: Arc<Vec<u8>>| match stream {
            Stream::Stdout => output.extend_from_slice(&bytes),
            Stream::Stderr => errors.extend_from_slice(&bytes),
        };
        let exit = self.worker.run(spec, secrets, &mut take, &Cancel::new().expect("a cancel"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Outcome { exit, output: text(output), errors: text(errors) })
    }

    /// Runs `script` on `stack` and keeps its changes as `number`; returns the layer's index.
    pub fn commit(&self, spec: RunSpec, number: u8) -> Arc<LayerIndex> {
        let key = layer(number);
        let outcome = self.run(RunSpec { result: RunResult::Commit(key), ..spec }).expect("the command runs");
        assert_eq!(outcome.exit, Exit::Status(0), "{outcome:?}");
        let indexes = IndexStore::new(&self.store.path().join("index"), &self.store.path().join("tmp"));
        indexes.get(&key).expect("the index is read").expect("the layer has an index")
    }
}

pub fn start(store: &Path) -> Worker {
    let id_map = IdMap::detect(&Caller::read(None));
    Worker::start(store, WorkerOptions { id_map, trace: Trace::default() }).expect("the worker starts")
}

pub fn layer(number: u8) -> LayerKey {
    LayerKey::Execution(ExecutionId([number; 16]))
}

/// Returns the spec of `sh -c script` on the base.
pub fn shell(script: &str) -> RunSpec {
    RunSpec {
        stack: vec![BASE],
        arguments: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        working_directory: TreePath::root(),
        user: String::new(),
        network: Network::Host,
        insecure: false,
        host_name: "buildkitsandbox".to_owned(),
        extra_hosts: Vec::new(),
        limits: builder::sandbox::limits::RunLimits::default(),
        mounts: Vec::new(),
        script: None,
        result: RunResult::Discard,
        keep_failed: false,
        terminal: false,
    }
}

fn metadata(kind: Kind, mode: u32) -> Metadata {
    Metadata { kind, mode, uid: 0, gid: 0, mtime: Timestamp::from_seconds(1_000_000), xattrs: Xattrs::new() }
}

/// Returns the base layer's tar: busybox, its shell and tools as links, accounts.
fn base() -> File {
    let mut tar = TarWriter::new(tempfile::tempfile().expect("a file"));
    let directory = metadata(Kind::Directory, 0o755);
    let mut empty: &[u8] = &[];
    for path in ["bin", "etc", "home", "home/ann", "root", "tmp", "usr", "usr/bin"] {
        tar.inode(&TreePath::from(path), &directory, &mut empty).expect("written");
    }
    for (path, text) in [("etc/group", GROUP), ("etc/passwd", PASSWD)] {
        add_file(&mut tar, path, text.as_bytes(), 0o644);
    }
    add_file(&mut tar, "bin/busybox", &std::fs::read(BUSYBOX).expect("busybox-static is installed"), 0o755);
    add_file(&mut tar, "bin/su", &std::fs::read(BUSYBOX).expect("busybox-static is installed"), 0o4755);
    add_file(&mut tar, "bin/denied", b"x", 0o644);
    add_file(&mut tar, "bin/nonsense", b"\0\0\0\0", 0o755);
    for name in [
        "cat", "chmod", "env", "grep", "head", "hostname", "id", "kill", "ls", "mkdir", "mknod", "mount", "ps",
        "readlink", "rm", "sed", "sh", "sleep", "stat", "touch", "true", "umount", "wc", "yes", "ip", "sort", "chown",
        "dd",
    ] {
        let link = metadata(Kind::Symlink { target: b"busybox"[..].into() }, 0o777);
        tar.inode(&TreePath::from(format!("bin/{name}").as_str()), &link, &mut empty).expect("written");
    }
    let mut file = tar.finish().expect("the tar is written");
    file.rewind().expect("rewound");
    file
}

fn add_file(tar: &mut TarWriter<File>, path: &str, bytes: &[u8], mode: u32) {
    let metadata = metadata(Kind::File { size: bytes.len() as u64 }, mode);
    let mut content = bytes;
    tar.inode(&TreePath::from(path), &metadata, &mut content).expect("written");
}
