//! [`View`]: which screen shows the progress.

use super::KnownSource;
use super::grouped::{Grouped, Runner};
use super::live::Tty;
use super::plain::Plain;
use super::quiet::Quiet;
use super::raw::Raw;
use super::style::Style;
use super::watch::Screen;
use crate::settings::Environment;
use layerfs::io_error::{IoContext, IoError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// Which screen shows the progress; all write to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// One line per event.
    Plain,
    /// A live view.
    Tty,
    /// Nothing.
    Quiet,
    /// One JSON object per event.
    Raw,
    /// Folded for the log viewer of GitHub Actions.
    GitHub,
    /// Folded for the log viewer of GitLab CI.
    GitLab,
}

impl View {
    /// Returns the view of a log that nobody asked to be in another form.
    pub fn of_log(environment: &Environment) -> Self {
        let is_set = |name: &str| environment.text(name) == Some("true");
        match (is_set("GITHUB_ACTIONS"), is_set("GITLAB_CI")) {
            (true, _) => Self::GitHub,
            (false, true) => Self::GitLab,
            (false, false) => Self::Plain,
        }
    }

    /// Returns the screen; what it shows is about `source`.
    ///
    /// # Errors
    /// The operating system's, if the live view cannot be started.
    pub fn open(self, environment: &Environment, source: &KnownSource) -> Result<Arc<dyn Screen>, IoError> {
        let grouped = |runner| Arc::new(Grouped::new(std::io::stderr(), runner, source.clone(), token()));
        Ok(match self {
            Self::Quiet => Arc::new(Quiet),
            Self::Tty => Arc::new(Tty::start(Style::of(environment)).at("start", "the live view")?),
            Self::Plain => Arc::new(Plain::new(std::io::stderr())),
            Self::Raw => Arc::new(Raw::new(std::io::stderr())),
            Self::GitHub => grouped(Runner::GitHub),
            Self::GitLab => grouped(Runner::GitLab),
        })
    }

    /// Reports whether warnings need the line of the Dockerfile in their text.
    pub fn needs_places(self) -> bool {
        matches!(self, Self::Plain | Self::Tty | Self::GitLab)
    }

    /// Reports whether people read it, and want a summary at the end.
    pub fn is_for_people(self) -> bool {
        !matches!(self, Self::Quiet | Self::Raw)
    }
}

/// Returns a word that nobody can guess.
fn token() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
