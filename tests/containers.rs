//! [`Containers`]: Podman and Buildah.

use crate::harness::{Run, output};
use crate::tree::with_ids_ok;
use std::path::Path;
use std::process::Command;

/// Replaces what is mounted on /sys/fs/cgroup, since crun refuses both versions of cgroups beside each other.
const UNIFIED: &str = "umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$@\"";

/// Podman and Buildah with a storage of their own.
pub struct Containers {
    root: Vec<String>,
    home: tempfile::TempDir,
}

impl Containers {
    /// Returns an empty storage.
    pub fn new() -> Self {
        Self::below("/tmp")
    }

    /// Returns an empty storage in memory, where that is to be had: Buildah waits for the disk often.
    pub fn in_memory() -> Self {
        Self::below(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" })
    }

    fn below(place: &str) -> Self {
        // Podman takes no run root longer than 50 characters.
        let home = tempfile::Builder::new().prefix("lb.").tempdir_in(place).expect("a temporary directory");
        let at = |name: &str| home.path().join(name).to_string_lossy().into_owned();
        let root = ["--root", &at("storage"), "--runroot", &at("run"), "--storage-driver", "vfs"];
        Self { root: root.map(str::to_owned).to_vec(), home }
    }

    fn ok(&self, before: &[&str], program: &str, arguments: &[&str]) -> String {
        let root = self.root.iter().map(String::as_str);
        let all: Vec<&str> =
            before.iter().copied().chain([program]).chain(root).chain(arguments.iter().copied()).collect();
        output(all[0], &all[1..])
    }

    /// Runs Buildah, which must succeed, and returns its standard output.
    #[track_caller]
    pub fn buildah(&self, arguments: &[&str]) -> String {
        self.ok(&[], "buildah", arguments)
    }

    /// Runs Buildah, which may fail.
    pub fn try_buildah(&self, arguments: &[&str]) -> Run {
        Run::within(Command::new("buildah").args(&self.root).args(arguments), 900)
    }

    /// Runs Podman, which must succeed, and returns its standard output.
    #[track_caller]
    pub fn podman(&self, arguments: &[&str]) -> String {
        self.podman_after(&[], arguments)
    }

    fn podman_after(&self, before: &[&str], arguments: &[&str]) -> String {
        let how = ["--cgroup-manager", "cgroupfs", "--events-backend", "file"];
        self.ok(before, "podman", &[&how[..], arguments].concat())
    }

    /// Runs an image's own command, with limits that a container may have here, too.
    #[track_caller]
    pub fn run(&self, runtime: &str, image: &str) -> String {
        let limits = ["--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
        let how = [&["--runtime", runtime, "run", "--rm"], &limits[..]].concat();
        if runtime == "crun" {
            let before = ["unshare", "--mount", "--cgroup", "sh", "-c", UNIFIED, "sh"];
            self.podman_after(&before, &[&how[..], &["--cgroups=disabled", image]].concat())
        } else {
            self.podman(&[&how[..], &[image]].concat())
        }
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        with_ids_ok("rm", &["-rf", &self.home.path().join("storage").to_string_lossy()]);
    }
}
