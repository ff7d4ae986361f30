//! [`Origin`]: who has a layer that may not be in the store.

use super::ImageSource;
use std::fmt;
use std::sync::Arc;

/// Who has a layer that may not be in the store. Two are equal if they are the same source.
#[derive(Clone)]
pub struct Origin(pub Arc<dyn ImageSource>);

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Origin {}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.0.location())
    }
}
