//! What commands wrote, kept for the last builds, beside the store: `logs/<build>/`.
//!
//! ```text
//! steps.jsonl   one line per news of a step: {"number":3,"step":"0.1","name":"[2/2] RUN make","state":"done","took":120}
//! 3.log         all that step 3 wrote, secrets taken out
//! ```
//!
//! A build holds a lock on its `steps.jsonl`, so that nobody takes its logs away meanwhile.

mod keeper;
mod reader;
mod redact;

pub use keeper::Keeper;
#[cfg(test)]
pub use reader::State;
pub use reader::{KeptBuild, KeptStep, builds};
pub use redact::Secrets;

/// The directory in the store.
const DIRECTORY: &str = "logs";
/// The list of steps in the directory of a build.
const STEPS: &str = "steps.jsonl";
/// Of how many builds the logs are kept, unless that is set.
pub const KEPT_BUILDS: usize = 10;
