//! [`GitRef`]: an address of a git repository, with what to take of it (1.6-22).

/// An address of a git repository, with what to take of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct GitRef {
    /// The repository, as git takes it; never begins with `-`.
    pub remote: String,
    /// Branch, tag or commit; the default branch if there is none.
    pub reference: Option<String>,
    /// The directory to take; all of it if there is none.
    pub subdirectory: Option<String>,
    /// What the commit must begin with.
    pub checksum: Option<String>,
    /// Whether `.git` is kept, where the address says.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched, where the address says.
    pub submodules: Option<bool>,
}

/// Why an address of a git repository means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is and names its fields")]
pub enum GitRefError {
    #[error("git repository `{remote}` would be taken for an option")]
    Option { remote: String },
    #[error("git reference `{reference}` is none")]
    Reference { reference: String },
    #[error("ref conflicts: `{first}` vs `{second}`")]
    Conflict { first: String, second: String },
    #[error("unexpected query `{name}`")]
    UnexpectedQuery { name: String },
    #[error("query `{name}` has no value")]
    NoValue { name: String },
    #[error("invalid value `{value}` of query `{name}`")]
    InvalidValue { name: String, value: String },
}

/// Reports whether `source` is an address of a git repository: `git@…`, `ssh://`, `git://`, or `http(s)://….git`.
pub fn is_git(source: &str) -> bool {
    let lower = source.to_ascii_lowercase();
    if lower.starts_with("git@") || lower.starts_with("ssh://") || lower.starts_with("git://") {
        return true;
    }
    let path = lower.split(['#', '?']).next().unwrap_or_default();
    (lower.starts_with("http://") || lower.starts_with("https://")) && path.ends_with(".git")
}

/// Reports whether `source` is a URL of a file.
pub fn is_url(source: &str) -> bool {
    let lower = source.to_ascii_lowercase();
    (lower.starts_with("http://") || lower.starts_with("https://")) && !is_git(source)
}

impl GitRef {
    /// Reads an address: `REMOTE[?query][#ref[:dir]]`.
    ///
    /// # Errors
    /// [`GitRefError`].
    pub fn parse(text: &str) -> Result<Self, GitRefError> {
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let has_scheme = text.contains("://");
        let (remote, query) = before.split_once('?').filter(|_| has_scheme).unwrap_or((before, ""));
        let mut git = Self { remote: remote.to_owned(), ..Self::default() };
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        git.name(reference)?;
        git.subdirectory = some(subdirectory);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
            git.query(name, value)?;
        }
        git.check()?;
        Ok(git)
    }

    fn query(&mut self, name: &str, value: String) -> Result<(), GitRefError> {
        match name {
            "ref" | "tag" | "branch" | "subdir" | "checksum" | "commit" if value.is_empty() => {
                return Err(GitRefError::NoValue { name: name.to_owned() });
            }
            "ref" => self.name(&value)?,
            "tag" => self.name(&format!("refs/tags/{value}"))?,
            "branch" => self.name(&format!("refs/heads/{value}"))?,
            "subdir" => match &self.subdirectory {
                Some(first) if *first != value => {
                    return Err(GitRefError::Conflict { first: first.clone(), second: value });
                }
                _ => self.subdirectory = Some(value),
            },
            "checksum" | "commit" => self.checksum = Some(value),
            "keep-git-dir" => self.keep_git_dir = Some(flag(name, &value)?),
            "submodules" => self.submodules = Some(flag(name, &value)?),
            // What is checked out has the time of its commit in any case, and is fetched by commit where that is known.
            "mtime" if matches!(value.as_str(), "checkout" | "commit") => {}
            "fetch-by-commit" => drop(flag(name, &value)?),
            "mtime" => return Err(GitRefError::InvalidValue { name: name.to_owned(), value }),
            _ => return Err(GitRefError::UnexpectedQuery { name: name.to_owned() }),
        }
        Ok(())
    }

    fn name(&mut self, reference: &str) -> Result<(), GitRefError> {
        match &self.reference {
            Some(first) if !reference.is_empty() && first != reference => {
                Err(GitRefError::Conflict { first: first.clone(), second: reference.to_owned() })
            }
            Some(_) => Ok(()),
            None => {
                self.reference = some(reference);
                Ok(())
            }
        }
    }

    /// Refuses what git would take for an option, and what is no name of a reference (git-check-ref-format(1)).
    fn check(&self) -> Result<(), GitRefError> {
        let authority = self.remote.split_once("://").map_or(self.remote.as_str(), |(_, rest)| rest);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if self.remote.starts_with('-') || host.starts_with('-') || self.remote.contains(char::is_control) {
            return Err(GitRefError::Option { remote: self.remote.clone() });
        }
        let bad = |reference: &str| {
            reference.starts_with('-')
                || reference.contains("..")
                || reference.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
        };
        match &self.reference {
            Some(reference) if bad(reference) => Err(GitRefError::Reference { reference: reference.clone() }),
            _ => Ok(()),
        }
    }

    /// Returns the host, without user and port.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.find(']') {
            Some(end) if authority.starts_with('[') => &authority[..=end],
            _ => authority.split(':').next().unwrap_or_default(),
        }
    }

    /// Returns the host without user; with the port of a URL that has one.
    pub fn authority(&self) -> &str {
        let (rest, end) = match self.remote.split_once("://") {
            Some((_, rest)) => (rest, '/'),
            None => (self.remote.as_str(), ':'),
        };
        let rest = rest.split('/').next().unwrap_or_default();
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        host.split(end).next().unwrap_or_default()
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads a flag of a query: true without value.
fn flag(name: &str, value: &str) -> Result<bool, GitRefError> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(GitRefError::InvalidValue { name: name.to_owned(), value: value.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_sources_of_1_6_22_are_told_from_paths() {
        for (source, git, url) in [
            ("a/b", false, false),
            ("git@host:a/b", true, false),
            ("ssh://git@host/a", true, false),
            ("git://host/a", true, false),
            ("https://host/a.git#main:sub", true, false),
            ("HTTPS://host/a.tar.gz", false, true),
            ("http://host/a.git/b", false, true),
            ("https://h/a.git?ref=x", true, false),
            ("https", false, false),
            ("a.git", false, false),
        ] {
            assert_eq!((is_git(source), is_url(source)), (git, url), "{source}");
        }
    }

    #[test]
    fn fragments_and_queries_of_1_6_22() {
        let shown = |text: &str| match GitRef::parse(text) {
            Ok(GitRef { remote, reference, subdirectory, checksum, keep_git_dir, submodules }) => {
                format!("{remote} {reference:?} {subdirectory:?} {checksum:?} {keep_git_dir:?} {submodules:?}")
            }
            Err(error) => error.to_string(),
        };
        for (text, wanted) in [
            ("https://h/a.git", "https://h/a.git None None None None None"),
            ("https://h/a.git#main", r#"https://h/a.git Some("main") None None None None"#),
            ("https://h/a.git#:sub/d", r#"https://h/a.git None Some("sub/d") None None None"#),
            ("git@h:a/b.git#v1:s", r#"git@h:a/b.git Some("v1") Some("s") None None None"#),
            (
                "https://h/a.git?tag=v1&subdir=x%20y&commit=abc&keep-git-dir=1&submodules=false",
                r#"https://h/a.git Some("refs/tags/v1") Some("x y") Some("abc") Some(true) Some(false)"#,
            ),
            (
                "https://h/a.git?branch=b&fetch-by-commit&mtime=commit",
                r#"https://h/a.git Some("refs/heads/b") None None None None"#,
            ),
            ("https://h/a.git?ref=a#b", "ref conflicts: `b` vs `a`"),
            ("https://h/a.git?ref=a&branch=a", "ref conflicts: `a` vs `refs/heads/a`"),
            ("https://h/a.git?x=1", "unexpected query `x`"),
            ("https://h/a.git?ref=", "query `ref` has no value"),
            ("https://h/a.git?submodules=maybe", "invalid value `maybe` of query `submodules`"),
            ("https://h/a.git#--upload-pack=x", "git reference `--upload-pack=x` is none"),
            ("https://h/a.git#a..b", "git reference `a..b` is none"),
            ("ssh://-oProxyCommand=x/a", "git repository `ssh://-oProxyCommand=x/a` would be taken for an option"),
            ("ssh://u@-oProxyCommand=x/a", "git repository `ssh://u@-oProxyCommand=x/a` would be taken for an option"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
        for (text, host) in [
            ("https://u@h:8/a.git", "h"),
            ("git@h:a", "h"),
            ("ssh://h/a", "h"),
            ("git://h:1/a", "h"),
            ("https://[::1]:8/a.git", "[::1]"),
        ] {
            assert_eq!(GitRef::parse(text).map(|git| git.host().to_owned()).as_deref(), Ok(host), "{text}");
        }
    }
}
