//! One blob to one repository: asked for, mounted, or sent.

use super::chunks::in_chunks;
use super::delivery::Delivery;
use super::failure::{is_lost, is_of_the_file, wants_whole};
use super::shipment::Piece;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::export::forms::temporary_file;
use crate::registry::remote::{Start, Upload};
use crate::verify::{VerifiedReader, unwrap_error};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::PoisonError;
use tempfile::NamedTempFile;

/// Times that a blob is begun from its first byte.
const ATTEMPTS: u32 = 3;

/// Repositories that one blob is tried to be mounted from.
const MOST_MOUNTS: usize = 2;

/// The most bytes of a blob that is rather sent than asked for first, which takes a request of its own.
const SMALL: u64 = 64 << 10;

/// Opens a blob for one read.
type Open<'a> = dyn Fn() -> Result<Box<dyn Read + Send>, StoreError> + 'a;

impl Delivery<'_> {
    /// Brings a layer there as it is: from the store, or, without storing it, from where it comes from.
    pub(super) fn as_it_is(&self, part: usize, piece: &Piece<'_>) -> Result<Descriptor, StoreError> {
        let blob = piece.layer.descriptor();
        self.known(part, piece, &blob, &|| piece.layer.open(self.shipment.store))?;
        Ok(blob)
    }

    /// Brings a layer there that is compressed: what is left of an earlier time, or compressed now while it is sent.
    pub(super) fn made(&self, part: usize, piece: &Piece<'_>) -> Result<Descriptor, StoreError> {
        let own = piece.making.lock().unwrap_or_else(PoisonError::into_inner);
        // Another output may be at it now, and then it is known.
        let turn = self.shipment.compression.turn(piece.layer, self.shipment.store);
        if let Some(blob) = self.shipment.known(piece)? {
            drop((turn, own));
            return self.kept(part, piece, blob);
        }
        if piece.layer.blob.size > Upload::CHUNK as u64
            && let Some(blob) = self.compressed_while_sent(part, piece)?
        {
            return Ok(blob);
        }
        drop(turn);
        let blob = self.make(piece)?;
        drop(own);
        self.kept(part, piece, blob)
    }

    /// Brings a form there that was made earlier. Its file is needed only if the registry does not have the blob; if it
    /// is damaged or gone, it is made anew.
    fn kept(&self, part: usize, piece: &Piece<'_>, blob: Descriptor) -> Result<Descriptor, StoreError> {
        let shipment = self.shipment;
        let open = |blob: &Descriptor| -> Result<Box<dyn Read + Send>, StoreError> {
            Ok(Box::new(VerifiedReader::new(shipment.compression.open(piece.layer, shipment.store)?, blob)))
        };
        match self.known(part, piece, &blob, &|| open(&blob)) {
            Err(error) if is_of_the_file(&error) => {
                let made = self.make(piece)?;
                self.known(part, piece, &made, &|| open(&made))?;
                Ok(made)
            }
            result => result.map(|()| blob),
        }
    }

    fn make(&self, piece: &Piece<'_>) -> Result<Descriptor, StoreError> {
        let (shipment, layer) = (self.shipment, piece.layer);
        // In this order, as where it is compressed while it is sent: who waits for a form compresses none.
        let _turn = shipment.compression.turn(layer, shipment.store);
        let _compressing = shipment.compressing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(shipment.compression.made_in_turn(layer, shipment.store)?.descriptor)
    }

    /// Asks for a blob, mounts it, or sends it.
    fn known(&self, part: usize, piece: &Piece<'_>, blob: &Descriptor, open: &Open<'_>) -> Result<(), StoreError> {
        let candidates = self.candidates(piece, blob)?;
        let mut is_asked = self.is_likely_there(blob)? || (candidates.is_empty() && blob.size > SMALL);
        if is_asked && self.remote.has_blob(&blob.digest)? {
            return self.arrived(&blob.digest);
        }
        if candidates.is_empty() && blob.size <= Upload::CHUNK as u64 {
            // One request less, and no more bytes to send again than a chunk's.
            self.whole(part, piece, blob, open)?;
            return self.arrived(&blob.digest);
        }
        let mut attempts = 1..ATTEMPTS;
        loop {
            let sent = match self.begin(blob, &candidates)? {
                Start::Mounted => Ok(()),
                // What cannot be mounted may be there all the same.
                Start::Upload(_) if !is_asked && blob.size > SMALL && self.remote.has_blob(&blob.digest)? => Ok(()),
                Start::Upload(upload) => self.send(part, piece, blob, upload, open),
            };
            is_asked = true;
            match sent {
                Err(error) if is_lost(&error) && attempts.next().is_some() => {}
                Err(error) if wants_whole(&error) => {
                    self.whole(part, piece, blob, open)?;
                    return self.arrived(&blob.digest);
                }
                result => return result.and_then(|()| self.arrived(&blob.digest)),
            }
        }
    }

    /// Reports whether an earlier pull or push found the blob there, so that it is asked for and not mounted.
    fn is_likely_there(&self, blob: &Descriptor) -> Result<bool, StoreError> {
        let target = self.target.name();
        let held = self.shipment.store.holders().repositories(&blob.digest, &target.host)?;
        Ok(held.contains(&target.repository))
    }

    /// Mounts a blob from the first repository that gives it, or begins its upload.
    fn begin(&self, blob: &Descriptor, candidates: &[String]) -> Result<Start, StoreError> {
        let Some((last, first)) = candidates.split_last() else {
            return Ok(self.remote.start(Some(&blob.digest), None)?);
        };
        for from in first {
            if let Start::Mounted = self.remote.start(Some(&blob.digest), Some(from))? {
                return Ok(Start::Mounted);
            }
        }
        Ok(self.remote.start(Some(&blob.digest), Some(last))?)
    }

    /// Returns the repositories that may have the blob, the likeliest first.
    fn candidates(&self, piece: &Piece<'_>, blob: &Descriptor) -> Result<Vec<String>, StoreError> {
        let origin = piece.layer.source.as_ref().and_then(|origin| origin.0.repository());
        let held = self.shipment.store.holders().repositories(&blob.digest, self.target.host())?;
        let of_origin = origin.filter(|name| name.host == self.target.host()).map(|name| name.repository);
        Ok(candidates(of_origin.filter(|_| piece.layer.blob.digest == blob.digest), held, &self.mounts))
    }

    /// Sends a blob of known digest.
    fn send(
        &self,
        part: usize,
        piece: &Piece<'_>,
        blob: &Descriptor,
        mut upload: Upload,
        open: &Open<'_>,
    ) -> Result<(), StoreError> {
        let mut reader = open()?;
        let mut done = 0;
        let mut send = |chunk: &[u8]| {
            self.chunk(&mut upload, chunk)?;
            done += chunk.len() as u64;
            self.sent(part, piece, done, Some(blob.size));
            Ok(())
        };
        in_chunks(&self.shipment.buffers, &mut send, |out| {
            let copied = io::copy(&mut reader, out);
            copied.map(|_| ()).map_err(|error| unwrap_error(error, "read blob", Path::new(&blob.digest.to_string())))
        })?;
        Ok(upload.finish(&blob.digest)?)
    }

    /// Sends a blob of known digest in one request, to a registry that takes no chunks.
    fn whole(&self, part: usize, piece: &Piece<'_>, blob: &Descriptor, open: &Open<'_>) -> Result<(), StoreError> {
        let open = || open().map(|reader| reader as Box<dyn Read>).map_err(io::Error::other);
        self.remote.upload_whole(&blob.digest, blob.size, &open)?;
        self.sent(part, piece, blob.size, Some(blob.size));
        Ok(())
    }

    fn chunk(&self, upload: &mut Upload, chunk: &[u8]) -> Result<(), StoreError> {
        if self.failure.is_there() {
            // Another blob failed; its error is the one that is told.
            return Err(crate::registry::error::RegistryError::Cancelled.into());
        }
        Ok(upload.chunk(chunk)?)
    }

    /// Compresses a layer on all cores while it is sent, and keeps what came out for the next output; nothing if the
    /// registry took no part of a blob without knowing its digest.
    fn compressed_while_sent(&self, part: usize, piece: &Piece<'_>) -> Result<Option<Descriptor>, StoreError> {
        let shipment = self.shipment;
        let turn = shipment.compressing.lock().unwrap_or_else(PoisonError::into_inner);
        let Start::Upload(mut upload) = self.remote.start(None, None)? else { return Ok(None) };
        let mut kept = Kept(temporary_file(shipment.store).ok());
        let mut done = 0;
        let mut send = |chunk: &[u8]| {
            self.chunk(&mut upload, chunk)?;
            done += chunk.len() as u64;
            self.sent(part, piece, done, None);
            Ok(())
        };
        let made = in_chunks(&shipment.buffers, &mut send, |out| {
            let mut both = Tee { out, kept: &mut kept };
            shipment.compression.compress(piece.layer, shipment.store, &mut both)
        });
        drop(turn);
        let finish = |made| -> Result<Descriptor, StoreError> {
            let blob = shipment.compression.descriptor(&made);
            upload.finish(&blob.digest)?;
            if let Some(written) = kept.0 {
                shipment.compression.keep(written, &made, &piece.layer.diff_id, shipment.store)?;
            }
            self.sent(part, piece, blob.size, Some(blob.size));
            self.arrived(&blob.digest)?;
            Ok(blob)
        };
        match made.and_then(finish) {
            Ok(blob) => Ok(Some(blob)),
            Err(error) if is_lost(&error) || wants_whole(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings a blob there that is in memory.
    pub(super) fn small(&self, blob: &Descriptor, bytes: &[u8]) -> Result<(), StoreError> {
        let is_asked = blob.size > SMALL || self.is_likely_there(blob)?;
        if !(is_asked && self.remote.has_blob(&blob.digest)?) {
            let open = || Ok(Box::new(io::Cursor::new(bytes.to_vec())) as Box<dyn Read>);
            self.remote.upload_whole(&blob.digest, blob.size, &open)?;
        }
        self.arrived(&blob.digest)
    }

    /// Remembers that the repository has a blob.
    fn arrived(&self, blob: &Digest) -> Result<(), StoreError> {
        Ok(self.shipment.store.holders().note(blob, self.target.name())?)
    }
}

/// A form that is being made, for the next output; none once the disk takes no more of it, which is no reason to fail.
struct Kept(Option<NamedTempFile>);

/// Writes to the registry and to what is kept.
struct Tee<'a> {
    out: &'a mut dyn Write,
    kept: &'a mut Kept,
}

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        if self.kept.0.as_mut().is_some_and(|file| file.write_all(bytes).is_err()) {
            self.kept.0 = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Returns the repositories to mount a blob from, the likeliest first: its base's, then those that held it last, as far
/// as the token is good for them.
fn candidates(of_origin: Option<String>, held: Vec<String>, allowed: &[String]) -> Vec<String> {
    let mut candidates: Vec<String> = Vec::new();
    for repository in of_origin.into_iter().chain(held) {
        if allowed.contains(&repository) && !candidates.contains(&repository) && candidates.len() < MOST_MOUNTS {
            candidates.push(repository);
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bases_repository_is_asked_first() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let all = texts(&["a", "b", "c"]);
        for (origin, held, allowed, wanted) in [
            (Some("a"), &["b", "a", "c"][..], &all[..], &["a", "b"][..]),
            (None, &["b", "a", "c"], &all, &["b", "a"]),
            (Some("z"), &["c"], &all, &["c"]),
            (Some("a"), &[], &[], &[]),
        ] {
            assert_eq!(candidates(origin.map(str::to_owned), texts(held), allowed), wanted);
        }
    }

    /// A disk that is full ends what is kept, not the push.
    #[test]
    fn what_cannot_be_kept_is_sent_all_the_same() {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("opens");
        let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
        let mut kept = Kept(Some(NamedTempFile::from_parts(full, path)));
        let mut sent = Vec::new();
        Tee { out: &mut sent, kept: &mut kept }.write_all(b"layer").expect("sent");
        assert!(kept.0.is_none());
        Tee { out: &mut sent, kept: &mut kept }.write_all(b"s").expect("sent");
        assert_eq!(sent, b"layers");
    }
}
