//! Dockerfile to plan to stages to image, and the sandbox that runs its steps.
//!
//! Modules stand in the order of their dependencies: a module uses only modules above it (and `layerfs`).
//! `dockerfile`, `graph`, `plan`, `key`, `assemble` and `sandbox::mounts` are pure: they touch no disk, clock,
//! environment or network.

pub mod source;

pub mod diagnostic;

pub mod progress;

pub mod dockerfile;

pub mod context;

pub mod fetch_limits;

pub mod copy;

pub mod graph;

pub mod bases;

mod onbuild;

pub mod git;
pub mod git_ref;

pub mod plan;

pub mod key;

pub mod cache;

pub mod channel;

pub mod sandbox;

pub mod worker;

pub mod assemble;

pub mod listener;

pub mod fetch_context;

pub mod annotation;

pub mod request;

pub mod tokens;

mod fetch_step;
mod fetcher;
mod known_urls;

pub mod resolve;

pub mod error;

mod exec;

mod fit;

mod push;

mod bundle;

pub mod attend;

pub mod doctor;

mod at_once;
mod manifest;

mod output;
mod rework;

mod reading;
mod with_contexts;

mod build;
pub mod call;
mod maintain;
mod platform_steps;
mod pull;
mod room;
mod run_image;
mod several;
mod shared;
mod usage;

pub use build::{BuildResult, Planned, PlannedImage, build, build_attended, plan as plan_build};
pub use bundle::{Bundle, open_bundle};
pub use maintain::check;
pub use manifest::ManifestBytes;
pub use output::Exported;
pub use pull::{PullRequest, Pulled, complete, pull};
pub use push::{Places, Pushed};
pub use room::Room;
pub use run_image::run_image;
pub use usage::{PruneOptions, prune, prune_to, usage};
pub use with_contexts::{DockerfilePlace, with_contexts};
