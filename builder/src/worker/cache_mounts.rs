//! [`CacheMounts`]: directories that last from build to build, and who may use them when (row 1.7-7).
//!
//! ```text
//! mounts/<id map>/<hash of the id>/0        what everyone shares, or the first who locks it gets
//! mounts/<id map>/<hash of the id>/1 …      copies for those who want one of their own
//! mounts/<id map>/<hash of the id>/0.lock   held (flock) while a command uses it, across processes
//! ```

use crate::plan::op::Sharing;
use crate::worker::call::Call;
use crate::worker::error::WorkerError;
use crate::worker::layers::Layers;
use layerfs::digest::Digest;
use layerfs::io_error::{IoContext, IoError};
use layerfs::layer::LayerKey;
use layerfs::mount::{CopyMounter, MountInstructions, Mounter};
use layerfs::path::TreePath;
use layerfs::rootdir::RootDir;
use std::fs::{File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often one who waits for a lock looks again.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a cache mount is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub id: &'a str,
    pub sharing: Sharing,
    pub seed: Option<&'a (Vec<LayerKey>, TreePath)>,
    pub mode: u32,
    pub owner: (u32, u32),
}

/// A directory in use; let go when dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub path: PathBuf,
    /// Closing it gives the lock back.
    _lock: File,
}

/// Directories that last from build to build.
#[derive(Debug)]
pub(super) struct CacheMounts {
    root: PathBuf,
}

impl CacheMounts {
    /// Returns the cache mounts of the id map `map` in `store`.
    pub(super) fn new(store: &Path, map: &str) -> Self {
        Self { root: store.join("mounts").join(map) }
    }

    /// Takes a directory; waits for a lock as long as the front wants.
    pub(super) fn take(
        &self,
        call: &Call,
        layers: &Layers,
        wanted: Wanted<'_>,
        scratch: &Path,
    ) -> Result<Held, WorkerError> {
        let directory = self.root.join(name(wanted.id, wanted.seed));
        std::fs::create_dir_all(&directory).at("make", &directory)?;
        let mut number = 0;
        loop {
            let lock_path = directory.join(format!("{number}.lock"));
            let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
            let lock = lock.at("open", &lock_path)?;
            let locked = match wanted.sharing {
                Sharing::Shared => lock.try_lock_shared(),
                Sharing::Locked | Sharing::Private => lock.try_lock(),
            };
            match locked {
                Ok(()) => {
                    let path = directory.join(number.to_string());
                    self.make(call, layers, wanted, &path, scratch)?;
                    return Ok(Held { path, _lock: lock });
                }
                Err(TryLockError::Error(error)) => return Err(IoError::new("lock", &lock_path, &error).into()),
                Err(TryLockError::WouldBlock) if wanted.sharing == Sharing::Private => number += 1,
                Err(TryLockError::WouldBlock) => {
                    call.check()?;
                    std::thread::sleep(PATIENCE);
                }
            }
        }
    }

    /// Makes the directory if it is not there: beside its place, then renamed, since others may share the lock.
    fn make(
        &self,
        call: &Call,
        layers: &Layers,
        wanted: Wanted<'_>,
        path: &Path,
        scratch: &Path,
    ) -> Result<(), WorkerError> {
        if path.exists() {
            return Ok(());
        }
        call.check()?;
        let digest = Digest::of(path.as_os_str().as_encoded_bytes());
        let draft = scratch.join(format!("cache{}", &digest.hex()[..12]));
        match wanted.seed {
            Some(seed) => self.copy_seed(layers, wanted.id, seed, &draft)?,
            None => make_empty(&draft, wanted)?,
        }
        match std::fs::rename(&draft, path) {
            // Another was faster, and a command may have filled it already. The draft goes with the scratch directory.
            Err(_) if path.exists() => Ok(()),
            other => Ok(other.at("rename", path)?),
        }
    }

    fn copy_seed(
        &self,
        layers: &Layers,
        id: &str,
        (stack, source): &(Vec<LayerKey>, TreePath),
        draft: &Path,
    ) -> Result<(), WorkerError> {
        let (names, below) = layers.stack(stack)?;
        let no_seed = || WorkerError::NoSeed { id: id.to_owned(), path: source.clone() };
        let place = below.resolve(source, true).map_err(|_| no_seed())?;
        let copy = draft.with_extension("seed");
        let active = CopyMounter::new(layers.root()).prepare(&names, &below, &copy)?;
        let MountInstructions::Directory { path } = active.instructions else { return Err(no_seed()) };
        if RootDir::open(&path)?.metadata(&place).map_or(true, |found| !found.is_directory()) {
            return Err(no_seed());
        }
        // `place` has no links left, so joining it stays inside.
        Ok(std::fs::rename(path.join(place.as_os_str()), draft).at("rename", draft)?)
    }
}

fn make_empty(path: &Path, wanted: Wanted<'_>) -> Result<(), WorkerError> {
    std::fs::create_dir(path).at("make", path)?;
    std::os::unix::fs::chown(path, Some(wanted.owner.0), Some(wanted.owner.1)).at("change owner of", path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(wanted.mode)).at("change mode of", path)?;
    Ok(())
}

/// Returns the directory's name: the id, and what it started from, framed so that no two run into one.
fn name(id: &str, seed: Option<&(Vec<LayerKey>, TreePath)>) -> String {
    let mut text = format!("{}:{id}", id.len());
    if let Some((stack, source)) = seed {
        for key in stack {
            text.push_str(&format!(":{key}"));
        }
        text.push_str(&format!(":{source}"));
    }
    Digest::of(text).hex()[..32].to_owned()
}
