//! [`Upload`]: a blob on its way to a registry.

use super::super::address::Address;
use super::super::error::RegistryError;
use super::super::observer::Direction;
use super::super::session::{Call, Target};
use super::super::transport::{Limit, Payload, Response, Sending};
use super::{Remote, Start, malformed};
use crate::digest::Digest;
use std::io::Read;
use std::sync::Arc;
use ureq::http::Method;

/// Fewer bytes than these wait for more: they are worth no request of their own, and the last may go with the PUT.
const LEAST: usize = 64 << 10;
/// The longest chunk that a registry may insist on, in bytes: it is held in memory.
const MOST: usize = 32 << 20;
/// Times that a blob whose bytes are all at hand is begun anew.
const RESTARTS: u32 = 4;

/// A blob on its way to a registry, chunk by chunk. Dropped before its end, it is given up (and the registry told).
#[derive(Debug)]
pub struct Upload {
    remote: Remote,
    act: String,
    /// Where the next bytes go.
    location: Address,
    /// Bytes that the registry has.
    offset: u64,
    /// Bytes that are worth a request.
    least: usize,
    /// Bytes that wait for more.
    held: Vec<u8>,
    /// For the observer.
    digest: Option<Digest>,
    restarts: u32,
    ended: bool,
}

/// What became of the bytes in flight when a connection broke.
enum Fate {
    /// The registry has so many bytes of the blob.
    Has(u64),
    /// It knows nothing of the upload.
    Lost,
}

impl Remote {
    /// Mounts a blob from repository `from` of the same host, or begins its upload. Only with `digest` does the observer
    /// hear of its progress.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn start(&self, digest: Option<&Digest>, from: Option<&str>) -> Result<Start, RegistryError> {
        let what = digest.map_or_else(|| "a blob".to_owned(), |digest| format!("blob {digest}"));
        let act = format!("push {what} to `{}`", self.repository());
        let begun = self.begin(&act, digest.zip(from));
        let (location, least) = match begun {
            Ok(None) => return Ok(Start::Mounted),
            Ok(Some(begun)) => begun,
            // Who may not read the other repository may still push here.
            Err(RegistryError::Denied(_) | RegistryError::NotFound { .. } | RegistryError::Answered(_))
                if from.is_some() =>
            {
                return self.alone().start(digest, None);
            }
            Err(error) => return Err(error),
        };
        Ok(Start::Upload(Upload {
            remote: self.clone(),
            act,
            location,
            offset: 0,
            least,
            held: Vec::new(),
            digest: digest.copied(),
            restarts: 0,
            ended: false,
        }))
    }

    /// Returns this place without the leave to read others.
    fn alone(&self) -> Self {
        let place = &self.place;
        let own = format!("repository:{}:", place.endpoint.repository);
        let scopes = place.scopes.iter().filter(|scope| scope.starts_with(&own)).cloned().collect();
        let (endpoint, guard) = (place.endpoint.clone(), place.guard.clone());
        Self { place: Arc::new(super::Place { endpoint, guard, scopes }), ..self.clone() }
    }

    /// Begins an upload, or mounts. Returns where to send it, and the shortest chunk; nothing if it is mounted.
    fn begin(&self, act: &str, mount: Option<(&Digest, &str)>) -> Result<Option<(Address, usize)>, RegistryError> {
        use super::super::address::escape;
        let query = mount.map(|(digest, from)| format!("?mount={}&from={}", escape(&digest.to_string()), escape(from)));
        let path = self.path(&format!("/blobs/uploads/{}", query.unwrap_or_default()));
        self.persist(|| {
            let post = Call::new(act, Method::POST, Target::Path(&path));
            let answer = self.call(Call { payload: Payload::Bytes(&[]), ..post })?;
            match answer.status {
                201 if mount.is_some() => Ok(None),
                202 => {
                    let location = location(act, &answer)?;
                    let location = location.ok_or_else(|| malformed(act, &answer.address, "it has no `Location`"))?;
                    Ok(Some((location, least(act, &answer)?)))
                }
                _ => Err(self.refusal(act, answer)),
            }
        })
    }

    /// Sends a blob in one request, for registries that take no chunks. `open` is called for every attempt.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn upload_whole(
        &self,
        digest: &Digest,
        size: u64,
        open: &dyn Fn() -> std::io::Result<Box<dyn Read>>,
    ) -> Result<(), RegistryError> {
        let act = format!("push blob {digest} to `{}`", self.repository());
        let told = |sent| self.session.observer.transfer(digest, Direction::Push, sent, Some(size));
        let headers = [("content-type", "application/octet-stream".to_owned())];
        self.persist(|| {
            let Some((location, _)) = self.begin(&act, None)? else { return Ok(()) };
            let location = location.with("digest", &digest.to_string());
            let mut source = open().map_err(|source| RegistryError::Source { act: act.clone(), source })?;
            let sending = Sending::new(&mut *source, size, self.session.patience.idle, &told);
            let put = Call::new(&act, Method::PUT, Target::At(&location));
            let put = Call { headers: &headers, payload: Payload::Stream(sending), limit: Limit::Stream, ..put };
            let answer = self.call(put)?;
            match answer.status {
                200..=204 => check_digest(&act, &answer, digest),
                _ => Err(self.refusal(&act, answer)),
            }
        })
    }
}

impl Upload {
    /// The bytes of a chunk that is worth a request; the last may be shorter.
    pub const CHUNK: usize = 8 << 20;

    /// Sends the next bytes. After a cut the registry is asked how far it came, and only the rest of these is sent again.
    /// Few bytes may wait for more, or for the end.
    ///
    /// # Errors
    /// [`RegistryError`]: [`RegistryError::UploadLost`] if the blob is to be sent again from its start,
    /// [`RegistryError::NoChunks`] if it is to be sent whole.
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        if self.held.is_empty() && bytes.len() >= self.least {
            return self.send(bytes);
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() < self.least {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        self.send(&held)
    }

    /// Ends the upload: the registry checks the digest.
    ///
    /// # Errors
    /// [`RegistryError`], as [`Self::chunk`].
    pub fn finish(mut self, digest: &Digest) -> Result<(), RegistryError> {
        self.digest = Some(*digest);
        let last = std::mem::take(&mut self.held);
        let start = self.offset;
        let mut failures = 0;
        loop {
            let rest = &last[self.progress(start, last.len())..];
            let Err(error) = self.put(digest, rest) else { break };
            self.mend(error, &mut failures, start, last.len(), Some(digest))?;
            if self.ended {
                break;
            }
        }
        self.ended = true;
        Ok(())
    }

    /// Returns how many of `length` bytes from `start` on the registry has.
    fn progress(&self, start: u64, length: usize) -> usize {
        usize::try_from(self.offset.saturating_sub(start)).unwrap_or(usize::MAX).min(length)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        let start = self.offset;
        let mut failures = 0;
        loop {
            let done = self.progress(start, bytes.len());
            if done == bytes.len() {
                return Ok(());
            }
            if let Err(error) = self.patch(&bytes[done..], failures > 0) {
                self.mend(error, &mut failures, start, bytes.len(), None)?;
            }
        }
    }

    /// Waits after a failure and finds out how far the registry came with `length` bytes from `start` on.
    ///
    /// # Errors
    /// `error` if it is for good; [`RegistryError::UploadLost`].
    fn mend(
        &mut self,
        error: RegistryError,
        failures: &mut u32,
        start: u64,
        length: usize,
        digest: Option<&Digest>,
    ) -> Result<(), RegistryError> {
        let fate = if let RegistryError::UploadLost { .. } = error {
            Fate::Lost
        } else {
            let remote = self.remote.clone();
            let mut retry = remote.session.retry(&remote.endpoint().host, true);
            retry.failures = *failures;
            retry.again(error, true)?;
            *failures = retry.failures;
            self.ask()?
        };
        match fate {
            Fate::Has(offset) if (start..=start + length as u64).contains(&offset) => {
                if offset > self.offset {
                    *failures = 0;
                }
                self.offset = offset;
                Ok(())
            }
            Fate::Has(_) | Fate::Lost => self.lost(start, digest),
        }
    }

    /// Goes on where the registry forgot the upload: it may have ended it; if all bytes are at hand, it is begun anew.
    fn lost(&mut self, start: u64, digest: Option<&Digest>) -> Result<(), RegistryError> {
        if let Some(digest) = digest
            && self.remote.blob_size(digest)?.is_some()
        {
            self.ended = true;
            return Ok(());
        }
        if start > 0 || self.restarts >= RESTARTS {
            self.ended = true;
            return Err(self.lost_error());
        }
        self.restarts += 1;
        if let Some((location, _)) = self.remote.begin(&self.act, None)? {
            (self.location, self.offset) = (location, 0);
        }
        Ok(())
    }

    fn lost_error(&self) -> RegistryError {
        RegistryError::UploadLost { act: self.act.clone(), url: self.location.to_string() }
    }

    /// Sends bytes in a PATCH. After a failure the registry is asked first whether it wants them at all, since one that
    /// closes in the middle (for the size, say) is not heard.
    fn patch(&mut self, bytes: &[u8], careful: bool) -> Result<(), RegistryError> {
        let end = self.offset + bytes.len() as u64;
        let mut headers = vec![
            ("content-type", "application/octet-stream".to_owned()),
            ("content-range", format!("{}-{}", self.offset, end - 1)),
        ];
        if careful {
            headers.push(("expect", "100-continue".to_owned()));
        }
        let answer = self.call(Method::PATCH, &self.location, &headers, bytes)?;
        match answer.status {
            200..=204 => self.took(&answer, end),
            404 | 405 | 415 | 501 if self.offset == 0 && !careful => {
                Err(RegistryError::NoChunks { act: self.act.clone() })
            }
            404 | 410 => Err(self.lost_error()),
            416 => match self.ask()? {
                Fate::Has(offset) if offset != self.offset => {
                    self.offset = offset;
                    Ok(())
                }
                _ => Err(self.lost_error()),
            },
            _ => Err(self.remote.refusal(&self.act, answer)),
        }
    }

    /// Takes note of what the registry took, and where it wants the next.
    fn took(&mut self, answer: &Response, end: u64) -> Result<(), RegistryError> {
        let has = match answer.header("range") {
            None => end,
            Some(range) => parse_range(range).ok_or_else(|| self.strange_range(answer, range))?,
        };
        if has < self.offset || has > end {
            return Err(self.strange_range(answer, answer.header("range").unwrap_or_default()));
        }
        if let Some(location) = location(&self.act, answer)? {
            self.location = location;
        }
        if has == self.offset {
            let (act, url) = (self.act.clone(), self.location.to_string());
            return Err(RegistryError::Broken { act, url, why: "it took none of the bytes".to_owned() });
        }
        self.offset = has;
        Ok(())
    }

    fn strange_range(&self, answer: &Response, range: &str) -> RegistryError {
        malformed(&self.act, &answer.address, format!("it says it has bytes `{range}`"))
    }

    /// Sends the last bytes, if any, and ends the upload.
    fn put(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), RegistryError> {
        let mut headers = vec![("content-type", "application/octet-stream".to_owned())];
        if self.offset > 0 && !bytes.is_empty() {
            headers.push(("content-range", format!("{}-{}", self.offset, self.offset + bytes.len() as u64 - 1)));
        }
        let location = self.location.with("digest", &digest.to_string());
        let answer = self.call(Method::PUT, &location, &headers, bytes)?;
        match answer.status {
            200..=204 => check_digest(&self.act, &answer, digest),
            404 | 410 | 416 => Err(self.lost_error()),
            _ => Err(self.remote.refusal(&self.act, answer)),
        }
    }

    fn call(
        &self,
        method: Method,
        address: &Address,
        headers: &[(&'static str, String)],
        bytes: &[u8],
    ) -> Result<Response, RegistryError> {
        let told = |sent| {
            if let Some(digest) = &self.digest {
                self.remote.session.observer.transfer(digest, Direction::Push, self.offset + sent, None);
            }
        };
        let call = Call::new(&self.act, method, Target::At(address));
        let payload = Payload::Bytes(bytes);
        self.remote.call(Call { headers, payload, told: Some(&told), limit: Limit::Stream, ..call })
    }

    /// Asks the registry how far it came (distribution-spec, "Pushing a blob in chunks").
    fn ask(&mut self) -> Result<Fate, RegistryError> {
        let remote = self.remote.clone();
        let (act, location) = (self.act.clone(), self.location.clone());
        let answer = remote.persist(|| {
            let answer = remote.call(Call::new(&act, Method::GET, Target::At(&location)))?;
            match answer.status {
                200 | 202 | 204 => Ok(Some(answer)),
                // Registries that cannot go on say so in several ways.
                400 | 404 | 405 | 410 | 416 => Ok(None),
                _ => Err(remote.refusal(&act, answer)),
            }
        })?;
        let Some(answer) = answer else { return Ok(Fate::Lost) };
        let Some(range) = answer.header("range") else { return Ok(Fate::Lost) };
        let has = parse_range(range).ok_or_else(|| self.strange_range(&answer, range))?;
        if let Some(location) = self::location(&self.act, &answer)? {
            self.location = location;
        }
        // `0-0` is what registries say of one byte, and of none.
        Ok(Fate::Has(if has == 1 && self.offset == 0 { 0 } else { has }))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.ended || self.remote.session.cancel.is_cancelled() {
            return;
        }
        let delete = Call::new(&self.act, Method::DELETE, Target::At(&self.location));
        // Registries throw away what nobody goes on with; this only spares them the wait.
        self.remote.call(Call { limit: Limit::Brief, ..delete }).ok();
    }
}

/// Returns where an answer sends us, if it does. A host that forgets it is behind TLS is reminded; otherwise we never go from
/// `https` to `http`.
fn location(act: &str, answer: &Response) -> Result<Option<Address>, RegistryError> {
    let Some(text) = answer.header("location") else { return Ok(None) };
    let wrong = |why: &str| malformed(act, &answer.address, format!("of its `Location`, {why}"));
    let mut next = answer.address.join(text).map_err(wrong)?;
    if answer.address.origin.tls && !next.origin.tls {
        if next.origin.authority != answer.address.origin.authority {
            return Err(wrong("it is not encrypted"));
        }
        next.origin.tls = true;
    }
    Ok(Some(next))
}

/// Returns the shortest chunk that the registry takes (`OCI-Chunk-Min-Length`).
fn least(act: &str, answer: &Response) -> Result<usize, RegistryError> {
    let stated = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
    if stated > MOST {
        return Err(RegistryError::NoChunks { act: act.to_owned() });
    }
    Ok(stated.max(LEAST))
}

/// Returns the number of bytes that `0-99` (or `bytes=0-99`) says are there.
fn parse_range(text: &str) -> Option<u64> {
    let text = text.trim();
    let (start, end) = text.strip_prefix("bytes=").unwrap_or(text).split_once('-')?;
    if start != "0" {
        return None;
    }
    // Registries without bytes say `0-0` or `0--1`.
    if end == "-1" { Some(0) } else { end.parse::<u64>().ok()?.checked_add(1) }
}

/// Checks the digest that the registry states for what it stored.
fn check_digest(act: &str, answer: &Response, wanted: &Digest) -> Result<(), RegistryError> {
    let stored = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
    match stored.filter(|stored| stored != wanted) {
        None => Ok(()),
        Some(got) => {
            Err(RegistryError::Digest { act: act.to_owned(), url: answer.address.to_string(), wanted: *wanted, got })
        }
    }
}
