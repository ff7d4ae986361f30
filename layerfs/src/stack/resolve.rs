//! Following links in a [`Stack`], as path_resolution(7) does inside a root.

use crate::meta::Kind;
use crate::path::TreePath;
use crate::stack::{Stack, StackError};

/// Most links that are followed for one path, as in the kernel.
const MAX_LINKS: usize = 40;

impl Stack {
    /// Returns `path` with every link in it followed inside the root, the last component too if `last`; components that
    /// do not exist stay as they are.
    ///
    /// # Errors
    /// [`StackError::Loop`]; [`StackError::NotADirectory`] if a file stands where a directory is needed.
    pub fn resolve(&self, path: &TreePath, last: bool) -> Result<TreePath, StackError> {
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
            match self.lookup(&next).map(|found| &found.metadata.kind) {
                Some(Kind::Symlink { target }) if !target.is_empty() && (last || !ahead.is_empty()) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(StackError::Loop(path.clone()));
                    }
                    if target.first() == Some(&b'/') {
                        at = TreePath::root();
                    }
                    push_components(&mut ahead, target);
                }
                Some(kind) if *kind != Kind::Directory && !ahead.is_empty() => {
                    return Err(StackError::NotADirectory(next));
                }
                _ => at = next,
            }
        }
        Ok(at)
    }
}

/// Puts the components of `path` on the stack; `.` and empty ones stay where they are. A name with a NUL, which no file
/// can have, is cut there as the kernel would.
fn push_components(ahead: &mut Vec<Box<[u8]>>, path: &[u8]) {
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    let parts = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    ahead.extend(parts.rev().map(Into::into));
}
