//! [`LayerCompression`]: in which form layers leave the store; and compressed forms that are kept.
//!
//! ```text
//! derived/<diff ID's digits>.<form>-<level>          the layer in that form
//! derived/<diff ID's digits>.<form>-<level>.members  which members it has, self-verifying
//! derived/<diff ID's digits>.<form>-<level>.json     its descriptor, self-verifying; written last
//! ```
//! They are cache: not fsynced, and checked against the digest before they are used, unless they are as they were written;
//! a damaged one is made anew. A layer takes the members that it has in common with the last ones of that form.

use super::ExportLayer;
use super::layout::Part;
use super::store::check_size;
use crate::alone::Held;
use crate::blobs::seal::{is_unchanged, seal};
use crate::compress::{
    CompressError, CompressOptions, Compressed, Compression, Earlier, Known, Members, compress_layer, decompress,
};
use crate::descriptor::{Descriptor, media_type};
use crate::digest::{DiffId, Digest, HashReader};
use crate::error::StoreError;
use crate::io_error::{IoContext, IoError};
use crate::sealed;
use crate::store::Store;
use crate::trace::Phase;
use crate::verify::unwrap_error;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Layers from this size on, in bytes, are compared with earlier ones: a smaller one is compressed in no time.
const WORTH_COMPARING: u64 = 4 << 20;
/// Earlier layers that a layer is compared with.
const MOST_EARLIER: usize = 4;

/// How the layers of an output are compressed.
///
/// Plain blobs, which is what layers built here are, are brought into `form`. Base layers that came compressed stay as
/// they came, also if `form` is plain, unless `force` is set (FEATURES 4-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerCompression {
    /// The form.
    pub form: Compression,
    /// gzip 0 to 9, zstd 0 to 22 (0 is its default); the form's own default if there is none.
    pub level: Option<u8>,
    /// Bring layers of base images into the form, too.
    pub force: bool,
}

impl LayerCompression {
    /// Leaves layers as they are in the store.
    pub const KEEP: Self = Self { form: Compression::Plain, level: None, force: false };

    /// As layers go to registries where nothing else is asked for.
    pub const REGISTRY: Self = Self { form: Compression::Gzip, level: None, force: false };

    fn options(self) -> CompressOptions {
        let level = match (self.form, self.level) {
            (Compression::Plain, _) | (Compression::Zstd, Some(0)) => None,
            (_, level) => level.map(i32::from),
        };
        CompressOptions { level, ..CompressOptions::new(self.form) }
    }

    /// Reports whether a blob of the form `found` leaves the store as it is.
    fn keeps(self, found: Option<Compression>) -> bool {
        match found {
            Some(Compression::Plain) => self.form == Compression::Plain,
            _ => !self.force,
        }
    }

    /// Returns the end of a derived file's name.
    fn suffix(self) -> String {
        let form = match self.form {
            Compression::Plain => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        self.options().level.map_or_else(|| form.to_owned(), |level| format!("{form}-{level}"))
    }

    /// Returns a layer in the form it is to leave the store in, made if need be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn apply(self, layer: &ExportLayer, store: &Store) -> Result<Part, StoreError> {
        check_size(&layer.blob, store)?;
        if self.keeps_layer(layer) {
            return Ok(Part { descriptor: layer.descriptor(), file: store.blobs().open(&layer.blob.digest)? });
        }
        self.made(layer, store)
    }

    /// Reports whether a layer leaves the store as it is.
    pub(super) fn keeps_layer(self, layer: &ExportLayer) -> bool {
        self.keeps(Compression::of_media_type(&layer.blob.media_type))
    }

    /// Returns a layer in this form: from the file that is kept, if it is whole, else made now, by one thread.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn made(self, layer: &ExportLayer, store: &Store) -> Result<Part, StoreError> {
        let _turn = self.turn(layer, store);
        self.made_in_turn(layer, store)
    }

    /// Waits until no other output makes this form of a layer.
    pub(super) fn turn<'a>(self, layer: &ExportLayer, store: &'a Store) -> Held<'a, PathBuf> {
        store.making(self.path(&layer.diff_id, store))
    }

    /// As [`Self::made`], for who has the turn.
    pub(super) fn made_in_turn(self, layer: &ExportLayer, store: &Store) -> Result<Part, StoreError> {
        match find(&self.path(&layer.diff_id, store), self.form)? {
            Some(part) => Ok(part),
            None => {
                let mut written = temporary_file(store)?;
                let made = self.compress(layer, store, written.as_file_mut())?;
                self.keep(written, &made, &layer.diff_id, store)
            }
        }
    }

    /// Returns the descriptor of a layer in this form, if it was made before. Its file may be gone or damaged.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn known(self, layer: &ExportLayer, store: &Store) -> Result<Option<Descriptor>, StoreError> {
        let stated = sealed::read(&note_of(&self.path(&layer.diff_id, store)))?;
        let known: Option<Descriptor> = stated.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(known.filter(|known| known.media_type == self.form.oci_media_type()))
    }

    /// Opens the kept file of a layer in this form, unverified.
    ///
    /// # Errors
    /// [`StoreError::Io`], also if it is not there.
    pub(super) fn open(self, layer: &ExportLayer, store: &Store) -> Result<File, StoreError> {
        let path = self.path(&layer.diff_id, store);
        Ok(File::open(&path).at("open", &path)?)
    }

    /// Keeps what [`Self::compress`] or [`Self::follow`] wrote into `written` of the layer with this diff ID.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn keep(
        self,
        written: NamedTempFile,
        made: &Compressed,
        diff_id: &DiffId,
        store: &Store,
    ) -> Result<Part, StoreError> {
        let path = self.path(diff_id, store);
        let descriptor = self.descriptor(made);
        seal(written.as_file(), &descriptor.digest);
        sealed::write(&members_of(&path), &store.temporary(), &made.members.encode())?;
        let file = written.persist(&path).map_err(|error| IoError::new("rename", &path, &error.error))?;
        let stated = serde_json::to_vec(&descriptor).expect("a descriptor of texts and numbers prints");
        sealed::write(&note_of(&path), &store.temporary(), &stated)?;
        rewound(file, &path).map(|file| Part { descriptor, file })
    }

    /// Returns the descriptor of what [`Self::compress`] wrote.
    pub(super) fn descriptor(self, made: &Compressed) -> Descriptor {
        Descriptor::new(self.form.oci_media_type(), made.digest, made.size)
    }

    /// Writes a layer in this form to `out`.
    ///
    /// # Errors
    /// [`StoreError`], among them [`StoreError::DigestMismatch`] if it is not the layer of its diff ID.
    pub(super) fn compress(
        self,
        layer: &ExportLayer,
        store: &Store,
        out: &mut dyn Write,
    ) -> Result<Compressed, StoreError> {
        let place = store.blobs().path(&layer.blob.digest);
        let compressing = store.trace().begin(Phase::Compressing, || layer.diff_id.to_string());
        let mut compressing = compressing.on_all_cores();
        compressing.bytes(|| layer.blob.size);
        // A plain tar is named by its diff ID: one that is as it was written need not be hashed again.
        let known = match layer.blob.digest == layer.diff_id.0 {
            true => store.blobs().open_unchanged(&layer.blob)?,
            false => None,
        };
        let earlier = match layer.blob.size < WORTH_COMPARING {
            true => Earlier::default(),
            false => self.earlier(Some(&layer.diff_id), store)?,
        };
        let beforehand = Known { diff_id: known.is_some(), earlier };
        let mut tar: Box<dyn Read + Send> = match known {
            Some(plain) => Box::new(plain),
            None => decompress(layer.open(store)?).map_err(|error| unwrap_error(error, "read", &place))?,
        };
        // Of a layer that comes compressed, nobody knows how many bytes it has.
        let plain = if layer.blob.digest == layer.diff_id.0 { layer.blob.size } else { 0 };
        let mut course = store.meter().begin(plain, || format!("compressing {}", layer.diff_id));
        let made = compress_layer(&mut course.reading(&mut tar), out, &self.options(), &beforehand)
            .map_err(|error| failure(error, &place))?;
        if let Some(got) = made.diff_id.filter(|got| *got != layer.diff_id) {
            let what = format!("layer tar of blob {}", layer.blob.digest);
            return Err(StoreError::DigestMismatch { what, wanted: layer.diff_id.0, got: got.0 });
        }
        Ok(made)
    }

    /// Writes the layer called `name`, whose `tar` somebody else hashes, in this form to `out`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn follow(
        self,
        tar: &mut dyn Read,
        name: String,
        store: &Store,
        out: &mut dyn Write,
    ) -> Result<Compressed, StoreError> {
        let place = PathBuf::from(&name);
        let mut compressing = store.trace().begin(Phase::Compressing, || name).on_all_cores();
        let known = Known { diff_id: true, earlier: self.earlier(None, store)? };
        let made = compress_layer(tar, out, &self.options(), &known).map_err(|error| failure(error, &place))?;
        compressing.bytes(|| made.members.plain_size());
        Ok(made)
    }

    /// Returns the layers that were brought into this form last, and are all there, but for one.
    fn earlier(self, except: Option<&DiffId>, store: &Store) -> Result<Earlier, StoreError> {
        let (derived, ending) = (store.derived(), format!(".{}.members", self.suffix()));
        let mut lists: Vec<_> = sealed::names(&derived)?
            .iter()
            .filter_map(|name| Digest::from_hex(name.strip_suffix(&ending)?).ok())
            .filter(|digest| except.is_none_or(|except| *digest != except.0))
            .filter_map(|digest| {
                let path = derived.join(format!("{}.{}", digest.hex(), self.suffix()));
                let written = members_of(&path).metadata().and_then(|list| list.modified()).ok()?;
                Some((std::cmp::Reverse(written), digest, path))
            })
            .collect();
        lists.sort_unstable();
        let mut earlier = Earlier::default();
        for (_, digest, path) in lists.into_iter().take(MOST_EARLIER) {
            if let Some((plain, compressed, members)) = self.whole(&digest, &path, store)? {
                earlier.add(plain, compressed, &members);
            }
        }
        Ok(earlier)
    }

    /// Returns a layer's plain tar, what is kept of it in this form, and its members, if all are as they were written.
    fn whole(self, digest: &Digest, path: &Path, store: &Store) -> Result<Option<(File, File, Members)>, StoreError> {
        let (Some(list), Some(stated)) = (sealed::read(&members_of(path))?, sealed::read(&note_of(path))?) else {
            return Ok(None);
        };
        let (Some(members), Ok(descriptor)) = (Members::decode(&list), serde_json::from_slice(&stated)) else {
            return Ok(None);
        };
        let plain = Descriptor::new(media_type::OCI_LAYER, *digest, members.plain_size());
        let Some(plain) = store.blobs().open_unchanged(&plain)? else { return Ok(None) };
        Ok(match File::open(path) {
            Ok(file) if is_unchanged(&file, &descriptor).at("stat", path)? => Some((plain, file, members)),
            _ => None,
        })
    }

    fn path(self, diff_id: &DiffId, store: &Store) -> PathBuf {
        store.derived().join(format!("{}.{}", diff_id.0.hex(), self.suffix()))
    }
}

/// Returns a file for a form that is being made.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn temporary_file(store: &Store) -> Result<NamedTempFile, StoreError> {
    let temporary = store.temporary();
    Ok(NamedTempFile::new_in(&temporary).at("create a file in", &temporary)?)
}

/// Returns a derived file that is there and whole.
fn find(path: &Path, form: Compression) -> Result<Option<Part>, StoreError> {
    let Some(stated) = sealed::read(&note_of(path))? else { return Ok(None) };
    let Ok(descriptor) = serde_json::from_slice::<Descriptor>(&stated) else { return Ok(None) };
    let file = match File::open(path).at("open", path) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    if descriptor.media_type != form.oci_media_type() {
        return Ok(None);
    }
    if is_unchanged(&file, &descriptor).at("stat", path)? {
        return Ok(Some(Part { descriptor, file }));
    }
    let mut reader = HashReader::new(BufReader::with_capacity(256 << 10, file));
    io::copy(&mut reader, &mut io::sink()).at("read", path)?;
    let (file, digest, size) = reader.finish();
    if (digest, size) != (descriptor.digest, descriptor.size) {
        return Ok(None);
    }
    Ok(Some(Part { descriptor, file: rewound(file.into_inner(), path)? }))
}

fn rewound(mut file: File, path: &Path) -> Result<File, StoreError> {
    file.rewind().at("seek", path)?;
    Ok(file)
}

fn note_of(path: &Path) -> PathBuf {
    beside(path, ".json")
}

fn members_of(path: &Path) -> PathBuf {
    beside(path, ".members")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn failure(error: CompressError, place: &Path) -> StoreError {
    match error {
        CompressError::Read(error) => unwrap_error(error, "read", place),
        CompressError::Write(error) | CompressError::Compress(error) => IoError::new("compress", place, &error).into(),
        CompressError::Level { .. } => {
            StoreError::Malformed { place: "compression of layers".to_owned(), why: error.to_string() }
        }
    }
}
