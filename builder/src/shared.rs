//! [`Shared`]: what the builds of one call have in common.

use crate::attend::Attendant;
use crate::exec::Made;
use crate::reading::Reading;
use layerfs::cancel::Cancel;
use layerfs::store::Store;
use std::fmt;

/// What the builds of one call have in common: there is one for each platform.
pub(crate) struct Shared<'a> {
    /// The Dockerfile.
    pub reading: Reading<'a>,
    /// Where all is kept.
    pub store: &'a Store,
    /// The caller's, which no failure of a step sets off.
    pub cancel: &'a Cancel,
    /// Who looks at what a failed command leaves.
    pub attendant: Option<&'a dyn Attendant>,
    /// What ran already; nothing where there is one platform, whose steps run once.
    pub made: Option<Made>,
}

impl fmt::Debug for Shared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("reading", &self.reading).field("made", &self.made).finish_non_exhaustive()
    }
}
