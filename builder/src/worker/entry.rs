//! [`main`]: the worker's first steps: into the user namespace, then process 1 of a pid namespace.

use crate::channel::Channel;
use crate::sandbox::message::TierFacts;
use crate::worker::serve;
use layerfs::io_error::{IoContext, IoError};
use layerfs::sys::process;
use nix::sched::CloneFlags;
use rustix::fs::{Gid, Mode, Uid};
use rustix::mount::MountPropagationFlags;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What the front tells a new worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Startup {
    /// Maps that the worker writes itself (users, groups): one id each. Nothing if the front writes them.
    pub own_maps: Option<(String, String)>,
    /// The store.
    pub store: PathBuf,
    /// Name of the id map in the store.
    pub map: String,
    /// What the user namespace can do.
    pub tier: TierFacts,
    /// Whether the front wants to know where the time goes.
    pub traced: bool,
}

/// What a new worker tells the front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StartReply {
    /// It is in its user namespace and waits for maps.
    Unshared,
    /// It takes calls.
    Ready,
    /// It cannot go on.
    Failed(IoError),
}

/// Runs the worker; standard input is the control socket.
pub(super) fn main() -> ! {
    process::close_inherited();
    let Ok(channel) = Channel::from_standard_input() else { process::exit_now(1) };
    if let Err(error) = start(channel) {
        // Whoever was to hear of it was told, or is gone.
        drop(error);
        process::exit_now(1);
    }
    process::exit_now(0)
}

fn start(channel: Channel) -> Result<(), IoError> {
    let Ok((startup, _)) = channel.receive::<Startup>() else { return Ok(()) };
    let told = |error: IoError| {
        if channel.send(&StartReply::Failed(error.clone()), &[]).is_err() {
            // The front is gone; so is the worker, at once.
        }
        error
    };
    enter(&channel, &startup).map_err(told)?;
    let child = process::fork_single_threaded().at("fork", "the worker").map_err(told)?;
    match child {
        Some(child) => {
            // The channel must end when the worker does.
            drop(channel);
            nix::sys::wait::waitpid(child, None).at("wait for", "the worker")?;
            Ok(())
        }
        None => {
            settle().map_err(told)?;
            serve::serve(channel, startup)
        }
    }
}

/// Enters the user namespace, and makes pid and mount namespaces for the child.
fn enter(channel: &Channel, startup: &Startup) -> Result<(), IoError> {
    die_with_parent()?;
    // No signals of the terminal: Ctrl-C is the front's to handle.
    rustix::process::setsid().at("make session for", "the worker")?;
    process::unshare(CloneFlags::CLONE_NEWUSER).at("make", "user namespace")?;
    match &startup.own_maps {
        Some((users, groups)) => {
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", users)?;
            write("/proc/self/gid_map", groups)?;
        }
        None => {
            channel.send(&StartReply::Unshared, &[]).map_err(lost)?;
            channel.receive::<()>().map_err(lost)?;
        }
    }
    become_root(startup.tier.set_groups)?;
    // Again: changing the user cleared it (prctl(2)).
    die_with_parent()?;
    process::unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS).at("make", "pid and mount namespaces")
}

fn lost(error: crate::channel::ChannelError) -> IoError {
    IoError::new("hear from", "the front", &std::io::Error::other(error.to_string()))
}

fn write(path: &str, text: &str) -> Result<(), IoError> {
    std::fs::write(path, text).at("write", path)
}

fn become_root(set_groups: bool) -> Result<(), IoError> {
    if set_groups {
        rustix::thread::set_thread_groups(&[]).at("drop groups of", "the worker")?;
    }
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).at("become group", "0")?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).at("become user", "0")
}

fn die_with_parent() -> Result<(), IoError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at("tie", "the worker")
}

fn settle() -> Result<(), IoError> {
    die_with_parent()?;
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).at("make private", Path::new("/"))?;
    rustix::process::umask(Mode::empty());
    Ok(())
}
