//! [`Credentials`]: who we are at a host.

use super::error::RegistryError;
use super::secret::Secret;
use super::settings::RegistrySettings;
use std::path::PathBuf;

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

/// The credentials of the user. Files are read once, at the first question; helpers run once a host.
#[derive(Debug)]
pub struct Credentials {}

impl Credentials {
    /// Returns the credentials that `settings` lead to.
    pub fn new(settings: &RegistrySettings) -> Self {
        todo!("{settings:?}")
    }

    /// Returns the credential for `repository` of `host`: the longest entry that is a prefix of both counts.
    ///
    /// # Errors
    /// [`RegistryError::Settings`]; a helper that fails.
    pub fn find(&self, host: &str, repository: &str) -> Result<Found, RegistryError> {
        todo!("{host} {repository}")
    }

    /// Keeps a credential for `host`: by the helper that is set up, else in the first file, mode 0600. Returns where.
    ///
    /// # Errors
    /// [`RegistryError::Settings`]; a helper that fails.
    pub fn store(&self, host: &str, credential: &Credential) -> Result<PathBuf, RegistryError> {
        todo!("{host} {credential:?}")
    }

    /// Forgets the credentials for `host`; reports whether there were any.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub fn erase(&self, host: &str) -> Result<bool, RegistryError> {
        todo!("{host}")
    }
}
