//! `lbuild inspect`.

use super::{Scene, json, print};
use crate::args::InspectArgs;
use crate::engine::{self, StoredImage};
use crate::exit::Exit;
use crate::report::Failure;
use layerfs::reference::ImageRef;
use serde_json::{Value, json};

/// Prints images as a JSON array, with Docker's keys.
pub fn run(args: &InspectArgs, scene: &Scene) -> Result<Exit, Failure> {
    let images: Vec<StoredImage> =
        args.images.iter().map(|name| engine::find(&scene.root, name)).collect::<Result<_, _>>()?;
    print(&json(&Value::Array(images.iter().map(described).collect())))?;
    Ok(Exit::Success)
}

fn described(stored: &StoredImage) -> Value {
    let config = &stored.image.config;
    let digest = stored.image.descriptor().digest.to_string();
    json!({
        "Id": stored.image.id().to_string(),
        "RepoTags": stored.names.iter().map(ImageRef::familiar).collect::<Vec<_>>(),
        "Digest": digest,
        "MediaType": stored.image.manifest.media_type,
        "Created": config.created,
        "Author": config.author.clone().unwrap_or_default(),
        "Architecture": config.architecture,
        "Variant": config.variant.clone().unwrap_or_default(),
        "Os": config.os,
        "Size": stored.size,
        "Config": config.config,
        "RootFS": { "Type": config.rootfs.kind, "Layers": config.rootfs.diff_ids },
        "History": config.history,
        "Layers": stored.image.manifest.layers,
    })
}
