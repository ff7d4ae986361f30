//! [`Tree`]: a root file system, path by path, as `tests/snapshot` prints it.

use crate::harness::{Identity, Lab, identity, output, repository};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a snapshot says of each path: the fields after the path, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Vec<String>>);

/// A field of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Kind of file.
    Kind,
    /// Permission bits.
    Mode,
    /// Owner and group.
    Owner,
    /// Time of modification, in nanoseconds.
    Mtime,
    /// Size and digest of a file, target of a link, numbers of a device.
    Content,
    /// Extended attributes.
    Xattrs,
    /// First name of a file with several.
    Group,
}

impl Field {
    /// Every field, in their order.
    pub const ALL: [Self; 7] =
        [Self::Kind, Self::Mode, Self::Owner, Self::Mtime, Self::Content, Self::Xattrs, Self::Group];
}

/// A path that two trees do not have alike; `None` where there is none.
#[derive(Debug)]
pub struct Difference {
    /// The path, as a snapshot writes it.
    pub path: String,
    /// Its fields in the first tree.
    pub ours: Option<Vec<String>>,
    /// Its fields in the second.
    pub theirs: Option<Vec<String>>,
}

/// What the sandbox mounts over, which is no part of an image.
const MOUNTED: [&str; 6] = ["dev", "proc", "sys", "etc/resolv.conf", "etc/hosts", "etc/hostname"];

/// Returns a command that sees the ids of an image: itself as root, else in a user namespace with the caller's ranges.
pub fn with_ids(program: &str, arguments: &[&str]) -> Vec<String> {
    let enter: &[&str] = match identity() {
        Identity::Root => &[],
        _ => &["unshare", "--user", "--map-root-user", "--map-auto", "--"],
    };
    enter.iter().copied().chain([program]).chain(arguments.iter().copied()).map(str::to_owned).collect()
}

/// Runs a command that sees the ids of an image; it must succeed.
#[track_caller]
pub fn with_ids_ok(program: &str, arguments: &[&str]) -> String {
    let line = with_ids(program, arguments);
    let rest: Vec<&str> = line[1..].iter().map(String::as_str).collect();
    output(&line[0], &rest)
}

/// Returns a path as a snapshot writes it, without quotes.
pub fn written(path: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'\\' => "\\\\".to_owned(),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    path.bytes().map(escaped).collect()
}

impl Tree {
    /// Looks at a directory.
    #[track_caller]
    pub fn at(directory: &Path) -> Self {
        let script = repository().join("tests/snapshot");
        let told = with_ids_ok("python3", &[&script.to_string_lossy(), &directory.to_string_lossy()]);
        let fields = |line: &str| {
            let mut fields = line.split('\t').map(str::to_owned);
            (fields.next().expect("a path"), fields.collect())
        };
        Self(told.lines().map(fields).collect())
    }

    /// Looks at an image as a command in it sees it: a tar of `/` made inside, by the image's own tar, unpacked outside.
    #[track_caller]
    pub fn inside(lab: &Lab, image: &str) -> Self {
        let script = "cd / && exec tar --one-file-system --numeric-owner --xattrs --xattrs-include='*' --format=posix \
            --pax-option=delete=atime,delete=ctime --exclude=./proc --exclude=./sys --exclude=./dev -cf - .";
        let archive = lab.home().join("inside.tar");
        let mut command = lab.command(&["run", "--entrypoint", "/bin/sh", image, "-c", script]);
        let written = command.stdout(fs::File::create(&archive).expect("a file")).output().expect("lbuild runs");
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        Self::archive(lab, &archive).without(&MOUNTED)
    }

    /// Unpacks an image of a layout with umoci and looks at what came out.
    #[track_caller]
    pub fn umoci(lab: &Lab, layout: &Path, image: &str) -> Self {
        let bundle = lab.home().join("bundle").to_string_lossy().into_owned();
        with_ids_ok("umoci", &["unpack", "--image", &format!("{}:{image}", layout.display()), &bundle]);
        let tree = Self::at(&lab.home().join("bundle/rootfs"));
        with_ids_ok("rm", &["-rf", &bundle]);
        tree.without(&MOUNTED)
    }

    /// Unpacks an archive of a root file system and looks at what came out.
    #[track_caller]
    pub fn archive(lab: &Lab, archive: &Path) -> Self {
        let to = lab.home().join("unpacked");
        fs::create_dir(&to).expect("a directory");
        let (archive, place) = (archive.to_string_lossy(), to.to_string_lossy());
        let how = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--same-owner", "-C", &place, "-xpf", &archive];
        with_ids_ok("tar", &how);
        let tree = Self::at(&to);
        with_ids_ok("rm", &["-rf", &place]);
        tree
    }

    /// Leaves out paths and what is below them.
    #[must_use]
    pub fn without(mut self, tops: &[&str]) -> Self {
        let below =
            |path: &str, top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.retain(|path, _| !tops.iter().any(|top| below(path.trim_matches(['\'', '"']), top)));
        self
    }

    /// Leaves out all but a path and what is below it.
    #[must_use]
    pub fn only(mut self, top: &str) -> Self {
        self.0.retain(|path, _| {
            let rest = path.trim_matches(['\'', '"']).strip_prefix(top);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        self
    }

    /// Leaves out a field wherever `at` says so.
    #[must_use]
    pub fn without_field(mut self, field: Field, at: impl Fn(&str, &[String]) -> bool) -> Self {
        for (path, fields) in &mut self.0 {
            if at(path.trim_matches(['\'', '"']), fields) {
                "*".clone_into(&mut fields[field as usize]);
            }
        }
        self
    }

    /// Leaves out an extended attribute without a value.
    #[must_use]
    pub fn without_xattr(mut self, name: &str) -> Self {
        for fields in self.0.values_mut() {
            let xattrs = &mut fields[Field::Xattrs as usize];
            *xattrs = xattrs.replace(&format!("b'{name}': b'', "), "");
        }
        self
    }

    /// Returns the fields of each path.
    pub fn fields_mut(&mut self) -> impl Iterator<Item = (&String, &mut Vec<String>)> {
        self.0.iter_mut()
    }

    /// Returns the number of paths.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a field of a path.
    #[track_caller]
    pub fn field(&self, path: &str, field: Field) -> &str {
        &self.0.get(&format!("'{path}'")).unwrap_or_else(|| panic!("there is no `{path}`"))[field as usize]
    }

    /// Puts something in the place of a field and returns what it was.
    #[track_caller]
    pub fn replace(&mut self, path: &str, field: Field, with: &str) -> String {
        let fields = self.0.get_mut(&format!("'{path}'")).unwrap_or_else(|| panic!("there is no `{path}`"));
        std::mem::replace(&mut fields[field as usize], with.to_owned())
    }

    /// Reports whether there is a directory at a path, or something else; nothing if there is nothing.
    pub fn is_directory(&self, path: &str) -> Option<bool> {
        let wanted = written(path.trim_start_matches('/'));
        let (_, fields) = self.0.iter().find(|(path, _)| path.trim_matches(['\'', '"']) == wanted)?;
        Some(fields[Field::Kind as usize] == "directory")
    }

    /// Asserts that two trees are the same.
    #[track_caller]
    pub fn equals(&self, other: &Self, what: &str) {
        if let Some(differences) = self.difference(other) {
            panic!("{what}: {differences}");
        }
    }

    /// Returns the paths that are not the same.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let paths: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differ = paths.into_iter().filter(|path| self.0.get(*path) != other.0.get(*path));
        let found = |path: &String| Difference {
            path: path.clone(),
            ours: self.0.get(path).cloned(),
            theirs: other.0.get(path).cloned(),
        };
        differ.map(found).collect()
    }

    /// Returns what is not the same, if anything.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let differences = self.differences(other);
        let describe = |fields: &Option<Vec<String>>| fields.as_ref().map_or("nothing".to_owned(), |it| it.join("  "));
        let told = |it: &Difference| format!("{}\n    {}\n    {}", it.path, describe(&it.ours), describe(&it.theirs));
        let shown: Vec<String> = differences.iter().take(40).map(told).collect();
        (!differences.is_empty()).then(|| format!("{} differences\n{}", differences.len(), shown.join("\n")))
    }
}
