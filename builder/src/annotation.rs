//! [`Annotation`]: a note on a manifest, on an index, or on what leads to one (FEATURES 4-15).

use layerfs::platform::Platform;
use std::collections::BTreeMap;

/// What an annotation is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The manifest of an image.
    Manifest,
    /// The descriptor of a manifest, in the index of several platforms or else in `index.json` of a layout.
    ManifestDescriptor,
    /// The index of images for several platforms.
    Index,
    /// The descriptor of that index in `index.json` of a layout.
    IndexDescriptor,
}

/// A note on a manifest, on an index, or on what leads to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// What it is put on.
    pub level: Level,
    /// The platform whose image it is for; none is for all.
    pub platform: Option<Platform>,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Annotation {
    /// Reports whether it is for the image of `platform`.
    pub fn is_for(&self, platform: &Platform) -> bool {
        self.platform.as_ref().is_none_or(|only| only == platform)
    }
}

/// Returns the annotations of a level; of one key the last counts.
pub(crate) fn of_level(level: Level, annotations: &[Annotation]) -> BTreeMap<String, String> {
    let there = annotations.iter().filter(|one| one.level == level);
    there.map(|one| (one.key.clone(), one.value.clone())).collect()
}
