//! `lbuild build`.

use super::{Scene, io_failure, print, screen};
use crate::args::BuildArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use crate::ui::{Placed, Recorder};
use builder::BuildResult;
use builder::request::Output;
use layerfs::io_error::{IoContext, IoError};
use layerfs::reference::ImageRef;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::Path;

/// Builds the image and prints its ID where it was asked for.
pub fn run(args: &BuildArgs, scene: &Scene) -> Result<Exit, Failure> {
    let settings = settings::build(args, scene.registry_settings()?, &scene.environment)?;
    let screen = screen(settings.progress).map_err(io_failure)?;
    let recorder = Recorder::new(Box::new(Placed::new(settings.request.dockerfile.clone(), screen)));
    let built = engine::build(&settings.request, &scene.root, &recorder, &scene.cancel);
    let (log, screen) = recorder.finish();
    // The view must stand before anything is printed below it.
    drop(screen);
    let built = built.map_err(|failure| {
        // Only a command has output worth telling again.
        let log = log.filter(|_| matches!(failure.exit, Exit::Command(_) | Exit::Signal(_)));
        Failure { log, source: Some(settings.request.dockerfile.clone()), ..failure }
    })?;
    let id = built.outputs.first().map_or(built.id, |output| output.id);
    if let Some(file) = &settings.iidfile {
        write(file, &id.to_string()).map_err(io_failure)?;
    }
    if let Some(file) = &settings.metadata_file {
        write(file, &super::json(&metadata(&built, &settings.request.outputs))).map_err(io_failure)?;
    }
    if settings.prints_id {
        print(&format!("{id}\n"))?;
    }
    Ok(Exit::Success)
}

/// Returns what `--metadata-file` holds, in buildx's words: digests of the image in its first output, and its names.
fn metadata(built: &BuildResult, outputs: &[Output]) -> Value {
    let mut metadata = Map::new();
    let first = built.outputs.iter().find_map(|output| Some((output, output.manifest.as_ref()?)));
    if let Some((output, manifest)) = first {
        metadata.insert("containerimage.config.digest".into(), output.config.digest.to_string().into());
        metadata.insert("containerimage.digest".into(), manifest.digest.to_string().into());
        metadata.insert("containerimage.descriptor".into(), json!(manifest));
    }
    let mut names: Vec<String> = outputs.iter().flat_map(names_of).map(ToString::to_string).collect();
    names.dedup();
    if !names.is_empty() {
        metadata.insert("image.name".into(), names.join(",").into());
    }
    Value::Object(metadata)
}

fn names_of(output: &Output) -> &[ImageRef] {
    match output {
        Output::Store { names, .. }
        | Output::Oci { names, .. }
        | Output::Docker { names, .. }
        | Output::Engine { names, .. }
        | Output::Registry { names, .. } => names,
        Output::Tar { .. } | Output::Local { .. } => &[],
    }
}

/// Writes a small text by a temporary file beside `file`, so that nobody reads half of it; a pipe or a device is written
/// to as it is.
fn write(file: &Path, text: &str) -> Result<(), IoError> {
    if std::fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        return std::fs::write(file, text).at("write", file);
    }
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = Path::new(&name);
    let written = std::fs::File::create_new(temporary)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(temporary, file));
    if written.is_err() && temporary.exists() {
        std::fs::remove_file(temporary).at("remove", temporary)?;
    }
    written.at("write", file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_id_is_written_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, id) = (dir.path().join("id"), layerfs::digest::Digest::of("x").to_string());
        write(&file, &id).expect("written");
        write(&file, &id).expect("written again");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), id);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
        write(Path::new("/dev/null"), &id).expect("a device stays one");
        assert!(!std::fs::metadata("/dev/null").expect("there").is_file());
        let error = write(&dir.path().join("no/id"), &id).expect_err("no directory");
        assert_eq!(error.message, "No such file or directory");
    }
}
