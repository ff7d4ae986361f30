//! [`Runner`]: one RUN from stack to layer: mounts prepared, helper started, output passed on, changes committed.

use crate::channel::{Channel, ChannelError};
use crate::sandbox::error::SandboxError;
use crate::sandbox::message::{Instructions, Report, TierFacts, UserMount, UserMountSource};
use crate::sandbox::spec::{MountSource, MountSpec, RunResult, RunSpec};
use crate::worker::cache_mounts::{CacheMounts, Held, Wanted};
use crate::worker::call::Call;
use crate::worker::error::WorkerError;
use crate::worker::layers::Layers;
use crate::worker::program::Program;
use crate::worker::protocol::{Exit, Reply};
use layerfs::io_error::{IoContext, IoError};
use layerfs::layer::LayerKey;
use layerfs::mount::{Active, Mounter, probe};
use layerfs::path::TreePath;
use layerfs::rootdir::RootDir;
use layerfs::stack::Stack;
use layerfs::sys::process;
use layerfs::trace::Phase;
use rustix::event::{PollFd, PollFlags};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Runs commands.
#[derive(Debug)]
pub(super) struct Runner {
    temporary: PathBuf,
    caches: CacheMounts,
    tier: TierFacts,
    program: Program,
    mounter: Mutex<Option<Arc<dyn Mounter>>>,
    kept: Mutex<HashMap<LayerKey, Kept>>,
}

/// What a command that failed left: its file system as it was, with everything around it. Dropped in this order.
#[derive(Debug)]
struct Kept {
    prepared: Prepared,
    /// How often it was entered.
    entered: usize,
    scratch: Scratch,
}

/// A directory for what one run needs on disk; deleted when dropped.
#[derive(Debug)]
struct Scratch {
    parent: PathBuf,
    name: String,
}

impl Scratch {
    fn new(parent: &Path) -> Result<Self, IoError> {
        let made = tempfile::Builder::new().prefix("run-").tempdir_in(parent).at("make directory in", parent)?;
        let path = made.keep();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { parent: parent.to_owned(), name })
    }

    fn path(&self) -> PathBuf {
        self.parent.join(&self.name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let name = TreePath::from(self.name.as_str());
        if RootDir::open(&self.parent).and_then(|parent| parent.remove_tree(&name)).is_err() {
            // What is left lies below `tmp/`, where the next gc looks for it.
        }
    }
}

/// A run with everything prepared.
#[derive(Debug)]
struct Prepared {
    root: Active,
    below: Stack,
    instructions: Instructions,
    /// Cache mounts stay taken until the command has ended.
    _held: Vec<Held>,
}

impl Runner {
    /// Returns the runner of the store `store` for the id map `map`.
    pub(super) fn new(store: &Path, map: &str, tier: TierFacts, program: Program) -> Self {
        let caches = CacheMounts::new(store, map);
        Self { temporary: store.join("tmp"), caches, tier, program, mounter: Mutex::default(), kept: Mutex::default() }
    }

    /// Runs a command and, if it ends with 0 and is to be kept, makes its changes a layer.
    pub(super) fn run(
        &self,
        call: &Call,
        layers: &Layers,
        spec: &RunSpec,
        mut secrets: Vec<OwnedFd>,
    ) -> Result<Exit, WorkerError> {
        let terminal = if spec.terminal { secrets.pop() } else { None };
        let scratch = Scratch::new(&self.temporary)?;
        let mounter = self.mounter(layers)?;
        let command = || spec.arguments.join(" ");
        let mounting = call.begin(Phase::Mounting, command);
        let prepared = self.prepare(call, layers, spec, &*mounter, &scratch.path())?;
        drop(mounting);
        let exit = self.execute(call, &prepared.instructions, secrets, terminal)?;
        match (exit, spec.result) {
            (Exit::Status(0), RunResult::Commit(key)) => {
                call.check()?;
                let _diffing = call.begin(Phase::Diffing, command);
                commit(&*mounter, layers, prepared, key)?;
            }
            (_, RunResult::Commit(key)) if spec.keep_failed => {
                self.lock_kept().insert(key, Kept { prepared, entered: 0, scratch });
            }
            _ => {}
        }
        Ok(exit)
    }

    /// Runs a command on a terminal in what a failed one left; the terminal is the last of the descriptors.
    pub(super) fn enter(
        &self,
        call: &Call,
        key: LayerKey,
        arguments: Vec<String>,
        mut secrets: Vec<OwnedFd>,
    ) -> Result<Exit, WorkerError> {
        let terminal = secrets.pop();
        let mut kept = self.lock_kept().remove(&key).ok_or(WorkerError::NoLayer(key))?;
        kept.entered += 1;
        // Where the file systems were seen the last time, their empty places are left.
        let hidden = kept.scratch.path().join(format!("hidden{}", kept.entered));
        std::fs::create_dir(&hidden).at("make", &hidden)?;
        let own = kept.prepared.instructions.clone();
        let mounts = without_sockets(own.mounts);
        let instructions = Instructions { hidden, arguments, mounts, terminal: true, ..own };
        renew(&instructions)?;
        let exit = self.execute(call, &instructions, secrets, terminal);
        self.lock_kept().insert(key, kept);
        exit
    }

    /// Makes a layer of what a failed command changed; it cannot be entered after that.
    pub(super) fn commit_failed(&self, layers: &Layers, key: LayerKey) -> Result<(), WorkerError> {
        let kept = self.lock_kept().remove(&key).ok_or(WorkerError::NoLayer(key))?;
        commit(&*self.mounter(layers)?, layers, kept.prepared, key)
    }

    fn lock_kept(&self) -> MutexGuard<'_, HashMap<LayerKey, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the mounter, chosen at the first run.
    fn mounter(&self, layers: &Layers) -> Result<Arc<dyn Mounter>, WorkerError> {
        let mut mounter = self.mounter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mounter) = &*mounter {
            return Ok(Arc::clone(mounter));
        }
        let chosen: Arc<dyn Mounter> = probe(layers.root())?.into();
        *mounter = Some(Arc::clone(&chosen));
        Ok(chosen)
    }

    fn prepare(
        &self,
        call: &Call,
        layers: &Layers,
        spec: &RunSpec,
        mounter: &dyn Mounter,
        scratch: &Path,
    ) -> Result<Prepared, WorkerError> {
        let (names, below) = layers.stack(&spec.stack)?;
        let root = mounter.prepare(&names, &below, &scratch.join("root"))?;
        let held = self.take_caches(call, layers, spec, scratch)?;
        let mut mounts = Vec::with_capacity(spec.mounts.len());
        for (number, mount) in spec.mounts.iter().enumerate() {
            let cache = held.iter().find(|(numbers, _)| numbers.contains(&number)).map(|(_, held)| held.path.as_path());
            let source = user_source(mount, number, cache, layers, mounter, scratch)?;
            mounts.push(UserMount { target: mount.target.clone(), source });
        }
        let hidden = scratch.join("hidden");
        std::fs::create_dir(&hidden).at("make", &hidden)?;
        let instructions = self.instructions(spec, &root, hidden, mounts);
        let _held = held.into_iter().map(|(_, held)| held).collect();
        Ok(Prepared { root, below, instructions, _held })
    }

    fn instructions(&self, spec: &RunSpec, root: &Active, hidden: PathBuf, mounts: Vec<UserMount>) -> Instructions {
        Instructions {
            root: root.instructions.clone(),
            hidden,
            arguments: spec.arguments.clone(),
            environment: spec.environment.clone(),
            working_directory: spec.working_directory.clone(),
            user: spec.user.clone(),
            network: spec.network,
            insecure: spec.insecure,
            host_name: spec.host_name.clone(),
            extra_hosts: spec.extra_hosts.clone(),
            limits: spec.limits.clone(),
            mounts,
            script: spec.script.clone(),
            tier: self.tier,
            terminal: spec.terminal,
        }
    }

    /// Takes the cache mounts, in the order of their ids, so that no two commands wait for each other; returns each with
    /// the numbers of its mounts. An id that is mounted twice is taken once: nobody can wait for a lock of their own.
    fn take_caches(
        &self,
        call: &Call,
        layers: &Layers,
        spec: &RunSpec,
        scratch: &Path,
    ) -> Result<Vec<(Vec<usize>, Held)>, WorkerError> {
        let mut wanted: BTreeMap<&str, (Vec<usize>, Wanted<'_>)> = BTreeMap::new();
        for (number, mount) in spec.mounts.iter().enumerate() {
            if let MountSource::Cache { id, sharing, seed, mode, uid, gid, .. } = &mount.kind {
                let seed = seed.as_ref();
                let cache = Wanted { id, sharing: *sharing, seed, mode: *mode, owner: (*uid, *gid) };
                wanted.entry(id).or_insert_with(|| (Vec::new(), cache)).0.push(number);
            }
        }
        let take = |(numbers, wanted)| Ok((numbers, self.caches.take(call, layers, wanted, scratch)?));
        wanted.into_values().map(take).collect()
    }

    /// Starts the helper and waits until the command has ended. What it writes, the front reads; with a terminal, it speaks
    /// for itself.
    fn execute(
        &self,
        call: &Call,
        instructions: &Instructions,
        secrets: Vec<OwnedFd>,
        terminal: Option<OwnedFd>,
    ) -> Result<Exit, WorkerError> {
        let mut running = call.begin(Phase::Running, || instructions.arguments.join(" "));
        let (channel, far) = Channel::pair()?;
        let mut command = self.program.helper();
        command.stdin(Stdio::from(far.into_socket()));
        connect(call, &mut command, terminal)?;
        let helper = command.spawn().at("start", "sandbox helper")?;
        // It holds the far ends, whose end must be the helper's.
        drop(command);
        let secrets_borrowed: Vec<BorrowedFd<'_>> = secrets.iter().map(AsFd::as_fd).collect();
        let sent = channel.send(instructions, &secrets_borrowed);
        drop(secrets);
        let report = sent.map_err(WorkerError::from).and_then(|()| report(call, &channel));
        running.cpu(finish(&channel, &helper)?);
        match report? {
            Report::Status(status) => Ok(Exit::Status(status)),
            Report::Signal(signal) => Ok(Exit::Signal(signal)),
            Report::Failed(error) => Err(error.into()),
        }
    }
}

/// Connects what a command writes with the front, or with its terminal.
fn connect(call: &Call, command: &mut Command, terminal: Option<OwnedFd>) -> Result<(), WorkerError> {
    if let Some(terminal) = terminal {
        let other = terminal.try_clone().at("copy", "terminal")?;
        command.stdout(terminal).stderr(other);
        return Ok(());
    }
    let (output, output_end) = std::io::pipe().at("make", "pipe")?;
    let (errors, errors_end) = std::io::pipe().at("make", "pipe")?;
    command.stdout(output_end).stderr(errors_end);
    call.reply(&Reply::Streams, &[output.as_fd(), errors.as_fd()])
}

/// Returns mounts without the doors to agents, which were closed with the command, the secrets numbered as they are then.
fn without_sockets(mut mounts: Vec<UserMount>) -> Vec<UserMount> {
    let socket = |mount: &UserMount| match mount.source {
        UserMountSource::Socket { descriptor, .. } => Some(descriptor),
        _ => None,
    };
    let closed: Vec<usize> = mounts.iter().filter_map(socket).collect();
    mounts.retain(|mount| socket(mount).is_none());
    for mount in &mut mounts {
        if let UserMountSource::Secret { descriptor, .. } = &mut mount.source {
            *descriptor -= closed.iter().filter(|closed| *closed < &*descriptor).count();
        }
    }
    mounts
}

/// Makes every file system of a command ready to be mounted once more.
fn renew(instructions: &Instructions) -> Result<(), WorkerError> {
    instructions.root.renew()?;
    for mount in &instructions.mounts {
        if let UserMountSource::Tree { instructions, .. } = &mount.source {
            instructions.renew()?;
        }
    }
    Ok(())
}

/// Makes a layer of what changed.
fn commit(mounter: &dyn Mounter, layers: &Layers, prepared: Prepared, key: LayerKey) -> Result<(), WorkerError> {
    let name = layers.fresh_name();
    let index = mounter.commit(prepared.root, &prepared.below, &layers.root().join(&name))?;
    layers.publish(&name, &key, index)
}

/// Lets the helper end, and takes leave of it: only then has it taken its mount points away. Returns the CPU time of the
/// helper and all that it waited for.
fn finish(channel: &Channel, helper: &Child) -> Result<Duration, WorkerError> {
    channel.finish_sending();
    Ok(process::wait_for_cpu(helper.id()).at("wait for", "sandbox helper")?)
}

fn user_source(
    mount: &MountSpec,
    number: usize,
    cache: Option<&Path>,
    layers: &Layers,
    mounter: &dyn Mounter,
    scratch: &Path,
) -> Result<UserMountSource, WorkerError> {
    Ok(match &mount.kind {
        MountSource::Tree { stack, source, writable } => {
            let (names, below) = layers.stack(stack)?;
            let active = mounter.prepare(&names, &below, &scratch.join(format!("tree{number}")))?;
            UserMountSource::Tree { instructions: active.instructions, source: source.clone(), writable: *writable }
        }
        MountSource::Cache { readonly, .. } => {
            let path = cache.expect("every cache mount was taken").to_owned();
            UserMountSource::Directory { path, readonly: *readonly }
        }
        MountSource::Tmpfs { size } => UserMountSource::Tmpfs { size: *size },
        MountSource::Secret { descriptor, mode, uid, gid } => {
            UserMountSource::Secret { descriptor: *descriptor, mode: *mode, uid: *uid, gid: *gid }
        }
        MountSource::Socket { descriptor, mode, uid, gid } => {
            UserMountSource::Socket { descriptor: *descriptor, mode: *mode, uid: *uid, gid: *gid }
        }
    })
}

/// Waits for the helper's report, or for the front to end the call.
fn report(call: &Call, helper: &Channel) -> Result<Report, WorkerError> {
    let mut watched = [
        PollFd::from_borrowed_fd(call.channel().as_fd(), PollFlags::RDHUP),
        PollFd::from_borrowed_fd(helper.as_fd(), PollFlags::IN),
    ];
    while let Err(errno) = rustix::event::poll(&mut watched, None) {
        if errno != rustix::io::Errno::INTR {
            return Err(IoError::new("watch", "the command", &errno.into()).into());
        }
    }
    if !watched[0].revents().is_empty() {
        return Err(WorkerError::Cancelled);
    }
    match helper.receive::<Report>() {
        Ok((report, _)) => Ok(report),
        Err(ChannelError::Closed) => Err(SandboxError::Lost.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_keep_their_place_when_doors_are_closed() {
        let (mode, uid, gid) = (0o400, 0, 0);
        let mount = |target: &str, source| UserMount { target: TreePath::from(target), source };
        let secret = |descriptor| UserMountSource::Secret { descriptor, mode, uid, gid };
        let socket = |descriptor| UserMountSource::Socket { descriptor, mode, uid, gid };
        let mounts = vec![
            mount("a", socket(0)),
            mount("b", secret(1)),
            mount("c", UserMountSource::Tmpfs { size: None }),
            mount("d", socket(2)),
            mount("e", secret(3)),
        ];
        let left: Vec<(String, Option<usize>)> = without_sockets(mounts)
            .into_iter()
            .map(|mount| match mount.source {
                UserMountSource::Secret { descriptor, .. } => (mount.target.to_string(), Some(descriptor)),
                _ => (mount.target.to_string(), None),
            })
            .collect();
        assert_eq!(left, [("/b".into(), Some(0)), ("/c".into(), None), ("/e".into(), Some(1))]);
    }
}
