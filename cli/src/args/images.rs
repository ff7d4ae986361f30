//! What was typed after the commands for images of the store.

use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

/// `lbuild images`.
#[derive(Debug, ClapArgs)]
pub struct ImagesArgs {
    /// Accepted as Docker's: lbuild has no images that only stand behind others
    #[arg(short, long)]
    pub all: bool,
    /// Show image IDs only
    #[arg(short, long)]
    pub quiet: bool,
    /// Show the digests of manifests, too
    #[arg(long)]
    pub digests: bool,
    /// Show whole image IDs
    #[arg(long)]
    pub no_trunc: bool,
    /// Show only images that pass: `label=KEY[=VALUE]`, `reference=PATTERN`, `before=IMAGE`, `since=IMAGE`, `until=TIME`,
    /// `dangling=true|false`; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// `table`, `json`, or a Go template (`{{.Repository}}:{{.Tag}}`), with `table` before it for a head
    #[arg(long, value_name = "FORMAT", default_value = "table", conflicts_with_all = ["quiet", "tree"])]
    pub format: String,
    /// Show the layers of each image
    #[arg(long, conflicts_with = "quiet")]
    pub tree: bool,
    /// Show only images of this repository or name; `*` stands for anything in a part of it
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
}

/// `lbuild inspect`.
#[derive(Debug, ClapArgs)]
pub struct InspectArgs {
    /// `json`, or a Go template (`{{.Config.Cmd}}`)
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    pub format: String,
    /// Accepted as Docker's: there is nothing but images
    #[arg(long = "type", value_name = "TYPE", value_parser = ["image"])]
    pub kind: Option<String>,
    /// Accepted as Docker's: it is about containers
    #[arg(short, long, hide = true)]
    pub size: bool,
    /// The images: names, image IDs or beginnings of them
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// `lbuild history`.
#[derive(Debug, ClapArgs)]
pub struct HistoryArgs {
    /// `table`, `json`, or a Go template (`{{.CreatedBy}}`), with `table` before it for a head
    #[arg(long, value_name = "FORMAT", default_value = "table", conflicts_with = "quiet")]
    pub format: String,
    /// Show sizes and ages in words, or, with `false`, as numbers
    #[arg(short = 'H', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub human: bool,
    /// Show whole commands and image IDs
    #[arg(long)]
    pub no_trunc: bool,
    /// Show image IDs only
    #[arg(short, long)]
    pub quiet: bool,
    /// The image: a name, an image ID or the beginning of one
    pub image: String,
}

/// `lbuild rmi`.
#[derive(Debug, ClapArgs)]
pub struct RmiArgs {
    /// Accept as Docker's that an image is not there
    #[arg(short, long)]
    pub force: bool,
    /// Accepted as Docker's: no parents without a name are kept
    #[arg(long, hide = true)]
    pub no_prune: bool,
    /// The images: a name takes that name away, an image ID all names of the image
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// `lbuild save`.
#[derive(Debug, ClapArgs)]
pub struct SaveArgs {
    /// Where to; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = SaveFormatArg::DockerArchive)]
    pub format: SaveFormatArg,
    /// Accepted as Podman's: nothing is shown anyway
    #[arg(short, long)]
    pub quiet: bool,
    /// Accepted as Podman's: an archive takes any number of images
    #[arg(short, long)]
    pub multi_image_archive: bool,
    /// The images: names, image IDs or beginnings of them
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// `lbuild load`.
#[derive(Debug, ClapArgs)]
pub struct LoadArgs {
    /// The archive, or a layout; `-` is standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub input: PathBuf,
    /// Platform to choose of an image that is there for several, `os/arch[/variant]` [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Accepted as Docker's: nothing is shown but what was loaded
    #[arg(short, long)]
    pub quiet: bool,
}

/// `lbuild tag`.
#[derive(Debug, ClapArgs)]
pub struct TagArgs {
    /// The image: a name, an image ID or the beginning of one
    #[arg(value_name = "SOURCE")]
    pub image: String,
    /// The names to give, `NAME[:TAG]`; an image that has one of them loses it
    #[arg(required = true, value_name = "TARGET")]
    pub names: Vec<String>,
}

/// `lbuild diff`.
#[derive(Debug, ClapArgs)]
pub struct DiffArgs {
    /// `text`, `json`, or a Go template for each path (`{{.Kind}} {{.Path}}`)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: String,
    /// Let times of modification count, too
    #[arg(long)]
    pub times: bool,
    /// End with status 1 if something differs
    #[arg(long)]
    pub exit_code: bool,
    /// The first: an image (name, image ID or the beginning of one), or a layer by its diff ID or digest
    #[arg(value_name = "A")]
    pub from: String,
    /// The second
    #[arg(value_name = "B")]
    pub to: String,
}

/// Values of `lbuild save --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SaveFormatArg {
    /// A tar for `docker load` and `podman load` that is an OCI image layout, too
    DockerArchive,
    /// A tar of an OCI image layout
    OciArchive,
    /// An OCI image layout as a directory, new or with these images more
    OciDir,
}
