//! [`Room`]: how much room a store may take.

use layerfs::io_error::{IoContext, IoError};
use std::path::Path;

/// How much room a store may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes that it has at most.
    pub most: Option<u64>,
    /// Bytes that are to be free on its file system.
    pub free: Option<u64>,
    /// Bytes that it may have in any case.
    pub keep: Option<u64>,
}

impl Room {
    /// Reports whether it may not take all that it likes.
    pub fn is_bounded(&self) -> bool {
        *self != Self::default()
    }

    /// Returns how many bytes a store of `total` bytes may keep where `free` are free.
    pub(crate) fn limit(&self, total: u64, free: u64) -> u64 {
        let lack = self.free.map(|wanted| wanted.saturating_sub(free)).filter(|lack| *lack > 0);
        let enough = lack.map(|lack| total.saturating_sub(lack));
        let most = match (self.most, enough) {
            (None, None) if self.free.is_some() => u64::MAX,
            (most, enough) => most.into_iter().chain(enough).min().unwrap_or(0),
        };
        most.max(self.keep.unwrap_or(0))
    }
}

/// Returns how many bytes an ordinary user may still write to the file system of `root`.
pub(crate) fn free(root: &Path) -> Result<u64, IoError> {
    let found = rustix::fs::statvfs(root).at("stat the file system of", root)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of the three is that of BuildKit's garbage collection policies: what is kept in any case goes before.
    #[test]
    fn the_limit_follows_from_what_is_there() {
        let room = |most: Option<u64>, free: Option<u64>, keep: Option<u64>| Room { most, free, keep };
        for (room, wanted) in [
            (room(Some(40), None, None), 40),
            (room(None, None, Some(30)), 30),
            (room(Some(40), None, Some(50)), 50),
            // 100 are taken and 20 are free: 30 more are wanted, or none.
            (room(None, Some(50), None), 70),
            (room(None, Some(20), None), u64::MAX),
            (room(Some(60), Some(50), None), 60),
            (room(Some(90), Some(50), None), 70),
            (room(Some(90), Some(10), None), 90),
            (room(None, Some(50), Some(80)), 80),
            (room(None, Some(500), None), 0),
        ] {
            assert_eq!(room.limit(100, 20), wanted, "{room:?}");
        }
    }
}
