//! [`Compression`]: plain, gzip and zstd, in and out.

mod compressor;
mod cuts;
mod decode;
mod earlier;
mod encode;
mod foreign;
mod line;

pub use decode::decompress;
pub use earlier::{Earlier, Members};
pub use encode::{CompressError, CompressOptions, Compressed, Known, compress_layer};
pub use foreign::{decompress_any, is_compressed};

use crate::descriptor::media_type;

/// How a blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, one or more members.
    Gzip,
    /// zstd, one or more frames.
    Zstd,
}

/// How many of a stream's first bytes [`Compression::sniff`] wants to see.
pub const SNIFF_LENGTH: usize = 4;

impl Compression {
    /// Returns the form of a stream that begins with `first`; unknown forms count as plain.
    pub fn sniff(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            // A frame, or a skippable frame before one (RFC 8878, section 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// Returns the form that the media type of a layer states, OCI's, Docker's or one of a layer that is not to be
    /// distributed; nothing for what is no layer.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        const OCI: &str = "application/vnd.oci.image.layer.";
        const DOCKER: &str = "application/vnd.docker.image.rootfs.";
        let kind = if let Some(rest) = media_type.strip_prefix(OCI) {
            rest.strip_prefix("nondistributable.").unwrap_or(rest).strip_prefix("v1.tar")?
        } else {
            let rest = media_type.strip_prefix(DOCKER)?;
            rest.strip_prefix("foreign.").unwrap_or(rest).strip_prefix("diff.tar")?
        };
        match kind {
            "" => Some(Self::Plain),
            "+gzip" | ".gzip" => Some(Self::Gzip),
            "+zstd" | ".zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns the media type of such a layer in an OCI manifest.
    pub fn oci_media_type(self) -> &'static str {
        match self {
            Self::Plain => media_type::OCI_LAYER,
            Self::Gzip => media_type::OCI_LAYER_GZIP,
            Self::Zstd => media_type::OCI_LAYER_ZSTD,
        }
    }

    /// Returns the media type of such a layer in a Docker manifest.
    pub fn docker_media_type(self) -> &'static str {
        match self {
            Self::Plain => media_type::DOCKER_LAYER,
            Self::Gzip => media_type::DOCKER_LAYER_GZIP,
            Self::Zstd => media_type::DOCKER_LAYER_ZSTD,
        }
    }
}

#[cfg(test)]
mod tests;
