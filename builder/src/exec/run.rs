//! RUN: from the plan's op to what the sandbox is told, and what comes of it.

use crate::dockerfile::suggest::nearest;
use crate::error::StepError;
use crate::exec::FailedRun;
use crate::exec::agent::Door;
use crate::exec::copy::TreeOf;
use crate::exec::step::StepRun;
use crate::plan::op::{From, MountKind, MountOp, RunOp};
use crate::progress::Event;
use crate::request::SecretSource;
use crate::sandbox::spec::{MountSource, MountSpec, RunResult, RunSpec};
use crate::worker::protocol::Exit;
use layerfs::io_error::IoContext;
use layerfs::layer::LayerKey;
use layerfs::path::TreePath;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};

impl StepRun<'_> {
    /// Runs a command; its layer is then kept under `key`.
    pub(super) fn run(&self, op: &RunOp, key: LayerKey) -> Result<(), StepError> {
        self.session.tell_before_commands();
        let mut secrets = Handed::default();
        let mut environment = op.environment.clone();
        environment.extend(op.proxies.iter().cloned());
        let mut mounts = Vec::new();
        let public = op.environment.len();
        for mount in &op.mounts {
            mounts.extend(self.mount(mount, &mut secrets, &mut environment)?);
        }
        let keep_failed = self.session.build.settings.keep_failed;
        let spec = RunSpec {
            stack: self.session.build.shelf.directories(&self.state.stack)?,
            arguments: op.arguments.clone(),
            environment,
            working_directory: op.working_directory.clone(),
            user: op.user.clone(),
            network: op.network,
            insecure: op.insecure,
            host_name: op.host_name.clone(),
            extra_hosts: op.extra_hosts.clone(),
            limits: self.session.build.settings.limits.clone(),
            mounts,
            script: op.script.clone(),
            result: RunResult::Commit(key),
            keep_failed,
            terminal: false,
        };
        let kept = keep_failed.then(|| spec.clone());
        let result = self.hand_over(spec, &secrets);
        if let (Some(mut spec), Err(StepError::Command { .. })) = (kept, &result) {
            let (id, stack) = (self.id, self.state.stack.clone());
            let is_socket = |mount: &&MountSpec| matches!(mount.kind, MountSource::Socket { .. });
            let agents = spec.mounts.iter().filter(is_socket).map(|mount| mount.target.clone()).collect();
            let secrets = secrets.without_doors(&mut spec.mounts);
            self.session.note_failed(FailedRun { id, key, spec, public, stack, secrets, agents });
        }
        result
    }

    fn hand_over(&self, spec: RunSpec, secrets: &Handed) -> Result<(), StepError> {
        let step = self.id;
        let command = spec.arguments.join(" ");
        let sink = self.session.build.sink;
        let mut output = |stream, bytes| sink.event(Event::Output { step, stream, bytes });
        let descriptors: Vec<_> = secrets.0.iter().map(|handed| handed.as_fd()).collect();
        let exit = self.session.build.worker.get()?.run(spec, &descriptors, &mut output, self.session.build.cancel)?;
        if self.session.build.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        match exit {
            Exit::Status(0) => Ok(()),
            _ => Err(StepError::Command { command, exit, one_id: self.session.build.worker.one_id_help() }),
        }
    }

    /// Returns what the sandbox is told of a mount; nothing for a secret or an agent that is optional and was not given.
    fn mount(
        &self,
        mount: &MountOp,
        secrets: &mut Handed,
        environment: &mut Vec<(String, String)>,
    ) -> Result<Option<MountSpec>, StepError> {
        let kind = match &mount.kind {
            MountKind::Bind { from, source, writable } => {
                let (stack, source) = self.tree(from, source)?;
                MountSource::Tree { stack, source, writable: *writable }
            }
            MountKind::Cache { id, sharing, readonly, seed, mode, uid, gid } => MountSource::Cache {
                id: id.clone(),
                sharing: *sharing,
                readonly: *readonly,
                seed: seed.as_ref().map(|(from, source)| self.tree(from, source)).transpose()?,
                mode: *mode,
                uid: *uid,
                gid: *gid,
            },
            MountKind::Tmpfs { size } => MountSource::Tmpfs { size: *size },
            MountKind::Secret { id, environment: variable, file, required, mode, uid, gid } => {
                let Some(value) = self.secret(id, *required)? else {
                    environment.extend(variable.clone().map(|name| (name, String::new())));
                    return Ok(None);
                };
                if let Some(name) = variable {
                    let text =
                        String::from_utf8(value.clone()).map_err(|_| StepError::SecretNotText { id: id.clone() })?;
                    environment.push((name.clone(), text));
                }
                if !file {
                    return Ok(None);
                }
                MountSource::Secret { descriptor: secrets.add(&value)?, mode: *mode, uid: *uid, gid: *gid }
            }
            MountKind::Ssh { id, required, mode, uid, gid } => {
                let agents = &self.session.agents;
                let Some(door) = agents.door(id)? else {
                    let similar = nearest(id, agents.ids()).map(str::to_owned);
                    let missing = StepError::AgentMissing { id: id.clone(), similar };
                    return if *required { Err(missing) } else { Ok(None) };
                };
                secrets.0.push(HandedOver::Door(door));
                MountSource::Socket { descriptor: secrets.0.len() - 1, mode: *mode, uid: *uid, gid: *gid }
            }
        };
        Ok(Some(MountSpec { target: mount.target.clone(), kind }))
    }

    /// Returns the layers of a tree that a mount shows, with directories, and the path in it.
    fn tree(&self, from: &From, source: &TreePath) -> Result<(Vec<LayerKey>, TreePath), StepError> {
        match self.session.tree_of(from, source)? {
            TreeOf::Stack(stack) => Ok((self.session.build.shelf.directories(&stack)?, source.clone())),
            TreeOf::Copied(key) => Ok((vec![key], source.clone())),
            TreeOf::Empty => Ok((Vec::new(), source.clone())),
        }
    }

    fn missing(&self, id: &str) -> StepError {
        let given = self.session.build.settings.secrets.iter().map(|secret| secret.id.as_str());
        StepError::SecretMissing { id: id.to_owned(), similar: nearest(id, given).map(str::to_owned) }
    }

    /// Returns the bytes of a secret; they live in this process until the mount is handed over.
    fn secret(&self, id: &str, required: bool) -> Result<Option<Vec<u8>>, StepError> {
        let Some(secret) = self.session.build.settings.secrets.iter().find(|secret| secret.id == id) else {
            return if required { Err(self.missing(id)) } else { Ok(None) };
        };
        let value = match &secret.source {
            SecretSource::Environment(value) => value.clone(),
            SecretSource::File(path) => {
                let mut value = Vec::new();
                let file = File::open(path).at("open secret", path)?;
                file.take(SecretSource::LIMIT + 1).read_to_end(&mut value).at("read secret", path)?;
                value
            }
        };
        if value.len() as u64 > SecretSource::LIMIT {
            return Err(StepError::SecretTooLarge { id: id.to_owned() });
        }
        Ok(Some(value))
    }
}

/// What is handed over to one command: secrets in memory files, doors to SSH agents.
#[derive(Default)]
struct Handed(Vec<HandedOver>);

enum HandedOver {
    Secret(File),
    Door(Door),
}

impl AsFd for HandedOver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Secret(file) => file.as_fd(),
            Self::Door(door) => door.as_fd(),
        }
    }
}

impl Handed {
    /// Adds a secret and returns its number.
    fn add(&mut self, value: &[u8]) -> Result<usize, StepError> {
        let fd = rustix::fs::memfd_create("secret", rustix::fs::MemfdFlags::CLOEXEC).at("create", "memfd")?;
        let mut file = File::from(fd);
        file.write_all(value).at("write", "memfd")?;
        file.rewind().at("rewind", "memfd")?;
        self.0.push(HandedOver::Secret(file));
        Ok(self.0.len() - 1)
    }

    /// Returns the secrets alone, and makes `mounts` agree: the doors to agents are closed once the command has ended.
    fn without_doors(self, mounts: &mut Vec<MountSpec>) -> Vec<File> {
        let is_secret = |handed: &&HandedOver| matches!(handed, HandedOver::Secret(_));
        mounts.retain(|mount| !matches!(mount.kind, MountSource::Socket { .. }));
        for mount in mounts {
            if let MountSource::Secret { descriptor, .. } = &mut mount.kind {
                *descriptor = self.0[..*descriptor].iter().filter(is_secret).count();
            }
        }
        let secrets = self.0.into_iter().filter_map(|handed| match handed {
            HandedOver::Secret(file) => Some(file),
            HandedOver::Door(_) => None,
        });
        secrets.collect()
    }
}
