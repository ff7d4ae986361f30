//! [`Exit`]: the exit status, and what each one means.

use std::process::ExitCode;

/// How lbuild ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Well: 0.
    Success,
    /// A command of the image ended with this status; it is passed on.
    Command(u8),
    /// A signal of this number ended a command of the image: 128 and the number.
    Signal(u8),
    /// lbuild itself could not go on, wrong usage included: 125.
    Lbuild,
    /// The user ended it: 130.
    Interrupted,
}

impl Exit {
    /// Returns the number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Command(code) => code,
            Self::Signal(number) => 128u8.saturating_add(number),
            Self::Lbuild => 125,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_manual() {
        for (exit, code) in [
            (Exit::Success, 0),
            (Exit::Command(42), 42),
            (Exit::Signal(9), 137),
            (Exit::Signal(200), 255),
            (Exit::Lbuild, 125),
            (Exit::Interrupted, 130),
        ] {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
