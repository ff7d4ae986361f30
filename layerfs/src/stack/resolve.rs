//! Following links in a [`Stack`].

use crate::path::{FollowError, TreePath, Waypoint, follow};
use crate::stack::{Stack, StackError};
use std::convert::Infallible;

impl Stack {
    /// Returns `path` with every link in it followed inside the root, the last component too if `last`; components that
    /// do not exist stay as they are.
    ///
    /// # Errors
    /// [`StackError::Loop`]; [`StackError::NotADirectory`] if a file stands where a directory is needed.
    pub fn resolve(&self, path: &TreePath, last: bool) -> Result<TreePath, StackError> {
        let look =
            |path: &TreePath| Ok(self.lookup(path).map_or(Waypoint::Way, |found| found.metadata.kind.waypoint()));
        follow(path, last, look).map_err(|error: FollowError| error.into())
    }
}

impl From<FollowError> for StackError {
    fn from(error: FollowError<Infallible>) -> Self {
        match error {
            FollowError::Loop(path) => Self::Loop(path),
            FollowError::NotADirectory(path) => Self::NotADirectory(path),
            FollowError::Look(never) => match never {},
        }
    }
}
