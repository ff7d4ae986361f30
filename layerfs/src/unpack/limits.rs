//! [`UnpackLimits`]: how large a layer may be before it counts as a bomb.

/// How large a layer may be before it counts as a bomb. The disk's own limit comes on top: the last hundredth of a file
/// system is not for layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all regular files together, and of the tar itself.
    pub bytes: u64,
    /// Bytes of a path.
    pub path: usize,
    /// Bytes of one component of a path.
    pub component: usize,
}

impl Default for UnpackLimits {
    /// Returns limits that no image in use comes near: ten million entries, 1 TiB; PATH_MAX, NAME_MAX.
    fn default() -> Self {
        Self { entries: 10_000_000, bytes: 1 << 40, path: 4096, component: 255 }
    }
}
