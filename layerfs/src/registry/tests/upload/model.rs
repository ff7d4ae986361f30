//! [`Model`]: a registry in memory, as the distribution-spec wants it.

use super::super::super::testing::{Received, Reply, Server, reply};
use crate::digest::Digest;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A registry with one upload at a time, as the distribution-spec wants it.
#[derive(Default)]
pub(super) struct Model {
    /// What it has of the upload.
    pub(super) has: Vec<u8>,
    /// Which upload it is; others are unknown.
    pub(super) number: usize,
    /// The blobs that it has.
    pub(super) blobs: Vec<Vec<u8>>,
    /// Bytes that came in all.
    pub(super) came: usize,
    /// `Content-Range` of the requests that sent bytes.
    pub(super) ranges: Vec<String>,
}

impl Model {
    /// Takes at most `most` bytes of a body.
    pub(super) fn take(&mut self, request: &mut Received, most: usize) {
        let bytes = request.read(most);
        self.came += bytes.len();
        self.has.extend(bytes);
    }

    pub(super) fn location(&self) -> String {
        format!("/up/{}?at={}", self.number, self.has.len())
    }

    /// Says how far it came.
    pub(super) fn far(&self, status: u16) -> Reply {
        let range = format!("0-{}", self.has.len().saturating_sub(1));
        reply(status, &[("location", &self.location()), ("range", &range)], "")
    }

    pub(super) fn answer(&mut self, request: &mut Received) -> Reply {
        match request.method.as_str() {
            "POST" => {
                self.has.clear();
                self.number += 1;
                self.far(202)
            }
            "HEAD" => {
                let name = request.target.rsplit('/').next().unwrap_or_default().to_owned();
                match self.blobs.iter().find(|blob| Digest::of(blob).to_string() == name) {
                    Some(blob) => reply(200, &[("content-length", &blob.len().to_string())], ""),
                    None => reply(404, &[], ""),
                }
            }
            _ if !request.target.starts_with(&format!("/up/{}?", self.number)) => {
                reply(404, &[], r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#)
            }
            "GET" => self.far(204),
            "DELETE" => reply(204, &[], ""),
            _ => self.receive(request),
        }
    }

    /// Takes what a PATCH or PUT sends, if it follows on what is there.
    pub(super) fn receive(&mut self, request: &mut Received) -> Reply {
        let range = request.header("content-range").to_owned();
        let start = range.split('-').next().unwrap_or_default().parse().unwrap_or(self.has.len());
        let place = request.target.split('&').next().unwrap_or_default();
        if start != self.has.len() || place != self.location() {
            return reply(416, &[], "");
        }
        self.ranges.push(range);
        self.take(request, usize::MAX);
        if request.method == "PATCH" {
            return self.far(202);
        }
        let wanted = request.target.rsplit("digest=").next().unwrap_or_default();
        if Digest::of(&self.has).to_string() != wanted {
            return reply(400, &[], r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
        }
        let digest = wanted.to_owned();
        self.blobs.push(std::mem::take(&mut self.has));
        self.number += 1;
        reply(201, &[("docker-content-digest", &digest)], "")
    }
}

/// A registry that does as the model, but for what `fault` answers: it sees the request and how many came before.
pub(super) fn registry(
    fault: impl Fn(&mut Received, &mut Model, usize) -> Option<Reply> + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Model>>) {
    let model: Arc<Mutex<Model>> = Arc::default();
    let (theirs, count) = (Arc::clone(&model), AtomicUsize::new(0));
    let server = Server::new(move |request| {
        let mut model = theirs.lock().expect("no panic");
        let before = count.fetch_add(1, Ordering::SeqCst);
        fault(request, &mut model, before).unwrap_or_else(|| model.answer(request))
    });
    (server, model)
}

pub(super) fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().expect("no panic")
}
