use super::*;
use crate::args::{Args, BuildArgs};
use clap::CommandFactory;
use std::fmt::Write;

fn build(arguments: &[&str]) -> Result<BuildArgs, clap::Error> {
    let all = ["lbuild", "build"].iter().chain(arguments).chain([&"."]).map(Into::into);
    crate::args::parse(all).map(|args| match args.command {
        crate::args::Command::Build(build) => *build,
        other => panic!("{other:?}"),
    })
}

fn own_command() -> Command {
    let mut command = Args::command();
    command.build();
    command.find_subcommand("build").expect("the command").clone()
}

/// Flags of `docker buildx build` 0.30, of `docker build` with the classic builder, and of `podman build` 5.6 (FEATURES
/// 3.1, 3.2), as their `--help` lists them.
const BUILDX: &str = "add-host allow annotation attest build-arg build-context builder cache-from cache-to call \
    cgroup-parent check debug file iidfile label load metadata-file network no-cache no-cache-filter output platform \
    policy progress provenance pull push quiet resource sbom secret shm-size ssh tag target ulimit \
    cpu-period cpu-quota cpu-shares cpuset-cpus cpuset-mems memory memory-swap squash invoke print source-policy-file";
const DOCKER: &str = "add-host build-arg cache-from cgroup-parent compress cpu-period cpu-quota cpu-shares cpuset-cpus \
    cpuset-mems disable-content-trust file force-rm iidfile isolation label memory memory-swap network no-cache platform \
    pull quiet rm security-opt shm-size squash tag target ulimit";
const PODMAN: &str = "add-host all-platforms annotation arch authfile build-arg build-arg-file build-context cache-from \
    cache-to cache-ttl cap-add cap-drop cert-dir cgroup-parent cgroupns compat-volumes compress cpp-flag cpu-period \
    cpu-quota cpu-shares cpuset-cpus cpuset-mems created-annotation creds cw decryption-key device disable-compression \
    disable-content-trust dns dns-option dns-search env file force-rm format from group-add hooks-dir http-proxy \
    identity-label ignorefile iidfile inherit-annotations inherit-labels ipc isolation jobs label layer-label layers logfile \
    logsplit manifest memory memory-swap metadata-file mount net network no-cache no-hostname no-hosts omit-history os \
    os-feature os-version output pid platform pull pull-always pull-never quiet retry retry-delay rewrite-timestamp rm \
    runtime runtime-flag save-stages sbom sbom-image-output sbom-image-purl-output sbom-merge-strategy sbom-output \
    sbom-purl-output sbom-scanner-command sbom-scanner-image secret security-opt shm-size sign-by signature-policy \
    skip-unused-stages source-date-epoch source-policy-file squash squash-all ssh stage-labels stdin tag target timestamp \
    tls-verify ulimit unsetannotation unsetenv unsetlabel userns userns-gid-map userns-gid-map-group userns-uid-map \
    userns-uid-map-user uts variant volume";

#[test]
fn every_flag_of_the_other_builders_has_a_row() {
    for (owner, names) in [('x', BUILDX), ('d', DOCKER), ('p', PODMAN)] {
        let wanted: std::collections::BTreeSet<&str> = names.split_whitespace().collect();
        let owned = ROWS.iter().filter(|row| row.owners.contains(owner)).map(|row| row.name).collect();
        assert_eq!(wanted, owned, "{owner}");
    }
}

#[test]
fn rows_are_sorted_and_each_flag_has_one() {
    assert!(ROWS.is_sorted_by(|one, next| one.name < next.name));
}

/// A flag that lbuild has must say so in its row, and one that its row calls its own must be there.
#[test]
fn rows_agree_with_the_command_line() {
    let command = own_command();
    for row in ROWS {
        let argument = command.get_arguments().find(|argument| is_called(argument, row.name));
        let own = matches!(row.meaning, Meaning::Own(_));
        assert_eq!(argument.is_some(), own, "--{}: the table and the command line disagree", row.name);
        if let Some(argument) = argument {
            assert_eq!(argument.get_short(), row.short, "--{}", row.name);
            let takes = argument.get_num_args().is_some_and(|range| range.min_values() > 0);
            assert_eq!(takes, row.value == Value::Text, "--{}", row.name);
        }
    }
}

#[test]
fn every_row_does_what_it_says() {
    for row in ROWS {
        let typed = |value: &str| match row.value {
            Value::Switch => vec![format!("--{}={value}", row.name)],
            Value::Text => vec![format!("--{}", row.name), value.to_owned()],
        };
        let judged = |value: &str| {
            let words = typed(value);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            judge(&build(&words).expect("parses").foreign)
        };
        match row.meaning {
            Meaning::Own(_) => {}
            Meaning::Nothing(why) => {
                let warnings = judged("-1").expect(row.name);
                assert_eq!(warnings.len(), 1, "{}", row.name);
                assert_eq!(warnings[0].message, format!("`--{}` has no effect here: {why}", row.name));
            }
            Meaning::Refused(cure) => {
                let error = judged("x").expect_err(row.name);
                let shown = typed("x").join(" ");
                assert_eq!(error.to_string(), format!("`{shown}` is of `{}`, and lbuild does not do it", row.owner()));
                assert_eq!(builder::diagnostic::Diagnose::diagnose(&error).help.as_deref(), Some(cure));
            }
            Meaning::Only { values, .. } => {
                for value in values {
                    assert_eq!(judged(value).map_err(|error| error.to_string()).expect(row.name).len(), 1);
                }
                assert!(judged("another").is_err(), "{}", row.name);
            }
        }
    }
}

#[test]
fn a_flag_is_warned_of_once_and_a_switch_may_stand_alone() {
    let args = build(&["--memory", "2g", "--memory=1g", "--rm", "--force-rm=false", "-m", "1g"]).expect("parses");
    let warnings = judge(&args.foreign).expect("nothing is refused");
    let names: Vec<&str> = warnings.iter().filter_map(|warning| warning.message.split(" no effect").next()).collect();
    assert_eq!(names, ["`--force-rm`, `--rm` have", "`--memory` has"]);
    let limits = judge(&build(&["--memory=1g", "--cpu-quota=5", "--memory-swap=2g"]).expect("parses").foreign);
    let limits = limits.expect("nothing is refused");
    assert_eq!(limits.len(), 1, "one reason is told once");
    assert!(limits[0].message.starts_with("`--cpu-quota`, `--memory`, `--memory-swap` have no effect here: no cgroup"));
    let refused = judge(&build(&["--squash-all"]).expect("parses").foreign).map_err(|error| error.to_string());
    assert_eq!(refused, Err("`--squash-all` is of `podman build`, and lbuild does not do it".to_owned()));
}

/// Returns the table as a page of the documentation.
fn page() -> String {
    let mut text = "# Flags of other builders\n\n\
        Every flag of `docker buildx build`, `docker build` and `podman build`, and what it means to `lbuild build`. This \
        page is made from the table that lbuild reads (`cli/src/flags/table.rs`).\n\n\
        | flag | buildx | docker | podman | here |\n|---|---|---|---|---|\n"
        .to_owned();
    for row in ROWS {
        let has = |owner| if row.owners.contains(owner) { "x" } else { "" };
        let short = row.short.map(|short| format!(", `-{short}`")).unwrap_or_default();
        let meaning = match row.meaning {
            Meaning::Own("") => "the same".to_owned(),
            Meaning::Own(remark) => format!("the same: {remark}"),
            Meaning::Nothing(why) => format!("accepted with a warning, has no effect: {why}"),
            Meaning::Refused(cure) => format!("refused: {cure}"),
            Meaning::Only { values, why, cure } => {
                let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
                format!("{} accepted with a warning: {why}; anything else refused: {cure}", values.join(", "))
            }
        };
        let meaning = meaning.replace('|', "\\|");
        writeln!(text, "| `--{}`{short} | {} | {} | {} | {meaning} |", row.name, has('x'), has('d'), has('p'))
            .expect("written");
    }
    text.push_str(
        "\n## Limits of memory and processors\n\n\
        `--memory`, `--memory-swap`, `--cpu-*`, `--cpuset-*`, `--cgroup-parent` and `--resource` would need a cgroup of version \
        2 that is delegated to the user, with its controllers. lbuild makes none: the machines that it is developed and tested \
        on mount the controllers in version 1, which cannot be delegated safely, so that no limit could be tried, and a limit \
        that was never seen to hold is none. The build as a whole takes limits from whoever starts it; a RUN is in the same \
        cgroup:\n\n\
        ```\nsystemd-run --user --scope -p MemoryMax=2G -p MemorySwapMax=0 -p CPUQuota=150% -p AllowedCPUs=0-1 lbuild .\n```\n",
    );
    text
}

/// `LBUILD_TEST_WRITE=1` writes the page anew.
#[test]
fn the_page_of_the_documentation_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flags.md");
    if std::env::var_os("LBUILD_TEST_WRITE").is_some() {
        std::fs::write(&path, page()).expect("written");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("the page"), page(), "write it with LBUILD_TEST_WRITE=1");
}
