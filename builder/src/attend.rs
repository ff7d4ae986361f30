//! [`Attendant`]: who looks at a command that failed while its file system is still there; [`FailedStep`]: what can be
//! done with it.

use crate::bases::Bases;
use crate::bundle;
use crate::error::StepError;
use crate::exec::{FailedRun, LazyWorker};
use crate::sandbox::spec::RunSpec;
use crate::worker::id_map::IdMap;
use crate::worker::protocol::Exit;
use layerfs::cancel::Cancel;
use layerfs::io_error::IoContext;
use layerfs::store::Store;
use std::fmt;
use std::io::Seek;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Who looks at a command that failed. Nothing else of the build runs any more.
pub trait Attendant: Sync {
    /// Is told of the failure; of several, of the one that is reported.
    fn failed(&self, step: FailedStep<'_>);
}

/// A command that failed, with its file system as it left it.
pub struct FailedStep<'a> {
    pub(crate) name: String,
    pub(crate) run: FailedRun,
    pub(crate) worker: &'a LazyWorker<'a>,
    pub(crate) store: &'a Store,
    pub(crate) bases: &'a Bases,
    pub(crate) map: &'a IdMap,
    pub(crate) cancel: &'a Cancel,
}

impl fmt::Debug for FailedStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedStep").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FailedStep<'_> {
    /// Returns the name of the step, as it is shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the argument list of the command.
    pub fn arguments(&self) -> &[String] {
        &self.run.spec.arguments
    }

    /// Returns what the command had and a shell in its file system has not, a line each.
    pub fn left_out(&self) -> Vec<String> {
        self.run.agents.iter().map(|target| format!("the SSH agent at `{target}`")).collect()
    }

    /// Runs the step's shell on `terminal`, in the file system that the command left, with its environment, its mounts
    /// and its secrets; returns how it ended. May be called again.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn enter(&self, terminal: BorrowedFd<'_>) -> Result<Exit, StepError> {
        for mut secret in &self.run.secrets {
            // The command's own reading has left it at the end.
            secret.rewind().at("rewind", "memfd")?;
        }
        let descriptors: Vec<BorrowedFd<'_>> = self.run.secrets.iter().map(AsFd::as_fd).chain([terminal]).collect();
        let arguments = vec![shell_of(&self.run.spec)];
        Ok(self.worker.get()?.enter(self.run.key, arguments, &descriptors, self.cancel)?)
    }

    /// Writes what somebody elsewhere needs to enter the same, into a directory that is empty or not there; returns what
    /// was left out, a line each.
    ///
    /// # Errors
    /// The worker's, the store's, the operating system's.
    pub fn bundle(self, directory: &Path) -> Result<Vec<String>, StepError> {
        bundle::write(self, directory)
    }
}

/// Returns the shell of a command: its own if it is one, else the usual one.
pub(crate) fn shell_of(spec: &RunSpec) -> String {
    let own = spec.arguments.first().filter(|program| {
        let name = program.rsplit('/').next().unwrap_or_default();
        matches!(name, "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "fish")
    });
    own.cloned().unwrap_or_else(|| "/bin/sh".to_owned())
}
