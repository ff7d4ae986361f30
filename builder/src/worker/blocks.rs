//! [`blocks_of`]: the room that trees take on disk.

use rayon::prelude::*;
use std::collections::HashSet;
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Returns the bytes that everything at and below `paths` takes on disk, looked at by all cores. A file with several
/// names takes its room once, what goes away meanwhile takes none. `check` is asked before each level of directories.
///
/// # Errors
/// What `check` says.
pub(super) fn blocks_of<E>(paths: Vec<PathBuf>, check: impl Fn() -> Result<(), E>) -> Result<u64, E> {
    let seen = Mutex::default();
    let tops = paths.into_iter().filter_map(|path| Some((path.symlink_metadata().ok()?, path)));
    let (mut bytes, mut level) = (0, Vec::new());
    for (found, path) in tops {
        bytes += blocks(&found, &seen);
        level.extend(found.is_dir().then_some(path));
    }
    // One level after the other, so that no tree is too deep.
    while !level.is_empty() {
        check()?;
        let looked: Vec<(u64, Vec<PathBuf>)> = level.par_iter().map(|directory| look(directory, &seen)).collect();
        bytes += looked.iter().map(|(bytes, _)| bytes).sum::<u64>();
        level = looked.into_iter().flat_map(|(_, below)| below).collect();
    }
    Ok(bytes)
}

/// Returns the bytes that the entries of a directory take, and the directories among them.
fn look(directory: &PathBuf, seen: &Mutex<HashSet<(u64, u64)>>) -> (u64, Vec<PathBuf>) {
    let (mut bytes, mut below) = (0, Vec::new());
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    for (found, entry) in entries.filter_map(|entry: DirEntry| Some((entry.metadata().ok()?, entry))) {
        bytes += blocks(&found, seen);
        below.extend(found.is_dir().then(|| entry.path()));
    }
    (bytes, below)
}

/// Returns the bytes that a file takes, unless it was seen under another name.
fn blocks(found: &Metadata, seen: &Mutex<HashSet<(u64, u64)>>) -> u64 {
    let is_new = || seen.lock().unwrap_or_else(PoisonError::into_inner).insert((found.dev(), found.ino()));
    if found.is_dir() || found.nlink() < 2 || is_new() { found.blocks() * 512 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_block_counts_once() {
        let top = tempfile::tempdir().expect("a directory");
        let at = |name: &str| top.path().join(name);
        fs::create_dir_all(at("a/b/c")).expect("directories");
        for name in ["a/one", "a/b/two", "a/b/c/three", "alone"] {
            fs::write(at(name), vec![1; 100_000]).expect("written");
        }
        fs::hard_link(at("a/one"), at("a/b/again")).expect("a link");
        std::os::unix::fs::symlink("/", at("a/root")).expect("a link");
        let size = |name: &str| fs::symlink_metadata(at(name)).expect("there").blocks() * 512;
        let below = ["a", "a/b", "a/b/c", "a/one", "a/b/two", "a/b/c/three", "a/root"].map(size).iter().sum::<u64>();
        let of = |names: &[&str]| blocks_of(names.iter().map(|name| at(name)).collect(), || Ok::<_, ()>(()));
        assert_eq!(of(&["a"]), Ok(below));
        assert_eq!(of(&["a", "alone", "gone"]), Ok(below + size("alone")));
        assert_eq!(of(&["a/one", "a/b/again"]), Ok(size("a/one")));
        assert_eq!(blocks_of(vec![at("a")], || Err("cancelled")), Err("cancelled"));
    }
}
