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

/// Lines of pipelines, Makefiles and scripts as they stand there, rewritten from public ones, with lbuild behind the names
/// `docker`, `podman` and `buildah`. What a registry would be asked for is left out: `tests/registry_push.rs` has it.
const SCRIPT: [&str; 44] = [
    "docker version",
    "docker buildx version",
    "docker buildx inspect ci || docker buildx create --name ci --driver docker-container --bootstrap --use",
    "docker buildx create --use --platform linux/amd64,linux/arm64 --driver-opt network=host",
    "docker buildx use ci",
    "docker buildx ls",
    "docker build . -t app:1 --file - < Dockerfile",
    "sed s/scratch/busybox/ Dockerfile | docker build -t app:1 -f - .",
    "cat Dockerfile | DOCKER_BUILDKIT=1 docker build --build-arg builder_image=x --build-arg ARCH=amd64 . -t ctl-amd64:v1 --file -",
    "DOCKER_BUILDKIT=1 docker build --network=host --platform linux/amd64 --progress=plain -t app:1 .",
    "DOCKER_BUILDKIT=1 docker build --secret id=npm_ca,src=${NPM_CA_FILE:-/dev/null} -f deploy/app.Dockerfile -t app:ci .",
    "DOCKER_BUILDKIT=1 docker build --tag app:e2e \"$PWD\" --quiet",
    "DOCKER_BUILDKIT=1 docker build -t builder -o out --target artifact . && test -e out/v",
    "docker build --tag=app:$(date +%Y%m%d) --label build=$(date +%s) --label \"title=an app\" .",
    "while ! docker build --build-arg VERSION=$VERSION -t app:loop . ; do sleep 1; echo again; done",
    "docker buildx build --builder=ci --target=artifact --output type=local,dest=build --platform=local . && grep 0 build/v",
    "docker buildx build --platform=linux/amd64 --compress -t app:a -t app:latest .",
    "docker buildx build --push=false --pull=false --no-cache --builder=ci --platform=linux/amd64 --tag=app:op -f $PWD/deploy/app.Dockerfile $PWD",
    "docker buildx build --provenance=false --platform linux/amd64 --metadata-file app-amd64.json --file deploy/app.Dockerfile --tag app:meta-amd64 . && grep -q containerimage.digest app-amd64.json",
    "docker buildx build --attest type=provenance,disabled=true --sbom=false -t app:plain .",
    "docker buildx build --cache-from type=local,src=/tmp/.buildx-cache --cache-to type=local,dest=/tmp/.buildx-cache-new,mode=max -t app:cached .",
    "docker buildx build --cache-from type=registry,ref=example.com/app:cache --cache-to type=registry,ref=example.com/app:cache,mode=max -t app:cached .",
    "docker buildx build --allow network.host --network host --output type=oci,dest=app.oci.tar . && tar -tf app.oci.tar > listing && grep -q index.json listing",
    "docker buildx build --output type=docker,dest=- -t app:piped . > app.docker.tar && docker load -i app.docker.tar",
    "docker buildx build -o - --target artifact . | tar -x -C extracted v && test -e extracted/v",
    "docker image build -t app:group . && docker builder build -t app:group .",
    "docker images | grep app && docker images -q app:1 && docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -x app:1",
    "docker image inspect app:1 > /dev/null 2>&1 && test -n \"$(docker inspect --format '{{.Id}}' app:1)\"",
    "docker tag app:1 registry.example.com/team/app:$VERSION && docker rmi registry.example.com/team/app:$VERSION",
    "docker save app:1 | gzip > app.tar.gz && docker load < app.tar.gz",
    "docker run --rm app:1 cat /v | grep -x 0",
    "docker history --no-trunc app:1 | grep -q COPY",
    "docker rmi -f app:none app:loop && docker image rm app:op",
    "docker buildx imagetools inspect --help | grep -q -- --raw",
    "docker --log-level=error build -q -t app:1 . && docker -D build -q .",
    "podman build --layers -f ./deploy/app.Dockerfile -t app:1 \"$PWD\"",
    "podman build --format docker --arch amd64 --ulimit nofile=1024:1024 --tag=app:pod --file Dockerfile",
    "podman build --iidfile image.iid -t app:pod && podman tag $(cat image.iid) app:by-id",
    "buildah bud -t app:bud",
    "buildah bud --layers=true --build-arg=VERSION=43 -f deploy/app.Dockerfile --tag app:43 && podman run app:43 cat /v | grep -x 43",
    "buildah --storage-driver vfs bud --isolation chroot --format docker --build-arg VERSION -t app:vfs .",
    "docker buildx du && docker system df",
    "docker buildx prune -f --filter until=24h && docker builder prune -af && docker image prune -f",
    "docker system prune -af && docker buildx rm ci",
];

/// FEATURES 3.5-5, 3.5-8, 3.2.
#[test]
fn userns_scripts_run_with_lbuild_in_the_place_of_docker() {
    let lab = Lab::with(
        "FROM busybox AS build\nARG VERSION=0\nRUN echo $VERSION > /v\nFROM scratch AS artifact\nCOPY --from=build /v /v\n\
         FROM busybox\nCOPY --from=build /v /v\n",
    );
    fs::create_dir_all(lab.path("extracted")).expect("a directory");
    fs::create_dir_all(lab.home().join("bin")).expect("a directory");
    let dockerfile = fs::read(lab.path("Dockerfile")).expect("the Dockerfile");
    lab.file("deploy/app.Dockerfile", dockerfile).file(".dockerignore", "*.tar*\nout\nbuild\n");
    for name in ["docker", "podman", "buildah"] {
        std::os::unix::fs::symlink(crate::harness::binary(), lab.home().join("bin").join(name)).expect("a link");
    }
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", lab.home().join("bin").display());
    let base = lab.home().join("busybox.tar").to_string_lossy().into_owned();
    lab.file("../base/Dockerfile", "FROM busybox\n");
    lab.build(&["-q", "-t", "busybox", "-f", "../base/Dockerfile"]).ok();
    lab.lbuild(&["save", "-o", &base, "busybox"]).ok();
    for line in SCRIPT {
        // Tidying up takes the base, too, whose name stands for the one in a registry.
        lab.lbuild(&["load", "-q", "-i", &base]).ok();
        let shell = lab.command(&[]);
        let mut script = std::process::Command::new("sh");
        script.args(["-ec", line]).current_dir(lab.path("")).env_clear();
        script.envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = Run::within(script.env("PATH", &path).env("VERSION", "9"), 120);
        ran.ok();
    }
    // `podman build` and `buildah bud` read arguments of the environment, too.
    lab.lbuild(&["buildx", "bake"]).ends(125).says("build each target by itself");
    lab.lbuild(&["buildx", "frobnicate"]).ends(125);
}
