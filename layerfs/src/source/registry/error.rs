//! [`PullError`]: what every place that may have an image said.

use crate::registry::error::RegistryError;
use std::fmt;

/// What every place that may have an image said, in the order in which they were asked.
#[derive(Debug)]
pub struct PullError {
    /// The image.
    pub name: String,
    /// The places, `host/repository`, and their answers; empty if none may be asked.
    pub asked: Vec<(String, RegistryError)>,
}

impl PullError {
    /// Returns what can be done about it: what the image's own host said counts most, which is asked last.
    pub fn help(&self) -> Option<String> {
        self.asked.iter().rev().find_map(|(_, error)| error.help())
    }

    /// Reports whether the last place answered that it was asked too often.
    pub fn is_limit(&self) -> bool {
        matches!(self.asked.last(), Some((_, RegistryError::TooMany(_))))
    }

    /// Reports whether no place answered that there is no such image, or that we may not have it: it may well be there.
    pub fn is_silence(&self) -> bool {
        self.asked.last().is_none_or(|(_, error)| is_silence(error))
    }
}

/// Reports whether an error says nothing of what was asked for.
fn is_silence(error: &RegistryError) -> bool {
    match error {
        RegistryError::UnknownHost { .. }
        | RegistryError::Unreachable { .. }
        | RegistryError::Broken { .. }
        | RegistryError::TooMany(_) => true,
        RegistryError::Answered(refusal) => refusal.status >= 500,
        _ => false,
    }
}

impl fmt::Display for PullError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asked.as_slice() {
            [] => write!(f, "no registry may be asked for `{}`", self.name),
            [(_, error)] => write!(f, "{error}"),
            several => {
                write!(f, "none of {} places gave `{}`", several.len(), self.name)?;
                several.iter().try_for_each(|(place, error)| write!(f, "; `{place}`: {error}"))
            }
        }
    }
}

impl std::error::Error for PullError {}
