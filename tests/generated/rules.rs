//! [`Rules`]: what another builder does otherwise, and why.

use super::case::{Case, Copy, step};
use super::peer::Peer;
use crate::tree::{Difference, Field};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// One difference of one field of one path.
pub struct Seen<'a> {
    /// The path, as a snapshot writes it.
    pub path: &'a str,
    /// The case that the path is of; none for the root.
    pub case: Option<&'a Case>,
    /// Which field differs.
    pub field: Field,
    /// All fields of lbuild's path.
    pub ours: &'a [String],
    /// All fields of the other's.
    pub theirs: &'a [String],
    /// When the test began, in seconds.
    pub began: i64,
}

impl<'a> Seen<'a> {
    fn copies(&self) -> impl Iterator<Item = &'a Copy> {
        self.case.into_iter().flat_map(Case::copies)
    }
}

/// A field that another builder has otherwise.
struct FieldRule {
    name: &'static str,
    peers: &'static [&'static str],
    explains: fn(&Seen) -> bool,
}

const BOTH: &[&str] = &["Buildah", "BuildKit"];
const BUILDAH: &[&str] = &["Buildah"];
const BUILDKIT: &[&str] = &["BuildKit"];

const FIELDS: &[FieldRule] = &[
    // Directories that COPY, ADD and WORKDIR make, or copy into, have the time of the build in Buildah and in BuildKit of
    // Docker 20.10, or keep theirs if nothing is put into them; in lbuild, as in later ones, the source's (1.6-3, 1.6-10).
    FieldRule {
        name: "directories have a time of their own",
        peers: BOTH,
        explains: |seen| {
            let (ours, theirs) = (seen.ours, seen.theirs);
            let time = seconds(theirs);
            let own = time == DESTINATION || (seen.began..=now()).contains(&time);
            let both = is(ours, "directory") && is(theirs, "directory");
            seen.field == Field::Mtime && both && own && seen.case.is_none_or(|case| case.writes_into(seen.path))
        },
    },
    // Buildah sets the time of a directory of an archive before it unpacks what is in it (1.6-18).
    FieldRule {
        name: "directories of archives have the time of the build",
        peers: BUILDAH,
        explains: |seen| {
            let both = is(seen.ours, "directory") && is(seen.theirs, "directory");
            let built = (seen.began..=now()).contains(&seconds(seen.theirs));
            seen.field == Field::Mtime && both && built && seen.case.is_some_and(|case| case.unpacks_into(seen.path))
        },
    },
    // An archive may have an entry for its root; the destination stays as it is all the same (1.6-18).
    FieldRule {
        name: "the root of an archive changes the destination",
        peers: BUILDAH,
        explains: |seen| {
            let both = is(seen.ours, "directory") && is(seen.theirs, "directory");
            let packed = ["21:22", "0:0"].contains(&&*seen.theirs[Field::Owner as usize]);
            let field = matches!(seen.field, Field::Owner | Field::Mode);
            field && both && packed && seen.case.is_some_and(|case| case.unpacks_at(seen.path))
        },
    },
    // The stage's `/s` is a directory that COPY made; it is copied with its time (1.6-3).
    FieldRule {
        name: "a directory that a stage made has the time of the build",
        peers: BUILDAH,
        explains: |seen| {
            let stage = seen.path.trim_matches(['\'', '"']).ends_with("/s") && seen.copies().any(|copy| copy.from);
            let both = is(seen.ours, "directory") && is(seen.theirs, "directory");
            let built = (seen.began..=now()).contains(&seconds(seen.theirs));
            seen.field == Field::Mtime && stage && both && built
        },
    },
    // Buildah's image says nothing of the root, which `COPY first /` gives a time.
    FieldRule {
        name: "the root has no time",
        peers: BUILDAH,
        explains: |seen| seen.field == Field::Mtime && seen.path == "''" && nanoseconds(seen.theirs) == 0,
    },
    // BuildKit's tar exporter drops fractions of a second, and so does Buildah. Ours are those of the context's files.
    FieldRule {
        name: "times are whole seconds",
        peers: BOTH,
        explains: |seen| {
            let fraction = nanoseconds(seen.ours).rem_euclid(1_000_000_000);
            let whole = nanoseconds(seen.ours) - fraction == nanoseconds(seen.theirs);
            seen.field == Field::Mtime && whole && FRACTIONS.contains(&fraction)
        },
    },
    // Buildah 1.28 takes these bits off what comes from the context; BuildKit keeps them (1.6-10).
    FieldRule {
        name: "setuid, setgid and sticky bits of the context are dropped",
        peers: BUILDAH,
        explains: |seen| {
            let of_context = if is(seen.ours, "directory") { DIRECTORY_BITS } else { FILE_BITS };
            let dropped = mode(seen.ours) & 0o777 == mode(seen.theirs);
            seen.field == Field::Mode && dropped && of_context.contains(&mode(seen.ours))
        },
    },
    // BuildKit gives an octal `--chmod` to directories that are made on the way; Docker 20.10 did not yet (1.6-13).
    FieldRule {
        name: "`--chmod` is not for directories made on the way",
        peers: BOTH,
        explains: |seen| {
            let given = seen.copies().filter_map(|copy| copy.chmod).any(|given| octal(given) == mode(seen.ours));
            let made = is(seen.ours, "directory") && seen.case.is_some_and(|case| case.writes_into(seen.path));
            seen.field == Field::Mode && made && mode(seen.theirs) == 0o755 && given
        },
    },
    // In Docker 20.10 `--chmod` left the bits above 0777 as they were, and was never given its own (1.6-13).
    FieldRule {
        name: "`--chmod` is for the lower nine bits",
        peers: BUILDKIT,
        explains: |seen| {
            let given = seen.copies().filter_map(|copy| copy.chmod).any(|given| octal(given) == mode(seen.ours));
            seen.field == Field::Mode && mode(seen.ours) & 0o777 == mode(seen.theirs) & 0o777 && given
        },
    },
    // In Docker 20.10 and Buildah 1.28 `--chown` says nothing about what is unpacked (1.6-19).
    FieldRule {
        name: "`--chown` is not for archives",
        peers: BOTH,
        explains: |seen| {
            let given = seen.copies().any(|copy| copy.add && copy.chown.is_some());
            seen.field == Field::Owner && given && ["0:0", "21:22"].contains(&&*seen.theirs[Field::Owner as usize])
        },
    },
    // BuildKit's tar exporter writes none.
    FieldRule {
        name: "extended attributes are not exported",
        peers: BUILDKIT,
        explains: |seen| seen.field == Field::Xattrs && seen.theirs[Field::Xattrs as usize] == "{}",
    },
];

/// A case that one of the two refuses.
struct RefusalRule {
    name: &'static str,
    peers: &'static [&'static str],
    explains: fn(&Case, &str) -> bool,
}

/// Returns the path at which lbuild says that something is in the way, and whether it is a directory.
fn in_the_way_of(error: &str) -> Option<(&str, bool)> {
    let ways = [("cannot copy to non-directory: `", false), ("cannot replace to directory `", true)];
    ways.into_iter().find_map(|(text, directory)| {
        let (_, rest) = error.split_once(text)?;
        Some((rest.split_once('`')?.0, directory))
    })
}

/// What only lbuild refuses, by its error.
const REFUSED: &[RefusalRule] = &[
    // BuildKit refuses to put a directory where something else is, and the reverse; Buildah puts it in its place (1.6-5).
    RefusalRule {
        name: "what is in the way is replaced",
        peers: BUILDAH,
        explains: |case, error| {
            let way = ["cannot copy to non-directory: `", "cannot replace to directory `"];
            way.iter().any(|way| error.contains(&format!("{way}/c{}/", case.number)))
        },
    },
    RefusalRule {
        name: "WORKDIR may be a file",
        peers: BUILDAH,
        explains: |_, error| error.contains("is not a directory") && error.contains("| WORKDIR"),
    },
];

/// What only the other refuses, by its error.
const ACCEPTED: &[RefusalRule] = &[
    // In BuildKit a pattern may match nothing (1.6-6).
    RefusalRule {
        name: "a pattern has to match",
        peers: BUILDAH,
        explains: |case, error| {
            // All that is missing is patterns, or what they match is all ignored.
            let patterns: Vec<String> = case.copies().flat_map(Copy::patterns).collect();
            let missing = between(error, "copier: stat: [", "]: no such file");
            let ignored = between(error, "no items matching glob ", " copied (");
            missing.is_some_and(|list| words(list).iter().all(|word| patterns.contains(word)))
                || ignored.is_some_and(|glob| patterns.iter().any(|it| glob.trim_matches('"').ends_with(it.as_str())))
        },
    },
    // Buildah reads the names that a pattern matched as patterns again.
    RefusalRule {
        name: "what a pattern matched has to match itself",
        peers: BUILDAH,
        explains: |case, error| {
            let name = between(error, "copier: get: globs [", "] matched nothing");
            let patterns: Vec<String> = case.copies().flat_map(Copy::patterns).collect();
            name.is_some_and(|name| name.contains(['\\', '[', '*', '?']) && !patterns.iter().any(|it| it == name))
        },
    },
    // What `/.` at the end of a destination made a file is none to go below (1.6-2).
    RefusalRule {
        name: "`/.` at the end of a destination is nothing",
        peers: BUILDAH,
        explains: |case, error| {
            let made = |copy: &Copy| copy.to.strip_suffix("/.").map(|to| format!("mkdir {to}/"));
            let below = case.copies().filter_map(made).any(|text| error.contains(&text));
            below && error.contains(": not a directory")
        },
    },
    // A pattern that matches nothing copies nothing, whatever stands at the destination (1.6-6).
    RefusalRule {
        name: "a destination is looked at though nothing is copied",
        peers: BUILDAH,
        explains: |case, error| {
            let copy = case.copies().find(|copy| error.contains(&step(&copy.printed())));
            let patterns = copy.is_some_and(|copy| copy.sources.iter().all(|source| source.contains(['*', '?', '['])));
            let refused = ["already exists but is not a directory", "ensuring target directory exists"];
            patterns && refused.iter().any(|text| error.contains(text))
        },
    },
    // Buildah 1.28 gives up where a file gets a name of its own that is not ASCII, and says only that a pipe was closed.
    RefusalRule {
        name: "a new name has to be ASCII",
        peers: BUILDAH,
        explains: |case, error| {
            let copy = case.copies().find(|copy| error.contains(&step(&copy.printed())));
            let name = copy.and_then(|copy| copy.to.rsplit('/').next());
            error.contains("read/write on closed pipe") && name.is_some_and(|name| !name.is_ascii())
        },
    },
    // BuildKit gives up where a copied directory meets a link to a directory; lbuild merges the two, as Buildah does.
    RefusalRule {
        name: "a directory does not go through a link",
        peers: BUILDKIT,
        explains: |_, error| error.contains("cannot copy to non-directory"),
    },
    // Docker 20.10 walked below files.
    RefusalRule {
        name: "a pattern may not go through a file",
        peers: BUILDKIT,
        explains: |case, error| {
            case.copies().any(Copy::has_pattern)
                && error.contains("not a directory")
                && error.contains("error from sender: lstat")
        },
    },
    // In Docker 20.10 a `\` before a plain character was lost before the pattern was read.
    RefusalRule {
        name: "escapes are lost",
        peers: BUILDKIT,
        explains: |case, error| {
            case.copies().any(|copy| copy.sources.iter().any(|source| source.contains('\\')))
                && error.contains("no such file or directory")
        },
    },
];

/// Fractions of a second that files of a context have, in nanoseconds.
const FRACTIONS: [i64; 2] = [250_000_000, 123_456_789];
/// Modes of a context's files that Buildah takes bits off.
const FILE_BITS: &[u32] = &[0o4755, 0o2711];
/// Modes of a context's directories that Buildah takes bits off.
const DIRECTORY_BITS: &[u32] = &[0o1777, 0o2755];

/// Returns what stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// Returns the words of a list that Go wrote: `"/a" "/b*"`.
fn words(list: &str) -> Vec<String> {
    list.split("\" \"").map(|word| word.trim_matches('"').replace("\\\\", "\\")).collect()
}

/// The time of what stands at a case's destination before.
const DESTINATION: i64 = 1_400_000_000;

/// Returns the time in seconds.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs().cast_signed()
}

fn is(fields: &[String], kind: &str) -> bool {
    fields[Field::Kind as usize] == kind
}

fn octal(text: &str) -> u32 {
    u32::from_str_radix(text, 8).expect("an octal number")
}

fn nanoseconds(fields: &[String]) -> i64 {
    fields[Field::Mtime as usize].parse().expect("a time")
}

fn seconds(fields: &[String]) -> i64 {
    nanoseconds(fields).div_euclid(1_000_000_000)
}

fn mode(fields: &[String]) -> u32 {
    octal(&fields[Field::Mode as usize])
}

/// What another builder does otherwise, and how often it was seen.
pub struct Rules {
    peer: &'static str,
    began: i64,
    used: BTreeMap<&'static str, usize>,
}

impl Rules {
    /// Returns the rules for a builder.
    pub fn of(peer: &Peer) -> Self {
        Self { peer: peer.name(), began: now(), used: BTreeMap::new() }
    }

    /// Reports whether a case has what the other does not know: in Docker 20.10 `/.` at the end of a destination did not
    /// make it a directory yet (1.6-2).
    pub fn unknown(&mut self, case: &Case) -> bool {
        let unknown = self.peer == "BuildKit" && case.copies().any(|copy| copy.to.ends_with("/."));
        unknown && self.used("`/.` at the end of a destination is nothing")
    }

    /// Reports whether there is a reason that only lbuild refuses a case. `in_the_way` says whether the other has, before
    /// the instruction that is refused, what the error says is in its way.
    pub fn refusal(&mut self, case: &Case, error: &str, in_the_way: impl FnOnce(&str, bool) -> bool) -> bool {
        let way = in_the_way_of(error);
        if way.is_some_and(|(path, directory)| !in_the_way(path, directory)) {
            return false;
        }
        self.outcome(REFUSED, case, error)
    }

    /// Reports whether there is a reason that only the other refuses a case.
    pub fn acceptance(&mut self, case: &Case, error: &str) -> bool {
        self.outcome(ACCEPTED, case, error)
    }

    fn outcome(&mut self, rules: &[RefusalRule], case: &Case, error: &str) -> bool {
        let rule = rules.iter().find(|rule| rule.peers.contains(&self.peer) && (rule.explains)(case, error));
        rule.is_some_and(|rule| self.used(rule.name))
    }

    /// Returns what has no reason of the differences between a case's trees; of the root's, if there is no case.
    pub fn unexplained(&mut self, case: Option<&Case>, differences: &[&Difference]) -> Vec<String> {
        let through = self.through(case, differences);
        let mut below = None;
        let mut unexplained = Vec::new();
        for difference in differences {
            if below.as_ref().is_some_and(|top: &String| difference.path.starts_with(top)) {
                continue;
            }
            if through.contains(&difference.path.as_str()) {
                continue;
            }
            if self.dangling(difference, differences) || self.dot(case, difference, differences) {
                below = Some(format!("{}/", difference.path.trim_end_matches(['\'', '"'])));
                continue;
            }
            unexplained.extend(self.unexplained_path(case, difference));
        }
        unexplained
    }

    /// Buildah replaces a destination that is a link to a file; BuildKit writes the file that the link leads to (1.6-9).
    /// Returns both paths of each such pair.
    fn through<'a>(&mut self, case: Option<&Case>, all: &[&'a Difference]) -> Vec<&'a str> {
        let mut paths = Vec::new();
        if self.peer != "Buildah" {
            return paths;
        }
        for link in all {
            let (Some(ours), Some(theirs)) = (&link.ours, &link.theirs) else { continue };
            let written = |other: &&&Difference| {
                let file = other.ours.as_ref().filter(|file| is(file, "file"));
                file.is_some_and(|file| file[Field::Content as usize] == theirs[Field::Content as usize])
            };
            let target = all.iter().find(written).filter(|_| is(ours, "symlink") && is(theirs, "file"));
            // What stands at the end of the link is in all else what Buildah put in the link's place.
            let mut same = |target: &Difference| {
                let file =
                    Difference { path: target.path.clone(), ours: target.ours.clone(), theirs: link.theirs.clone() };
                self.unexplained_path(case, &file).is_none()
            };
            if let Some(target) = target.filter(|&target| same(target)) {
                self.used("a link to a file as destination is replaced");
                paths.extend([link.path.as_str(), target.path.as_str()]);
                continue;
            }
            // Or a later instruction wrote there again.
            let replaced = is(ours, "symlink") && is(theirs, "file");
            let target = between(&ours[Field::Content as usize], "b'", "'").filter(|_| replaced);
            if target.is_some_and(|target| case.is_some_and(|case| case.writes_beside(&link.path, target))) {
                self.used("a link to a file as destination is replaced");
                paths.push(link.path.as_str());
            }
        }
        paths
    }

    /// Buildah makes a directory of a destination that is a link to nothing, and puts the file there; BuildKit makes the
    /// file that the link leads to (1.6-9).
    fn dangling(&mut self, difference: &Difference, all: &[&Difference]) -> bool {
        let (Some(ours), Some(theirs)) = (&difference.ours, &difference.theirs) else { return false };
        let top = format!("{}/", difference.path.trim_end_matches(['\'', '"']));
        let same = |other: &Difference| {
            let file = other.theirs.as_ref().filter(|_| other.ours.is_none() && other.path.starts_with(&top));
            file.is_some_and(|file| file[Field::Content as usize] == ours[Field::Content as usize])
        };
        let explained = self.peer == "Buildah" && !is(ours, "directory") && is(theirs, "directory");
        explained
            && all.iter().any(|other| same(other))
            && self.used("a dangling link as destination is made a directory")
    }

    /// In Buildah a destination that ends in `/.` may become a file; in BuildKit it is a directory, and the file in it
    /// (1.6-2).
    fn dot(&mut self, case: Option<&Case>, difference: &Difference, all: &[&Difference]) -> bool {
        let (Some(ours), Some(theirs)) = (&difference.ours, &difference.theirs) else { return false };
        let top = format!("{}/", difference.path.trim_end_matches(['\'', '"']));
        let same = |other: &&Difference| {
            let file = other.ours.as_ref().filter(|_| other.theirs.is_none() && other.path.starts_with(&top));
            file.is_some_and(|file| file[Field::Content as usize] == theirs[Field::Content as usize])
        };
        let dot = case.is_some_and(|case| case.copies().any(|copy| copy.to.ends_with("/.")));
        let explained = self.peer == "Buildah" && dot && is(ours, "directory") && is(theirs, "file");
        explained && all.iter().any(same) && self.used("`/.` at the end of a destination is nothing")
    }

    fn unexplained_path(&mut self, case: Option<&Case>, difference: &Difference) -> Option<String> {
        let path = &difference.path;
        let (ours, theirs) = match (&difference.ours, &difference.theirs) {
            (Some(ours), Some(theirs)) => (ours, theirs),
            (Some(ours), None) => return Some(format!("{path}: only lbuild has {ours:?}")),
            (None, theirs) => return Some(format!("{path}: only {} has {theirs:?}", self.peer)),
        };
        let differing = Field::ALL.into_iter().filter(|field| ours[*field as usize] != theirs[*field as usize]);
        let unexplained: Vec<String> = differing
            .filter(|field| !self.explains(&Seen { path, case, field: *field, ours, theirs, began: self.began }))
            .map(|field| format!("{field:?} {} and {}", ours[field as usize], theirs[field as usize]))
            .collect();
        (!unexplained.is_empty()).then(|| format!("{path}: {}", unexplained.join(", ")))
    }

    fn explains(&mut self, seen: &Seen) -> bool {
        let rule = FIELDS.iter().find(|rule| rule.peers.contains(&self.peer) && (rule.explains)(seen));
        rule.is_some_and(|rule| self.used(rule.name))
    }

    fn used(&mut self, rule: &'static str) -> bool {
        *self.used.entry(rule).or_default() += 1;
        true
    }

    /// Prints which rules were needed, and how often.
    pub fn report(&self) {
        for (name, count) in &self.used {
            eprintln!("{count:6} {name}");
        }
    }
}
