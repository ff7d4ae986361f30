//! images, inspect and history as lists and through templates (FEATURES 3.5-7, 3.5-8).

use crate::harness::Lab;
use serde_json::Value;

const PLAIN: &str = "FROM scratch\nCOPY f /f\nLABEL a=1\nENV X=y\nCMD [\"/f\", \"-v\"]\n";

fn built(tags: &[&str]) -> Lab {
    let lab = Lab::with(PLAIN);
    lab.file("f", "x");
    let flags: Vec<&str> = tags.iter().flat_map(|tag| ["-t", *tag]).collect();
    let mut build = lab.building(&flags);
    assert!(build.env("SOURCE_DATE_EPOCH", "1700000000").output().expect("runs").status.success());
    lab
}

#[test]
fn inspect_takes_go_templates() {
    let lab = built(&["one", "two:2"]);
    let image = lab.inspect("one");
    for (template, wanted) in [
        ("{{.Id}}", image["Id"].as_str().expect("an id").to_owned()),
        ("{{json .Config.Cmd}}", r#"["/f","-v"]"#.to_owned()),
        ("{{.Config.Cmd}}", "[/f -v]".to_owned()),
        (r#"{{join .RepoTags ", "}}"#, "one:latest, two:2".to_owned()),
        (r#"{{index .Config.Labels "a"}} {{index .Config.Labels "b"}}"#, "1 ".to_owned()),
        (
            "{{range .Config.Env}}{{println .}}{{end}}",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nX=y\n".to_owned(),
        ),
        ("{{if .Config.Healthcheck}}yes{{else}}no{{end}}", "no".to_owned()),
        (
            "{{.Os}}/{{.Architecture}} {{len .RootFS.Layers}} {{.Created}}",
            format!("linux/{} 1 2023-11-14T22:13:20Z", image["Architecture"].as_str().expect("text")),
        ),
        ("{{.Config.User}}|{{.Config.WorkingDir}}", "|/".to_owned()),
    ] {
        lab.lbuild(&["inspect", "-f", template, "one"]).ok().prints(&format!("{wanted}\n"));
    }
    lab.lbuild(&["inspect", "--format", "{{.Size}}", "one", "two:2"]).ok();
    lab.lbuild(&["inspect", "-f", "{{.Confg}}", "one"]).ends(125).says("`.Confg`").says("did you mean `.Config`?");
    lab.lbuild(&["inspect", "-f", "{{", "one"]).ends(125).says("does not parse").says("at character 1");
    lab.lbuild(&["inspect", "-f", "{{.Id}}", "one", "missing"]).ends(125).prints("");
}

#[test]
fn images_are_listed_as_was_asked() {
    let lab = built(&["one", "example.com/two:2"]);
    let image = lab.inspect("one");
    let (id, digest) = (image["Id"].as_str().expect("an id"), image["Digest"].as_str().expect("a digest"));
    let row = |name: &str| format!("{name} {} 2023-11-14 22:13:20 +0000 UTC\n", &id[7..19]);
    lab.lbuild(&["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.CreatedAt}}"])
        .ok()
        .prints(&(row("one:latest") + &row("example.com/two:2")));
    lab.lbuild(&["images", "--format", r"table {{.Tag}}\t{{.Digest}}", "one"])
        .ok()
        .prints(&format!("TAG      DIGEST\nlatest   {digest}\n"));
    lab.lbuild(&["images", "-q", "--no-trunc"]).ok().prints(&format!("{id}\n"));
    let table = lab.lbuild(&["images", "--digests", "one"]).ok().stdout.clone();
    assert!(table.starts_with("REPOSITORY   TAG      DIGEST "), "{table}");
    assert!(table.contains(digest), "{table}");
    let line = lab.lbuild(&["image", "ls", "--format", "{{json .}}", "one"]).ok().stdout.clone();
    let row: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&row["Repository"], &row["Tag"]), (&Value::from("one"), &Value::from("latest")));
    lab.lbuild(&["images", "--format", "{{.Nope}}"]).ends(125).says("`.Nope`");
}

#[test]
fn filters_choose_images() {
    let lab = built(&["one", "example.com/two:2"]);
    lab.file("Dockerfile", "FROM scratch\nLABEL b=2\nCOPY f /g\n");
    lab.build(&["-t", "newer"]).ok();
    let shown = |filters: &[&str]| {
        let flags: Vec<&str> = filters.iter().flat_map(|filter| ["--filter", *filter]).collect();
        let run = lab.lbuild(&[&["images", "--format", "{{.Repository}}"], &flags[..]].concat());
        let mut names: Vec<String> = run.ok().stdout.lines().map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    for (filters, wanted) in [
        (&[][..], "example.com/two newer one"),
        (&["label=a"], "example.com/two one"),
        (&["label=a=1"], "example.com/two one"),
        (&["label=a=2"], ""),
        (&["label!=a"], "newer"),
        (&["label=a", "label=b"], ""),
        (&["reference=one"], "one"),
        (&["reference=*e*"], "newer one"),
        (&["reference=*/two:*"], "example.com/two"),
        (&["reference=one", "reference=newer"], "newer one"),
        (&["since=one"], "newer"),
        (&["before=newer"], "example.com/two one"),
        (&["until=2023-12-01"], "example.com/two one"),
        (&["until=1h"], "example.com/two one"),
        (&["dangling=true"], ""),
        (&["dangling=false", "label=b"], "newer"),
    ] {
        assert_eq!(shown(filters), wanted, "{filters:?}");
    }
    for (filter, why) in [
        ("lable=a", "did you mean `label`?"),
        ("label", "write `KEY=VALUE`"),
        ("dangling=maybe", "say `true` or `false`"),
        ("until=soon", "give a time"),
        ("before=missing", "there is no such image"),
        ("reference=[", "`--filter reference=[`"),
    ] {
        lab.lbuild(&["images", "--filter", filter]).ends(125).says(why);
    }
}

#[test]
fn a_tree_shows_the_layers() {
    let lab = built(&["one"]);
    lab.file("Dockerfile", "FROM scratch\nCOPY f /f\nCOPY Dockerfile /d\n");
    let mut build = lab.building(&["-t", "two"]);
    assert!(build.env("SOURCE_DATE_EPOCH", "1700000000").output().expect("runs").status.success());
    let mut command = lab.command(&["images", "--tree"]);
    let told = String::from_utf8(command.env("LANG", "C.UTF-8").output().expect("runs").stdout).expect("text");
    assert_eq!(told.lines().filter(|line| line.starts_with("├─ ")).count(), 1, "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("└─ ")).count(), 2, "{told}");
    assert_eq!(told.matches("   shared   COPY f /f").count(), 2, "{told}");
    let plain = lab.lbuild(&["images", "--tree"]).ok().stdout.clone();
    assert!(plain.is_ascii(), "no locale, no strokes: {plain}");
}

#[test]
fn history_tells_how_an_image_came_about() {
    let lab = built(&["one"]);
    let id = lab.inspect("one")["Id"].as_str().expect("an id").to_owned();
    let told = lab.lbuild(&["history", "one"]).ok().stdout.clone();
    let lines: Vec<Vec<&str>> =
        told.lines().map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(lines[0], ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]);
    assert_eq!(lines[1][0], &id[7..19]);
    assert_eq!(lines[2][0], "<missing>");
    assert_eq!(lines.len(), 5);
    lab.lbuild(&["history", "--format", "{{.CreatedBy}}|{{.Size}}", "-H=false", "one"]).ok();
    let commands = lab.lbuild(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", "one"]).ok().stdout.clone();
    let commands: Vec<&str> = commands.lines().collect();
    assert_eq!(commands, [r#"CMD ["/f" "-v"]"#, "ENV X=y", "LABEL a=1", "COPY f /f # buildkit"]);
    lab.lbuild(&["history", "-q", "--no-trunc", "one"])
        .ok()
        .prints(&format!("{id}\n<missing>\n<missing>\n<missing>\n"));
    let json: Value =
        serde_json::from_str(&lab.lbuild(&["image", "history", "--format", "json", "one"]).stdout).expect("JSON");
    assert_eq!((&json[0]["Tags"][0], &json[3]["EmptyLayer"]), (&Value::from("one:latest"), &Value::from(false)));
    assert_eq!(json[3]["Created"], "2023-11-14T22:13:20Z");
    lab.lbuild(&["history", "missing"]).ends(125).says("the store has no image `missing`");
    lab.lbuild(&["history", "--format", "{{.Nope}}", "one"]).ends(125).says("`.Nope`");
}
