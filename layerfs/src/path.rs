//! [`TreePath`]: a path inside a root file system, as a value; it touches no disk.

mod follow;

pub use follow::{FollowError, Waypoint, follow};

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// A path inside a tree, relative to its root, in normal form: no leading or trailing `/`, no `.`, no `..`,
/// no empty component, any other bytes. The root is the empty path.
///
/// The order is that of the bytes, so a directory stands before what it holds.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TreePath(Box<[u8]>);

impl TreePath {
    /// Returns the root, the empty path.
    pub fn root() -> Self {
        Self::default()
    }

    /// Returns the normal form of `bytes` as seen from the root: `..` climbs and stops at the root, as in a chroot.
    pub fn normalize(bytes: &[u8]) -> Self {
        Self::root().join(bytes)
    }

    /// Returns the path that these bytes are, or nothing if they are not in normal form.
    pub fn from_normal(bytes: &[u8]) -> Option<Self> {
        is_normal(bytes).then(|| Self(bytes.into()))
    }

    /// Returns the normal form of `other` as seen from this directory; an absolute `other` starts at the root.
    /// Links are not followed: this is arithmetic on names.
    pub fn join(&self, other: &[u8]) -> Self {
        let start: &[u8] = if other.first() == Some(&b'/') { b"" } else { &self.0 };
        let mut parts: Vec<&[u8]> = components(start).collect();
        for part in components(other) {
            match part {
                b"." => {}
                b".." => {
                    parts.pop();
                }
                _ => parts.push(part),
            }
        }
        Self(parts.join(&b'/').into_boxed_slice())
    }

    /// Returns this path with one more component, which must be a plain name.
    ///
    /// # Panics
    /// If `name` is empty, `.`, `..` or holds a `/`: the caller checked it.
    pub fn child(&self, name: &[u8]) -> Self {
        assert!(is_plain_name(name), "a child is a plain name");
        if self.is_root() {
            return Self(name.into());
        }
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Self(bytes.into_boxed_slice())
    }

    /// Returns the directory that holds this path, or nothing for the root.
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(self.parent_bytes().into()))
    }

    /// Returns the bytes of the directory that holds this path; none for the root and what stands in it.
    pub fn parent_bytes(&self) -> &[u8] {
        &self.0[..self.0.iter().rposition(|&b| b == b'/').unwrap_or(0)]
    }

    /// Returns the last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
        &self.0[start..]
    }

    /// Returns every directory above this path, the root first, this path left out.
    pub fn ancestors(&self) -> Vec<Self> {
        let mut above = Vec::new();
        let mut at = self.parent();
        while let Some(path) = at {
            at = path.parent();
            above.push(path);
        }
        above.reverse();
        above
    }

    /// Returns the components from the root down.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        components(&self.0)
    }

    /// Reports whether this path is `directory` or lies below it.
    pub fn is_within(&self, directory: &Self) -> bool {
        self.bytes_below(directory).is_some()
    }

    /// Returns where this path stands to those below `directory`: before them, among them (equal), or after them.
    /// They are one range of any sorted list, but need not follow `directory` at once: `a`, `a-b`, `a/b` are sorted.
    pub fn cmp_below(&self, directory: &Self) -> Ordering {
        if directory.is_root() {
            return if self.is_root() { Ordering::Less } else { Ordering::Equal };
        }
        let length = directory.0.len();
        let (head, tail) = self.0.split_at(self.0.len().min(length));
        head.cmp(&directory.0).then_with(|| tail.first().map_or(Ordering::Less, |byte| byte.cmp(&b'/')))
    }

    /// Returns what is left of this path below `directory`, or nothing if it is not within it.
    pub fn strip_prefix(&self, directory: &Self) -> Option<Self> {
        self.bytes_below(directory).map(|rest| Self(rest.into()))
    }

    /// Returns the bytes of what is left of this path below `directory`, or nothing if it is not within it.
    pub fn bytes_below(&self, directory: &Self) -> Option<&[u8]> {
        if directory.is_root() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(&*directory.0)?;
        match rest.first() {
            None => Some(rest),
            Some(b'/') => Some(&rest[1..]),
            Some(_) => None,
        }
    }

    /// Reports whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes, without a leading `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path as the operating system takes it, relative; the root is the empty string.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

/// Reports whether `name` can be one component of a path: not empty, not `.` or `..`, without `/` and NUL.
pub fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0)
}

fn components(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&b| b == b'/').filter(|part| !part.is_empty())
}

/// Reports whether these are the bytes of a path in normal form.
pub(crate) fn is_normal(bytes: &[u8]) -> bool {
    // Components are looked at where one may be empty or dots: of the many paths of an index, next to none.
    let is_odd = |pair: &[u8]| (pair[0] == b'/') & ((pair[1] == b'/') | (pair[1] == b'.')) | (pair[1] == 0);
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return true };
    let is_odd = matches!(first, b'/' | b'.' | 0) | (*last == b'/')
        || bytes.windows(2).fold(false, |odd, pair| odd | is_odd(pair));
    !is_odd || bytes.split(|&b| b == b'/').all(is_plain_name)
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    /// Reads bytes, or a sequence of them (formats like JSON have no bytes); refuses what is not in normal form.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(PathVisitor)
    }
}

struct PathVisitor;

impl<'de> Visitor<'de> for PathVisitor {
    type Value = TreePath;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a path in normal form")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<TreePath, E> {
        TreePath::from_normal(bytes).ok_or_else(|| E::custom("a path is not in normal form"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<TreePath, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        self.visit_bytes(&bytes)
    }
}

impl From<&str> for TreePath {
    fn from(text: &str) -> Self {
        Self::normalize(text.as_bytes())
    }
}

impl fmt::Display for TreePath {
    /// Prints the path with a leading `/`, bytes that are not UTF-8 replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_form_stays_inside() {
        for (given, wanted) in [("/a//b/", "a/b"), ("../../x", "x"), ("a/./b/../c", "a/c"), ("/", ""), ("", "")] {
            assert_eq!(TreePath::from(given).as_bytes(), wanted.as_bytes(), "{given}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_component() {
        let usr = TreePath::from("usr");
        assert_eq!(TreePath::from("usr/bin").strip_prefix(&usr), Some(TreePath::from("bin")));
        assert_eq!(TreePath::from("usrx").strip_prefix(&usr), None);
    }

    #[test]
    fn what_lies_below_is_one_range() {
        let a = TreePath::from("a");
        let sorted = ["", "a", "a-b", "a/", "a/b", "a/b/c", "a0", "ab", "b"];
        let wanted = [Ordering::Less, Ordering::Less, Ordering::Less, Ordering::Less, Ordering::Equal, Ordering::Equal];
        for (text, wanted) in sorted.iter().zip(wanted.into_iter().chain([Ordering::Greater; 3])) {
            assert_eq!(TreePath::from(*text).cmp_below(&a), wanted, "{text}");
        }
        assert_eq!(TreePath::root().cmp_below(&TreePath::root()), Ordering::Less);
        assert_eq!(a.cmp_below(&TreePath::root()), Ordering::Equal);
    }

    #[test]
    fn every_short_path_of_odd_letters_is_normal_if_its_components_are() {
        let mut last = vec![Vec::new()];
        for _ in 0..6 {
            last = last.iter().flat_map(|path: &Vec<u8>| b"a./\0".map(|byte| [&path[..], &[byte]].concat())).collect();
            for path in &last {
                let wanted = path.split(|&byte| byte == b'/').all(is_plain_name);
                assert_eq!(is_normal(path), wanted, "{}", path.escape_ascii());
            }
        }
        assert!(is_normal(b""));
    }

    #[test]
    fn serde_keeps_paths_and_refuses_other_forms() {
        for path in [TreePath::root(), TreePath::from("a/b"), TreePath::normalize(b"\xff/x")] {
            let bytes = postcard::to_stdvec(&path).unwrap();
            assert_eq!(postcard::from_bytes::<TreePath>(&bytes).unwrap(), path);
            let text = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<TreePath>(&text).unwrap(), path);
        }
        for bytes in [&b"/a"[..], b"a/", b"a//b", b"..", b"a/./b", b"a\0b", b"a/../b"] {
            let encoded = postcard::to_stdvec(bytes).unwrap();
            assert!(postcard::from_bytes::<TreePath>(&encoded).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn ancestors_run_from_the_root() {
        let above: Vec<String> = TreePath::from("a/b/c").ancestors().iter().map(ToString::to_string).collect();
        assert_eq!(above, ["/", "/a", "/a/b"]);
    }
}
