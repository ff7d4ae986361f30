//! [`FailedRun`]: what is known of a command that failed and whose file system was kept.

use crate::progress::StepId;
use crate::sandbox::spec::RunSpec;
use layerfs::layer::{Layer, LayerKey};
use layerfs::path::TreePath;
use std::fs::File;

/// What is known of a command that failed and whose file system was kept.
#[derive(Debug)]
pub struct FailedRun {
    /// The step.
    pub id: StepId,
    /// The name that its layer would have had.
    pub key: LayerKey,
    /// What the sandbox was told.
    pub spec: RunSpec,
    /// How many variables of its environment, from the first, are neither proxies nor secrets.
    pub public: usize,
    /// The layers below it.
    pub stack: Vec<Layer>,
    /// Its secrets, in memory files.
    pub secrets: Vec<File>,
    /// Where it had sockets of SSH agents: those are closed.
    pub agents: Vec<TreePath>,
}
