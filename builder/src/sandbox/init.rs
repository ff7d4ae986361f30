//! The child that becomes the command: process 1 of its pid namespace. The order of what it does matters, and each
//! step says why it stands where it does.

use crate::plan::op::Network;
use crate::sandbox::attach::{self, Sources};
use crate::sandbox::error::SandboxError;
use crate::sandbox::message::{Instructions, UserMountSource};
use crate::sandbox::mounts::MountPlan;
use crate::sandbox::supply::{Body, SECRET_LIMIT, Supplies, Supply};
use crate::sandbox::target::Root;
use crate::sandbox::user::RunUser;
use crate::sandbox::{capabilities, launch, seccomp};
use layerfs::io_error::{IoContext, IoError};
use layerfs::path::TreePath;
use layerfs::sys::{keyring, network, process};
use nix::sched::CloneFlags;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::process::Signal;
use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes the sandbox around this process, calls `ready`, and becomes the command. Returns only if that fails.
pub(super) fn become_command(
    instructions: &Instructions,
    plan: &MountPlan,
    user: &RunUser,
    secrets: Vec<OwnedFd>,
    ready: impl FnOnce(),
) -> Result<Infallible, SandboxError> {
    die_with_parent()?;
    leave_session()?;
    enter_namespaces(instructions).map_err(SandboxError::Setup)?;
    make_file_systems(instructions, plan, secrets)?;
    settle(instructions, user)?;
    // Raising one needs CAP_SYS_RESOURCE, which goes next.
    limit(instructions)?;
    // Needs CAP_SYS_ADMIN, which goes next, because `no_new_privs` is not set.
    if !instructions.insecure {
        setup("load seccomp filter for", process_name(), layerfs::sys::seccomp::load_filter(&seccomp::filter()))?;
        setup("limit capabilities of", process_name(), capabilities::limit_bounding_set())?;
    }
    become_user(instructions, user)?;
    if !instructions.insecure {
        setup("limit capabilities of", process_name(), capabilities::limit_own_sets())?;
    }
    // Again: changing the user cleared it (prctl(2)).
    die_with_parent()?;
    ready();
    launch::execute(instructions, user)
}

fn process_name() -> &'static Path {
    Path::new("the command")
}

fn setup<T, E: Into<std::io::Error>>(act: &str, path: &Path, result: Result<T, E>) -> Result<T, SandboxError> {
    result.at(act, path).map_err(SandboxError::Setup)
}

fn die_with_parent() -> Result<(), SandboxError> {
    let set = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    setup("tie to its parent", process_name(), set)
}

/// A session and a keyring of its own: no terminal to push characters into, no keys of the caller.
fn leave_session() -> Result<(), SandboxError> {
    setup("make session for", process_name(), rustix::process::setsid())?;
    match keyring::join_new_session() {
        // A kernel without keyrings has none to share.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        other => setup("make keyring for", process_name(), other),
    }
}

fn enter_namespaces(instructions: &Instructions) -> Result<(), IoError> {
    let mut namespaces =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWCGROUP;
    if instructions.network == Network::None {
        namespaces |= CloneFlags::CLONE_NEWNET;
    }
    process::unshare(namespaces).at("make namespaces for", process_name())?;
    make_mounts_private()?;
    nix::unistd::sethostname(&instructions.host_name).at("set host name", &instructions.host_name)?;
    if instructions.network == Network::None {
        network::bring_loopback_up().at("bring up", "lo")?;
    }
    Ok(())
}

/// Keeps mounts made here from showing elsewhere, and those made elsewhere from showing here.
pub(super) fn make_mounts_private() -> Result<(), IoError> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).at("make private", "/")
}

fn make_file_systems(instructions: &Instructions, plan: &MountPlan, secrets: Vec<OwnedFd>) -> Result<(), SandboxError> {
    write_supplies(instructions, &secrets)?;
    drop(secrets);
    // Before the old root goes: a new /proc needs an old one that is fully visible, and binds need their sources.
    let sources = Sources::open(plan, instructions)?;
    pivot(&attach::root_directory(&instructions.hidden)).map_err(SandboxError::Setup)?;
    let root = Root::open(Path::new("/")).map_err(SandboxError::Setup)?;
    sources.attach(plan, &root)
}

fn write_supplies(instructions: &Instructions, descriptors: &[OwnedFd]) -> Result<(), SandboxError> {
    let resolver = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    let supplies = Supplies::new(instructions, &String::from_utf8_lossy(&resolver));
    let directory = attach::supply_directory(&instructions.hidden);
    let memory = attach::fresh("tmpfs", &[("mode", "0700".to_owned())], 0).map_err(SandboxError::Setup)?;
    let place = Root::open(&directory).map_err(SandboxError::Setup)?;
    setup("mount", &directory, attach::join(&memory, &place))?;
    // What is mounted now, not what it hides.
    let place = Root::open(&directory).map_err(SandboxError::Setup)?;
    for (number, supply) in supplies.0.iter().enumerate() {
        let path = directory.join(number.to_string());
        match &supply.body {
            Body::Bytes(bytes) => write_supply(&path, supply, bytes)?,
            Body::Descriptor(number) => {
                let descriptor = descriptors.get(*number).ok_or(SandboxError::Lost)?;
                write_supply(&path, supply, &read_secret(descriptor, *number, instructions)?)?;
            }
            Body::Socket(number) => {
                let socket = descriptors.get(*number).ok_or(SandboxError::Lost)?;
                listen(socket, &place, &path, supply)?;
            }
        }
    }
    Ok(())
}

/// Makes a socket of the sandbox; whoever handed the descriptor over answers there.
fn listen(socket: &OwnedFd, directory: &Root, path: &Path, supply: &Supply) -> Result<(), SandboxError> {
    // A socket's address has room for 107 bytes; the way over the descriptor is short whatever the path.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let short = format!("/proc/self/fd/{}/{name}", directory.as_fd().as_raw_fd());
    let address = setup("name", path, rustix::net::SocketAddrUnix::new(short.as_str()))?;
    setup("make socket", path, rustix::net::bind(socket, &address))?;
    setup("change mode of", path, std::fs::set_permissions(path, std::fs::Permissions::from_mode(supply.mode)))?;
    let file = setup("open", path, rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()))?;
    change_owner(&file, supply.uid, supply.gid)?;
    setup("listen on", path, rustix::net::listen(socket, 16))
}

/// Reads a secret from its start: two mounts may show the same one.
fn read_secret(descriptor: &OwnedFd, number: usize, instructions: &Instructions) -> Result<Vec<u8>, SandboxError> {
    let mut bytes = Vec::new();
    let mut file = File::from(setup("copy", Path::new("a descriptor"), descriptor.try_clone())?);
    setup("rewind", Path::new("a secret"), file.rewind())?;
    setup("read", Path::new("a secret"), file.take(SECRET_LIMIT + 1).read_to_end(&mut bytes))?;
    if bytes.len() as u64 > SECRET_LIMIT {
        let target = secret_target(instructions, number);
        return Err(SandboxError::SecretTooLarge { target, limit: SECRET_LIMIT });
    }
    Ok(bytes)
}

fn secret_target(instructions: &Instructions, number: usize) -> TreePath {
    let shows = |source: &UserMountSource| matches!(source, UserMountSource::Secret { descriptor, .. } if *descriptor == number);
    let mount = instructions.mounts.iter().find(|mount| shows(&mount.source));
    mount.map(|mount| mount.target.clone()).unwrap_or_default()
}

fn write_supply(path: &Path, supply: &Supply, body: &[u8]) -> Result<(), SandboxError> {
    let mut file = setup("make", path, File::create_new(path))?;
    setup("write", path, file.write_all(body))?;
    setup("change mode of", path, file.set_permissions(std::fs::Permissions::from_mode(supply.mode)))?;
    change_owner(&file, supply.uid, supply.gid)
}

/// Makes `new_root` the root and leaves no trace of the old one.
fn pivot(new_root: &Path) -> Result<(), IoError> {
    rustix::process::chdir(new_root).at("enter", new_root)?;
    // The old root is stacked on the new one, so that no directory in the image is needed for it (pivot_root(2)).
    rustix::process::pivot_root(".", ".").at("change root to", new_root)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).at("unmount", "the old root")?;
    rustix::process::chdir("/").at("enter", "/")
}

/// What the command finds around it: standard streams, working directory, mask, signals, descriptors.
fn settle(instructions: &Instructions, user: &RunUser) -> Result<(), SandboxError> {
    if instructions.terminal {
        take_terminal()?;
    } else {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let null = setup("open", Path::new("/dev/null"), null)?;
        setup("set", Path::new("standard input"), nix::unistd::dup2_stdin(&null))?;
    }
    own_output(std::io::stdout(), user)?;
    own_output(std::io::stderr(), user)?;
    let directory = &instructions.working_directory;
    rustix::process::chdir(Path::new("/").join(directory.as_os_str()))
        .at("enter", directory.to_string())
        .map_err(|cause| SandboxError::WorkingDirectory { path: directory.clone(), cause })?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    setup("reset signals of", process_name(), process::reset_signals())?;
    setup("close descriptors of", process_name(), process::close_on_exec_from(3))
}

/// Makes the terminal on standard output the one of this session, so that keys that interrupt and stop work.
fn take_terminal() -> Result<(), SandboxError> {
    setup("set", Path::new("standard input"), nix::unistd::dup2_stdin(std::io::stdout()))?;
    setup("take", Path::new("the terminal"), rustix::process::ioctl_tiocsctty(std::io::stdout()))
}

/// Sets the resource limits that were asked for.
fn limit(instructions: &Instructions) -> Result<(), SandboxError> {
    for limit in &instructions.limits.resources {
        limit.apply().map_err(|cause| match cause.errno {
            Some(libc::EPERM) => SandboxError::LimitTooHigh { name: limit.name.clone(), ceiling: limit.ceiling() },
            _ => SandboxError::Setup(cause),
        })?;
    }
    Ok(())
}

/// Gives a pipe to the user, so that /dev/stdout can be opened by name.
fn own_output(stream: impl AsFd, user: &RunUser) -> Result<(), SandboxError> {
    let stat = setup("stat", Path::new("output"), rustix::fs::fstat(&stream))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
        return Ok(());
    }
    change_owner(&stream, user.uid, user.gid)
}

fn change_owner(file: impl AsFd, uid: u32, gid: u32) -> Result<(), SandboxError> {
    let change = |gid| rustix::fs::chownat(&file, "", Some(Uid::from_raw(uid)), gid, AtFlags::EMPTY_PATH);
    match change(Some(Gid::from_raw(gid))) {
        Err(rustix::io::Errno::INVAL) => {
            // Which of the two is not mapped, only trying tells.
            let user_maps = change(None).is_ok();
            Err(if user_maps { not_mapped("group", gid) } else { not_mapped("user", uid) })
        }
        other => setup("change owner of", Path::new("a file of the sandbox"), other),
    }
}

fn not_mapped(what: &str, id: u32) -> SandboxError {
    SandboxError::IdNotMapped { what: what.to_owned(), id }
}

fn become_user(instructions: &Instructions, user: &RunUser) -> Result<(), SandboxError> {
    if instructions.tier.set_groups {
        let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        match rustix::thread::set_thread_groups(&groups) {
            Err(rustix::io::Errno::INVAL) => return Err(not_mapped("one of the groups of user", user.uid)),
            other => setup("set groups of", process_name(), other)?,
        }
    }
    let gid = Gid::from_raw(user.gid);
    match rustix::thread::set_thread_res_gid(gid, gid, gid) {
        Err(rustix::io::Errno::INVAL) => return Err(not_mapped("group", user.gid)),
        other => setup("set group of", process_name(), other)?,
    }
    let uid = Uid::from_raw(user.uid);
    match rustix::thread::set_thread_res_uid(uid, uid, uid) {
        Err(rustix::io::Errno::INVAL) => Err(not_mapped("user", user.uid)),
        other => setup("set user of", process_name(), other),
    }
}
