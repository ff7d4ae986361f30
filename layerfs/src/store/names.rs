//! Images of the store by what people call them: found, named, and their names taken away.

use super::{SparseImage, Store};
use crate::descriptor::{Descriptor, is_manifest};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::lease::Held;
use crate::reference::ImageRef;
use std::collections::{BTreeMap, BTreeSet};

impl Store {
    /// Returns the manifest that `text` means, also of an image that lacks blobs: a name, an image ID, a manifest's digest,
    /// or the beginning of either's digits (at least four).
    ///
    /// # Errors
    /// [`StoreError::NoImage`]; [`StoreError::SeveralImages`] if the digits are the beginning of several.
    pub fn find(&self, text: &str) -> Result<Descriptor, StoreError> {
        Ok(self.find_all(text)?.remove(0))
    }

    /// Returns the manifests of the image that `text` means, at least one: the same config may have come with its layers
    /// in several forms.
    fn find_all(&self, text: &str) -> Result<Vec<Descriptor>, StoreError> {
        if let Ok(name) = text.parse::<ImageRef>() {
            if let Some(manifest) = self.refs.get(&name)? {
                return Ok(vec![manifest]);
            }
            if let Some(image) = self.sparse.get(&name)?.filter(|image| self.is_readable(&image.manifest)) {
                return Ok(vec![image.manifest]);
            }
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let hit = |digest: &Digest| digits.len() >= 4 && digest.hex().starts_with(digits);
        let mut found: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
        let sparse = self.sparse.list()?.into_iter().map(|image| image.manifest);
        let mut seen = BTreeSet::new();
        for root in self.refs.roots()?.into_iter().chain(sparse).filter(|root| seen.insert(root.digest)) {
            // A damaged image has no ID to go by; its name and its manifest's digest still find it, to remove it.
            let image = || is_manifest(&root.media_type).then(|| self.image(&root.digest).ok()).flatten();
            let id = image().map(|image| image.id());
            if hit(&root.digest) || id.is_some_and(|id| hit(&id)) {
                found.entry(id.unwrap_or(root.digest)).or_default().push(root);
            }
        }
        match found.len() {
            0 => Err(self.no_image(text)?),
            1 => Ok(found.into_values().flatten().collect()),
            _ => {
                let there = found.into_values().flatten().map(|root| root.digest.to_string()).collect();
                Err(StoreError::SeveralImages { place: format!("`{text}`"), there })
            }
        }
    }

    /// Gives the image that `text` means ([`Self::find`]) the names `names`, all at once.
    ///
    /// # Errors
    /// As [`Self::find`]; [`StoreError::NoBlob`] if the image is damaged.
    pub fn tag(&self, text: &str, names: &[ImageRef]) -> Result<(), StoreError> {
        // Another process may take the last name away meanwhile, and a third one what no name needs.
        let lease = self.lease()?;
        let manifest = self.find(text)?;
        let image = self.image(&manifest.digest)?;
        let layers = image.manifest.layers.iter().map(|layer| layer.digest);
        let blobs: BTreeSet<Digest> = layers.chain([image.id(), manifest.digest]).collect();
        lease.hold(&blobs.iter().copied().map(Held::Blob).collect::<Vec<_>>())?;
        if let Some(sparse) = self.sparse.list()?.into_iter().find(|image| image.manifest.digest == manifest.digest)
            && self.refs.list()?.iter().all(|(_, other)| other.digest != manifest.digest)
        {
            return self.tag_sparse(&sparse, names);
        }
        self.blobs.sync(&Vec::from_iter(blobs))?;
        self.refs.set(names, &manifest)?;
        names.iter().try_for_each(|name| self.sparse.remove(name).map(drop))
    }

    /// Gives an image further names that lacks blobs: it lacks them under these names, too.
    fn tag_sparse(&self, image: &SparseImage, names: &[ImageRef]) -> Result<(), StoreError> {
        for name in names {
            self.sparse.put(&SparseImage { name: name.clone(), ..image.clone() })?;
            self.refs.remove(name)?;
        }
        Ok(())
    }

    /// Takes the name `text` away, or, where it is an ID, all names of that image. Nothing is deleted until gc.
    /// Returns the names that are gone.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn remove(&self, text: &str) -> Result<Vec<ImageRef>, StoreError> {
        if let Ok(name) = text.parse::<ImageRef>()
            && name.digest.is_none()
            && (self.refs.remove(&name)?.is_some() | self.sparse.remove(&name)?)
        {
            return Ok(vec![name]);
        }
        let manifests: BTreeSet<Digest> = self.find_all(text)?.iter().map(|manifest| manifest.digest).collect();
        let mut names = Vec::new();
        for manifest in &manifests {
            names.extend(self.refs.remove_all(manifest)?);
        }
        for image in self.sparse.list()?.into_iter().filter(|image| manifests.contains(&image.manifest.digest)) {
            self.sparse.remove(&image.name)?;
            names.push(image.name);
        }
        Ok(names)
    }

    fn no_image(&self, name: &str) -> Result<StoreError, StoreError> {
        let there = self.refs.list()?.into_iter().map(|(name, _)| name.familiar()).collect();
        Ok(StoreError::NoImage { place: "the store".into(), name: name.to_owned(), there })
    }
}
