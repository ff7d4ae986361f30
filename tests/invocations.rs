//! Command lines as they stand in people's pipelines, with lbuild in the place of `docker` or `podman` (issue 4): each
//! must do what it did there.

use crate::harness::{Lab, Run};
use std::fs;

/// What follows `docker`, `docker buildx` or `podman` in a script, rewritten from public ones; `$` stands for the
/// context's directory.
const LINES: [&str; 34] = [
    "build .",
    "build -t app .",
    "build --tag app:ci --tag app:latest .",
    "build -t registry.example.com/team/app:1.2.3 .",
    "build --pull=false --rm -t app .",
    "build --rm=true --force-rm -t app -f Dockerfile .",
    "build -f $/docker/Dockerfile.prod -t app:prod $",
    "build --file=docker/Dockerfile.prod --tag=app:prod .",
    "build --target build -t app:build .",
    "build --build-arg VERSION=1.2.3 --build-arg COMMIT=abc1234 -t app .",
    "build --build-arg VERSION -t app .",
    "build --build-arg=HTTP_PROXY=http://proxy:3128 --build-arg=NO_PROXY=localhost -t app .",
    "build --no-cache -t app .",
    "build --no-cache=true --pull=missing -t app .",
    "build --cache-from registry.example.com/app:latest --build-arg BUILDKIT_INLINE_CACHE=1 -t app .",
    "build --cache-from type=gha --cache-to type=gha,mode=max -t app .",
    "build --label org.opencontainers.image.revision=abc1234 --label maintainer=me -t app .",
    "build --network host -t app .",
    "build --network=none --target=build .",
    "build --progress plain --tag app .",
    "build --progress=plain --platform linux/amd64 --provenance=false --sbom=false -t app .",
    "build --builder ci --platform=linux/amd64 --tag app .",
    "build -q -t app .",
    "build --quiet --iidfile $/id .",
    "build --secret id=token,src=$/token.txt -t app .",
    "build --secret=id=token,env=TOKEN -t app .",
    "build --shm-size=256m --ulimit nofile=1024:1024 -t app .",
    "build --memory 2g --cpu-shares 512 --cpuset-cpus 0 -m 1g -t app .",
    "build --add-host registry.internal:10.1.2.3 --add-host=db=10.1.2.4 -t app .",
    "build --build-context shared=$/docker -t app .",
    "build -o type=oci,dest=$/app.tar .",
    "build --output type=docker,dest=$/app-docker.tar --tag app:load .",
    "build --isolation=chroot --layers=true --security-opt label=disable -t app .",
    "build --no-cache-filter build --attest-free -t app .",
];

const DOCKERFILE: &str = "ARG VERSION=0\nFROM busybox AS build\nARG VERSION\nARG COMMIT\n\
    RUN --mount=type=secret,id=token echo \"$VERSION $COMMIT\" > /version\nFROM busybox\n\
    COPY --from=build /version /version\nCMD [\"/bin/sh\"]\n";

fn lab() -> Lab {
    let lab = Lab::with(DOCKERFILE);
    lab.file("docker/Dockerfile.prod", DOCKERFILE).file("token.txt", "a token\n").file("app.txt", "x");
    lab
}

fn run(lab: &Lab, line: &str) -> Run {
    let context = lab.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let words: Vec<String> = line.split(' ').skip(1).map(|word| word.replace('$', &context)).collect();
    let (path, flags) = words.split_last().expect("a context");
    let given = lab.building(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let mut arguments: Vec<_> = given.get_args().map(std::ffi::OsStr::to_owned).collect();
    *arguments.last_mut().expect("the context") = path.into();
    let mut command = lab.command(&[]);
    command.args(arguments).env("TOKEN", "secret").env("VERSION", "9");
    Run::within(&mut command, 120)
}

#[test]
fn userns_command_lines_of_pipelines_build() {
    let lab = lab();
    for line in LINES {
        let ran = run(&lab, line);
        if line.contains("--attest-free") {
            // A flag that nobody has is no flag of lbuild's either.
            ran.ends(125).says("unexpected argument '--attest-free'");
        } else {
            ran.ok();
        }
    }
    assert!(fs::read_to_string(lab.path("id")).expect("an id").starts_with("sha256:"));
    assert!(lab.path("app.tar").exists() && lab.path("app-docker.tar").exists());
    run(&lab, "build --build-arg VERSION -t app .").ok();
    assert_eq!(lab.shell("app", "cat /version"), "9 \n");
    run(&lab, "build --build-arg VERSION=1.2.3 --build-arg COMMIT=abc1234 -t app .").ok();
    assert_eq!(lab.shell("app", "cat /version"), "1.2.3 abc1234\n");
    let names = lab.lbuild(&["images"]).ok().stdout.clone();
    for name in ["app ", "registry.example.com/team/app "] {
        assert!(names.contains(name), "{name} is missing\n{names}");
    }
}

/// Command lines that lbuild cannot honour end before anything is built, and say what to do.
#[test]
fn command_lines_that_cannot_be_honoured_say_what_to_do() {
    let lab = lab();
    for (line, cure) in [
        ("build --platform linux/amd64,linux/arm64 -t app .", "build one platform"),
        ("build --provenance=mode=max -t app .", "--provenance=false"),
        ("build --sbom=true -t app .", "run a scanner"),
        ("build -v /cache:/cache -t app .", "RUN --mount=type=bind"),
        ("build --tls-verify=false -t app .", "--insecure-registry"),
        ("build --creds user:password -t app .", "lbuild login"),
        ("build --userns=host -t app .", "user namespace"),
    ] {
        run(&lab, line).ends(125).says("help: ").says(cure);
        assert!(!lab.store().join("cache/records").exists(), "{line}: something was built");
    }
}
