//! `--output`, and the flags that say where an image goes.

mod annotation;
mod typed;

use super::{Environment, SettingsError, engine};
use crate::args::{BuildArgs, ManifestFormat};
use builder::annotation::{Annotation, Level};
use builder::request::{Destination, LayerCompression, Look, Output};
use layerfs::compress::Compression;
use layerfs::platform::Platform;
use layerfs::reference::{DEFAULT_TAG, ImageRef};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use typed::{FLAG, Typed};

/// Returns where the image for `platforms` goes; to the store if nothing else is said.
///
/// # Errors
/// [`SettingsError`].
pub fn outputs(
    args: &BuildArgs,
    platforms: &[Platform],
    environment: &Environment,
) -> Result<Vec<Output>, SettingsError> {
    let names = args.tag.iter().map(|text| super::build::tag(text)).collect::<Result<Vec<_>, _>>()?;
    let to = &args.destinations;
    let annotations =
        to.annotation.iter().map(|text| annotation(text, platforms)).collect::<Result<Vec<_>, _>>()?.concat();
    let terminal = std::io::stdout().is_terminal();
    let docker_types = to.format == ManifestFormat::Docker;
    let meaning = Meaning { names: &names, annotations: &annotations, platforms, docker_types, terminal, environment };
    let look = Typed::default().look(docker_types, &annotations, platforms)?;
    if args.output.is_empty() && !args.push && !to.load {
        return Ok(vec![Output::Store { names, look }]);
    }
    let typed = args.output.iter().map(|text| meaning.of(&Typed::parse(text)?));
    let mut outputs: Vec<Output> = typed.collect::<Result<Vec<_>, _>>()?.concat();
    if to.load && !outputs.iter().any(|output| matches!(output, Output::Engine { .. })) {
        outputs.push(Output::Engine { engine: engine(environment)?, names: names.clone(), look: look.clone() });
    }
    if args.push {
        outputs.extend(pushed(&outputs, &names, look)?);
    }
    check_places(args, &outputs)?;
    Ok(outputs)
}

fn annotation(text: &str, platforms: &[Platform]) -> Result<Vec<Annotation>, SettingsError> {
    let wrong = |why: String| malformed("--annotation", text, &why);
    let annotations = annotation::of_flag(text, "manifest").map_err(wrong)?;
    annotations.iter().try_for_each(|one| annotation::check(one, platforms)).map_err(wrong)?;
    Ok(annotations)
}

/// Returns the annotations of an index that is made of images, which stay as they are.
///
/// # Errors
/// [`SettingsError`].
pub fn index_annotations(texts: &[String]) -> Result<Vec<Annotation>, SettingsError> {
    let of_image = |one: &&Annotation| !matches!(one.level, Level::Index | Level::ManifestDescriptor);
    let one = |text: &String| {
        let annotations = annotation::of_flag(text, "index").map_err(|why| malformed("--annotation", text, &why))?;
        let why = "images stay as they are: `index` and `manifest-descriptor` can be annotated";
        match annotations.iter().find(of_image) {
            Some(_) => Err(malformed("--annotation", text, why)),
            None => Ok(annotations),
        }
    };
    Ok(texts.iter().map(one).collect::<Result<Vec<_>, _>>()?.concat())
}

/// Refuses outputs that would disturb one another.
fn check_places(args: &BuildArgs, outputs: &[Output]) -> Result<(), SettingsError> {
    let text = args.output.join(" ");
    let to_stdout = outputs.iter().filter(|output| is_stdout(output)).count();
    if to_stdout > 1 {
        return Err(malformed(FLAG, &text, "only one output can go to standard output"));
    }
    if to_stdout == 1 && args.quiet {
        return Err(malformed(FLAG, &text, "`-q` prints the image ID where the archive would go"));
    }
    let mut files: Vec<&Path> = Vec::new();
    for path in outputs.iter().filter_map(file) {
        super::place::check_file(FLAG, &text, path)?;
        if files.contains(&path) && !path.starts_with("/dev") {
            return Err(malformed(FLAG, &text, &format!("two outputs go to `{}`", path.display())));
        }
        files.push(path);
    }
    let directories = outputs.iter().filter_map(directory);
    directories.into_iter().try_for_each(|path| super::place::check_directory(FLAG, &text, path))
}

fn malformed(flag: &'static str, text: &str, why: &str) -> SettingsError {
    SettingsError::Malformed { flag, text: text.to_owned(), why: why.to_owned() }
}

fn destination(output: &Output) -> Option<&Destination> {
    match output {
        Output::Oci { destination, .. } | Output::Docker { destination, .. } | Output::Tar { destination, .. } => {
            Some(destination)
        }
        Output::Store { .. } | Output::Engine { .. } | Output::Local { .. } | Output::Registry { .. } => None,
    }
}

/// Reports whether an output goes to standard output.
pub fn is_stdout(output: &Output) -> bool {
    destination(output) == Some(&Destination::Stdout)
}

/// Returns the file that an output is written to; a layout directory takes several images.
fn file(output: &Output) -> Option<&Path> {
    match destination(output) {
        Some(Destination::Path(path)) if !matches!(output, Output::Oci { archive: false, .. }) => Some(path),
        _ => None,
    }
}

/// Returns the directory that an output is written into.
fn directory(output: &Output) -> Option<&Path> {
    match output {
        Output::Local { path, .. } | Output::Oci { destination: Destination::Path(path), archive: false, .. } => {
            Some(path)
        }
        _ => None,
    }
}

/// What every `--output` of a command line means against.
struct Meaning<'a> {
    names: &'a [ImageRef],
    annotations: &'a [Annotation],
    platforms: &'a [Platform],
    docker_types: bool,
    terminal: bool,
    environment: &'a Environment,
}

impl Meaning<'_> {
    /// Returns what an output means: one, two if an image is to be kept and pushed, or none.
    fn of(&self, typed: &Typed) -> Result<Vec<Output>, SettingsError> {
        let names = [self.names, &typed.names()?].concat();
        check_attributes(typed)?;
        match typed.kind.as_deref() {
            Some("image" | "registry") => self.image(typed, names),
            Some("oci") => Ok(vec![Output::Oci {
                destination: self.destination(typed)?,
                archive: !typed.directory,
                names,
                compression: typed.compression(Compression::Plain)?,
                look: self.look(typed)?,
            }]),
            Some("docker") => self.docker(typed, names),
            Some("tar") => Ok(vec![Output::Tar {
                destination: self.destination(typed)?,
                split: self.split(typed)?,
                look: files_look(typed)?,
            }]),
            Some("local") => local(typed, self.split(typed)?),
            Some("cacheonly") => Ok(Vec::new()),
            _ => {
                let why = "`type` is `image`, `registry`, `oci`, `docker`, `tar`, `local` or `cacheonly`";
                Err(typed.malformed(why))
            }
        }
    }

    fn look(&self, typed: &Typed) -> Result<Look, SettingsError> {
        typed.look(self.docker_types, self.annotations, self.platforms)
    }

    /// Returns whether files go to a directory for their platform.
    fn split(&self, typed: &Typed) -> Result<bool, SettingsError> {
        let several = self.platforms.len() > 1;
        match typed.split {
            Some(false) if several && typed.delete => {
                Err(typed.malformed("`mode=delete` would delete the files of one platform for those of the next"))
            }
            Some(false) if several && typed.kind.as_deref() == Some("tar") => {
                Err(typed.malformed("a tar has each path once: several platforms have a directory each there"))
            }
            split => Ok(split.unwrap_or(several)),
        }
    }

    fn image(&self, typed: &Typed, names: Vec<ImageRef>) -> Result<Vec<Output>, SettingsError> {
        let look = self.look(typed)?;
        match (typed.kind.as_deref(), typed.push) {
            (Some("registry"), Some(false)) => {
                Err(typed.malformed("`type=registry` pushes: leave `push=false` out, or say `type=image`"))
            }
            (Some("registry"), _) => Ok(vec![registry(typed, names, look)?]),
            (_, Some(true)) => {
                let kept = if typed.by_digest { Vec::new() } else { names.clone() };
                Ok(vec![Output::Store { names: kept, look: look.clone() }, registry(typed, names, look)?])
            }
            _ => Ok(vec![Output::Store { names, look }]),
        }
    }

    /// Without a `dest` the image is loaded, as by `--load`.
    fn docker(&self, typed: &Typed, names: Vec<ImageRef>) -> Result<Vec<Output>, SettingsError> {
        let look = self.look(typed)?;
        if typed.directory {
            return Err(typed.malformed("a docker archive is a tar archive"));
        }
        if typed.dest.as_deref().unwrap_or_default().is_empty() {
            return Ok(vec![Output::Engine { engine: engine(self.environment)?, names, look }]);
        }
        let compression = typed.compression(Compression::Plain)?;
        Ok(vec![Output::Docker { destination: self.destination(typed)?, names, compression, look }])
    }

    fn destination(&self, typed: &Typed) -> Result<Destination, SettingsError> {
        let usual = if typed.kind.as_deref() == Some("tar") { "-" } else { "" };
        match typed.dest.as_deref().unwrap_or(usual) {
            "" => Err(typed.malformed("`dest=FILE` is missing")),
            "-" if typed.directory => Err(typed.malformed("a directory cannot be written to standard output")),
            "-" if self.terminal => Err(typed.malformed("refusing to write an archive to the terminal")),
            "-" => Ok(Destination::Stdout),
            path => {
                let is_directory = Path::new(path).is_dir();
                if typed.directory && !is_directory && Path::new(path).exists() {
                    return Err(typed.malformed(&format!("`{path}` is not a directory")));
                }
                if !typed.directory && is_directory {
                    return Err(typed.malformed(&format!("`{path}` is a directory, and an archive is a file")));
                }
                Ok(Destination::Path(PathBuf::from(path)))
            }
        }
    }
}

/// Refuses attributes that mean nothing for the type of the output.
fn check_attributes(typed: &Typed) -> Result<(), SettingsError> {
    let kind = typed.kind.as_deref().unwrap_or_default();
    let files = matches!(kind, "tar" | "local");
    let checks = [
        (kind != "image" && kind != "registry" && typed.push.is_some(), "only `type=image` can be pushed"),
        (
            typed.by_digest && kind != "registry" && typed.push != Some(true),
            "`push-by-digest` goes with `push=true` or `type=registry`",
        ),
        (matches!(kind, "image" | "registry") && typed.dest.is_some(), "only archives and directories have a `dest`"),
        (typed.delete && kind != "local", "`mode=delete` goes with `type=local`"),
        (files && typed.compression.is_some(), "files are not compressed: `compression` is for layers"),
        (!files && typed.split.is_some(), "`platform-split` goes with `type=local` and `type=tar`"),
        (files && !typed.annotations.is_empty(), "files have no manifest to annotate"),
    ];
    match checks.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, why)) => Err(typed.malformed(why)),
        None => Ok(()),
    }
}

/// Of `--format` and `--annotation` nothing is seen where only files go.
fn files_look(typed: &Typed) -> Result<Look, SettingsError> {
    typed.look(false, &[], &[])
}

fn local(typed: &Typed, split: bool) -> Result<Vec<Output>, SettingsError> {
    let path = match typed.dest.as_deref().unwrap_or_default() {
        "" => return Err(typed.malformed("`dest=DIR` is missing")),
        "-" => return Err(typed.malformed("a directory cannot be written to standard output")),
        path => PathBuf::from(path),
    };
    if path.exists() && !path.is_dir() {
        return Err(typed.malformed(&format!("`{}` is not a directory", path.display())));
    }
    if typed.delete && is_above_here(&path) {
        let why = format!("`mode=delete` would delete all of `{}` that the image does not have", path.display());
        return Err(typed.malformed(&why));
    }
    Ok(vec![Output::Local { path, delete: typed.delete, split, look: files_look(typed)? }])
}

/// Reports whether a directory is the current one or one that it is in.
fn is_above_here(path: &Path) -> bool {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    std::fs::canonicalize(path).is_ok_and(|path| here.is_ok_and(|here| here.starts_with(path)))
}

fn registry(typed: &Typed, names: Vec<ImageRef>, look: Look) -> Result<Output, SettingsError> {
    if names.is_empty() {
        let help = "add `name=HOST/REPOSITORY:TAG` to it, or `-t HOST/REPOSITORY:TAG`".to_owned();
        return Err(SettingsError::NoName { flag: format!("{FLAG} {}", typed.text), help });
    }
    // A tag that is left out reads as `latest`.
    let tagged = |name: &&ImageRef| name.tag.as_deref().is_some_and(|tag| tag != DEFAULT_TAG);
    match names.iter().find(tagged) {
        Some(name) if typed.by_digest => Err(typed
            .malformed(&format!("`{}` has a tag, which nothing pushed by digest gets: leave it out", name.familiar()))),
        _ => {
            let compression = typed.compression(LayerCompression::REGISTRY.form)?;
            Ok(Output::Registry { names, by_digest: typed.by_digest, compression, look })
        }
    }
}

/// Returns the output that `--push` adds to `outputs`, if none of them pushes yet: the names of `-t` and those of images
/// that are kept.
///
/// # Errors
/// [`SettingsError`] if there is no name.
fn pushed(outputs: &[Output], tags: &[ImageRef], look: Look) -> Result<Option<Output>, SettingsError> {
    if outputs.iter().any(|output| matches!(output, Output::Registry { .. })) {
        return Ok(None);
    }
    let kept = outputs.iter().flat_map(|output| match output {
        Output::Store { names, .. } => names.as_slice(),
        _ => &[],
    });
    let mut names = tags.to_vec();
    kept.for_each(|name| {
        if !names.contains(name) {
            names.push(name.clone());
        }
    });
    if names.is_empty() {
        let help = "add `-t HOST/REPOSITORY:TAG`".to_owned();
        return Err(SettingsError::NoName { flag: "--push".to_owned(), help });
    }
    Ok(Some(Output::Registry { names, by_digest: false, compression: LayerCompression::REGISTRY, look }))
}
