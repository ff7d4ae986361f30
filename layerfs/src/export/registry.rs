//! [`RegistryExporter`]: an image in repositories of registries.
//!
//! ```text
//! target        which names go to which repository
//! shipment      in which form each layer goes; the manifest
//! buffers       chunks in memory, at most so many
//! chunks        one chunk is sent while the next is filled
//! side_by_side  several pieces of work at once, until one fails
//! delivery      one shipment to one repository: layers and config, then the manifest under its names
//! blob          one blob to one repository: asked for, mounted, or sent
//! ```
//! What the registry has is not sent, and not read: not even fetched, if it is a base's. A layer that was not compressed
//! before is compressed while it is sent, once for all registries, and kept for the next output.

mod blob;
mod buffers;
mod chunks;
mod delivery;
mod failure;
mod progress;
mod shipment;
mod side_by_side;
mod target;

pub use progress::{PushEvent, PushObserver};

use super::{Exporter, FinishedImage, LayerCompression, hold};
use crate::beside::each_beside;
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::reference::ImageRef;
use crate::registry::Registries;
use crate::store::Store;
use delivery::{Delivery, Terms};
use shipment::Shipment;
use std::sync::atomic::AtomicUsize;
use target::Target;

/// Brings an image to registries: each name to its own, several side by side.
#[derive(Debug, Clone)]
pub struct RegistryExporter<'a> {
    /// The names to give, at least one.
    pub names: Vec<ImageRef>,
    /// Give no tag: the manifest is found by its digest only.
    pub by_digest: bool,
    /// How layers are compressed.
    pub compression: LayerCompression,
    /// The client.
    pub registries: &'a Registries,
    /// Who is told how it goes on.
    pub observer: &'a dyn PushObserver,
}

impl Exporter for RegistryExporter<'_> {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        let _lease = hold(image, &[], store)?;
        let shipment = Shipment::new(image, self.compression, store)?;
        let (hosts, parts) = (target::by_host(&self.names), AtomicUsize::new(0));
        let results: Vec<Result<Vec<Descriptor>, StoreError>> =
            each_beside(&hosts, |targets| self.deliver(&shipment, targets, &parts));
        let manifests = results.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        let none = || StoreError::Malformed { place: "push".to_owned(), why: "no name was given".to_owned() };
        manifests.into_iter().next().ok_or_else(none)
    }
}

/// Returns the manifest that a push of `image` would send; what is to be compressed for it is, and is kept.
///
/// # Errors
/// As [`Exporter::export`].
pub fn pushed_manifest(
    image: &FinishedImage,
    compression: LayerCompression,
    store: &Store,
) -> Result<(Descriptor, Vec<u8>), StoreError> {
    let _lease = hold(image, &[], store)?;
    let shipment = Shipment::new(image, compression, store)?;
    let made = |piece| match shipment.known(piece)? {
        Some(known) => Ok(known),
        None => Ok(compression.made(piece.layer, store)?.descriptor),
    };
    let pieces = shipment.pieces.iter().map(made).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(shipment.manifest(&pieces))
}

impl RegistryExporter<'_> {
    /// Brings a shipment to the repositories of one host; each may mount what the one before it got.
    fn deliver(
        &self,
        shipment: &Shipment<'_>,
        targets: &[Target],
        parts: &AtomicUsize,
    ) -> Result<Vec<Descriptor>, StoreError> {
        let terms = Terms { by_digest: self.by_digest, observer: self.observer, parts };
        let deliver = |target| Delivery::new(shipment, target, self.registries, terms)?.run();
        targets.iter().map(deliver).collect()
    }
}
