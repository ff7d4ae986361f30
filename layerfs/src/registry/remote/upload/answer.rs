//! What the answers to an upload say.

use super::super::super::address::Address;
use super::super::super::error::RegistryError;
use super::super::super::transport::Response;
use super::super::malformed;
use crate::digest::Digest;

/// Fewer bytes than these wait for more: they are worth no request of their own, and the last may go with the PUT.
const LEAST: usize = 64 << 10;
/// The longest chunk that a registry may insist on, in bytes: it is held in memory.
const MOST: usize = 32 << 20;

/// Returns where an answer sends us, if it does. A host that forgets it is behind TLS is reminded; otherwise we never go from
/// `https` to `http`.
pub(super) fn location(act: &str, answer: &Response) -> Result<Option<Address>, RegistryError> {
    let Some(text) = answer.header("location") else { return Ok(None) };
    let wrong = |why: &str| malformed(act, &answer.address, format!("its `Location` leads nowhere: {why}"));
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
pub(super) fn least(act: &str, answer: &Response) -> Result<usize, RegistryError> {
    let stated = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
    if stated > MOST {
        return Err(RegistryError::NoChunks { act: act.to_owned() });
    }
    Ok(stated.max(LEAST))
}

/// Returns the number of bytes that `0-99` (or `bytes=0-99`) says are there.
pub(super) fn parse_range(text: &str) -> Option<u64> {
    let text = text.trim();
    let (start, end) = text.strip_prefix("bytes=").unwrap_or(text).split_once('-')?;
    if start != "0" {
        return None;
    }
    // Registries without bytes say `0-0` or `0--1`.
    if end == "-1" { Some(0) } else { end.parse::<u64>().ok()?.checked_add(1) }
}

/// Checks the digest that the registry states for what it stored.
pub(super) fn check_digest(act: &str, answer: &Response, wanted: &Digest) -> Result<(), RegistryError> {
    let stored = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
    match stored.filter(|stored| stored != wanted) {
        None => Ok(()),
        Some(got) => {
            Err(RegistryError::Digest { act: act.to_owned(), url: answer.address.to_string(), wanted: *wanted, got })
        }
    }
}
