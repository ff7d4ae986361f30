//! Tests of the plan: rows of FEATURES 1.2 to 1.7, and goldens in `testdata/plan`.

use super::op::{From, MountKind, Network, Op, RunOp, Sharing};
use super::testing::{Case, case, history};
use super::{HistoryLine, Plan, PlanBase, PlannedStage};
use crate::graph::ContextKind;
use layerfs::path::TreePath;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Returns the first RUN of the last stage.
fn run_of(case: &Case) -> RunOp {
    let plan = case.good();
    let op = plan.stages[plan.target].steps.iter().find_map(|step| match &step.op {
        Op::Run(op) => Some(op.clone()),
        _ => None,
    });
    op.unwrap_or_else(|| panic!("no RUN: {}", case.text))
}

/// Returns the environment of the first RUN of the last stage without PATH.
fn environment(case: &Case) -> String {
    let variables = run_of(case).environment;
    let shown: Vec<String> =
        variables.iter().filter(|(name, _)| name != "PATH").map(|(name, value)| format!("{name}={value}")).collect();
    shown.join(" ")
}

/// Returns the ENV of the image without PATH.
fn image_environment(case: &Case) -> String {
    let plan = case.good();
    let all = plan.stages[plan.target].config.config.env.clone().unwrap_or_default();
    let shown: Vec<String> = all.into_iter().filter(|variable| !variable.starts_with("PATH=")).collect();
    shown.join(" ")
}

#[test]
fn variables_in_scope_1_3() {
    for (row, text, wanted) in [
        ("1.2-2", "ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc", "abc=bye def=hello ghi=bye"),
        ("1.3-1", "ARG top", "top=up"),
        ("1.3-1 unimported", "ENV x=$top", "x="),
        ("1.3-2 default", "ARG a=1", "a=1"),
        ("1.3-2 unset", "ARG a", ""),
        ("1.3-2 build argument first", "ARG given=1", "given=g"),
        ("1.3-2 before global", "ARG top=mine", "top=mine"),
        ("1.3-2 left to right", "ARG a=1 b=$a", "a=1 b=1"),
        ("1.3-2 unused default may be wrong", "ARG given=${x:?}", "given=g"),
        ("1.3-4 ENV after ARG", "ARG a=1\nENV a=2", "a=2"),
        ("1.3-4 ARG after ENV", "ENV a=2\nARG a=1", "a=1"),
        ("1.3-4 idiom", "ARG a\nENV a=${a:-d}", "a=d"),
        ("1.3-7", "ARG TARGETARCH TARGETSTAGE", "TARGETARCH=amd64 TARGETSTAGE=default"),
        ("1.3-7 needs ARG", "ENV x=$TARGETARCH", "x="),
        ("1.3-8 builder only", "ARG BUILDKIT_SBOM_SCAN_STAGE=1", ""),
        ("1.5-1 order", "ENV a=1 b=2\nENV a=3", "a=3 b=2"),
    ] {
        let case = case(&format!("ARG top=up\nFROM b\n{text}\nRUN x")).build_arg("given", "g");
        assert_eq!(environment(&case), wanted, "{row}");
    }
}

#[test]
fn the_image_keeps_env_and_no_arg_1_3_4_1_3_5() {
    for (text, wanted) in [("ENV a=2\nARG a=1", "a=2"), ("ARG a=1", ""), ("ARG a=1\nENV b=$a", "b=1")] {
        assert_eq!(image_environment(&case(&format!("FROM b\n{text}\nRUN x"))), wanted, "{text}");
    }
}

#[test]
fn stages_inherit_variables_and_arguments_1_3_3() {
    let text = "FROM b AS one\nARG a=1\nENV e=2\nWORKDIR /w\nUSER u\nSHELL [\"/s\"]\nONBUILD RUN never\n";
    let plan = case(&format!("{}FROM one\nRUN x", text.replace("ONBUILD RUN never\n", ""))).good();
    let Op::Run(run) = &plan.stages[1].steps[0].op else { panic!("a RUN") };
    let own: Vec<&str> = run.environment.iter().map(|(name, _)| name.as_str()).filter(|n| *n != "PATH").collect();
    assert_eq!(own, ["a", "e"]);
    assert_eq!((run.user.as_str(), &run.working_directory), ("u", &TreePath::from("/w")));
    assert_eq!(history(&plan, 1), ["RUN |1 a=1 /s x # buildkit"]);
    assert_eq!(plan.stages[1].base, PlanBase::Stage(0));
    // ENV of the image counts again at the start of a stage, before an ARG that hid it.
    assert_eq!(environment(&case("FROM b AS one\nENV a=env\nARG a=arg\nFROM one\nRUN x")), "a=env");
    let recorded = case(text).good();
    assert_eq!(recorded.stages[0].config.config.on_build.as_deref(), Some(["RUN never".to_owned()].as_slice()));
}

#[test]
fn proxies_go_to_commands_and_stay_out_of_history_1_3_6() {
    let mut case = case("FROM b\nENV http_proxy=mine\nRUN x\nARG NO_PROXY\nRUN y").build_arg("NO_PROXY", "n");
    case.plan.proxies = vec![("HTTP_PROXY".to_owned(), "h".to_owned()), ("no_proxy".to_owned(), "other".to_owned())];
    let shown: Vec<String> = run_of(&case).proxies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(shown, ["HTTP_PROXY=h", "NO_PROXY=n", "no_proxy=n"]);
    let plan = case.good();
    assert_eq!(history(&plan, 0)[1], "RUN /bin/sh -c x # buildkit");
    assert_eq!(history(&plan, 0)[3], "RUN |1 NO_PROXY=n /bin/sh -c y # buildkit");
}

#[test]
fn history_lines_1_5_16() {
    let table = [
        (r#"CMD ["a","b c"]"#, r#"CMD ["a" "b c"]"#),
        ("CMD a \"b\"", r#"CMD ["/bin/sh" "-c" "a \"b\""]"#),
        ("ENTRYPOINT []", "ENTRYPOINT []"),
        ("ENV a=1 b='2 3'", "ENV a=1 b=2 3"),
        ("LABEL a=1 $v=2", "LABEL a=1 val=2"),
        ("EXPOSE 5000 1234/UDP 2375", "EXPOSE [1234/udp 2375/tcp 5000/tcp]"),
        ("EXPOSE $ports 70-71", "EXPOSE [80/tcp 443/tcp 70/tcp 71/tcp]"),
        ("USER $v:$v", "USER val:val"),
        ("USER \"\"", "USER "),
        ("VOLUME /a/ $v", "VOLUME [/a/ val]"),
        ("VOLUME [\"/a b\"]", "VOLUME [/a b]"),
        ("STOPSIGNAL sigterm", "STOPSIGNAL sigterm"),
        ("SHELL [\"/s\",\"-c\"]", "SHELL [/s -c]"),
        ("WORKDIR a/../b/", "WORKDIR /base/b"),
        ("WORKDIR /", "WORKDIR /"),
        ("ARG k=v w n=$k", "ARG k=v w n=v"),
        ("MAINTAINER a b", "MAINTAINER a b"),
        (
            "HEALTHCHECK NONE",
            "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
        ),
        (
            "HEALTHCHECK --interval=90s --retries=2 CMD x y",
            "HEALTHCHECK {Test:[CMD-SHELL x y] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:2}",
        ),
        ("COPY --chown=$v --chmod=755 --link a $v ./d/", "COPY --chown=val --chmod=755 a val ./d/ # buildkit"),
        ("COPY <<E <<F a /\n1\nE\n2\nF\n", "COPY a <<E <<F / # buildkit"),
        ("ADD a .", "ADD a . # buildkit"),
        ("RUN  a  b", "RUN /bin/sh -c a  b # buildkit"),
        (r#"RUN ["a","b"]"#, "RUN a b # buildkit"),
    ];
    for (text, wanted) in table {
        let case = case(&format!("FROM b\nENV v=val ports='80 443'\n{text}")).base(r#"{"WorkingDir":"/base"}"#);
        let plan = case.good();
        assert_eq!(history(&plan, 0)[1..], [wanted.to_owned()], "{text}");
        let comment = plan.stages[0].history[1].line.comment.as_deref();
        assert_eq!(comment, Some("buildkit.dockerfile.v0"), "{text}");
    }
}

#[test]
fn onbuild_has_no_history_line_1_4_11() {
    let plan = case("FROM b\nONBUILD RUN x").good();
    assert!(plan.stages[0].history.is_empty());
}

#[test]
fn arguments_stand_before_commands_in_history_1_3_5() {
    let text = "FROM b\nARG a=1 b c=3\nARG a=2\nENV b=5\nRUN x";
    let lines = history(&case(text).good(), 0);
    assert_eq!(lines.last().map(String::as_str), Some("RUN |3 a=2 b=5 c=3 /bin/sh -c x # buildkit"));
}

#[test]
fn entrypoint_drops_the_command_of_the_base_1_5_10() {
    let command = |text: &str| {
        let plan = case(&format!("FROM b\n{text}")).base(r#"{"Cmd":["base"]}"#).good();
        plan.stages[0].config.config.cmd.clone().unwrap_or_default().join(" ")
    };
    for (text, wanted) in [
        ("LABEL a=1", "base"),
        ("ENTRYPOINT [\"e\"]", ""),
        ("CMD [\"c\"]\nENTRYPOINT [\"e\"]", "c"),
        ("ENTRYPOINT [\"e\"]\nCMD [\"c\"]", "c"),
        ("CMD []", ""),
    ] {
        assert_eq!(command(text), wanted, "{text}");
    }
}

#[test]
fn path_is_there_once_1_4_10() {
    let path = |base: &str| case("FROM b").base(base).good().stages[0].config.config.env.clone().unwrap_or_default();
    let default = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    assert_eq!(path("{}"), std::slice::from_ref(&default));
    assert_eq!(path(r#"{"Env":["A=1"]}"#), ["A=1".to_owned(), default]);
    assert_eq!(path(r#"{"Env":["PATH=/x","A=1"]}"#), ["PATH=/x", "A=1"]);
}

#[test]
fn working_directories_join_1_5_7() {
    for (base, text, wanted) in [
        ("{}", "WORKDIR a", "/a"),
        (r#"{"WorkingDir":"/base"}"#, "WORKDIR a", "/base/a"),
        (r#"{"WorkingDir":"/base"}"#, "WORKDIR /a/\nWORKDIR ../b//c/.", "/b/c"),
        ("{}", "WORKDIR ../..", "/"),
    ] {
        let plan = case(&format!("FROM b\n{text}")).base(base).good();
        assert_eq!(plan.stages[0].config.config.working_dir, wanted, "{text}");
    }
    let plan = case("FROM b\nUSER me\nWORKDIR /\nWORKDIR /x").good();
    let [step] = plan.stages[0].steps.as_slice() else { panic!("the root has no step") };
    assert!(matches!(&step.op, Op::Workdir(op) if op.user == "me"));
    // The total counts both: BuildKit's does.
    assert_eq!(step.name, "[2/3] WORKDIR /x");
}

#[test]
fn copies_go_where_1_6_2_says() {
    for (text, wanted, directory) in [
        ("a .", "/w", true),
        ("a \"\"", "/w", true),
        ("a ./", "/w", true),
        ("a b", "/w/b", false),
        ("a b/", "/w/b", true),
        ("a b/.", "/w/b", true),
        ("a /", "/", true),
        ("a ../../../b", "/b", false),
    ] {
        let plan = case(&format!("FROM scratch\nWORKDIR /w\nCOPY {text}")).good();
        let Op::Copy(op) = &plan.stages[0].steps[1].op else { panic!("a COPY") };
        assert_eq!((op.destination.to_string().as_str(), op.destination_is_directory), (wanted, directory), "{text}");
    }
}

#[test]
fn heredoc_bodies_expand_unless_quoted_1_2_9() {
    let text = "FROM scratch\nENV v=1\nCOPY <<A <<'B' /\n$v \"q\" \\$v\nA\n$v\nB\n";
    let plan = case(text).good();
    let Op::Copy(op) = &plan.stages[0].steps[0].op else { panic!("a COPY") };
    let bodies: Vec<&str> = op.heredocs.iter().map(|script| script.body.as_str()).collect();
    assert_eq!(bodies, ["1 \"q\" $v\n", "$v\n"]);
}

#[test]
fn heredocs_of_run_1_7_2() {
    for (text, arguments, script) in [
        ("RUN <<EOF\na $x\nb\nEOF\n", vec!["/bin/sh", "-c", "a $x\nb\n"], None),
        ("RUN <<-'EOF'\n\ta\nEOF\n", vec!["/bin/sh", "-c", "a\n"], None),
        ("RUN <<EOF\n#!/bin/x\na\nEOF\n", vec!["/bin/sh", "-c", "/dev/pipes/EOF"], Some("#!/bin/x\na\n")),
        ("RUN <<EOF bash\na\nEOF\n", vec!["/bin/sh", "-c", "<<EOF bash\na\nEOF"], None),
        ("RUN cat <<A <<B\n1\nA\n2\nB\n", vec!["/bin/sh", "-c", "cat <<A <<B\n1\nA\n2\nB"], None),
    ] {
        let run = run_of(&case(&format!("FROM b\n{text}")));
        assert_eq!(run.arguments, arguments, "{text}");
        assert_eq!(run.script.map(|script| script.body), script.map(str::to_owned), "{text}");
    }
}

#[test]
fn mounts_of_1_7_5_to_1_7_9() {
    let cache = |id: &str, sharing| MountKind::Cache {
        id: id.to_owned(),
        sharing,
        readonly: false,
        seed: None,
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    let secret = |id: &str, environment: Option<&str>, file, required| MountKind::Secret {
        id: id.to_owned(),
        environment: environment.map(str::to_owned),
        file,
        required,
        mode: 0o400,
        uid: 0,
        gid: 0,
    };
    let bind =
        |source: &str, writable| MountKind::Bind { from: From::Context, source: TreePath::from(source), writable };
    for (flag, target, kind) in [
        ("target=a", "/w/a", bind("", false)),
        ("target=/a,source=../$v,rw", "/a", bind("val", true)),
        ("TYPE=Bind,dst=/a,readonly=false", "/a", bind("", true)),
        ("type=cache,target=/a/../b/", "/b", cache("ns//b", Sharing::Shared)),
        ("type=cache,target=rel,sharing=locked", "/w/rel", cache("ns/rel", Sharing::Locked)),
        ("type=cache,id=$v,target=/c,sharing=private", "/c", cache("ns/val", Sharing::Private)),
        ("type=tmpfs,target=/t,size=1.5g", "/t", MountKind::Tmpfs { size: Some(3 << 29) }),
        ("type=secret,id=a/b", "/run/secrets/b", secret("a/b", None, true, false)),
        ("type=secret,target=/x/y,required", "/x/y", secret("y", None, true, true)),
        ("type=secret,id=s,env=E", "/run/secrets/s", secret("s", Some("E"), false, false)),
        ("type=secret,src=s,env=E,target=t", "/w/t", secret("s", Some("E"), true, false)),
    ] {
        let text = format!("FROM b\nENV v=val\nWORKDIR /w\nRUN --mount={flag} x");
        let mut mounts = run_of(&case(&text).build_arg("BUILDKIT_CACHE_MOUNT_NS", "ns")).mounts;
        let mount = mounts.pop().expect("a mount");
        assert_eq!((mount.target.to_string().as_str(), mount.kind), (target, kind), "{flag}");
    }
}

#[test]
fn of_two_mounts_with_one_target_the_later_stays_1_7_5() {
    let text = "FROM b\nRUN --mount=target=/a --mount=type=tmpfs,target=/b --mount=type=tmpfs,target=/a/ x";
    let targets: Vec<String> = run_of(&case(text)).mounts.iter().map(|mount| format!("{:?}", mount)).collect();
    assert_eq!(targets.len(), 2);
    assert!(targets[0].contains("/b") && targets[1].contains("Tmpfs"), "{targets:?}");
}

#[test]
fn bad_mounts_1_7_5() {
    for (flag, message) in [
        ("target=/", "invalid mount target `/`"),
        ("type=$v,target=/a", "unsupported mount type `cach`"),
        ("type=$k,target=/a,mode=0700", "`mode` is not allowed for mounts of type `tmpfs`"),
        ("type=cache,target=/a,mode=$v", "invalid value `cach` for `mode`"),
        ("type=cache,target=/a,uid=$v", "invalid value `cach` for `uid`"),
        ("type=cache,target=/a,sharing=$v", "invalid value `cach` for `sharing`"),
        ("type=tmpfs,target=/a,size=x", "invalid value `x` for `size`"),
        ("type=secret,id=a,src=b", "both `source` and `id` are set"),
        ("type=secret", "a secret mount needs one of `id`, `source`, `target`"),
    ] {
        let text = format!("FROM b\nENV v=cach k=tmpfs\nRUN --mount={flag} x");
        let (found, _) = case(&text).bad();
        assert_eq!(found, format!("invalid --mount: {message}"), "{flag}");
    }
}

#[test]
fn networks_and_host_names_1_7_11_1_3_8() {
    for (flag, wanted) in
        [("", Network::None), ("--network=host ", Network::Host), ("--network=default ", Network::None)]
    {
        let mut case = case(&format!("FROM b\nRUN {flag}x"));
        case.plan.network = Network::None;
        assert_eq!(run_of(&case).network, wanted, "{flag}");
    }
    let mut case = case("FROM b\nRUN x");
    assert_eq!(run_of(&case).host_name, "buildkitsandbox");
    case.plan.host_name = Some("given".to_owned());
    assert_eq!(run_of(&case).host_name, "given");
    assert_eq!(run_of(&case.build_arg("BUILDKIT_SANDBOX_HOSTNAME", "arg")).host_name, "arg");
}

#[test]
fn remote_sources_of_1_6_20_to_1_6_23() {
    let digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let remotes = |text: &str| match case(&format!("FROM b\n{text}")).good().stages[0].steps[0].op.clone() {
        Op::Copy(copy) => format!("{:?}", copy.remotes),
        op => panic!("{op:?}"),
    };
    let file = remotes(&format!("ADD --checksum={digest} http://h/f /"));
    assert!(file.contains(r#"0: File { url: "http://h/f", checksum: Some("#), "{file}");
    let git = remotes("ADD --keep-git-dir a https://h/x.git#v1:d b /");
    assert!(git.starts_with("{1: Repository {") && git.ends_with("keep: true }}"), "{git}");
    assert_eq!(remotes("ADD a b /"), "{}");
    let history = history(&case("FROM b\nADD https://u:p@h/f?token=x https://h/g?v=1 /").good(), 0);
    assert_eq!(history, ["ADD https://h/f https://h/g?v=1 / # buildkit"]);
    for (text, message, place) in [
        ("ADD --checksum=abc http://h/f /", "invalid checksum `abc`", "abc"),
        ("ADD --checksum=abc a http://h/f /", "checksum can't be specified for multiple sources", "abc"),
        ("ADD --checksum=abc a /", "--checksum needs an HTTP(S) or git source", "abc"),
        (
            "ADD --keep-git-dir https://h/x.git?keep-git-dir=0 /",
            "inconsistent keep-git-dir configuration",
            "https://h/x.git?keep-git-dir=0",
        ),
        ("ADD https://h/x.git?q=1 /", "unexpected query `q`", "https://h/x.git?q=1"),
    ] {
        assert_eq!(case(&format!("FROM b\n{text}")).bad(), (message.to_owned(), place.to_owned()), "{text}");
    }
}

#[test]
fn bad_values_are_refused_with_their_place() {
    for (text, message, place) in [
        ("EXPOSE $big", "invalid port in EXPOSE: `70000`", "$big"),
        ("STOPSIGNAL SIGFOO", "invalid signal `SIGFOO`", "SIGFOO"),
        ("VOLUME [\"$none\"]", "VOLUME cannot be an empty string", "\"$none\""),
        ("ENV $none=1", "ENV names cannot be blank", "$none"),
        ("LABEL $none=1", "LABEL names cannot be blank", "$none"),
        ("COPY --chmod=9 a b", "invalid --chmod `9`", "9"),
        ("COPY http://h/f /", "source `http://h/f` of COPY cannot be a URL", "http://h/f"),
        ("COPY git@h:a /", "source `git@h:a` of COPY cannot be a git repository", "git@h:a"),
        ("ADD --checksum=sha256:a a b", "--checksum needs an HTTP(S) or git source", "sha256:a"),
        ("USER ${x:?gone}", "expand `${x:?gone}`: x: gone", "${x:?gone}"),
    ] {
        let (found, found_place) = case(&format!("FROM b\nENV big=70000\n{text}")).bad();
        assert_eq!((found.as_str(), found_place.as_str()), (message, place), "{text}");
    }
    let (message, _) = case("FROM b\nRUN x").base(r#"{"Env":["A=\u0000"]}"#).bad();
    assert_eq!(message, "a NUL byte cannot be part of an argument, a variable or a path");
    let (message, _) = case("FROM b").build_arg("SOURCE_DATE_EPOCH", "soon").bad();
    assert_eq!(message, "invalid SOURCE_DATE_EPOCH `soon`");
}

#[test]
fn values_that_double_hit_a_limit() {
    let mut text = "FROM b\nENV a=0123456789\n".to_owned();
    (0..40).for_each(|_| text.push_str("ENV a=$a$a\n"));
    let (message, place) = case(&text).bad();
    assert!(message.ends_with("bytes long after expansion, more than 131071"), "{message}");
    assert_eq!(place, "$a$a");
}

#[test]
fn warnings_of_the_plan_1_8() {
    for (text, wanted) in [
        ("ENV a=$path", "UndefinedVar: variable `$path` is not defined"),
        ("ARG x\nENV a=$x", ""),
        (
            "WORKDIR a\nWORKDIR b",
            "WorkdirRelativePath: relative workdir `a` can have unexpected results if the base image changes",
        ),
        ("WORKDIR /a\nWORKDIR b", ""),
        (
            "ARG GIT_TOKEN",
            "SecretsUsedInArgOrEnv: ARG `GIT_TOKEN` looks like a secret, and would stay in the image or its history",
        ),
        ("ENV PUBLIC_KEY=1 KEY_FILE=2", ""),
        ("EXPOSE 80/TCP", "ExposeProtoCasing: protocol of `80/TCP` in EXPOSE should be in lower case"),
        ("EXPOSE 1:80", "ExposeInvalidFormat: EXPOSE should not have an address or a host port, found `1:80`"),
    ] {
        assert_eq!(case(&format!("FROM b\n{text}")).warnings().join("; "), wanted, "{text}");
    }
}

#[test]
fn a_base_for_another_platform_is_told_1_8_14() {
    for (text, architecture, count) in
        [("FROM b", "amd64", 0), ("FROM b", "arm64", 1), ("FROM scratch AS b\nFROM b", "arm64", 0)]
    {
        let case = Case { architecture, ..case(text) };
        let (_, warnings) = case.plan().map_err(|error| error.diagnose()).expect("a plan");
        assert_eq!(warnings.len(), count, "{text} {architecture}");
        for warning in warnings {
            assert_eq!(warning.rule, Some("InvalidBaseImagePlatform"));
            let wanted = "base image `b` is for platform `linux/arm64`, not for `linux/amd64` of this build";
            assert_eq!((warning.message.as_str(), &text[warning.labels[0].span.range()]), (wanted, "b"));
        }
    }
}

#[test]
fn unconsumed_build_arguments_are_told_10_3() {
    let case = case("ARG top\nFROM b\nARG mine").build_arg("top", "").build_arg("mine", "").build_arg("HTTP_PROXY", "");
    let case = case.build_arg("BUILDKIT_INLINE_CACHE", "1").build_arg("TARGETARCH", "x").build_arg("mien", "1");
    let (_, warnings) = case.plan().map_err(|error| error.diagnose()).expect("a plan");
    let shown: Vec<_> = warnings.iter().map(|warning| (warning.message.as_str(), warning.help.as_deref())).collect();
    assert_eq!(shown, [("build argument `mien` is not declared by any ARG", Some("did you mean `mine`?"))]);
}

#[test]
fn steps_are_numbered_as_buildkit_does() {
    let names = |text: &str| {
        let plan = case(text).good();
        let stages = plan.stages.iter();
        let names = stages.flat_map(|stage| stage.base_name.iter().chain(stage.steps.iter().map(|step| &step.name)));
        names.cloned().collect::<Vec<_>>().join("; ")
    };
    for (text, wanted) in [
        ("FROM b\nENV v=1\nRUN  a \\\n  $v\nCOPY a $v", "[1/3] FROM b; [2/3] RUN  a   1; [3/3] COPY a 1"),
        ("FROM scratch\nCOPY a b", "[1/1] COPY a b"),
        ("FROM b AS x\nFROM x\nrun y", "[x 1/1] FROM b; [stage-1 1/1] RUN y"),
        ("FROM b\nRUN <<EOF\na\nb\nEOF\n", "[1/2] FROM b; [2/2] RUN <<EOF (a...)"),
    ] {
        assert_eq!(names(text), wanted, "{text}");
    }
    let many = format!("FROM b\n{}", "RUN x\n".repeat(9));
    assert!(names(&many).starts_with("[ 1/10] FROM b; [ 2/10] RUN x"));
}

#[test]
fn a_directory_as_base_is_copied_1_4_2() {
    let mut case = case("FROM files\nCOPY a b");
    case.graph.named_contexts.insert("files".to_owned(), ContextKind::Directory);
    let plan = case.good();
    assert_eq!(plan.stages[0].base, PlanBase::Scratch);
    let Op::Copy(op) = &plan.stages[0].steps[0].op else { panic!("a COPY") };
    assert_eq!(op.from, From::NamedContext("files".to_owned()));
    assert_eq!(plan.stages[0].history[0].step, Some(0));
    let line = &plan.stages[0].history[0].line;
    assert_eq!(line.created_by.as_deref(), Some("FROM files"));
    assert_eq!(line.comment.as_deref(), Some("buildkit.exporter.image.v0"), "it stands for no instruction");
    assert_eq!(plan.stages[0].steps[1].name, "[2/2] COPY a b");
}

#[test]
fn labels_of_the_caller_come_last_1_5_2() {
    let mut case = case("FROM b AS x\nLABEL a=1\nFROM x\nLABEL a=2 b=2");
    case.plan.labels = vec![("a".to_owned(), "3".to_owned())];
    let plan = case.good();
    let labels = |stage: usize| format!("{:?}", plan.stages[stage].config.config.labels);
    assert_eq!(labels(0), r#"Some({"a": "1"})"#);
    assert_eq!(labels(1), r#"Some({"a": "3", "b": "2"})"#);
}

/// Pieces of Dockerfiles, good and bad.
const PIECES: [&str; 30] = [
    "FROM scratch AS a",
    "FROM a AS b",
    "FROM $X AS c",
    "FROM --platform=$TARGETPLATFORM img",
    "ARG X=$Y Y",
    "ARG X",
    "ENV X=${X:-$Y} $Y=1",
    "ENV X=$X$X$X$X$X$X$X$X$X$X$X$X$X$X$X$X$X",
    "COPY --from=a $X é/",
    "COPY --from=1 . .",
    "COPY --from=img --chmod=$X a b",
    "COPY <<$X /é\nbody $X\n$X",
    "ADD --chown=$X a b",
    "WORKDIR ../$X/é",
    "WORKDIR \"\"",
    "RUN --mount=type=$X,target=$Y,size=$X x",
    "RUN --mount=type=cache,target=..,from=b,uid=$X x",
    "RUN --mount=from=c,target=$X --mount=from=d,target=é x",
    "RUN --mount=type=secret,target=/ x",
    "RUN <<é\n#!x\né",
    "RUN [\"\"]",
    "RUN []",
    "EXPOSE $X 0-65535 [::1]:é",
    "EXPOSE 1:2/é",
    "STOPSIGNAL $X",
    "HEALTHCHECK --interval=1h CMD é",
    "SHELL [\"$X\"]",
    "VOLUME [\"$X\", \"é\"]",
    "LABEL é=$X '$Y'=",
    "ONBUILD RUN x",
];

proptest::proptest! {
    #[test]
    fn no_dockerfile_makes_it_panic(picks in proptest::collection::vec(0..PIECES.len(), 0..14), value in ".{0,6}") {
        let lines: Vec<&str> = std::iter::once("FROM img AS d").chain(picks.iter().map(|pick| PIECES[*pick])).collect();
        let case = case(&lines.join("\n")).build_arg("X", &value);
        let source = crate::source::Source::new("Dockerfile", case.text.clone());
        if crate::dockerfile::parse(source).errors.is_empty() && let Err(error) = case.plan() {
            let diagnostic = error.diagnose();
            proptest::prop_assert!(diagnostic.labels.iter().all(|label| case.text.get(label.span.range()).is_some()));
        }
    }
}

/// Returns a plan as text, one fact a line.
fn print(plan: &Plan) -> String {
    let mut text = format!("target: {}\nplatform: {}\n", plan.target, plan.platform);
    plan.stages.iter().enumerate().for_each(|(index, stage)| print_stage(&mut text, index, stage));
    text
}

fn print_stage(text: &mut String, index: usize, stage: &PlannedStage) {
    let title = stage.name.as_deref().unwrap_or("-");
    writeln!(text, "\n== stage {index}: {title} (number {}) from {:?}", stage.number, stage.base).expect("a string");
    stage.base_name.iter().for_each(|name| text.push_str(&format!("{name}\n")));
    for step in &stage.steps {
        writeln!(text, "{}\n{:#?}", step.name, step.op).expect("a string");
    }
    for HistoryLine { line, step } in &stage.history {
        let step = step.map_or("-".to_owned(), |step| step.to_string());
        writeln!(text, "history {step}: {}", line.created_by.as_deref().unwrap_or_default()).expect("a string");
    }
    let config = serde_json::to_value(&stage.config).expect("JSON");
    writeln!(text, "config: {config:#}").expect("a string");
}

#[test]
fn goldens() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/plan");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(&root).expect("the goldens").map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    assert!(cases.len() >= 12, "the goldens are there");
    for folder in cases {
        let text = std::fs::read_to_string(folder.join("Dockerfile")).expect("a Dockerfile");
        let base = std::fs::read_to_string(folder.join("base.json")).unwrap_or_else(|_| "{}".to_owned());
        let case = case(&text).base(&base);
        let found = case.plan().map_or_else(
            |error| format!("{:#?}", error.diagnose()),
            |(plan, warnings)| {
                let told: Vec<String> = warnings.iter().map(|warning| warning.message.clone()).collect();
                format!("warnings: {told:?}\n{}", print(&plan))
            },
        );
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("plan", found));
    }
}

#[test]
fn ssh_mounts_of_1_7_10() {
    let text = "FROM b\nRUN --mount=type=ssh --mount=type=ssh,id=k,required,mode=0644,uid=7,gid=8 --mount=type=ssh,id=z,target=s x";
    let run = run_of(&case(text));
    let shown: Vec<String> = run.mounts.iter().map(|mount| format!("{} {:?}", mount.target, mount.kind)).collect();
    assert_eq!(
        shown,
        [
            "/run/buildkit/ssh_agent.0 Ssh { id: \"default\", required: false, mode: 384, uid: 0, gid: 0 }",
            "/run/buildkit/ssh_agent.1 Ssh { id: \"k\", required: true, mode: 420, uid: 7, gid: 8 }",
            "/s Ssh { id: \"z\", required: false, mode: 384, uid: 0, gid: 0 }",
        ]
    );
    let sockets = |run: &RunOp| -> Vec<String> {
        let named = run.environment.iter().filter(|(name, _)| name == "SSH_AUTH_SOCK");
        named.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(sockets(&run), ["/run/buildkit/ssh_agent.0"]);
    let own = run_of(&case("FROM b\nENV SSH_AUTH_SOCK=/mine\nRUN --mount=type=ssh x"));
    assert_eq!(sockets(&own), ["/mine"], "and no second one");
    assert!(sockets(&run_of(&case("FROM b\nRUN x"))).is_empty());
}

#[test]
fn a_base_whose_shell_is_empty_has_the_usual_one_1_5_8() {
    for base in ["{}", "{\"Shell\":[]}", "{\"Shell\":null}"] {
        assert_eq!(run_of(&case("FROM b\nRUN x").base(base)).arguments, ["/bin/sh", "-c", "x"], "{base}");
    }
    assert_eq!(run_of(&case("FROM b\nRUN x").base("{\"Shell\":[\"/s\"]}")).arguments, ["/s", "x"]);
}

#[test]
fn security_and_devices_of_1_7_12_and_1_7_13() {
    let (message, place) = case("FROM b\nRUN --security=insecure x").bad();
    assert_eq!(message, "`RUN --security=insecure` needs the entitlement `security.insecure`");
    assert_eq!(place, "insecure");
    let mut allowed = case("FROM b\nRUN --security=insecure x");
    allowed.plan.allow_insecure = true;
    assert!(run_of(&allowed).insecure);
    assert!(!run_of(&case("FROM b\nRUN --security=sandbox x")).insecure);
    for (text, message) in [
        ("vendor.com/gpu=all,required", "required CDI device `vendor.com/gpu=all` is not registered"),
        ("required=true,name=vendor.com/gpu", "required CDI device `vendor.com/gpu` is not registered"),
        ("a,b", "invalid device `a,b`"),
        ("required", "invalid device `required`"),
    ] {
        assert_eq!(case(&format!("FROM b\nRUN --device={text} x")).bad().0, message, "{text}");
    }
    assert_eq!(
        case("FROM b\nRUN --device=vendor.com/gpu=all x").warnings(),
        ["-: device `vendor.com/gpu=all` is left out: lbuild knows no CDI devices"]
    );
}

#[test]
fn a_stage_has_a_bounded_number_of_steps() {
    let text =
        |more: usize| format!("FROM b AS a\n{}FROM a AS c\n{}", "COPY f /\n".repeat(600), "COPY f /\n".repeat(more));
    assert_eq!(case(&text(400)).good().stages[1].steps.len(), 400);
    let message = "stage `c` has more than 1000 steps, those of the stages that it starts from counted";
    assert_eq!(case(&text(401)).bad(), (message.to_owned(), "COPY f /".to_owned()));
}
