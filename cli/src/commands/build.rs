//! `lbuild build`.

use super::{Scene, call, io_failure, print, screen};
use crate::args::BuildArgs;
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use crate::ui::{Placed, Quiet, Recorder};
use layerfs::digest::Digest;
use layerfs::io_error::{IoContext, IoError};
use std::io::Write;
use std::path::Path;

/// Builds the image and prints its ID where it was asked for.
pub fn run(args: &BuildArgs, scene: &Scene) -> Result<Exit, Failure> {
    let mut settings = settings::build(args, scene.registry_settings()?, &scene.environment)?;
    if settings.is_elsewhere() {
        let in_context = settings.in_context.as_ref().map(Option::as_deref);
        settings.request = engine::with_contexts(settings.request, in_context, &scene.root, &Quiet, &scene.cancel)?;
    }
    if let Some(call) = &settings.call {
        // What is said comes on standard output; of what goes on meanwhile nothing is told.
        return call::run(call, &settings, &scene.root, &Quiet, &scene.cancel);
    }
    let screen = screen(settings.progress).map_err(io_failure)?;
    let recorder = Recorder::new(Box::new(Placed::new(settings.request.dockerfile.clone(), screen)));
    let built = engine::build(&settings.request, &scene.root, &recorder, &scene.cancel);
    let (log, screen) = recorder.finish();
    // The view must stand before anything is printed below it.
    drop(screen);
    let id = built.map_err(|failure| {
        // Only a command has output worth telling again.
        let log = log.filter(|_| matches!(failure.exit, Exit::Command(_) | Exit::Signal(_)));
        Failure { log, source: Some(settings.request.dockerfile.clone()), ..failure }
    })?;
    if let Some(file) = &settings.iidfile {
        write_id(file, &id).map_err(io_failure)?;
    }
    if settings.prints_id {
        print(&format!("{id}\n"))?;
    }
    Ok(Exit::Success)
}

/// Writes the image ID by a temporary file beside `file`, so that nobody reads half of it; a pipe or a device is written
/// to as it is.
fn write_id(file: &Path, id: &Digest) -> Result<(), IoError> {
    let text = id.to_string();
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
        let (file, id) = (dir.path().join("id"), Digest::of("x"));
        write_id(&file, &id).expect("written");
        write_id(&file, &id).expect("written again");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), id.to_string());
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
        write_id(Path::new("/dev/null"), &id).expect("a device stays one");
        assert!(!std::fs::metadata("/dev/null").expect("there").is_file());
        let error = write_id(&dir.path().join("no/id"), &id).expect_err("no directory");
        assert_eq!(error.message, "No such file or directory");
    }
}
