//! `--output`.

use super::{SettingsError, csv};
use builder::request::{Destination, LayerCompression, Output};
use layerfs::compress::Compression;
use layerfs::reference::{DEFAULT_TAG, ImageRef};
use std::path::PathBuf;

const FLAG: &str = "--output";
const KNOWN: &[&str] =
    &["type", "dest", "name", "tar", "push", "push-by-digest", "compression", "compression-level", "force-compression"];

/// Returns what `text` describes, for an image with the names `tags`: one output, or two if an image is to be kept and
/// pushed.
///
/// # Errors
/// [`SettingsError`].
pub fn output(text: &str, tags: &[ImageRef], stdout_is_terminal: bool) -> Result<Vec<Output>, SettingsError> {
    let typed = Typed::parse(text)?;
    let names = [tags.to_vec(), typed.names()?].concat();
    match typed.kind.as_deref() {
        Some("image" | "registry") if typed.dest.is_some() => {
            Err(typed.malformed("only archives and directories have a `dest`"))
        }
        Some("image") if typed.push == Some(true) => {
            let kept = if typed.by_digest { Vec::new() } else { names.clone() };
            Ok(vec![Output::Store { names: kept }, typed.registry(names)?])
        }
        Some("registry") if typed.push != Some(false) => Ok(vec![typed.registry(names)?]),
        Some("registry") => Err(typed.malformed("`type=registry` pushes: leave `push=false` out, or say `type=image`")),
        _ if typed.push.is_some() && typed.kind.as_deref() != Some("image") => {
            Err(typed.malformed("only `type=image` can be pushed"))
        }
        _ if typed.by_digest => Err(typed.malformed("`push-by-digest` goes with `push=true` or `type=registry`")),
        Some("image") => Ok(vec![Output::Store { names }]),
        Some("oci") => Ok(vec![Output::Oci {
            destination: typed.destination(stdout_is_terminal)?,
            archive: typed.archive,
            names,
            compression: typed.compression(Compression::Plain)?,
        }]),
        Some("docker") if !typed.archive => Err(typed.malformed("a docker archive is a tar archive")),
        Some("docker") => Ok(vec![Output::Docker {
            destination: typed.destination(stdout_is_terminal)?,
            names,
            compression: typed.compression(Compression::Plain)?,
        }]),
        kind => Err(later(kind.unwrap_or("local"), &typed)),
    }
}

/// Returns the output that `--push` adds to `outputs`, if none of them pushes yet: the names of `-t` and those of images
/// that are kept.
///
/// # Errors
/// [`SettingsError`] if there is no name.
pub fn pushed(outputs: &[Output], tags: &[ImageRef]) -> Result<Option<Output>, SettingsError> {
    if outputs.iter().any(|output| matches!(output, Output::Registry { .. })) {
        return Ok(None);
    }
    let kept = outputs.iter().flat_map(|output| match output {
        Output::Store { names } => names.as_slice(),
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
    Ok(Some(Output::Registry { names, by_digest: false, compression: LayerCompression::REGISTRY }))
}

fn later(kind: &str, typed: &Typed) -> SettingsError {
    let what = format!("output type `{kind}`");
    match kind {
        "local" | "tar" => SettingsError::Later { what, help: "use `type=oci,dest=FILE` and unpack it".into() },
        "cacheonly" => SettingsError::Later { what, help: "leave `-o` and `-t` out".into() },
        _ => typed.malformed("`type` is `image`, `registry`, `oci` or `docker`"),
    }
}

struct Typed {
    text: String,
    kind: Option<String>,
    dest: Option<String>,
    name: Option<String>,
    archive: bool,
    push: Option<bool>,
    by_digest: bool,
    compression: Option<String>,
    level: Option<String>,
    force: bool,
}

impl Typed {
    fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut typed = Self {
            text: text.to_owned(),
            kind: None,
            dest: None,
            name: None,
            archive: true,
            push: None,
            by_digest: false,
            compression: None,
            level: None,
            force: false,
        };
        for (name, value) in csv::fields(FLAG, text)? {
            typed.set(&name, value)?;
        }
        Ok(typed)
    }

    fn set(&mut self, name: &str, value: Option<String>) -> Result<(), SettingsError> {
        match (name, value) {
            ("type", value) => self.kind = value,
            ("dest", value) => self.dest = value,
            ("name", value) => self.name = value,
            ("compression", value) => self.compression = value,
            ("compression-level", value) => self.level = value,
            ("tar", value) => self.archive = self.boolean(value.as_deref())?,
            ("push", value) => self.push = Some(self.boolean(value.as_deref())?),
            ("push-by-digest", value) => self.by_digest = self.boolean(value.as_deref())?,
            ("force-compression", value) => self.force = self.boolean(value.as_deref())?,
            // A bare path is short for `type=local`, `-` for `type=tar`.
            (path, None) => self.kind = Some(if path == "-" { "tar" } else { "local" }.to_owned()),
            (name, Some(_)) => return Err(self.unknown(name)),
        }
        Ok(())
    }

    fn boolean(&self, value: Option<&str>) -> Result<bool, SettingsError> {
        match value {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(self.malformed(&format!("`{other}` is neither `true` nor `false`"))),
        }
    }

    fn names(&self) -> Result<Vec<ImageRef>, SettingsError> {
        self.name.iter().flat_map(|names| names.split(',')).map(super::build::tag).collect()
    }

    fn registry(&self, names: Vec<ImageRef>) -> Result<Output, SettingsError> {
        if names.is_empty() {
            let help = "add `name=HOST/REPOSITORY:TAG` to it, or `-t HOST/REPOSITORY:TAG`".to_owned();
            return Err(SettingsError::NoName { flag: format!("{FLAG} {}", self.text), help });
        }
        // A tag that is left out reads as `latest`.
        let tagged = |name: &&ImageRef| name.tag.as_deref().is_some_and(|tag| tag != DEFAULT_TAG);
        match names.iter().find(tagged) {
            Some(name) if self.by_digest => {
                Err(self.malformed(&format!("can't push tagged ref {} by digest", name.familiar())))
            }
            _ => {
                let compression = self.compression(LayerCompression::REGISTRY.form)?;
                Ok(Output::Registry { names, by_digest: self.by_digest, compression })
            }
        }
    }

    fn destination(&self, stdout_is_terminal: bool) -> Result<Destination, SettingsError> {
        match self.dest.as_deref() {
            None | Some("") => Err(self.malformed("`dest=FILE` is missing")),
            Some("-") if !self.archive => Err(self.malformed("a directory cannot be written to standard output")),
            Some("-") if stdout_is_terminal => Err(self.malformed("refusing to write an archive to the terminal")),
            Some("-") => Ok(Destination::Stdout),
            Some(path) => Ok(Destination::Path(PathBuf::from(path))),
        }
    }

    fn compression(&self, usual: Compression) -> Result<LayerCompression, SettingsError> {
        let form = match self.compression.as_deref() {
            None => usual,
            Some("uncompressed") => Compression::Plain,
            Some("gzip") => Compression::Gzip,
            Some("zstd") => Compression::Zstd,
            Some("estargz") => {
                return Err(SettingsError::Later {
                    what: "compression `estargz`".into(),
                    help: "use `gzip` or `zstd`".into(),
                });
            }
            Some(other) => return Err(self.malformed(&format!("unsupported compression type `{other}`"))),
        };
        let most = match form {
            Compression::Plain => 0,
            Compression::Gzip => 9,
            Compression::Zstd => 22,
        };
        Ok(LayerCompression { form, level: self.level(most)?, force: self.force })
    }

    fn level(&self, most: u8) -> Result<Option<u8>, SettingsError> {
        let parse = |text: &String| text.parse().ok().filter(|level: &u8| *level <= most);
        let wrong = || self.malformed(&format!("`compression-level` is a number from 0 to {most}"));
        self.level.as_ref().map(|text| parse(text).ok_or_else(wrong)).transpose()
    }

    fn malformed(&self, why: &str) -> SettingsError {
        SettingsError::Malformed { flag: FLAG, text: self.text.clone(), why: why.to_owned() }
    }

    fn unknown(&self, name: &str) -> SettingsError {
        SettingsError::UnknownAttribute { flag: FLAG, text: self.text.clone(), name: name.to_owned(), known: KNOWN }
    }
}
