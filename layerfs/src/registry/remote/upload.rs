//! [`Upload`]: a blob on its way to a registry.

mod answer;
mod whole;

use super::super::address::Address;
use super::super::error::RegistryError;
use super::super::observer::Direction;
use super::super::session::{Call, Target};
use super::super::transport::{Gain, Limit, Payload, Response};
use super::{Remote, Start, malformed};
use crate::digest::Digest;
use answer::{check_digest, least, location, parse_range};
use std::sync::Arc;
use ureq::http::Method;

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

/// Why a request that sends bytes did not do so.
enum Trouble {
    /// It failed.
    Failed(RegistryError),
    /// The registry wants other bytes than these.
    Misplaced,
    /// The registry knows nothing of the upload.
    Lost,
}

impl From<RegistryError> for Trouble {
    fn from(error: RegistryError) -> Self {
        Self::Failed(error)
    }
}

/// What became of the bytes in flight when a connection broke.
enum Fate {
    /// The registry has so many bytes of the blob.
    Has(u64),
    /// It knows nothing of the upload.
    Lost,
}

/// Bytes that are to arrive, and the troubles on the way.
struct Leg {
    start: u64,
    length: usize,
    failures: u32,
    gain: Gain,
}

impl Leg {
    fn new(start: u64, length: usize) -> Self {
        Self { start, length, failures: 0, gain: Gain::new(start) }
    }

    /// Returns how many of its bytes a registry has that has `offset` of the blob.
    fn done(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.length)
    }

    /// Reports whether a registry that has `offset` bytes of the blob can be sent what follows.
    fn holds(&self, offset: u64) -> bool {
        (self.start..=self.start + self.length as u64).contains(&offset)
    }
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
        let mut leg = Leg::new(self.offset, last.len());
        while !self.ended {
            // Some registries are not done when patience ends, and some answers are lost: it may be there.
            if leg.failures > 0 && self.remote.has_blob(digest)? {
                self.ended = true;
                break;
            }
            match self.put(digest, &last[leg.done(self.offset)..], leg.failures > 0) {
                Ok(()) => self.ended = true,
                Err(trouble) => self.mend(trouble, &mut leg, Some(digest))?,
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        let mut leg = Leg::new(self.offset, bytes.len());
        while leg.done(self.offset) < bytes.len() {
            if let Err(trouble) = self.patch(&bytes[leg.done(self.offset)..], leg.failures > 0) {
                self.mend(trouble, &mut leg, None)?;
            }
        }
        Ok(())
    }

    /// Finds out after a failure how far the registry came with the bytes of `leg`.
    ///
    /// # Errors
    /// What went wrong if it is for good; [`RegistryError::UploadLost`].
    fn mend(&mut self, trouble: Trouble, leg: &mut Leg, digest: Option<&Digest>) -> Result<(), RegistryError> {
        let fate = match trouble {
            Trouble::Lost => Fate::Lost,
            Trouble::Misplaced => self.moved(leg)?,
            Trouble::Failed(error) => {
                self.wait(error, leg)?;
                self.ask()?
            }
        };
        match fate {
            Fate::Has(offset) if leg.holds(offset) => {
                self.offset = offset;
                Ok(())
            }
            Fate::Has(_) | Fate::Lost => self.lost(leg.start, digest),
        }
    }

    /// Waits after a failure, unless it is for good or the registry gets nowhere.
    fn wait(&self, error: RegistryError, leg: &mut Leg) -> Result<(), RegistryError> {
        if leg.gain.is_enough(self.offset) {
            leg.failures = 0;
        }
        let mut retry = self.remote.session.retry(&self.remote.endpoint().host, true);
        retry.failures = leg.failures;
        retry.again(error, true)?;
        leg.failures = retry.failures;
        Ok(())
    }

    /// Asks a registry that wants other bytes than it was sent which ones. It has to know better than before.
    fn moved(&mut self, leg: &mut Leg) -> Result<Fate, RegistryError> {
        leg.failures += 1;
        let before = self.offset;
        Ok(match self.ask()? {
            Fate::Has(offset) if offset != before && leg.failures < self.remote.session.patience.attempts => {
                Fate::Has(offset)
            }
            _ => Fate::Lost,
        })
    }

    /// Goes on where the registry forgot the upload: it may have ended it; if all bytes are at hand, it is begun anew.
    fn lost(&mut self, start: u64, digest: Option<&Digest>) -> Result<(), RegistryError> {
        if let Some(digest) = digest
            && self.remote.has_blob(digest)?
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
    fn patch(&mut self, bytes: &[u8], careful: bool) -> Result<(), Trouble> {
        let end = self.offset + bytes.len() as u64;
        let mut headers = headers(careful);
        headers.push(("content-range", format!("{}-{}", self.offset, end - 1)));
        let answer = self.call(Method::PATCH, &self.location, &headers, bytes)?;
        match answer.status {
            200..=204 => Ok(self.took(&answer, end)?),
            404 | 405 | 415 | 501 if self.offset == 0 && !careful => {
                Err(RegistryError::NoChunks { act: self.act.clone() }.into())
            }
            404 | 410 => Err(Trouble::Lost),
            416 => Err(Trouble::Misplaced),
            _ => Err(self.remote.refusal(&self.act, answer).into()),
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
        let (taken, sent) = (has - self.offset, end - self.offset);
        self.offset = has;
        if taken < sent / 2 {
            let why = format!("it took {taken} of {sent} bytes");
            return Err(RegistryError::Broken { act: self.act.clone(), url: self.location.to_string(), why });
        }
        Ok(())
    }

    fn strange_range(&self, answer: &Response, range: &str) -> RegistryError {
        malformed(&self.act, &answer.address, format!("it says it has bytes `{range}`"))
    }

    /// Sends the last bytes, if any, and ends the upload.
    fn put(&mut self, digest: &Digest, bytes: &[u8], careful: bool) -> Result<(), Trouble> {
        let mut headers = headers(careful && !bytes.is_empty());
        if self.offset > 0 && !bytes.is_empty() {
            headers.push(("content-range", format!("{}-{}", self.offset, self.offset + bytes.len() as u64 - 1)));
        }
        let location = self.location.with("digest", &digest.to_string());
        let answer = self.call(Method::PUT, &location, &headers, bytes)?;
        match answer.status {
            200..=204 => Ok(check_digest(&self.act, &answer, digest)?),
            404 | 410 => Err(Trouble::Lost),
            416 => Err(Trouble::Misplaced),
            _ => Err(self.remote.refusal(&self.act, answer).into()),
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

/// Returns the headers of a request that sends bytes; a careful one waits to hear whether they are wanted.
fn headers(careful: bool) -> Vec<(&'static str, String)> {
    let mut headers = vec![("content-type", "application/octet-stream".to_owned())];
    if careful {
        headers.push(("expect", "100-continue".to_owned()));
    }
    headers
}
