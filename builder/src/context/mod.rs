//! The build context: which files of the user's directory a build may see, and what they say.

pub mod archive;
pub mod glob;
mod globs;
pub mod ignore;
pub mod local;
pub mod memo;
mod names;
mod proof;
pub mod repository;
pub mod tree;
mod xattrs;
