//! [`EngineExporter`]: an image to Docker or Podman on this machine.

mod docker;
mod http;
mod podman;
#[cfg(test)]
mod tests;

use super::docker_archive::Archive;
use super::layout::NamedImage;
use super::{ExportLayer, Exporter, FinishedImage, LayerCompression};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::store::Store;
use docker::Docker;
use podman::Podman;
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

/// Layers of fewer bytes in all are sent without asking which of them are there.
const WORTH_ASKING: u64 = 1 << 20;

/// An engine that keeps images of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// Docker, or what speaks its language, at a unix socket.
    Socket(PathBuf),
    /// The same at `HOST:PORT`, unencrypted.
    Tcp(String),
    /// Podman, by its program.
    Podman(PathBuf),
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "Docker at `{}`", path.display()),
            Self::Tcp(address) => write!(f, "Docker at `{address}`"),
            Self::Podman(program) => write!(f, "Podman (`{}`)", program.display()),
        }
    }
}

impl Engine {
    fn refused(&self, why: &str) -> StoreError {
        StoreError::Engine { engine: self.to_string(), why: why.trim().to_owned() }
    }

    fn door(&self) -> Box<dyn Door + '_> {
        match self {
            Self::Socket(_) | Self::Tcp(_) => Box::new(Docker(self)),
            Self::Podman(program) => Box::new(Podman { engine: self, program }),
        }
    }
}

/// What an engine is asked about an image.
#[derive(Debug, Clone, Copy)]
struct Passed<'a> {
    id: &'a Digest,
    manifest: &'a Digest,
    layers: &'a [ExportLayer],
}

/// In which form an engine takes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As `docker save` writes it, with its names.
    Docker,
    /// As an OCI image layout without names: they are given afterwards.
    Layout,
}

/// What an engine can be asked, and told.
trait Door {
    /// Reports whether the image is there.
    fn has(&self, image: &Passed<'_>) -> Result<bool, StoreError>;

    /// Returns the blobs of those layers that need not be in the archive.
    fn held(&self, image: &Passed<'_>) -> Result<HashSet<Digest>, StoreError>;

    /// Returns the form of archives for it.
    fn form(&self) -> Form;

    /// Hands it an archive.
    fn load(&self, archive: &Archive) -> Result<(), StoreError>;

    /// Gives a name to an image that is there.
    fn name(&self, id: &Digest, name: &ImageRef) -> Result<(), StoreError>;
}

/// Hands an image to an engine by an archive of what the engine lacks; nothing is written on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineExporter {
    /// Who gets it.
    pub engine: Engine,
    /// The names to give.
    pub names: Vec<ImageRef>,
}

/// What was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The manifest of the archive.
    pub manifest: Descriptor,
    /// How many layers were sent; none if the image was there.
    pub sent: usize,
}

impl Exporter for EngineExporter {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        Ok(self.load(image, store)?.manifest)
    }
}

impl EngineExporter {
    /// Hands an image over as [`Exporter::export`] does, and says what was sent.
    ///
    /// # Errors
    /// Those of [`Exporter::export`].
    pub fn load(&self, image: &FinishedImage, store: &Store) -> Result<Loaded, StoreError> {
        let door = self.engine.door();
        self.load_through(&*door, image, store)
    }

    fn load_through(&self, door: &dyn Door, image: &FinishedImage, store: &Store) -> Result<Loaded, StoreError> {
        let image = &dressed(image, door.form());
        let mut whole = self.archive(image, door.form(), store)?;
        let manifest = whole.manifests().remove(0);
        let id = image.id();
        let passed = Passed { id: &id, manifest: &manifest.digest, layers: &image.layers };
        // Asking only saves work: who does not answer says why when the image comes.
        if door.has(&passed).unwrap_or(false) {
            self.names.iter().try_for_each(|name| door.name(&id, name))?;
            return Ok(Loaded { manifest, sent: 0 });
        }
        let held = if worth_asking(image) { door.held(&passed).unwrap_or_default() } else { HashSet::new() };
        let sent = image.layers.iter().filter(|layer| !held.contains(&layer.blob.digest)).count();
        whole.leave_out(&held);
        let sent = match door.load(&whole) {
            // What was there may be gone by now, or is not taken as held by this kind of engine.
            Err(StoreError::Engine { .. }) if !held.is_empty() => {
                door.load(&self.archive(image, door.form(), store)?)?;
                image.layers.len()
            }
            result => result.map(|()| sent)?,
        };
        if door.form() == Form::Layout {
            self.names.iter().try_for_each(|name| door.name(&id, name))?;
        }
        Ok(Loaded { manifest, sent })
    }

    fn archive(&self, image: &FinishedImage, form: Form, store: &Store) -> Result<Archive, StoreError> {
        match form {
            Form::Docker => Archive::of(&[NamedImage { image, names: &self.names }], LayerCompression::KEEP, store),
            Form::Layout => Archive::layout(&[NamedImage { image, names: &[] }], LayerCompression::KEEP, store),
        }
    }
}

/// Returns the image as an engine is to see it: what Docker adds to OCI's config, Podman reads under Docker's media types
/// only.
fn dressed(image: &FinishedImage, form: Form) -> FinishedImage {
    let mut image = image.clone();
    let run = &image.config.config;
    let of_docker = run.healthcheck.is_some() || run.on_build.is_some() || run.shell.is_some();
    image.dress.docker_types |= form == Form::Layout && of_docker;
    image
}

fn worth_asking(image: &FinishedImage) -> bool {
    image.layers.iter().map(|layer| layer.blob.size).sum::<u64>() >= WORTH_ASKING
}
