//! [`MountPlan`]: what is mounted where in a sandbox, as a list; it touches no disk.
//!
//! The list is Docker's (rows 7-5 to 7-9), as far as a user namespace allows.

use crate::plan::op::Network;
use crate::sandbox::message::{Instructions, UserMountSource};
use layerfs::path::TreePath;
use std::fmt;

/// What is put at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file system of its own.
    Fresh {
        /// Its type.
        filesystem: &'static str,
        /// Its options.
        options: Vec<(&'static str, String)>,
        /// Whether the sandbox does without it where the kernel refuses (what lies below it is then to be seen).
        optional: bool,
    },
    /// A file or directory of the host, `recursive` with all that is mounted below it.
    Host {
        /// Which.
        path: &'static str,
        /// With all below it.
        recursive: bool,
    },
    /// A file that is made for this sandbox: number in [`crate::sandbox::supply::Supplies`].
    Supply(usize),
    /// What `--mount` of this number mounts, with directories made by the worker.
    User(usize),
    /// What is there already, with attributes added; nothing if there is nothing.
    Itself,
    /// Nothing to be seen: /dev/null over a file, an empty directory over a directory; nothing if there is nothing.
    Mask,
    /// A symbolic link that says this.
    Link(&'static str),
}

/// What a mount refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Writing.
    pub readonly: bool,
    /// Setuid programs.
    pub nosuid: bool,
    /// Device files.
    pub nodev: bool,
    /// Executing.
    pub noexec: bool,
    /// Whether reading marks the time always, not only once in a while.
    pub strictatime: bool,
}

impl Attributes {
    const NONE: Self = Self { readonly: false, nosuid: false, nodev: false, noexec: false, strictatime: false };
    const READONLY: Self = Self { readonly: true, ..Self::NONE };
    const CLOSED: Self = Self { nosuid: true, nodev: true, noexec: true, ..Self::NONE };

    /// Returns the attributes as mount_setattr(2) takes them.
    pub fn bits(self) -> u64 {
        let bit = |is: bool, value: u64| if is { value } else { 0 };
        bit(self.readonly, 0x1)
            | bit(self.nosuid, 0x2)
            | bit(self.nodev, 0x4)
            | bit(self.noexec, 0x8)
            | bit(self.strictatime, 0x20)
    }
}

/// Whether a missing mount point is made as a directory or as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stub {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// As what is mounted, which only the mounting knows.
    LikeSource,
    /// Not at all: the place is there, or nothing is mounted.
    None,
}

/// One line of a [`MountPlan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMount {
    /// Where.
    pub target: TreePath,
    /// What.
    pub content: Content,
    /// What it refuses.
    pub attributes: Attributes,
    /// What a missing mount point becomes.
    pub stub: Stub,
}

/// What is mounted in a sandbox, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPlan(pub Vec<PlannedMount>);

/// Paths that Docker hides.
const MASKED: [&str; 11] = [
    "proc/acpi",
    "proc/asound",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/sched_debug",
    "proc/scsi",
    "sys/firmware",
    "sys/devices/virtual/powercap",
];

/// Paths that Docker makes read-only.
const READONLY: [&str; 5] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// Device files bound from the host, one by one.
const DEVICES: [(&str, &str); 6] = [
    ("dev/null", "/dev/null"),
    ("dev/zero", "/dev/zero"),
    ("dev/full", "/dev/full"),
    ("dev/random", "/dev/random"),
    ("dev/urandom", "/dev/urandom"),
    ("dev/tty", "/dev/tty"),
];

/// Links in /dev.
const LINKS: [(&str, &str); 6] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
    ("dev/core", "/proc/kcore"),
    ("dev/ptmx", "pts/ptmx"),
];

/// Size of /dev and /dev/shm.
const MEMORY: &str = "65536k";

impl MountPlan {
    /// Returns the plan for `instructions`. Supplies are numbered as in [`crate::sandbox::supply::Supplies`]: hosts,
    /// resolv.conf, the script if there is one, then secrets and sockets in the order of their mounts.
    pub fn new(instructions: &Instructions) -> Self {
        let mut plan = Self(Vec::new());
        plan.kernel(instructions.network, instructions.insecure);
        plan.devices(instructions.tier.tty_group, instructions.limits.shm_size);
        plan.names();
        let mut supply = 2;
        if let Some(script) = &instructions.script {
            plan.supply(&format!("dev/pipes/{}", script.name), supply, Attributes::READONLY);
            supply += 1;
        }
        if !instructions.insecure {
            plan.hide();
        }
        plan.user(instructions, supply);
        plan
    }

    fn push(&mut self, target: &str, content: Content, attributes: Attributes, stub: Stub) {
        self.0.push(PlannedMount { target: TreePath::from(target), content, attributes, stub });
    }

    fn fresh(&mut self, target: &str, filesystem: &'static str, options: &[(&'static str, &str)], refuse: Attributes) {
        let options = options.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        self.push(target, Content::Fresh { filesystem, options, optional: false }, refuse, Stub::Directory);
    }

    fn supply(&mut self, target: &str, number: usize, attributes: Attributes) {
        self.push(target, Content::Supply(number), attributes, Stub::File);
    }

    /// /proc and /sys.
    fn kernel(&mut self, network: Network, insecure: bool) {
        let readonly = Attributes { readonly: true, ..Attributes::CLOSED };
        self.fresh("proc", "proc", &[], Attributes::CLOSED);
        match network {
            // A fresh sysfs belongs to a network namespace, and the host's may not be mounted afresh.
            Network::Host => {
                let content = Content::Host { path: "/sys", recursive: true };
                let attributes = if insecure { Attributes::NONE } else { Attributes::READONLY };
                self.push("sys", content, attributes, Stub::Directory);
            }
            Network::None => self.fresh("sys", "sysfs", &[], readonly),
        }
        // Version 1 hierarchies cannot be mounted in a user namespace.
        let content = Content::Fresh { filesystem: "cgroup2", options: Vec::new(), optional: true };
        self.push("sys/fs/cgroup", content, readonly, Stub::None);
    }

    fn devices(&mut self, tty_group: bool, shm_size: Option<u64>) {
        let device = Attributes { nosuid: true, strictatime: true, ..Attributes::NONE };
        self.fresh("dev", "tmpfs", &[("mode", "0755"), ("size", MEMORY)], device);
        for (target, path) in DEVICES {
            self.push(target, Content::Host { path, recursive: false }, Attributes::NONE, Stub::File);
        }
        for (target, text) in LINKS {
            self.push(target, Content::Link(text), Attributes::NONE, Stub::None);
        }
        let mut options = vec![("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];
        if tty_group {
            options.push(("gid", "5"));
        }
        let terminals = Attributes { nosuid: true, noexec: true, ..Attributes::NONE };
        self.fresh("dev/pts", "devpts", &options, terminals);
        let shm_size = shm_size.map_or_else(|| MEMORY.to_owned(), |bytes| bytes.to_string());
        self.fresh("dev/shm", "tmpfs", &[("mode", "1777"), ("size", &shm_size)], Attributes::CLOSED);
        self.fresh("dev/mqueue", "mqueue", &[], Attributes::CLOSED);
    }

    fn names(&mut self) {
        self.supply("etc/hosts", 0, Attributes::READONLY);
        self.supply("etc/resolv.conf", 1, Attributes::READONLY);
    }

    fn hide(&mut self) {
        for path in MASKED {
            self.push(path, Content::Mask, Attributes::READONLY, Stub::None);
        }
        for path in READONLY {
            self.push(path, Content::Itself, Attributes::READONLY, Stub::None);
        }
    }

    fn user(&mut self, instructions: &Instructions, mut supply: usize) {
        for (number, mount) in instructions.mounts.iter().enumerate() {
            let (content, attributes, stub) = match &mount.source {
                UserMountSource::Tree { writable, .. } => {
                    let attributes = Attributes { readonly: !writable, ..Attributes::NONE };
                    (Content::User(number), attributes, Stub::LikeSource)
                }
                UserMountSource::Directory { readonly, .. } => {
                    let attributes = Attributes { readonly: *readonly, ..Attributes::NONE };
                    (Content::User(number), attributes, Stub::Directory)
                }
                UserMountSource::Tmpfs { size } => (tmpfs(*size), TMPFS, Stub::Directory),
                UserMountSource::Secret { mode, .. } => {
                    supply += 1;
                    (Content::Supply(supply - 1), secret(*mode), Stub::File)
                }
                UserMountSource::Socket { .. } => {
                    supply += 1;
                    (Content::Supply(supply - 1), Attributes::NONE, Stub::File)
                }
            };
            self.0.push(PlannedMount { target: mount.target.clone(), content, attributes, stub });
        }
    }
}

const TMPFS: Attributes = Attributes { nosuid: true, ..Attributes::NONE };

fn tmpfs(size: Option<u64>) -> Content {
    let mut options = vec![("mode", "1777".to_owned())];
    options.extend(size.map(|size| ("size", size.to_string())));
    Content::Fresh { filesystem: "tmpfs", options, optional: false }
}

/// Row 1.7-9.
fn secret(mode: u32) -> Attributes {
    Attributes { readonly: true, noexec: mode & 0o111 == 0, nosuid: true, nodev: true, strictatime: false }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.readonly, "ro"),
            (self.nosuid, "nosuid"),
            (self.nodev, "nodev"),
            (self.noexec, "noexec"),
            (self.strictatime, "strictatime"),
        ];
        let names: Vec<&str> = names.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        f.write_str(if names.is_empty() { "-".to_owned() } else { names.join(",") }.as_str())
    }
}

impl fmt::Display for PlannedMount {
    /// Prints one line: where, what, what it refuses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.target)?;
        match &self.content {
            Content::Fresh { filesystem, options, optional } => {
                write!(f, "{filesystem}{}", if *optional { "?" } else { "" })?;
                for (key, value) in options {
                    write!(f, " {key}={value}")?;
                }
            }
            Content::Host { path, recursive } => write!(f, "host:{path}{}", if *recursive { "/**" } else { "" })?,
            Content::Supply(number) => write!(f, "supply:{number}")?,
            Content::User(number) => write!(f, "mount:{number}")?,
            Content::Itself => f.write_str("itself")?,
            Content::Mask => f.write_str("masked")?,
            Content::Link(text) => return write!(f, "-> {text}"),
        }
        write!(f, " {}", self.attributes)
    }
}

#[cfg(test)]
mod tests;
