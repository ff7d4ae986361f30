//! [`probe`]: finds out which mounter works, by trying.

use crate::index::LayerIndex;
use crate::io_error::{IoContext, IoError};
use crate::mount::{CopyMounter, MountInstructions, Mounter, OverlayMounter};
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::stack::Stack;
use crate::unpack::LayerError;
use rustix::fs::StatVfsMountFlags;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

/// Returns the mounter for the layers directory `layers`: overlay if whiteouts, opaque directories and renames work
/// there when tried, else copy. Run in the worker: the probe mounts in a thread with a mount namespace of its own.
///
/// # Errors
/// [`LayerError::NoExec`] if neither works.
pub fn probe(layers: &Path) -> Result<Box<dyn Mounter>, LayerError> {
    let why = match try_overlay(layers) {
        Ok(()) => return Ok(Box::new(OverlayMounter::new(layers))),
        Err(why) => why.to_string(),
    };
    let found = rustix::fs::statvfs(layers).at("stat the file system of", layers)?;
    if found.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err(LayerError::NoExec { layers: layers.to_owned(), why });
    }
    Ok(Box::new(CopyMounter::new(layers)))
}

fn try_overlay(layers: &Path) -> Result<(), LayerError> {
    let place = tempfile::Builder::new().prefix("probe").tempdir_in(layers).at("create directory in", layers)?;
    let path = place.path();
    let tried = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            own_namespace()?;
            try_in(path)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    // The kernel's work directory may not be entered by who made it: not a thing for the temporary directory's drop.
    RootDir::open(path)?.remove_tree(&TreePath::root())?;
    place.close().at("remove", layers)?;
    tried
}

/// Gives this thread a mount namespace and a working directory of its own, from which nothing leaks.
fn own_namespace() -> Result<(), IoError> {
    crate::sys::file::unshare_mounts().at("unshare mounts of", "/")?;
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    rustix::mount::mount_change("/", private).at("make private", "/")
}

/// Mounts an overlay in `place`, does there what commands do, and looks at what its upper directory says.
fn try_in(place: &Path) -> Result<(), LayerError> {
    let lower = place.join("lower");
    for directory in [&lower.join("opaque"), &lower.join("d")] {
        fs::create_dir_all(directory).at("create directory", directory)?;
    }
    for file in ["gone", "opaque/gone", "moved"] {
        fs::write(lower.join(file), "x").at("write", lower.join(file))?;
    }
    let target = place.join("t");
    fs::create_dir(&target).at("create directory", &target)?;
    let mut below = Stack::default();
    below.push(Arc::new(LayerIndex::default()));
    let active = OverlayMounter::new(place).prepare(&["lower".to_owned()], &below, &place.join("s"))?;
    active.instructions.attach(&target)?;
    let tried = change(&target);
    rustix::mount::unmount(&target, UnmountFlags::DETACH).at("unmount", &target)?;
    tried?;
    let MountInstructions::Overlay { upper, .. } = &active.instructions else { return Ok(()) };
    look(upper)
}

fn change(target: &Path) -> Result<(), IoError> {
    let at = |name: &str| target.join(name);
    fs::remove_file(at("gone")).at("remove", at("gone"))?;
    fs::remove_dir_all(at("opaque")).at("remove", at("opaque"))?;
    fs::create_dir(at("opaque")).at("create directory", at("opaque"))?;
    fs::rename(at("moved"), at("d/moved")).at("rename", at("moved"))?;
    fs::create_dir(at("new")).at("create directory", at("new"))?;
    fs::rename(at("new"), at("newer")).at("rename", at("new"))
}

fn look(upper: &Path) -> Result<(), LayerError> {
    for name in ["gone", "moved"] {
        let path = upper.join(name);
        let kind = fs::symlink_metadata(&path).at("stat", &path)?.file_type();
        if !kind.is_char_device() {
            return Err(IoError::new("white out", &path, &std::io::Error::other("no whiteout was made")).into());
        }
    }
    let opaque = RootDir::open(upper)?.inspect(&TreePath::from("opaque"))?;
    if !opaque.marks.has(crate::meta::disk::OPAQUE) {
        let path = upper.join("opaque");
        return Err(IoError::new("make opaque", &path, &std::io::Error::other("no mark was made")).into());
    }
    Ok(())
}
