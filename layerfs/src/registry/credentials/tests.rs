use super::*;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// Writes a program. A process of its own does it: were the file open in this one, another test's child could inherit it
/// at the wrong moment, and the program could not be run ("Text file busy").
pub(super) fn write_program(path: &Path, script: &str) {
    let mut writer = Command::new("sh");
    writer.args(["-c", "cat > \"$0\" && chmod 700 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut child = writer.spawn().expect("sh");
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("write");
    assert!(child.wait().expect("ends").success());
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.to_owned(), password: Secret::new(password) }
}

/// Returns the credentials of files with these names and texts, in a directory of their own.
fn credentials(files: &[(&str, &str)]) -> (tempfile::TempDir, Credentials) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = RegistrySettings::default();
    for (name, text) in files {
        settings.auth_files.push(dir.path().join(name));
        if *text != "absent" {
            std::fs::write(dir.path().join(name), text).expect("write");
        }
    }
    settings.login_file = Some(dir.path().join("config.json"));
    settings.search_path = Some(format!("{}:/usr/bin:/bin", dir.path().display()).into());
    (dir, Credentials::new(&settings))
}

/// Puts a helper into `dir` that notes what it is asked, and knows `known`.
fn install(dir: &Path, name: &str, known: &str) {
    let path = dir.join(format!("docker-credential-{name}"));
    let script = format!(
        "#!/bin/sh\nurl=$(cat); echo \"$1 $url\" >> {log}\n\
         [ \"$1\" != get ] || [ \"$url\" = {known} ] || {{ echo credentials not found in native keychain; exit 1; }}\n\
         echo '{{\"Username\":\"{name}\",\"Secret\":\"s\"}}'\n",
        log = dir.join("log").display()
    );
    write_program(&path, &script);
}

/// Finds, and shows the place without the directory.
fn found(credentials: &Credentials, dir: &Path, host: &str, repository: &str) -> Result<(Credential, String), String> {
    let plain = |text: String| text.replace(&dir.display().to_string(), "DIR");
    let found = credentials.find(host, repository).map_err(|error| plain(error.to_string()))?;
    Ok((found.credential, plain(found.place)))
}

/// FEATURES 6-2. The texts in base64 are `u:p`, `hub:hubpass`, `ns:x:y` and `zero:z\0\0`.
const ALL: &str = r#"{
    "auths": {
        "https://index.docker.io/v1/": {"auth": "aHViOmh1YnBhc3M="},
        "h.example:5000": {"auth": "dTpw"},
        "h.example:5000/ns": {"auth": "bnM6eDp5"},
        "h.example:5000/ns/app": {"username": "app", "password": "secret"},
        "https://old.example/v2/": {"auth": "emVybzp6AAA="},
        "identity.example": {"auth": "dTpw", "identitytoken": "refresh"},
        "bearer.example": {"identitytoken": "refresh", "registrytoken": "bearer"},
        "empty.example": {},
        "broken.example": {"auth": "!hush!"},
        "nocolon.example": {"auth": "aHVzaA=="},
        "binary.example": {"auth": "//79"},
        "number.example": {"auth": 1},
        "text.example": "hush"
    }
}"#;

#[test]
fn the_longest_entry_counts() {
    let (dir, credentials) = credentials(&[("config.json", ALL)]);
    for (host, repository, wanted, key) in [
        ("docker.io", "library/fedora", password("hub", "hubpass"), "https://index.docker.io/v1/"),
        ("h.example:5000", "x", password("u", "p"), "h.example:5000"),
        ("h.example:5000", "nsx", password("u", "p"), "h.example:5000"),
        ("h.example:5000", "ns", password("ns", "x:y"), "h.example:5000/ns"),
        ("h.example:5000", "ns/other", password("ns", "x:y"), "h.example:5000/ns"),
        ("h.example:5000", "ns/app", password("app", "secret"), "h.example:5000/ns/app"),
        ("old.example", "x", password("zero", "z"), "https://old.example/v2/"),
        ("identity.example", "x", Credential::Identity(Secret::new("refresh")), "identity.example"),
        ("bearer.example", "x", Credential::Bearer(Secret::new("bearer")), "bearer.example"),
    ] {
        let wanted = (wanted, format!("`{key}` in `DIR/config.json`"));
        assert_eq!(found(&credentials, dir.path(), host, repository), Ok(wanted), "{host}/{repository}");
    }
    for host in ["empty.example", "h.example", "other"] {
        let wanted = (Credential::Anonymous, format!("no entry for `{host}` in `DIR/config.json`"));
        assert_eq!(found(&credentials, dir.path(), host, "x"), Ok(wanted));
    }
}

#[test]
fn a_broken_entry_is_named_and_its_value_is_not() {
    let (dir, credentials) = credentials(&[("config.json", ALL)]);
    for (host, why) in [
        ("broken.example", "its `auth` is not base64"),
        ("nocolon.example", "its `auth` is not `user:password` in base64"),
        ("binary.example", "its `auth` is not UTF-8 in base64"),
        ("number.example", "a field of it is not a text"),
        ("text.example", "it is not an object"),
    ] {
        let error = found(&credentials, dir.path(), host, "x");
        assert_eq!(error, Err(format!("`DIR/config.json`: entry `{host}`: {why}")));
    }
    for (text, why) in [
        ("{\"auths\": {\"h\": {\"auth\": \"hush\" \"hush\"}}}", "expected `,` or `}` at line 1 column 33"),
        ("[\"hush\"]", "it is not a JSON object"),
        ("{\"auths\": \"hush\"}", "`auths` is not an object"),
        ("{\"credHelpers\": \"hush\"}", "`credHelpers` is not an object"),
        ("{\"credsStore\": 1}", "the helper `credsStore` is not a text"),
        ("{\"credHelpers\": {\"h\": 1}}", "the helper `h` is not a text"),
    ] {
        let (dir, credentials) = self::credentials(&[("config.json", text)]);
        assert_eq!(found(&credentials, dir.path(), "h", "x"), Err(format!("`DIR/config.json`: {why}")), "{text}");
    }
}

#[test]
fn the_first_file_with_an_entry_counts_and_those_without_are_named() {
    let (dir, mut credentials) = credentials(&[
        ("auth.json", "absent"),
        ("config.json", r#"{"auths": {"h": {"auth": "dTpw"}}}"#),
        (".dockercfg", r#"{"h": {"auth": "bnM6eDp5"}, "https://old/v1/": {"auth": "bnM6eDp5"}}"#),
    ]);
    let at = |host: &str, credentials: &Credentials| found(credentials, dir.path(), host, "x");
    assert_eq!(at("h", &credentials), Ok((password("u", "p"), "`h` in `DIR/config.json`".into())));
    assert_eq!(at("old", &credentials), Ok((password("ns", "x:y"), "`https://old/v1/` in `DIR/.dockercfg`".into())));
    let nowhere = "no entry for `localhost:5000` in `DIR/auth.json` (not there), `DIR/config.json`, `DIR/.dockercfg`";
    assert_eq!(at("localhost:5000", &credentials), Ok((Credential::Anonymous, nowhere.into())));
    std::fs::remove_file(dir.path().join("config.json")).expect("remove");
    assert_eq!(at("h", &credentials), Ok((password("u", "p"), "`h` in `DIR/config.json`".into())), "read once");
    credentials.inline = Some(Secret::new(r#"{"auths": {"h": {"username": "in", "password": "line"}}}"#));
    credentials.read = Flight::default();
    assert_eq!(at("h", &credentials), Ok((password("in", "line"), "`h` in `DOCKER_AUTH_CONFIG`".into())));
    let none = Credentials::new(&RegistrySettings::default()).find("h", "x").map(|found| found.place);
    assert_eq!(none.ok().as_deref(), Some("no entry for `h`: no file of credentials is known"));
}

#[test]
fn a_helper_of_the_host_goes_before_the_store_and_both_before_entries() {
    let config = r#"{
        "auths": {"h": {"auth": "dTpw"}, "plain": {"auth": "dTpw"}},
        "credHelpers": {"h": "host", "h/ns": "scope", "off": ""},
        "credsStore": "store"
    }"#;
    let (dir, credentials) = credentials(&[("config.json", config)]);
    for (name, known) in [("host", "h"), ("scope", "h"), ("store", "docker.io")] {
        install(dir.path(), name, known);
    }
    let by = |name: &str| format!("`docker-credential-{name}`, which `DIR/config.json` names");
    for (host, repository, wanted, place) in [
        ("h", "x", password("host", "s"), by("host")),
        ("h", "ns/x", password("scope", "s"), by("scope")),
        ("docker.io", "library/x", password("store", "s"), by("store")),
        ("plain", "x", password("u", "p"), "`plain` in `DIR/config.json`".into()),
        ("other", "x", Credential::Anonymous, format!("no entry for `other` in {}, `DIR/config.json`", by("store"))),
        ("off", "x", Credential::Anonymous, "no entry for `off` in `DIR/config.json`".into()),
        ("h", "y", password("host", "s"), by("host")),
    ] {
        assert_eq!(found(&credentials, dir.path(), host, repository), Ok((wanted, place)), "{host}/{repository}");
    }
    let log = std::fs::read_to_string(dir.path().join("log")).expect("a log");
    assert_eq!(log, "get h\nget h\nget https://index.docker.io/v1/\nget docker.io\nget plain\nget other\n");
}

#[test]
fn a_login_is_kept_beside_what_the_file_holds() -> Result<(), Box<dyn std::error::Error>> {
    let before =
        r#"{"HttpHeaders": {"X": "y"}, "auths": {"docker.io": {"auth": "dTpw"}, "docker.io/ns": {}, "z": {}}}"#;
    let (dir, credentials) = credentials(&[("config.json", before)]);
    let path = dir.path().join("config.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
    assert_eq!(credentials.store("docker.io", &password("me", "hush"))?, Keeper::File(path.clone()));
    let after: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    let wanted = serde_json::json!({
        "HttpHeaders": {"X": "y"},
        "auths": {"https://index.docker.io/v1/": {"auth": "bWU6aHVzaA=="}, "docker.io/ns": {}, "z": {}},
    });
    assert_eq!(after, wanted);
    assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o7777, 0o600);
    assert_eq!(found(&credentials, dir.path(), "docker.io", "x").map(|(found, _)| found), Ok(password("me", "hush")));
    assert!(credentials.erase("docker.io")?);
    assert!(!credentials.erase("docker.io")?);
    let after: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    assert_eq!(after, serde_json::json!({"HttpHeaders": {"X": "y"}, "auths": {"docker.io/ns": {}, "z": {}}}));
    let left: Vec<_> = std::fs::read_dir(dir.path())?.map(|entry| entry.map(|entry| entry.file_name())).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    Ok(())
}

#[test]
fn a_login_goes_where_the_host_is_already_kept() -> Result<(), Box<dyn std::error::Error>> {
    let (dir, credentials) = credentials(&[
        ("new/auth.json", "absent"),
        ("auth.json", r#"{"auths": {"here": {}}, "credHelpers": {"helped": "keep"}}"#),
        ("config.json", "absent"),
    ]);
    install(dir.path(), "keep", "helped");
    let kept = |host: &str, credential| {
        credentials
            .store(host, &credential)
            .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "DIR"))
    };
    let file = |name: &str| Ok(Keeper::File(dir.path().join(name)));
    assert_eq!(kept("here", password("a", "b")), file("auth.json"));
    assert_eq!(kept("helped", password("a", "b")), Ok(Keeper::Helper("keep".into())));
    assert_eq!(kept("there", Credential::Identity(Secret::new("t"))), file("config.json"));
    assert_eq!(
        kept("there", password("a:b", "c")),
        Err("`DIR/config.json`: no user with a `:` in the name can be kept".into())
    );
    assert!(credentials.erase("helped")?);
    let log = std::fs::read_to_string(dir.path().join("log"))?;
    assert_eq!(log.lines().last(), Some("erase helped"));
    Ok(())
}

#[test]
fn a_file_that_is_a_link_stays_one_and_directories_are_made() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (link, target) = (dir.path().join("link.json"), dir.path().join("target.json"));
    std::fs::write(&target, "{}")?;
    std::os::unix::fs::symlink("target.json", &link)?;
    for (path, written) in [(&link, &target), (&dir.path().join("a/b/c.json"), &dir.path().join("a/b/c.json"))] {
        let settings = RegistrySettings { login_file: Some(path.clone()), ..RegistrySettings::default() };
        Credentials::new(&settings).store("h", &password("u", "p"))?;
        assert_eq!(std::fs::read_to_string(written)?.matches("dTpw").count(), 1);
    }
    assert!(link.is_symlink());
    assert_eq!(std::fs::metadata(dir.path().join("a"))?.permissions().mode() & 0o777, 0o700);
    Ok(())
}

#[test]
fn nothing_secret_is_shown() {
    let (dir, mut credentials) =
        credentials(&[("config.json", r#"{"auths": {"h": {"username": "u", "password": "hush"}}}"#)]);
    credentials.inline = Some(Secret::new(r#"{"auths": {"i": {"identitytoken": "hush"}}}"#));
    for host in ["h", "i"] {
        let found = credentials.find(host, "x").expect("found");
        assert!(!format!("{found:?} {credentials:?}").contains("hush"), "{found:?}");
    }
    assert!(format!("{credentials:?}").contains(&dir.path().display().to_string()));
}
