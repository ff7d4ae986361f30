use super::*;
use crate::registry::credentials::tests::write_program;

/// Returns a directory with the program `docker-credential-fake`, a shell script.
fn program(script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("docker-credential-fake");
    write_program(&path, &format!("#!/bin/sh\n{script}"));
    dir
}

fn with<T>(script: &str, act: impl FnOnce(Helper<'_>) -> T) -> T {
    let dir = program(script);
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    act(Helper { search_path: Some(OsStr::new(&path)), ..Helper::new("fake", Path::new("/c.json")) })
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.to_owned(), password: Secret::new(password) }
}

/// FEATURES 6-2.
#[test]
fn a_helper_is_asked_by_server() {
    for (script, wanted) in [
        (r#"echo '{"ServerURL":"x","Username":"u","Secret":"p"}'"#, Ok(Some(password("u", "p")))),
        (r#"read url; echo "{\"Username\":\"$1\",\"Secret\":\"$url\"}""#, Ok(Some(password("get", "h:1")))),
        (r#"echo '{"Username":"<token>","Secret":"t"}'"#, Ok(Some(Credential::Identity(Secret::new("t"))))),
        (r#"echo '{"Username":"","Secret":""}'"#, Ok(None)),
        ("echo credentials not found in native keychain; exit 1", Ok(None)),
        ("echo credentials not found in native keychain >&2; exit 1", Ok(None)),
        // What stays in the background with the pipes is not waited for.
        (r#"sleep 30 & echo '{"Username":"u","Secret":"p"}'"#, Ok(Some(password("u", "p")))),
        ("echo no keyring; echo dbus >&2; exit 1", Err("dbus; no keyring")),
        (r#"echo '{"Secret":"hush"}'; echo oh >&2; exit 1"#, Err("oh")),
        ("exit 3", Err("it failed and does not say why")),
        ("echo hush", Err("its answer is not JSON")),
        ("echo '{\"Secret\":1}'", Err("its answer has not the fields agreed")),
        ("echo '[\"hush\"]'", Ok(None)),
        ("yes", Err("its answer is too long")),
        ("exec sleep 30", Err("it did not answer within 0.2 seconds")),
    ] {
        let slow = script.contains("exec sleep");
        let deadline = if slow { Duration::from_millis(200) } else { DEADLINE };
        let answer = with(script, |helper| Helper { deadline, ..helper }.get("h:1"));
        let wanted = wanted.map_err(|why| format!("`docker-credential-fake get` for `h:1`: {why}"));
        assert_eq!(answer.map_err(|error| error.to_string()), wanted, "{script}");
    }
}

#[test]
fn a_helper_keeps_and_forgets_without_secrets_in_arguments_or_errors() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let script = format!(
        "echo \"$@ $(cat)\" >> {}; [ $1 != get ] || echo '{{\"Username\":\"u\",\"Secret\":\"hush\"}}'",
        log.display()
    );
    with(&script, |helper| {
        assert_eq!(helper.store("h", &password("u", "hush")).map_err(|error| error.to_string()), Ok(()));
        let identity = Credential::Identity(Secret::new("t"));
        assert_eq!(helper.store("h", &identity).map_err(|error| error.to_string()), Ok(()));
        assert_eq!(helper.erase("h").map_err(|error| error.to_string()), Ok(true));
    });
    let wanted = "store {\"Secret\":\"hush\",\"ServerURL\":\"h\",\"Username\":\"u\"}\n\
                  store {\"Secret\":\"t\",\"ServerURL\":\"h\",\"Username\":\"<token>\"}\nget h\nerase h\n";
    assert_eq!(std::fs::read_to_string(&log).expect("a log"), wanted);
    with("cat; echo failed with hush >&2; exit 1", |helper| {
        let error = helper.store("h", &password("u", "hush")).expect_err("fails").to_string();
        assert_eq!(error, "`docker-credential-fake store` for `h`: failed with ***");
        let error = helper.store("h", &Credential::Bearer(Secret::new("hush"))).expect_err("fails").to_string();
        assert_eq!(error, "`docker-credential-fake store` for `h`: helpers keep passwords and identity tokens only");
    });
}

#[test]
fn a_long_input_is_passed_whole() {
    let long = "x".repeat(300_000);
    with("test $(wc -c) -eq 300044", |helper| {
        assert_eq!(helper.store("h", &password("u", &long)).map_err(|error| error.to_string()), Ok(()));
    });
    with("exit 0", |helper| {
        assert_eq!(helper.store("h", &password("u", &long)).map_err(|error| error.to_string()), Ok(()));
    });
}

#[test]
fn only_names_of_programs_are_run() {
    for (name, why) in [
        ("", "a helper's name holds letters, digits, `-`, `_` and `.` only"),
        ("../sh", "a helper's name holds letters, digits, `-`, `_` and `.` only"),
        ("a b", "a helper's name holds letters, digits, `-`, `_` and `.` only"),
        ("no-such", "there is no such program in `PATH`"),
    ] {
        let helper =
            Helper { search_path: Some(OsStr::new("/usr/bin:/bin")), ..Helper::new(name, Path::new("/c.json")) };
        let error = helper.get("h").expect_err("fails");
        assert_eq!(error.to_string(), format!("`docker-credential-{name} get` for `h`: {why}"));
        assert_eq!(error.help().as_deref(), Some("`/c.json` names this helper in `credsStore` or `credHelpers`"));
    }
}

#[test]
fn a_helper_ends_with_the_build() {
    let cancel = Cancel::new().expect("a flag");
    cancel.cancel();
    let answer = with("exec sleep 30", |helper| Helper { cancel: Some(&cancel), ..helper }.get("h"));
    assert!(matches!(answer, Err(RegistryError::Cancelled)), "{answer:?}");
}
