//! Commands that look after builds and the store: logs, shells, plans, what is used and what can go.

use super::BuildArgs;
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
    /// Leave for what the step had: `security.insecure`
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
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

/// `lbuild du`.
#[derive(Debug, ClapArgs)]
pub struct DuArgs {
    /// Show each thing by itself
    #[arg(short, long)]
    pub verbose: bool,
    /// Only these kinds: images, layers, records, caches, derivatives, leftovers, logs
    #[arg(long, value_name = "KIND", value_delimiter = ',',
          value_parser = ["images", "layers", "records", "caches", "derivatives", "leftovers", "logs"])]
    pub kind: Vec<String>,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = ShapeArg::Table)]
    pub format: ShapeArg,
}

/// `lbuild prune`.
#[derive(Debug, ClapArgs)]
pub struct PruneArgs {
    /// Remove all that no image needs, however young: the build cache, cache mounts, logs
    #[arg(short, long)]
    pub all: bool,
    /// Only these kinds: images (those without a name; with `--all` every one), layers, records, caches, derivatives,
    /// leftovers, logs
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<String>,
    /// Only what was not used for so long, `until=24h`, or of a type as BuildKit calls it, `type=exec.cachemount`
    #[arg(long, value_name = "until=AGE|type=TYPE")]
    pub filter: Vec<String>,
    /// Remove what was not used for longest, until the store has no more than this
    #[arg(long, value_name = "SIZE")]
    pub max_used_space: Option<String>,
    /// Remove what was not used for longest, until so much is free on the store's file system
    #[arg(long, value_name = "SIZE")]
    pub min_free_space: Option<String>,
    /// Never go below this size
    #[arg(long, value_name = "SIZE", aliases = ["keep-storage", "reserved-space"])]
    pub keep: Option<String>,
    /// Nothing is asked in any case
    #[arg(short, long, hide = true)]
    pub force: bool,
}

/// `lbuild plan`.
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    /// How it is shown
    #[arg(long, value_enum, default_value_t = PlanShapeArg::Tree)]
    pub show: PlanShapeArg,
    /// The build
    #[command(flatten)]
    pub build: BuildArgs,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanShapeArg {
    /// Stages and their steps
    Tree,
    /// For programs
    Json,
    /// What waits for what, for Graphviz
    Dot,
}

impl PlanShapeArg {
    /// Reports whether `word` is what is typed for it.
    pub fn is_called(self, word: &str) -> bool {
        self.to_possible_value().is_some_and(|value| value.matches(word, false))
    }
}

/// How a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShapeArg {
    /// For people
    Table,
    /// For programs
    Json,
}
