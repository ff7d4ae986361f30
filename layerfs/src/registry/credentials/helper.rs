//! [`Helper`]: the programs `docker-credential-NAME`, which keep credentials elsewhere.
//!
//! ```text
//! get    in: server URL                          out: {"ServerURL", "Username", "Secret"}
//! store  in: {"ServerURL", "Username", "Secret"}
//! erase  in: server URL
//! ```
//! Errors come on standard output, with a status that is not 0. Secrets go through pipes only, never through arguments.

mod talk;

use super::Credential;
use crate::cancel::Cancel;
use crate::io_error::plain_text;
use crate::registry::error::{RegistryError, printable};
use crate::registry::secret::Secret;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use talk::{Answer, Patience, TalkError};

/// How long a helper may take: some ask the user.
const DEADLINE: Duration = Duration::from_secs(60);
/// What a helper calls the user of an identity token.
const TOKEN_USER: &str = "<token>";
/// What helpers say when they have nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The longest part of a helper's own words that is shown, in characters.
const SHOWN: usize = 300;

/// A program that keeps credentials.
#[derive(Debug, Clone, Copy)]
pub(super) struct Helper<'a> {
    /// What follows `docker-credential-` in its name.
    pub name: &'a str,
    /// The file that names it.
    pub named_in: &'a Path,
    /// Directories to look for it in, as in `PATH`; those of this process if nothing is said.
    pub search_path: Option<&'a OsStr>,
    /// Ends it before its time.
    pub cancel: Option<&'a Cancel>,
    /// How long it may take.
    pub deadline: Duration,
}

impl<'a> Helper<'a> {
    /// Returns the helper called `name`.
    pub fn new(name: &'a str, named_in: &'a Path) -> Self {
        Self { name, named_in, search_path: None, cancel: None, deadline: DEADLINE }
    }

    /// Returns the credential for `server`, if it has one.
    ///
    /// # Errors
    /// [`RegistryError::Helper`].
    pub fn get(&self, server: &str) -> Result<Option<Credential>, RegistryError> {
        let failed = |why: String| self.failed("get", server, why);
        let answer = self.run("get", server, server.as_bytes())?;
        if !answer.success {
            return if answer.says(NOT_FOUND) { Ok(None) } else { Err(failed(ended(&answer, None))) };
        }
        credential(&answer.out).map_err(|why| failed(why.to_owned()))
    }

    /// Gives it a credential to keep for `server`.
    ///
    /// # Errors
    /// [`RegistryError::Helper`].
    pub fn store(&self, server: &str, credential: &Credential) -> Result<(), RegistryError> {
        let failed = |why: String| self.failed("store", server, why);
        let (user, secret) = match credential {
            Credential::Password { user, password } => (user.as_str(), password),
            Credential::Identity(token) => (TOKEN_USER, token),
            Credential::Anonymous | Credential::Bearer(_) => {
                return Err(failed("helpers keep passwords and identity tokens only".to_owned()));
            }
        };
        let request = json!({"ServerURL": server, "Username": user, "Secret": secret.expose()}).to_string();
        let answer = self.run("store", server, request.as_bytes())?;
        if answer.success { Ok(()) } else { Err(failed(ended(&answer, Some(secret)))) }
    }

    /// Has it forget the credential for `server`; reports whether it had one.
    ///
    /// # Errors
    /// [`RegistryError::Helper`].
    pub fn erase(&self, server: &str) -> Result<bool, RegistryError> {
        let Some(had) = self.get(server)? else { return Ok(false) };
        let failed = |why: String| self.failed("erase", server, why);
        let answer = self.run("erase", server, server.as_bytes())?;
        let secret = match &had {
            Credential::Password { password: secret, .. } | Credential::Identity(secret) => Some(secret),
            Credential::Anonymous | Credential::Bearer(_) => None,
        };
        if answer.success { Ok(true) } else { Err(failed(ended(&answer, secret))) }
    }

    fn run(&self, act: &'static str, server: &str, input: &[u8]) -> Result<Answer, RegistryError> {
        let failed = |why: &str| self.failed(act, server, why.to_owned());
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if self.name.is_empty() || !self.name.bytes().all(plain) {
            return Err(failed("a helper's name holds letters, digits, `-`, `_` and `.` only"));
        }
        let mut command = Command::new(format!("docker-credential-{}", self.name));
        command.arg(act);
        if let Some(path) = self.search_path {
            command.env("PATH", path);
        }
        let patience = Patience { longest: self.deadline, cancel: self.cancel };
        talk::talk(command, input, patience).map_err(|error| match error {
            TalkError::Cancelled => RegistryError::Cancelled,
            other => failed(&self.described(&other)),
        })
    }

    fn described(&self, error: &TalkError) -> String {
        match error {
            TalkError::Start(error) if error.kind() == ErrorKind::NotFound => {
                "there is no such program in `PATH`".to_owned()
            }
            TalkError::Start(error) => format!("it cannot be started: {}", plain_text(error)),
            TalkError::Lost(error) => format!("talking to it failed: {}", plain_text(error)),
            TalkError::TooLate => format!("it did not answer within {} seconds", self.deadline.as_secs_f32()),
            TalkError::TooLong => "its answer is too long".to_owned(),
            TalkError::Cancelled => "cancelled".to_owned(),
        }
    }

    fn failed(&self, act: &'static str, server: &str, why: String) -> RegistryError {
        let (name, named_in) = (self.name.to_owned(), self.named_in.to_owned());
        RegistryError::Helper { name, named_in, act, server: server.to_owned(), why }
    }
}

impl Answer {
    fn says(&self, words: &str) -> bool {
        [&self.out, &self.errors].iter().any(|text| String::from_utf8_lossy(text).contains(words))
    }
}

/// Returns the credential in a helper's answer, if one is in it.
fn credential(answer: &[u8]) -> Result<Option<Credential>, &'static str> {
    let answer: Value = serde_json::from_slice(answer).map_err(|_| "its answer is not JSON")?;
    let text =
        |key: &str| answer.get(key).map_or(Some(""), Value::as_str).ok_or("its answer has not the fields agreed");
    let (user, secret) = (text("Username")?, text("Secret")?);
    Ok(match (user, secret) {
        ("", "") => None,
        (TOKEN_USER, token) => Some(Credential::Identity(Secret::new(token))),
        (user, password) => Some(Credential::Password { user: user.to_owned(), password: Secret::new(password) }),
    })
}

/// Returns how a helper failed, in its own words as far as no secret can be in them.
fn ended(answer: &Answer, secret: Option<&Secret>) -> String {
    // An object could be the very answer that was asked for.
    let out = Some(&answer.out).filter(|out| !out.trim_ascii_start().starts_with(b"{"));
    let words = [Some(&answer.errors), out].into_iter().flatten().map(|text| String::from_utf8_lossy(text));
    let mut words =
        words.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    if let Some(secret) = secret.filter(|secret| !secret.expose().is_empty()) {
        words = words.replace(secret.expose(), "***");
    }
    let shown: String = words.replace('\n', ", ").chars().take(SHOWN).collect();
    let shown = printable(&shown);
    if shown.is_empty() { "it failed and does not say why".to_owned() } else { shown }
}

#[cfg(test)]
mod tests;
