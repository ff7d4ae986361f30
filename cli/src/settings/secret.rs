//! `--secret`.

use super::{Environment, SettingsError, csv};
use builder::request::{SecretSource, SecretSpec};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const FLAG: &str = "--secret";
const KNOWN: &[&str] = &["id", "src", "source", "env", "type"];

/// Returns the secret that `text` describes; it must be there and not too big.
///
/// # Errors
/// [`SettingsError`], which never holds a secret's value.
pub fn secret(text: &str, environment: &Environment) -> Result<SecretSpec, SettingsError> {
    let typed = Typed::parse(text)?;
    let malformed = |why: &str| SettingsError::Malformed { flag: FLAG, text: text.to_owned(), why: why.to_owned() };
    let Some(id) = typed.id.filter(|id| !id.is_empty()) else {
        return Err(malformed("secret missing ID: write `id=NAME`"));
    };
    let source = match (typed.kind.as_deref(), typed.file, typed.variable) {
        (_, Some(_), Some(_)) => return Err(malformed("`src` and `env` exclude each other")),
        (Some("env"), file, variable) => from_environment(&id, &variable.or(file).unwrap_or(id.clone()), environment)?,
        (Some("file"), file, _) => from_file(&id, &file.unwrap_or(id.clone()))?,
        (Some(_), ..) => return Err(malformed("`type` is `file` or `env`")),
        (None, Some(file), None) => from_file(&id, &file)?,
        (None, None, Some(variable)) => from_environment(&id, &variable, environment)?,
        (None, None, None) if environment.get(&id).is_some() => from_environment(&id, &id, environment)?,
        (None, None, None) => from_file(&id, &id)?,
    };
    Ok(SecretSpec { id, source })
}

#[derive(Default)]
struct Typed {
    id: Option<String>,
    file: Option<String>,
    variable: Option<String>,
    kind: Option<String>,
}

impl Typed {
    fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut typed = Self::default();
        for (name, value) in csv::fields(FLAG, text)? {
            let place = match name.as_str() {
                "id" => &mut typed.id,
                "src" | "source" => &mut typed.file,
                "env" => &mut typed.variable,
                "type" => &mut typed.kind,
                _ => {
                    return Err(SettingsError::UnknownAttribute {
                        flag: FLAG,
                        text: text.to_owned(),
                        name,
                        known: KNOWN,
                    });
                }
            };
            *place = value;
        }
        Ok(typed)
    }
}

fn from_environment(id: &str, variable: &str, environment: &Environment) -> Result<SecretSource, SettingsError> {
    let value = environment.get(variable).ok_or_else(|| SettingsError::Secret {
        id: id.to_owned(),
        why: format!("environment variable `{variable}` is not set"),
        help: "export the variable, or name a file with `src=FILE`".into(),
    })?;
    check_size(id, value.len() as u64)?;
    Ok(SecretSource::Environment(value.as_bytes().to_vec()))
}

fn from_file(id: &str, file: &str) -> Result<SecretSource, SettingsError> {
    let failed = |why: String| SettingsError::Secret {
        id: id.to_owned(),
        why,
        help: "name the file with `src=FILE` or an environment variable with `env=NAME`".into(),
    };
    let metadata = std::fs::metadata(file).map_err(|error| failed(format!("`{file}`: {}", reason(&error))))?;
    if metadata.is_dir() {
        return Err(failed(format!("`{file}` is a directory")));
    }
    check_size(id, metadata.len())?;
    Ok(SecretSource::File(Path::new(file).to_owned()))
}

fn check_size(id: &str, size: u64) -> Result<(), SettingsError> {
    if size <= SecretSource::LIMIT {
        return Ok(());
    }
    Err(SettingsError::Secret {
        id: id.to_owned(),
        why: format!("it has {size} bytes, {} are allowed", SecretSource::LIMIT),
        help: "mount big inputs with `--mount=type=bind` and `--build-context`".into(),
    })
}

/// Returns the text of an operating system's error without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
