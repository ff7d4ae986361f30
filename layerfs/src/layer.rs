//! Names of layers: how the store, the stack and the worker say which layer they mean.
//!
//! A layer that was built here has a name before its bytes are hashed (its execution); a layer that came with an image
//! is known by its diff ID, or, if it leans on what lies below it, by its chain ID.

use crate::descriptor::Descriptor;
use crate::digest::{ChainId, DiffId, Digest, hex};
use crate::image::Image;
use crate::meta::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The random name of one execution of one step: 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionId(pub [u8; 16]);

impl ExecutionId {
    /// Returns the execution ID whose hexadecimal digits are `digits`.
    fn parse(digits: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        if digits.len() != 32 {
            return None;
        }
        for (byte, at) in bytes.iter_mut().zip((0..32).step_by(2)) {
            *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl Serialize for ExecutionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExecutionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&digits).ok_or_else(|| de::Error::custom("an execution ID has 32 hexadecimal digits"))
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExecutionId({self})")
    }
}

/// The name under which a layer's directory and index are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
pub enum LayerKey {
    /// A self-contained layer of an image, shared by every stack that has it.
    Diff(DiffId),
    /// A layer of an image that leans on what lies below it.
    Chain(ChainId),
    /// A layer made by a step here.
    Execution(ExecutionId),
}

impl fmt::Display for LayerKey {
    /// Prints the file name: `d-`, `c-` or `x-` and hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerKey::Diff(DiffId(digest)) => write!(f, "d-{}", digest.hex()),
            LayerKey::Chain(ChainId(digest)) => write!(f, "c-{}", digest.hex()),
            LayerKey::Execution(id) => write!(f, "x-{id}"),
        }
    }
}

impl LayerKey {
    /// Returns the key whose printed form is `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let (tag, digits) = text.split_once('-')?;
        match tag {
            "d" => Some(Self::Diff(DiffId(Digest::from_hex(digits).ok()?))),
            "c" => Some(Self::Chain(ChainId(Digest::from_hex(digits).ok()?))),
            "x" => ExecutionId::parse(digits).map(Self::Execution),
            _ => None,
        }
    }
}

/// One layer of a stack, as records and plans name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "a stack has few layers, and a box would be in every use")]
pub enum Layer {
    /// A layer of a base image: its diff ID, and the blob that the image's manifest states for it.
    Base {
        /// Digest of the uncompressed tar.
        diff_id: DiffId,
        /// The blob as the image has it, mostly compressed.
        blob: Descriptor,
    },
    /// A layer made by a step here. Its diff ID is found out when an output holds it.
    Built {
        /// The step's execution.
        execution: ExecutionId,
        /// When it ran: the time of its history line.
        created: Timestamp,
    },
}

impl Layer {
    /// Returns the layers of an image, the lowest first.
    pub fn of_image(image: &Image) -> Vec<Self> {
        let pairs = image.config.rootfs.diff_ids.iter().zip(&image.manifest.layers);
        pairs.map(|(diff_id, blob)| Self::Base { diff_id: *diff_id, blob: blob.clone() }).collect()
    }
}
