//! `--platform`: what is built for, and what this machine can run.

use super::{Environment, SettingsError};
use crate::args::Surroundings;
use layerfs::platform::Platform;
use std::path::Path;

const VARIABLE: &str = "DOCKER_DEFAULT_PLATFORM";
const FLAG: &str = "--platform";
/// Where the kernel lists the interpreters of foreign programs (binfmt_misc, kernel documentation).
const INTERPRETERS: &str = "/proc/sys/fs/binfmt_misc";

/// Returns the platform of a build, and further ones: what was typed, `DOCKER_DEFAULT_PLATFORM`, what was set once, this machine's.
///
/// # Errors
/// [`SettingsError`] for what is no platform.
pub fn of_build(
    typed: &Surroundings,
    set: Option<&str>,
    environment: &Environment,
) -> Result<(Platform, Vec<Platform>), SettingsError> {
    if let Some(wish) = wish(typed) {
        return Ok((parse(&wish)?, Vec::new()));
    }
    let mut platforms: Vec<Platform> = Vec::new();
    for text in &typed.platform {
        let platform = parse(text)?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if !platforms.is_empty() {
        let first = platforms.remove(0);
        return Ok((first, platforms));
    }
    let variable = environment.text(VARIABLE).map(|text| {
        text.parse().map_err(|_| SettingsError::Variable {
            name: VARIABLE,
            value: text.to_owned(),
            wanted: "a platform of the form `os/arch[/variant]`",
        })
    });
    let only = variable.or_else(|| set.map(parse)).unwrap_or_else(|| Ok(Platform::host()))?;
    Ok((only, Vec::new()))
}

/// Returns what `--os`, `--arch` and `--variant` say together.
fn wish(typed: &Surroundings) -> Option<String> {
    if typed.os.is_none() && typed.arch.is_none() && typed.variant.is_none() {
        return None;
    }
    let host = Platform::host();
    let os = typed.os.as_deref().unwrap_or(&host.os);
    let architecture = typed.arch.as_deref().unwrap_or(&host.architecture);
    let variant = typed.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(format!("{os}/{architecture}{variant}"))
}

/// Returns the platform that was typed; this machine's where none was.
///
/// # Errors
/// [`SettingsError::Malformed`].
pub fn platform(typed: Option<&str>) -> Result<Platform, SettingsError> {
    typed.map_or_else(|| Ok(Platform::host()), parse)
}

fn parse(text: &str) -> Result<Platform, SettingsError> {
    let malformed = |why: &str| SettingsError::Malformed { flag: FLAG, text: text.to_owned(), why: why.to_owned() };
    let platform: Platform = text.parse().map_err(|_| malformed("it is not of the form `os/arch[/variant]`"))?;
    if platform.os != "linux" {
        return Err(malformed("only Linux images can be built"));
    }
    Ok(platform)
}

/// Returns the platforms whose programs this machine runs by emulation.
pub fn emulated() -> Vec<Platform> {
    emulated_by(Path::new(INTERPRETERS))
}

fn emulated_by(directory: &Path) -> Vec<Platform> {
    // Names that QEMU's packages give their interpreters, and the platforms they are for.
    const NAMES: [(&str, &str); 8] = [
        ("qemu-aarch64", "linux/arm64"),
        ("qemu-arm", "linux/arm"),
        ("qemu-i386", "linux/386"),
        ("qemu-ppc64le", "linux/ppc64le"),
        ("qemu-riscv64", "linux/riscv64"),
        ("qemu-s390x", "linux/s390x"),
        ("qemu-mips64el", "linux/mips64le"),
        ("qemu-x86_64", "linux/amd64"),
    ];
    let works = |name: &str| {
        let text = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        // Without F the interpreter would be looked for inside the sandbox.
        let fixed = text.lines().any(|line| line.strip_prefix("flags:").is_some_and(|flags| flags.contains('F')));
        text.starts_with("enabled") && fixed
    };
    NAMES.iter().filter(|(name, _)| works(name)).filter_map(|(_, platform)| platform.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn of(arguments: &[&str], set: Option<&str>, variable: Option<&str>) -> Result<String, String> {
        let args = Args::try_parse_from(["lbuild", "build", "."].iter().chain(arguments)).expect("parses");
        let Command::Build(build) = args.command else { panic!("build") };
        let environment: Environment = variable.map(|value| (VARIABLE, value)).into_iter().collect();
        let platform = of_build(&build.surroundings, set, &environment);
        let shown = |(first, more): (Platform, Vec<Platform>)| {
            std::iter::once(first).chain(more).map(|platform| platform.to_string()).collect::<Vec<_>>().join(",")
        };
        platform.map(shown).map_err(|error| error.to_string())
    }

    /// FEATURES 3.1-7.
    #[test]
    fn the_platform_is_typed_or_set() {
        let host = Platform::host().to_string();
        for (arguments, set, variable, wanted) in [
            (&["--platform", "linux/arm64/v8"][..], Some("linux/s390x"), Some("linux/386"), Ok("linux/arm64")),
            (&["--platform", "local"], None, None, Ok(host.as_str())),
            (&["--platform=linux/s390x,linux/s390x"], None, None, Ok("linux/s390x")),
            (&["--arch", "arm", "--variant", "v6"], None, None, Ok("linux/arm/v6")),
            (&[], Some("linux/s390x"), Some("linux/386"), Ok("linux/386")),
            (&[], Some("linux/s390x"), None, Ok("linux/s390x")),
            (&[], None, None, Ok(host.as_str())),
            (&["--platform=linux/s390x,linux/386", "--platform=linux/s390x"], None, None, Ok("linux/s390x,linux/386")),
            (
                &["--platform=windows/amd64"],
                None,
                None,
                Err("`--platform windows/amd64`: only Linux images can be built"),
            ),
            (
                &["--platform=a/b/c/d"],
                None,
                None,
                Err("`--platform a/b/c/d`: it is not of the form `os/arch[/variant]`"),
            ),
        ] {
            assert_eq!(of(arguments, set, variable), wanted.map(str::to_owned).map_err(str::to_owned), "{arguments:?}");
        }
        assert!(of(&[], None, Some("a/b/c/d")).expect_err("refused").contains("is not a platform"));
    }

    #[test]
    fn an_interpreter_counts_if_it_is_there_for_every_root() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in [
            ("qemu-aarch64", "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n"),
            ("qemu-s390x", "enabled\ninterpreter /usr/bin/qemu-s390x\nflags: OC\noffset 0\n"),
            ("qemu-arm", "disabled\ninterpreter /usr/bin/qemu-arm\nflags: F\n"),
        ] {
            std::fs::write(directory.path().join(name), text).expect("written");
        }
        let found: Vec<String> = emulated_by(directory.path()).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["linux/arm64"]);
        assert!(emulated_by(Path::new("/no/such")).is_empty());
    }
}
