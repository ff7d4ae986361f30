//! [`Target`]: a repository to push to, under which names.

use crate::digest::Digest;
use crate::reference::ImageRef;

/// A repository to push to, with the names that the image gets there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// All of one host and repository, each once; never empty.
    pub names: Vec<ImageRef>,
}

impl Target {
    /// Returns a name of the repository.
    pub fn name(&self) -> &ImageRef {
        &self.names[0]
    }

    /// Returns the host.
    pub fn host(&self) -> &str {
        &self.name().host
    }
}

/// Returns the targets of `names` by host: hosts are pushed to side by side, the repositories of one in turn, so that the
/// later ones mount what the earlier ones got.
pub(super) fn by_host(names: &[ImageRef]) -> Vec<Vec<Target>> {
    let mut hosts: Vec<Vec<Target>> = Vec::new();
    for name in names {
        let at = hosts.iter().position(|targets| targets[0].host() == name.host).unwrap_or(hosts.len());
        if at == hosts.len() {
            hosts.push(Vec::new());
        }
        add(&mut hosts[at], name);
    }
    hosts
}

fn add(targets: &mut Vec<Target>, name: &ImageRef) {
    match targets.iter_mut().find(|target| target.name().same_repository(name)) {
        Some(target) if target.names.contains(name) => {}
        Some(target) => target.names.push(name.clone()),
        None => targets.push(Target { names: vec![name.clone()] }),
    }
}

/// Returns what the manifest is stored under in its repository: the tag of `name`, or its own digest.
pub(super) fn reference(name: &ImageRef, by_digest: bool, manifest: &Digest) -> String {
    name.tag.clone().filter(|_| !by_digest).unwrap_or_else(|| manifest.to_string())
}

/// Returns the name of a pushed manifest as people and scripts want it: `R/x:latest@sha256:…`, or `R/x@sha256:…`.
pub(super) fn pinned(name: &ImageRef, by_digest: bool, manifest: &Digest) -> String {
    let tag = name.tag.clone().filter(|_| !by_digest);
    ImageRef { tag, digest: Some(*manifest), ..name.clone() }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ImageRef {
        text.parse().expect("a name")
    }

    #[test]
    fn names_are_grouped_by_host_and_repository() {
        let names =
            ["r.example/a:1", "app", "r.example/b", "r.example/a:2", "docker.io/library/app:2", "r.example/a:1"];
        let names = names.map(name);
        let grouped: Vec<Vec<Vec<String>>> = by_host(&names)
            .iter()
            .map(|targets| {
                let shown = |target: &Target| target.names.iter().map(ImageRef::familiar).collect();
                targets.iter().map(shown).collect()
            })
            .collect();
        let wanted = vec![
            vec![vec!["r.example/a:1".to_owned(), "r.example/a:2".to_owned()], vec!["r.example/b:latest".to_owned()]],
            vec![vec!["app:latest".to_owned(), "app:2".to_owned()]],
        ];
        assert_eq!(grouped, wanted);
        assert_eq!(by_host(&[]), Vec::<Vec<Target>>::new());
    }

    #[test]
    fn a_manifest_goes_under_its_tag_or_its_digest() {
        let digest = Digest::of("manifest");
        let by_digest = format!("r.example/a@{digest}");
        for (text, only_digest, wanted, shown) in [
            ("r.example/a", false, "latest".to_owned(), format!("r.example/a:latest@{digest}")),
            ("r.example/a:1", false, "1".to_owned(), format!("r.example/a:1@{digest}")),
            ("r.example/a:1", true, digest.to_string(), by_digest.clone()),
            (&by_digest, false, digest.to_string(), by_digest.clone()),
        ] {
            assert_eq!(reference(&name(text), only_digest, &digest), wanted);
            assert_eq!(pinned(&name(text), only_digest, &digest), shown);
        }
    }
}
