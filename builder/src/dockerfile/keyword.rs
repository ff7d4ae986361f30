//! [`Keyword`]: the names of instructions and the flags that each takes.

use super::flags::Takes;
use super::suggest::nearest;
use Takes::{Boolean, Many, One};

/// The name of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the instruction of its name")]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

/// Every name, in the order of the enum.
const NAMES: [(&str, Keyword); 18] = [
    ("ADD", Keyword::Add),
    ("ARG", Keyword::Arg),
    ("CMD", Keyword::Cmd),
    ("COPY", Keyword::Copy),
    ("ENTRYPOINT", Keyword::Entrypoint),
    ("ENV", Keyword::Env),
    ("EXPOSE", Keyword::Expose),
    ("FROM", Keyword::From),
    ("HEALTHCHECK", Keyword::Healthcheck),
    ("LABEL", Keyword::Label),
    ("MAINTAINER", Keyword::Maintainer),
    ("ONBUILD", Keyword::Onbuild),
    ("RUN", Keyword::Run),
    ("SHELL", Keyword::Shell),
    ("STOPSIGNAL", Keyword::Stopsignal),
    ("USER", Keyword::User),
    ("VOLUME", Keyword::Volume),
    ("WORKDIR", Keyword::Workdir),
];

impl Keyword {
    /// Returns the instruction of a name, in any case.
    pub(super) fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, keyword)| keyword)
    }

    /// Returns the instruction that a name that is not known may mean.
    pub(super) fn nearest(name: &str) -> Option<Self> {
        nearest(name, NAMES.iter().map(|(known, _)| *known)).and_then(Self::parse)
    }

    /// Returns the name, upper case.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].0
    }

    /// Returns whether heredocs may stand in the instruction.
    pub(super) fn takes_heredocs(self) -> bool {
        matches!(self, Self::Run | Self::Copy | Self::Add)
    }

    /// Returns the flags that the instruction takes, without `--`.
    pub(super) fn flags(self) -> &'static [(&'static str, Takes)] {
        match self {
            Self::Add => &[
                ("chown", One),
                ("chmod", One),
                ("link", Boolean),
                ("exclude", Many),
                ("checksum", One),
                ("keep-git-dir", Boolean),
                ("unpack", Boolean),
            ],
            Self::Copy => &[
                ("from", One),
                ("chown", One),
                ("chmod", One),
                ("link", Boolean),
                ("parents", Boolean),
                ("exclude", Many),
            ],
            Self::From => &[("platform", One)],
            Self::Healthcheck => {
                &[("interval", One), ("timeout", One), ("start-period", One), ("start-interval", One), ("retries", One)]
            }
            Self::Run => &[("mount", Many), ("network", One), ("security", One), ("device", Many)],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_the_enum() {
        for (name, keyword) in NAMES {
            assert_eq!(keyword.name(), name);
        }
    }
}
