//! Whether a file still has the bytes that it was hashed with when it was written.
//!
//! The nanoseconds of a sealed file's time of modification are the first digits of its digest: who writes to it later
//! sets another time. So a file is hashed once, not by every output that copies it. Bytes that a disk changed by itself
//! are not seen (`fsck` finds them), and what a power cut may have torn counts as changed.

use crate::descriptor::Descriptor;
use crate::digest::Digest;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// Mode of a blob that is known to be on disk.
pub(super) const SYNCED: u32 = 0o444;

/// Seals a file whose bytes were hashed while they were written. A file system that sets no times is no reason to fail:
/// what is not sealed is hashed again.
pub(crate) fn seal(file: &File, digest: &Digest) {
    set_time(file, digest).ok();
}

fn set_time(file: &File, digest: &Digest) -> io::Result<()> {
    let written = file.metadata()?.modified()?;
    let seconds = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds(digest)))
}

/// Reports whether `file` is sealed as `blob`, and whole. On a file system that rounds times nothing is.
pub(crate) fn is_unchanged(file: &File, blob: &Descriptor) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let sealed = metadata.len() == blob.size && metadata.mtime_nsec() == i64::from(nanoseconds(&blob.digest));
    Ok(sealed && is_on_disk(&metadata)?)
}

/// Reports whether no power cut can have torn the file since it was written.
fn is_on_disk(metadata: &Metadata) -> io::Result<bool> {
    Ok(metadata.mode() & 0o777 == SYNCED || is_of_this_boot(metadata.modified()?))
}

/// Reports whether `time` is after the machine was started, and that is known.
pub(super) fn is_of_this_boot(time: SystemTime) -> bool {
    boot_time().is_some_and(|boot| time > boot)
}

/// Returns when the machine was started, with a minute added for clocks that were set since. The kernel counts all
/// interrupts for whoever asks, so it is asked once.
fn boot_time() -> Option<SystemTime> {
    static TIME: OnceLock<Option<SystemTime>> = OnceLock::new();
    *TIME.get_or_init(stated_boot_time)
}

fn stated_boot_time() -> Option<SystemTime> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?.checked_add(Duration::from_secs(60))
}

fn nanoseconds(digest: &Digest) -> u32 {
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_be_bytes([a, b, c, d]) % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};
    use std::os::unix::fs::PermissionsExt;

    /// Writes a file and seals it; on tmpfs or a disk, times have nanoseconds.
    fn sealed(bytes: &[u8]) -> (File, Descriptor) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        let blob = Descriptor::of("x", bytes);
        seal(&file, &blob.digest);
        (file, blob)
    }

    #[test]
    fn a_sealed_file_is_unchanged_until_someone_writes_to_it() {
        let (mut file, blob) = sealed(b"layer");
        assert!(is_unchanged(&file, &blob).expect("stat"));
        let longer = Descriptor { size: 6, ..blob.clone() };
        assert!(!is_unchanged(&file, &longer).expect("stat"), "another size");
        assert!(!is_unchanged(&file, &Descriptor::of("x", b"Layer")).expect("stat"), "another digest");
        file.rewind().expect("at the start");
        file.write_all(b"l").expect("written");
        assert!(!is_unchanged(&file, &blob).expect("stat"), "the same bytes, but written again");
    }

    #[test]
    fn of_an_earlier_boot_only_what_is_known_to_be_on_disk_counts() {
        let (file, blob) = sealed(b"layer");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(1000, nanoseconds(&blob.digest)))
            .expect("an old time");
        assert!(!is_unchanged(&file, &blob).expect("stat"));
        file.set_permissions(fs::Permissions::from_mode(SYNCED)).expect("chmod");
        assert!(is_unchanged(&file, &blob).expect("stat"));
    }
}
