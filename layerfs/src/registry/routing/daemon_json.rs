//! Docker's `daemon.json`: `registry-mirrors` and `insecure-registries`; all else in it is Docker's own.

use super::host::{Unverified, is_host};
use crate::registry::error::RegistryError;
use crate::registry::settings::file::wrong;
use serde_json::Value;
use std::path::Path;

/// What `daemon.json` says about registries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DaemonJson {
    /// Stand-ins for Docker Hub, the first to be asked first.
    pub mirrors: Vec<HubMirror>,
    /// Hosts that need not prove who they are.
    pub unverified: Vec<Unverified>,
}

/// A stand-in for Docker Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubMirror {
    /// `host[:port]`.
    pub host: String,
    /// Stands before the names of repositories, ends in `/`; or is empty.
    pub path: String,
    /// Speaks without TLS.
    pub plain: bool,
}

/// Returns what `text` says.
///
/// # Errors
/// [`RegistryError::Settings`] with what is wrong, and where.
pub(super) fn parse(path: &Path, text: &str) -> Result<DaemonJson, RegistryError> {
    if text.trim().is_empty() {
        return Ok(DaemonJson::default());
    }
    let json: Value = serde_json::from_str(text).map_err(|error| wrong(path, error.to_string()))?;
    if !json.is_object() {
        return Err(wrong(path, "it is not a JSON object"));
    }
    let read = |key: &str| strings(&json, key).map_err(|why| wrong(path, why));
    let within = |key: &'static str| move |why: String| wrong(path, format!("`{key}`: {why}"));
    let mirrors = read("registry-mirrors")?.into_iter().map(HubMirror::parse).collect::<Result<_, _>>();
    let unverified = read("insecure-registries")?.into_iter().map(Unverified::parse).collect::<Result<_, _>>();
    Ok(DaemonJson {
        mirrors: mirrors.map_err(within("registry-mirrors"))?,
        unverified: unverified.map_err(within("insecure-registries"))?,
    })
}

fn strings<'a>(json: &'a Value, key: &str) -> Result<Vec<&'a str>, String> {
    let wanted = || format!("`{key}` is not a list of texts");
    match json.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(|item| item.as_str().ok_or_else(wanted)).collect(),
        Some(_) => Err(wanted()),
    }
}

impl HubMirror {
    fn parse(url: &str) -> Result<Self, String> {
        let (plain, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            // Not printed: there could be a password in it.
            _ => return Err("a mirror starts with neither `https://` nor `http://`".to_owned()),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            return Err("a mirror's URL holds a user".to_owned());
        }
        if !is_host(host) {
            return Err(format!("`{host}` is not a registry host"));
        }
        let path = path.trim_matches('/');
        if path.contains(['?', '#', '%']) {
            return Err(format!("the mirror at `{host}` has more than a path after its host"));
        }
        let path = if path.is_empty() { String::new() } else { format!("{path}/") };
        Ok(Self { host: host.to_owned(), path, plain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<DaemonJson, String> {
        parse(Path::new("/d.json"), text).map_err(|error| error.to_string())
    }

    /// FEATURES 6-4.
    #[test]
    fn mirrors_are_urls() {
        let mirror = |host: &str, path: &str, plain| HubMirror { host: host.to_owned(), path: path.to_owned(), plain };
        for (url, wanted) in [
            ("https://m.example", mirror("m.example", "", false)),
            ("https://m.example/", mirror("m.example", "", false)),
            ("http://localhost:5000", mirror("localhost:5000", "", true)),
            ("https://m.example:8443/proxy/hub/", mirror("m.example:8443", "proxy/hub/", false)),
        ] {
            let text = format!(r#"{{"registry-mirrors": ["{url}"], "debug": true}}"#);
            assert_eq!(parsed(&text), Ok(DaemonJson { mirrors: vec![wanted], unverified: vec![] }), "{url}");
        }
    }

    #[test]
    fn what_is_no_daemon_json_is_refused_with_its_why() {
        for (text, why) in [
            ("", None),
            ("{}", None),
            (r#"{"registry-mirrors": null}"#, None),
            ("{\n  x}", Some("key must be a string at line 2 column 3")),
            ("[]", Some("it is not a JSON object")),
            (r#"{"registry-mirrors": "x"}"#, Some("`registry-mirrors` is not a list of texts")),
            (r#"{"insecure-registries": [1]}"#, Some("`insecure-registries` is not a list of texts")),
            (
                r#"{"registry-mirrors": ["user:pass@m"]}"#,
                Some("`registry-mirrors`: a mirror starts with neither `https://` nor `http://`"),
            ),
            (r#"{"registry-mirrors": ["https://u:p@m"]}"#, Some("`registry-mirrors`: a mirror's URL holds a user")),
            (r#"{"registry-mirrors": ["https://"]}"#, Some("`registry-mirrors`: `` is not a registry host")),
            (
                r#"{"registry-mirrors": ["https://m/a?b"]}"#,
                Some("`registry-mirrors`: the mirror at `m` has more than a path after its host"),
            ),
            (r#"{"insecure-registries": ["a/b"]}"#, Some("`insecure-registries`: `a/b` is no `host[:port]`")),
        ] {
            let error = parsed(text).err();
            assert_eq!(error, why.map(|why| format!("`/d.json`: {why}")), "{text}");
        }
    }
}
