//! `lbuild prune`: what may go.

use super::SettingsError;
use crate::args::PruneArgs;
use builder::dockerfile::suggest::nearest;
use builder::plan::size;
use builder::{PruneOptions, Room};
use layerfs::store::Kind;
use std::time::Duration;

/// Kinds that can be named.
pub const KINDS: [(&str, Option<Kind>); 7] = [
    // Images go by taking their names away, which is no matter of gc.
    (IMAGES, None),
    ("layers", Some(Kind::Layers)),
    ("records", Some(Kind::Records)),
    ("caches", Some(Kind::Caches)),
    ("derivatives", Some(Kind::Derivatives)),
    ("leftovers", Some(Kind::Leftovers)),
    // Beside the store, and of this crate.
    (LOGS, None),
];
/// BuildKit's types of what a build keeps (FEATURES 3.5-1), as kinds. It keeps contexts and checkouts, lbuild nothing of them.
const TYPES: [(&str, &[&str]); 6] = [
    ("exec.cachemount", &["caches"]),
    ("regular", &["layers", "records", "derivatives"]),
    ("source.local", &[]),
    ("source.git.checkout", &[]),
    ("frontend", &[]),
    ("internal", &[]),
];
const IMAGES: &str = "images";
const LOGS: &str = "logs";

/// What may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneSettings {
    /// Of the store.
    pub options: PruneOptions,
    /// Whether anything of the store goes.
    pub store: bool,
    /// Whether images go: those without a name, with `all` those that have one, too.
    pub images: bool,
    /// Whether logs of builds go.
    pub logs: bool,
}

/// Returns what `args` mean.
///
/// # Errors
/// [`SettingsError`].
pub fn prune(args: &PruneArgs) -> Result<PruneSettings, SettingsError> {
    let (mut names, mut unused_for, mut by_type) = (args.kind.clone(), None, false);
    for text in &args.filter {
        match text.strip_prefix("type=") {
            Some(name) => {
                names.extend(kinds_of_type(text, name)?.iter().map(|kind| (*kind).to_owned()));
                by_type = true;
            }
            None => unused_for = Some(until(text)?),
        }
    }
    let kinds = names.iter().map(|text| kind(text)).collect::<Result<Vec<_>, _>>()?;
    let bytes = |flag, text: &Option<String>| text.as_ref().map(|text| size(flag, text)).transpose();
    let room = Room {
        most: bytes("--max-used-space", &args.max_used_space)?,
        free: bytes("--min-free-space", &args.min_free_space)?,
        keep: bytes("--keep", &args.keep)?,
    };
    let named = |kind: &str| names.iter().any(|text| text == kind);
    let any = kinds.is_empty() && !by_type;
    let logs = if any { args.all && !room.is_bounded() } else { named(LOGS) };
    let mut of_store: std::collections::BTreeSet<Kind> = kinds.iter().copied().flatten().collect();
    if named(IMAGES) {
        // What only they needed.
        of_store.extend([Kind::Layers, Kind::Derivatives, Kind::Leftovers]);
    }
    let store = any || !of_store.is_empty();
    let options = PruneOptions { all: args.all, kinds: of_store, unused_for, room };
    Ok(PruneSettings { options, store, images: named(IMAGES), logs })
}

fn kinds_of_type(filter: &str, name: &str) -> Result<&'static [&'static str], SettingsError> {
    let found = TYPES.iter().find(|(known, _)| *known == name);
    let names = TYPES.map(|(name, _)| name).join(", ");
    let wrong =
        || SettingsError::Malformed { flag: "--filter", text: filter.to_owned(), why: format!("types are {names}") };
    found.map(|(_, kinds)| *kinds).ok_or_else(wrong)
}

fn kind(text: &str) -> Result<Option<Kind>, SettingsError> {
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == text) {
        return Ok(*kind);
    }
    let names = KINDS.map(|(name, _)| name);
    let why = match nearest(text, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("kinds are {}", names.join(", ")),
    };
    Err(SettingsError::Malformed { flag: "--kind", text: text.to_owned(), why })
}

/// Reads `until=24h`.
fn until(text: &str) -> Result<Duration, SettingsError> {
    let wrong = |why: &str| SettingsError::Malformed { flag: "--filter", text: text.to_owned(), why: why.to_owned() };
    let Some(value) = text.strip_prefix("until=").or_else(|| text.strip_prefix("unused-for=")) else {
        return Err(wrong("filters are `until=AGE`, as `until=24h`, and `type=TYPE`, as `type=exec.cachemount`"));
    };
    duration(value).ok_or_else(|| wrong("an age is written as `90m`, `24h` or `7d`"))
}

/// Reads numbers with units: `90m`, `1h30m`, `7d`.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let number: u64 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        let worth = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            'w' => 7 * 24 * 3600,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(worth)?)?;
        rest = &rest[end + unit.len_utf8()..];
    }
    (!text.is_empty()).then_some(Duration::from_secs(seconds))
}

fn size(flag: &'static str, text: &str) -> Result<u64, SettingsError> {
    let why = "write a number of bytes, or one with a unit such as `10g`".to_owned();
    size::parse(text).ok_or_else(|| SettingsError::Malformed { flag, text: text.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn meant(arguments: &[&str]) -> Result<PruneSettings, String> {
        let args = Args::try_parse_from(["lbuild", "prune"].iter().chain(arguments)).expect("parses");
        let Command::Prune(args) = args.command else { panic!("prune") };
        prune(&args).map_err(|error| error.to_string())
    }

    /// FEATURES 3.5-1.
    #[test]
    fn what_may_go_is_said_by_kind_age_and_size() {
        let options = |arguments: &[&str]| meant(arguments).map(|settings| settings.options);
        assert_eq!(options(&[]), Ok(PruneOptions::default()));
        let hour = Some(Duration::from_secs(5400));
        assert_eq!(options(&["--filter", "until=1h30m"]).map(|options| options.unused_for), Ok(hour));
        for (arguments, most, free, keep) in [
            (&["--max-used-space=1k"][..], Some(1024), None, None),
            (&["--keep=2k"], None, None, Some(2048)),
            (
                &["--max-used-space=1k", "--keep-storage=2k", "--min-free-space=1m"],
                Some(1024),
                Some(1 << 20),
                Some(2048),
            ),
        ] {
            assert_eq!(options(arguments).map(|options| options.room), Ok(Room { most, free, keep }), "{arguments:?}");
        }
        let kinds = |arguments: &[&str]| options(arguments).map(|options| options.kinds);
        assert_eq!(kinds(&["--filter=type=exec.cachemount"]), Ok([Kind::Caches].into()));
        assert_eq!(
            kinds(&["--filter", "type=regular", "--filter", "until=1h"]),
            Ok([Kind::Layers, Kind::Records, Kind::Derivatives].into())
        );
        for (arguments, store, logs) in [
            (&[][..], true, false),
            (&["-a"], true, true),
            (&["-a", "--max-used-space=1g"], true, false),
            (&["--kind=logs"], false, true),
            (&["--kind=images"], true, false),
            (&["--kind=caches,logs"], true, true),
            (&["--filter=type=exec.cachemount"], true, false),
            (&["-a", "--filter=type=source.local"], false, false),
        ] {
            let settings = meant(arguments).expect("good");
            assert_eq!((settings.store, settings.logs), (store, logs), "{arguments:?}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (arguments, wanted) in [
            (&["--kind=cahces"][..], "`--kind cahces`: did you mean `caches`?"),
            (
                &["--filter=label=x"],
                "`--filter label=x`: filters are `until=AGE`, as `until=24h`, and `type=TYPE`, as `type=exec.cachemount`",
            ),
            (
                &["--filter=type=cache"],
                "`--filter type=cache`: types are exec.cachemount, regular, source.local, source.git.checkout, frontend, internal",
            ),
            (&["--filter=until=soon"], "`--filter until=soon`: an age is written as `90m`, `24h` or `7d`"),
            (&["--filter=until="], "`--filter until=`: an age is written as `90m`, `24h` or `7d`"),
            (
                &["--filter=until=99999999999999999999d"],
                "`--filter until=99999999999999999999d`: an age is written as `90m`, `24h` or `7d`",
            ),
            (&["--keep=much"], "`--keep much`: write a number of bytes, or one with a unit such as `10g`"),
        ] {
            assert_eq!(meant(arguments), Err(wanted.to_owned()));
        }
    }
}
