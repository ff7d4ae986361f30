//! Bytes at rest and in transit: digests, layers, the store, images, mounts.
//!
//! Modules stand in the order of their dependencies: a module uses only modules above it.
//!
//! Locks are taken in this order, and none is held over a network wait: `gc.lock`, a lease, `index.lock`. Who makes a
//! compressed form of a layer (`Store::making`) takes none of them before that, and the one of a push that compresses after.

pub mod ahead;
pub mod alone;
pub mod base64;
pub mod behind;
pub mod beside;

pub mod cancel;
pub mod flight;
pub mod growing;
pub mod holes;
pub mod io_error;
pub mod meter;
pub mod sys;
pub mod trace;

pub mod digest;
pub mod platform;
pub mod reference;

pub mod descriptor;
pub mod image;

pub mod sealed;
pub mod turn;

pub mod path;
pub mod rootdir;

pub mod meta;

pub mod change;
pub mod index;
pub mod layer;

pub mod directories;
pub mod stack;

pub mod tar;

pub mod compress;

pub mod diff;
pub mod mount;
pub mod unpack;

pub mod registry;

pub mod error;

pub mod verify;

pub mod blobs;
pub mod holders;
pub mod indexes;
pub mod lease;
pub mod refs;
pub mod store;

pub mod source;

pub mod download;

pub mod flat;

pub mod compare;
pub mod export;

pub mod load;

#[cfg(test)]
mod testing;
