//! [`Places`]: the repositories that may have an image, asked one after another.

use super::PullError;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::registry::error::RegistryError;
use crate::registry::observer::Observer;
use crate::registry::remote::{Remote, RemoteManifest};
use crate::registry::routing::Serves;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A repository at a host; a [`Remote`], but for tests.
pub(super) trait Place: Debug + Send + Sync {
    /// Returns `host/repository`.
    fn name(&self) -> String;

    /// Returns what it may be asked for.
    fn serves(&self) -> Serves;

    /// As [`Remote::head_manifest`].
    fn head(&self, reference: &str) -> Result<Option<Descriptor>, RegistryError>;

    /// As [`Remote::manifest`].
    fn manifest(&self, reference: &str) -> Result<RemoteManifest, RegistryError>;

    /// As [`Remote::blob_from`].
    fn blob(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, RegistryError>;
}

impl Place for Remote {
    fn name(&self) -> String {
        format!("{}/{}", self.endpoint().host, self.endpoint().repository)
    }

    fn serves(&self) -> Serves {
        self.endpoint().serves
    }

    fn head(&self, reference: &str) -> Result<Option<Descriptor>, RegistryError> {
        self.head_manifest(reference)
    }

    fn manifest(&self, reference: &str) -> Result<RemoteManifest, RegistryError> {
        Remote::manifest(self, reference)
    }

    fn blob(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, RegistryError> {
        self.blob_from(blob, offset)
    }
}

/// The places that may have an image, and how they did so far.
#[derive(Debug)]
pub(super) struct Places {
    image: String,
    places: Vec<Box<dyn Place>>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that did not answer: they are asked last.
    troubled: BTreeSet<usize>,
    /// Those whose bytes of a blob were wrong.
    rejected: BTreeSet<(Digest, usize)>,
    /// Who gave a blob last.
    gave: BTreeMap<Digest, usize>,
}

impl Places {
    pub(super) fn new(image: String, places: Vec<Box<dyn Place>>, observer: Arc<dyn Observer>) -> Self {
        Self { image, places, observer, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn get(&self, number: usize) -> &dyn Place {
        &*self.places[number]
    }

    /// Returns the places in the order in which to ask them.
    fn order(&self) -> Vec<usize> {
        let state = self.state();
        let (last, first): (Vec<_>, Vec<_>) =
            (0..self.places.len()).partition(|number| state.troubled.contains(number));
        [first, last].concat()
    }

    /// Asks the places one after another, for something that is named by digest or not, until one answers.
    ///
    /// # Errors
    /// [`StoreError::Pull`] with what each said; [`RegistryError::Cancelled`].
    pub(super) fn ask<T>(
        &self,
        by_digest: bool,
        question: impl Fn(&dyn Place) -> Result<T, RegistryError>,
    ) -> Result<T, StoreError> {
        let other = if by_digest { Serves::Tags } else { Serves::Digests };
        let order = self.order().into_iter().filter(|number| self.places[*number].serves() != other);
        self.try_each(order, |number| question(self.get(number))).map(|(_, answer)| answer)
    }

    /// Opens a blob from `offset` on at the first place that has it, leaving out those of `tried`.
    pub(super) fn open(
        &self,
        blob: &Descriptor,
        offset: u64,
        tried: &BTreeSet<usize>,
    ) -> Result<(usize, Box<dyn Read + Send>), StoreError> {
        let rejected = |number: usize| self.state().rejected.contains(&(blob.digest, number));
        let order = self.order().into_iter().filter(|number| {
            self.places[*number].serves() != Serves::Tags && !tried.contains(number) && !rejected(*number)
        });
        let (number, reader) = self.try_each(order, |number| self.get(number).blob(blob, offset))?;
        self.state().gave.insert(blob.digest, number);
        Ok((number, reader))
    }

    fn try_each<T>(
        &self,
        order: impl Iterator<Item = usize>,
        question: impl Fn(usize) -> Result<T, RegistryError>,
    ) -> Result<(usize, T), StoreError> {
        let mut asked = Vec::new();
        for number in order {
            match question(number) {
                Ok(answer) => {
                    self.tell(&asked, number);
                    return Ok((number, answer));
                }
                Err(RegistryError::Cancelled) => return Err(RegistryError::Cancelled.into()),
                Err(error) => {
                    self.note(number, &error);
                    asked.push((self.get(number).name(), error));
                }
            }
        }
        // Mirrors come first, and what the image's own host says comes last, whatever was asked last.
        asked.sort_by_key(|(name, _)| self.places.iter().position(|place| place.name() == *name));
        Err(StoreError::Pull(Box::new(PullError { name: self.image.clone(), asked })))
    }

    /// Notes a place that failed: it is asked last from now on, unless it only does not have what was asked for.
    pub(super) fn note(&self, number: usize, error: &RegistryError) {
        if !matches!(error, RegistryError::NotFound { .. }) {
            self.state().troubled.insert(number);
        }
    }

    /// Tells of places that were passed over for more than not having an image, once.
    fn tell(&self, asked: &[(String, RegistryError)], took: usize) {
        for (place, error) in asked.iter().filter(|(_, error)| !matches!(error, RegistryError::NotFound { .. })) {
            self.observer.warning(&format!("`{place}` is passed over for `{}`: {error}", self.get(took).name()));
        }
    }

    /// Leaves out who gave a blob last from now on, as its bytes were wrong; reports whether others are left.
    pub(super) fn reject(&self, blob: &Digest) -> bool {
        let mut state = self.state();
        let Some(number) = state.gave.remove(blob) else { return false };
        state.rejected.insert((*blob, number));
        (0..self.places.len()).any(|number| !state.rejected.contains(&(*blob, number)))
    }
}
