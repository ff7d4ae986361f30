//! [`Runner`]: one RUN from stack to layer: mounts prepared, helper started, output passed on, changes committed.

use crate::channel::{Channel, ChannelError};
use crate::sandbox::error::SandboxError;
use crate::sandbox::message::{Instructions, Report, TierFacts, UserMount, UserMountSource};
use crate::sandbox::spec::{MountSource, MountSpec, RunResult, RunSpec};
use crate::worker::cache_mounts::{CacheMounts, Held, Wanted};
use crate::worker::call::Call;
use crate::worker::error::WorkerError;
use crate::worker::helpers::Helpers;
use crate::worker::layers::Layers;
use crate::worker::milestones::Milestones;
use crate::worker::program::Program;
use crate::worker::protocol::{Exit, Reply};
use crate::worker::scratch::Scratch;
use layerfs::io_error::{IoContext, IoError};
use layerfs::layer::LayerKey;
use layerfs::mount::{Active, Mounter, probe};
use layerfs::stack::Stack;
use layerfs::trace::Phase;
use rustix::event::{PollFd, PollFlags};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Runs commands.
#[derive(Debug)]
pub(super) struct Runner {
    temporary: PathBuf,
    caches: CacheMounts,
    tier: TierFacts,
    helpers: Helpers,
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
        Self {
            temporary: store.join("tmp"),
            caches: CacheMounts::new(store, map),
            tier,
            helpers: Helpers::new(program),
            mounter: Mutex::default(),
            kept: Mutex::default(),
        }
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
        let exit = self.execute(call, &prepared.instructions, secrets, terminal, || {
            // A command of a build is seldom the last.
            if matches!(spec.result, RunResult::Commit(_)) {
                self.helpers.make_ready();
            }
        })?;
        match (exit, spec.result) {
            (Exit::Status(0), RunResult::Commit(key)) => {
                call.check()?;
                let _diffing = call.begin(Phase::Diffing, command);
                commit(&*mounter, layers, prepared, key)?;
            }
            (_, RunResult::Commit(key)) if spec.keep_failed => {
                self.lock_kept().insert(key, Kept { prepared, entered: 0, scratch });
                return Ok(exit);
            }
            _ => {}
        }
        call.leave(scratch);
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
        let exit = self.execute(call, &instructions, secrets, terminal, || ());
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
        let instructions = self.instructions(spec, &root, hidden, mounts, call.is_traced());
        let _held = held.into_iter().map(|(_, held)| held).collect();
        Ok(Prepared { root, below, instructions, _held })
    }

    fn instructions(
        &self,
        spec: &RunSpec,
        root: &Active,
        hidden: PathBuf,
        mounts: Vec<UserMount>,
        timed: bool,
    ) -> Instructions {
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
            timed,
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

    /// Tells a helper what to do, does something `meanwhile`, and waits until the command has ended. What it writes, the front
    /// reads; with a terminal, it speaks for itself.
    fn execute(
        &self,
        call: &Call,
        instructions: &Instructions,
        secrets: Vec<OwnedFd>,
        terminal: Option<OwnedFd>,
        meanwhile: impl FnOnce(),
    ) -> Result<Exit, WorkerError> {
        let mut running = call.begin(Phase::Running, || instructions.arguments.join(" "));
        let mut milestones = Milestones::new(call);
        let mut descriptors = streams(call, terminal)?;
        descriptors.extend(secrets);
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let helper = self.helpers.instruct(instructions, &borrowed)?;
        // The helper holds the far ends of the streams, whose end must be its own.
        drop(descriptors);
        meanwhile();
        let exit = exit(call, helper.channel(), &mut milestones);
        running.cpu(helper.finish()?);
        milestones.end();
        exit
    }
}

/// Returns standard output and error of a command, connected with the front or with its terminal.
fn streams(call: &Call, terminal: Option<OwnedFd>) -> Result<Vec<OwnedFd>, WorkerError> {
    if let Some(terminal) = terminal {
        let other = terminal.try_clone().at("copy", "terminal")?;
        return Ok(vec![terminal, other]);
    }
    let (output, output_end) = std::io::pipe().at("make", "pipe")?;
    let (errors, errors_end) = std::io::pipe().at("make", "pipe")?;
    call.reply(&Reply::Streams, &[output.as_fd(), errors.as_fd()])?;
    Ok(vec![output_end.into(), errors_end.into()])
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

/// Waits until the helper says how the command ended, or for the front to end the call.
fn exit(call: &Call, helper: &Channel, milestones: &mut Milestones<'_>) -> Result<Exit, WorkerError> {
    loop {
        match report(call, helper)? {
            Report::Reached(milestone, at) => milestones.reached(milestone, at),
            Report::Status(status) => return Ok(Exit::Status(status)),
            Report::Signal(signal) => return Ok(Exit::Signal(signal)),
            Report::Failed(error) => return Err(error.into()),
        }
    }
}

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
    use layerfs::path::TreePath;

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
