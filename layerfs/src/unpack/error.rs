//! [`LayerError`]: what can go wrong with a layer on disk.

use crate::io_error::{CURE_OF_FULL_DISK, IoError};
use crate::meta::Metadata;
use crate::meta::disk::CHANGE_OWNER;
use crate::path::TreePath;
use crate::tar::TarError;
use crate::unpack::stream::TooLong;
use std::path::PathBuf;

/// What can go wrong when a layer is unpacked, compared or mounted.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The tar is wrong.
    #[error(transparent)]
    Tar(TarError),
    /// An entry tries to leave its layer, or contradicts another or itself.
    #[error("layer entry `{entry}` is refused: {why}")]
    Hostile {
        /// The entry's name as the tar has it, bytes that are not UTF-8 replaced.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// The layer is larger than any layer should be.
    #[error("the layer has more than {limit} {what}, at `{entry}`")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The entry that went over it.
        entry: String,
    },
    /// The tar itself is longer than that of any layer should be, whatever its entries say.
    #[error("the layer's tar has more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// The disk or the quota is full, or so nearly that a layer may not take the rest.
    #[error("no space left to write `{path}`")]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// A file's owner has no place in the user namespace.
    #[error("`{path}` belongs to {uid}:{gid}, which has no place among the user's ids")]
    IdNotMapped {
        /// Which file.
        path: TreePath,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A hardlink to a file that neither its layer nor any below has.
    #[error("`{path}` is a hardlink to `{target}`, which is no file of this layer or one below it")]
    NoLinkTarget {
        /// The link.
        path: TreePath,
        /// What it should be a name of.
        target: TreePath,
    },
    /// A step made a file whose name means a whiteout in a layer.
    #[error("`{path}` cannot be part of a layer: names that start with `.wh.` mean deletions there")]
    ReservedName {
        /// Which file.
        path: TreePath,
    },
    /// A file whose bytes or children the overlay keeps elsewhere.
    #[error("`{path}` has xattr `{name}`: the overlay keeps a part of it elsewhere")]
    Incomplete {
        /// Which file.
        path: TreePath,
        /// The xattr.
        name: String,
    },
    /// More layers than can be mounted.
    #[error("{count} layers are more than the {limit} that can be mounted over one another")]
    TooManyLayers {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The options of an overlay mount do not fit in the page that mount(2) takes.
    #[error("the paths of an overlay in `{layers}` take {bytes} bytes, mount takes {limit}")]
    LongOptions {
        /// The layers' directory.
        layers: PathBuf,
        /// What they take.
        bytes: usize,
        /// What there is room for.
        limit: usize,
    },
    /// Overlay does not work there, and nothing could be run from a copy either.
    #[error(
        "overlay mounts do not work in `{layers}` ({why}), and programs cannot run from a copy there: it is mounted `noexec`"
    )]
    NoExec {
        /// The layers' directory.
        layers: PathBuf,
        /// Why overlay does not work.
        why: String,
    },
    /// What is to be compared does not fit the layers it was made of.
    #[error("{directories} layer directories are given, but {indexes} indexes")]
    Mismatch {
        /// Number of directories.
        directories: usize,
        /// Number of indexes.
        indexes: usize,
    },
}

/// A stream that ended at its limit is not a bad tar.
impl From<TarError> for LayerError {
    fn from(error: TarError) -> Self {
        let too_long = match &error {
            TarError::Stream { source, .. } => source.get_ref().and_then(|inner| inner.downcast_ref::<TooLong>()),
            _ => None,
        };
        match too_long {
            Some(TooLong { limit }) => Self::TooLong { limit: *limit },
            None => Self::Tar(error),
        }
    }
}

impl LayerError {
    /// Returns what the user can do about it, where that is known.
    pub fn cure(&self) -> Option<String> {
        match self {
            Self::IdNotMapped { .. } => Some(
                "install `newuidmap` (package `uidmap` on Debian and Ubuntu) and give the user ranges in /etc/subuid and \
                 /etc/subgid, as root: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`"
                    .to_owned(),
            ),
            Self::Full { .. } => Some(CURE_OF_FULL_DISK.to_owned()),
            Self::Io(error) if error.is_full() => Some(CURE_OF_FULL_DISK.to_owned()),
            Self::Tar(error) if error.is_full() => Some(CURE_OF_FULL_DISK.to_owned()),
            Self::NoExec { .. } => Some("put the store on a file system without `noexec` with `--root`".to_owned()),
            Self::LongOptions { .. } => Some("put the store under a shorter path with `--root`".to_owned()),
            _ => None,
        }
    }

    /// Returns the error of an act on `path`, which has or was to have `metadata`.
    pub(crate) fn of(error: IoError, path: &TreePath, metadata: &Metadata) -> Self {
        if error.act == CHANGE_OWNER && error.errno == Some(libc::EINVAL) {
            return Self::IdNotMapped { path: path.clone(), uid: metadata.uid, gid: metadata.gid };
        }
        Self::written(error)
    }

    /// Returns the error of an act that writes.
    pub(crate) fn written(error: IoError) -> Self {
        if error.is_full() { Self::Full { path: error.path } } else { Self::Io(error) }
    }
}
