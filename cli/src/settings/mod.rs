//! What was typed and what the environment says, turned into what it means.
//!
//! The environment comes in as a value ([`Environment`]); files are only looked at here, never read, save for the
//! Dockerfile itself.

mod build;
mod csv;
mod engine;
mod environment;
mod error;
mod output;
mod registry;
mod root;
mod secret;

pub use build::{build, network, new_name, platform, progress, tag};
use engine::engine;
pub use environment::Environment;
pub use error::{SettingsError, nearest};
pub use registry::{registry, registry_host};
pub use root::root;

#[cfg(test)]
mod tests;
