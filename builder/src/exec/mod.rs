//! Execution: from a plan to layers, by records where they stand and by the worker where they do not.
//!
//! ```text
//! Session ── run ──> probe every stage (records only) ──> run the others side by side
//!    stage: base state ─ keys ─ deepest record ─ step ─ … ─ last state
//!    step:  run | copy | workdir ─> layer ─> record
//!    shelf: a layer as blob, directory, index, diff ID: whichever is asked for, made once
//! ```

mod agent;
mod contexts;
mod copy;
mod failed;
mod fetching;
mod lazy_worker;
mod made;
mod material;
mod pins;
mod remote;
mod run;
mod session;
mod shelf;
mod stage;
mod state;
mod step;
mod watched;

pub use contexts::Contexts;
pub use failed::FailedRun;
pub use lazy_worker::LazyWorker;
pub use made::Made;
pub use session::{Build, Session, Settings};
pub use shelf::Shelf;
pub use state::State;
