//! [`RunLimits`]: how much a command may have; nothing of it changes what the command makes.

use layerfs::io_error::{IoContext, IoError};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// How much a command may have. Not part of a step's key (3.1-24).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunLimits {
    /// Bytes of /dev/shm; Docker's 64 MiB if it is not said.
    pub shm_size: Option<u64>,
    /// Resource limits, as setrlimit(2) knows them.
    pub resources: Vec<ResourceLimit>,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// One of [`ResourceLimit::names`].
    pub name: String,
    /// What counts; nothing for no limit.
    pub soft: Option<u64>,
    /// What the command may raise it to; nothing for no limit.
    pub hard: Option<u64>,
}

/// The names that Docker gives to resources.
const RESOURCES: [(&str, Resource); 15] = [
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("locks", Resource::RLIMIT_LOCKS),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("rss", Resource::RLIMIT_RSS),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("stack", Resource::RLIMIT_STACK),
];

impl ResourceLimit {
    /// Returns the names of the resources that can be limited.
    pub fn names() -> impl Iterator<Item = &'static str> {
        RESOURCES.iter().map(|(name, _)| *name)
    }

    /// Sets the limit for this process and what it starts.
    ///
    /// # Errors
    /// The operating system's: nobody but root raises a hard limit.
    pub(super) fn apply(&self) -> Result<(), IoError> {
        let Some((_, resource)) = RESOURCES.iter().find(|(name, _)| *name == self.name) else {
            return Err(IoError::new("set limit", &self.name, &std::io::Error::from_raw_os_error(libc::EINVAL)));
        };
        let value = |limit: Option<u64>| limit.unwrap_or(RLIM_INFINITY);
        setrlimit(*resource, value(self.soft), value(self.hard)).at("set limit", &self.name)
    }

    /// Returns the hard limit that this process has for the same resource; nothing for none.
    pub(super) fn ceiling(&self) -> Option<u64> {
        let (_, resource) = RESOURCES.iter().find(|(name, _)| *name == self.name)?;
        getrlimit(*resource).ok().map(|(_, hard)| hard).filter(|hard| *hard != RLIM_INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_stands_can_be_set_again_and_an_unknown_one_not() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_CORE).expect("a limit");
        let bound = |value| Some(value).filter(|value| *value != RLIM_INFINITY);
        let same = ResourceLimit { name: "core".into(), soft: bound(soft), hard: bound(hard) };
        assert_eq!(same.apply(), Ok(()));
        assert_eq!(same.ceiling(), bound(hard));
        let unknown = ResourceLimit { name: "cores".into(), soft: None, hard: None };
        assert_eq!(unknown.apply().map_err(|error| error.errno), Err(Some(libc::EINVAL)));
    }
}
