//! COPY, ADD of local files and WORKDIR: from what is read to the changes of a layer.
//!
//! ```text
//! sources + SourceTree -> Selection -> digests -> CopyPlan onto a Stack -> tar + LayerIndex
//! ```

pub mod archive;
pub mod digest;
pub mod entries;
pub mod error;
mod filter;
pub mod mode;
pub mod owner;
pub mod plan;
mod run;
pub mod select;
mod upper;
pub mod workdir;
pub mod write;

#[cfg(test)]
mod tests;
