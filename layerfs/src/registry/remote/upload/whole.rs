//! A blob on its way to a registry in one request.

use super::super::super::error::RegistryError;
use super::super::super::observer::Direction;
use super::super::super::session::{Call, Target};
use super::super::super::transport::{Limit, Payload, Sending};
use super::super::Remote;
use super::answer::check_digest;
use super::{RESTARTS, headers};
use crate::digest::Digest;
use std::io::{self, Read};
use ureq::http::Method;

/// Opens the bytes to send.
type Open<'a> = &'a dyn Fn() -> io::Result<Box<dyn Read>>;

impl Remote {
    /// Sends a blob in one request, for registries that take no chunks. `open` is called for every attempt.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn upload_whole(&self, digest: &Digest, size: u64, open: Open<'_>) -> Result<(), RegistryError> {
        let act = format!("push blob {digest} to `{}`", self.repository());
        let mut whole = Whole { remote: self, act, digest, size, open, again: false };
        for _ in 0..RESTARTS {
            match self.persist(|| whole.send()) {
                Err(RegistryError::UploadLost { .. }) => {}
                result => return result,
            }
        }
        self.persist(|| whole.send())
    }
}

/// A blob to be sent in one request.
struct Whole<'a> {
    remote: &'a Remote,
    act: String,
    digest: &'a Digest,
    size: u64,
    open: Open<'a>,
    /// Whether its bytes were on their way before.
    again: bool,
}

impl Whole<'_> {
    fn send(&mut self) -> Result<(), RegistryError> {
        let Self { remote, digest, .. } = *self;
        // It may be there, and only the answer was lost.
        if self.again && remote.has_blob(digest)? {
            return Ok(());
        }
        let opened = (self.open)();
        let mut source = opened.map_err(|source| RegistryError::Source { act: self.act.clone(), source })?;
        let Some((location, _)) = remote.begin(&self.act, None)? else { return Ok(()) };
        let headers = headers(std::mem::replace(&mut self.again, true));
        let told = |sent| remote.session.observer.transfer(digest, Direction::Push, sent, Some(self.size));
        let sending = Sending::new(&mut *source, self.size, remote.session.patience.idle, &told);
        let location = location.with("digest", &digest.to_string());
        let put = Call::new(&self.act, Method::PUT, Target::At(&location));
        let put = Call { headers: &headers, payload: Payload::Stream(sending), limit: Limit::Stream, ..put };
        let answer = remote.call(put)?;
        match answer.status {
            200..=204 => check_digest(&self.act, &answer, digest),
            404 | 410 => Err(RegistryError::UploadLost { act: self.act.clone(), url: location.to_string() }),
            _ => Err(remote.refusal(&self.act, answer)),
        }
    }
}
