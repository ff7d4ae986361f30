//! [`examine`]: what this machine allows, as findings with a cure each.

use crate::diagnostic::Diagnose;
use crate::error::StepError;
use crate::exec::LazyWorker;
use crate::plan::op::Network;
use crate::sandbox::limits::RunLimits;
use crate::sandbox::spec::{RunResult, RunSpec};
use crate::worker::id_map::{Caller, IdMap, Tier};
use layerfs::cancel::Cancel;
use layerfs::path::TreePath;
use layerfs::store::Store;
use std::path::Path;

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Good,
    /// Something works less well, or not for all images.
    Limited,
    /// Builds will fail.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How good it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do about it, in one line.
    pub cure: Option<String>,
}

impl Finding {
    /// Returns a finding that is well.
    pub fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, health: Health::Good, found: found.into(), cure: None }
    }

    /// Returns one that is not.
    pub fn wrong(what: &'static str, health: Health, found: impl Into<String>, cure: Option<String>) -> Self {
        Self { what, health, found: found.into(), cure }
    }
}

/// Looks at everything that a RUN needs of this machine, with the store in use; nothing is changed.
pub fn examine(store: &Store, cancel: &Cancel) -> Vec<Finding> {
    let map = IdMap::detect(&Caller::read(None));
    vec![ids(&map), kernel(), mounts(store.root()), sandbox(store, &map, cancel), space(store.root())]
}

fn ids(map: &IdMap) -> Finding {
    const WHAT: &str = "user and group ids";
    let count: u64 = map.users.iter().map(|extent| u64::from(extent.count)).sum();
    match (&map.tier, map.one_id_help()) {
        (Tier::Single(_), cure) => Finding::wrong(
            WHAT,
            Health::Limited,
            "one: images whose files have several owners cannot be unpacked",
            cure,
        ),
        (Tier::Ranges { newuidmap, .. }, _) => Finding::good(WHAT, format!("{count}, by `{}`", newuidmap.display())),
        (Tier::Root, _) => Finding::good(WHAT, format!("{count}, as root")),
    }
}

fn kernel() -> Finding {
    const WHAT: &str = "kernel";
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 12) {
        return Finding::good(WHAT, release);
    }
    let cure = "install Linux 5.12 or newer: its mount calls are needed".to_owned();
    Finding::wrong(WHAT, Health::Bad, release, Some(cure))
}

/// Says how root file systems will be made, by the file system that the store is on.
fn mounts(root: &Path) -> Finding {
    const WHAT: &str = "store";
    // Numbers of statfs(2).
    const KNOWN: [(i64, &str, bool); 8] = [
        (0xEF53, "ext4", true),
        (0x5846_5342, "XFS", true),
        (0x9123_683E, "btrfs", true),
        (0x0102_1994, "tmpfs", true),
        (0x6969, "NFS", false),
        (0x6573_5546, "FUSE", false),
        (0x794c_7630, "overlay", false),
        (0x2fc1_2fc1, "ZFS", true),
    ];
    let Ok(found) = rustix::fs::statfs(root) else {
        return Finding::wrong(WHAT, Health::Bad, "it cannot be looked at", Some("say `--root DIR`".to_owned()));
    };
    let known = KNOWN.iter().find(|(number, ..)| *number == found.f_type);
    let shown = format!("{} on {}", root.display(), known.map_or("another file system", |(_, name, _)| name));
    if known.is_some_and(|(.., overlays)| *overlays) {
        return Finding::good(WHAT, shown);
    }
    let cure = "layers may have to be copied for each RUN: put the store on ext4, XFS or btrfs with `--root DIR`";
    Finding::wrong(WHAT, Health::Limited, shown, Some(cure.to_owned()))
}

/// Has a command started on an empty root: it must fail because there is no such program, and for nothing before that.
fn sandbox(store: &Store, map: &IdMap, cancel: &Cancel) -> Finding {
    const WHAT: &str = "sandbox";
    let worker = LazyWorker::new(store.root(), map, cancel);
    let started = worker.get().and_then(|worker| Ok(worker.run(nothing(), &[], &mut |_, _| {}, cancel)?));
    match started {
        Err(error) if error.exit().is_none() => {
            let diagnostic = error.diagnose();
            Finding::wrong(WHAT, Health::Bad, diagnostic.message, diagnostic.help)
        }
        _ => Finding::good(WHAT, "namespaces, mounts, seccomp and capabilities work"),
    }
}

fn nothing() -> RunSpec {
    RunSpec {
        stack: Vec::new(),
        arguments: vec!["/nothing".to_owned()],
        environment: Vec::new(),
        working_directory: TreePath::root(),
        user: String::new(),
        network: Network::None,
        insecure: false,
        host_name: "doctor".to_owned(),
        extra_hosts: Vec::new(),
        limits: RunLimits::default(),
        mounts: Vec::new(),
        script: None,
        result: RunResult::Discard,
        keep_failed: false,
        terminal: false,
    }
}

fn space(root: &Path) -> Finding {
    const WHAT: &str = "room on disk";
    const LITTLE: u64 = 2 << 30;
    match rustix::fs::statvfs(root) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let shown = format!("{:.1} GB free", free as f64 / 1e9);
            if free >= LITTLE {
                return Finding::good(WHAT, shown);
            }
            Finding::wrong(
                WHAT,
                Health::Limited,
                shown,
                Some("`lbuild prune --all` frees what no image needs".to_owned()),
            )
        }
        Err(error) => {
            Finding::wrong(WHAT, Health::Limited, StepError::io("look at", "the disk", &error.into()).to_string(), None)
        }
    }
}
