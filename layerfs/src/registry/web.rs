//! Files of the web, by the same transport as registries: its proxies, trust, time limits and further tries.

use super::Registries;
use super::address::Address;
use super::error::{Refusal, RegistryError, Said};
use super::retry::{after, parse_date};
use super::secret::Secret;
use super::transport::{Guard, Limit, Payload, Request, Response};
use crate::digest::{Digest, Hasher};
use std::fs::File;
use std::io::{Read, Seek, Write};
use ureq::http::Method;

/// The longest answer that is read to learn why there is no file, in bytes.
const LONGEST_REFUSAL: u64 = 64 << 10;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct WebRequest {
    /// The URL, `http` or `https`; a user in it becomes an `Authorization`.
    pub url: String,
    /// `ETag` of what is here already.
    pub etag: Option<String>,
    /// `Last-Modified` of what is here already; counts where there is no `ETag`.
    pub last_modified: Option<String>,
    /// `Authorization`, for the server of the URL alone.
    pub authorization: Option<Secret>,
    /// Most bytes that are taken; no limit if there is none.
    pub limit: Option<u64>,
}

/// What the server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebAnswer {
    /// What is here already.
    NotModified,
    /// A file, which was written.
    File {
        /// The digest of its bytes.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// `ETag`.
        etag: Option<String>,
        /// `Last-Modified`, as sent.
        last_modified: Option<String>,
    },
}

/// Hears how many bytes of a file are there, and how many there will be, if that is known.
pub type Told<'a> = &'a dyn Fn(u64, Option<u64>);

/// Returns the seconds since 1970 of a `Last-Modified`; nothing for what is no date.
pub fn modified(text: &str) -> Option<u64> {
    parse_date(text)
}

impl Registries {
    /// Asks for a file and writes it to `out`, from its start. `told` hears how many bytes are there, and how many there
    /// will be.
    ///
    /// # Errors
    /// [`RegistryError`]: what went wrong on the way, any answer without a file, and [`RegistryError::TooBig`] for a file
    /// above the limit, as soon as that is known.
    pub fn download(&self, wanted: &WebRequest, out: &mut File, told: Told<'_>) -> Result<WebAnswer, RegistryError> {
        let session = &self.0.session;
        let act = "fetch";
        let unreadable = |why: &'static str| RegistryError::Unreachable {
            act: act.to_owned(),
            url: without_user(&wanted.url),
            why: why.to_owned(),
        };
        let address = Address::parse(&wanted.url).map_err(unreadable)?;
        let guard = Guard { host: address.origin.authority.clone(), insecure: false };
        let authorization = wanted.authorization.clone().or_else(|| basic(&wanted.url));
        let mut retry = session.retry(&guard.host, true);
        let known = || session.transport.is_proven(&address.origin);
        retry.run(known, || {
            let mut headers = Vec::new();
            match (&wanted.etag, &wanted.last_modified) {
                (Some(etag), _) => headers.push(("if-none-match", etag.clone())),
                (None, Some(time)) => headers.push(("if-modified-since", time.clone())),
                (None, None) => {}
            }
            let request = Request {
                act,
                method: Method::GET,
                address: address.clone(),
                headers: &headers,
                authorization: authorization.clone(),
                payload: Payload::None,
                confined: false,
                told: None,
                limit: Limit::Stream,
            };
            let response = session.transport.send(&guard, request)?;
            match response.status {
                304 if !headers.is_empty() => Ok(WebAnswer::NotModified),
                200 => self.receive(response, (act, wanted.limit), out, told),
                _ => Err(refused(response, act, &guard.host, authorization.as_slice())),
            }
        })
    }

    fn receive(
        &self,
        response: Response,
        (act, limit): (&str, Option<u64>),
        out: &mut File,
        told: Told<'_>,
    ) -> Result<WebAnswer, RegistryError> {
        let header = |name: &str| response.header(name).map(str::to_owned);
        let (etag, last_modified, stated) = (header("etag"), header("last-modified"), response.length());
        let (session, address) = (&self.0.session, response.address.clone());
        let failed = |error| session.transport.body_failure(error, act, &address);
        let local = |source| RegistryError::Source { act: format!("{act}: write a file"), source };
        let too_big = |size: u64| match limit {
            Some(limit) if size > limit => Err(RegistryError::TooBig { url: address.to_string(), limit }),
            _ => Ok(()),
        };
        too_big(stated.unwrap_or(0))?;
        out.rewind().and_then(|()| out.set_len(0)).map_err(local)?;
        let (mut hasher, mut size) = (Hasher::default(), 0);
        let mut body = response.into_body();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = body.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                break;
            }
            size += count as u64;
            too_big(size)?;
            told(size, stated);
            hasher.update(&buffer[..count]);
            out.write_all(&buffer[..count]).map_err(local)?;
        }
        if stated.is_some_and(|stated| stated != size) {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(WebAnswer::File { digest: hasher.finish(), size, etag, last_modified })
    }
}

fn refused(response: Response, act: &str, host: &str, secrets: &[Secret]) -> RegistryError {
    let (status, url) = (response.status, response.address.to_string());
    let retry_after = after(&response);
    // What the server says of it may be missing: its status counts.
    let said = response.read(LONGEST_REFUSAL).ok().flatten().map(|body| Said::of(&body, secrets)).unwrap_or_default();
    RegistryError::Answered(Box::new(Refusal {
        act: act.to_owned(),
        url,
        status,
        said,
        credential: String::new(),
        host: host.to_owned(),
        retry_after,
    }))
}

/// Returns the user of a URL as an `Authorization` (RFC 7617).
fn basic(url: &str) -> Option<Secret> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let user = percent_encoding::percent_decode_str(user).collect::<Vec<u8>>();
    let user = if user.contains(&b':') { user } else { [&user[..], b":"].concat() };
    Some(Secret::new(format!("Basic {}", crate::base64::encode(&user))))
}

/// Returns a URL without its user and its query, either of which may hold a secret.
pub fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{}", target.split('?').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_urls_are_sent_and_not_shown() {
        for (url, wanted, shown) in [
            ("https://h/a?t=1", None, "https://h/a"),
            ("https://u:p%40@h:1/a#f", Some("Basic dTpwQA=="), "https://h:1/a#f"),
            ("https://u@h", Some("Basic dTo="), "https://h"),
            ("https://h/a@b", None, "https://h/a@b"),
        ] {
            assert_eq!(basic(url).as_ref().map(Secret::expose), wanted, "{url}");
            assert_eq!(without_user(url), shown);
        }
    }
}
