//! `lbuild manifest inspect` and `lbuild manifest create`.

use super::{Scene, at_registries, print};
use crate::args::{ManifestCreateArgs, ManifestInspectArgs, ProgressArg};
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings::{self, SettingsError};
use crate::ui::{bytes, visible};
use builder::ManifestBytes;
use layerfs::descriptor::{Descriptor, is_index};
use layerfs::image::{Index, Manifest};
use layerfs::reference::ImageRef;
use std::io::Write;

/// Prints what a name leads to in its registry: the bytes as they are, or what they say.
pub fn inspect(args: &ManifestInspectArgs, scene: &Scene) -> Result<Exit, Failure> {
    let name = settings::tag(&args.name)?;
    let found = at_registries(Some(ProgressArg::Quiet), scene, |registry| registry.manifest(&name))?;
    if args.raw {
        print_bytes(&found.bytes)?
    } else {
        print(&readable(&name, &found))?
    }
    Ok(Exit::Success)
}

/// Makes an index; prints it, or pushes it and says where it went.
pub fn create(args: &ManifestCreateArgs, scene: &Scene) -> Result<Exit, Failure> {
    let (names, images) = match args.images.split_first() {
        Some((name, images)) if args.tag.is_empty() && !images.is_empty() => (vec![name.clone()], images),
        _ if args.tag.is_empty() => return Err(Failure::of(&SettingsError::NothingToJoin)),
        _ => (args.tag.clone(), &args.images[..]),
    };
    let parsed = |names: &[String]| names.iter().map(|name| settings::tag(name)).collect::<Result<Vec<ImageRef>, _>>();
    let (names, images) = (parsed(&names)?, parsed(images)?);
    let annotations = settings::index_annotations(&args.annotation)?;
    for name in &names {
        let made = at_registries(args.progress, scene, |registry| {
            registry.create_index(name, &images, &annotations, !args.dry_run)
        })?;
        match args.dry_run {
            true => return print_bytes(&[&made.bytes[..], b"\n"].concat()).map(|()| Exit::Success),
            false => print(&format!("{}\n", pinned(name, &made.descriptor)))?,
        }
    }
    Ok(Exit::Success)
}

fn pinned(name: &ImageRef, manifest: &Descriptor) -> String {
    ImageRef { digest: Some(manifest.digest), ..name.clone() }.to_string()
}

/// Writes bytes to standard output as they are; a reader that has gone is no error.
fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(super::io_failure(layerfs::io_error::IoError::new("write", "standard output", &error)))
        }
        _ => Ok(()),
    }
}

/// Returns what a manifest or index says, for people.
fn readable(name: &ImageRef, found: &ManifestBytes) -> String {
    let Descriptor { media_type, digest, size, .. } = &found.descriptor;
    let mut text = format!("Name:       {name}\nMediaType:  {}\nDigest:     {digest}\n", visible(media_type));
    text.push_str(&format!("Size:       {}\n", bytes(*size)));
    if is_index(media_type) {
        match Index::parse(&found.bytes) {
            Ok(index) => index.manifests.iter().for_each(|entry| text.push_str(&entry_text(name, entry))),
            Err(error) => text.push_str(&format!("\n{error}\n")),
        }
        return text;
    }
    match Manifest::parse(&found.bytes) {
        Ok(manifest) => {
            text.push_str(&format!("\nConfig:     {}\n", blob_text(&manifest.config)));
            manifest.layers.iter().for_each(|layer| text.push_str(&format!("Layer:      {}\n", blob_text(layer))));
        }
        Err(error) => text.push_str(&format!("\n{error}\n")),
    }
    text
}

fn blob_text(blob: &Descriptor) -> String {
    format!("{}  {}  {}", blob.digest, bytes(blob.size), visible(&blob.media_type))
}

fn entry_text(name: &ImageRef, entry: &Descriptor) -> String {
    let by_digest = ImageRef { tag: None, digest: Some(entry.digest), ..name.clone() };
    let platform = entry.platform.as_ref().map(|platform| format!("Platform:   {}\n", visible(&platform.to_string())));
    let kind = visible(&entry.media_type);
    format!("\nName:       {by_digest}\nMediaType:  {kind}\n{}", platform.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerfs::descriptor::media_type;
    use layerfs::platform::Platform;

    fn found(kind: &str, bytes: Vec<u8>) -> ManifestBytes {
        ManifestBytes { descriptor: Descriptor::of(kind, &bytes), bytes }
    }

    #[test]
    fn manifests_and_indexes_are_told_in_words() {
        let name: ImageRef = "r.example/x:1".parse().expect("a name");
        let (config, layer) = (Descriptor::of(media_type::OCI_CONFIG, b"{}"), Descriptor::of("odd\u{1b}[m", b"layer"));
        let manifest = Manifest::new(config.clone(), vec![layer.clone()], Default::default()).print();
        let manifest = found(media_type::OCI_MANIFEST, manifest);
        let text = readable(&name, &manifest);
        let (digest, size) = (manifest.descriptor.digest, manifest.bytes.len());
        let wanted = format!(
            "Name:       r.example/x:1\nMediaType:  {}\nDigest:     {digest}\nSize:       {size}B\n\n\
             Config:     {}  2B  {}\nLayer:      {}  5B  ",
            media_type::OCI_MANIFEST,
            config.digest,
            media_type::OCI_CONFIG,
            layer.digest,
        );
        assert!(text.starts_with(&wanted) && !text.contains('\u{1b}'), "{text}");
        let entry =
            Descriptor { platform: Some("linux/arm64".parse::<Platform>().expect("one")), ..manifest.descriptor };
        let index = found(media_type::OCI_INDEX, Index::new(vec![entry]).print());
        let end = format!(
            "\nName:       r.example/x@{digest}\nMediaType:  {}\nPlatform:   linux/arm64\n",
            media_type::OCI_MANIFEST
        );
        assert!(readable(&name, &index).ends_with(&end));
    }
}
