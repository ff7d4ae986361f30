//! Self-verifying files: small files that are cache, not fsynced, and read as absent unless whole.
//!
//! ```text
//! sha256:<64 digits>\n     digest over the name, a zero byte, and the rest of the file
//! <the rest: the content>
//! ```
//! The name is part of the digest, so that a file that was put in another's place is absent too.

use crate::digest::{Digest, Hasher};
use crate::io_error::{IoContext, IoError};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const HEADER: usize = "sha256:".len() + 64 + 1;
/// No sealed file is longer than this, in bytes: indexes of huge layers are the largest.
const LONGEST: u64 = 2 << 30;
/// So many bytes are gathered before they are written.
const WRITTEN_AT_ONCE: usize = 64 << 10;

/// Returns the bytes of a self-verifying file called `name` with `content`.
pub fn seal(name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend_from_slice(header(name, content).as_bytes());
    bytes.extend_from_slice(content);
    bytes
}

fn header(name: &str, content: &[u8]) -> String {
    format!("{}\n", digest(name, content))
}

/// Returns the content of a self-verifying file called `name`, or nothing if it is damaged or another's.
pub fn unseal<'a>(name: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (header, content) = bytes.split_at_checked(HEADER)?;
    (stated(header)? == digest(name, content)).then_some(content)
}

/// Returns the digest that a header states.
fn stated(header: &[u8]) -> Option<Digest> {
    std::str::from_utf8(header.strip_suffix(b"\n")?).ok()?.parse().ok()
}

fn digest(name: &str, content: &[u8]) -> Digest {
    let mut hasher = hasher_of(name);
    hasher.update(content);
    hasher.finish()
}

/// Returns what hashes the content of a file called `name`.
fn hasher_of(name: &str) -> Hasher {
    let mut hasher = Hasher::default();
    hasher.update(name.as_bytes());
    hasher.update(&[0]);
    hasher
}

/// Reads the self-verifying file `path`, whose name is its file name; nothing if it is missing or damaged.
///
/// # Errors
/// The operating system's, except that the file is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, IoError> {
    let mut file = match File::open(path).at("open", path) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let size = file.metadata().at("read", path)?.len().min(LONGEST);
    let mut header = Vec::with_capacity(HEADER);
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_sub(HEADER) + 1);
    Read::by_ref(&mut file).take(HEADER as u64).read_to_end(&mut header).at("read", path)?;
    file.take(LONGEST).read_to_end(&mut content).at("read", path)?;
    Ok((stated(&header) == Some(digest(&name_of(path), &content))).then_some(content))
}

/// Writes the self-verifying file `path` by way of the directory `temporary`: it is there whole or not at all, except
/// after a power cut, when it may be damaged, which [`read`] notices. Missing directories above it are made.
///
/// # Errors
/// The operating system's.
pub fn write(path: &Path, temporary: &Path, content: &[u8]) -> Result<(), IoError> {
    let header = header(&name_of(path), content);
    replace_parts(path, temporary, &[header.as_bytes(), content], Durability::Cache)
}

/// A self-verifying file in the making, for content that is too much to be held: it takes its place when it is whole.
#[derive(Debug)]
pub struct SealedWriter {
    file: BufWriter<File>,
    /// Where it is written; gone once it took its place.
    written: Option<PathBuf>,
    path: PathBuf,
    hasher: Hasher,
}

impl SealedWriter {
    /// Begins the self-verifying file `path` in the directory `temporary`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn begin(path: &Path, temporary: &Path) -> Result<Self, IoError> {
        let written = temporary.join(temporary_name());
        let file = File::options().read(true).write(true).create_new(true).open(&written).at("create", &written)?;
        let mut file = BufWriter::with_capacity(WRITTEN_AT_ONCE, file);
        // The header stands before what it is made of.
        file.write_all(&[b' '; HEADER]).at("write", &written)?;
        Ok(Self { file, written: Some(written), path: path.to_owned(), hasher: hasher_of(&name_of(path)) })
    }

    /// Puts the file in its place: it is there whole or not at all, as after [`write()`].
    ///
    /// # Errors
    /// The operating system's.
    pub fn finish(mut self) -> Result<(), IoError> {
        let header = format!("{}\n", std::mem::take(&mut self.hasher).finish());
        self.file.flush().at("write", &self.path)?;
        self.file.get_ref().write_all_at(header.as_bytes(), 0).at("write", &self.path)?;
        if let Some(written) = &self.written {
            rename(written, &self.path)?;
        }
        self.written = None;
        Ok(())
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for SealedWriter {
    fn drop(&mut self) {
        if let Some(written) = &self.written {
            // What led here matters more; gc deletes what is left.
            fs::remove_file(written).ok();
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a file must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It may be lost.
    Cache,
    /// File and name are fsynced.
    Durable,
}

/// Replaces the file `path` by `bytes` at once, by way of the directory `temporary` on the same file system.
///
/// # Errors
/// The operating system's.
pub fn replace(path: &Path, temporary: &Path, bytes: &[u8], durability: Durability) -> Result<(), IoError> {
    replace_parts(path, temporary, &[bytes], durability)
}

fn replace_parts(path: &Path, temporary: &Path, parts: &[&[u8]], durability: Durability) -> Result<(), IoError> {
    let written = temporary.join(temporary_name());
    let result = write_new(&written, parts, durability).and_then(|()| rename(&written, path));
    if result.is_err() {
        // The error that led here matters more; gc deletes what is left.
        fs::remove_file(&written).ok();
    }
    result?;
    match (durability, path.parent()) {
        (Durability::Durable, Some(parent)) => sync_directory(parent),
        _ => Ok(()),
    }
}

/// Returns a name for a temporary file that no other process or thread has.
pub fn temporary_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let time = std::time::UNIX_EPOCH.elapsed().map(|elapsed| elapsed.as_nanos()).unwrap_or_default();
    format!("{}-{time:x}-{number}", std::process::id())
}

fn write_new(path: &Path, parts: &[&[u8]], durability: Durability) -> Result<(), IoError> {
    let mut file = File::create_new(path).at("create", path)?;
    for part in parts {
        file.write_all(part).at("write", path)?;
    }
    if durability == Durability::Durable {
        file.sync_all().at("fsync", path)?;
    }
    Ok(())
}

/// Renames, making the directory of `to` if it is missing.
fn rename(from: &Path, to: &Path) -> Result<(), IoError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).at("create", parent)?;
            }
            fs::rename(from, to).at("rename", to)
        }
        result => result.at("rename", to),
    }
}

/// Writes a directory's names to disk.
///
/// # Errors
/// The operating system's.
pub fn sync_directory(path: &Path) -> Result<(), IoError> {
    File::open(path).at("open", path)?.sync_all().at("fsync", path)
}

/// Removes a file that may be gone already; reports whether it was there.
///
/// # Errors
/// The operating system's, except that the file is not there.
pub fn remove(path: &Path) -> Result<bool, IoError> {
    match fs::remove_file(path).at("remove", path) {
        Err(error) if error.is_not_found() => Ok(false),
        result => result.map(|()| true),
    }
}

/// Returns the names in a directory, sorted; none if it is not there. Names that are not UTF-8 are left out: lbuild
/// makes none.
///
/// # Errors
/// The operating system's, except that the directory is not there.
pub fn names(path: &Path) -> Result<Vec<String>, IoError> {
    let entries = match fs::read_dir(path).at("read", path) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.at("read", path)?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_or_altered_file_is_absent() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sub/name");
        write(&path, directory.path(), b"content").expect("written");
        assert_eq!(read(&path), Ok(Some(b"content".to_vec())));
        let whole = fs::read(&path).expect("read");
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).expect("written");
            assert_eq!(read(&path), Ok(None), "{length} bytes");
            let mut altered = whole.clone();
            altered[length] ^= 1;
            fs::write(&path, &altered).expect("written");
            assert_eq!(read(&path), Ok(None), "byte {length} altered");
        }
        fs::write(directory.path().join("other"), &whole).expect("written");
        assert_eq!(read(&directory.path().join("other")), Ok(None), "a file under another name");
        assert_eq!(read(&directory.path().join("missing")), Ok(None));
        assert_eq!(names(directory.path()), Ok(vec!["other".to_owned(), "sub".to_owned()]), "nothing temporary stays");
    }
}
