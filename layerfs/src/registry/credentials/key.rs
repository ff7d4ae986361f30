//! The keys of files of credentials: hosts, hosts with a path, and URLs as Docker writes them.

use crate::reference::DEFAULT_HOST;

/// How Docker calls `docker.io` in its files, and what helpers keep its credentials under.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Returns what `key` means: `host[:port][/path]`. A URL means its host, whatever its path.
pub(super) fn meaning(key: &str) -> String {
    let (url, rest) = match key.strip_prefix("https://").or(key.strip_prefix("http://")) {
        Some(rest) => (true, rest),
        None => (false, key),
    };
    match rest.trim_end_matches('/').split_once('/') {
        Some((host, path)) if !url && !matches!(path, "v1" | "v2") => format!("{}/{path}", known_host(host)),
        Some((host, _)) => known_host(host).to_owned(),
        None => known_host(rest.trim_end_matches('/')).to_owned(),
    }
}

/// Returns the meanings that fit `repository` of `host`, the longest first.
pub(super) fn fitting(host: &str, repository: &str) -> Vec<String> {
    let host = known_host(host);
    let ends = repository.match_indices('/').map(|(at, _)| at).chain([repository.len()]).filter(|&end| end > 0);
    let scoped = ends.map(|end| format!("{host}/{}", &repository[..end]));
    let mut keys: Vec<String> = std::iter::once(host.to_owned()).chain(scoped).collect();
    keys.reverse();
    keys
}

/// Returns the keys that helpers and new entries use for `host`, the first one first.
pub(super) fn servers(host: &str) -> Vec<&str> {
    match known_host(host) {
        DEFAULT_HOST => vec![HUB_KEY, DEFAULT_HOST],
        host => vec![host],
    }
}

fn known_host(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_HOST,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FEATURES 6-2.
    #[test]
    fn keys_mean_hosts_and_paths() {
        for (key, wanted) in [
            ("https://index.docker.io/v1/", "docker.io"),
            ("index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("docker.io", "docker.io"),
            ("docker.io/library", "docker.io/library"),
            ("https://a.example/v2/", "a.example"),
            ("http://a.example:5000", "a.example:5000"),
            ("https://a.example/some/path", "a.example"),
            ("a.example/some/path/", "a.example/some/path"),
            ("a.example/v2/x", "a.example/v2/x"),
            ("a.example/", "a.example"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(meaning(key), wanted, "{key}");
        }
    }

    #[test]
    fn longer_paths_go_first() {
        assert_eq!(fitting("h:1", "a/b/c"), ["h:1/a/b/c", "h:1/a/b", "h:1/a", "h:1"]);
        assert_eq!(fitting("index.docker.io", "library/x"), ["docker.io/library/x", "docker.io/library", "docker.io"]);
        assert_eq!(fitting("h", ""), ["h"]);
    }
}
