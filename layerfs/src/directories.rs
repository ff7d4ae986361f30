//! [`LayerDirectories`]: layer directories by name, below `layers/<id map>/` of a store.

use crate::digest::hex;
use crate::io_error::{IoContext, IoError};
use crate::layer::LayerKey;
use crate::sealed;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Length of a directory's name: 500 of them must fit into the one page that mount(2) takes.
const NAME_LENGTH: usize = 6;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Layer directories of one id map.
///
/// ```text
/// layers/<map>/a1b2c3/           a layer in overlay form; names of at most 6 characters
/// layers/<map>/names/<layer key> a link that says `a1b2c3@<boot>`: making it is what publishes a layer
/// ```
///
/// Directories are not fsynced: a layer is made again faster than each of its files is waited for. So a link says
/// `a1b2c3@<boot>` with the id of the boot in which it was made, and counts as absent after a reboot: a power cut may have
/// lost what is in the directory.
#[derive(Debug, Clone)]
pub struct LayerDirectories {
    root: PathBuf,
    boot: String,
}

impl LayerDirectories {
    /// Opens, and makes if needed, the directories of id map `map` below `layers`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(layers: &Path, map: &str) -> Result<Self, IoError> {
        let boot = fs::read_to_string(BOOT_ID).at("read", BOOT_ID)?;
        Self::open_in_boot(layers, map, boot.trim())
    }

    fn open_in_boot(layers: &Path, map: &str, boot: &str) -> Result<Self, IoError> {
        let root = layers.join(map);
        let names = root.join("names");
        fs::create_dir_all(&names).at("create", &names)?;
        Ok(Self { root, boot: boot.to_owned() })
    }

    /// Returns the directory in which the names of [`Self::find`] are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the name of a layer's directory, if it is there. A link of an earlier boot, or to nothing, is dropped.
    ///
    /// # Errors
    /// The operating system's.
    pub fn find(&self, key: &LayerKey) -> Result<Option<String>, IoError> {
        let Some(link) = self.read_link(key)? else { return Ok(None) };
        match self.usable(&link) {
            Some(name) => Ok(Some(name)),
            None => {
                sealed::remove(&self.link(key))?;
                Ok(None)
            }
        }
    }

    /// Returns a new name that no directory has; nothing is made yet.
    pub fn fresh_name(&self) -> String {
        loop {
            let name = random_name();
            if fs::symlink_metadata(self.root.join(&name)).is_err() {
                return name;
            }
        }
    }

    /// Publishes the directory `name` as the layer `key`. If another process published one first, that one counts, its
    /// name is returned, and the caller deletes its own.
    ///
    /// # Errors
    /// The operating system's.
    pub fn publish(&self, name: &str, key: &LayerKey) -> Result<String, IoError> {
        let link = self.link(key);
        loop {
            match symlink(format!("{name}@{}", self.boot), &link).at("create", &link) {
                Ok(()) => return Ok(name.to_owned()),
                Err(error) if error.errno == Some(libc::EEXIST) => {}
                Err(error) => return Err(error),
            }
            if let Some(first) = self.find(key)? {
                return Ok(first);
            }
        }
    }

    /// Takes back a layer: its name is gone at once; returns the directory, for the caller to delete.
    ///
    /// # Errors
    /// The operating system's.
    pub fn withdraw(&self, key: &LayerKey) -> Result<Option<PathBuf>, IoError> {
        let Some(link) = self.read_link(key)? else { return Ok(None) };
        // Who removes the link has the directory; another process may have been faster.
        if !sealed::remove(&self.link(key))? {
            return Ok(None);
        }
        Ok(directory_of(&link).map(|(name, _)| self.root.join(name)))
    }

    /// Returns every published layer with its directory's name.
    ///
    /// # Errors
    /// The operating system's.
    pub fn list(&self) -> Result<Vec<(LayerKey, String)>, IoError> {
        let mut layers = Vec::new();
        for key in sealed::names(&self.root.join("names"))?.iter().filter_map(|name| LayerKey::parse(name)) {
            layers.extend(self.find(&key)?.map(|name| (key, name)));
        }
        Ok(layers)
    }

    /// Returns the layers whose link leads to no directory.
    ///
    /// # Errors
    /// The operating system's.
    pub fn dangling(&self) -> Result<Vec<LayerKey>, IoError> {
        let mut dangling = Vec::new();
        for key in sealed::names(&self.root.join("names"))?.iter().filter_map(|name| LayerKey::parse(name)) {
            let link = self.read_link(&key)?;
            let leads = |link: &String| directory_of(link).is_some_and(|(name, _)| self.root.join(name).is_dir());
            if link.is_some_and(|link| !leads(&link)) {
                dangling.push(key);
            }
        }
        Ok(dangling)
    }

    /// Returns the directories that no layer has: being made by a running build, or left by one that was killed.
    ///
    /// # Errors
    /// The operating system's.
    pub fn unpublished(&self) -> Result<Vec<PathBuf>, IoError> {
        // Directories first: one that is published meanwhile is then found in the second list.
        let directories = sealed::names(&self.root)?;
        let published: BTreeSet<String> = self.list()?.into_iter().map(|(_, name)| name).collect();
        let unpublished = directories.into_iter().filter(|name| name != "names" && !published.contains(name));
        Ok(unpublished.map(|name| self.root.join(name)).collect())
    }

    fn link(&self, key: &LayerKey) -> PathBuf {
        self.root.join("names").join(key.to_string())
    }

    fn read_link(&self, key: &LayerKey) -> Result<Option<String>, IoError> {
        match fs::read_link(self.link(key)).at("read", self.link(key)) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the directory that a link leads to, if it may be used.
    fn usable(&self, link: &str) -> Option<String> {
        let (name, boot) = directory_of(link)?;
        (boot == self.boot && self.root.join(name).is_dir()).then(|| name.to_owned())
    }
}

/// Splits a link's text into the directory's name and the boot; nothing if it is no such text.
fn directory_of(link: &str) -> Option<(&str, &str)> {
    let (name, boot) = link.split_once('@')?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    ((1..=NAME_LENGTH).contains(&name.len()) && name.bytes().all(plain)).then_some((name, boot))
}

/// Returns six random characters. "names" has five, so it is never one.
fn random_name() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bytes = crate::digest::Digest::of(format!("{}{}", sealed::temporary_name(), hex(&stack_seed())));
    bytes.as_bytes().iter().take(NAME_LENGTH).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// Returns bytes that differ from process to process, also across pid namespaces.
fn stack_seed() -> [u8; 8] {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish().to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::ExecutionId;

    fn key(number: u8) -> LayerKey {
        LayerKey::Execution(ExecutionId([number; 16]))
    }

    fn made(directories: &LayerDirectories) -> String {
        let name = directories.fresh_name();
        fs::create_dir(directories.root().join(&name)).expect("a directory");
        name
    }

    #[test]
    fn a_layer_is_there_from_publish_to_withdraw() {
        let layers = tempfile::tempdir().expect("a directory");
        let directories = LayerDirectories::open(layers.path(), "map").expect("opened");
        let (first, second) = (made(&directories), made(&directories));
        assert!(first.len() <= NAME_LENGTH && first != second);
        assert_eq!(directories.find(&key(1)), Ok(None));
        assert_eq!(directories.publish(&first, &key(1)), Ok(first.clone()));
        assert_eq!(directories.publish(&second, &key(1)), Ok(first.clone()), "the first counts");
        assert_eq!(directories.list(), Ok(vec![(key(1), first.clone())]));
        assert_eq!(directories.unpublished(), Ok(vec![directories.root().join(&second)]));
        assert_eq!(directories.withdraw(&key(1)), Ok(Some(directories.root().join(&first))));
        assert_eq!((directories.find(&key(1)), directories.withdraw(&key(1))), (Ok(None), Ok(None)));
    }

    #[test]
    fn a_link_to_nothing_or_out_of_the_store_is_absent() {
        let layers = tempfile::tempdir().expect("a directory");
        let directories = LayerDirectories::open(layers.path(), "map").expect("opened");
        for target in ["gone12", "gone12@boot", "../..", "/etc", ".", "", "toolong1", "names/x", "a@b@c"] {
            // An empty link cannot be made; the system refuses it.
            if symlink(target, directories.link(&key(1))).is_err() {
                continue;
            }
            assert_eq!(directories.dangling(), Ok(vec![key(1)]), "{target}");
            assert_eq!(directories.find(&key(1)), Ok(None), "{target}");
            let name = made(&directories);
            assert_eq!(directories.publish(&name, &key(1)), Ok(name), "{target}");
            directories.withdraw(&key(1)).expect("withdrawn");
        }
    }

    #[test]
    fn a_directory_of_an_earlier_boot_is_absent() {
        let layers = tempfile::tempdir().expect("a directory");
        let before = LayerDirectories::open_in_boot(layers.path(), "map", "one").expect("opened");
        let after = LayerDirectories::open_in_boot(layers.path(), "map", "two").expect("opened");
        let (lost, unnamed, kept) = (made(&before), made(&before), made(&after));
        before.publish(&lost, &key(1)).expect("published");
        symlink(&unnamed, before.link(&key(2))).expect("a link that says no boot");
        after.publish(&kept, &key(3)).expect("published");
        assert_eq!(after.find(&key(1)), Ok(None));
        assert_eq!(after.find(&key(2)), Ok(None));
        assert_eq!(after.find(&key(3)), Ok(Some(kept)));
        let mut left = vec![after.root().join(lost), after.root().join(unnamed)];
        left.sort();
        assert_eq!(after.unpublished(), Ok(left), "left for gc");
    }

    #[test]
    fn one_of_many_publishers_wins() {
        let layers = tempfile::tempdir().expect("a directory");
        let directories = LayerDirectories::open(layers.path(), "map").expect("opened");
        let winners: BTreeSet<String> = std::thread::scope(|scope| {
            let publish = || directories.publish(&made(&directories), &key(1)).expect("published");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(publish)).collect();
            threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(directories.unpublished().expect("listed").len(), 7);
    }
}
