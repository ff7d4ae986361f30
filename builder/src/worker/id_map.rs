//! [`IdMap`]: which user and group ids the worker's user namespace has, found out without making one.

use layerfs::digest::Digest;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The most lines that the kernel takes in a map (user_namespaces(7)).
const MOST_LINES: usize = 340;

/// Ids that an image may be expected to use; fewer are worth a warning.
const ENOUGH: u64 = 65_536;

/// One line of a map: `count` ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// First id in the user namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Why there is only one id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SingleReason {
    /// /etc/subuid or /etc/subgid has no line for the user.
    NoRanges {
        /// The file that lacks one.
        file: PathBuf,
        /// The user, by name where it is known.
        user: String,
        /// First of 65,536 ids that no line of either file has.
        free: u32,
    },
    /// newuidmap or newgidmap is not installed.
    NoTool {
        /// Its name.
        tool: &'static str,
    },
    /// newuidmap or newgidmap has neither the setuid bit nor a file capability.
    PowerlessTool {
        /// Which.
        tool: PathBuf,
    },
}

impl SingleReason {
    /// Returns what to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NoRanges { user, free, .. } => {
                let last = free.saturating_add(65_535);
                format!("as root: `usermod --add-subuids {free}-{last} --add-subgids {free}-{last} {user}`")
            }
            Self::NoTool { .. } => {
                "install it: `apt-get install uidmap` (Debian, Ubuntu), `dnf install shadow-utils` (Fedora), \
                 `apk add shadow-uidmap` (Alpine)"
                    .to_owned()
            }
            Self::PowerlessTool { tool } => format!("as root: `chmod u+s {}`", tool.display()),
        }
    }
}

impl std::fmt::Display for SingleReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRanges { file, user, .. } => write!(f, "`{}` has no range for `{user}`", file.display()),
            Self::NoTool { tool } => write!(f, "`{tool}` is not installed"),
            Self::PowerlessTool { tool } => {
                write!(f, "`{}` has neither the setuid bit nor a file capability", tool.display())
            }
        }
    }
}

/// How the map comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tier {
    /// Ranges, by newuidmap and newgidmap at these places.
    Ranges {
        /// newuidmap.
        newuidmap: PathBuf,
        /// newgidmap.
        newgidmap: PathBuf,
    },
    /// As root: the caller writes the map itself.
    Root,
    /// One id, the caller's, for this reason.
    Single(SingleReason),
}

/// Which ids the worker's user namespace has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// User ids.
    pub users: Vec<Extent>,
    /// Group ids.
    pub groups: Vec<Extent>,
    /// How the map comes about.
    pub tier: Tier,
    /// Names the map in the store (`layers/<digest>`): 12 hexadecimal digits.
    pub digest: String,
}

/// Everything about the caller that decides the map; read by [`Caller::read`], or made up by a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Name, where one is known.
    pub name: Option<String>,
    /// Whether it may write maps itself (root with CAP_SETUID, CAP_SETGID and CAP_SETFCAP).
    pub writes_maps: bool,
    /// /proc/self/uid_map.
    pub own_users: String,
    /// /proc/self/gid_map.
    pub own_groups: String,
    /// /etc/subuid.
    pub subuid: String,
    /// /etc/subgid.
    pub subgid: String,
    /// newuidmap, or why there is none.
    pub newuidmap: Result<PathBuf, SingleReason>,
    /// newgidmap, or why there is none.
    pub newgidmap: Result<PathBuf, SingleReason>,
}

impl Caller {
    /// Reads what this process's user has. `name` is asked for only where /etc/passwd does not know the user (LDAP).
    pub fn read(name: Option<&str>) -> Self {
        // A file that is missing says as much as an empty one.
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let known = text("/etc/passwd").lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0].to_owned())
        });
        Self {
            uid,
            gid,
            groups: rustix::process::getgroups()
                .unwrap_or_default()
                .into_iter()
                .map(rustix::process::Gid::as_raw)
                .collect(),
            name: known.or_else(|| name.map(str::to_owned)),
            writes_maps: uid == 0 && may_write_maps(),
            own_users: text("/proc/self/uid_map"),
            own_groups: text("/proc/self/gid_map"),
            subuid: text("/etc/subuid"),
            subgid: text("/etc/subgid"),
            newuidmap: find_tool("newuidmap"),
            newgidmap: find_tool("newgidmap"),
        }
    }
}

fn may_write_maps() -> bool {
    use rustix::thread::CapabilitySet;
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

fn find_tool(tool: &'static str) -> Result<PathBuf, SingleReason> {
    let places = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"];
    let found = places.iter().map(|place| Path::new(place).join(tool)).find(|path| path.exists());
    let path = found.ok_or(SingleReason::NoTool { tool })?;
    let setuid = std::fs::metadata(&path).is_ok_and(|file| file.uid() == 0 && file.permissions().mode() & 0o4000 != 0);
    let mut value = [0; 64];
    let capable = rustix::fs::getxattr(&path, "security.capability", &mut value).is_ok();
    if setuid || capable { Ok(path) } else { Err(SingleReason::PowerlessTool { tool: path }) }
}

impl IdMap {
    /// Finds out which map the caller's user namespace will have: as root the caller's own ids, or root's ranges where it
    /// has any; else the caller as 0 and every range of /etc/subuid and /etc/subgid above it; else the caller alone.
    pub fn detect(caller: &Caller) -> Self {
        if caller.writes_maps {
            return Self::of_root(caller);
        }
        match Self::of_ranges(caller) {
            Ok(map) => map,
            Err(reason) => Self::single(caller, reason),
        }
    }

    /// Container root is real root: the store is root's. Everyone else is of root's ranges if there are any.
    fn of_root(caller: &Caller) -> Self {
        let users = ranges_of(&caller.subuid, caller);
        let groups = ranges_of(&caller.subgid, caller);
        if users.is_empty() || groups.is_empty() {
            return Self::new(identity(&caller.own_users), identity(&caller.own_groups), Tier::Root);
        }
        Self::new(extents(caller.uid, &users), extents(caller.gid, &groups), Tier::Root)
    }

    fn of_ranges(caller: &Caller) -> Result<Self, SingleReason> {
        let no_ranges = |file: &str| {
            let user = caller.name.clone().unwrap_or_else(|| caller.uid.to_string());
            SingleReason::NoRanges { file: file.into(), user, free: first_free(&[&caller.subuid, &caller.subgid]) }
        };
        let users = ranges_of(&caller.subuid, caller);
        let groups = ranges_of(&caller.subgid, caller);
        if users.is_empty() {
            return Err(no_ranges("/etc/subuid"));
        }
        if groups.is_empty() {
            return Err(no_ranges("/etc/subgid"));
        }
        let tier = Tier::Ranges { newuidmap: caller.newuidmap.clone()?, newgidmap: caller.newgidmap.clone()? };
        Ok(Self::new(extents(caller.uid, &users), extents(caller.gid, &groups), tier))
    }

    fn single(caller: &Caller, reason: SingleReason) -> Self {
        Self::new(extents(caller.uid, &[]), extents(caller.gid, &[]), Tier::Single(reason))
    }

    fn new(users: Vec<Extent>, groups: Vec<Extent>, tier: Tier) -> Self {
        let text = format!("{}/{}", printed(&users), printed(&groups));
        let digest = Digest::of(text).hex()[..12].to_owned();
        Self { users, groups, tier, digest }
    }

    /// Reports whether only the caller's own id is mapped.
    pub fn is_single(&self) -> bool {
        matches!(self.tier, Tier::Single(_))
    }

    /// Returns why there is only one id and what to do about it, if there is only one.
    pub fn one_id_help(&self) -> Option<String> {
        match &self.tier {
            Tier::Single(reason) => Some(format!("{reason}; {}", reason.help())),
            Tier::Ranges { .. } | Tier::Root => None,
        }
    }

    /// Returns what the user should know where groups of the caller stay with commands: with one id nobody may drop them.
    pub fn kept_groups(&self, caller: &Caller) -> Option<String> {
        let groups: Vec<String> =
            caller.groups.iter().filter(|gid| **gid != caller.gid).map(ToString::to_string).collect();
        (self.is_single() && !groups.is_empty()).then(|| {
            format!(
                "with one mapped id commands keep the caller's groups ({}), which show as nogroup and open what they open",
                groups.join(", ")
            )
        })
    }

    /// Reports whether the group `gid` is mapped.
    pub fn maps_group(&self, gid: u32) -> bool {
        self.groups.iter().any(|extent| gid >= extent.inside && gid - extent.inside < extent.count)
    }

    /// Returns what the user should know about the map: fewer ids than images use.
    pub fn warning(&self) -> Option<String> {
        let count = |extents: &[Extent]| extents.iter().map(|extent| u64::from(extent.count)).sum::<u64>();
        let least = count(&self.users).min(count(&self.groups));
        (least < ENOUGH && !self.is_single())
            .then(|| format!("only {least} ids are mapped, images may use up to {ENOUGH}"))
    }
}

/// Returns the map as the kernel takes it, one line per extent.
pub(super) fn printed(extents: &[Extent]) -> String {
    extents.iter().map(|extent| format!("{} {} {}\n", extent.inside, extent.outside, extent.count)).collect()
}

/// Returns the caller as 0, and the ranges above it, one after another.
fn extents(own: u32, ranges: &[(u32, u32)]) -> Vec<Extent> {
    let mut all = vec![Extent { inside: 0, outside: own, count: 1 }];
    let mut inside = 1u32;
    for (outside, count) in without(own, ranges) {
        let count = count.min(u32::MAX - inside);
        if count == 0 || all.len() == MOST_LINES {
            break;
        }
        all.push(Extent { inside, outside, count });
        inside += count;
    }
    all
}

/// Returns the ranges with `own` cut out: no id can be mapped twice.
fn without(own: u32, ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut all = Vec::new();
    for (start, count) in ranges {
        match own.checked_sub(*start) {
            Some(before) if before < *count => {
                all.push((*start, before));
                all.push((own + 1, count - before - 1));
            }
            _ => all.push((*start, *count)),
        }
    }
    all.retain(|(_, count)| *count > 0);
    all
}

/// Returns the caller's ranges of a subuid(5) file: lines by name and by number, in order, what overlaps left out.
fn ranges_of(file: &str, caller: &Caller) -> Vec<(u32, u32)> {
    let number = caller.uid.to_string();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in file.lines() {
        let mut fields = line.trim().split(':');
        let owner = fields.next().unwrap_or_default();
        if owner != number && Some(owner) != caller.name.as_deref() {
            continue;
        }
        let (Some(Ok(start)), Some(Ok(count))) = (fields.next().map(str::parse), fields.next().map(str::parse)) else {
            continue;
        };
        let fits = u32::checked_add(start, count).is_some();
        let overlaps =
            ranges.iter().any(|(other, length)| start < other + length && *other < start.saturating_add(count));
        if fits && count > 0 && !overlaps {
            ranges.push((start, count));
        }
    }
    ranges
}

/// Returns the first id above all ranges of subuid(5) files, and at least where useradd(8) begins.
fn first_free(files: &[&str]) -> u32 {
    let ends = files.iter().flat_map(|file| file.lines()).filter_map(|line| {
        let mut numbers = line.trim().split(':').skip(1).map(str::parse::<u32>);
        numbers.next()?.ok()?.checked_add(numbers.next()?.ok()?)
    });
    ends.fold(100_000, u32::max)
}

/// Returns the map of a user namespace to one in which every id is itself, from a /proc/PID/uid_map.
fn identity(map: &str) -> Vec<Extent> {
    let line = |line: &str| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [inside, _, count] = numbers[..] else { return None };
        Some(Extent { inside, outside: inside, count })
    };
    map.lines().filter_map(line).take(MOST_LINES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(subids: &str) -> Caller {
        Caller {
            uid: 1001,
            gid: 1001,
            groups: Vec::new(),
            name: Some("ann".to_owned()),
            writes_maps: false,
            own_users: "         0          0 4294967295\n".to_owned(),
            own_groups: "         0          0 4294967295\n".to_owned(),
            subuid: subids.to_owned(),
            subgid: subids.to_owned(),
            newuidmap: Ok("/usr/bin/newuidmap".into()),
            newgidmap: Ok("/usr/bin/newgidmap".into()),
        }
    }

    #[test]
    fn every_range_of_the_caller_is_used() {
        for (file, wanted) in [
            ("ann:100000:65536\n", "0 1001 1\n1 100000 65536\n"),
            ("bob:1:2\nann:100000:65536\n1001:300000:10\n", "0 1001 1\n1 100000 65536\n65537 300000 10\n"),
            ("ann:100000:65536\n1001:100000:65536\n", "0 1001 1\n1 100000 65536\n"),
            ("ann:1000:10\n", "0 1001 1\n1 1000 1\n2 1002 8\n"),
            ("ann:x:10\nann:5\n:1:1\nann:4294967295:9\nann:7:1\n", "0 1001 1\n1 7 1\n"),
        ] {
            let map = IdMap::detect(&caller(file));
            assert_eq!((printed(&map.users), printed(&map.groups)), (wanted.to_owned(), wanted.to_owned()), "{file}");
        }
    }

    #[test]
    fn no_more_lines_than_the_kernel_takes() {
        let file: String = (0..400).map(|number| format!("ann:{}:1\n", 100_000 + number * 2)).collect();
        assert_eq!(IdMap::detect(&caller(&file)).users.len(), 340);
    }

    #[test]
    fn without_ranges_there_is_one_id_and_a_reason() {
        let map = IdMap::detect(&caller("bob:1:2\n"));
        let reason = SingleReason::NoRanges { file: "/etc/subuid".into(), user: "ann".to_owned(), free: 100_000 };
        assert_eq!((printed(&map.users), map.tier), ("0 1001 1\n".to_owned(), Tier::Single(reason)));
        let taken = IdMap::detect(&caller("bob:100000:65536\neve:x:1\n"));
        let wanted = "`/etc/subuid` has no range for `ann`; as root: `usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann`";
        assert_eq!(taken.one_id_help().as_deref(), Some(wanted));
        assert_eq!(IdMap::detect(&caller("ann:1:2\n")).one_id_help(), None);
        let mut no_tool = caller("ann:100000:65536\n");
        no_tool.newgidmap = Err(SingleReason::NoTool { tool: "newgidmap" });
        assert_eq!(IdMap::detect(&no_tool).tier, Tier::Single(SingleReason::NoTool { tool: "newgidmap" }));
    }

    #[test]
    fn root_keeps_its_ids_or_has_ranges() {
        let mut root = Caller { uid: 0, gid: 0, name: Some("root".to_owned()), writes_maps: true, ..caller("") };
        assert_eq!(printed(&IdMap::detect(&root).users), "0 0 4294967295\n");
        root.subuid = "root:100000:65536\n".to_owned();
        root.subgid = root.subuid.clone();
        assert_eq!(printed(&IdMap::detect(&root).users), "0 0 1\n1 100000 65536\n");
        assert!(IdMap::detect(&root).maps_group(5));
    }

    #[test]
    fn maps_have_names_of_their_own() {
        let one = IdMap::detect(&caller("ann:100000:65536\n"));
        let other = IdMap::detect(&caller("ann:200000:65536\n"));
        assert_eq!((one.digest.len(), one.digest == other.digest), (12, false));
        assert_eq!(one.warning(), None);
        assert!(IdMap::detect(&caller("ann:100000:10\n")).warning().is_some());
    }

    #[test]
    fn groups_that_stay_are_told() {
        let ranges = "ann:100000:65536\n";
        for (groups, subids, wanted) in [
            (&[][..], "", None),
            (&[1001], "", None),
            (&[1001, 27, 998], "", Some("(27, 998)")),
            (&[1001, 27, 998], ranges, None),
        ] {
            let caller = Caller { groups: groups.to_vec(), ..caller(subids) };
            let told = IdMap::detect(&caller).kept_groups(&caller);
            assert_eq!(told.is_some(), wanted.is_some(), "{groups:?} {told:?}");
            assert!(wanted.is_none_or(|wanted| told.is_some_and(|told| told.contains(wanted))), "{groups:?}");
        }
    }
}
