//! `lbuild images --tree`: each image with its layers.

use crate::engine::StoredImage;
use crate::settings::Environment;
use crate::ui::{Style, bytes, clipped, visible};
use layerfs::image::History;
use layerfs::reference::ImageRef;
use std::collections::BTreeMap;

/// Characters of a command that are shown.
const SHORT: usize = 60;

/// What branches are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strokes {
    branch: &'static str,
    last: &'static str,
    unicode: bool,
}

impl Strokes {
    /// Returns strokes that the caller's locale has.
    pub fn of(environment: &Environment) -> Self {
        match Style::of(environment).unicode {
            true => Self { branch: "├─ ", last: "└─ ", unicode: true },
            false => Self { branch: "|- ", last: "`- ", unicode: false },
        }
    }
}

/// Returns images with their layers, the lowest first, and what made them. Layers that several have are marked.
pub fn shown(images: &[StoredImage], strokes: Strokes) -> String {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for diff_id in images.iter().flat_map(|stored| &stored.image.config.rootfs.diff_ids) {
        *used.entry(diff_id.to_string()).or_default() += 1;
    }
    images.iter().map(|stored| one(stored, &used, strokes)).collect()
}

fn one(stored: &StoredImage, used: &BTreeMap<String, usize>, strokes: Strokes) -> String {
    let names: Vec<String> = stored.names.iter().map(ImageRef::familiar).collect();
    let names = if names.is_empty() { super::NONE.to_owned() } else { names.join(", ") };
    let mut text = format!("{names}   {}   {}\n", super::short(stored), bytes(stored.size));
    let config = &stored.image.config;
    let mut made = config.history.iter().filter(|line| line.empty_layer != Some(true));
    let count = config.rootfs.diff_ids.len();
    for (at, (layer, diff_id)) in stored.image.manifest.layers.iter().zip(&config.rootfs.diff_ids).enumerate() {
        let stroke = if at + 1 == count { strokes.last } else { strokes.branch };
        let shared = if used.get(&diff_id.to_string()).is_some_and(|count| *count > 1) { "   shared" } else { "" };
        let command = made.next().map(|line| command(line, strokes.unicode)).unwrap_or_default();
        let line = format!("{stroke}{}   {}{shared}   {command}", &diff_id.0.hex()[..12], bytes(layer.size));
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text
}

fn command(line: &History, unicode: bool) -> String {
    let text = line.created_by.as_deref().unwrap_or_default().replace(['\t', '\n'], " ");
    clipped(&visible(&text), SHORT, unicode)
}
