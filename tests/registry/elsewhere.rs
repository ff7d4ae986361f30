//! [`Elsewhere`]: another host with the blobs of a registry, as those that redirects lead to.

use super::proxy::{Class, Exchange, Exchanges};
use super::server::blob_below;
use super::wire::{Head, answer};
use std::io::{self, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;

/// What a signed URL carries, and nobody should print.
pub const SIGNATURE: &str = "signed-url-7d1f22";

/// Serves `/sha256:…` out of a storage.
pub(super) struct Elsewhere {
    pub storage: PathBuf,
    pub exchanges: Exchanges,
}

impl Elsewhere {
    /// Serves a connection.
    pub fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut client = BufReader::new(stream);
        while let Some(head) = Head::read(&mut client)? {
            let seen = self.exchanges.add(Exchange::new(&head, Class::Elsewhere));
            let digest = head.word(1).trim_start_matches('/').split('?').next().unwrap_or_default();
            let signed = head.word(1).ends_with(SIGNATURE);
            let Ok(bytes) = std::fs::read(blob_below(&self.storage, digest)) else {
                answer(client.get_mut(), "404 Not Found", &[], b"no such blob", false)?;
                continue;
            };
            // As at S3: who is let in by the URL may not show a second credential.
            if !signed || head.field("authorization").is_some() {
                answer(client.get_mut(), "400 Bad Request", &[], b"only one auth mechanism allowed", false)?;
                continue;
            }
            let part = head.field("range").and_then(|range| part(range, bytes.len()));
            let status = if part.is_some() { "206 Partial Content" } else { "200 OK" };
            let (from, end) = part.unwrap_or((0, bytes.len()));
            let told = format!("bytes {from}-{}/{}", end.saturating_sub(1), bytes.len());
            let fields: &[_] = if part.is_some() { &[("content-range", told.as_str())] } else { &[] };
            let sent = &bytes[from..end];
            {
                let mut seen = seen.lock().expect("no panic");
                (seen.status, seen.received) = (status[..3].parse().expect("a status"), sent.len() as u64);
            }
            answer(client.get_mut(), status, fields, sent, false)?;
        }
        Ok(())
    }
}

/// Returns the beginning and the end of `bytes=FROM-` or `bytes=FROM-LAST`.
fn part(range: &str, length: usize) -> Option<(usize, usize)> {
    let (from, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.parse().ok()?;
    let end = last.parse().map_or(length, |last: usize| length.min(last + 1));
    (from < end).then_some((from, end))
}
