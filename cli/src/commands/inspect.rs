//! `lbuild inspect`.

use super::{Scene, json, print};
use crate::args::InspectArgs;
use crate::engine::{self, StoredImage};
use crate::exit::Exit;
use crate::report::Failure;
use crate::template::Template;
use layerfs::reference::ImageRef;
use serde_json::{Value, json};

/// What a config need not have, and templates may ask for.
const OPTIONAL: [&str; 12] = [
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
];

/// Prints images as a JSON array, with Docker's keys, or each through a template.
pub fn run(args: &InspectArgs, scene: &Scene) -> Result<Exit, Failure> {
    let template = if args.format == "json" { None } else { Some(Template::parse(&args.format)?) };
    let images: Vec<StoredImage> =
        args.images.iter().map(|name| engine::find(&scene.root, name)).collect::<Result<_, _>>()?;
    let text = match template {
        None => json(&Value::Array(images.iter().map(described).collect())),
        Some(template) => {
            let line = |stored| template.render(&with_absent(described(stored))).map(|text| text + "\n");
            images.iter().map(line).collect::<Result<String, _>>()?
        }
    };
    print(&text)?;
    Ok(Exit::Success)
}

fn described(stored: &StoredImage) -> Value {
    let config = &stored.image.config;
    let digest = stored.image.descriptor().digest.to_string();
    let repository = |name: &ImageRef| format!("{}@{digest}", name.familiar_name());
    json!({
        "Id": stored.image.id().to_string(),
        "RepoTags": stored.names.iter().map(ImageRef::familiar).collect::<Vec<_>>(),
        "RepoDigests": stored.names.iter().map(repository).collect::<std::collections::BTreeSet<_>>(),
        "Digest": digest,
        "MediaType": stored.image.manifest.media_type,
        "Annotations": stored.image.manifest.annotations,
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

/// Returns the description with what the config lacks as nothing, so that `{{if .Config.Healthcheck}}` can ask.
fn with_absent(mut described: Value) -> Value {
    if let Some(config) = described.get_mut("Config").and_then(Value::as_object_mut) {
        for name in OPTIONAL {
            config.entry(name).or_insert(Value::Null);
        }
        for name in ["User", "WorkingDir", "StopSignal"] {
            let value = config.entry(name).or_insert(Value::Null);
            if value.is_null() {
                *value = "".into();
            }
        }
    }
    described
}
