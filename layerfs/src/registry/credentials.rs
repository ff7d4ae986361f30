//! [`Credentials`]: who we are at a host.

mod file;
mod helper;
mod key;

use super::error::RegistryError;
use super::secret::Secret;
use super::settings::RegistrySettings;
use super::settings::file::wrong;
use crate::cancel::Cancel;
use crate::flight::Flight;
use file::AuthFile;
use helper::Helper;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who we are at a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nobody.
    Anonymous,
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `identitytoken`: an OAuth refresh token.
    Identity(Secret),
    /// `registrytoken`: a bearer token to send as it is.
    Bearer(Secret),
}

/// A credential and where it was found, for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The credential.
    pub credential: Credential,
    /// `` `localhost:5000` in `/home/u/.docker/config.json` ``; where it was looked for, if it is anonymous.
    pub place: String,
}

/// Where a credential is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// By `docker-credential-NAME`.
    Helper(String),
    /// In a file, as good as in the clear.
    File(PathBuf),
}

/// The credentials of the user. Files are read once, at the first question; helpers run once a host.
#[derive(Debug)]
pub struct Credentials {
    inline: Option<Secret>,
    files: Vec<PathBuf>,
    login_file: Option<PathBuf>,
    search_path: Option<OsString>,
    cancel: Option<Cancel>,
    read: Flight<(), Arc<Vec<AuthFile>>>,
    answers: Flight<(String, String), Option<Credential>>,
}

impl Credentials {
    /// Returns the credentials that `settings` lead to.
    pub fn new(settings: &RegistrySettings) -> Self {
        Self {
            inline: settings.auth_inline.clone(),
            files: settings.auth_files.clone(),
            login_file: settings.login_file.clone(),
            search_path: settings.search_path.clone(),
            cancel: None,
            read: Flight::default(),
            answers: Flight::default(),
        }
    }

    /// Returns the same, but helpers end when `cancel` is set.
    pub fn ended_by(self, cancel: &Cancel) -> Self {
        Self { cancel: Some(cancel.clone()), ..self }
    }

    /// Returns the credential for `repository` of `host`: the longest entry that is a prefix of both counts. The first
    /// file that has one counts; in a file a helper goes before the file's own entries.
    ///
    /// # Errors
    /// [`RegistryError::Settings`]; [`RegistryError::Helper`]; [`RegistryError::Cancelled`] while a helper ran.
    pub fn find(&self, host: &str, repository: &str) -> Result<Found, RegistryError> {
        let fitting = key::fitting(host, repository);
        let mut asked = Vec::new();
        let files = self.read.get_or_try((), || self.read_all().map(Arc::new))?;
        for file in files.iter() {
            if let Some(name) = file.helper(&fitting)? {
                let place = format!("`docker-credential-{name}`, which {} names", file.place());
                match self.ask(&self.helper(name, &file.path), host)? {
                    Some(credential) => return Ok(Found { credential, place }),
                    None => asked.push(place),
                }
            }
            if let Some((key, credential)) = file.credential(&fitting)? {
                return Ok(Found { credential, place: format!("`{key}` in {}", file.place()) });
            }
            asked.push(file.place());
        }
        Ok(Found { credential: Credential::Anonymous, place: nowhere(host, &asked) })
    }

    /// Keeps a credential for `host`: by the helper that is set up for it, else in the file that has an entry for it
    /// already, else in the one to log in to, mode 0600. Returns where.
    ///
    /// # Errors
    /// [`RegistryError::Settings`]; [`RegistryError::Helper`].
    pub fn store(&self, host: &str, credential: &Credential) -> Result<Keeper, RegistryError> {
        for path in &self.files {
            let mut file = AuthFile::read(path)?;
            if let Some(name) = file.helper(&key::fitting(host, ""))? {
                let server = key::servers(host).first().map_or(host, |first| *first);
                self.helper(name, path).store(server, credential)?;
                return Ok(Keeper::Helper(name.to_owned()));
            }
            if file.mentions(host)? {
                file.put(host, credential)?;
                return file.write().map(|()| Keeper::File(path.clone()));
            }
        }
        let Some(path) = &self.login_file else {
            return Err(wrong(
                Path::new("config.json"),
                "no place for it is known: neither `DOCKER_CONFIG` nor `HOME` is set",
            ));
        };
        let mut file = AuthFile::read(path)?;
        file.put(host, credential)?;
        file.write().map(|()| Keeper::File(path.clone()))
    }

    /// Forgets the credentials for `host` itself, wherever they are kept; reports whether there were any.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub fn erase(&self, host: &str) -> Result<bool, RegistryError> {
        let mut any = false;
        for path in &self.files {
            let mut file = AuthFile::read(path)?;
            if let Some(name) = file.helper(&key::fitting(host, ""))? {
                for server in key::servers(host) {
                    any |= self.helper(name, path).erase(server)?;
                }
            }
            if file.remove(host)? {
                file.write()?;
                any = true;
            }
        }
        Ok(any)
    }

    fn read_all(&self) -> Result<Vec<AuthFile>, RegistryError> {
        let inline = self.inline.iter().map(AuthFile::inline);
        inline.chain(self.files.iter().map(|path| AuthFile::read_if_allowed(path))).collect()
    }

    /// Asks a helper for `host` under every name that it may know it by.
    fn ask(&self, helper: &Helper<'_>, host: &str) -> Result<Option<Credential>, RegistryError> {
        for server in key::servers(host) {
            let asked = (helper.name.to_owned(), server.to_owned());
            if let Some(credential) = self.answers.get_or_try(asked, || helper.get(server))? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    fn helper<'a>(&'a self, name: &'a str, named_in: &'a Path) -> Helper<'a> {
        let (search_path, cancel) = (self.search_path.as_deref(), self.cancel.as_ref());
        Helper { search_path, cancel, ..Helper::new(name, named_in) }
    }
}

fn nowhere(host: &str, asked: &[String]) -> String {
    match asked {
        [] => format!("no entry for `{host}`: no file of credentials is known"),
        asked => format!("no entry for `{host}` in {}", asked.join(", ")),
    }
}

#[cfg(test)]
mod tests;
