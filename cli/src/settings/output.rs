//! `--output`.

use super::{SettingsError, csv};
use builder::request::{Destination, LayerCompression, Output};
use layerfs::compress::Compression;
use layerfs::reference::ImageRef;
use std::path::PathBuf;

const FLAG: &str = "--output";
const KNOWN: &[&str] = &["type", "dest", "name", "tar", "compression", "compression-level", "force-compression"];

/// Returns the output that `text` describes, for an image with the names `tags`.
///
/// # Errors
/// [`SettingsError`].
pub fn output(text: &str, tags: &[ImageRef], stdout_is_terminal: bool) -> Result<Output, SettingsError> {
    let typed = Typed::parse(text)?;
    let names = [tags.to_vec(), typed.names()?].concat();
    match typed.kind.as_deref() {
        Some("image") if typed.dest.is_some() => Err(typed.malformed("an image of the store has no `dest`")),
        Some("image") => Ok(Output::Store { names }),
        Some("oci") => Ok(Output::Oci {
            destination: typed.destination(stdout_is_terminal)?,
            archive: typed.archive,
            names,
            compression: typed.compression()?,
        }),
        Some("docker") if !typed.archive => Err(typed.malformed("a docker archive is a tar archive")),
        Some("docker") => Ok(Output::Docker {
            destination: typed.destination(stdout_is_terminal)?,
            names,
            compression: typed.compression()?,
        }),
        kind => Err(later(kind.unwrap_or("local"), &typed)),
    }
}

fn later(kind: &str, typed: &Typed) -> SettingsError {
    let what = format!("output type `{kind}`");
    match kind {
        "local" | "tar" => SettingsError::Later { what, help: "use `type=oci,dest=FILE` and unpack it".into() },
        "registry" => {
            SettingsError::Later { what, help: "use `type=oci,dest=FILE` and `skopeo copy oci-archive:FILE`".into() }
        }
        "cacheonly" => SettingsError::Later { what, help: "leave `-o` and `-t` out".into() },
        _ => typed.malformed("`type` is `image`, `oci` or `docker`"),
    }
}

struct Typed {
    text: String,
    kind: Option<String>,
    dest: Option<String>,
    name: Option<String>,
    archive: bool,
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

    fn destination(&self, stdout_is_terminal: bool) -> Result<Destination, SettingsError> {
        match self.dest.as_deref() {
            None | Some("") => Err(self.malformed("`dest=FILE` is missing")),
            Some("-") if !self.archive => Err(self.malformed("a directory cannot be written to standard output")),
            Some("-") if stdout_is_terminal => Err(self.malformed("refusing to write an archive to the terminal")),
            Some("-") => Ok(Destination::Stdout),
            Some(path) => Ok(Destination::Path(PathBuf::from(path))),
        }
    }

    fn compression(&self) -> Result<LayerCompression, SettingsError> {
        let (form, most) = match self.compression.as_deref() {
            None | Some("uncompressed") => (Compression::Plain, 0),
            Some("gzip") => (Compression::Gzip, 9),
            Some("zstd") => (Compression::Zstd, 22),
            Some("estargz") => {
                return Err(SettingsError::Later {
                    what: "compression `estargz`".into(),
                    help: "use `gzip` or `zstd`".into(),
                });
            }
            Some(other) => return Err(self.malformed(&format!("unsupported compression type `{other}`"))),
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
