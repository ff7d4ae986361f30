//! [`follow`]: following links as path_resolution(7) does inside a root, whatever the tree.

use crate::path::TreePath;
use std::borrow::Cow;
use std::convert::Infallible;

/// Most links that are followed for one path, as in the kernel.
const MAX_LINKS: usize = 40;

/// What stands at a path, as far as following links goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waypoint<'a> {
    /// A directory, or nothing: what is not there stays in the path as it is.
    Way,
    /// A link that says this.
    Link(Cow<'a, [u8]>),
    /// Anything else, below which there is nothing.
    End,
}

/// Why links could not be followed.
#[derive(Debug, PartialEq, Eq)]
pub enum FollowError<E = Infallible> {
    /// More than 40 links in the way of the path.
    Loop(TreePath),
    /// Something that is no directory stands in the way.
    NotADirectory(TreePath),
    /// The tree could not be looked at.
    Look(E),
}

/// Returns `path` with every link in it followed inside the root, the last component too if `last`; components that do not
/// exist stay as they are. `look` says what stands at a path none of whose directories is a link.
///
/// # Errors
/// [`FollowError`].
pub fn follow<'a, E>(
    path: &TreePath,
    last: bool,
    mut look: impl FnMut(&TreePath) -> Result<Waypoint<'a>, E>,
) -> Result<TreePath, FollowError<E>> {
    // Components still to be walked, the next one last.
    let mut ahead: Vec<Box<[u8]>> = Vec::new();
    push_components(&mut ahead, path.as_bytes());
    let mut at = TreePath::root();
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if &*name == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let next = at.child(&name);
        match look(&next).map_err(FollowError::Look)? {
            Waypoint::Link(target) if !target.is_empty() && (last || !ahead.is_empty()) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(FollowError::Loop(path.clone()));
                }
                if target.first() == Some(&b'/') {
                    at = TreePath::root();
                }
                push_components(&mut ahead, &target);
            }
            Waypoint::Link(_) | Waypoint::End if !ahead.is_empty() => return Err(FollowError::NotADirectory(next)),
            _ => at = next,
        }
    }
    Ok(at)
}

/// Puts the components of `path` on the stack; `.` and empty ones stay where they are. A name with a NUL, which no file
/// can have, is cut there as the kernel would.
fn push_components(ahead: &mut Vec<Box<[u8]>>, path: &[u8]) {
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    let parts = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    ahead.extend(parts.rev().map(Into::into));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of links by path; `f` is a file, and all else a directory or nothing.
    const LINKS: [(&str, &[u8]); 10] = [
        ("bin", b"usr/bin"),
        ("usr/lib64", b"/lib"),
        ("lib", b"usr//./lib/"),
        ("usr/up", b"../../.."),
        ("a", b"b/x"),
        ("b", b"c"),
        ("loop", b"loop"),
        ("empty", b""),
        ("nul", b"usr\0/lib"),
        ("gone", b"no/such/../thing"),
    ];

    fn look(path: &TreePath) -> Result<Waypoint<'static>, Infallible> {
        let link = LINKS.iter().find(|(from, _)| TreePath::from(*from) == *path);
        Ok(match link {
            Some((_, target)) => Waypoint::Link(Cow::Borrowed(target)),
            None if path.name() == b"f" => Waypoint::End,
            None => Waypoint::Way,
        })
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        for (path, last, wanted) in [
            ("", true, "/"),
            ("bin/sh", true, "/usr/bin/sh"),
            ("usr/lib64/x", true, "/usr/lib/x"),
            ("usr/lib64", true, "/usr/lib"),
            ("usr/lib64", false, "/usr/lib64"),
            ("bin/lib", false, "/usr/bin/lib"),
            ("usr/up/bin/f", true, "/usr/bin/f"),
            ("a/y", true, "/c/x/y"),
            ("gone", true, "/no/thing"),
            ("not/there", true, "/not/there"),
            ("nul/x", true, "/usr/x"),
            ("empty", true, "/empty"),
            ("f", true, "/f"),
        ] {
            assert_eq!(follow(&path.into(), last, look).map(|path| path.to_string()), Ok(wanted.to_owned()), "{path}");
        }
    }

    #[test]
    fn what_is_no_way_is_told() {
        for (path, wanted) in [
            ("loop", FollowError::Loop("loop".into())),
            ("loop/x", FollowError::Loop("loop/x".into())),
            ("bin/f/x", FollowError::NotADirectory("usr/bin/f".into())),
            ("empty/x", FollowError::NotADirectory("empty".into())),
        ] {
            assert_eq!(follow(&path.into(), true, look), Err(wanted), "{path}");
        }
        assert_eq!(follow(&"loop".into(), false, look), Ok("loop".into()));
        let refused = follow(&"x".into(), true, |_| Err::<Waypoint<'_>, _>("no"));
        assert_eq!(refused, Err(FollowError::Look("no")));
    }

    #[test]
    fn forty_links_are_followed_and_no_more() {
        let look = |path: &TreePath| -> Result<Waypoint<'static>, Infallible> {
            let number: usize = String::from_utf8_lossy(path.as_bytes()).parse().expect("a number");
            let next = (number + 1).to_string().into_bytes();
            Ok(if number < 50 { Waypoint::Link(Cow::Owned(next)) } else { Waypoint::Way })
        };
        assert_eq!(follow(&"10".into(), true, look), Ok("50".into()));
        assert_eq!(follow(&"9".into(), true, look), Err(FollowError::Loop("9".into())));
    }
}
