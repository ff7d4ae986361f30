//! [`Rules`]: what another builder does otherwise, and why.

use super::case::Case;
use super::peer::Peer;
use crate::tree::{Difference, Field};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// One difference of one field of one path.
pub struct Seen<'a> {
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

/// A field that another builder has otherwise.
struct FieldRule {
    name: &'static str,
    peers: &'static [&'static str],
    explains: fn(&Seen) -> bool,
}

const BOTH: &[&str] = &["Buildah", "BuildKit"];
const BUILDAH: &[&str] = &["Buildah"];

const FIELDS: &[FieldRule] = &[
    // Directories that COPY, ADD and WORKDIR make, or copy into, have the time of the build in Buildah and in BuildKit of
    // Docker 20.10; in lbuild, as in later ones, the source's (1.6-3, 1.6-10).
    FieldRule {
        name: "directories have the time of the build",
        peers: BOTH,
        explains: |seen| {
            seen.field == Field::Mtime
                && seen.theirs[Field::Kind as usize] == "directory"
                && seconds(seen.theirs) >= seen.began
        },
    },
    // BuildKit's tar exporter drops fractions of a second, Buildah rounds them.
    FieldRule {
        name: "times are whole seconds",
        peers: BOTH,
        explains: |seen| {
            let apart = (nanoseconds(seen.ours) - nanoseconds(seen.theirs)).abs();
            seen.field == Field::Mtime && apart < 1_000_000_000 && nanoseconds(seen.theirs) % 1_000_000_000 == 0
        },
    },
    // Buildah 1.28 takes these bits off what comes from the context; BuildKit keeps them (1.6-10).
    FieldRule {
        name: "setuid, setgid and sticky bits of the context are dropped",
        peers: BUILDAH,
        explains: |seen| seen.field == Field::Mode && mode(seen.ours) & 0o777 == mode(seen.theirs),
    },
];

fn nanoseconds(fields: &[String]) -> i64 {
    fields[Field::Mtime as usize].parse().expect("a time")
}

fn seconds(fields: &[String]) -> i64 {
    nanoseconds(fields).div_euclid(1_000_000_000)
}

fn mode(fields: &[String]) -> u32 {
    u32::from_str_radix(&fields[Field::Mode as usize], 8).expect("a mode")
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
        let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs().cast_signed();
        Self { peer: peer.name(), began, used: BTreeMap::new() }
    }

    /// Reports whether there is a reason that only lbuild refuses a case.
    pub fn refusal(&mut self, _case: &Case, _error: &str) -> bool {
        false
    }

    /// Reports whether there is a reason that only the other refuses a case.
    pub fn acceptance(&mut self, _case: &Case, _error: &str) -> bool {
        false
    }

    /// Returns what of a difference has no reason.
    pub fn unexplained(&mut self, case: Option<&Case>, difference: &Difference) -> Option<String> {
        let (Some(ours), Some(theirs)) = (&difference.ours, &difference.theirs) else {
            return Some(format!(
                "only {} has {} {:?}",
                if difference.ours.is_some() { "lbuild" } else { self.peer },
                difference.path,
                difference.ours.as_ref().or(difference.theirs.as_ref())
            ));
        };
        let differing = Field::ALL.into_iter().filter(|field| ours[*field as usize] != theirs[*field as usize]);
        let unexplained: Vec<String> = differing
            .filter(|field| !self.explains(&Seen { case, field: *field, ours, theirs, began: self.began }))
            .map(|field| format!("{field:?} {} and {}", ours[field as usize], theirs[field as usize]))
            .collect();
        (!unexplained.is_empty()).then(|| format!("{}: {}", difference.path, unexplained.join(", ")))
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
