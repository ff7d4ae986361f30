//! Says what the user may have meant.

pub(crate) use crate::dockerfile::suggest::nearest;

/// Returns the cure that names `suggestion`.
pub(crate) fn did_you_mean(suggestion: Option<&str>) -> Option<String> {
    suggestion.map(|name| format!("did you mean `{name}`?"))
}
