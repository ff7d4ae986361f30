//! Build checks and what can be said of a build without doing it (FEATURES 1.1-9, 1.1-15, 1.8).

use crate::harness::Lab;
use serde_json::{Value, json};

/// Each rule with a Dockerfile that breaks it alone, and the text of the place.
const BROKEN: [(&str, &str, &str, &str); 22] = [
    ("1.8-1", "StageNameCasing", "FROM scratch AS Build", "Build"),
    ("1.8-2", "FromAsCasing", "FROM scratch as build", "as"),
    ("1.8-3", "NoEmptyContinuation", "FROM scratch\nENV a=1 \\\n\n  b=2", ""),
    ("1.8-4", "ConsistentInstructionCasing", "FROM scratch\nenv a=1\nENV b=1", "env"),
    ("1.8-5", "DuplicateStageName", "FROM scratch AS b\nFROM scratch AS b", "b"),
    ("1.8-6", "ReservedStageName", "FROM scratch AS context", "context"),
    ("1.8-7", "JSONArgsRecommended", "FROM scratch\nCMD x", "CMD x"),
    ("1.8-8", "MaintainerDeprecated", "FROM scratch\nMAINTAINER me", "MAINTAINER me"),
    ("1.8-9", "UndefinedArgInFrom", "FROM busybox$VERSION", "busybox$VERSION"),
    ("1.8-10", "WorkdirRelativePath", "FROM scratch\nWORKDIR app", "app"),
    ("1.8-11", "UndefinedVar", "FROM scratch\nLABEL a=$none", "$none"),
    ("1.8-12", "MultipleInstructionsDisallowed", "FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]", "CMD [\"a\"]"),
    ("1.8-13", "LegacyKeyValueFormat", "FROM scratch\nENV a b", "ENV a b"),
    ("1.8-14", "InvalidBaseImagePlatform", "FROM foreign", "foreign"),
    ("1.8-15", "RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM scratch", "$TARGETPLATFORM"),
    ("1.8-16", "SecretsUsedInArgOrEnv", "FROM scratch\nARG NPM_TOKEN", "NPM_TOKEN"),
    ("1.8-17", "InvalidDefaultArgInFrom", "ARG V\nFROM busybox:$V", "busybox:$V"),
    ("1.8-18", "FromPlatformFlagConstDisallowed", "FROM --platform=linux/amd64 scratch", "linux/amd64"),
    ("1.8-19", "CopyIgnoredFile", "FROM scratch\nCOPY hidden /", "COPY hidden /"),
    (
        "1.8-20",
        "InvalidDefinitionDescription",
        "# check=experimental=all\n\n# it builds\nFROM scratch AS build",
        "FROM scratch AS build",
    ),
    ("1.8-21", "ExposeProtoCasing", "FROM scratch\nEXPOSE 80/TCP", "80/TCP"),
    ("1.8-22", "ExposeInvalidFormat", "FROM scratch\nEXPOSE 127.0.0.1:80:80", "127.0.0.1:80:80"),
];

/// Returns what `--call` says as JSON.
fn call(lab: &Lab, method: &str, arguments: &[&str], status: i32) -> Value {
    let flag = format!("--call={method},format=json");
    let all: Vec<&str> = [flag.as_str()].iter().chain(arguments).copied().collect();
    let run = lab.build(&all);
    run.ends(status);
    serde_json::from_str(&run.stdout).expect("JSON")
}

#[test]
fn rows_1_8_1_to_1_8_22_every_rule_is_found_and_skipped() {
    for (row, name, text, place) in BROKEN {
        let lab = Lab::with(&format!("{text}\n"));
        lab.file(".dockerignore", "hidden\n").file("hidden", "x");
        let arguments: &[&str] = match name {
            "InvalidDefaultArgInFrom" => &["--build-arg=V=latest"],
            "InvalidBaseImagePlatform" => {
                foreign(&lab);
                &["--build-context=foreign=oci-layout://foreign"]
            }
            _ => &[],
        };
        let found = call(&lab, "check", arguments, 1);
        let names: Vec<&str> =
            found["warnings"].as_array().expect("a list").iter().filter_map(|one| one["ruleName"].as_str()).collect();
        assert_eq!(names, [name], "{row} {text}");
        let range = &found["warnings"][0]["location"]["ranges"][0];
        let line = range["start"]["line"].as_u64().and_then(|line| usize::try_from(line).ok()).expect("a line");
        let start = range["start"]["character"].as_u64().and_then(|at| usize::try_from(at).ok()).expect("a character");
        let shown = text.lines().nth(line - 1).expect("a line");
        assert!(shown[start..].starts_with(place), "{row} {shown} {start}");
        assert!(found["warnings"][0]["description"].as_str().is_some_and(|text| !text.is_empty()), "{row}");
        let skip = format!("--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip={name};experimental=all");
        let all: Vec<&str> = arguments.iter().copied().chain([skip.as_str()]).collect();
        assert_eq!(call(&lab, "check", &all, 0)["warnings"], json!([]), "{row}");
    }
}

/// Makes a layout of an image for another architecture, called `foreign`.
fn foreign(lab: &Lab) {
    let dockerfile = std::fs::read_to_string(lab.path("Dockerfile")).expect("a Dockerfile");
    lab.file("Dockerfile", "FROM scratch\nLABEL a=b\n");
    lab.build(&["-o", "type=oci,dest=foreign,tar=false"]).ok();
    let script = format!(
        "cd {} && python3 - <<'E'\nimport json,hashlib,os\ni=json.load(open('index.json'))\ndef read(d): return json.load(open('blobs/sha256/'+d[7:]))\ndef put(v):\n b=json.dumps(v).encode(); d=hashlib.sha256(b).hexdigest(); open('blobs/sha256/'+d,'wb').write(b); return 'sha256:'+d,len(b)\nm=read(i['manifests'][0]['digest']); c=read(m['config']['digest']); c['architecture']='s390x'\nm['config']['digest'],m['config']['size']=put(c); i['manifests'][0]['digest'],i['manifests'][0]['size']=put(m); i['manifests'][0].pop('platform',None)\njson.dump(i,open('index.json','w'))\nE",
        lab.path("foreign").display()
    );
    crate::harness::output("sh", &["-c", &script]);
    lab.file("Dockerfile", dockerfile);
}

#[test]
fn checks_fail_a_build_where_they_are_to_1_1_9() {
    let lab = Lab::with("# check=error=true\nFROM scratch\nCMD x\nMAINTAINER me\n");
    let run = lab.build(&[]);
    run.ends(125).says("lint violation found for rules: JSONArgsRecommended, MaintainerDeprecated");
    lab.file("Dockerfile", "# check=error=true;skip=JSONArgsRecommended\nFROM scratch\nCMD x\n");
    lab.build(&[]).ok().does_not_say("JSON arguments");
    lab.file("Dockerfile", "FROM scratch\n# check=skip=JSONArgsRecommended\nCMD x\nMAINTAINER me\n");
    lab.build(&[]).ok().does_not_say("JSON arguments").says("maintainer instruction is deprecated");
}

#[test]
fn check_says_what_it_found_and_builds_nothing() {
    let lab = Lab::with("FROM busybox\nRUN false\nMAINTAINER me\n");
    let run = lab.build(&["--check"]);
    run.ends(1);
    assert!(run.stdout.contains("Dockerfile:3") && run.stdout.contains("MaintainerDeprecated"), "{}", run.stdout);
    assert!(run.stdout.ends_with("Check complete, 1 warning has been found!\n"), "{}", run.stdout);
    lab.file("Dockerfile", "FROM busybox\nRUN false\n");
    lab.build(&["--check"]).ok().prints("Check complete, no warnings found.\n");
    lab.file("Dockerfile", "FROM busybox\nMAINTAINER me\nCOPY --from=9 a a\n");
    let found = call(&lab, "check", &[], 1);
    assert_eq!(found["warnings"][0]["ruleName"], "MaintainerDeprecated");
    assert_eq!(found["buildError"]["message"], "invalid stage index 9: the Dockerfile has one stage, number 0");
    lab.build(&["--call=outlines"]).ends(125).says("`check`, `outline` or `targets`");
}

const DESCRIBED: &str = "# VERSION of the base\nARG VERSION=1\n# build compiles\nFROM busybox AS build\n# JOBS at once\nARG JOBS=${VERSION}4\nRUN --mount=type=secret,id=token,required --mount=type=ssh true\n\nFROM scratch AS other\nARG UNUSED\n\nFROM scratch\nCOPY --from=build /bin/sh /\n";

#[test]
fn outline_and_targets_tell_what_a_build_takes_1_1_15() {
    let lab = Lab::with(DESCRIBED);
    let outline = call(&lab, "outline", &["--build-arg=VERSION=2"], 0);
    let named = |list: &Value| -> Vec<String> {
        let one = |one: &Value| format!("{}={} {}{}", one["name"], one["value"], one["description"], one["required"]);
        list.as_array().expect("a list").iter().map(|item| one(item).replace('"', "")).collect()
    };
    assert_eq!(named(&outline["args"]), ["VERSION=2 of the basenull", "JOBS=24 at oncenull"]);
    assert_eq!(named(&outline["secrets"]), ["token=null nulltrue"]);
    assert_eq!(named(&outline["ssh"]), ["default=null nullfalse"]);
    let targets = call(&lab, "targets", &[], 0)["targets"].clone();
    let names: Vec<&Value> = targets.as_array().expect("a list").iter().map(|target| &target["name"]).collect();
    assert_eq!(names, [&json!("build"), &json!("other"), &json!("")]);
    assert_eq!((&targets[0]["description"], &targets[2]["default"]), (&json!("compiles"), &json!(true)));
    let text = lab.build(&["--call=targets"]);
    text.ok().prints("TARGET       DESCRIPTION\nbuild        compiles\nother\n(default)\n");
    let text = lab.build(&["--call=outline", "--target=other"]);
    text.ok().prints(
        "TARGET:       other\n\nBUILD ARG    VALUE    DESCRIPTION\nVERSION      1        of the base\nUNUSED\n",
    );
}

/// `lbuild parse` prints what is there, whatever is wrong, and needs no store.
#[test]
fn parse_shows_what_the_parser_sees() {
    let lab = Lab::with("# escape=`\nFROM a\nRUN echo `\n  x\nCOPY <<E /e\nbody\nE\n");
    let run = lab.lbuild(&["parse"]);
    run.ok();
    let parsed: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(parsed["directives"], json!({ "escape": "`" }));
    assert_eq!(parsed["instructions"][1]["arguments"], json!(["echo   x"]));
    assert_eq!(
        (&parsed["instructions"][1]["start_line"], &parsed["instructions"][1]["end_line"]),
        (&json!(3), &json!(4))
    );
    assert_eq!(parsed["instructions"][2]["heredocs"][0]["body"], json!("body\n"));
    assert_eq!(parsed["diagnostics"], json!([]));
    lab.file("Wrong", "FROM\nRNU x\n");
    let run = lab.lbuild(&["parse", "Wrong"]);
    run.ends(1);
    let parsed: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(parsed["diagnostics"][1]["help"], json!("did you mean `RUN`?"));
    assert_eq!((&parsed["diagnostics"][1]["line"], &parsed["diagnostics"][1]["column"]), (&json!(2), &json!(1)));
    assert!(!lab.store().exists(), "nothing is written");
    lab.lbuild(&["parse", "none"]).ends(125);
    crate::harness::fed(lab.command(&["parse", "-"]), "FROM a\n").ok();
}
