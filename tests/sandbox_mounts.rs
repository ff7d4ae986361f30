//! RUN's mounts, users, shells and networks (FEATURES 1.7).

use crate::harness::{Identity, Lab, Run, Server, has_ranges, identity};

/// Row 1.7-7: what is in a cache mount stays from stage to stage and from build to build, and in no layer.
#[test]
fn userns_cache_mounts_are_shared_between_stages_and_builds() {
    let cache = "RUN --mount=type=cache,target=/c,id=one";
    let lab = Lab::with(&format!(
        "FROM busybox AS a\n{cache} echo a >> /c/f\nFROM a\n{cache} echo b >> /c/f && cp /c/f /f\nRUN --mount=type=cache,target=/c2 ls -A /c2 > /empty; ls -A /c >> /empty; ls -d /c2\n"
    ));
    lab.build(&["-t", "x"]).ok();
    assert_eq!(
        lab.shell("x", "cat /f; wc -c < /empty; ls -d /c2 2>&1; true"),
        "a\nb\n0\nls: /c2: No such file or directory\n"
    );
    lab.build(&["-t", "x", "--no-cache"]).ok();
    assert_eq!(lab.shell("x", "cat /f"), "a\nb\na\nb\n");
    lab.fsck();
}

/// Row 1.7-7: `locked` lets one command at a time in, `private` gives each its own, `shared` lets all in at once.
#[test]
fn userns_cache_mounts_are_shared_locked_or_private() {
    for (sharing, wanted) in [("locked", "alone"), ("private", "alone"), ("shared", "together")] {
        // Each waits for the other a while; only those that share a directory at one time can meet.
        let stage = |own: &str, other: &str| {
            format!(
                "FROM busybox AS {own}\nRUN --mount=type=cache,target=/c,sharing={sharing} touch /c/{own}; n=0; while [ $n -lt 20 ] && [ ! -e /c/{other} ]; do sleep 0.1; n=$((n + 1)); done; if [ -e /c/{other} ]; then echo together; else echo alone; fi > /{own}; sleep 0.3; rm /c/{own}\n"
            )
        };
        let lab = Lab::with(&format!(
            "{}{}FROM busybox\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
            stage("a", "b"),
            stage("b", "a")
        ));
        lab.build(&["-t", "x"]).ok();
        assert_eq!(lab.shell("x", "cat /a /b"), format!("{wanted}\n{wanted}\n"), "{sharing}");
    }
}

/// Row 1.7-7: mode and owner of a new cache, its seed, and `ro`.
#[test]
fn userns_cache_mounts_begin_as_stated() {
    let owner = if has_ranges() { "uid=3,gid=4," } else { "" };
    let lab = Lab::with(&format!(
        "FROM busybox AS seed\nRUN mkdir /s && echo seed > /s/f\nFROM busybox\nRUN --mount=type=cache,target=/c,{owner}mode=0711 stat -c %a:%u:%g /c > /stat\nRUN --mount=type=cache,target=/s,from=seed,source=/s cat /s/f > /seeded && echo more >> /s/f\nRUN --mount=type=cache,target=/s,from=seed,source=/s,ro cat /s/f > /again; ! touch /s/x 2> /dev/null\n"
    ));
    lab.build(&["-t", "x"]).ok();
    let owner = if has_ranges() { "3:4" } else { "0:0" };
    assert_eq!(lab.shell("x", "cat /stat /seeded /again"), format!("711:{owner}\nseed\nseed\nmore\n"));
}

/// Row 1.7-9.
#[test]
fn userns_secrets_are_files_or_variables_and_leave_nothing() {
    let lab = Lab::with(
        "FROM busybox\n\
         RUN --mount=type=secret,id=f stat -c %a:%u:%g /run/secrets/f > /default; cat /run/secrets/f | tr a-z A-Z > /upper; ! touch /run/secrets/f 2> /dev/null\n\
         RUN --mount=type=secret,id=f,target=s,mode=0440 stat -c %a /s > /mode\n\
         RUN --mount=type=secret,id=e,env=TOKEN echo ${#TOKEN} > /length; ls /run > /run-list\n\
         RUN --mount=type=secret,id=absent,target=/absent,env=ABSENT echo \"${ABSENT-unset}|\" > /absent-env; ls -d /absent 2> /dev/null >> /absent-env; true\n",
    );
    lab.file("secret", "sesame");
    let mut command = lab.building(&["-t", "x", "--secret", "id=f,src=secret", "--secret", "id=e,env=GIVEN"]);
    let run =
        crate::harness::Run::from_output(command.env("GIVEN", "swordfish").output().expect("runs"), String::new());
    run.ok().does_not_say("sesame").does_not_say("swordfish");
    let seen =
        lab.shell("x", "cat /default /upper /mode /length /run-list /absent-env; ls -A /run; ls -d /s 2>&1; true");
    assert_eq!(seen, "400:0:0\nSESAME440\n9\n|\nls: /s: No such file or directory\n");
    for needle in ["sesame", "swordfish"] {
        let found = crate::harness::succeeds("grep", &["-rqF", needle, &lab.store().to_string_lossy()]);
        assert!(!found, "`{needle}` is in the store");
    }
    let required = Lab::with("FROM busybox\nRUN --mount=type=secret,id=x,required cat /run/secrets/x\n");
    required.build(&[]).ends(125).says("secret `x` is required and was not given").says("Dockerfile:2");
    let misspelt = Lab::with("FROM busybox\nRUN --mount=type=secret,id=token,required cat /run/secrets/token\n");
    misspelt.file("f", "x");
    misspelt.build(&["--secret", "id=tokne,src=f"]).ends(125).says("did you mean `tokne`, which was given?");
}

/// A secret that is no text cannot be an environment variable, and is refused by name; as a file it may be any bytes.
#[test]
fn userns_a_secret_of_any_bytes_is_a_file_only() {
    let lab = Lab::with(
        "FROM busybox\nRUN --mount=type=secret,id=key,required od -An -tx1 /run/secrets/key > /seen\n\
         RUN --mount=type=secret,id=key,env=KEY true\n",
    );
    lab.file("key", b"\xff\x00\xfe");
    let secret = ["-t", "x", "--secret", "id=key,src=key"];
    let run = lab.build(&secret);
    run.ends(125).says("secret `key` is not UTF-8 and cannot be an environment variable").says("Dockerfile:3");
    run.says("leave `env=` out");
    lab.file(
        "Dockerfile",
        "FROM busybox\nRUN --mount=type=secret,id=key,required od -An -tx1 /run/secrets/key > /seen\n",
    );
    lab.build(&secret).ok();
    assert_eq!(lab.shell("x", "cat /seen"), " ff 00 fe\n");
}

/// Row 1.7-6: nothing that is written through a bind mount lasts, `ro` is the default, and a file can be bound.
#[test]
fn userns_bind_mounts_show_contexts_stages_and_images() {
    let lab = Lab::with(
        "FROM busybox AS stage\nRUN mkdir /d && echo stage > /d/f\nFROM busybox\n\
         RUN --mount=target=/in cat /in/d/f > /context; ! touch /in/x 2> /dev/null\n\
         RUN --mount=type=bind,source=d/f,target=/one cat /one > /file\n\
         RUN --mount=from=stage,source=/d,target=/in,rw echo more >> /in/f && cat /in/f > /stage\n\
         RUN --mount=from=stage,source=/d,target=/in cat /in/f > /stage-again\n\
         RUN --mount=from=busybox,source=/etc,target=/in grep -c ^NAME= /in/os-release > /image\n\
         RUN --mount=target=/in,rw echo changed > /in/d/f && ls -A / | grep -c -e '^in$' > /points; true\n",
    );
    lab.file("d/f", "context\n").file(".dockerignore", "secret\n").file("secret", "x");
    lab.build(&["-t", "x"]).ok();
    let seen = lab.shell("x", "cat /context /file /stage /stage-again /points; cat /image; ls -d /in /one 2>&1; true");
    assert_eq!(
        seen,
        "context\ncontext\nstage\nmore\nstage\n1\n1\nls: /in: No such file or directory\nls: /one: No such file or directory\n"
    );
    assert_eq!(std::fs::read_to_string(lab.path("d/f")).expect("read"), "context\n");
    // The bytes that a mount shows are part of the key.
    lab.file("d/f", "other\n");
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /context"), "other\n");
    let missing = Lab::with("FROM busybox\nRUN --mount=source=no/such,target=/in ls /in\n");
    missing.build(&[]).ends(125).says("no/such");
}

/// Row 1.7-8.
#[test]
fn userns_tmpfs_mounts_have_their_size() {
    let lab = Lab::with(
        "FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1m df -k /t | awk 'NR==2{print $2}' > /size; stat -c %a /t >> /size; ! dd if=/dev/zero of=/t/f bs=1M count=2 2> /dev/null\n",
    );
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /size; ls -d /t 2>&1; true"), "1024\n1777\nls: /t: No such file or directory\n");
}

/// Row 1.7-2.
#[test]
fn userns_heredocs_are_scripts() {
    let lab = Lab::with(
        "FROM busybox\nENV A=1\n\
         RUN <<EOF\necho \"shell $A $0\" > /a\n  echo indented >> /a\nEOF\n\
         RUN <<-EOF\n\techo chomped > /b\n\tEOF\n\
         RUN <<EOF\n#!/bin/awk -f\nBEGIN { print \"awk\" > \"/c\" }\nEOF\n\
         RUN <<'EOF' sh -s arg\necho \"$1\" > /d\nEOF\n\
         RUN cat <<one > /e && cat <<'two' >> /e\n$A\none\n$A\ntwo\n\
         RUN <<EOF\nfalse\ntrue\nEOF\n\
         RUN ls -A /dev | grep -c pipes > /f; true\n",
    );
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /a /b /c /d /e /f"), "shell 1 /bin/sh\nindented\nchomped\nawk\narg\n1\n$A\n0\n");
}

/// Row 1.7-11: the host's network reaches a server on the host's loopback, none does not.
#[test]
fn userns_the_network_is_the_hosts_or_none() {
    let lab = Lab::new();
    lab.file("served/f", "served");
    let server = Server::of(&lab.path("served"));
    let fetch = format!("wget -q -O - {}/f", server.address);
    lab.file(
        "Dockerfile",
        format!(
            "FROM busybox\nRUN {fetch} > /host\nRUN --network=none ! {fetch} 2> /dev/null\nRUN --network=host {fetch}\n"
        ),
    );
    lab.build(&["-t", "x"]).ok();
    assert_eq!(lab.shell("x", "cat /host"), "served");
    lab.build(&["--no-cache", "--network", "none"]).ends(1);
}

/// Rows 1.7-1 and 1.5: SHELL is what the shell form runs; the exec form runs none.
#[test]
fn userns_shell_and_exec_forms() {
    let lab = Lab::with(
        "FROM busybox\nENV A=1\nSHELL [\"/bin/sh\", \"-uc\"]\nRUN echo $- > /shell\nRUN ! (echo $UNSET) 2> /dev/null\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nRUN echo $- >> /shell\nRUN [\"touch\", \"/exec $A\"]\nRUN [\"/bin/sh\", \"-c\", \"echo $A > /inner\"]\n",
    );
    lab.build(&["-t", "x"]).ok();
    let seen = lab.shell("x", "grep -c u /shell; grep -c e /shell; ls / | grep exec; cat /inner");
    assert_eq!(seen, "1\n1\nexec $A\n1\n");
}

/// Row 7-18.
#[test]
fn userns_working_directories_are_made() {
    let lab = Lab::with(
        "FROM busybox\nWORKDIR /a\nWORKDIR b/../c\nRUN pwd > pwd; stat -c %a:%u:%g . > stat\nENV D=/env\nWORKDIR $D/d\nRUN pwd > pwd\nRUN ln -s /a /link\nWORKDIR /link/l\nRUN pwd -P > pwd\n",
    );
    lab.build(&["-t", "x"]).ok();
    assert_eq!(
        lab.shell("x", "cat /a/c/pwd /a/c/stat /env/d/pwd /a/l/pwd; pwd"),
        "/a/c\n755:0:0\n/env/d\n/a/l\n/a/l\n"
    );
}

const ACCOUNTS: &str = "\
FROM busybox
RUN echo 'app:x:1000:1001::/home/app:/bin/sh' >> /etc/passwd && printf 'app:x:1001:\\nmore:x:1002:other,app\\nlast:x:1003:app\\n' >> /etc/group
";

/// Row 7-18: names and numbers of USER, the groups of each, HOME.
#[test]
fn subid_users_have_their_groups() {
    if !has_ranges() {
        return;
    }
    for (user, wanted) in [
        ("app", "1000 1001 1001 1002 1003 /home/app"),
        ("1000", "1000 1001 1001 1002 1003 /home/app"),
        ("app:more", "1000 1002 1002 /home/app"),
        ("app:7", "1000 7 7 /home/app"),
        ("4000", "4000 0 0 /"),
        ("4000:app", "4000 1001 1001 /"),
        ("root", "0 0 0 /root"),
    ] {
        let lab = Lab::with(&format!(
            "{ACCOUNTS}USER {user}\nRUN --mount=type=tmpfs,target=/out echo $(id -u) $(id -g) $(id -G) $HOME\n"
        ));
        lab.build(&[]).ok().says(&format!(" {wanted}\n"));
    }
    let unknown = Lab::with(&format!("{ACCOUNTS}USER nobody-known\nRUN true\n"));
    unknown.build(&[]).ends(125).says("nobody-known");
}

/// A plain user writes to /dev/stdout and /dev/stderr by name.
#[test]
fn subid_a_plain_user_has_streams() {
    if !has_ranges() {
        return;
    }
    let lab = Lab::with(&format!(
        "{ACCOUNTS}USER app\nRUN echo by-name > /dev/stdout && echo by-name-too > /dev/stderr && echo in-place | tee /dev/stderr > /dev/null\nRUN grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\\n\\t'\n"
    ));
    let run = lab.build(&[]);
    run.ok().says(" by-name\n").says(" by-name-too\n").says(" in-place\n");
    run.says("CapEff:0000000000000000CapBnd:00000000a80425fbNoNewPrivs:0");
}

/// Setuid programs and file capabilities work: no_new_privs is not set (row 7-2).
#[test]
fn subid_setuid_programs_work() {
    if !has_ranges() {
        return;
    }
    let lab = Lab::with(
        "FROM debian\nRUN passwd -d root && useradd -m app && cp /usr/bin/id /usr/bin/setuid-id && chmod 4755 /usr/bin/setuid-id\nUSER app\nRUN echo setuid-$(setuid-id -u) su-$(su -c 'id -u') plain-$(id -u)\n",
    );
    lab.build(&[]).ok().says(" setuid-0 su-0 plain-1000\n");
}

/// newuidmap is powerless under no_new_privs, as in a container with `allowPrivilegeEscalation: false`.
#[test]
fn subid_no_new_privs_is_named_with_its_cure() {
    if identity() != Identity::Ranges {
        return;
    }
    let lab = Lab::with("FROM busybox\nRUN true\n");
    let build = lab.building(&[]);
    let mut command = std::process::Command::new("setpriv");
    command.arg("--no-new-privs").arg(build.get_program()).args(build.get_args()).current_dir(lab.path(""));
    command.env("LBUILD_ROOT", lab.store()).env("BUILDKIT_PROGRESS", "plain");
    let run = Run::from_output(command.output().expect("setpriv"), "setpriv".to_owned());
    run.ends(125).says("uidmap` refused: ").says("`allowPrivilegeEscalation: true`").does_not_say("/etc/subuid");
}

/// With one id, what needs another says what to add.
#[test]
fn oneid_other_ids_are_refused_with_the_cure() {
    if has_ranges() {
        return;
    }
    let lab = Lab::with("FROM busybox\nUSER 1000\nRUN true\n");
    lab.build(&[]).ends(125).says("1000").says("/etc/subuid");
}
