//! Who we are at a registry: where credentials are found, what is asked with them, and where they never are.

use crate::harness::{Lab, Run, fed, has_ranges, output};
use crate::registry::form::{copy_onto, entry, write_config, write_registries};
use crate::registry::wire::base64;
use crate::registry::{
    Certificates, Class, Fault, Faults, Form, PASSWORD, Post, Proxy, REFRESH_TOKEN, Registry, SIGNATURE, TokenServer,
    USER, layout,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Returns a lab that builds from `private/base:1` of a form, and is not let in.
fn outside(form: &Form) -> Lab {
    let home = tempfile::tempdir().expect("a home");
    form.let_in(home.path()).fill(home.path(), "private/base:1");
    copy_onto(&form.registry.name("private/base:1"))
}

fn build(lab: &Lab, environment: &[(&str, &str)]) -> Run {
    let mut command = lab.command(&["-t", "x", "."]);
    Run::within(command.envs(environment.iter().copied()), 60)
}

fn write(path: &Path, text: &str) -> String {
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(path, text).expect("a file");
    path.to_string_lossy().into_owned()
}

/// Writes a credential helper that knows `user` and `secret`, and returns a PATH with it; it keeps what it is told.
fn helper(lab: &Lab, user: &str, secret: &str) -> String {
    let script = format!(
        "#!/bin/sh\nread -r host\ncase $1 in\n\
         get) echo \"$host\" >>'{home}/asked'; printf '{{\"ServerURL\":\"%s\",\"Username\":\"{user}\",\"Secret\":\"{secret}\"}}' \"$host\" ;;\n\
         store) printf '%s\\n' \"$host\" >'{home}/stored' ;;\nerase) echo \"$host\" >'{home}/erased' ;;\nesac\n",
        home = lab.home().display()
    );
    let path = write(&lab.home().join("bin/docker-credential-lab"), &script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    format!("{}:/usr/bin:/bin", lab.home().join("bin").display())
}

/// FEATURES 6-2.
#[test]
fn credentials_are_found_where_users_have_them() {
    let form = Form::htpasswd();
    let host = form.registry.address.clone();
    let right = entry(&host, USER, PASSWORD);
    let scoped = format!(
        "{{\"auths\":{{\"{host}\":{{\"auth\":\"{}\"}},\"{host}/private\":{{\"auth\":\"{}\"}}}}}}",
        base64(b"bob:no"),
        base64(format!("{USER}:{PASSWORD}").as_bytes())
    );
    let apart = format!("{{\"auths\":{{\"{host}\":{{\"username\":\"{USER}\",\"password\":\"{PASSWORD}\"}}}}}}");
    for (file, variable, text) in [
        (".docker/config.json", None, &right),
        (".docker/config.json", None, &apart),
        (".docker/config.json", None, &entry(&format!("https://{host}/v1/"), USER, PASSWORD)),
        ("else/config.json", Some("DOCKER_CONFIG"), &right),
        ("else/auth.json", Some("REGISTRY_AUTH_FILE"), &right),
        ("else/auth.json", Some("REGISTRY_AUTH_FILE"), &scoped),
        (".config/containers/auth.json", None, &scoped),
        ("run/containers/auth.json", Some("XDG_RUNTIME_DIR"), &scoped),
        ("none", Some("DOCKER_AUTH_CONFIG"), &right),
    ] {
        let lab = outside(&form);
        let path = write(&lab.home().join(file), text);
        let value = match variable {
            Some("DOCKER_CONFIG") => lab.home().join("else").to_string_lossy().into_owned(),
            Some("XDG_RUNTIME_DIR") => lab.home().join("run").to_string_lossy().into_owned(),
            Some("DOCKER_AUTH_CONFIG") => text.clone(),
            _ => path,
        };
        let environment: Vec<_> = variable.iter().map(|name| (*name, value.as_str())).collect();
        let run = build(&lab, &environment);
        assert_eq!(run.status, 0, "{file} {variable:?}: {}", run.stderr);
    }
}

#[test]
fn helpers_are_asked_for_their_hosts() {
    let form = Form::htpasswd();
    let host = &form.registry.address;
    for text in [
        "{\"credsStore\":\"lab\"}".to_owned(),
        format!("{{\"credHelpers\":{{\"{host}\":\"lab\"}},\"credsStore\":\"missing\"}}"),
    ] {
        let lab = outside(&form);
        write_config(lab.home(), &text);
        let path = helper(&lab, USER, PASSWORD);
        build(&lab, &[("PATH", &path)]).ok();
        let asked = fs::read_to_string(lab.home().join("asked")).expect("it was asked");
        assert_eq!(asked.trim(), host, "once");
    }
    let lab = outside(&form);
    write_config(lab.home(), &format!("{{\"credHelpers\":{{\"{host}\":\"no-such\"}}}}"));
    build(&lab, &[]).ends(125).says("docker-credential-no-such").says("config.json");
}

/// FEATURES 6-3.
#[test]
fn tokens_are_fetched_in_each_way_and_kept() {
    for (post, methods) in
        [(Post::Known, &["POST"][..]), (Post::NotFound, &["POST", "GET"]), (Post::NotAllowed, &["POST", "GET"])]
    {
        let form = Form::token(post);
        let lab = outside(&form);
        form.let_in(lab.home());
        let tokens = form.tokens.as_ref().expect("a server");
        let before = tokens.requests().len();
        build(&lab, &[]).ok();
        let asked: Vec<String> = tokens.requests().split_off(before).into_iter().map(|one| one.method).collect();
        assert_eq!(asked, methods, "{post:?}: one token serves the manifest, the config and the layers");
    }
}

#[test]
fn a_token_that_expired_is_fetched_again() {
    let server = TokenServer::new(Post::NotFound, 1);
    let registry = Registry::token(&server);
    let lab = Lab::new();
    write_config(lab.home(), &entry(&registry.address, USER, PASSWORD));
    registry.fill_with("base:1", &layout("busybox"), &["--dest-creds", &format!("{USER}:{PASSWORD}")]);
    // The layer takes two seconds, and is cut then.
    let layer = registry.layers("base", "1")[0].clone();
    let mut left = 1;
    let proxy = Proxy::to(
        &registry,
        Faults::chosen(move |asking| {
            let here = left > 0 && asking.target.contains(&layer);
            left -= usize::from(here);
            if here { Fault::Stall(0, std::time::Duration::from_secs(2)) } else { Fault::None }
        }),
    );
    write_config(lab.home(), &entry(&proxy.address, USER, PASSWORD));
    lab.file("Dockerfile", format!("FROM {}\nCOPY Dockerfile /d\n", proxy.name("base:1")));
    let before = server.requests().len();
    lab.lbuild_within(60, &["-t", &proxy.name("x:1"), "--push", "."]).ok();
    let tokens = server.requests().split_off(before);
    assert!(tokens.iter().filter(|one| one.status == 200).count() > 1, "{tokens:?}");
}

#[test]
fn identity_tokens_and_registry_tokens_count() {
    let form = Form::token(Post::Known);
    let host = &form.registry.address;
    let lab = outside(&form);
    write_config(lab.home(), &format!("{{\"auths\":{{\"{host}\":{{\"identitytoken\":\"{REFRESH_TOKEN}\"}}}}}}"));
    build(&lab, &[]).ok();
    let requests = form.tokens.as_ref().expect("a server").requests();
    assert_eq!(requests.last().expect("one").grant, "refresh_token");

    let address =
        format!("http://{}/token?scope=repository:private/base:pull", form.tokens.as_ref().expect("one").address());
    let told = output("curl", &["-s", "-u", &format!("{USER}:{PASSWORD}"), &address]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let token = told["token"].as_str().expect("a token");
    let lab = outside(&form);
    write_config(lab.home(), &format!("{{\"auths\":{{\"{host}\":{{\"registrytoken\":\"{token}\"}}}}}}"));
    let before = form.tokens.as_ref().expect("a server").requests().len();
    build(&lab, &[]).ok();
    assert_eq!(form.tokens.as_ref().expect("a server").requests().len(), before, "it is sent as it is");
}

#[test]
fn what_is_public_needs_nobody() {
    let form = Form::token(Post::Known);
    let home = tempfile::tempdir().expect("a home");
    form.let_in(home.path()).fill(home.path(), "public/base:1");
    let lab = copy_onto(&form.registry.name("public/base:1"));
    build(&lab, &[]).ok();
    let last = form.tokens.as_ref().expect("a server").requests().pop().expect("one");
    assert_eq!((last.user, last.scopes), (None, vec!["repository:public/base:pull".to_owned()]));
}

/// `sudo docker login` leaves a file behind that is root's, and most images are for everybody.
#[test]
fn credentials_that_may_not_be_read_are_told_and_done_without() {
    let form = Form::token(Post::NotFound);
    let home = tempfile::tempdir().expect("a home");
    form.let_in(home.path()).fill(home.path(), "public/base:1");
    let lab = copy_onto(&form.registry.name("public/base:1"));
    write_config(lab.home(), "{\"auths\": nonsense}");
    let file = lab.home().join(".docker/config.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("a mode");
    let run = build(&lab, &[]);
    if nix::unistd::geteuid().is_root() {
        // Root may read it, and sees what is in it.
        run.ends(125).says(&file.to_string_lossy());
        return;
    }
    run.ok().says(&format!("`{}` may not be read", file.display())).says("makes it yours");
    form.let_in(home.path()).fill(home.path(), "private/base:1");
    lab.file("Dockerfile", format!("FROM {}\n", form.registry.name("private/base:1")));
    build(&lab, &[]).ends(125).says(&format!("`{}` (which may not be read)", file.display()));
    login(&lab, PASSWORD, &form.registry.address).ends(125).says("cannot be read");
}

#[test]
fn a_credential_that_is_wrong_or_missing_is_told() {
    for form in [Form::htpasswd(), Form::token(Post::NotFound), Form::token(Post::Known)] {
        let lab = outside(&form);
        let host = &form.registry.address;
        let run = build(&lab, &[]);
        run.ends(125)
            .says(&form.registry.name("private/base"))
            .says("config.json")
            .says(&format!("lbuild login {host}"));
        write_config(lab.home(), &entry(host, USER, "wrong-password-5521"));
        let run = build(&lab, &[]);
        let file = lab.home().join(".docker/config.json");
        run.ends(125).says(&file.to_string_lossy()).says(host).says("lbuild login").does_not_say("wrong-password-5521");
        write_config(lab.home(), "{\"auths\": nonsense}");
        build(&lab, &[]).ends(125).says(&file.to_string_lossy());
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_told() {
    let form = Form::tls();
    let lab = outside(&form);
    let run = build(&lab, &[]);
    run.ends(125).says(&form.registry.address).says("certs.d").says("help: ");
    // Another authority of the same name does not help; one put elsewhere by the environment does.
    let other = Certificates::new();
    other.trust(lab.home(), &form.registry.address);
    build(&lab, &[]).ends(125).says("ca.crt");
    fs::remove_dir_all(lab.home().join(".config")).expect("removed");
    form.let_in(lab.home());
    let place = lab.home().join(".config/containers/certs.d").join(&form.registry.address).join("ca.crt");
    let file = write(&lab.home().join("authority.pem"), &fs::read_to_string(&place).expect("a certificate"));
    fs::remove_file(place).expect("removed");
    build(&lab, &[("SSL_CERT_FILE", &file)]).ok();
}

/// FEATURES 6-5: what is allowed on loopback has to be said of others, here of TLS.
#[test]
fn an_insecure_registry_is_one_that_the_user_names() {
    let form = Form::tls();
    let lab = outside(&form);
    let host = form.registry.address.clone();
    lab.lbuild_within(60, &["--insecure-registry", &host, "-t", "x", "."]).ok();
    let lab = outside(&form);
    lab.lbuild_within(60, &["--insecure-registry", "127.0.0.1:1", "-t", "x", "."]).ends(125);
    write_registries(lab.home(), &format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n"));
    build(&lab, &[]).ok();
}

fn login(lab: &Lab, password: &str, host: &str) -> Run {
    fed(lab.command(&["login", "--username", USER, "--password-stdin", host]), password)
}

#[test]
fn login_keeps_what_the_registry_accepts() {
    for form in [Form::htpasswd(), Form::token(Post::NotFound), Form::token(Post::Known)] {
        let (lab, host) = (outside(&form), form.registry.address.as_str());
        let file = lab.home().join(".docker/config.json");
        login(&lab, "wrong-password-5521", host).ends(125).says(host).does_not_say("wrong-password-5521");
        assert!(!file.exists());
        login(&lab, &format!("{PASSWORD}\n"), host).ok().says(&file.to_string_lossy()).does_not_say(PASSWORD);
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        build(&lab, &[]).ok();
        // skopeo takes it, too.
        let from = format!("docker://{}", form.registry.name("private/base:1"));
        form.skopeo(lab.home(), &["inspect", "--authfile", &file.to_string_lossy(), "--tls-verify=false", &from]).ok();
        lab.lbuild_within(60, &["logout", host]).ok();
        assert!(!fs::read_to_string(&file).unwrap_or_default().contains(host));
        fs::remove_dir_all(lab.store()).expect("removed");
        build(&lab, &[]).ends(125);
    }
}

#[test]
fn login_uses_the_helper_that_is_set_up_and_keeps_the_rest_of_the_file() {
    let form = Form::htpasswd();
    let (lab, host) = (outside(&form), form.registry.address.as_str());
    write_config(lab.home(), "{\"credsStore\":\"lab\",\"detachKeys\":\"ctrl-e\"}");
    let path = helper(&lab, USER, PASSWORD);
    let mut command = lab.command(&["login", "-u", USER, "--password-stdin", host]);
    command.env("PATH", &path);
    fed(command, PASSWORD).ok();
    let stored = fs::read_to_string(lab.home().join("stored")).expect("it was told");
    let told: serde_json::Value = serde_json::from_str(&stored).expect("JSON");
    assert_eq!((&told["ServerURL"], &told["Secret"]), (&host.into(), &PASSWORD.into()));
    let file = fs::read_to_string(lab.home().join(".docker/config.json")).expect("a file");
    assert!(file.contains("detachKeys") && !file.contains(PASSWORD) && !file.contains(&base64(PASSWORD.as_bytes())));
    let mut command = lab.command(&["logout", host]);
    Run::within(command.env("PATH", &path), 60).ok();
    assert!(lab.home().join("erased").exists());
}

/// Every secret of a build and a push, looked for wherever it should not be.
#[test]
fn userns_secrets_stay_where_they_belong() {
    let form = Form::token(Post::Known);
    let (lab, tokens) = (outside(&form), form.tokens.as_ref().expect("a server"));
    let redirected = Faults::chosen(|asking| if asking.class == Class::Blob { Fault::Redirect } else { Fault::None });
    let proxy = Proxy::to(&form.registry, redirected);
    write_config(lab.home(), &entry(&proxy.address, USER, PASSWORD));
    let from = proxy.name("private/base:1");
    lab.file("Dockerfile", format!("FROM {from} AS spy\n{SPY}FROM {from}\nCOPY --from=spy /seen /seen\n"));
    let name = proxy.name("private/x:1");
    let run = lab.lbuild_within(60, &["--progress", "plain", "-t", &name, "--push", "."]);
    run.ok();
    // One more that fails, and says so.
    let fail = lab.lbuild_within(60, &["push", "--progress", "plain", &proxy.name("no-such:1")]);
    let seen = proxy.take();
    let basic = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let mut secrets = vec![PASSWORD.to_owned(), basic.clone(), REFRESH_TOKEN.to_owned(), SIGNATURE.to_owned()];
    // The part of a token that makes it one.
    secrets.extend(tokens.issued().iter().map(|token| token.rsplit('.').next().expect("a signature").to_owned()));
    for secret in &secrets {
        for (what, run) in [("build", &run), ("push", &fail)] {
            assert!(!run.stderr.contains(secret) && !run.stdout.contains(secret), "{secret} is said by the {what}");
        }
        assert_eq!(files_with(&lab.store(), secret), Vec::<String>::new(), "{secret} is in the store");
        for one in &seen {
            // A token is the registry's to see; a signature is part of the place where a redirect leads.
            let own = one.class != Class::Elsewhere && secret != PASSWORD && *secret != basic;
            let head: String =
                one.head.lines().filter(|line| !(own && line.starts_with("authorization: Bearer "))).collect();
            let head = if one.class == Class::Elsewhere { head.replacen(SIGNATURE, "", 1) } else { head };
            let body = String::from_utf8_lossy(&one.body);
            assert!(!head.contains(secret) && !body.contains(secret), "{secret} is in {} {}", one.method, one.target);
        }
    }
    for request in tokens.requests() {
        let asked = request.text.lines().next().expect("a line");
        assert!(!asked.contains(PASSWORD), "no password in a URL: {asked}");
    }
    assert!(lab.shell(&name, "cat /seen").contains("PATH="), "the spy saw something");
}

/// What a process that runs user code sees: its own environment, and that of all others it can see.
const SPY: &str =
    "RUN (env; cat /proc/*/environ /proc/*/cmdline; ls /proc/*/fd) 2>/dev/null | tr '\\0' '\\n' > /seen\n";

fn files_with(below: &Path, text: &str) -> Vec<String> {
    let run = Command::new("grep").args(["-r", "-l", "-a", "-F", "-e", text]).arg(below).output().expect("grep");
    String::from_utf8_lossy(&run.stdout).lines().map(str::to_owned).collect()
}

/// No list of arguments of any process of a build has a secret: strace sees them all.
#[test]
fn userns_no_argument_list_has_a_secret() {
    let form = Form::htpasswd();
    let lab = outside(&form);
    form.let_in(lab.home());
    // strace takes away the rights that newuidmap has as a setuid program; root, and a user without ranges, need none.
    let needs_newuidmap = has_ranges() && !nix::unistd::getuid().is_root();
    let step = if needs_newuidmap { "COPY Dockerfile /d" } else { "RUN true" };
    lab.file("Dockerfile", format!("FROM {}\n{step}\n", form.registry.name("private/base:1")));
    let trace = lab.home().join("trace").to_string_lossy().into_owned();
    let inner = lab.command(&["-t", &form.registry.name("private/x:1"), "--push", "."]);
    let mut outer = Command::new("strace");
    outer.args(["-f", "-qq", "-s", "10000", "-v", "-e", "trace=execve", "-o", &trace]).arg(inner.get_program());
    outer.args(inner.get_args()).current_dir(lab.path("")).env_clear();
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Run::within(&mut outer, 120).ok();
    let traced = fs::read_to_string(&trace).expect("a trace");
    let basic = base64(format!("{USER}:{PASSWORD}").as_bytes());
    assert!(traced.contains("execve(") && !traced.contains(PASSWORD) && !traced.contains(&basic), "{traced}");
}
