//! [`Surroundings`]: flags about what a build runs with, apart from what it builds.

use super::NetworkArg;
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Flags about what a build runs with, apart from what it builds.
#[derive(Debug, Clone, ClapArgs)]
pub struct Surroundings {
    /// Platform of the image, `os/arch[/variant]`; a RUN needs this machine's or an emulator [default:
    /// $DOCKER_DEFAULT_PLATFORM, else this machine's]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// Architecture of the image, in place of --platform
    #[arg(long, value_name = "ARCH", hide = true, conflicts_with = "platform")]
    pub arch: Option<String>,
    /// Operating system of the image, in place of --platform
    #[arg(long, value_name = "OS", hide = true, conflicts_with = "platform")]
    pub os: Option<String>,
    /// Variant of the architecture, in place of --platform
    #[arg(long, value_name = "VARIANT", hide = true, conflicts_with = "platform")]
    pub variant: Option<String>,
    /// Network of RUN: `default` and `host` are the caller's, `none` is loopback only [default: default]
    #[arg(long, visible_alias = "net", value_enum)]
    pub network: Option<NetworkArg>,
    /// Line for /etc/hosts of RUN, `NAME:IP` or `NAME:host-gateway`; may be repeated
    #[arg(long, value_name = "NAME:IP", value_delimiter = ',')]
    pub add_host: Vec<String>,
    /// Size of /dev/shm of RUN, as `128m` [default: 64m]
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Resource limit of RUN, as `nofile=1024:4096`; may be repeated
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// How much is taken in of what others wrote: `download=SIZE`, `archive-bytes=SIZE`, `archive-entries=NUMBER`,
    /// `archive-ratio=NUMBER`; may be repeated
    #[arg(long, value_name = "NAME=SIZE")]
    pub limit: Vec<String>,
    /// Run every step of these stages again
    #[arg(long, value_name = "STAGE[,STAGE]", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// File of lines NAME=VALUE for ARG; --build-arg goes before; may be repeated
    #[arg(long, value_name = "FILE")]
    pub build_arg_file: Vec<PathBuf>,
    /// File of patterns in place of .dockerignore
    #[arg(long, value_name = "FILE")]
    pub ignorefile: Option<PathBuf>,
    /// What to do when a RUN fails: `shell` opens a shell in its file system, `bundle:DIR` writes it for `lbuild shell DIR`
    #[arg(long, value_name = "shell|bundle:DIR")]
    pub on_fail: Option<String>,
    /// Seconds since 1970 for what is made [default: $SOURCE_DATE_EPOCH]
    #[arg(long, value_name = "SECONDS")]
    pub source_date_epoch: Option<String>,
    /// The only file of credentials for registries
    #[arg(long, value_name = "FILE", hide = true)]
    pub authfile: Option<PathBuf>,
    /// Hand the caller's proxies to RUN
    #[arg(long, value_name = "BOOL", hide = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub http_proxy: bool,
    /// As --pull=always
    #[arg(long, hide = true, conflicts_with_all = ["pull", "pull_never"])]
    pub pull_always: bool,
    /// As --pull=never
    #[arg(long, hide = true, conflicts_with = "pull")]
    pub pull_never: bool,
}
