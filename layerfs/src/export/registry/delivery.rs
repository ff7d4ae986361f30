//! [`Delivery`]: brings a shipment to one repository.

use super::progress::{PushEvent, PushObserver};
use super::shipment::{Form, Piece, Shipment};
use super::side_by_side::{FirstFailure, side_by_side};
use super::target::{Target, pinned, reference};
use crate::descriptor::{Descriptor, media_type};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::registry::Registries;
use crate::registry::remote::Remote;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Blobs on their way to one host at once, as containerd's.
const AT_ONCE: usize = 4;
/// Repositories that a token is asked for to mount blobs from.
const MOST_REPOSITORIES: usize = 4;

/// Brings a shipment to one repository: layers and config, then the manifest under its names.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) shipment: &'a Shipment<'a>,
    pub(super) target: &'a Target,
    pub(super) remote: Remote,
    /// Repositories of the host that blobs may be mounted from.
    pub(super) mounts: Vec<String>,
    by_digest: bool,
    observer: &'a dyn PushObserver,
    parts: &'a AtomicUsize,
    /// Ends the others where one fails.
    pub(super) failure: FirstFailure,
}

/// What is brought before the manifest.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Config,
    /// A layer, and its number among the pieces.
    Layer(usize, &'a Piece<'a>),
}

/// How the names of an image are given out, and who is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub by_digest: bool,
    pub observer: &'a dyn PushObserver,
    /// Numbers of the parts.
    pub parts: &'a AtomicUsize,
}

impl<'a> Delivery<'a> {
    /// Returns a delivery to `target`.
    ///
    /// # Errors
    /// The settings' of registries; the store's.
    pub fn new(
        shipment: &'a Shipment<'a>,
        target: &'a Target,
        registries: &Registries,
        terms: Terms<'a>,
    ) -> Result<Self, StoreError> {
        let mounts = mounts(shipment, target)?;
        let Terms { by_digest, observer, parts } = terms;
        let remote = registries.push_to(target.name(), &mounts)?;
        Ok(Self { shipment, target, remote, mounts, by_digest, observer, parts, failure: FirstFailure::default() })
    }

    /// Brings everything there; returns the manifest's descriptor. What is there already is not sent.
    ///
    /// # Errors
    /// [`StoreError::Push`] with what failed; an image that failed has none of its names there yet, or had them before.
    pub fn run(&self) -> Result<Descriptor, StoreError> {
        let known = self.shipment.all_known()?.map(|pieces| self.shipment.manifest(&pieces));
        let missing = match &known {
            Some((manifest, _)) => self.missing(manifest)?,
            None => self.target.names.iter().collect(),
        };
        let (manifest, bytes) = match known {
            // A manifest is stored only after its blobs: one that is there has all of them.
            Some(known) if missing.len() < self.target.names.len() => known,
            _ => {
                let pieces = self.part("pushing layers".to_owned(), |part| self.blobs(part))?;
                self.shipment.manifest(&pieces)
            }
        };
        let name = |name: &&ImageRef| self.name(name, &manifest, &bytes, missing.contains(name));
        let names: Vec<&ImageRef> = self.target.names.iter().collect();
        // Once it is there under one name, the others are but names.
        let (first, others) = names.split_first().expect("a target has a name");
        name(first)?;
        side_by_side(others, AT_ONCE, &self.failure, name)?;
        self.shipment.store.holders().note(&manifest.digest, self.target.name())?;
        Ok(manifest)
    }

    /// Returns the names under which the registry has not got this manifest.
    fn missing(&self, manifest: &Descriptor) -> Result<Vec<&'a ImageRef>, StoreError> {
        let names: Vec<&ImageRef> = self.target.names.iter().collect();
        let missing = side_by_side(&names, AT_ONCE, &self.failure, |name| {
            let reference = reference(name, self.by_digest, &manifest.digest);
            let found = self.remote.head_manifest(&reference).map_err(|error| self.failed(&name.to_string(), error))?;
            Ok(found.is_none_or(|found| found.digest != manifest.digest).then_some(*name))
        })?;
        Ok(missing.into_iter().flatten().collect())
    }

    /// Brings config and layers there, several at once; returns the layers' descriptors.
    fn blobs(&self, part: usize) -> Result<Vec<Descriptor>, StoreError> {
        let pieces = &self.shipment.pieces;
        let layers = self.queue()?.into_iter().map(|at| Part::Layer(at, &pieces[at]));
        let parts: Vec<Part<'_>> = std::iter::once(Part::Config).chain(layers).collect();
        let sent = side_by_side(&parts, AT_ONCE, &self.failure, |item| match item {
            Part::Config => self.config().map(|()| None),
            Part::Layer(at, piece) => Ok(Some((*at, self.layer(part, piece)?))),
        })?;
        let mut layers: Vec<(usize, Descriptor)> = sent.into_iter().flatten().collect();
        layers.sort_by_key(|(at, _)| *at);
        Ok(layers.into_iter().map(|(_, layer)| layer).collect())
    }

    /// Returns the order in which layers are sent: those that only need sending first, since the others wait for each
    /// other; of these the smallest first, so that they are on their way while the largest is compressed.
    fn queue(&self) -> Result<Vec<usize>, StoreError> {
        let known = |piece: &Piece<'_>| self.shipment.known(piece).map(|known| known.is_some());
        let known = self.shipment.pieces.iter().map(known).collect::<Result<Vec<bool>, _>>()?;
        let mut queue: Vec<usize> = (0..known.len()).collect();
        queue.sort_by_key(|&at| (!known[at], self.shipment.pieces[at].layer.blob.size));
        Ok(queue)
    }

    fn layer(&self, part: usize, piece: &Piece<'_>) -> Result<Descriptor, StoreError> {
        let result = match piece.form {
            Form::Elsewhere => Ok(piece.layer.blob.clone()),
            Form::AsItIs => self.as_it_is(part, piece),
            Form::Made => self.made(part, piece),
        };
        result.map_err(|error| self.failed(&format!("layer {}", piece.layer.diff_id), error))
    }

    fn config(&self) -> Result<(), StoreError> {
        let bytes = &self.shipment.image.config_bytes;
        let config = Descriptor::of(media_type::OCI_CONFIG, bytes);
        let sent = self.small(&config, bytes);
        sent.map_err(|error| self.failed(&format!("config {}", config.digest), error))
    }

    /// Gives the manifest a name, unless it has it.
    fn name(&self, name: &ImageRef, manifest: &Descriptor, bytes: &[u8], is_missing: bool) -> Result<(), StoreError> {
        let text = format!("pushing manifest for {}", pinned(name, self.by_digest, &manifest.digest));
        self.part(text, |_| {
            check_digest(name, &manifest.digest)?;
            if !is_missing {
                return Ok(());
            }
            let reference = reference(name, self.by_digest, &manifest.digest);
            let put = self.remote.put_manifest(&reference, &manifest.media_type, bytes);
            put.map_err(|error| self.failed(&format!("manifest {}", manifest.digest), error))
        })
    }

    /// Does a part of the push and says so.
    fn part<T>(&self, name: String, work: impl FnOnce(usize) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let part = self.parts.fetch_add(1, Ordering::Relaxed);
        self.observer.event(PushEvent::Began { part, name });
        let result = work(part);
        let error = result.as_ref().err().map(ToString::to_string);
        self.observer.event(PushEvent::Ended { part, error });
        result
    }

    /// Says how much of a layer is sent.
    pub(super) fn sent(&self, part: usize, piece: &Piece<'_>, done: u64, total: Option<u64>) {
        self.observer.event(PushEvent::Sent { part, what: &piece.layer.diff_id.0, done, total });
    }

    fn failed(&self, what: &str, error: impl Into<StoreError>) -> StoreError {
        let to = self.target.name().name();
        StoreError::Push { what: what.to_owned(), to, source: Box::new(error.into()) }
    }
}

/// Refuses a name that states the digest of another manifest.
fn check_digest(name: &ImageRef, got: &Digest) -> Result<(), StoreError> {
    match name.digest {
        Some(wanted) if wanted != *got => {
            Err(StoreError::DigestMismatch { what: format!("the manifest for `{name}`"), wanted, got: *got })
        }
        _ => Ok(()),
    }
}

/// Returns the repositories of the target's host that hold blobs of the shipment, as far as is known: where bases come
/// from first, then what earlier pulls and pushes left word of.
fn mounts(shipment: &Shipment<'_>, target: &Target) -> Result<Vec<String>, StoreError> {
    let mut mounts: Vec<String> = Vec::new();
    let mut add = |repository: String| {
        if repository != target.name().repository && !mounts.contains(&repository) && mounts.len() < MOST_REPOSITORIES {
            mounts.push(repository);
        }
    };
    for piece in &shipment.pieces {
        let origin = piece.layer.source.as_ref().and_then(|origin| origin.0.repository());
        origin.filter(|name| name.host == target.host()).into_iter().for_each(|name| add(name.repository));
    }
    for piece in &shipment.pieces {
        if let Some(blob) = shipment.known(piece)? {
            let held = shipment.store.holders().repositories(&blob.digest, target.host())?;
            held.into_iter().for_each(&mut add);
        }
    }
    Ok(mounts)
}
