//! `--call` and `--check`.

use super::SettingsError;
use crate::args::BuildArgs;

/// What is to be said of a build in place of doing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What.
    pub method: Method,
    /// As JSON.
    pub json: bool,
}

/// What can be said of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// What the build checks find.
    Check,
    /// What the target takes.
    Outline,
    /// Which targets there are.
    Targets,
}

/// Returns what `--call` or `--check` ask for; nothing for a build.
///
/// # Errors
/// [`SettingsError::Malformed`].
pub fn call(args: &BuildArgs) -> Result<Option<Call>, SettingsError> {
    let Some(text) = args.call.as_deref().or(args.check.then_some("check")) else { return Ok(None) };
    let malformed = |why: &str| SettingsError::Malformed { flag: "--call", text: text.to_owned(), why: why.to_owned() };
    let mut fields = text.split(',');
    let method = match fields.next().unwrap_or_default() {
        "build" => None,
        // The first name is what BuildKit's front end calls it.
        "lint" | "check" => Some(Method::Check),
        "outline" => Some(Method::Outline),
        "targets" => Some(Method::Targets),
        _ => return Err(malformed("write `build`, `check`, `outline` or `targets`, with `,format=json` for JSON")),
    };
    let mut json = false;
    for field in fields {
        match field {
            "format=json" => json = true,
            "format=text" => json = false,
            _ => return Err(malformed("write `format=json` or `format=text` after the comma")),
        }
    }
    Ok(method.map(|method| Call { method, json }))
}
