//! [`BlobReader`]: a blob on its way here.

use super::super::error::RegistryError;
use super::super::observer::Direction;
use super::super::session::{Call, Target};
use super::super::transport::{Gain, Limit, Response};
use super::{Remote, malformed};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use std::io::{self, Read};
use ureq::http::Method;

impl Remote {
    /// Reports whether the repository has a blob.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let act = format!("look for blob {digest} in `{}`", self.repository());
        let path = self.path(&format!("/blobs/{digest}"));
        self.persist(|| {
            let answer = self.head(&act, &path, &[])?;
            match answer.status {
                200 => Ok(true),
                404 => Ok(false),
                _ => Err(self.refusal(&act, answer)),
            }
        })
    }

    /// Opens a blob for one read from start to end. After a cut the reader goes on where it was (Range), or skips what it
    /// had where the registry knows no ranges. Digest and size are checked by the caller
    /// (`VerifiedReader`); no more bytes than stated are read. The observer hears of every read.
    ///
    /// # Errors
    /// [`RegistryError`]; reading fails with one inside an [`std::io::Error`].
    pub fn blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, RegistryError> {
        self.blob_from(blob, 0)
    }

    /// Opens a blob as [`Self::blob`] does, but from byte `offset` on. Where nothing is left nothing is asked.
    ///
    /// # Errors
    /// As [`Self::blob`].
    pub fn blob_from(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, RegistryError> {
        let act = format!("read blob {} of `{}`", blob.digest, self.repository());
        let path = self.path(&format!("/blobs/{}", blob.digest));
        let mut reader = BlobReader {
            remote: self.clone(),
            act,
            path,
            digest: blob.digest,
            size: blob.size,
            done: offset.min(blob.size),
            skip: 0,
            body: None,
            ends: false,
            failures: 0,
            gain: Gain::new(offset),
        };
        if offset == 0 || offset < blob.size {
            self.persist(|| reader.open())?;
        }
        Ok(Box::new(reader))
    }
}

/// Reads a blob, across cuts.
struct BlobReader {
    remote: Remote,
    act: String,
    path: String,
    digest: Digest,
    size: u64,
    /// Bytes given out.
    done: u64,
    /// Bytes to pass over, which were given out before the cut.
    skip: u64,
    body: Option<Box<dyn Read + Send>>,
    /// Whether the body ends with the blob.
    ends: bool,
    failures: u32,
    gain: Gain,
}

impl BlobReader {
    /// Asks for what is left.
    fn open(&mut self) -> Result<(), RegistryError> {
        let range = [("range", format!("bytes={}-", self.done))];
        let headers: &[_] = if self.done == 0 { &[] } else { &range };
        let get = Call::new(&self.act, Method::GET, Target::Path(&self.path));
        let answer = self.remote.call(Call { headers, limit: Limit::Stream, ..get })?;
        self.skip = match answer.status {
            200 => self.check_whole(&answer)?,
            206 if self.done > 0 => self.check_part(&answer)?,
            416 => return Err(malformed(&self.act, &answer.address, format!("it has no byte {}", self.done))),
            206 => return Err(malformed(&self.act, &answer.address, "a part, where all was asked for")),
            _ => return Err(self.remote.refusal(&self.act, answer)),
        };
        self.ends = answer.length() == Some(self.size - self.done + self.skip);
        self.body = Some(Box::new(answer.into_body()));
        Ok(())
    }

    /// Checks an answer with all bytes; returns how many of them are to be passed over.
    fn check_whole(&self, answer: &Response) -> Result<u64, RegistryError> {
        match answer.length().filter(|length| *length != self.size) {
            None => Ok(self.done),
            Some(got) => Err(RegistryError::Size {
                act: self.act.clone(),
                url: answer.address.to_string(),
                wanted: self.size,
                got,
            }),
        }
    }

    /// Checks an answer with a part, which must begin where we are (RFC 9110, 14.4).
    fn check_part(&self, answer: &Response) -> Result<u64, RegistryError> {
        let range = answer.header("content-range").unwrap_or_default();
        match parse_range(range) {
            Some((start, end, total))
                if start == self.done
                    && end >= start
                    && end < self.size
                    && total.is_none_or(|total| total == self.size) =>
            {
                Ok(0)
            }
            _ => {
                let why = format!("bytes from {} of {} were asked for, not `{range}`", self.done, self.size);
                Err(malformed(&self.act, &answer.address, why))
            }
        }
    }

    /// Waits after a cut and asks again, until it works.
    fn reopen(&mut self, mut error: RegistryError) -> Result<(), RegistryError> {
        if self.gain.is_enough(self.done) {
            self.failures = 0;
        }
        loop {
            let remote = self.remote.clone();
            let mut retry = remote.session.retry(&remote.endpoint().host, remote.waits);
            retry.failures = self.failures;
            retry.again(error, true)?;
            self.failures = retry.failures;
            match self.open() {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, io::Error> {
        let Some(body) = &mut self.body else { return Ok(0) };
        let left = if self.skip > 0 { self.skip } else { self.size - self.done };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        body.read(&mut buffer[..most])
    }

    /// Takes note of `count` bytes; returns how many of them are new.
    fn took(&mut self, count: usize) -> usize {
        if self.skip > 0 {
            self.skip -= count as u64;
            return 0;
        }
        self.done += count as u64;
        self.remote.session.observer.transfer(&self.digest, Direction::Pull, self.done, Some(self.size));
        count
    }

    fn cut(&self, error: Option<io::Error>) -> RegistryError {
        let origin = self.remote.session.registry_of(&self.remote.place);
        let address = super::super::address::Address::new(origin, self.path.clone());
        let error = error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
        self.remote.session.transport.body_failure(error, &self.act, &address)
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.done < self.size && !buffer.is_empty() {
            let error = match self.read_some(buffer) {
                Ok(0) => None,
                Ok(count) => match self.took(count) {
                    0 => continue,
                    new => return Ok(new),
                },
                Err(error) => Some(error),
            };
            self.body = None;
            let error = self.cut(error);
            self.reopen(error)?;
        }
        self.end();
        Ok(0)
    }
}

impl BlobReader {
    /// Lets the connection go. One that stated the length is at its end, which a last read shows at once, so that others
    /// can use it.
    fn end(&mut self) {
        if let Some(mut body) = self.body.take_if(|_| self.done == self.size)
            && self.ends
        {
            // Whether it comes to its end or fails, the blob is whole.
            let _end = body.read(&mut [0]);
        }
    }
}

/// Takes `bytes 5-9/10` apart.
fn parse_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, end.parse().ok()?, total))
}
