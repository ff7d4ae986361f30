//! A failed step as a directory: what [`write()`] leaves, and [`open_bundle`] enters elsewhere.
//!
//! ```text
//! oci-layout, index.json, blobs/   an image: the layers below the step, and what the command changed before it failed
//! bundle.json                      environment, working directory, user, network, mounts
//! mounts/0-1.tar                   the second layer of what the first mount shows
//! ```
//!
//! Secrets and proxies are left out, cache mounts are empty.

use crate::attend::{FailedStep, shell_of};
use crate::bases::{Base, Bases};
use crate::error::StepError;
use crate::exec::{LazyWorker, Shelf};
use crate::plan::empty_config;
use crate::plan::op::{ExtraHost, Network, Script};
use crate::progress::{Event, ProgressSink, StepId};
use crate::sandbox::limits::RunLimits;
use crate::sandbox::spec::{MountSource, MountSpec, RunResult, RunSpec};
use crate::source::Span;
use crate::worker::id_map::{Caller, IdMap};
use crate::worker::protocol::Exit;
use layerfs::cancel::Cancel;
use layerfs::compress::Compression;
use layerfs::export::{ExportLayer, Exporter, FinishedImage, LayerCompression, OciDirectory};
use layerfs::io_error::{IoContext, IoError};
use layerfs::layer::{Layer, LayerKey};
use layerfs::meta::Timestamp;
use layerfs::path::{TreePath, is_plain_name};
use layerfs::platform::Platform;
use layerfs::source::{ImageSource, LayoutSource};
use layerfs::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The form of `bundle.json`.
const VERSION: u32 = 1;
const DESCRIPTION: &str = "bundle.json";
const MOUNTS: &str = "mounts";
/// Most bytes of a description.
const LIMIT: u64 = 64 << 20;

/// What `bundle.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Description {
    version: u32,
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    working_directory: String,
    user: String,
    network: Network,
    /// It ran without the sandbox's limits. Whoever enters it says whether it may again.
    #[serde(default)]
    insecure: bool,
    host_name: String,
    extra_hosts: Vec<ExtraHost>,
    limits: RunLimits,
    script: Option<Script>,
    mounts: Vec<Mount>,
    left_out: Vec<String>,
}

/// A mount of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mount {
    target: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Files: layers by their names in `mounts/`, the lowest first.
    Tree { layers: Vec<String>, source: String, writable: bool },
    /// Memory.
    Tmpfs { size: Option<u64> },
}

/// A bundle that can be entered.
#[derive(Debug)]
pub struct Bundle {
    directory: PathBuf,
    description: Description,
}

/// Writes a failed step into `directory`, and returns what was left out.
///
/// # Errors
/// [`StepError`]; what was written stays, without its description.
pub(crate) fn write(step: FailedStep<'_>, directory: &Path) -> Result<Vec<String>, StepError> {
    refuse_full(directory)?;
    step.worker.get()?.commit_failed(step.run.key, step.cancel)?;
    let image = image(&step)?;
    let compression = LayerCompression { form: Compression::Zstd, level: None, force: false };
    OciDirectory { path: directory.to_owned(), names: Vec::new(), compression }.export(&image, step.store)?;
    let mut left_out = step.left_out();
    let mounts = mounts(&step, &directory.join(MOUNTS), &mut left_out)?;
    let spec = &step.run.spec;
    if spec.environment.len() > step.run.public {
        left_out.push("proxies and secrets of the environment".to_owned());
    }
    if spec.insecure {
        left_out.push(
            "the rights of `--security=insecure`, which `lbuild shell --allow security.insecure` gives".to_owned(),
        );
    }
    let description = Description {
        version: VERSION,
        name: step.name,
        arguments: spec.arguments.clone(),
        environment: spec.environment[..step.run.public].to_vec(),
        working_directory: spec.working_directory.to_string(),
        user: spec.user.clone(),
        network: spec.network,
        insecure: spec.insecure,
        host_name: spec.host_name.clone(),
        extra_hosts: spec.extra_hosts.clone(),
        limits: spec.limits.clone(),
        script: spec.script.clone(),
        mounts,
        left_out: left_out.clone(),
    };
    let path = directory.join(DESCRIPTION);
    let text = serde_json::to_vec_pretty(&description).map_err(std::io::Error::from).at("print", &path)?;
    std::fs::write(&path, text).at("write", &path)?;
    Ok(left_out)
}

/// Refuses a directory that has something in it.
fn refuse_full(directory: &Path) -> Result<(), IoError> {
    match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(IoError::new("list", directory, &error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(IoError::new("write a bundle to", directory, &std::io::ErrorKind::DirectoryNotEmpty.into())),
        },
    }
}

/// Returns the image of what the command left.
fn image(step: &FailedStep<'_>) -> Result<FinishedImage, StepError> {
    // The build's own worker and shelf have been ended.
    let worker = LazyWorker::new(step.store.root(), step.map, step.cancel);
    let lease = step.store.lease()?;
    let directories = step.store.directories(&step.map.digest)?;
    let shelf = Shelf::new(step.store, directories, &worker, step.bases, &lease);
    let mut stack = step.run.stack.clone();
    if let LayerKey::Execution(execution) = step.run.key {
        stack.push(Layer::Built { execution, created: Timestamp::default() });
    }
    let layers: Vec<ExportLayer> = shelf.blobs(&stack, true)?;
    let mut config = empty_config(&Platform::host());
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    Ok(FinishedImage::new(config, layers, BTreeMap::new()))
}

fn mounts(step: &FailedStep<'_>, directory: &Path, left_out: &mut Vec<String>) -> Result<Vec<Mount>, StepError> {
    std::fs::create_dir_all(directory).at("make", directory)?;
    let mut mounts = Vec::new();
    for (number, mount) in step.run.spec.mounts.iter().enumerate() {
        let target = mount.target.to_string();
        let kind = match &mount.kind {
            MountSource::Tree { stack, source, writable } => {
                let layers = layers(step, directory, number, stack)?;
                Kind::Tree { layers, source: source.to_string(), writable: *writable }
            }
            MountSource::Tmpfs { size } => Kind::Tmpfs { size: *size },
            MountSource::Cache { id, .. } => {
                left_out.push(format!("what the cache mount `{id}` at `{target}` holds"));
                Kind::Tmpfs { size: None }
            }
            // A failed run keeps none: its doors are closed.
            MountSource::Socket { .. } => continue,
            MountSource::Secret { .. } => {
                left_out.push(format!("the secret at `{target}`"));
                continue;
            }
        };
        mounts.push(Mount { target, kind });
    }
    Ok(mounts)
}

/// Writes the layers of a mount, and returns the names of the files.
fn layers(step: &FailedStep<'_>, directory: &Path, mount: usize, stack: &[LayerKey]) -> Result<Vec<String>, StepError> {
    let mut names = Vec::with_capacity(stack.len());
    for (number, key) in stack.iter().enumerate() {
        let name = format!("{mount}-{number}.tar");
        let path = directory.join(&name);
        let file = File::create(&path).at("make", &path)?;
        step.worker.get()?.write_tar(*key, file.as_fd(), step.cancel)?;
        names.push(name);
    }
    Ok(names)
}

/// Opens a bundle.
///
/// # Errors
/// [`StepError::Bundle`] if it is none; the operating system's.
pub fn open_bundle(directory: &Path) -> Result<Bundle, StepError> {
    let path = directory.join(DESCRIPTION);
    let mut text = Vec::new();
    let file = File::open(&path).at("open bundle", &path)?;
    file.take(LIMIT).read_to_end(&mut text).at("read", &path)?;
    let wrong = |why: String| StepError::Bundle { path: path.clone(), why };
    let description: Description = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if description.version != VERSION {
        return Err(wrong(format!("it has version {}, this lbuild knows {VERSION}", description.version)));
    }
    let names = description.mounts.iter().flat_map(|mount| match &mount.kind {
        Kind::Tree { layers, .. } => layers.as_slice(),
        Kind::Tmpfs { .. } => &[],
    });
    if let Some(name) = names.into_iter().find(|name| !is_plain_name(name.as_bytes())) {
        return Err(wrong(format!("`{name}` is no file name")));
    }
    Ok(Bundle { directory: directory.to_owned(), description })
}

impl Bundle {
    /// Returns the name of the step.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// Returns the argument list of the command that failed.
    pub fn arguments(&self) -> &[String] {
        &self.description.arguments
    }

    /// Returns what is not in it, a line each.
    pub fn left_out(&self) -> &[String] {
        &self.description.left_out
    }

    /// Runs `arguments`, or the step's shell if there are none, in what the command left; on `terminal` if there is one,
    /// else what it writes comes as output events of [`StepId::internal`] 0. Without the sandbox's limits only if the
    /// step ran so, and `allow_insecure` lets it.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn enter(
        &self,
        arguments: &[String],
        allow_insecure: bool,
        terminal: Option<BorrowedFd<'_>>,
        store: &Store,
        sink: &dyn ProgressSink,
        cancel: &Cancel,
    ) -> Result<Exit, StepError> {
        let map = IdMap::detect(&Caller::read(None));
        let worker = LazyWorker::new(store.root(), &map, cancel);
        let lease = store.lease()?;
        let source: Arc<dyn ImageSource> = Arc::new(LayoutSource::new(self.directory.clone(), None));
        let platform = Platform::host();
        let image = source.resolve(&platform)?;
        let stack = Layer::of_image(&image);
        let name = self.directory.display().to_string();
        let bases =
            Bases { images: vec![Base { name, span: Span::default(), image, source, platform, named_context: None }] };
        let shelf = Shelf::new(store, store.directories(&map.digest)?, &worker, &bases, &lease);
        let mut spec = self.spec(shelf.directories(&stack)?, self.mounts(&shelf, &worker, cancel)?);
        spec.terminal = terminal.is_some();
        spec.insecure = self.description.insecure && allow_insecure;
        spec.arguments = match arguments {
            [] => vec![shell_of(&spec)],
            typed => typed.to_vec(),
        };
        let mut output = |stream, bytes| sink.event(Event::Output { step: StepId::internal(0), stream, bytes });
        let descriptors: Vec<BorrowedFd<'_>> = terminal.into_iter().collect();
        Ok(worker.get()?.run(spec, &descriptors, &mut output, cancel)?)
    }

    fn spec(&self, stack: Vec<LayerKey>, mounts: Vec<MountSpec>) -> RunSpec {
        let of = self.description.clone();
        RunSpec {
            stack,
            arguments: of.arguments,
            environment: of.environment,
            working_directory: TreePath::from(of.working_directory.as_str()),
            user: of.user,
            network: of.network,
            insecure: false,
            host_name: of.host_name,
            extra_hosts: of.extra_hosts,
            limits: of.limits,
            mounts,
            script: of.script,
            result: RunResult::Discard,
            keep_failed: false,
            terminal: false,
        }
    }

    fn mounts(&self, shelf: &Shelf<'_>, worker: &LazyWorker<'_>, cancel: &Cancel) -> Result<Vec<MountSpec>, StepError> {
        let mount = |mount: &Mount| {
            let kind = match &mount.kind {
                Kind::Tmpfs { size } => MountSource::Tmpfs { size: *size },
                Kind::Tree { layers, source, writable } => {
                    let unpack = |name: &String| self.unpack(name, shelf, worker, cancel);
                    let stack = layers.iter().map(unpack).collect::<Result<_, _>>()?;
                    MountSource::Tree { stack, source: TreePath::from(source.as_str()), writable: *writable }
                }
            };
            Ok(MountSpec { target: TreePath::from(mount.target.as_str()), kind })
        };
        self.description.mounts.iter().map(mount).collect()
    }

    fn unpack(
        &self,
        name: &str,
        shelf: &Shelf<'_>,
        worker: &LazyWorker<'_>,
        cancel: &Cancel,
    ) -> Result<LayerKey, StepError> {
        let path = self.directory.join(MOUNTS).join(name);
        let file = File::open(&path).at("open", &path)?;
        let key = LayerKey::Execution(crate::build::random());
        shelf.hold_layer(key)?;
        worker.get()?.unpack_as(file.as_fd(), key, cancel)?;
        Ok(key)
    }
}
