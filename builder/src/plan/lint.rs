//! Warnings of the plan (1.8).

use crate::bases::Base;
use crate::diagnostic::{Diagnostic, Severity};
use crate::dockerfile::instruction::Instruction;
use crate::dockerfile::{Dockerfile, Stage};
use crate::graph::globals::Globals;
use crate::graph::suggest::{did_you_mean, nearest};
use crate::source::Span;
use layerfs::platform::Platform;

/// Parts of names that tell a secret.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// Parts of names that tell that it is none after all.
const PUBLIC: [&str; 3] = ["public", "file", "version"];

/// Returns a warning if `name` looks like that of a secret (1.8-16).
pub(super) fn secret_name(instruction: &str, name: &str, span: Span) -> Option<Diagnostic> {
    let lower = name.to_lowercase();
    let has = |list: &[&str]| lower.split('_').any(|part| list.contains(&part));
    (has(&SECRET) && !has(&PUBLIC)).then(|| {
        let text = format!("{instruction} `{name}` looks like a secret, and would stay in the image or its history");
        Diagnostic::of_rule("SecretsUsedInArgOrEnv", text, span).help("use `RUN --mount=type=secret`")
    })
}

/// Returns a warning of a variable that is not set (1.8-11).
pub(super) fn undefined_variable<'a>(name: &str, known: impl Iterator<Item = &'a str>, span: Span) -> Diagnostic {
    let mut warning = Diagnostic::of_rule("UndefinedVar", format!("variable `${name}` is not defined"), span);
    warning.help = did_you_mean(nearest(name, known));
    warning
}

/// Returns a warning of a base image that was made for another platform than its stage (1.8-14).
pub(super) fn other_platform(base: &Base, wanted: &Platform, span: Span) -> Option<Diagnostic> {
    let found = base.image.platform();
    let same = (&found.os, &found.architecture) == (&wanted.os, &wanted.architecture);
    (!same).then(|| {
        let text = format!("base image `{}` is for platform `{found}`, not for `{wanted}` of this build", base.name);
        Diagnostic::of_rule("InvalidBaseImagePlatform", text, span)
            .help("its commands do not run here unless the kernel knows how; take the image for this platform")
    })
}

/// Returns a warning for every build argument that no ARG declares (10-3).
pub(super) fn unconsumed_arguments(dockerfile: &Dockerfile, globals: &Globals) -> Vec<Diagnostic> {
    let declared: Vec<&str> = dockerfile
        .stages
        .iter()
        .flat_map(arguments_of)
        .chain(dockerfile.global_args.iter().map(|argument| argument.value.name.value.as_str()))
        .collect();
    globals
        .build_args()
        .map(|(name, _)| name)
        .filter(|name| !declared.contains(name) && !globals.is_known(name))
        .map(|name| {
            let text = format!("build argument `{name}` is not declared by any ARG");
            let help = did_you_mean(nearest(name, declared.iter().copied()));
            Diagnostic { severity: Severity::Warning, help, ..Diagnostic::error(text) }
        })
        .collect()
}

/// Returns the names that the ARGs of a stage declare.
fn arguments_of(stage: &Stage) -> Vec<&str> {
    let mut names = Vec::new();
    for parsed in &stage.instructions {
        if let Instruction::Arg(arguments) = &parsed.instruction {
            names.extend(arguments.iter().map(|argument| argument.name.value.as_str()));
        }
    }
    names
}
