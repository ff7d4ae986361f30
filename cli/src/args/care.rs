//! Commands that look after builds and the store: logs, shells, plans, what is used and what can go.

use clap::{Args as ClapArgs, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// `lbuild doctor`.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// How it is shown
    #[arg(long, value_enum, default_value_t = ShapeArg::Table)]
    pub format: ShapeArg,
}

/// `lbuild completions`.
#[derive(Debug, ClapArgs)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `lbuild man`.
#[derive(Debug, ClapArgs)]
pub struct ManArgs {
    /// The directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// `lbuild shell`.
#[derive(Debug, ClapArgs)]
pub struct ShellArgs {
    /// The bundle
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The command and its arguments, in place of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `lbuild logs`.
#[derive(Debug, ClapArgs)]
pub struct LogsArgs {
    /// Which build: 1 is the last one, 2 the one before it
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub build: NonZeroUsize,
    /// List the steps in place of what they wrote
    #[arg(short, long, conflicts_with = "step")]
    pub list: bool,
    /// One step: its number, its id, or a part of its name [default: all]
    pub step: Option<String>,
}

/// How a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShapeArg {
    /// For people
    Table,
    /// For programs
    Json,
}
