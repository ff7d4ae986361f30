//! containers' `registries.conf`, version 2 (containers-registries.conf(5)), and its drop-ins.

use super::Serves;
use crate::registry::error::RegistryError;
use crate::registry::settings::file::wrong;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What one or several such files say. Where files differ, the later one counts.
#[derive(Debug, Clone, Default)]
pub(super) struct RegistriesConf {
    /// The tables `[[registry]]`, one for a prefix.
    pub registries: Vec<Registry>,
    /// Short names and what they stand for.
    pub aliases: BTreeMap<String, String>,
}

/// A table `[[registry]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registry {
    /// Where names that it is about begin: `host[:port][/path][:tag|@digest]`, or `*.host`.
    pub prefix: String,
    /// What stands in the prefix's place when an image is read; nothing if it is read from where its name says.
    pub location: Option<String>,
    /// May show any certificate, or speak without TLS.
    pub insecure: bool,
    /// Must not be used.
    pub blocked: bool,
    /// What is asked first.
    pub mirrors: Vec<Mirror>,
    /// The file that says so.
    pub file: PathBuf,
}

/// A table `[[registry.mirror]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    /// What stands in the prefix's place.
    pub location: String,
    /// May show any certificate, or speak without TLS.
    pub insecure: bool,
    /// What it is asked for.
    pub serves: Serves,
}

impl RegistriesConf {
    /// Takes over what a later file says.
    pub fn overlay(&mut self, later: Self) {
        for registry in later.registries {
            self.registries.retain(|earlier| earlier.prefix != registry.prefix);
            self.registries.push(registry);
        }
        self.aliases.extend(later.aliases);
    }
}

/// Returns what the file `path` with `text` says.
///
/// # Errors
/// [`RegistryError::Settings`] with the line and what is wrong.
pub(super) fn parse(path: &Path, text: &str) -> Result<RegistriesConf, RegistryError> {
    let file: TomlFile = toml::from_str(text).map_err(|error| wrong(path, described(&error, text)))?;
    if file.registries.is_some() {
        return Err(wrong(
            path,
            "it has the format of version 1 (`[registries.search]`), which is no longer read: write version 2 \
             (`[[registry]]`)",
        ));
    }
    let mut conf = RegistriesConf { aliases: file.aliases, ..RegistriesConf::default() };
    for table in file.registry {
        let line = line_of(text, &table.span());
        let registry = table.into_inner().meant(path);
        let registry = registry.map_err(|why| wrong(path, format!("line {line}: {why}")))?;
        conf.overlay(RegistriesConf { registries: vec![registry], ..RegistriesConf::default() });
    }
    Ok(conf)
}

fn described(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim().replace('\n', ", ");
    error.span().map_or(message.clone(), |span| format!("line {}: {message}", line_of(text, &span)))
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text.as_bytes().iter().take(span.start).filter(|&&b| b == b'\n').count()
}

#[derive(Deserialize)]
struct TomlFile {
    #[serde(default)]
    registry: Vec<toml::Spanned<TomlRegistry>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    registries: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TomlRegistry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    pull_from_mirror: String,
    #[serde(default)]
    mirror: Vec<TomlMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TomlMirror {
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: String,
}

impl TomlRegistry {
    fn meant(self, path: &Path) -> Result<Registry, String> {
        let (prefix, location) = (place("prefix", &self.prefix)?, place("location", &self.location)?);
        let prefix = if prefix.is_empty() { location } else { prefix };
        if prefix.is_empty() {
            return Err("a `[[registry]]` has neither `prefix` nor `location`".to_owned());
        }
        if prefix.trim_start_matches("*.").contains('*') || (prefix.starts_with("*.") && prefix.contains(['/', ':'])) {
            return Err(format!("prefix `{prefix}`: a `*` may stand in `*.host` only"));
        }
        if !self.pull_from_mirror.is_empty() {
            return Err("`pull-from-mirror` belongs into a `[[registry.mirror]]`".to_owned());
        }
        let mirrors = self.mirror.iter().map(|mirror| mirror.meant(self.mirror_by_digest_only));
        Ok(Registry {
            prefix: prefix.to_owned(),
            location: Some(location).filter(|location| !location.is_empty() && *location != prefix).map(str::to_owned),
            insecure: self.insecure,
            blocked: self.blocked,
            mirrors: mirrors.collect::<Result<_, _>>()?,
            file: path.to_owned(),
        })
    }
}

impl TomlMirror {
    fn meant(&self, digests_only: bool) -> Result<Mirror, String> {
        let location = place("location", &self.location)?;
        if location.is_empty() {
            return Err("a `[[registry.mirror]]` has no `location`".to_owned());
        }
        let serves = match (self.pull_from_mirror.as_str(), digests_only) {
            ("", true) => Serves::Digests,
            (_, true) => return Err("`mirror-by-digest-only` and `pull-from-mirror` exclude each other".to_owned()),
            ("" | "all", _) => Serves::All,
            ("digest-only", _) => Serves::Digests,
            ("tag-only", _) => Serves::Tags,
            (other, _) => {
                return Err(format!("`pull-from-mirror` is `all`, `digest-only` or `tag-only`, not `{other}`"));
            }
        };
        Ok(Mirror { location: location.to_owned(), insecure: self.insecure, serves })
    }
}

/// Returns a prefix or location without a slash at its end.
fn place<'a>(key: &str, text: &'a str) -> Result<&'a str, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(format!(
            "`{key}` is a URL: write it without `http://` or `https://` (`insecure = true` allows http)"
        ));
    }
    Ok(text.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> Option<String> {
        parse(Path::new("/r.conf"), text).err().map(|error| error.to_string())
    }

    #[test]
    fn what_is_no_registries_conf_is_refused_with_its_line() {
        for (text, why) in [
            ("", None),
            ("unqualified-search-registries = ['a']\nshort-name-mode = 'enforcing'", None),
            ("x = 1\ny = \n", Some("line 2: string values must be quoted, expected literal string")),
            ("[[registry]]\nprefix = 1", Some("line 2: invalid type: integer `1`, expected a string")),
            (
                "[registries.search]\nregistries = ['a']",
                Some(
                    "it has the format of version 1 (`[registries.search]`), which is no longer read: write version 2 \
                     (`[[registry]]`)",
                ),
            ),
            ("\n[[registry]]\n", Some("line 2: a `[[registry]]` has neither `prefix` nor `location`")),
            (
                "[[registry]]\nlocation = 'https://a'",
                Some(
                    "line 1: `location` is a URL: write it without `http://` or `https://` (`insecure = true` allows \
                     http)",
                ),
            ),
            ("[[registry]]\nprefix = 'a.*.b'", Some("line 1: prefix `a.*.b`: a `*` may stand in `*.host` only")),
            ("[[registry]]\nprefix = '*.b/x'", Some("line 1: prefix `*.b/x`: a `*` may stand in `*.host` only")),
            (
                "[[registry]]\nlocation = 'a'\npull-from-mirror = 'all'",
                Some("line 1: `pull-from-mirror` belongs into a `[[registry.mirror]]`"),
            ),
            (
                "[[registry]]\nlocation = 'a'\n[[registry.mirror]]",
                Some("line 1: a `[[registry.mirror]]` has no `location`"),
            ),
            (
                "[[registry]]\nlocation = 'a'\n[[registry.mirror]]\nlocation = 'b'\npull-from-mirror = 'some'",
                Some("line 1: `pull-from-mirror` is `all`, `digest-only` or `tag-only`, not `some`"),
            ),
            (
                "[[registry]]\nlocation = 'a'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'b'\n\
                 pull-from-mirror = 'all'",
                Some("line 1: `mirror-by-digest-only` and `pull-from-mirror` exclude each other"),
            ),
        ] {
            assert_eq!(error(text), why.map(|why| format!("`/r.conf`: {why}")), "{text}");
        }
    }
}
