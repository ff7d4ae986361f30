//! [`Sources`]: carries out a [`MountPlan`]: everything is opened before the old root goes, and put in place after.

use crate::sandbox::error::SandboxError;
use crate::sandbox::message::{Instructions, UserMountSource};
use crate::sandbox::mounts::{Content, MountPlan, PlannedMount, Stub};
use crate::sandbox::target::Root;
use layerfs::io_error::{IoContext, IoError};
use layerfs::path::TreePath;
use layerfs::sys::mount_attributes::set_mount_attributes;
use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Mounts of a plan, opened and not yet in place; in the plan's order. What needs the new root has none.
#[derive(Debug)]
pub(super) struct Sources(Vec<Option<OwnedFd>>);

/// Where the root file system is mounted, below the hidden directory.
pub(super) fn root_directory(hidden: &Path) -> PathBuf {
    hidden.join("root")
}

/// Where the tree of a user's mount is mounted, below the hidden directory.
pub(super) fn tree_directory(hidden: &Path, number: usize) -> PathBuf {
    hidden.join(format!("tree{number}"))
}

/// Where the supplies are, below the hidden directory.
pub(super) fn supply_directory(hidden: &Path) -> PathBuf {
    hidden.join("supplies")
}

impl Sources {
    /// Opens everything that the plan mounts from outside.
    pub(super) fn open(plan: &MountPlan, instructions: &Instructions) -> Result<Self, SandboxError> {
        let open = |mount: &PlannedMount| match source(mount, instructions) {
            Err(SandboxError::Setup(cause)) => Err(SandboxError::Mount { target: mount.target.clone(), cause }),
            other => other,
        };
        Ok(Self(plan.0.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Puts everything in place in `root`, which is the root by now.
    pub(super) fn attach(self, plan: &MountPlan, root: &Root) -> Result<(), SandboxError> {
        for (mount, source) in plan.0.iter().zip(self.0) {
            place(mount, source, root).map_err(|cause| SandboxError::Mount { target: mount.target.clone(), cause })?;
        }
        Ok(())
    }
}

fn source(mount: &PlannedMount, instructions: &Instructions) -> Result<Option<OwnedFd>, SandboxError> {
    let bits = mount.attributes.bits();
    Ok(match &mount.content {
        Content::Fresh { filesystem, options, optional } => match fresh(filesystem, options, bits) {
            Err(_) if *optional => None,
            other => Some(other.map_err(SandboxError::Setup)?),
        },
        Content::Host { path, recursive } => Some(clone(Path::new(path), bits, *recursive)?),
        Content::Supply(number) => {
            let file = supply_directory(&instructions.hidden).join(number.to_string());
            Some(clone(&file, bits, false)?)
        }
        Content::User(number) => Some(user_source(mount, *number, instructions)?),
        Content::Itself | Content::Mask | Content::Link(_) => None,
    })
}

fn user_source(mount: &PlannedMount, number: usize, instructions: &Instructions) -> Result<OwnedFd, SandboxError> {
    let bits = mount.attributes.bits();
    match &instructions.mounts[number].source {
        UserMountSource::Tree { source, .. } => {
            let tree = Root::open(&tree_directory(&instructions.hidden, number)).map_err(SandboxError::Setup)?;
            let found = tree.place(source).map_err(|errno| match errno {
                Errno::NOENT | Errno::NOTDIR => {
                    SandboxError::NoMountSource { target: mount.target.clone(), source_path: source.clone() }
                }
                _ => SandboxError::Setup(IoError::new("open", source.to_string(), &errno.into())),
            })?;
            clone_place(&found, bits, false).at("bind", source.to_string()).map_err(SandboxError::Setup)
        }
        UserMountSource::Directory { path, .. } => clone(path, bits, false),
        UserMountSource::Tmpfs { .. } | UserMountSource::Secret { .. } | UserMountSource::Socket { .. } => {
            unreachable!("the plan mounts memory, secrets and sockets itself")
        }
    }
}

/// Returns a new file system.
pub(super) fn fresh(filesystem: &str, options: &[(&'static str, String)], bits: u64) -> Result<OwnedFd, IoError> {
    let make = || {
        let context = fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            match value.as_str() {
                "" => fsconfig_set_flag(&context, *key)?,
                value => fsconfig_set_string(&context, *key, value)?,
            }
        }
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::from_bits_retain(u32::try_from(bits).unwrap_or_default());
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().at("mount new", filesystem)
}

/// Returns a bind mount of a trusted path.
fn clone(path: &Path, bits: u64, recursive: bool) -> Result<OwnedFd, SandboxError> {
    let clone = || {
        let flags = clone_flags(recursive);
        let mount = open_tree(CWD, path, flags)?;
        add_attributes(mount, bits, recursive)
    };
    clone().at("bind", path).map_err(SandboxError::Setup)
}

fn clone_place(place: &OwnedFd, bits: u64, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mount = open_tree(place, "", clone_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH)?;
    add_attributes(mount, bits, recursive)
}

fn clone_flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

fn add_attributes(mount: OwnedFd, bits: u64, recursive: bool) -> rustix::io::Result<OwnedFd> {
    if bits != 0 {
        set_mount_attributes(&mount, bits, recursive)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    }
    Ok(mount)
}

fn place(mount: &PlannedMount, source: Option<OwnedFd>, root: &Root) -> Result<(), IoError> {
    let bits = mount.attributes.bits();
    match (&mount.content, source) {
        (Content::Link(text), _) => {
            rustix::fs::symlinkat(*text, root, mount.target.as_os_str()).at("make link", mount.target.to_string())
        }
        (Content::Itself, _) => {
            let Some(target) = existing(root, &mount.target)? else { return Ok(()) };
            let source = clone_place(&target, bits, true).at("bind", mount.target.to_string())?;
            join(&source, &target).at("mount", mount.target.to_string())
        }
        (Content::Mask, _) => {
            let Some(target) = existing(root, &mount.target)? else { return Ok(()) };
            let source = mask(root, &target, bits)?;
            join(&source, &target).at("mount", mount.target.to_string())
        }
        (_, None) => Ok(()),
        (_, Some(source)) => {
            let Some(target) = made(root, mount, &source)? else { return Ok(()) };
            join(&source, &target).at("mount", mount.target.to_string())
        }
    }
}

fn existing(root: &Root, target: &TreePath) -> Result<Option<OwnedFd>, IoError> {
    match root.place(target) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        other => other.map(Some).at("open", target.to_string()),
    }
}

/// Returns the mount point, made if it is missing and may be made.
fn made(root: &Root, mount: &PlannedMount, source: &OwnedFd) -> Result<Option<OwnedFd>, IoError> {
    if let Some(target) = existing(root, &mount.target)? {
        return Ok(Some(target));
    }
    let directory = match mount.stub {
        Stub::None => return Ok(None),
        Stub::Directory => true,
        Stub::File => false,
        Stub::LikeSource => is_directory(source)?,
    };
    root.make_mount_point(&mount.target, directory)?;
    existing(root, &mount.target)
}

fn is_directory(place: &OwnedFd) -> Result<bool, IoError> {
    let stat = rustix::fs::statat(place, "", AtFlags::EMPTY_PATH).at("stat", "a mount")?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Returns what hides `target`.
fn mask(root: &Root, target: &OwnedFd, bits: u64) -> Result<OwnedFd, IoError> {
    if is_directory(target)? {
        return fresh("tmpfs", &[("mode", "0755".to_owned())], bits);
    }
    let null = root.place(&TreePath::from("dev/null")).at("open", "/dev/null")?;
    clone_place(&null, 0, false).at("bind", "/dev/null")
}

/// Mounts a detached mount at a place.
pub(super) fn join(source: impl AsFd, target: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(source, "", target, "", flags)
}

/// Reports whether a user's mount shows a directory, where only its tree knows.
pub(super) fn shows_directory(hidden: &Path, number: usize, source: &TreePath) -> Result<bool, IoError> {
    let tree = Root::open(&tree_directory(hidden, number))?;
    match existing(&tree, source)? {
        Some(place) => is_directory(&place),
        // The mount itself will say what is missing.
        None => Ok(true),
    }
}
