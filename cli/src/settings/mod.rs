//! What was typed and what the environment says, turned into what it means.
//!
//! The environment comes in as a value ([`Environment`]); files are only looked at here, never read, save for the
//! Dockerfile itself.

mod arguments;
mod build;
mod call;
mod config;
mod csv;
mod engine;
mod environment;
mod error;
mod fetch_limits;
mod on_fail;
mod output;
mod place;
mod platform;
mod prune;
mod registry;
mod root;
mod secret;
mod ssh;
mod surroundings;

pub use build::{BuildSettings, allows_insecure, build, dockerfile_at, network, new_name, tag, view};
pub use call::{Call, Method};
pub use config::{Config, config};
use engine::engine;
pub use environment::Environment;
pub use error::SettingsError;
pub use on_fail::OnFail;
pub use output::index_annotations;
pub use platform::{emulated, platform};
pub use prune::{PruneSettings, prune};
pub use registry::{registry, registry_host};
pub use root::root;

#[cfg(test)]
mod tests;
