//! `--mount` of RUN, its values expanded: fields to a [`MountOp`] (1.7-5 to 1.7-9).

use super::op::{From, MountKind, MountOp, Sharing};
use super::size;
use super::stage::source;
use crate::graph::GraphStage;
use crate::graph::suggest::{did_you_mean, nearest};
use layerfs::path::TreePath;
use std::collections::BTreeMap;

const KINDS: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

/// Each key with the kinds of mount that take it.
const KEYS: [(&str, &[&str]); 13] = [
    ("target", &KINDS),
    ("source", &KINDS),
    ("from", &["bind", "cache", "tmpfs"]),
    ("readonly", &KINDS),
    ("readwrite", &KINDS),
    ("id", &KINDS),
    ("sharing", &["cache"]),
    ("mode", &["cache", "secret", "ssh"]),
    ("uid", &["cache", "secret", "ssh"]),
    ("gid", &["cache", "secret", "ssh"]),
    ("size", &["tmpfs"]),
    ("required", &["secret", "ssh"]),
    ("env", &["secret"]),
];

/// What is wrong with a `--mount`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// A key that there is not.
    #[error("unexpected key `{key}`")]
    UnexpectedKey {
        /// The key.
        key: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A kind of mount that there is not.
    #[error("unsupported mount type `{kind}`")]
    UnsupportedKind {
        /// The kind.
        kind: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A key that this kind of mount does not take.
    #[error("`{key}` is not allowed for mounts of type `{kind}`")]
    NotAllowed {
        /// The key.
        key: String,
        /// The kind.
        kind: String,
    },
    /// A key without the value it needs.
    #[error("`{key}` needs a value")]
    MissingValue {
        /// The key.
        key: String,
    },
    /// A value that means nothing.
    #[error("invalid value `{value}` for `{key}`")]
    InvalidValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What it can be.
        wanted: &'static str,
    },
    /// A mount over the root.
    #[error("invalid mount target `{target}`")]
    InvalidTarget {
        /// The target as written.
        target: String,
    },
    /// A secret with two ids.
    #[error("both `source` and `id` are set")]
    SourceAndId,
    /// A secret that nothing names.
    #[error("a secret mount needs one of `id`, `source`, `target`")]
    NamelessSecret,
    /// A source that the graph does not know.
    #[error("source `{name}` was not resolved")]
    UnresolvedSource {
        /// The source.
        name: String,
    },
}

impl MountError {
    /// Returns what to do about it.
    pub(super) fn cure(&self) -> Option<String> {
        match self {
            Self::UnexpectedKey { suggestion, .. } | Self::UnsupportedKind { suggestion, .. } => {
                did_you_mean(suggestion.as_deref())
            }
            Self::InvalidValue { wanted, .. } => Some(format!("write {wanted}")),
            Self::InvalidTarget { .. } => Some("give it a place below the root: `target=/path`".to_owned()),
            _ => None,
        }
    }
}

/// Where a mount stands.
pub(super) struct Surroundings<'a> {
    pub working_directory: TreePath,
    pub stage: &'a GraphStage,
    /// Name space of cache mounts; empty for none.
    pub cache_namespace: String,
    /// How many mounts of type `ssh` stand before this one.
    pub sockets: usize,
}

/// The fields of a mount, their values expanded.
pub(super) struct Fields {
    pub kind: String,
    pub values: BTreeMap<String, Option<String>>,
}

impl Fields {
    /// Checks that the kind is one and takes every key.
    pub(super) fn check(&self) -> Result<(), MountError> {
        if !KINDS.contains(&self.kind.as_str()) {
            let suggestion = nearest(&self.kind, KINDS).map(str::to_owned);
            return Err(MountError::UnsupportedKind { kind: self.kind.clone(), suggestion });
        }
        for key in self.values.keys() {
            let Some((_, kinds)) = KEYS.iter().find(|(known, _)| known == key) else {
                let suggestion = nearest(key, KEYS.map(|(known, _)| known)).map(str::to_owned);
                return Err(MountError::UnexpectedKey { key: key.clone(), suggestion });
            };
            if !kinds.contains(&self.kind.as_str()) {
                return Err(MountError::NotAllowed { key: key.clone(), kind: self.kind.clone() });
            }
        }
        Ok(())
    }

    /// Returns the mount.
    pub(super) fn mount(&self, around: &Surroundings<'_>) -> Result<MountOp, MountError> {
        let kind = match self.kind.as_str() {
            "cache" => self.cache(around)?,
            "tmpfs" => MountKind::Tmpfs { size: self.size()? },
            "secret" => return self.secret(around),
            "ssh" => return self.ssh(around),
            _ => self.bind(around)?,
        };
        Ok(MountOp { target: target(self.text("target").unwrap_or_default(), around)?, kind })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_deref().filter(|text| !text.is_empty())
    }

    fn bind(&self, around: &Surroundings<'_>) -> Result<MountKind, MountError> {
        let from = self.from(around)?.unwrap_or(From::Context);
        Ok(MountKind::Bind { from, source: self.source(), writable: !self.is_readonly(true)? })
    }

    fn cache(&self, around: &Surroundings<'_>) -> Result<MountKind, MountError> {
        let id = match self.text("id") {
            Some(id) => id.to_owned(),
            None => clean(self.text("target").unwrap_or_default()),
        };
        let id = if around.cache_namespace.is_empty() { id } else { format!("{}/{id}", around.cache_namespace) };
        Ok(MountKind::Cache {
            id,
            sharing: self.sharing()?,
            readonly: self.is_readonly(false)?,
            seed: self.from(around)?.filter(|from| *from != From::Scratch).map(|from| (from, self.source())),
            mode: self.mode(0o755)?,
            uid: self.number("uid")?,
            gid: self.number("gid")?,
        })
    }

    fn secret(&self, around: &Surroundings<'_>) -> Result<MountOp, MountError> {
        let id = match (self.text("id"), self.text("source"), self.text("target")) {
            (Some(_), Some(_), _) => return Err(MountError::SourceAndId),
            (Some(id), None, _) | (None, Some(id), _) => id.to_owned(),
            (None, None, Some(target)) => base_name(target).to_owned(),
            (None, None, None) => return Err(MountError::NamelessSecret),
        };
        let environment = self.text("env").map(str::to_owned);
        let typed = self.text("target");
        let default = format!("/run/secrets/{}", base_name(&id));
        let file = typed.is_some() || environment.is_none();
        let kind = MountKind::Secret {
            environment,
            file,
            required: self.flag("required")?.unwrap_or(false),
            mode: self.mode(0o400)?,
            uid: self.number("uid")?,
            gid: self.number("gid")?,
            id,
        };
        Ok(MountOp { target: target(typed.unwrap_or(&default), around)?, kind })
    }

    /// A socket; where no target is given, BuildKit's place for it (1.7-10).
    fn ssh(&self, around: &Surroundings<'_>) -> Result<MountOp, MountError> {
        let id = match (self.text("id"), self.text("source")) {
            (Some(_), Some(_)) => return Err(MountError::SourceAndId),
            (Some(id), None) | (None, Some(id)) => id.to_owned(),
            (None, None) => "default".to_owned(),
        };
        let kind = MountKind::Ssh {
            id,
            required: self.flag("required")?.unwrap_or(false),
            mode: self.mode(0o600)?,
            uid: self.number("uid")?,
            gid: self.number("gid")?,
        };
        let default = format!("/run/buildkit/ssh_agent.{}", around.sockets);
        Ok(MountOp { target: target(self.text("target").unwrap_or(&default), around)?, kind })
    }

    fn from(&self, around: &Surroundings<'_>) -> Result<Option<From>, MountError> {
        let Some(name) = self.text("from") else { return Ok(None) };
        let unresolved = || MountError::UnresolvedSource { name: name.to_owned() };
        around.stage.mount_source(name).map(|origin| Some(source(origin))).ok_or_else(unresolved)
    }

    fn source(&self) -> TreePath {
        TreePath::from(self.text("source").unwrap_or_default())
    }

    fn sharing(&self) -> Result<Sharing, MountError> {
        match self.text("sharing").map(str::to_ascii_lowercase).as_deref() {
            None | Some("shared") => Ok(Sharing::Shared),
            Some("private") => Ok(Sharing::Private),
            Some("locked") => Ok(Sharing::Locked),
            Some(other) => Err(invalid("sharing", other, "`shared`, `private` or `locked`")),
        }
    }

    /// Returns whether the mount is read-only: `readonly` or `readwrite`, else what its kind is by default.
    fn is_readonly(&self, default: bool) -> Result<bool, MountError> {
        let readwrite = self.flag("readwrite")?.map(|writable| !writable);
        Ok(self.flag("readonly")?.or(readwrite).unwrap_or(default))
    }

    /// Returns a flag: true without a value.
    fn flag(&self, key: &str) -> Result<Option<bool>, MountError> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        match value.as_deref().map(str::to_lowercase).as_deref() {
            None | Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(invalid(key, other, "`true` or `false`")),
        }
    }

    fn mode(&self, default: u32) -> Result<u32, MountError> {
        let Some(text) = self.needed("mode")? else { return Ok(default) };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o7777);
        mode.ok_or_else(|| invalid("mode", text, "an octal mode up to 07777"))
    }

    fn number(&self, key: &str) -> Result<u32, MountError> {
        let Some(text) = self.needed(key)? else { return Ok(0) };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        // The last number means "no change" to chown(2).
        let number = text.parse().ok().filter(|number| digits && *number != u32::MAX);
        number.ok_or_else(|| invalid(key, text, "a number below 4294967295"))
    }

    fn size(&self) -> Result<Option<u64>, MountError> {
        let Some(text) = self.needed("size")? else { return Ok(None) };
        size::parse(text).map(Some).ok_or_else(|| invalid("size", text, "a size such as `64m`"))
    }

    /// Returns the value of a key that may be absent but not without value.
    fn needed(&self, key: &str) -> Result<Option<&str>, MountError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
            Some(None) => Err(MountError::MissingValue { key: key.to_owned() }),
        }
    }
}

fn invalid(key: &str, value: &str, wanted: &'static str) -> MountError {
    MountError::InvalidValue { key: key.to_owned(), value: value.to_owned(), wanted }
}

/// Returns a target joined with the working directory; the root is none.
fn target(text: &str, around: &Surroundings<'_>) -> Result<TreePath, MountError> {
    let path = around.working_directory.join(text.as_bytes());
    if path.is_root() {
        return Err(MountError::InvalidTarget {
            target: if text.is_empty() { "/".to_owned() } else { text.to_owned() },
        });
    }
    Ok(path)
}

/// Returns the last component of a path.
fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Returns the shortest form of a path, as Go's path.Clean: the id of a cache mount that has only a target.
fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    }
}
