//! [`start`]: the front's side of making a worker.

use crate::channel::{Channel, ChannelError};
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::sandbox::message::TierFacts;
use crate::worker::entry::{StartReply, Startup};
use crate::worker::id_map::{Extent, IdMap, Tier, printed};
use layerfs::io_error::{IoContext, IoError};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// The name (`argv[0]`) under which this program is re-executed as the worker.
pub const WORKER_NAME: &str = "lbuild-worker";

/// Group `tty`, which terminals belong to.
const TTY_GROUP: u32 = 5;

/// Why no worker could be made.
#[derive(Debug, thiserror::Error)]
pub enum WorkerStartError {
    /// The program could not be started again.
    #[error("start worker: {0}")]
    Spawn(IoError),
    /// The worker ended before it was ready.
    #[error("start worker: {0}")]
    Lost(ChannelError),
    /// The kernel refuses user namespaces, or what is needed in them.
    #[error("enter user namespace: {cause}")]
    NoUserNamespace {
        /// What failed.
        cause: IoError,
        /// Why, as far as the system's settings tell.
        obstacle: Obstacle,
    },
    /// newuidmap or newgidmap refused.
    #[error("`{tool}` refused: {said}")]
    MapRefused {
        /// Which.
        tool: String,
        /// What it said.
        said: String,
        /// Whether this process runs under no_new_privs, which takes the tool's setuid bit and capabilities away.
        no_new_privs: bool,
    },
}

/// What stands against user namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Ubuntu's AppArmor restriction.
    AppArmor,
    /// `user.max_user_namespaces` is 0.
    NoneAllowed,
    /// `kernel.unprivileged_userns_clone` is 0.
    Unprivileged,
    /// Something else: a container's seccomp filter, a hardened kernel.
    Unknown,
}

impl Obstacle {
    /// Finds out from the system's settings, which `read` reads.
    fn find(read: &dyn Fn(&str) -> Option<String>) -> Self {
        let is = |path: &str, value: &str| read(path).is_some_and(|text| text.trim() == value);
        if is("/proc/sys/user/max_user_namespaces", "0") {
            Self::NoneAllowed
        } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
            Self::Unprivileged
        } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
            Self::AppArmor
        } else {
            Self::Unknown
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::AppArmor => {
                "this system lets only programs with an AppArmor profile use user namespaces; as root, either give lbuild \
                 one in /etc/apparmor.d (`profile lbuild /path/to/lbuild flags=(unconfined) { userns, }`, then \
                 `apparmor_parser -r` on it) or allow all: `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
            }
            Self::NoneAllowed => "as root: `sysctl -w user.max_user_namespaces=15000`",
            Self::Unprivileged => "as root: `sysctl -w kernel.unprivileged_userns_clone=1`",
            Self::Unknown => {
                "in a container, allow user namespaces (Docker: `--security-opt seccomp=unconfined --security-opt \
                 apparmor=unconfined`); elsewhere the kernel needs CONFIG_USER_NS"
            }
        }
    }
}

impl Diagnose for WorkerStartError {
    fn diagnose(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.to_string());
        match self {
            Self::NoUserNamespace { obstacle, .. } => diagnostic.help(obstacle.help()),
            Self::MapRefused { no_new_privs: true, tool, .. } => diagnostic.help(format!(
                "lbuild runs under no_new_privs, which takes the rights of `{tool}` away; in Kubernetes set \
                 `allowPrivilegeEscalation: true`, with Docker leave `--security-opt no-new-privileges` out, under \
                 systemd set `NoNewPrivileges=no`"
            )),
            Self::MapRefused { tool, .. } => diagnostic.help(format!(
                "check the ranges in /etc/subuid and /etc/subgid, and that `{tool}` is setuid root or has its file \
                 capability (`apt-get install --reinstall uidmap`)"
            )),
            Self::Spawn(_) | Self::Lost(_) => diagnostic,
        }
    }
}

/// A worker that takes calls: its control channel, and the thread that it is tied to.
#[derive(Debug)]
pub(super) struct Started {
    pub control: Channel,
    pub keeper: JoinHandle<()>,
}

/// Starts a worker.
pub(super) fn start(store: &Path, map: &IdMap, traced: bool) -> Result<Started, WorkerStartError> {
    let (control, far) = Channel::pair().map_err(WorkerStartError::Lost)?;
    let (keeper, process) = spawn(far)?;
    control.send(&startup(store, map, traced), &[]).map_err(WorkerStartError::Lost)?;
    if !map.is_single() {
        expect(&control, &StartReply::Unshared)?;
        write_maps(process, map)?;
        control.send(&(), &[]).map_err(WorkerStartError::Lost)?;
    }
    expect(&control, &StartReply::Ready)?;
    Ok(Started { control, keeper })
}

fn startup(store: &Path, map: &IdMap, traced: bool) -> Startup {
    let own_maps = map.is_single().then(|| (printed(&map.users), printed(&map.groups)));
    let tier = TierFacts { tty_group: map.maps_group(TTY_GROUP), set_groups: !map.is_single() };
    Startup { own_maps, store: store.to_owned(), map: map.digest.clone(), tier, traced }
}

/// Starts the process on a thread that lives as long as it does: PDEATHSIG fires when the *thread* that forked ends.
fn spawn(far: Channel) -> Result<(JoinHandle<()>, u32), WorkerStartError> {
    let (tell, told) = mpsc::channel();
    let keep = move || {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(WORKER_NAME).env_clear().current_dir("/");
        command.stdin(Stdio::from(far.into_socket())).stdout(Stdio::null());
        let spawned = command.spawn();
        // The command holds the far end of the channel; its end must be the worker's end.
        drop(command);
        match spawned {
            Err(error) => drop(tell.send(Err(IoError::new("execute", "/proc/self/exe", &error)))),
            Ok(mut child) => {
                drop(tell.send(Ok(child.id())));
                // Its status says nothing that the channel's end does not.
                drop(child.wait());
            }
        }
    };
    let builder = std::thread::Builder::new().name("worker-keeper".to_owned());
    let keeper = builder.spawn(keep).at("start thread", "worker-keeper").map_err(WorkerStartError::Spawn)?;
    let process = told.recv().map_err(|_| WorkerStartError::Lost(ChannelError::Closed))?;
    Ok((keeper, process.map_err(WorkerStartError::Spawn)?))
}

fn expect(control: &Channel, wanted: &StartReply) -> Result<(), WorkerStartError> {
    match control.receive::<StartReply>().map_err(WorkerStartError::Lost)?.0 {
        reply if reply == *wanted => Ok(()),
        StartReply::Failed(cause) => {
            let obstacle = Obstacle::find(&|path| std::fs::read_to_string(path).ok());
            Err(WorkerStartError::NoUserNamespace { cause, obstacle })
        }
        _ => Err(WorkerStartError::Lost(ChannelError::Malformed { length: 0 })),
    }
}

fn write_maps(process: u32, map: &IdMap) -> Result<(), WorkerStartError> {
    match &map.tier {
        Tier::Root => {
            write_map(process, "uid_map", &map.users)?;
            write_map(process, "gid_map", &map.groups)
        }
        // Both at once: each takes a millisecond or more to start.
        Tier::Ranges { newuidmap, newgidmap } => std::thread::scope(|scope| {
            let users = scope.spawn(|| run_tool(newuidmap, process, &map.users));
            let groups = run_tool(newgidmap, process, &map.groups);
            users.join().expect("running a tool does not panic")?;
            groups
        }),
        Tier::Single(_) => Ok(()),
    }
}

fn write_map(process: u32, file: &str, extents: &[Extent]) -> Result<(), WorkerStartError> {
    let path = format!("/proc/{process}/{file}");
    std::fs::write(&path, printed(extents)).at("write", &path).map_err(WorkerStartError::Spawn)
}

fn run_tool(tool: &Path, process: u32, extents: &[Extent]) -> Result<(), WorkerStartError> {
    let mut command = Command::new(tool);
    command.env_clear().arg(process.to_string()).stdin(Stdio::null());
    for extent in extents {
        command.args([extent.inside.to_string(), extent.outside.to_string(), extent.count.to_string()]);
    }
    let output = command.output().at("execute", tool).map_err(WorkerStartError::Spawn)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tool = tool.display().to_string();
    Err(WorkerStartError::MapRefused { tool, said, no_new_privs: has_no_new_privs(&status) })
}

/// Reports whether a `/proc/<pid>/status` is of a process under no_new_privs (proc_pid_status(5)).
fn has_no_new_privs(status: &str) -> bool {
    status.lines().filter_map(|line| line.strip_prefix("NoNewPrivs:")).any(|value| value.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_new_privs_is_told_from_wrong_ranges() {
        let refused = |status: &str| {
            let no_new_privs = has_no_new_privs(status);
            let error = WorkerStartError::MapRefused { tool: "newuidmap".into(), said: "no".into(), no_new_privs };
            error.diagnose().help.unwrap_or_default()
        };
        for (status, wanted) in [
            ("Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t0\n", "allowPrivilegeEscalation: true"),
            ("Name:\tx\nNoNewPrivs:\t0\nSeccomp:\t1\n", "/etc/subuid"),
            ("", "/etc/subuid"),
        ] {
            assert!(refused(status).contains(wanted), "{status}: {}", refused(status));
        }
    }

    #[test]
    fn the_obstacle_is_named_by_the_systems_settings() {
        let settings = [
            ("/proc/sys/user/max_user_namespaces", "0\n", Obstacle::NoneAllowed),
            ("/proc/sys/kernel/unprivileged_userns_clone", "0\n", Obstacle::Unprivileged),
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", Obstacle::AppArmor),
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n", Obstacle::Unknown),
        ];
        for (path, value, wanted) in settings {
            assert_eq!(Obstacle::find(&|asked| (asked == path).then(|| value.to_owned())), wanted, "{path} {value}");
        }
    }
}
