//! [`Typed`]: the attributes of one `--output`.

use super::super::{SettingsError, csv};
use super::annotation;
use builder::annotation::Annotation;
use builder::request::{LayerCompression, Look};
use layerfs::compress::Compression;
use layerfs::platform::Platform;
use layerfs::reference::ImageRef;

pub(super) const FLAG: &str = "--output";
const KNOWN: &[&str] = &[
    "annotation",
    "compression",
    "compression-level",
    "dest",
    "force-compression",
    "mode",
    "name",
    "oci-mediatypes",
    "platform-split",
    "push",
    "push-by-digest",
    "rewrite-timestamp",
    "source-date-epoch",
    "tar",
    "type",
];
/// Attributes that say how BuildKit keeps images or attestations, neither of which is so here.
const WITHOUT_EFFECT: [&str; 7] =
    ["attestation-inline", "buildinfo", "buildinfo-attrs", "oci-artifact", "prefer-nondist-layers", "store", "unpack"];

/// The attributes of one `--output`.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub text: String,
    pub kind: Option<String>,
    pub dest: Option<String>,
    name: Option<String>,
    /// `tar=false`.
    pub directory: bool,
    pub push: Option<bool>,
    pub by_digest: bool,
    pub delete: bool,
    /// `platform-split`: a directory for each platform.
    pub split: Option<bool>,
    pub compression: Option<String>,
    level: Option<String>,
    force: bool,
    oci_types: Option<bool>,
    rewrite_timestamp: bool,
    source_date_epoch: Option<u64>,
    pub annotations: Vec<Annotation>,
}

impl Typed {
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut typed = Self { text: text.to_owned(), ..Self::default() };
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
            ("mode", value) => self.delete = self.mode(value.as_deref())?,
            ("tar", value) => self.directory = !self.boolean(value.as_deref())?,
            ("push", value) => self.push = Some(self.boolean(value.as_deref())?),
            ("push-by-digest", value) => self.by_digest = self.boolean(value.as_deref())?,
            ("force-compression", value) => self.force = self.boolean(value.as_deref())?,
            ("platform-split", value) => self.split = Some(self.boolean(value.as_deref())?),
            ("oci-mediatypes", value) => self.oci_types = Some(self.boolean(value.as_deref())?),
            ("rewrite-timestamp", value) => self.rewrite_timestamp = self.boolean(value.as_deref())?,
            ("source-date-epoch", value) => self.source_date_epoch = self.epoch(value.as_deref())?,
            (name, _) if WITHOUT_EFFECT.contains(&name) => {}
            // A bare path is short for `type=local`, `-` for `type=tar`.
            (path, None) => {
                self.kind = Some(if path == "-" { "tar" } else { "local" }.to_owned());
                self.dest = Some(path.to_owned());
            }
            (name, Some(value)) => match annotation::of_attribute(name, &value) {
                Ok(Some(annotation)) => self.annotations.push(annotation),
                Ok(None) => return Err(self.unknown(name)),
                Err(why) => return Err(self.malformed(&why)),
            },
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

    fn mode(&self, value: Option<&str>) -> Result<bool, SettingsError> {
        match value {
            Some("copy") => Ok(false),
            Some("delete") => Ok(true),
            _ => Err(self.malformed("`mode` is `copy` or `delete`")),
        }
    }

    fn epoch(&self, value: Option<&str>) -> Result<Option<u64>, SettingsError> {
        let wrong = || self.malformed("`source-date-epoch` is a number of seconds since 1970");
        match value {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| wrong()),
        }
    }

    pub fn names(&self) -> Result<Vec<ImageRef>, SettingsError> {
        self.name.iter().flat_map(|names| names.split(',')).map(super::super::build::tag).collect()
    }

    /// Returns how the image for `platforms` looks; `docker` is what `--format` says.
    pub fn look(
        &self,
        docker: bool,
        annotations: &[Annotation],
        platforms: &[Platform],
    ) -> Result<Look, SettingsError> {
        let docker_types = self.oci_types.map_or(docker, |oci| !oci);
        let conflict = |option: &str| {
            let why = format!("Docker's media types know no `{option}`: take OCI's, or leave it out");
            Err(self.malformed(&why))
        };
        for one in &self.annotations {
            annotation::check(one, platforms).map_err(|why| self.malformed(&why))?;
        }
        if docker_types && self.compression.as_deref() == Some("zstd") {
            return conflict("compression=zstd");
        }
        if docker_types && !(annotations.is_empty() && self.annotations.is_empty()) {
            return conflict("annotation");
        }
        let (rewrite_timestamp, source_date_epoch) = (self.rewrite_timestamp, self.source_date_epoch);
        let annotations = [annotations, &self.annotations].concat();
        Ok(Look { docker_types, annotations, rewrite_timestamp, source_date_epoch })
    }

    pub fn compression(&self, usual: Compression) -> Result<LayerCompression, SettingsError> {
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
            Some(other) => {
                let why = format!("unsupported compression type `{other}`: it is `uncompressed`, `gzip` or `zstd`");
                return Err(self.malformed(&why));
            }
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
        let why = match most {
            0 => "`compression-level` is of `compression=gzip` or `compression=zstd`: say which".to_owned(),
            most => format!("`compression-level` is a number from 0 to {most}"),
        };
        let wrong = || self.malformed(&why);
        self.level.as_ref().map(|text| parse(text).ok_or_else(wrong)).transpose()
    }

    pub fn malformed(&self, why: &str) -> SettingsError {
        SettingsError::Malformed { flag: FLAG, text: self.text.clone(), why: why.to_owned() }
    }

    fn unknown(&self, name: &str) -> SettingsError {
        SettingsError::UnknownAttribute { flag: FLAG, text: self.text.clone(), name: name.to_owned(), known: KNOWN }
    }
}
