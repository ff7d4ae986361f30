//! `Tokens`: the secrets of a build that open repositories and files of the web to it, by BuildKit's names:
//! `GIT_AUTH_HEADER` and `GIT_AUTH_TOKEN` with or without `.HOST`, `HTTP_AUTH_HEADER_HOST` and `HTTP_AUTH_TOKEN_HOST`.

use crate::fetch_context::FetchContextError;
use crate::git_ref::GitRef;
use crate::request::{SecretSource, SecretSpec};
use layerfs::io_error::{IoContext, IoError};
use layerfs::registry::secret::Secret;
use std::fs::File;
use std::io::Read;

/// The most bytes of a secret that is an `Authorization`.
const LONGEST: u64 = 16 << 10;

/// Why a secret is no `Authorization`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// It is no line of text.
    #[error("secret `{id}` is no line of text, which it must be to be an `Authorization`")]
    NotText {
        /// The secret.
        id: String,
    },
}

impl From<TokenError> for FetchContextError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Io(error) => error.into(),
            TokenError::NotText { id } => Self::Secret { id },
        }
    }
}

/// The secrets of a build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens<'a>(pub(crate) &'a [SecretSpec]);

impl Tokens<'_> {
    /// Returns the `Authorization` for a repository; what is meant for its host goes first, a whole header before a
    /// token. The host is looked up with its port, then without.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn git(self, git: &GitRef) -> Result<Option<Secret>, TokenError> {
        let hosts = [format!(".{}", git.authority()), format!(".{}", git.host()), String::new()];
        for host in hosts {
            if let Some(header) = self.text(&format!("GIT_AUTH_HEADER{host}"))? {
                return Ok(Some(Secret::new(header)));
            }
            if let Some(token) = self.text(&format!("GIT_AUTH_TOKEN{host}"))? {
                let user = layerfs::base64::encode(format!("x-access-token:{token}").as_bytes());
                return Ok(Some(Secret::new(format!("basic {user}"))));
            }
        }
        Ok(None)
    }

    /// Returns the `Authorization` for a file of the web.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn web(self, url: &str) -> Result<Option<Secret>, TokenError> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if let Some(header) = self.text(&format!("HTTP_AUTH_HEADER_{host}"))? {
            return Ok(Some(Secret::new(header)));
        }
        let token = self.text(&format!("HTTP_AUTH_TOKEN_{host}"))?;
        Ok(token.map(|token| Secret::new(format!("Bearer {token}"))))
    }

    /// Returns the secret `id` as a line of text, if it was given.
    fn text(self, id: &str) -> Result<Option<String>, TokenError> {
        let Some(secret) = self.0.iter().find(|secret| secret.id == id) else { return Ok(None) };
        let not_text = || TokenError::NotText { id: id.to_owned() };
        let bytes = bytes_of(secret)?;
        let text = String::from_utf8(bytes).map_err(|_| not_text())?;
        let line = text.trim();
        match line.contains(char::is_control) || line.len() as u64 > LONGEST {
            true => Err(not_text()),
            false => Ok(Some(line.to_owned())),
        }
    }
}

fn bytes_of(secret: &SecretSpec) -> Result<Vec<u8>, IoError> {
    match &secret.source {
        SecretSource::Environment(value) => Ok(value.clone()),
        SecretSource::File(path) => {
            let mut bytes = Vec::new();
            let file = File::open(path).at("open secret", path)?;
            file.take(LONGEST + 1).read_to_end(&mut bytes).at("read secret", path)?;
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(ids: &[&str]) -> Vec<SecretSpec> {
        let secret = |id: &&str| SecretSpec {
            id: (*id).to_owned(),
            source: SecretSource::Environment(format!("{id} value\n").into_bytes()),
        };
        ids.iter().map(secret).collect()
    }

    /// Row 1.6-22; the order is that of BuildKit's `authSecretNames`.
    #[test]
    fn what_is_for_the_host_goes_first() {
        let (token, header) = ("GIT_AUTH_TOKEN", "GIT_AUTH_HEADER");
        let (its_token, its_header) = ("GIT_AUTH_TOKEN.h:8", "GIT_AUTH_HEADER.h:8");
        let basic =
            |id: &str| format!("basic {}", layerfs::base64::encode(format!("x-access-token:{id} value").as_bytes()));
        for (ids, wanted) in [
            (vec![token, header, its_token, its_header], Some(format!("{its_header} value"))),
            (vec![token, header, its_token], Some(basic(its_token))),
            (vec![token, header], Some(format!("{header} value"))),
            (vec![token], Some(basic(token))),
            (vec!["GIT_AUTH_TOKEN.h", header], Some(basic("GIT_AUTH_TOKEN.h"))),
            (vec!["GIT_AUTH_TOKEN.other"], None),
        ] {
            let git = GitRef::parse("https://u@h:8/a.git#main").expect("a repository");
            let found = Tokens(&secrets(&ids)).git(&git).expect("texts");
            assert_eq!(found.map(|secret| secret.expose().to_owned()), wanted, "{ids:?}");
        }
    }

    /// Row 1.6-20.
    #[test]
    fn secrets_of_the_web_are_named_like_its_hosts() {
        for (id, url, wanted) in [
            ("HTTP_AUTH_TOKEN_h", "https://h/a", Some("Bearer HTTP_AUTH_TOKEN_h value")),
            ("HTTP_AUTH_TOKEN_h", "https://h:8/a", None),
            ("HTTP_AUTH_TOKEN_h:8", "https://u:p@h:8?a", Some("Bearer HTTP_AUTH_TOKEN_h:8 value")),
            ("HTTP_AUTH_HEADER_h", "https://h", Some("HTTP_AUTH_HEADER_h value")),
            ("HTTP_AUTH_TOKEN_h", "https://x/h", None),
        ] {
            let found = Tokens(&secrets(&[id])).web(url).expect("a text");
            assert_eq!(found.as_ref().map(Secret::expose), wanted, "{id} {url}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused_and_not_shown() {
        for value in [b"a\nb".to_vec(), vec![0xff], vec![b'x'; 20 << 10]] {
            let source = SecretSource::Environment(value);
            let secrets = [SecretSpec { id: "HTTP_AUTH_TOKEN_h".to_owned(), source }];
            let error = Tokens(&secrets).web("https://h/").expect_err("no line");
            assert_eq!(error, TokenError::NotText { id: "HTTP_AUTH_TOKEN_h".to_owned() });
        }
    }
}
