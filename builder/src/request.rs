//! [`BuildRequest`]: all that a build is told; a value.
//!
//! Nothing in this crate reads the environment, the home directory or the clock: what a build should know of them stands
//! here.

use crate::annotation::{Annotation, Level, of_level};
use crate::fetch_context::{ContextPlace, FetchedContext, LateContext};
use crate::fetch_limits::FetchLimits;
use crate::graph::ContextKind;
use crate::plan::op::{ExtraHost, Network};
use crate::sandbox::limits::RunLimits;
use crate::source::Source;
use layerfs::export::Dress;
pub use layerfs::export::{Destination, Engine, LayerCompression};
use layerfs::platform::Platform;
use layerfs::reference::ImageRef;
use layerfs::registry::settings::RegistrySettings;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

/// All that a build is told.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Where the files of COPY and ADD come from.
    pub context: ContextSource,
    /// The Dockerfile's text, and its name as typed.
    pub dockerfile: Source,
    /// Where the Dockerfile is, if it is a file: `<path>.dockerignore` beside it goes before the context's own.
    pub dockerfile_path: Option<PathBuf>,
    /// `--target`: name or number of the stage that becomes the image; the last one if there is none.
    pub target: Option<String>,
    /// `--build-arg` in order; of two with one name the later wins. No value: named, but not set in the environment.
    pub build_args: Vec<(String, Option<String>)>,
    /// `--build-context` in order: names that go before stages and images.
    pub build_contexts: Vec<(String, BuildContextSource)>,
    /// `--secret` in order, ids different.
    pub secrets: Vec<SecretSpec>,
    /// `--ssh` in order, ids different.
    pub ssh: Vec<SshSpec>,
    /// `--allow security.insecure`: commands may ask to run without the sandbox's limits.
    pub allow_insecure: bool,
    /// `--label` in order; they go over those of the Dockerfile.
    pub labels: Vec<(String, String)>,
    /// Run every step again.
    pub no_cache: bool,
    /// `--network`: the network of each RUN that does not name one.
    pub network: Network,
    /// `--no-cache-filter`: names of stages, in any case, whose steps run again.
    pub no_cache_stages: Vec<String>,
    /// `--add-host` in order: more lines of /etc/hosts for each RUN.
    pub extra_hosts: Vec<ExtraHost>,
    /// How much each RUN may have.
    pub limits: RunLimits,
    /// `--limit`: how much of what others wrote is taken in.
    pub fetch_limits: FetchLimits,
    /// `--ignorefile`: the rules for the build context, in place of `.dockerignore`.
    pub ignore_file: Option<PathBuf>,
    /// Platforms that this machine runs by emulation, besides its own.
    pub emulated: Vec<Platform>,
    /// At most so many steps at once; no limit on commands if there is none.
    pub jobs: Option<NonZeroUsize>,
    /// The platform of the image.
    pub platform: Platform,
    /// Further platforms: with any, the image is an index.
    pub more_platforms: Vec<Platform>,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970 for what is made.
    pub source_date_epoch: Option<u64>,
    /// Proxy variables of the caller (`http_proxy`, `NO_PROXY`, …): handed to commands, kept out of keys and images.
    pub proxies: Vec<(String, String)>,
    /// What git gets of the caller's environment: where it finds its helpers, keys, proxies and certificates.
    pub git_environment: Vec<(String, OsString)>,
    /// Where the image goes; an empty list builds into the cache only.
    pub outputs: Vec<Output>,
    /// `--squash`: the layers of this build become one; those of the base stay.
    pub squash: bool,
    /// `--pull`: whether registries are asked for images that are here.
    pub pull: PullPolicy,
    /// How registries are spoken to.
    pub registries: RegistrySettings,
}

/// Whether registries are asked for an image that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// An image that has its name in the store is taken as it is; for any other its registry is asked whether it changed.
    #[default]
    Missing,
    /// Registries are asked for all of them.
    Always,
    /// Registries are asked for all of them; one that cannot be had is taken from the store.
    Newer,
    /// No registry is asked.
    Never,
}

/// Where the files of COPY and ADD come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// A directory of the user.
    Directory(PathBuf),
    /// No files at all.
    Empty,
    /// A place that is fetched by [`crate::with_contexts()`] before the build.
    Elsewhere(ContextPlace),
    /// What was fetched.
    Fetched(Arc<FetchedContext>),
}

/// What a name given with `--build-context` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildContextSource {
    /// A directory of the user.
    Directory(PathBuf),
    /// An image of an OCI layout.
    OciLayout {
        /// The layout.
        dir: PathBuf,
        /// Tag (`org.opencontainers.image.ref.name`) or digest; the only image if there is none.
        reference: Option<String>,
    },
    /// An image of a Docker archive (`docker save`).
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// Which of its names; the only image if there is none.
        tag: Option<String>,
    },
    /// Another image, as if the Dockerfile named it.
    Image(ImageRef),
    /// A place that is fetched if a stage uses it.
    Elsewhere(Arc<LateContext>),
}

impl BuildContextSource {
    /// Returns whether it stands for files or for an image.
    pub fn kind(&self) -> ContextKind {
        match self {
            Self::Directory(_) | Self::Elsewhere(_) => ContextKind::Directory,
            Self::OciLayout { .. } | Self::DockerArchive { .. } | Self::Image(_) => ContextKind::Image,
        }
    }
}

/// An SSH agent that steps may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSpec {
    /// The id that `--mount=type=ssh,id=…` names; `default` where none is named.
    pub id: String,
    /// Where its keys are.
    pub source: SshSource,
}

/// Where the keys of an SSH agent are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshSource {
    /// In an agent that listens on a socket.
    Socket {
        /// The socket.
        path: PathBuf,
        /// Let everything through, not only listing keys and signing.
        raw: bool,
    },
    /// In files, for an agent of the build's own.
    Keys(Vec<PathBuf>),
}

/// A secret that steps may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpec {
    /// The id that `--mount=type=secret,id=…` names.
    pub id: String,
    /// Where its bytes are.
    pub source: SecretSource,
}

/// Where the bytes of a secret are. They are read only for a mount that asks.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file of the user.
    File(PathBuf),
    /// Here: the value of an environment variable.
    Environment(Vec<u8>),
}

impl SecretSource {
    /// Most bytes that a secret may have, as BuildKit's.
    pub const LIMIT: u64 = 500 * 1024;
}

impl fmt::Debug for SecretSource {
    /// Prints where the secret is, never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Environment(value) => write!(f, "Environment({} bytes)", value.len()),
        }
    }
}

/// One place where the image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The store, under these names; without a name it is kept until the next prune.
    Store {
        /// The names.
        names: Vec<ImageRef>,
        /// How the image looks there.
        look: Look,
    },
    /// An OCI layout: an archive, or a directory.
    Oci {
        /// Where to.
        destination: Destination,
        /// A tar archive; else a directory, which may be a layout already.
        archive: bool,
        /// Names to write into the index.
        names: Vec<ImageRef>,
        /// How layers are compressed.
        compression: LayerCompression,
        /// How the image looks there.
        look: Look,
    },
    /// An archive for `docker load`.
    Docker {
        /// Where to.
        destination: Destination,
        /// Names to write into the manifest.
        names: Vec<ImageRef>,
        /// How layers are compressed.
        compression: LayerCompression,
        /// How the image looks there.
        look: Look,
    },
    /// An engine on this machine: Docker or Podman.
    Engine {
        /// Which.
        engine: Engine,
        /// The names to give.
        names: Vec<ImageRef>,
        /// How the image looks there.
        look: Look,
    },
    /// The files of the image as a tar, without its config.
    Tar {
        /// Where to.
        destination: Destination,
        /// In a directory for the platform, as `linux_arm64`.
        split: bool,
        /// How the files look there.
        look: Look,
    },
    /// The files of the image in a directory.
    Local {
        /// The directory, which may hold other files.
        path: PathBuf,
        /// Delete what the image does not have.
        delete: bool,
        /// A directory in it for each platform, as `linux_arm64`.
        split: bool,
        /// How the files look there.
        look: Look,
    },
    /// Registries. The image is kept in the store, too, so that a push that failed can go on.
    Registry {
        /// The names to give, at least one, each with its registry.
        names: Vec<ImageRef>,
        /// Give no tag: the manifest is found by its digest only.
        by_digest: bool,
        /// How layers are compressed.
        compression: LayerCompression,
        /// How the image looks there.
        look: Look,
    },
}

/// How an image looks in one of its outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// Docker's media types in the manifest, not OCI's.
    pub docker_types: bool,
    /// Annotations of manifests, indexes and what leads to them.
    pub annotations: Vec<Annotation>,
    /// `rewrite-timestamp`: no file of this build has a time after SOURCE_DATE_EPOCH.
    pub rewrite_timestamp: bool,
    /// `source-date-epoch`: the request's for this output, in seconds since 1970.
    pub source_date_epoch: Option<u64>,
}

impl Look {
    /// Returns how the image for `platform`, one of several, looks.
    pub(crate) fn of_platform(&self, platform: &Platform) -> Self {
        let mut look = self.clone();
        look.annotations.retain(|annotation| annotation.is_for(platform));
        look
    }

    /// Returns how its manifest, and what leads to it, are dressed.
    pub(crate) fn dress(&self) -> Dress {
        self.dress_of(Level::Manifest, Level::ManifestDescriptor)
    }

    /// Returns how an index of several platforms' images, and what leads to it, are dressed.
    pub(crate) fn index_dress(&self) -> Dress {
        self.dress_of(Level::Index, Level::IndexDescriptor)
    }

    fn dress_of(&self, own: Level, descriptor: Level) -> Dress {
        Dress {
            docker_types: self.docker_types,
            annotations: of_level(own, &self.annotations),
            descriptor_annotations: of_level(descriptor, &self.annotations),
        }
    }
}

impl Output {
    /// Returns how layers are compressed there, if they are.
    pub fn compression(&self) -> Option<LayerCompression> {
        match self {
            Self::Oci { compression, .. } | Self::Docker { compression, .. } | Self::Registry { compression, .. } => {
                Some(*compression).filter(|compression| compression.form != layerfs::compress::Compression::Plain)
            }
            Self::Store { .. } | Self::Engine { .. } | Self::Tar { .. } | Self::Local { .. } => None,
        }
    }

    /// Returns the names that the image has there.
    pub fn names(&self) -> &[ImageRef] {
        match self {
            Self::Store { names, .. }
            | Self::Oci { names, .. }
            | Self::Docker { names, .. }
            | Self::Engine { names, .. }
            | Self::Registry { names, .. } => names,
            Self::Tar { .. } | Self::Local { .. } => &[],
        }
    }

    /// Reports whether it needs the bytes of every layer here.
    pub fn needs_bytes(&self) -> bool {
        match self {
            Self::Store { .. }
            | Self::Oci { .. }
            | Self::Docker { .. }
            | Self::Engine { .. }
            | Self::Tar { .. }
            | Self::Local { .. } => true,
            Self::Registry { .. } => false,
        }
    }

    /// Returns how the image looks there.
    pub fn look(&self) -> &Look {
        match self {
            Self::Store { look, .. }
            | Self::Oci { look, .. }
            | Self::Docker { look, .. }
            | Self::Engine { look, .. }
            | Self::Tar { look, .. }
            | Self::Local { look, .. }
            | Self::Registry { look, .. } => look,
        }
    }
}

/// One command to run in an image, its changes thrown away (`lbuild run`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// The argument list.
    pub arguments: Vec<String>,
    /// Environment without HOME, in order; PATH is among them.
    pub environment: Vec<(String, String)>,
    /// Working directory, absolute.
    pub working_directory: String,
    /// `user[:group]` as written; empty for root.
    pub user: String,
    /// Network.
    pub network: Network,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = SecretSpec { id: "token".into(), source: SecretSource::Environment(b"hunter2".to_vec()) };
        let text = format!("{secret:?}");
        assert_eq!(text, "SecretSpec { id: \"token\", source: Environment(7 bytes) }");
    }
}
