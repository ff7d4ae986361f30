use super::*;

/// Returns the routes of a `registries.conf`, and of a `daemon.json` where it is not empty.
fn routes(conf: &str, daemon: &str) -> Routes {
    let dir = tempfile::tempdir().expect("a directory");
    let (conf_file, daemon_file) = (dir.path().join("registries.conf"), dir.path().join("daemon.json"));
    std::fs::write(&conf_file, conf).expect("write");
    std::fs::write(&daemon_file, daemon).expect("write");
    let settings = RegistrySettings {
        registries_conf: vec![conf_file],
        daemon_json: vec![daemon_file, dir.path().join("absent")],
        ..RegistrySettings::default()
    };
    Routes::read(&settings).unwrap_or_else(|error| panic!("{error}"))
}

fn name(text: &str) -> ImageRef {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Returns an endpoint as `[mirror ]host/repository scheme[ serves][ as credentials host]`.
fn shown(endpoint: &Endpoint) -> String {
    let Endpoint { host, repository, scheme, mirror, serves, credentials_host } = endpoint;
    let mirror = if *mirror { "mirror " } else { "" };
    let serves = if *serves == Serves::All { String::new() } else { format!(" {serves:?}") };
    let credentials = if credentials_host == host { String::new() } else { format!(" as {credentials_host}") };
    format!("{mirror}{host}/{repository} {scheme:?}{serves}{credentials}")
}

fn pulled(routes: &Routes, text: &str) -> Vec<String> {
    routes.pull(&name(text)).unwrap_or_else(|error| panic!("{error}")).iter().map(shown).collect()
}

/// FEATURES 6-1, 6-5.
#[test]
fn without_settings_a_name_is_at_its_own_host() {
    for (text, wanted) in [
        ("fedora", "registry-1.docker.io/library/fedora Https as docker.io"),
        ("index.docker.io/me/app", "registry-1.docker.io/me/app Https as docker.io"),
        ("quay.io/a/b:1", "quay.io/a/b Https"),
        ("localhost/a", "localhost/a HttpsOrHttp"),
        ("localhost:5000/a", "localhost:5000/a HttpsOrHttp"),
        ("127.1.2.3:5000/a", "127.1.2.3:5000/a HttpsOrHttp"),
        ("[::1]:5000/a", "[::1]:5000/a HttpsOrHttp"),
        ("[::2]:5000/a", "[::2]:5000/a Https"),
        ("registry-1.docker.io/me/app", "registry-1.docker.io/me/app Https as docker.io"),
    ] {
        let routes = Routes::default();
        assert_eq!(pulled(&routes, text), [wanted], "{text}");
        assert_eq!(routes.push(&name(text)).map(|endpoint| shown(&endpoint)).ok().as_deref(), Some(wanted), "{text}");
    }
}

const CONF: &str = r#"
    [[registry]]
    location = "docker.io"
    [[registry.mirror]]
    location = "localhost:5000"
    [[registry.mirror]]
    location = "mirror.example/hub/"
    insecure = true
    pull-from-mirror = "digest-only"

    [[registry]]
    prefix = "docker.io/library"
    location = "quay.io/official"

    [[registry]]
    prefix = "example.com/foo"
    location = "internal.example"
    insecure = true

    [[registry]]
    location = "example.com/foo/bar"
    mirror-by-digest-only = true
    [[registry.mirror]]
    location = "plainhost/bar"

    [[registry]]
    prefix = "*.wild.example"
    location = "docker.io/wild"
    [[registry.mirror]]
    location = "tags.example"
    pull-from-mirror = "tag-only"

    [[registry]]
    prefix = "*.deep.wild.example"

    [[registry]]
    prefix = "blocked.example"
    blocked = true

    [[registry]]
    prefix = "tagged.example/a:1"
    location = "other.example/b:1"

    [[registry]]
    prefix = "bad.example/a"
    location = "bad.example"

    [[registry]]
    prefix = "worse.example/a"
    location = "ex ample/b"

    [[registry]]
    prefix = "tag.example/a:1"
    location = "tag.example/a:2"
"#;

/// FEATURES 6-4: containers-registries.conf(5), "Remapping and mirroring registries".
#[test]
fn the_longest_prefix_counts_and_is_replaced() {
    let routes = routes(CONF, "");
    let digest = format!("@sha256:{}", "a".repeat(64));
    for (text, wanted) in [
        (
            "docker.io/me/app",
            &[
                "mirror localhost:5000/me/app HttpsOrHttp",
                "mirror mirror.example/hub/me/app Insecure Digests",
                "registry-1.docker.io/me/app Https as docker.io",
            ][..],
        ),
        ("fedora", &["quay.io/official/fedora Https"]),
        (
            "docker.io/libraryx/fedora",
            &[
                "mirror localhost:5000/libraryx/fedora HttpsOrHttp",
                "mirror mirror.example/hub/libraryx/fedora Insecure Digests",
                "registry-1.docker.io/libraryx/fedora Https as docker.io",
            ],
        ),
        ("example.com/foo/image:2", &["internal.example/image Insecure"]),
        ("example.com/food", &["example.com/food Https"]),
        ("example.com/foo/bar", &["mirror plainhost/bar Https Digests", "example.com/foo/bar Https"]),
        ("example.com/foo/bar/baz", &["mirror plainhost/bar/baz Https Digests", "example.com/foo/bar/baz Https"]),
        (
            "a.b.wild.example/x:1",
            &["mirror tags.example/x Https Tags", "registry-1.docker.io/wild/x Https as docker.io"],
        ),
        ("a.deep.wild.example:5000/x", &["a.deep.wild.example:5000/x Https"]),
        ("wild.example/x", &["wild.example/x Https"]),
        ("xwild.example/x", &["xwild.example/x Https"]),
        ("tagged.example/a:1", &["other.example/b Https"]),
        ("tagged.example/a:12", &["tagged.example/a Https"]),
        (&format!("tagged.example/a:1{digest}"), &["other.example/b Https"]),
    ] {
        assert_eq!(pulled(&routes, text), wanted, "{text}");
    }
    for (text, why) in [
        ("blocked.example/x:1", "`blocked.example/x:1` is blocked by "),
        ("bad.example/a", "location `bad.example` for `bad.example/a:latest`: it leaves no repository"),
        ("worse.example/a", "location `ex ample/b` for `worse.example/a:latest`: `ex ample` is not a registry host"),
        ("tag.example/a:1", "location `tag.example/a:2` for `tag.example/a:1`: it would change the tag or digest"),
    ] {
        let error = routes.pull(&name(text)).expect_err(text).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_push_goes_to_the_name_s_own_host() {
    let routes = routes(CONF, r#"{"registry-mirrors": ["https://m.example"]}"#);
    let pushed = |text: &str| routes.push(&name(text)).map(|endpoint| shown(&endpoint)).ok();
    for (text, wanted) in [
        ("me/app", Some("registry-1.docker.io/me/app Https as docker.io")),
        ("example.com/foo/image", Some("example.com/foo/image Insecure")),
        ("blocked.example/a", None),
        ("blocked.example:5000/a", None),
    ] {
        assert_eq!(pushed(text).as_deref(), wanted, "{text}");
    }
}

/// FEATURES 6-4.
#[test]
fn mirrors_of_docker_are_for_docker_hub_and_come_after_those_of_registries_conf() {
    let conf = "[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = 'first.example'\n\
                [[registry]]\nprefix = 'docker.io/away'\nlocation = 'away.example'";
    let daemon = r#"{"registry-mirrors": ["http://second.example/", "https://third.example/v/hub"],
                     "insecure-registries": ["third.example", "10.0.0.0/8", "fourth.example:5000"]}"#;
    let routes = routes(conf, daemon);
    for (text, wanted) in [
        (
            "fedora",
            &[
                "mirror first.example/library/fedora Https",
                "mirror second.example/library/fedora Http",
                "mirror third.example/v/hub/library/fedora Insecure",
                "registry-1.docker.io/library/fedora Https as docker.io",
            ][..],
        ),
        ("docker.io/away/x", &["away.example/x Https"]),
        ("quay.io/x", &["quay.io/x Https"]),
        ("10.1.1.1:5000/x", &["10.1.1.1:5000/x Insecure"]),
        ("fourth.example:5000/x", &["fourth.example:5000/x Insecure"]),
        ("fourth.example/x", &["fourth.example/x Https"]),
    ] {
        assert_eq!(pulled(&routes, text), wanted, "{text}");
    }
}

#[test]
fn drop_ins_are_read_in_order_and_the_later_one_counts() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (main, drop_ins) = (dir.path().join("registries.conf"), dir.path().join("registries.conf.d"));
    std::fs::create_dir(&drop_ins)?;
    std::fs::write(&main, "[[registry]]\nlocation='a.example'\ninsecure=true\n[[registry]]\nlocation='b.example'")?;
    std::fs::write(drop_ins.join("2.conf"), "[[registry]]\nlocation='a.example'\n[aliases]\nx='two.example/x'\ny=''")?;
    std::fs::write(
        drop_ins.join("1.conf"),
        "[[registry]]\nlocation='a.example'\nblocked=true\n[aliases]\nx='one.example/x'\ny='one.example/y'\nz='Z'",
    )?;
    std::fs::write(drop_ins.join("3.conf.off"), "not TOML at all")?;
    let settings = RegistrySettings { registries_conf: vec![main, drop_ins.clone()], ..RegistrySettings::default() };
    let routes = Routes::read(&settings)?;
    assert_eq!(pulled(&routes, "a.example/x"), ["a.example/x Https"]);
    let alias = |short: &str| routes.alias(short).map(|name| name.to_string());
    for (short, wanted) in [
        ("x", Some("two.example/x:latest")),
        ("x:7", Some("two.example/x:7")),
        ("y", None),
        ("z", None),
        ("other", None),
    ] {
        assert_eq!(alias(short).as_deref(), wanted, "{short}");
    }
    std::fs::write(drop_ins.join("3.conf"), "not TOML at all")?;
    let error = Routes::read(&settings).expect_err("refused").to_string();
    assert!(error.contains("3.conf`: line 1: "), "{error}");
    Ok(())
}

#[test]
fn hosts_that_the_user_named_are_insecure_even_on_loopback() {
    let settings = RegistrySettings { insecure: vec!["localhost:5000".into()], ..RegistrySettings::default() };
    let routes = Routes::read(&settings).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(pulled(&routes, "localhost:5000/a"), ["localhost:5000/a Insecure"]);
    assert_eq!(pulled(&routes, "localhost:5001/a"), ["localhost:5001/a HttpsOrHttp"]);
    let settings = RegistrySettings { insecure: vec!["a/b".into()], ..RegistrySettings::default() };
    let error = Routes::read(&settings).expect_err("refused").to_string();
    assert_eq!(error, "`--insecure-registry`: `a/b` is no `host[:port]`");
}

#[test]
fn a_daemon_json_that_is_root_s_alone_is_passed_over() -> Result<(), Box<dyn std::error::Error>> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir()?;
    let (daemon, conf) = (dir.path().join("daemon.json"), dir.path().join("registries.conf"));
    for path in [&daemon, &conf] {
        std::fs::write(path, "")?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o0))?;
    }
    if std::fs::File::open(&daemon).is_ok() {
        // Root may read anything; the other users' suites show this.
        return Ok(());
    }
    let settings = RegistrySettings { daemon_json: vec![daemon.clone()], ..RegistrySettings::default() };
    assert_eq!(Routes::read(&settings)?.passed_over(), [daemon]);
    let settings = RegistrySettings { registries_conf: vec![conf.clone()], ..settings };
    let error = Routes::read(&settings).expect_err("refused").to_string();
    assert_eq!(error, format!("`{}`: cannot be read: Permission denied", conf.display()));
    Ok(())
}
