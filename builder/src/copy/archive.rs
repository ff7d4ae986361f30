//! [`Archive`]: a local tar that ADD unpacks: its members, and their bytes in a file without a name.

use layerfs::meta::Metadata;
use layerfs::path::TreePath;
use std::fs::File;

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A file, directory, link or device.
    Inode {
        /// Where, below the destination.
        path: TreePath,
        /// What.
        metadata: Metadata,
        /// First byte of its content in the spool.
        offset: u64,
    },
    /// One more name of an earlier member.
    Hardlink {
        /// Where.
        path: TreePath,
        /// The earlier name.
        target: TreePath,
    },
}

impl Member {
    /// Returns where it goes, below the destination.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Inode { path, .. } | Self::Hardlink { path, .. } => path,
        }
    }
}

/// An archive that was read.
#[derive(Debug)]
pub struct Archive {
    /// Its members in order.
    pub members: Vec<Member>,
    /// The contents of its files, one after another.
    pub spool: File,
    /// The digest of all that it says.
    pub digest: layerfs::digest::Digest,
}
