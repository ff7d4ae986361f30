use super::*;
use crate::args::{Args, BuildArgs, Command, ProgressArg};
use crate::ui::View;
use builder::annotation::{Annotation, Level};
use builder::diagnostic::Diagnose;
use builder::request::{
    BuildContextSource, ContextSource, Destination, Engine, LayerCompression, Look, Output, SecretSource,
};
use clap::Parser;
use layerfs::compress::Compression;
use layerfs::reference::ImageRef;
use layerfs::registry::settings::RegistrySettings;
use std::path::{Path, PathBuf};

fn build(args: &BuildArgs, environment: &Environment) -> Result<super::build::BuildSettings, SettingsError> {
    super::build(args, &Config::default(), RegistrySettings::default(), environment)
}

fn typed(arguments: &[&str]) -> BuildArgs {
    let args = Args::try_parse_from(["lbuild", "build"].iter().chain(arguments)).expect("parses");
    let Command::Build(build) = args.command else { panic!("build") };
    *build
}

fn context() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("Dockerfile"), "FROM scratch\n").expect("write");
    dir
}

/// Returns what `arguments` mean with a good context, or the message and the cure.
fn meant(
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<super::build::BuildSettings, (String, Option<String>)> {
    let dir = context();
    let path = dir.path().to_string_lossy().into_owned();
    let environment: Environment = variables.iter().copied().collect();
    let all: Vec<&str> = arguments.iter().copied().chain([path.as_str()]).collect();
    build(&typed(&all), &environment).map_err(|error| {
        let diagnostic = error.diagnose();
        (diagnostic.message.replace(&path, "CONTEXT"), diagnostic.help)
    })
}

fn message(arguments: &[&str]) -> String {
    meant(arguments, &[]).expect_err("is refused").0
}

#[test]
fn the_store_is_where_it_was_said_to_be() {
    let root_of = |typed: Option<&str>, variables: &[(&str, &str)]| {
        root(typed.map(Path::new), None, &variables.iter().copied().collect()).map_err(|error| error.to_string())
    };
    let all = [("LBUILD_ROOT", "/l"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
    assert_eq!(root_of(Some("r"), &all), Ok(PathBuf::from("r")));
    assert_eq!(root_of(None, &all), Ok(PathBuf::from("/l")));
    assert_eq!(root_of(None, &all[1..]), Ok(PathBuf::from("/x/lbuild")));
    assert_eq!(root_of(None, &all[2..]), Ok(PathBuf::from("/h/.local/share/lbuild")));
    assert_eq!(root_of(None, &[("XDG_DATA_HOME", "relative"), ("HOME", "/h")]), Ok("/h/.local/share/lbuild".into()));
    assert!(root_of(None, &[]).expect_err("nowhere").starts_with("no place for the store"));
}

/// FEATURES 3.1-1, 3.1-2.
#[test]
fn contexts_and_dockerfiles_that_are_not_there_are_named() {
    let refused =
        |arguments: &[&str]| build(&typed(arguments), &Environment::default()).expect_err("refused").to_string();
    assert_eq!(refused(&["/no/such"]), "unable to prepare context: path `/no/such` not found");
    assert_eq!(refused(&["/dev/null"]), "unable to prepare context: path `/dev/null` is not a directory");
    assert_eq!(refused(&["https://x/y.git?z=1"]), "`PATH https://x/y.git?z=1`: unexpected query `z`");
    let empty = tempfile::tempdir().expect("a directory");
    let path = empty.path().to_string_lossy().into_owned();
    assert_eq!(refused(&[&path]), format!("no Dockerfile: `{path}/Dockerfile` does not exist"));
    assert_eq!(message(&["-f", "/no/such"]), "no Dockerfile: `/no/such` does not exist");
    assert_eq!(message(&["-f", "/"]), "read `/`: Is a directory");
    let near = build(&typed(&["imges"]), &Environment::default()).expect_err("refused").diagnose();
    assert_eq!(near.help.as_deref(), Some("did you mean the command `images`?"));
    for (word, wanted) in
        [("compose", "`lbuild --help` lists the commands"), ("./compose", "give the directory of the files")]
    {
        let refused = build(&typed(&[word]), &Environment::default()).expect_err("refused").diagnose();
        assert!(refused.help.as_ref().is_some_and(|help| help.contains(wanted)), "{word}: {:?}", refused.help);
    }
}

#[test]
fn the_lower_case_name_is_taken_where_the_usual_one_is_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("dockerfile"), "FROM scratch\n").expect("write");
    let settings = build(&typed(&[&dir.path().to_string_lossy()]), &Environment::default()).expect("settings");
    assert_eq!(settings.request.dockerfile_path, Some(dir.path().join("dockerfile")));
    assert_eq!(settings.request.context, ContextSource::Directory(dir.path().to_owned()));
}

#[test]
fn a_dockerfile_that_is_no_text_is_refused_by_its_line() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("Dockerfile"), b"FROM a\nRUN \xff\n").expect("write");
    let error = build(&typed(&[&dir.path().to_string_lossy()]), &Environment::default()).expect_err("refused");
    assert!(error.to_string().ends_with("is not UTF-8: byte 11 (0xff) on line 2 starts no character"), "{error}");
}

/// FEATURES 3.1-5, 3.1-17.
#[test]
fn arguments_and_labels_are_pairs() {
    let settings = meant(
        &["--build-arg", "A=1=2", "--build-arg", "B", "--build-arg", "C", "--label", "k=v=w", "--label", "bare"],
        &[("B", "from outside")],
    )
    .expect("settings");
    let pair = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
    assert_eq!(settings.request.build_args, [pair("A", Some("1=2")), pair("B", Some("from outside")), pair("C", None)]);
    assert_eq!(settings.request.labels, [("k".into(), "v=w".into()), ("bare".to_owned(), String::new())]);
    assert_eq!(message(&["--build-arg", "=1"]), "`--build-arg =1`: the name is missing: write `NAME=VALUE`");
    assert_eq!(message(&["--label", "=1"]), "`--label =1`: the key is missing: write `KEY=VALUE`");
}

/// FEATURES 3.1-6.
#[test]
fn build_contexts_are_directories_layouts_or_archives() {
    let dir = context();
    let path = dir.path().to_string_lossy().into_owned();
    let layout = |reference: Option<&str>| BuildContextSource::OciLayout {
        dir: dir.path().to_owned(),
        reference: reference.map(str::to_owned),
    };
    let archive = |tag: Option<&str>| BuildContextSource::DockerArchive {
        file: dir.path().join("Dockerfile"),
        tag: tag.map(str::to_owned),
    };
    for (text, wanted) in [
        (format!("x={path}"), BuildContextSource::Directory(dir.path().to_owned())),
        (format!("x=oci-layout://{path}"), layout(None)),
        (format!("x=oci-layout://{path}:1.0"), layout(Some("1.0"))),
        (format!("x=oci-layout://{path}@sha256:ab"), layout(Some("sha256:ab"))),
        (format!("x=docker-archive:{path}/Dockerfile"), archive(None)),
        (format!("x=docker-archive:{path}/Dockerfile:a/b:1"), archive(Some("a/b:1"))),
    ] {
        let settings = meant(&["--build-context", &text], &[]).expect("settings");
        assert_eq!(settings.request.build_contexts, [("x".to_owned(), wanted)], "{text}");
    }
    assert!(message(&["--build-context", "x"]).contains("write `NAME=DIR`"));
    assert!(message(&["--build-context", "x=/no/such"]).ends_with("open `/no/such`: No such file or directory"));
    assert!(message(&["--build-context", "x=oci-layout:///dev/null"]).ends_with("`/dev/null` is not an OCI layout"));
    for (text, wanted) in [("x=https://y/a.tgz", "https://y/a.tgz"), ("x=https://y/a.git#b:c", "https://y/a.git")] {
        let settings = meant(&["--build-context", text], &[]).expect("settings");
        match &settings.request.build_contexts[0].1 {
            BuildContextSource::Elsewhere(late) => assert_eq!(late.place.shown(), wanted),
            other => panic!("{other:?}"),
        }
    }
    assert!(message(&["--build-context", "x=-"]).contains("standard input"));
    assert!(message(&["--build-context", "x=target:y"]).contains("bake"));
}

/// FEATURES 3.1-15.
#[test]
fn secrets_come_from_files_or_variables() {
    let dir = context();
    let file = dir.path().join("Dockerfile");
    let path = file.to_string_lossy().into_owned();
    let from_file = SecretSource::File(file);
    let from_variable = SecretSource::Environment(b"hunter2".to_vec());
    for (text, wanted) in [
        (format!("id=x,src={path}"), &from_file),
        (format!("id=x,source={path},type=file"), &from_file),
        ("id=x,env=TOKEN".to_owned(), &from_variable),
        ("id=x,src=TOKEN,type=env".to_owned(), &from_variable),
        ("id=TOKEN".to_owned(), &from_variable),
        (format!("id={path}"), &from_file),
    ] {
        let settings = meant(&["--secret", &text], &[("TOKEN", "hunter2")]).expect(&text);
        assert_eq!(&settings.request.secrets[0].source, wanted, "{text}");
    }
    assert!(message(&["--secret", "src=x"]).ends_with("secret missing ID: write `id=NAME`"));
    assert_eq!(message(&["--secret", "id=x,env=NOT_SET"]), "secret `x`: environment variable `NOT_SET` is not set");
    assert_eq!(message(&["--secret", "id=x,src=/no"]), "secret `x`: `/no`: no such file or directory");
    assert_eq!(message(&["--secret", "id=x,src=/"]), "secret `x`: `/` is a directory");
    assert!(message(&["--secret", "id=x,src=a,env=b"]).ends_with("`src` and `env` exclude each other"));
    let twice = format!("id=x,src={path}");
    assert!(message(&["--secret", &twice, "--secret", &twice]).ends_with("id `x` is given twice"));
    let (big, _) = meant(&["--secret", "id=x,env=BIG"], &[("BIG", &"x".repeat(512_001))]).expect_err("too big");
    assert_eq!(big, "secret `x`: it has 512001 bytes, 512000 are allowed");
    let (unknown, help) = meant(&["--secret", "id=x,sorce=y"], &[]).expect_err("refused");
    assert_eq!(
        (unknown.as_str(), help.as_deref()),
        ("`--secret id=x,sorce=y`: no attribute is called `sorce`", Some("did you mean `source`?"))
    );
}

/// FEATURES 4-11, 4-12, 4-19, 4-20.
#[test]
fn outputs_are_the_store_layouts_and_archives() {
    let output = |text: &str| meant(&["-o", text], &[]).map(|settings| settings.request.outputs);
    assert_eq!(
        meant(&[], &[]).expect("settings").request.outputs,
        [Output::Store { names: Vec::new(), look: Look::default() }]
    );
    let Ok([Output::Oci { destination, archive: true, compression, .. }]) =
        output("type=oci,dest=/tmp/a.tar,compression=zstd,compression-level=19")
            .map(|list| <[Output; 1]>::try_from(list).expect("one"))
    else {
        panic!("an OCI archive")
    };
    assert_eq!(destination, Destination::Path("/tmp/a.tar".into()));
    assert_eq!((compression.form, compression.level, compression.force), (Compression::Zstd, Some(19), false));
    assert!(matches!(
        &output("type=oci,tar=false,dest=/tmp/d").expect("dir")[..],
        [Output::Oci { archive: false, .. }]
    ));
    assert!(matches!(
        &output("type=docker,dest=-").expect("docker")[..],
        [Output::Docker { destination: Destination::Stdout, .. }]
    ));
    for (text, wanted) in [
        ("type=oci", "`--output type=oci`: `dest=FILE` is missing"),
        ("type=local", "`--output type=local`: `dest=DIR` is missing"),
        ("type=local,dest=-", "`--output type=local,dest=-`: a directory cannot be written to standard output"),
        ("type=local,dest=/dev/null", "`--output type=local,dest=/dev/null`: `/dev/null` is not a directory"),
        (
            "type=oci,dest=/tmp/x,platform-split=true",
            "`--output type=oci,dest=/tmp/x,platform-split=true`: `platform-split` goes with `type=local` and `type=tar`",
        ),
        (
            "type=local,dest=/,mode=delete",
            "`--output type=local,dest=/,mode=delete`: `mode=delete` would delete all of `/` that the image does not have",
        ),
        (
            "type=local,dest=/tmp/x,mode=move",
            "`--output type=local,dest=/tmp/x,mode=move`: `mode` is `copy` or `delete`",
        ),
        (
            "type=tar,dest=/tmp/x,mode=delete",
            "`--output type=tar,dest=/tmp/x,mode=delete`: `mode=delete` goes with `type=local`",
        ),
        (
            "type=tar,dest=/tmp/x,compression=gzip",
            "`--output type=tar,dest=/tmp/x,compression=gzip`: files are not compressed: `compression` is for layers",
        ),
        ("type=oci,dest=/no/such/x", "`--output type=oci,dest=/no/such/x`: there is no directory `/no/such`"),
        ("type=oci,dest=/", "`--output type=oci,dest=/`: `/` is a directory, and an archive is a file"),
        (
            "type=oci,dest=/dev/null,tar=false",
            "`--output type=oci,dest=/dev/null,tar=false`: `/dev/null` is not a directory",
        ),
        (
            "type=oci,dest=/tmp/x,oci-mediatypes=false,compression=zstd",
            "`--output type=oci,dest=/tmp/x,oci-mediatypes=false,compression=zstd`: Docker's media types know no \
             `compression=zstd`: take OCI's, or leave it out",
        ),
        (
            "type=image,annotation-index.a=b",
            "`--output type=image,annotation-index.a=b`: an image for one platform has no index: annotate its `manifest`, \
             or build for several",
        ),
        (
            "type=oci,dest=/tmp/x,source-date-epoch=now",
            "`--output type=oci,dest=/tmp/x,source-date-epoch=now`: `source-date-epoch` is a number of seconds since 1970",
        ),
        (
            "type=oic,dest=/tmp/x",
            "`--output type=oic,dest=/tmp/x`: `type` is `image`, `registry`, `oci`, `docker`, `tar`, `local` or `cacheonly`",
        ),
        (
            "type=oci,dest=/tmp/x,compression=lzma",
            "`--output type=oci,dest=/tmp/x,compression=lzma`: unsupported compression type `lzma`: it is `uncompressed`, `gzip` or `zstd`",
        ),
        (
            "type=oci,dest=/tmp/x,compression=gzip,compression-level=10",
            "`--output type=oci,dest=/tmp/x,compression=gzip,compression-level=10`: `compression-level` is a number from 0 to 9",
        ),
        (
            "type=oci,dest=/tmp/x,compression-level=3",
            "`--output type=oci,dest=/tmp/x,compression-level=3`: `compression-level` is of `compression=gzip` or `compression=zstd`: say which",
        ),
        (
            "type=oci,dest=/tmp/x,tar=perhaps",
            "`--output type=oci,dest=/tmp/x,tar=perhaps`: `perhaps` is neither `true` nor `false`",
        ),
        ("type=oci,dset=x", "`--output type=oci,dset=x`: no attribute is called `dset`"),
    ] {
        let message = meant(&["-o", text], &[]).expect_err(text).0;
        assert_eq!(message, wanted);
    }
    assert!(
        message(&["-o", "type=oci,dest=-", "-o", "type=docker,dest=-"])
            .ends_with("only one output can go to standard output")
    );
    assert!(
        message(&["-o", "type=oci,dest=/tmp/x", "-o", "type=tar,dest=/tmp/x"]).ends_with("two outputs go to `/tmp/x`")
    );
}

/// FEATURES 4-8, 4-14, 4-15, 4-21, 4-22, 4-23.
#[test]
fn files_go_to_tars_and_directories_and_images_are_dressed() {
    let outputs = |arguments: &[&str]| meant(arguments, &[]).expect("settings").request.outputs;
    let local = |path: &str, delete| Output::Local { path: path.into(), delete, split: false, look: Look::default() };
    let tar = |destination| Output::Tar { destination, split: false, look: Look::default() };
    assert_eq!(outputs(&["-o", "/tmp/out"]), [local("/tmp/out", false)]);
    assert_eq!(outputs(&["-o", "type=local,dest=/tmp/out,mode=delete"]), [local("/tmp/out", true)]);
    assert_eq!(outputs(&["-o", "-"]), [tar(Destination::Stdout)]);
    assert_eq!(outputs(&["-o", "type=tar,dest=/tmp/x.tar"]), [tar(Destination::Path("/tmp/x.tar".into()))]);
    assert_eq!(outputs(&["-o", "type=cacheonly"]), []);
    let mut look = Look { source_date_epoch: Some(7), rewrite_timestamp: true, ..Look::default() };
    let annotation = |level, key: &str, value: &str| {
        let (key, value) = (key.to_owned(), value.to_owned());
        Annotation { level, platform: None, key, value }
    };
    look.annotations = vec![
        annotation(Level::Manifest, "a", "1"),
        annotation(Level::Manifest, "b", "2"),
        annotation(Level::ManifestDescriptor, "c", "3"),
    ];
    let text =
        "type=image,annotation.b=2,annotation-manifest-descriptor.c=3,rewrite-timestamp=true,source-date-epoch=7";
    assert_eq!(outputs(&["--annotation", "a=1", "-o", text]), [Output::Store { names: Vec::new(), look }]);
    let docker = Look { docker_types: true, ..Look::default() };
    let store = |look| Output::Store { names: Vec::new(), look };
    assert_eq!(outputs(&["--format", "docker"]), [store(docker.clone())]);
    assert_eq!(outputs(&["-o", "type=image,oci-mediatypes=false"]), [store(docker)]);
    assert_eq!(outputs(&["--format", "docker", "-o", "type=image,oci-mediatypes=true"]), [store(Look::default())]);
    assert!(message(&["--format", "docker", "--annotation", "a=b"]).contains("know no `annotation`"));
    assert_eq!(
        message(&["--annotation", "index:a=b"]),
        "`--annotation index:a=b`: an image for one platform has no index: annotate its `manifest`, or build for several"
    );
    let both = "--platform=linux/amd64,linux/arm64";
    assert!(meant(&[both, "--annotation", "index,manifest[arm64]:a=b", "-o", "type=oci,dest=/tmp/x"], &[]).is_ok());
}

#[test]
fn an_image_is_loaded_where_an_engine_is() {
    let docker = [("DOCKER_HOST", "unix:///run/d.sock")];
    let engine =
        Output::Engine { engine: Engine::Socket("/run/d.sock".into()), names: names(&["a"]), look: Look::default() };
    for arguments in
        [&["--load", "-t", "a"][..], &["-o", "type=docker", "-t", "a"], &["--load", "-o", "type=docker,name=a"]]
    {
        assert_eq!(meant(arguments, &docker).expect("settings").request.outputs, std::slice::from_ref(&engine));
    }
    let (refused, _) = meant(&["--load"], &[("DOCKER_HOST", "ssh://h")]).expect_err("refused");
    assert!(refused.contains("`ssh://h` is not an address"), "{refused}");
}

fn names(texts: &[&str]) -> Vec<ImageRef> {
    texts.iter().map(|text| text.parse().expect("a name")).collect()
}

/// FEATURES 4-4, 4-5, 4-11, 4-18.
#[test]
fn an_image_is_pushed_where_that_was_asked_for() {
    let gzip = LayerCompression { form: Compression::Gzip, level: None, force: false };
    let zstd = LayerCompression { form: Compression::Zstd, level: Some(9), force: true };
    let plain = LayerCompression { form: Compression::Plain, level: None, force: false };
    let store = |list: &[&str]| Output::Store { names: names(list), look: Look::default() };
    let registry = |list: &[&str]| Output::Registry {
        names: names(list),
        by_digest: false,
        compression: gzip,
        look: Look::default(),
    };
    let form = |compression| Output::Registry {
        names: names(&["r:1/a"]),
        by_digest: false,
        compression,
        look: Look::default(),
    };
    let by_digest = |list: &[&str]| Output::Registry {
        names: names(list),
        by_digest: true,
        compression: gzip,
        look: Look::default(),
    };
    let all = "type=registry,name=r:1/a,compression=zstd,compression-level=9,force-compression=true";
    for (arguments, wanted) in [
        (&["-t", "r:1/a", "--push"][..], vec![registry(&["r:1/a"])]),
        (&["-o", "type=registry", "-t", "r:1/a", "-t", "b"], vec![registry(&["r:1/a", "b"])]),
        (&["-o", r#"type=registry,"name=r:1/a,r:1/b:2""#], vec![registry(&["r:1/a", "r:1/b:2"])]),
        (&["-o", "type=registry", "-t", "r:1/a", "--push"], vec![registry(&["r:1/a"])]),
        (&["-o", "type=image,push=true", "-t", "r:1/a"], vec![store(&["r:1/a"]), registry(&["r:1/a"])]),
        (&["-o", "type=image,name=r:1/a", "--push"], vec![store(&["r:1/a"]), registry(&["r:1/a"])]),
        (&["-o", "type=image,push=false,name=a"], vec![store(&["a"])]),
        (&["-o", "type=registry,name=r:1/a,push-by-digest=true"], vec![by_digest(&["r:1/a"])]),
        (&["-o", "type=image,name=r:1/a,push=true,push-by-digest"], vec![store(&[]), by_digest(&["r:1/a"])]),
        (&["-o", all], vec![form(zstd)]),
        (&["-o", "type=registry,name=r:1/a,compression=uncompressed"], vec![form(plain)]),
    ] {
        assert_eq!(meant(arguments, &[]).expect("settings").request.outputs, wanted, "{arguments:?}");
    }
    for (arguments, message, help) in [
        (
            &["-o", "type=registry"][..],
            "`--output type=registry`: no name to push to",
            Some("add `name=HOST/REPOSITORY:TAG` to it, or `-t HOST/REPOSITORY:TAG`"),
        ),
        (&["--push"], "`--push`: no name to push to", Some("add `-t HOST/REPOSITORY:TAG`")),
        (
            &["-o", "type=registry,name=a:2,push-by-digest=true"],
            "`--output type=registry,name=a:2,push-by-digest=true`: `a:2` has a tag, which nothing pushed by digest gets: leave it out",
            None,
        ),
        (
            &["-o", "type=image,name=a,push-by-digest=true"],
            "`--output type=image,name=a,push-by-digest=true`: `push-by-digest` goes with `push=true` or `type=registry`",
            None,
        ),
        (
            &["-o", "type=oci,dest=/tmp/x,push=true"],
            "`--output type=oci,dest=/tmp/x,push=true`: only `type=image` can be pushed",
            None,
        ),
        (
            &["-o", "type=registry,push=false,name=a"],
            "`--output type=registry,push=false,name=a`: `type=registry` pushes: leave `push=false` out, or say `type=image`",
            None,
        ),
    ] {
        assert_eq!(meant(arguments, &[]).expect_err("refused"), (message.to_owned(), help.map(str::to_owned)));
    }
}

/// FEATURES 3.1-23, 3.3-5.
#[test]
fn progress_is_chosen_by_flag_then_by_variable() {
    let view =
        |arguments: &[&str], variables: &[(&str, &str)]| meant(arguments, variables).map(|settings| settings.view);
    for (arguments, variables, wanted) in [
        (&["-q"][..], &[][..], View::Quiet),
        (&["-q", "--progress", "plain"], &[], View::Quiet),
        (&["--progress", "plain"], &[("BUILDKIT_PROGRESS", "quiet")], View::Plain),
        (&[], &[("BUILDKIT_PROGRESS", "quiet")], View::Quiet),
        (&["--progress=rawjson"], &[], View::Raw),
        (&[], &[("BUILDKIT_PROGRESS", "rawjson")], View::Raw),
        (&["--progress=plain"], &[("GITHUB_ACTIONS", "true")], View::Plain),
    ] {
        assert_eq!(view(arguments, variables), Ok(wanted), "{arguments:?} {variables:?}");
    }
    let off_terminal = |variables: &[(&str, &str)]| {
        super::view(None, false, &variables.iter().copied().collect(), false).map_err(|error| error.to_string())
    };
    assert_eq!(off_terminal(&[]), Ok(View::Plain));
    assert_eq!(off_terminal(&[("GITHUB_ACTIONS", "true")]), Ok(View::GitHub));
    assert_eq!(off_terminal(&[("GITLAB_CI", "true")]), Ok(View::GitLab));
    for (typed, term, wanted) in [
        (None, "xterm", View::Tty),
        (None, "dumb", View::Plain),
        (Some(ProgressArg::Auto), "dumb", View::Plain),
        (Some(ProgressArg::Tty), "dumb", View::Tty),
    ] {
        let environment = [("TERM", term)].iter().copied().collect();
        let view = super::view(typed, false, &environment, true).expect("a view");
        assert_eq!(view, wanted, "{typed:?} {term}");
    }
    let (refused, _) = view(&[], &[("BUILDKIT_PROGRESS", "fancy")]).expect_err("refused");
    assert_eq!(
        refused,
        "environment variable `BUILDKIT_PROGRESS`: `fancy` is not `auto`, `plain`, `tty`, `quiet` or `rawjson`"
    );
}

#[test]
fn the_epoch_and_the_proxies_come_from_the_environment() {
    let settings =
        meant(&[], &[("SOURCE_DATE_EPOCH", "17"), ("no_proxy", "a"), ("HTTPS_PROXY", "b"), ("HTTP_PROXY", "")])
            .expect("settings");
    assert_eq!(settings.request.source_date_epoch, Some(17));
    assert_eq!(settings.request.proxies, [("HTTPS_PROXY".into(), "b".into()), ("no_proxy".to_owned(), "a".to_owned())]);
    let (refused, _) = meant(&[], &[("SOURCE_DATE_EPOCH", "-1")]).expect_err("refused");
    assert_eq!(refused, "environment variable `SOURCE_DATE_EPOCH`: `-1` is not a number of seconds since 1970");
}
