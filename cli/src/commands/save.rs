//! `lbuild save`.

use super::{Scene, at_registries};
use crate::args::{SaveArgs, SaveFormatArg};
use crate::engine::{self, StoredImage};
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings::SettingsError;
use layerfs::export::{Destination, SaveTo};
use layerfs::image::Image;
use layerfs::reference::{DEFAULT_TAG, ImageRef};
use std::io::IsTerminal;
use std::path::Path;

/// Writes images, each under the names it was asked for by, to one archive or layout.
pub fn run(args: &SaveArgs, scene: &Scene) -> Result<Exit, Failure> {
    let to = destination(args, std::io::stdout().is_terminal())?;
    let mut images: Vec<(Image, Vec<ImageRef>)> = Vec::new();
    let asked = args.images.iter().map(|name| meant(name, scene)).collect::<Result<Vec<_>, _>>()?.concat();
    for name in &asked {
        let stored = whole(name, scene)?;
        let name = name.parse::<ImageRef>().ok().filter(|name| stored.names.contains(name));
        match images.iter_mut().find(|(known, _)| known.manifest_bytes == stored.image.manifest_bytes) {
            Some((_, names)) => names.extend(name),
            None => images.push((stored.image, name.into_iter().collect())),
        }
    }
    engine::save(&scene.root, &images, &to)?;
    Ok(Exit::Success)
}

/// Returns the names that a name stands for: one without a tag for every tag that the store has of it, as Docker does.
fn meant(name: &str, scene: &Scene) -> Result<Vec<String>, Failure> {
    let tagged = |name: &ImageRef| name.tag.as_deref() != Some(DEFAULT_TAG) || name.digest.is_some();
    let Some(repository) = name.parse::<ImageRef>().ok().filter(|parsed| !tagged(parsed) && !name.ends_with(":latest"))
    else {
        return Ok(vec![name.to_owned()]);
    };
    let known = engine::images(&scene.root)?.into_iter().flat_map(|stored| stored.names);
    let mut all: Vec<String> =
        known.filter(|known| known.same_repository(&repository)).map(|known| known.to_string()).collect();
    all.sort();
    // None of it: it may be an image ID, or is not there.
    Ok(if all.is_empty() { vec![name.to_owned()] } else { all })
}

fn destination(args: &SaveArgs, terminal: bool) -> Result<SaveTo, SettingsError> {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && args.format == SaveFormatArg::OciDir {
        return Err(SettingsError::Malformed {
            flag: "--format",
            text: "oci-dir".to_owned(),
            why: "a directory cannot be written to standard output: add `-o DIR`".to_owned(),
        });
    }
    if to_stdout && terminal {
        return Err(SettingsError::Terminal);
    }
    let archive = || if to_stdout { Destination::Stdout } else { Destination::Path(args.output.clone()) };
    Ok(match args.format {
        SaveFormatArg::DockerArchive => SaveTo::DockerArchive(archive()),
        SaveFormatArg::OciArchive => SaveTo::OciArchive(archive()),
        SaveFormatArg::OciDir => SaveTo::OciDirectory(args.output.clone()),
    })
}

/// Returns the image; blobs that are in a registry only are fetched.
pub(super) fn whole(name: &str, scene: &Scene) -> Result<StoredImage, Failure> {
    let stored = engine::find(&scene.root, name)?;
    let Some(lacking) = stored.names.first().filter(|_| stored.is_sparse) else { return Ok(stored) };
    at_registries(None, scene, |registry| registry.complete(lacking))?;
    engine::find(&scene.root, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(output: &str, format: SaveFormatArg) -> SaveArgs {
        SaveArgs { output: output.into(), format, quiet: false, multi_image_archive: false, images: Vec::new() }
    }

    #[test]
    fn an_archive_does_not_go_to_a_terminal() {
        let archive = args("-", SaveFormatArg::OciArchive);
        assert!(matches!(destination(&archive, true), Err(SettingsError::Terminal)));
        assert_eq!(destination(&archive, false).expect("a pipe"), SaveTo::OciArchive(Destination::Stdout));
        let file = args("f", SaveFormatArg::DockerArchive);
        assert_eq!(destination(&file, true).expect("a file"), SaveTo::DockerArchive(Destination::Path("f".into())));
        assert!(destination(&args("-", SaveFormatArg::OciDir), false).is_err());
    }
}
