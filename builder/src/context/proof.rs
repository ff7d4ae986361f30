//! [`Proof`]: what the times of a file say on its file system, and the [`Stamp`] that is made of them.
//!
//! A file has a stamp only if both of its times are older by two seconds than the moment before anything was looked at:
//! what was written within the clock's grain could change again unseen. So a file that has the stamp which it had then has
//! not changed since then; times in the future, and a clock that is set back, leave files without.

use super::local::time;
use super::tree::Stamp;
use layerfs::digest::Digest;
use layerfs::meta::Timestamp;
use rustix::fs::Stat;

/// ext2 to ext4, xfs, btrfs: their mtime and ctime are proven to change with content, their ctime with xattrs.
const PROVEN: [i64; 3] = [0xEF53, 0x5846_5342, 0x9123_683E];
const TMPFS: i64 = 0x0102_1994;
/// The first Linux whose tmpfs changes ctime with xattrs.
const TMPFS_XATTRS: (u32, u32) = (6, 1);

/// Files must be this old, in seconds, to have a stamp.
const SETTLED: i64 = 2;

/// What unchanged times of a file prove. Overlay proves nothing (copying up changes identities), nor does anything that
/// is reached over a network or through FUSE. Writes through a shared mapping may show late everywhere; make, git and
/// rsync trust times as far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing.
    Nothing,
    /// That its bytes are the same.
    Bytes,
    /// That its bytes and its xattrs are the same.
    BytesAndXattrs,
}

/// Returns what a file system proves, by its magic number (statfs(2)).
pub(super) fn proof_of(file_system: i64) -> Proof {
    match file_system {
        TMPFS if release(rustix::system::uname().release().to_bytes()) >= TMPFS_XATTRS => Proof::BytesAndXattrs,
        TMPFS => Proof::Bytes,
        proven if PROVEN.contains(&proven) => Proof::BytesAndXattrs,
        _ => Proof::Nothing,
    }
}

/// Returns the first two numbers of a kernel's release; zeros for those that it does not begin with.
fn release(text: &[u8]) -> (u32, u32) {
    let mut numbers = text.split(|byte| !byte.is_ascii_digit()).map(|digits| {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        digits.parse::<u32>().unwrap_or(0)
    });
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Returns the stamp of a file that was looked at after `began`; nothing if it changed shortly before. What is hashed fits one block of SHA-256, of which each file of a
/// context costs one: devices have 12 and 20 bits in Linux, modes 16.
pub(super) fn stamp_of(stat: &Stat, began: Timestamp) -> Option<Stamp> {
    let (mtime, ctime) = (time(stat.st_mtime, stat.st_mtime_nsec), time(stat.st_ctime, stat.st_ctime_nsec));
    if mtime.max(ctime) >= (Timestamp { seconds: began.seconds.saturating_sub(SETTLED), ..began }) {
        return None;
    }
    let device = rustix::fs::major(stat.st_dev) << 20 | rustix::fs::minor(stat.st_dev);
    let mut bytes = [0; 54];
    let mut rest = bytes.as_mut_slice();
    for field in [
        &stat.st_ino.to_le_bytes()[..],
        &stat.st_size.to_le_bytes(),
        &mtime.seconds.to_le_bytes(),
        &ctime.seconds.to_le_bytes(),
        &mtime.nanoseconds.to_le_bytes(),
        &ctime.nanoseconds.to_le_bytes(),
        &device.to_le_bytes(),
        &stat.st_uid.to_le_bytes(),
        &stat.st_gid.to_le_bytes(),
        &stat.st_mode.to_le_bytes()[..2],
    ] {
        let (place, after) = rest.split_at_mut(field.len());
        place.copy_from_slice(field);
        rest = after;
    }
    let mut identity = [0; 16];
    identity.copy_from_slice(&Digest::of(bytes).as_bytes()[..16]);
    Some(Stamp(identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn row_5_9_only_proven_file_systems_count() {
        let (nfs, overlay, fuse) = (0x6969, 0x794C_7630, 0x6573_5546);
        assert_eq!([nfs, overlay, fuse].map(proof_of), [Proof::Nothing; 3]);
        assert_eq!(PROVEN.map(proof_of), [Proof::BytesAndXattrs; 3]);
        assert_ne!(proof_of(TMPFS), Proof::Nothing);
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        let texts: [&[u8]; 6] = [b"5.15.0-91-generic", b"6.0.19", b"6.1-rc1", b"6.18.44", b"10.2", b"rubbish"];
        assert_eq!(texts.map(|text| release(text) >= TMPFS_XATTRS), [false, false, true, true, true, false]);
    }

    #[test]
    fn row_5_9_every_field_of_the_identity_counts() {
        let directory = tempfile::tempdir().unwrap();
        let base = rustix::fs::stat(directory.path()).unwrap();
        let changes: [fn(&mut Stat); 11] = [
            |_| {},
            |stat| stat.st_dev += 1 << 8,
            |stat| stat.st_ino += 1,
            |stat| stat.st_size += 1,
            |stat| stat.st_mtime += 1,
            |stat| stat.st_mtime_nsec ^= 1,
            |stat| stat.st_ctime += 1,
            |stat| stat.st_ctime_nsec ^= 1,
            |stat| stat.st_mode ^= 1,
            |stat| stat.st_uid += 1,
            |stat| stat.st_gid += 1,
        ];
        let identities: HashSet<[u8; 16]> = (changes.iter())
            .map(|change| {
                let mut stat = base;
                change(&mut stat);
                stamp_of(&stat, Timestamp::from_seconds(i64::MAX)).unwrap().0
            })
            .collect();
        assert_eq!(identities.len(), changes.len());
    }

    #[test]
    fn row_5_9_only_settled_files_have_a_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let base = rustix::fs::stat(directory.path()).unwrap();
        let has_one = |mtime: i64, ctime: i64| {
            let mut stat = base;
            (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec) = (mtime, 0, ctime, 0);
            stamp_of(&stat, Timestamp { seconds: 100, nanoseconds: 5 }).is_some()
        };
        let times = [(97, 97), (98, 98), (99, 97), (97, 99), (101, 97), (97, 101), (i64::MAX, 97), (i64::MIN, 97)];
        let wanted = [true, true, false, false, false, false, false, true];
        assert_eq!(times.map(|(mtime, ctime)| has_one(mtime, ctime)), wanted);
    }
}
