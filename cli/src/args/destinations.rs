//! What was typed of where an image goes, besides `--output`.

use clap::{ArgAction, Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

/// Where the image of a build goes, besides `--output`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Destinations {
    /// Load the image into the Docker ($DOCKER_HOST, /var/run/docker.sock) or Podman of this machine, as
    /// `--output=type=docker` does
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = ArgAction::Set, hide_default_value = true, hide_possible_values = true)]
    pub load: bool,
    /// Make the layers of this build one; those of the base stay
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = ArgAction::Set, hide_default_value = true, hide_possible_values = true)]
    pub squash: bool,
    /// Whose media types the manifest states
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ManifestFormat::Oci, hide_default_value = true)]
    pub format: ManifestFormat,
    /// Annotation of the manifest, or of what is named before a colon: `manifest`, `manifest-descriptor`; may be repeated
    #[arg(long, value_name = "[LEVEL:]KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Write what the build came to, its digests among it, as JSON to a file
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Write where the time went to a file, for ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// Values of `--format` of `lbuild build`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ManifestFormat {
    /// OCI's
    Oci,
    /// Docker's
    Docker,
}
