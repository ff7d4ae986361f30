//! What a failure in mid-push means for what comes next.

use crate::error::StoreError;
use crate::registry::error::RegistryError;

/// Reports whether the registry forgot an upload: it is begun again.
pub(super) fn is_lost(error: &StoreError) -> bool {
    matches!(registry(error), Some(RegistryError::UploadLost { .. }))
}

/// Reports whether the registry takes no chunks: the blob goes whole.
pub(super) fn wants_whole(error: &StoreError) -> bool {
    matches!(registry(error), Some(RegistryError::NoChunks { .. }))
}

/// Reports whether a mount was refused in words, as by a token that may not read the other repository: the blob is sent.
pub(super) fn is_refusal(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Denied(_) | RegistryError::NotFound { .. } | RegistryError::Answered(_))
}

/// Reports whether a file that is kept is gone or damaged: it is made anew.
pub(super) fn is_of_the_file(error: &StoreError) -> bool {
    match error {
        StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. } => true,
        StoreError::Io(error) => error.is_not_found(),
        _ => false,
    }
}

fn registry(error: &StoreError) -> Option<&RegistryError> {
    match error {
        StoreError::Registry(error) => Some(error),
        _ => None,
    }
}
