//! [`DockerArchiveSource`]: an image of a tar file as `docker save` writes it.
//!
//! ```text
//! manifest.json                 [{"Config": file, "RepoTags": [name, …], "Layers": [file, …]}], anywhere in the tar
//! <hex>.json, <id>/layer.tar    before Docker 25; a layer.tar may be a link to another
//! blobs/sha256/<hex>            since
//! ```
//! There is no manifest of the registry's kind in it (a newer archive's `index.json` need not be there), so one is made.

use super::ImageSource;
use super::archive::{Archive, Extent};
use crate::compress::{Compression, SNIFF_LENGTH, decompress};
use crate::descriptor::{Descriptor, media_type};
use crate::digest::{DiffId, Digest, HashReader};
use crate::error::StoreError;
use crate::image::{Image, ImageConfig, ImageError, Manifest};
use crate::io_error::IoContext;
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::store::LONGEST_CONFIG;
use crate::verify::VerifiedReader;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) const MANIFEST: &str = "manifest.json";
const LONGEST_LIST: u64 = 8 << 20;

/// An image of a tar file as `docker save` writes it.
#[derive(Debug)]
pub struct DockerArchiveSource {
    file: PathBuf,
    archive: Option<Arc<Archive>>,
    which: Which,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

/// Which image of an archive.
#[derive(Debug)]
enum Which {
    /// The only one.
    Only,
    /// That of a name.
    Named(String),
    /// That of a place in the list.
    Number(usize),
}

/// The image, and where its blobs are.
#[derive(Debug)]
struct Loaded {
    archive: Arc<Archive>,
    image: Image,
    extents: BTreeMap<Digest, Extent>,
}

/// One image of `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// One layer file, read once.
#[derive(Debug, Clone)]
struct LayerFile {
    blob: Descriptor,
    diff_id: DiffId,
    extent: Extent,
}

impl DockerArchiveSource {
    /// Returns the image `tag` of the archive `file`; with none, its only image.
    pub fn new(file: PathBuf, tag: Option<String>) -> Self {
        let which = tag.map_or(Which::Only, Which::Named);
        Self { file, archive: None, which, loaded: Mutex::new(None) }
    }

    /// Returns every image of an archive that was opened, each with its names as they stand there.
    ///
    /// # Errors
    /// [`StoreError::Malformed`].
    pub(super) fn all(archive: &Arc<Archive>) -> Result<Vec<(Vec<String>, Self)>, StoreError> {
        let one = |(number, listed): (usize, Listed)| {
            let (file, archive) = (archive.place().to_owned(), Some(Arc::clone(archive)));
            let source = Self { file, archive, which: Which::Number(number), loaded: Mutex::new(None) };
            (listed.repo_tags.unwrap_or_default(), source)
        };
        Ok(list_of(archive)?.into_iter().enumerate().map(one).collect())
    }

    /// Returns the image, reading the archive the first time.
    fn loaded(&self) -> Result<Arc<Loaded>, StoreError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*loaded {
            return Ok(Arc::clone(loaded));
        }
        let fresh = Arc::new(self.load()?);
        *loaded = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    fn load(&self) -> Result<Loaded, StoreError> {
        let archive = match &self.archive {
            Some(archive) => Arc::clone(archive),
            None => Arc::new(Archive::open(&self.file)?),
        };
        let list = list_of(&archive)?;
        let listed = self.choose(&list)?;
        let config_bytes = self.config(&archive, &listed.config)?;
        let config: ImageConfig = serde_json::from_slice(&config_bytes)
            .map_err(|error| self.wrong(ImageError::Json { what: "image config", why: error.to_string() }))?;
        let layers = self.layers(&archive, listed.layers.as_deref().unwrap_or_default())?;
        self.check_diff_ids(&config.rootfs.diff_ids, &layers)?;
        let image = self.image(config_bytes, &layers)?;
        let mut extents: BTreeMap<Digest, Extent> =
            layers.iter().map(|layer| (layer.blob.digest, layer.extent)).collect();
        extents.insert(image.id(), archive.find(&listed.config)?);
        Ok(Loaded { archive, image, extents })
    }

    /// Returns the image that is meant.
    fn choose(&self, list: &[Listed]) -> Result<Listed, StoreError> {
        let names = || list.iter().flat_map(|listed| listed.repo_tags.clone().unwrap_or_default()).collect();
        match &self.which {
            Which::Number(number) => Ok(list[*number].clone()),
            Which::Named(tag) => {
                let hit = |listed: &&Listed| listed.repo_tags.iter().flatten().any(|name| same_name(name, tag));
                let missing = || StoreError::NoImage { place: self.location(), name: tag.clone(), there: names() };
                list.iter().find(hit).cloned().ok_or_else(missing)
            }
            Which::Only => match list {
                [one] => Ok(one.clone()),
                [] => Err(StoreError::NoImage { place: self.location(), name: String::new(), there: Vec::new() }),
                _ => Err(StoreError::SeveralImages { place: self.location(), there: names() }),
            },
        }
    }

    /// Reads the config, checked against its name where that is a digest.
    fn config(&self, archive: &Archive, name: &str) -> Result<Vec<u8>, StoreError> {
        let bytes = archive.read(name, LONGEST_CONFIG)?;
        let got = Digest::of(&bytes);
        match Archive::stated_digest(name) {
            Some(wanted) if wanted != got => Err(StoreError::DigestMismatch { what: self.shown(name), wanted, got }),
            _ => Ok(bytes),
        }
    }

    /// Reads every layer once for its digests; one that is listed twice is read once.
    fn layers(&self, archive: &Archive, names: &[String]) -> Result<Vec<LayerFile>, StoreError> {
        let mut read: BTreeMap<u64, LayerFile> = BTreeMap::new();
        let mut layers = Vec::new();
        for name in names {
            let extent = archive.find(name)?;
            let layer = match read.get(&extent.offset) {
                Some(layer) => layer.clone(),
                None => self.layer(archive, extent)?,
            };
            read.insert(extent.offset, layer.clone());
            layers.push(layer);
        }
        Ok(layers)
    }

    fn layer(&self, archive: &Archive, extent: Extent) -> Result<LayerFile, StoreError> {
        let mut first = [0; SNIFF_LENGTH];
        let mut sniffed = archive.reader(extent);
        let count = sniffed.read(&mut first).at("read", &self.file)?;
        let form = Compression::sniff(&first[..count]);
        let (digest, size) = digest_of(archive.reader(extent)).at("read", &self.file)?;
        let diff_id = match form {
            Compression::Plain => digest,
            _ => {
                let plain = decompress(Box::new(archive.reader(extent))).at("decompress a layer of", &self.file)?;
                digest_of(plain).at("decompress a layer of", &self.file)?.0
            }
        };
        let blob = Descriptor::new(form.docker_media_type(), digest, size);
        Ok(LayerFile { blob, diff_id: DiffId(diff_id), extent })
    }

    fn check_diff_ids(&self, wanted: &[DiffId], layers: &[LayerFile]) -> Result<(), StoreError> {
        for (number, (wanted, layer)) in wanted.iter().zip(layers).enumerate() {
            if *wanted != layer.diff_id {
                let what = format!("layer {} of {}", number + 1, self.location());
                return Err(StoreError::DigestMismatch { what, wanted: wanted.0, got: layer.diff_id.0 });
            }
        }
        Ok(())
    }

    /// Makes the manifest that a registry would have.
    fn image(&self, config: Vec<u8>, layers: &[LayerFile]) -> Result<Image, StoreError> {
        let blobs = layers.iter().map(|layer| layer.blob.clone()).collect();
        let described = Descriptor::of(media_type::DOCKER_CONFIG, &config);
        let mut manifest = Manifest::new(described, blobs, BTreeMap::new());
        manifest.media_type = media_type::DOCKER_MANIFEST.to_owned();
        Image::parse(manifest.print(), config).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, source: ImageError) -> StoreError {
        StoreError::Image { place: self.location(), source }
    }

    fn shown(&self, name: &str) -> String {
        format!("`{name}` in {}", self.location())
    }
}

/// Returns what `manifest.json` lists.
fn list_of(archive: &Archive) -> Result<Vec<Listed>, StoreError> {
    serde_json::from_slice(&archive.read(MANIFEST, LONGEST_LIST)?)
        .map_err(|error| archive.malformed(&format!("`{MANIFEST}`: {error}")))
}

fn digest_of(from: impl Read) -> std::io::Result<(Digest, u64)> {
    let mut reader = HashReader::new(from);
    std::io::copy(&mut reader, &mut std::io::sink())?;
    let (_, digest, count) = reader.finish();
    Ok((digest, count))
}

/// Reports whether both are the same name once normalised, or the same text.
fn same_name(one: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<ImageRef>();
    one == other || parsed(one).is_ok_and(|one| parsed(other).is_ok_and(|other| one == other))
}

impl ImageSource for DockerArchiveSource {
    fn resolve(&self, _platform: &Platform) -> Result<Image, StoreError> {
        // An archive has one image of a name, for one platform.
        Ok(self.loaded()?.image.clone())
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let loaded = self.loaded()?;
        let extent = *loaded
            .extents
            .get(&blob.digest)
            .ok_or_else(|| loaded.archive.malformed(&format!("it has no blob {}", blob.digest)))?;
        Ok(Box::new(VerifiedReader::new(loaded.archive.reader(extent), blob)))
    }

    fn location(&self) -> String {
        format!("docker-archive:{}", self.file.display())
    }
}
