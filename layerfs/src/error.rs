//! [`StoreError`]: what can go wrong with the store.

use crate::digest::Digest;
use crate::image::ImageError;
use crate::io_error::{CURE_OF_FULL_DISK, IoError};
use crate::registry::error::RegistryError;
use crate::source::PullError;
use std::path::PathBuf;

/// What can go wrong with the store, a source or an output.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A registry refused, or could not be reached.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// An image, or part of it, could not be pushed.
    #[error("push {what} to `{to}`: {source}")]
    Push {
        /// Which part: `layer sha256:…`.
        what: String,
        /// The name to push to.
        to: String,
        /// Why.
        #[source]
        source: Box<StoreError>,
    },
    /// No registry that may have an image gave it.
    #[error(transparent)]
    Pull(Box<PullError>),
    /// Bytes do not have the digest they were asked for by.
    #[error("{what} has digest {got}, not {wanted}")]
    DigestMismatch {
        /// What was read.
        what: String,
        /// The digest asked for.
        wanted: Digest,
        /// The digest found.
        got: Digest,
    },
    /// Bytes do not have the size their descriptor states.
    #[error("{what} has {got} bytes, its descriptor says {wanted}")]
    SizeMismatch {
        /// What was read.
        what: String,
        /// As stated.
        wanted: u64,
        /// As found; one more than stated if there are more.
        got: u64,
    },
    /// There is no such blob.
    #[error("blob {0} is not in the store")]
    NoBlob(Digest),
    /// Something that is read into memory is longer than is sensible.
    #[error("{what} has more than {limit} bytes")]
    TooLong {
        /// What.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Manifest or config is wrong.
    #[error("{place}: {source}")]
    Image {
        /// Which image.
        place: String,
        /// What is wrong with it.
        #[source]
        source: ImageError,
    },
    /// A file of a store, layout or archive does not hold what it should.
    #[error("{place}: {why}")]
    Malformed {
        /// Which file.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no image of that name.
    #[error("{place} has no image `{name}`{}", if there.is_empty() { String::new() } else { format!(", only {}", list(there)) })]
    NoImage {
        /// Where it was looked for.
        place: String,
        /// Its name or tag; empty if any would have done.
        name: String,
        /// Names that are there.
        there: Vec<String>,
    },
    /// None was named, and there are several.
    #[error("{place} has several images ({}), and none was named", list(there))]
    SeveralImages {
        /// Where.
        place: String,
        /// Names that are there.
        there: Vec<String>,
    },
    /// The image is not there for the platform.
    #[error("{place} has no image for {wanted}{}", if there.is_empty() { String::new() } else { format!(", only for {}", there.join(", ")) })]
    NoPlatform {
        /// Where.
        place: String,
        /// As asked for.
        wanted: String,
        /// Platforms that are there.
        there: Vec<String>,
    },
    /// Docker or Podman did not take an image.
    #[error("{engine} did not take the image: {why}")]
    Engine {
        /// Who.
        engine: String,
        /// Its words.
        why: String,
    },
    /// The directory holds something else.
    #[error("`{}` is not a store of lbuild: {why}", path.display())]
    NotAStore {
        /// Which directory.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The store was written by a newer lbuild.
    #[error("store `{}` has version {found}, this lbuild knows version {known}", path.display())]
    NewerStore {
        /// Which directory.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest known.
        known: u64,
    },
    /// The store cannot be made or written.
    #[error("store `{}` cannot be used: {source}", path.display())]
    Unusable {
        /// Which directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: IoError,
    },
}

impl From<RegistryError> for StoreError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(Box::new(error))
    }
}

impl StoreError {
    /// Returns what can be done about it.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::Io(error) if error.is_full() => CURE_OF_FULL_DISK,
            Self::Registry(error) => return error.help(),
            Self::Push { source, .. } => return source.help(),
            Self::Pull(error) => return error.help(),
            Self::Image { source, .. } => source.help()?,
            Self::NotAStore { .. } => "name an empty or new directory with `--root` or LBUILD_ROOT",
            Self::NewerStore { .. } => "use the newer lbuild, or name another directory with `--root` or LBUILD_ROOT",
            Self::Unusable { .. } => "name a directory that you may write with `--root` or LBUILD_ROOT",
            Self::SeveralImages { .. } => "add the name after a `:`",
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                "the bytes are damaged: fetch or build them again; `lbuild fsck` checks the store"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// Prints at most ten names.
fn list(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(10).map(|name| format!("`{name}`")).collect();
    if names.len() > shown.len() {
        shown.push(format!("and {} more", names.len() - shown.len()));
    }
    shown.join(", ")
}
