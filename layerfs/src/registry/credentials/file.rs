//! [`AuthFile`]: Docker's `config.json`, containers' `auth.json` (containers-auth.json(5)), the old `.dockercfg`.

use super::{Credential, key};
use crate::base64;
use crate::registry::error::RegistryError;
use crate::registry::secret::Secret;
use crate::registry::settings::file::{self, wrong};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde_json::{Map, Value, json};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What stands for the path of `DOCKER_AUTH_CONFIG`.
const INLINE: &str = "DOCKER_AUTH_CONFIG";
/// The name of the file that older versions of Docker kept: its entries are not within `auths`.
const LEGACY: &str = ".dockercfg";

/// A file of credentials. Errors and [`fmt::Debug`] show nothing of its values.
pub(super) struct AuthFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether there is such a file.
    pub exists: bool,
    /// It is there, but not for us.
    is_closed: bool,
    json: Map<String, Value>,
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFile").field("path", &self.path).field("exists", &self.exists).finish_non_exhaustive()
    }
}

impl AuthFile {
    /// Reads the file at `path`; one that is missing is empty.
    pub fn read(path: &Path) -> Result<Self, RegistryError> {
        let text = file::text(path)?;
        let exists = text.is_some();
        Ok(Self { path: path.to_owned(), exists, is_closed: false, json: parse(path, &text.unwrap_or_default())? })
    }

    /// Reads the file at `path`; one that we may not read is empty, too: `sudo docker login` leaves such behind, and most
    /// images are for everybody. It is not to be written.
    pub fn read_if_allowed(path: &Path) -> Result<Self, RegistryError> {
        if access(path, Access::READ_OK) == Err(Errno::ACCESS) {
            return Ok(Self { path: path.to_owned(), exists: true, is_closed: true, json: Map::new() });
        }
        Self::read(path)
    }

    /// Returns the text of `DOCKER_AUTH_CONFIG` as a file.
    pub fn inline(text: &Secret) -> Result<Self, RegistryError> {
        let path = PathBuf::from(INLINE);
        Ok(Self { json: parse(&path, text.expose())?, path, exists: true, is_closed: false })
    }

    /// Returns which file this is, for messages.
    pub fn place(&self) -> String {
        let why = match (self.exists, self.is_closed) {
            (false, _) => " (not there)",
            (true, true) => " (which may not be read)",
            (true, false) => "",
        };
        format!("`{}`{why}", self.path.display())
    }

    /// Returns the name of the helper that is set up for one of `fitting`, keys' meanings with the best one first.
    pub fn helper(&self, fitting: &[String]) -> Result<Option<&str>, RegistryError> {
        let of_host = self.object("credHelpers")?.and_then(|helpers| best(helpers, fitting));
        let (of, value) = match of_host {
            Some((_, key, value)) => (key, value),
            None => ("credsStore", self.json.get("credsStore").unwrap_or(&Value::Null)),
        };
        match value {
            Value::Null => Ok(None),
            Value::String(name) => Ok(Some(name.as_str()).filter(|name| !name.is_empty())),
            _ => Err(wrong(&self.path, format!("the helper `{of}` is not a text"))),
        }
    }

    /// Returns the best entry for `fitting` that holds a credential: its key, and the credential.
    pub fn credential(&self, fitting: &[String]) -> Result<Option<(&str, Credential)>, RegistryError> {
        let Some(entries) = self.entries()? else { return Ok(None) };
        for meaning in fitting {
            for (key, entry) in entries.iter().filter(|(key, _)| key::meaning(key) == *meaning) {
                let failed = |why: &str| wrong(&self.path, format!("entry `{key}`: {why}"));
                if let Some(credential) = credential(entry).map_err(failed)? {
                    return Ok(Some((key, credential)));
                }
            }
        }
        Ok(None)
    }

    /// Reports whether there is an entry for `host` itself, even one without a credential.
    pub fn mentions(&self, host: &str) -> Result<bool, RegistryError> {
        Ok(self.entries()?.is_some_and(|entries| best(entries, &key::fitting(host, "")).is_some()))
    }

    /// Puts a credential in the place of all entries for `host` itself.
    pub fn put(&mut self, host: &str, credential: &Credential) -> Result<(), RegistryError> {
        self.remove(host)?;
        let failed = |why: &str| wrong(&self.path, why);
        let entry = entry(credential).map_err(failed)?;
        let key = key::servers(host).first().map_or(host, |first| *first).to_owned();
        self.entries_mut().insert(key, entry);
        Ok(())
    }

    /// Takes the entries for `host` itself away; reports whether there were any.
    pub fn remove(&mut self, host: &str) -> Result<bool, RegistryError> {
        if !self.mentions(host)? {
            return Ok(false);
        }
        let meaning = key::meaning(host);
        self.entries_mut().retain(|key, _| key::meaning(key) != meaning);
        Ok(true)
    }

    /// Writes the file: beside its place, readable by nobody else, and then renamed.
    pub fn write(&self) -> Result<(), RegistryError> {
        let failed = |error: std::io::Error| {
            wrong(&self.path, format!("cannot be written: {}", crate::io_error::plain_text(&error)))
        };
        // A link to a file elsewhere stays a link.
        let path = if self.exists { self.path.canonicalize().map_err(failed)? } else { self.path.clone() };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        let text = format!("{:#}\n", Value::Object(self.json.clone()));
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn is_legacy(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == LEGACY)
    }

    fn entries(&self) -> Result<Option<&Map<String, Value>>, RegistryError> {
        if self.is_legacy() { Ok(Some(&self.json)) } else { self.object("auths") }
    }

    /// Returns the entries, which [`Self::mentions`] has found to be an object or nothing.
    fn entries_mut(&mut self) -> &mut Map<String, Value> {
        if self.is_legacy() {
            return &mut self.json;
        }
        let auths = self.json.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        auths.as_object_mut().expect("it was made an object")
    }

    fn object(&self, key: &str) -> Result<Option<&Map<String, Value>>, RegistryError> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong(&self.path, format!("`{key}` is not an object"))),
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Map<String, Value>, RegistryError> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    // What is parsed into a `Value` fails for its syntax only, and such errors quote nothing.
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(wrong(path, "it is not a JSON object")),
        Err(error) => Err(wrong(path, error.to_string())),
    }
}

/// Returns the first of `fitting` that a key of `map` means, with that key and its value.
fn best<'a>(map: &'a Map<String, Value>, fitting: &[String]) -> Option<(usize, &'a str, &'a Value)> {
    let ranked = map.iter().filter_map(|(key, value)| {
        let meaning = key::meaning(key);
        fitting.iter().position(|fitting| *fitting == meaning).map(|rank| (rank, key.as_str(), value))
    });
    ranked.min_by_key(|(rank, ..)| *rank)
}

/// Returns the credential of an entry, if it holds any; Docker writes empty ones beside a helper.
fn credential(entry: &Value) -> Result<Option<Credential>, &'static str> {
    let Value::Object(entry) = entry else { return Err("it is not an object") };
    let text = |key: &str| match entry.get(key) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err("a field of it is not a text"),
    };
    let (bearer, identity, auth) = (text("registrytoken")?, text("identitytoken")?, text("auth")?);
    if !bearer.is_empty() {
        return Ok(Some(Credential::Bearer(Secret::new(bearer))));
    }
    if !identity.is_empty() {
        return Ok(Some(Credential::Identity(Secret::new(identity))));
    }
    if !auth.is_empty() {
        return decoded(auth).map(Some);
    }
    let (user, password) = (text("username")?, text("password")?);
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    Ok(Some(Credential::Password { user: user.to_owned(), password: Secret::new(password) }))
}

fn decoded(auth: &str) -> Result<Credential, &'static str> {
    let bytes = base64::decode(auth.trim().as_bytes()).ok_or("its `auth` is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "its `auth` is not UTF-8 in base64")?;
    let (user, password) = text.split_once(':').ok_or("its `auth` is not `user:password` in base64")?;
    // Old versions of Docker filled up with zeros.
    Ok(Credential::Password { user: user.to_owned(), password: Secret::new(password.trim_end_matches('\0')) })
}

fn entry(credential: &Credential) -> Result<Value, &'static str> {
    match credential {
        Credential::Anonymous => Ok(json!({})),
        Credential::Password { user, .. } if user.contains(':') => Err("no user with a `:` in the name can be kept"),
        Credential::Password { user, password } => {
            Ok(json!({"auth": base64::encode(format!("{user}:{}", password.expose()).as_bytes())}))
        }
        Credential::Identity(token) => Ok(json!({"identitytoken": token.expose()})),
        Credential::Bearer(token) => Ok(json!({"registrytoken": token.expose()})),
    }
}
