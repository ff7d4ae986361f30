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

/// Reports whether a file that is kept is gone or damaged: it is made anew.
pub(super) fn is_of_the_file(error: &StoreError) -> bool {
    match error {
        StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. } => true,
        StoreError::Io(error) => error.is_not_found(),
        _ => read_failure(error).is_some_and(is_of_the_file),
    }
}

fn registry(error: &StoreError) -> Option<&RegistryError> {
    match error {
        StoreError::Registry(error) => Some(error),
        _ => None,
    }
}

/// Returns the error that reading what is sent ended with, if that is why sending failed.
fn read_failure(error: &StoreError) -> Option<&StoreError> {
    match registry(error) {
        Some(RegistryError::Source { source, .. }) => source.get_ref()?.downcast_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_damaged_file_is_told_from_a_lost_upload() {
        let (wanted, got) = (Digest::of("wanted"), Digest::of("got"));
        let damaged = || StoreError::DigestMismatch { what: "blob".into(), wanted, got };
        let inside = RegistryError::Source { act: "push".into(), source: std::io::Error::other(damaged()) };
        let unreadable = RegistryError::Source { act: "push".into(), source: std::io::Error::other("no") };
        for (error, wanted) in [
            (damaged(), [true, false, false]),
            (inside.into(), [true, false, false]),
            (unreadable.into(), [false, false, false]),
            (RegistryError::Cancelled.into(), [false, false, false]),
            (RegistryError::NoChunks { act: "push".into() }.into(), [false, false, true]),
        ] {
            assert_eq!([is_of_the_file(&error), is_lost(&error), wants_whole(&error)], wanted, "{error:?}");
        }
    }
}
