//! [`main`]: the helper process of one sandbox, a re-execution of this program.
//!
//! It has the root file system mounted in a mount namespace of its own, forks the child that becomes the command,
//! waits, and takes away the mount points it made. It ends the command when the worker closes its end.

use crate::channel::Channel;
use crate::sandbox::attach;
use crate::sandbox::error::SandboxError;
use crate::sandbox::init;
use crate::sandbox::message::{Instructions, Milestone, Report, UserMountSource};
use crate::sandbox::mounts::{MountPlan, Stub};
use crate::sandbox::target::{Root, Stubs};
use crate::sandbox::user::{Accounts, RunUser};
use layerfs::io_error::{IoContext, IoError};
use layerfs::mount::MountInstructions;
use layerfs::path::TreePath;
use layerfs::sys::process;
use layerfs::unpack::LayerError;
use nix::sched::CloneFlags;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{PidfdFlags, Signal};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The most bytes of an account file (row 7-18).
const LONGEST_ACCOUNT_FILE: u64 = 10 << 20;

/// Runs the helper: instructions come over standard input, a socket; the report goes back over it.
pub(super) fn main() -> ! {
    let Ok(channel) = Channel::from_standard_input() else { process::exit_now(1) };
    let report = match channel.receive::<Instructions>() {
        Ok((instructions, descriptors)) => take_streams(descriptors)
            .and_then(|secrets| run(&channel, &instructions, secrets))
            .unwrap_or_else(Report::Failed),
        // The worker is gone: nobody to report to.
        Err(_) => process::exit_now(1),
    };
    let sent = channel.send(&report, &[]);
    process::exit_now(i32::from(sent.is_err()));
}

/// Makes the first two descriptors standard output and error, and returns the others.
fn take_streams(mut descriptors: Vec<OwnedFd>) -> Result<Vec<OwnedFd>, SandboxError> {
    let secrets = descriptors.split_off(descriptors.len().min(2));
    let [output, errors] = descriptors.try_into().map_err(|_| SandboxError::Lost)?;
    let connected = nix::unistd::dup2_stdout(&output).and_then(|()| nix::unistd::dup2_stderr(&errors));
    connected.at("connect", "the command's output").map_err(SandboxError::Setup)?;
    Ok(secrets)
}

fn run(channel: &Channel, instructions: &Instructions, secrets: Vec<OwnedFd>) -> Result<Report, SandboxError> {
    rustix::process::umask(rustix::fs::Mode::empty());
    let timed = instructions.timed;
    reached(channel, timed, Milestone::Started);
    mount_trees(instructions)?;
    reached(channel, timed, Milestone::Mounted);
    let root = Root::open(&attach::root_directory(&instructions.hidden)).map_err(SandboxError::Setup)?;
    let user = accounts(&root)?.resolve_run_user(&instructions.user)?;
    make_working_directory(&root, &instructions.working_directory, &user)?;
    let plan = MountPlan::new(instructions);
    let mut stubs = Stubs::default();
    make_stubs(&mut stubs, &plan, &root, instructions)?;
    reached(channel, timed, Milestone::Prepared);
    let report = start(channel, instructions, &plan, &user, secrets);
    reached(channel, timed, Milestone::Ended);
    // Whatever became of the command, its mount points go.
    stubs.remove(&root).map_err(SandboxError::Setup)?;
    report
}

/// Says how far it is, if the worker wants to know.
fn reached(channel: &Channel, timed: bool, milestone: Milestone) {
    if timed && channel.send(&Report::Reached(milestone, layerfs::trace::now()), &[]).is_err() {
        // The worker is gone, which is noticed where something hangs on it.
    }
}

/// Mounts the root file system and the trees of mounts in a mount namespace of this process's own.
fn mount_trees(instructions: &Instructions) -> Result<(), SandboxError> {
    process::unshare(CloneFlags::CLONE_NEWNS).at("make", "mount namespace").map_err(SandboxError::Setup)?;
    init::make_mounts_private().map_err(SandboxError::Setup)?;
    make_directory(&attach::supply_directory(&instructions.hidden))?;
    mount_tree(&instructions.root, &attach::root_directory(&instructions.hidden), &TreePath::root())?;
    for (number, mount) in instructions.mounts.iter().enumerate() {
        if let UserMountSource::Tree { instructions: tree, .. } = &mount.source {
            mount_tree(tree, &attach::tree_directory(&instructions.hidden, number), &mount.target)?;
        }
    }
    Ok(())
}

fn mount_tree(tree: &MountInstructions, at: &Path, target: &TreePath) -> Result<(), SandboxError> {
    make_directory(at)?;
    tree.attach(at).map_err(|error| SandboxError::Mount { target: target.clone(), cause: io_error(error, at) })
}

fn io_error(error: LayerError, at: &Path) -> IoError {
    match error {
        LayerError::Io(error) => error,
        other => IoError { act: "mount".to_owned(), path: at.to_owned(), errno: None, message: other.to_string() },
    }
}

fn make_directory(path: &Path) -> Result<(), SandboxError> {
    std::fs::create_dir(path).at("make", path).map_err(SandboxError::Setup)
}

/// Reads the image's users and groups (row 7-18).
fn accounts(root: &Root) -> Result<Accounts, SandboxError> {
    Ok(Accounts::parse(&account_file(root, "etc/passwd")?, &account_file(root, "etc/group")?))
}

fn account_file(root: &Root, path: &str) -> Result<Vec<u8>, SandboxError> {
    let Some(file) = root.read_file(&TreePath::from(path)).map_err(SandboxError::Setup)? else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    file.take(LONGEST_ACCOUNT_FILE).read_to_end(&mut bytes).at("read", path).map_err(SandboxError::Setup)?;
    Ok(bytes)
}

/// Makes the working directory, which stays in the layer (row 7-18).
fn make_working_directory(root: &Root, path: &TreePath, user: &RunUser) -> Result<(), SandboxError> {
    root.make_directories(path, (user.uid, user.gid)).map_err(|cause| match cause.errno {
        Some(libc::EINVAL) => SandboxError::IdNotMapped { what: "user".to_owned(), id: user.uid },
        _ => SandboxError::WorkingDirectory { path: path.clone(), cause },
    })
}

/// Makes the mount points that lie in the root file system itself, not below another mount.
fn make_stubs(
    stubs: &mut Stubs,
    plan: &MountPlan,
    root: &Root,
    instructions: &Instructions,
) -> Result<(), SandboxError> {
    let mut above: Vec<&TreePath> = Vec::new();
    for mount in &plan.0 {
        let stub = match (mount.stub, &mount.content) {
            (Stub::LikeSource, crate::sandbox::mounts::Content::User(number)) => like_source(instructions, *number)?,
            (stub, _) => stub,
        };
        if stub != Stub::None && !above.iter().any(|above| mount.target.is_within(above)) {
            stubs
                .make(root, &mount.target, stub)
                .map_err(|cause| SandboxError::Mount { target: mount.target.clone(), cause })?;
            above.push(&mount.target);
        }
    }
    Ok(())
}

fn like_source(instructions: &Instructions, number: usize) -> Result<Stub, SandboxError> {
    let UserMountSource::Tree { source, .. } = &instructions.mounts[number].source else {
        return Ok(Stub::Directory);
    };
    let directory = attach::shows_directory(&instructions.hidden, number, source).map_err(SandboxError::Setup)?;
    Ok(if directory { Stub::Directory } else { Stub::File })
}

/// Forks the child that becomes the command, and waits for it.
fn start(
    channel: &Channel,
    instructions: &Instructions,
    plan: &MountPlan,
    user: &RunUser,
    secrets: Vec<OwnedFd>,
) -> Result<Report, SandboxError> {
    process::unshare(CloneFlags::CLONE_NEWPID).at("make", "pid namespace").map_err(SandboxError::Setup)?;
    match process::fork_single_threaded().at("fork", "the command").map_err(SandboxError::Setup)? {
        Some(child) => {
            drop(secrets);
            release_output()?;
            wait(channel, child).map_err(SandboxError::Setup)
        }
        None => {
            let ready = || reached(channel, instructions.timed, Milestone::Isolated);
            let Err(error) = init::become_command(instructions, plan, user, secrets, ready);
            let sent = channel.send(&Report::Failed(error), &[]);
            process::exit_now(i32::from(sent.is_err()) + 1);
        }
    }
}

/// Lets go of the command's output, so that its end is seen when the command ends.
fn release_output() -> Result<(), SandboxError> {
    let release = || {
        let null = std::fs::File::options().write(true).open("/dev/null")?;
        nix::unistd::dup2_stdout(&null)?;
        nix::unistd::dup2_stderr(&null)?;
        Ok::<_, std::io::Error>(())
    };
    release().at("let go of", "the command's output").map_err(SandboxError::Setup)
}

/// Waits for the child; kills it when the worker closes its end.
fn wait(channel: &Channel, child: Pid) -> Result<Report, IoError> {
    let pid = rustix::process::Pid::from_raw(child.as_raw()).expect("a child has a process id");
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty()).at("watch", "the command")?;
    let mut cancelled = false;
    loop {
        let mut watched = vec![PollFd::new(&process, PollFlags::IN)];
        if !cancelled {
            watched.push(PollFd::from_borrowed_fd(channel.as_fd(), PollFlags::IN | PollFlags::RDHUP));
        }
        match rustix::event::poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.at("watch", "the command")?,
        };
        if !watched[0].revents().is_empty() {
            break;
        }
        // The worker sends nothing more, so anything on the channel is its end.
        cancelled = true;
        rustix::process::pidfd_send_signal(&process, Signal::KILL).at("kill", "the command")?;
    }
    match nix::sys::wait::waitpid(child, None).at("wait for", "the command")? {
        WaitStatus::Signaled(_, signal, _) => Ok(Report::Signal(signal as i32)),
        WaitStatus::Exited(_, status) => Ok(Report::Status(status)),
        other => unreachable!("a process that ended has {other:?}"),
    }
}
