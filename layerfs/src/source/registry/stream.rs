//! [`Stream`]: the bytes of a blob, from the next place where one fails.

use super::places::Places;
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::registry::error::RegistryError;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

/// The bytes of a blob, from the next place where one fails. They are not verified.
pub(super) struct Stream {
    places: Arc<Places>,
    blob: Descriptor,
    at: u64,
    reader: Box<dyn Read + Send>,
    tried: BTreeSet<usize>,
    place: usize,
}

impl Stream {
    /// Opens a blob from byte `offset` on.
    pub(super) fn open(places: Arc<Places>, blob: Descriptor, offset: u64) -> Result<Self, StoreError> {
        let tried = BTreeSet::new();
        let (place, reader) = places.open(&blob, offset, &tried)?;
        Ok(Self { places, blob, at: offset, reader, tried, place })
    }

    /// Goes on at another place after `error`; fails with it if there is none.
    fn change_place(&mut self, error: io::Error) -> io::Result<()> {
        let error = match error.downcast::<RegistryError>() {
            Ok(RegistryError::Cancelled) => return Err(io::Error::other(RegistryError::Cancelled)),
            Ok(error) => {
                self.places.note(self.place, &error);
                io::Error::other(StoreError::from(error))
            }
            Err(error) => error,
        };
        self.tried.insert(self.place);
        match self.places.open(&self.blob, self.at, &self.tried) {
            Ok((place, reader)) => {
                (self.place, self.reader) = (place, reader);
                Ok(())
            }
            Err(_) => Err(error),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let early = || format!("the blob ended after {} of {} bytes", self.at, self.blob.size);
            match self.reader.read(buffer) {
                Ok(0) if self.at < self.blob.size && !buffer.is_empty() => {
                    let error = io::Error::new(io::ErrorKind::UnexpectedEof, early());
                    self.change_place(error)?;
                }
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.change_place(error)?,
            }
        }
    }
}
