//! [`Places::push`]: images of the store to registries; [`Pushing`]: a push as steps of a build.

use crate::error::StepError;
use crate::listener::Client;
use crate::progress::{Event, Outcome, ProgressSink, StepId};
use layerfs::descriptor::Descriptor;
use layerfs::error::StoreError;
use layerfs::export::{Exporter, FinishedImage, LayerCompression, PushEvent, PushObserver, RegistryExporter};
use layerfs::reference::ImageRef;
use layerfs::source::{Origin, RegistrySource};
use layerfs::store::Store;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// More parts than any push has.
const PARTS: usize = 1 << 16;

/// Shows the parts of a push as internal steps.
pub(crate) struct Pushing<'a> {
    first: usize,
    sink: &'a dyn ProgressSink,
    began: Mutex<HashMap<usize, Instant>>,
}

impl<'a> Pushing<'a> {
    /// Returns what shows the push of output `number` to `sink`.
    pub(crate) fn new(number: usize, sink: &'a dyn ProgressSink) -> Self {
        Self { first: (number + 1) * PARTS, sink, began: Mutex::default() }
    }

    fn step(&self, part: usize) -> StepId {
        StepId::internal(self.first + part)
    }
}

impl fmt::Debug for Pushing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushing").field("first", &self.first).finish_non_exhaustive()
    }
}

impl PushObserver for Pushing<'_> {
    fn event(&self, event: PushEvent<'_>) {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        self.sink.event(match event {
            PushEvent::Began { part, name } => {
                began.insert(part, Instant::now());
                Event::StepStarted { step: self.step(part), name }
            }
            PushEvent::Sent { part, what, done, total } => {
                Event::Transfer { step: self.step(part), what: what.to_string(), done, total }
            }
            PushEvent::Ended { part, error } => {
                let took = began.remove(&part).map(|began| began.elapsed()).unwrap_or_default();
                let outcome = error.map_or(Outcome::Done, Outcome::Failed);
                Event::StepFinished { step: self.step(part), took, outcome }
            }
        });
    }
}

/// A name that an image has in its registry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The name.
    pub name: ImageRef,
    /// The manifest there.
    pub manifest: Descriptor,
}

/// Where images are found, and where they are brought to.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// The store.
    pub store: &'a Store,
    /// The client of registries.
    pub client: &'a Client,
    /// Who is told how it goes on.
    pub sink: &'a dyn ProgressSink,
}

impl fmt::Debug for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("store", self.store).finish_non_exhaustive()
    }
}

impl Places<'_> {
    /// Pushes images of the store under the names that they have there, an image with several names once. Layers are
    /// compressed as `compression` says; an image that came from a registry goes as it came.
    ///
    /// # Errors
    /// The store's, also for a name that it does not have; the registries'. Nothing is pushed unless every name is there.
    pub fn push(self, names: &[ImageRef], compression: LayerCompression) -> Result<Vec<Pushed>, StepError> {
        let images = names.iter().map(|name| self.stored(name)).collect::<Result<Vec<_>, _>>()?;
        let mut pushed = Vec::new();
        for (number, (image, names)) in grouped(names, images).into_iter().enumerate() {
            let manifest = self.export(number, &image, names.clone(), false, compression)?;
            pushed.extend(names.into_iter().map(|name| Pushed { name, manifest: manifest.clone() }));
        }
        Ok(pushed)
    }

    /// Pushes one image; `number` tells its steps from those of others.
    ///
    /// # Errors
    /// The store's, the registries'.
    pub(crate) fn export(
        self,
        number: usize,
        image: &FinishedImage,
        names: Vec<ImageRef>,
        by_digest: bool,
        compression: LayerCompression,
    ) -> Result<Descriptor, StoreError> {
        let (registries, observer) = (&self.client.registries, &Pushing::new(number, self.sink));
        RegistryExporter { names, by_digest, compression, registries, observer }.export(image, self.store)
    }

    /// Returns the image of the store that has a name.
    fn stored(self, name: &ImageRef) -> Result<FinishedImage, StoreError> {
        match self.stored_if_there(name)? {
            Some(image) => Ok(image),
            // It may be called by its ID; else the error names what is there.
            None => {
                let manifest = self.store.find(&name.to_string())?;
                Ok(FinishedImage::whole(self.store.image(&manifest.digest)?, None))
            }
        }
    }

    /// Returns the image that has a name in the store, if any has.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn stored_if_there(self, name: &ImageRef) -> Result<Option<FinishedImage>, StoreError> {
        if let Some(manifest) = self.store.refs().get(name)? {
            return Ok(Some(FinishedImage::whole(self.store.image(&manifest.digest)?, None)));
        }
        let Some(sparse) = self.store.sparse().get(name)? else { return Ok(None) };
        let mut image = FinishedImage::whole(self.store.image(&sparse.manifest.digest)?, None);
        for layer in &mut image.layers {
            if let Some(holder) = sparse.origins.get(&layer.blob.digest).and_then(|holders| holders.first()) {
                layer.source = Some(Origin(Arc::new(self.source(holder)?)));
            }
        }
        Ok(Some(image))
    }

    /// Returns the image that a name leads to in its registry.
    ///
    /// # Errors
    /// The settings' of registries.
    pub(crate) fn source(self, name: &ImageRef) -> Result<RegistrySource, StoreError> {
        let remotes = self.client.registries.pull_from(name)?;
        Ok(RegistrySource::new(name.clone(), self.store.clone(), remotes, Arc::clone(&self.client.observer)).fresh())
    }

    /// Returns every name that the store has in the repositories of `names`.
    ///
    /// # Errors
    /// The store's, also for a repository that it does not have.
    pub fn all_tags(self, names: &[ImageRef]) -> Result<Vec<ImageRef>, StepError> {
        let here = self.store.refs().list()?.into_iter().map(|(name, _)| name);
        let here: Vec<ImageRef> = here.chain(self.store.sparse().list()?.into_iter().map(|image| image.name)).collect();
        let mut found: Vec<ImageRef> = Vec::new();
        for name in names {
            let tags: Vec<&ImageRef> = here.iter().filter(|known| known.same_repository(name)).collect();
            if tags.is_empty() {
                // Its error names what is there.
                self.store.find(&name.to_string())?;
            }
            tags.into_iter().for_each(|tag| {
                if !found.contains(tag) {
                    found.push(tag.clone());
                }
            });
        }
        Ok(found)
    }
}

/// Returns each image once with its names.
fn grouped(names: &[ImageRef], images: Vec<FinishedImage>) -> Vec<(FinishedImage, Vec<ImageRef>)> {
    let mut groups: Vec<(FinishedImage, Vec<ImageRef>)> = Vec::new();
    for (name, image) in names.iter().zip(images) {
        match groups.iter_mut().find(|(known, _)| known.manifest_bytes == image.manifest_bytes) {
            Some((_, names)) => names.push(name.clone()),
            None => groups.push((image, vec![name.clone()])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerfs::digest::Digest;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl ProgressSink for Lines {
        fn event(&self, event: Event) {
            let line = match event {
                Event::StepStarted { step, name } => format!("{} {name}", step.step),
                Event::Transfer { step, what, done, total } => format!("{} {what} {done} of {total:?}", step.step),
                Event::StepFinished { step, outcome, .. } => format!("{} {outcome:?}", step.step),
                other => format!("{other:?}"),
            };
            self.0.lock().expect("locked").push(line);
        }
    }

    #[test]
    fn the_parts_of_a_push_are_steps_of_their_own() {
        let lines = Lines::default();
        let pushing = Pushing::new(1, &lines);
        let what = Digest::of("layer");
        for event in [
            PushEvent::Began { part: 0, name: "pushing layers".into() },
            PushEvent::Sent { part: 0, what: &what, done: 1, total: None },
            PushEvent::Ended { part: 0, error: None },
            PushEvent::Began { part: 1, name: "pushing manifest for x".into() },
            PushEvent::Ended { part: 1, error: Some("denied".into()) },
        ] {
            pushing.event(event);
        }
        let wanted = [
            "131072 pushing layers",
            &format!("131072 {what} 1 of None"),
            "131072 Done",
            "131073 pushing manifest for x",
            "131073 Failed(\"denied\")",
        ];
        assert_eq!(lines.0.into_inner().expect("unlocked"), wanted);
    }
}
