//! `lbuild build`.

use super::on_fail::Attending;
use super::{Scene, call, io_failure, print, screen_width, tell};
use crate::args::BuildArgs;
use crate::cap::Cap;
use crate::engine::{self, Place};
use crate::exit::Exit;
use crate::logs::{KEPT_BUILDS, Keeper, Secrets};
use crate::report::Failure;
use crate::settings::BuildSettings;
use crate::settings::{self, SettingsError};
use crate::trace::{Chronicle, TraceFile};
use crate::ui::{
    FailedLog, KnownSource, Ledger, Made, Placed, Quiet, Recorder, Shared, Style, View, Watched, Watcher, annotation,
};
use builder::BuildResult;
use builder::attend::Attendant;
use builder::diagnostic::Diagnostic;
use builder::progress::{Event, ProgressSink};
use builder::request::{BuildRequest, Output, SecretSource, SecretSpec};
use layerfs::io_error::{IoContext, IoError};
use layerfs::registry::settings::RegistrySettings;
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Builds the image, tells what came of it, and prints its ID where it was asked for.
pub fn run(args: &BuildArgs, scene: &Scene) -> Result<Exit, Failure> {
    let mut settings = settings::build(args, &scene.config, registries(args, scene)?, &scene.environment)?;
    if let Some(call) = settings.call {
        // What is said comes on standard output; of what goes on meanwhile nothing is told.
        settings.request = fetched(&settings, scene, &Quiet)?;
        return call::run(&call, &settings, &scene.root, &Quiet, &scene.cancel);
    }
    let ledger = Ledger::new();
    let built = build(&settings, scene, &ledger)?;
    if settings.view.is_for_people() {
        let unicode = Style::of(&scene.environment).unicode;
        tell(&ledger.summary(&made(&settings.request, &built), screen_width(), unicode));
    }
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

/// Returns the request with the context and the Dockerfile that are to be fetched.
pub(super) fn fetched(
    settings: &BuildSettings,
    scene: &Scene,
    sink: &dyn ProgressSink,
) -> Result<BuildRequest, Failure> {
    let dockerfile = settings.dockerfile.as_ref();
    engine::with_contexts(settings.request.clone(), dockerfile, &scene.root, sink, &scene.cancel)
}

/// Builds, with everybody looking on.
fn build(settings: &BuildSettings, scene: &Scene, ledger: &Ledger) -> Result<BuildResult, Failure> {
    let recorder = Recorder::default();
    let secrets = secrets(&settings.request);
    let kept_logs = scene.config.kept_logs.unwrap_or(KEPT_BUILDS);
    let keeper = Keeper::new(&scene.root, secrets, kept_logs);
    let source = KnownSource::default();
    let screen = settings.view.open(&scene.environment, &source).map_err(io_failure)?;
    let shared = Box::new(Shared(Arc::clone(&screen)));
    let below: Box<dyn ProgressSink> =
        if settings.view.needs_places() { Box::new(Placed::new(source.clone(), shared)) } else { shared };
    let trace = settings.trace.as_deref().map(TraceFile::create).transpose().map_err(io_failure)?;
    let chronicle = trace.as_ref().map(|file| file.chronicle.as_ref());
    let mut watchers: Vec<&dyn Watcher> = vec![&recorder, &keeper, ledger];
    let cap = scene.config.max_used_space.map(Cap::new);
    watchers.extend(cap.as_ref().map(|cap| cap as &dyn Watcher));
    watchers.extend(chronicle.map(|chronicle: &Chronicle| chronicle as &dyn Watcher));
    let sink = Watched::new(watchers, below);
    let attending = settings.on_fail.clone().map(|how| Attending::new(how, Arc::clone(&screen)));
    let attendant = attending.as_ref().map(|attending| attending as &dyn Attendant);
    settings.warnings.iter().for_each(|warning| sink.event(Event::Warning(warning.clone())));
    let place = Place { root: &scene.root, trace: trace.as_ref().map(TraceFile::trace).unwrap_or_default() };
    let built = capped(cap.as_ref(), scene, &sink, || {
        let request = fetched(settings, scene, &sink)?;
        source.tell(&request.dockerfile);
        engine::build(&request, &place, &sink, &scene.cancel, attendant)
    });
    // The view must stand before anything is printed below it.
    screen.settle();
    drop((sink, attending, screen));
    if let Some(Err(error)) = trace.map(TraceFile::finish) {
        tell(&format!("warning: the trace of this build is not whole: {error}\n"));
    }
    if let Some(error) = keeper.finish() {
        tell(&format!("warning: the logs of this build are not kept: {error}\n"));
    }
    built.map_err(|failure| {
        // Only a command has output worth telling again.
        let log = recorder.finish().filter(|_| matches!(failure.exit, Exit::Command(_) | Exit::Signal(_)));
        let log = log.map(|log| Box::new(FailedLog { more: log.more.filter(|_| kept_logs > 0), ..log }));
        let failure = Failure { log, source: source.get().cloned(), ..failure };
        if settings.view == View::GitHub {
            tell(&format!("{}\n", annotation("error", &failure.diagnostic, failure.source.as_ref())));
        }
        failure
    })
}

/// Lets `work` be done while the store is kept below `cap`, if there is one.
fn capped<T>(cap: Option<&Cap>, scene: &Scene, sink: &dyn ProgressSink, work: impl FnOnce() -> T) -> T {
    let Some(cap) = cap else { return work() };
    let tell = |text: String| {
        if !scene.cancel.is_cancelled() {
            sink.event(Event::Warning(Diagnostic::warning(text)));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| cap.keep(|options| engine::prune_to(&scene.root, options, &scene.cancel), tell));
        let _ending = cap.ending();
        work()
    })
}

/// Returns the secrets that no log may hold; one that cannot be read cannot be told by a step either.
fn secrets(request: &BuildRequest) -> Secrets {
    let bytes = |secret: &SecretSpec| match &secret.source {
        SecretSource::Environment(value) => Some(value.clone()),
        SecretSource::File(path) => {
            let mut value = Vec::new();
            let file =
                std::fs::File::open(path).ok().filter(|file| file.metadata().is_ok_and(|found| found.is_file()))?;
            file.take(SecretSource::LIMIT).read_to_end(&mut value).ok()?;
            Some(value)
        }
    };
    Secrets::of(request.secrets.iter().filter_map(bytes))
}

/// Returns what the summary tells of the image.
fn made(request: &BuildRequest, built: &BuildResult) -> Made {
    let mut names: Vec<String> = Vec::new();
    for name in request.outputs.iter().flat_map(Output::names) {
        let name = name.familiar();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Made { id: built.id.to_string(), names, layers: built.layer_sizes.len(), size: built.layer_sizes.iter().sum() }
}

/// Returns how registries are spoken to; with `--authfile` no other file of credentials counts.
pub(super) fn registries(args: &BuildArgs, scene: &Scene) -> Result<RegistrySettings, SettingsError> {
    let settings = scene.registry_settings()?;
    Ok(match &args.surroundings.authfile {
        Some(file) => RegistrySettings { auth_files: vec![file.clone()], auth_inline: None, ..settings },
        None => settings,
    })
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
    let mut names: Vec<String> = Vec::new();
    for name in outputs.iter().flat_map(Output::names).map(ToString::to_string) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        metadata.insert("image.name".into(), names.join(",").into());
    }
    Value::Object(metadata)
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
