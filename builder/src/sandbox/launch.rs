//! [`execute`]: finds the program as execvp(3) does, with the image's PATH, and becomes it.

use crate::sandbox::error::SandboxError;
use crate::sandbox::message::Instructions;
use crate::sandbox::user::RunUser;
use nix::errno::Errno;
use std::convert::Infallible;
use std::ffi::CString;

/// PATH of an environment that has none (row 7-12).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the command. Returns only if that fails.
pub(super) fn execute(instructions: &Instructions, user: &RunUser) -> Result<Infallible, SandboxError> {
    let environment = environment(&instructions.environment, &user.home);
    let program = instructions.arguments.first().cloned().unwrap_or_default();
    let failed = |errno: Errno| SandboxError::Exec {
        program: program.clone(),
        errno: errno as i32,
        message: errno.desc().to_lowercase(),
    };
    let arguments = strings(instructions.arguments.iter().cloned()).map_err(failed)?;
    let variables = strings(environment.iter().map(|(name, value)| format!("{name}={value}"))).map_err(failed)?;
    let mut denied = false;
    for candidate in candidates(&program, &environment) {
        let path = CString::new(candidate).map_err(|_| failed(Errno::EINVAL))?;
        match nix::unistd::execve(&path, &arguments, &variables) {
            Err(Errno::ENOENT | Errno::ENOTDIR) if !program.contains('/') => {}
            Err(Errno::EACCES) if !program.contains('/') => denied = true,
            Err(errno) => return Err(failed(errno)),
            Ok(never) => return Ok(never),
        }
    }
    if denied {
        return Err(failed(Errno::EACCES));
    }
    Err(SandboxError::NotInPath { program })
}

/// Returns the paths to try in order.
fn candidates(program: &str, environment: &[(String, String)]) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let path = environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let directories = path.unwrap_or(DEFAULT_PATH).split(':');
    let directories = directories.map(|directory| if directory.is_empty() { "." } else { directory });
    if program.is_empty() {
        Vec::new()
    } else {
        directories.map(|directory| format!("{directory}/{program}")).collect()
    }
}

/// Returns the variables in order, each name once with its last value; PATH and HOME are there.
fn environment(given: &[(String, String)], home: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in given {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1.clone_from(value),
            None => all.push((name.clone(), value.clone())),
        }
    }
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOME", home)] {
        if !all.iter().any(|(known, _)| known == name) {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    all
}

fn strings(texts: impl Iterator<Item = String>) -> Result<Vec<CString>, Errno> {
    texts.map(|text| CString::new(text).map_err(|_| Errno::EINVAL)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Row 7-12.
    #[test]
    fn path_and_home_are_always_there() {
        assert_eq!(environment(&[], "/root"), owned(&[("PATH", DEFAULT_PATH), ("HOME", "/root")]));
        let given = owned(&[("HOME", "/h"), ("PATH", "/a"), ("X", "1"), ("X", "2")]);
        assert_eq!(environment(&given, "/root"), owned(&[("HOME", "/h"), ("PATH", "/a"), ("X", "2")]));
    }

    /// Row 1.7-1.
    #[test]
    fn a_name_is_looked_up_in_path() {
        let path = owned(&[("PATH", "/a::/b")]);
        assert_eq!(candidates("x", &path), ["/a/x", "./x", "/b/x"]);
        assert_eq!(candidates("./x", &path), ["./x"]);
        assert_eq!(candidates("", &path), Vec::<String>::new());
    }
}
