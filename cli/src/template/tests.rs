use super::*;
use serde_json::json;

fn image() -> Value {
    json!({
        "Id": "sha256:0123",
        "Size": 1234,
        "Ok": true,
        "None": null,
        "Config": {"Cmd": ["/bin/sh", "-c"], "Labels": {"a.b": "1", "c": "2"}, "User": ""},
    })
}

fn rendered(template: &str) -> Result<String, TemplateError> {
    Template::parse(template)?.render(&image())
}

/// What Go's text/template makes of the same, by its documentation.
#[test]
fn templates_render_as_gos_do() {
    for (template, wanted) in [
        ("", ""),
        ("plain }} text", "plain }} text"),
        ("{{.Id}} {{.Size}} {{.Ok}} {{.None}}", "sha256:0123 1234 true <nil>"),
        ("{{.Config.Cmd}} {{.Config.Labels}}", "[/bin/sh -c] map[a.b:1 c:2]"),
        ("{{json .Config.Cmd}}", r#"["/bin/sh","-c"]"#),
        ("{{.Config.Cmd | json}}", r#"["/bin/sh","-c"]"#),
        (r#"{{join .Config.Cmd ", "}}"#, "/bin/sh, -c"),
        (r#"{{index .Config.Labels "a.b"}}|{{index .Config.Labels "x"}}|{{index .Config.Cmd 1}}"#, "1||-c"),
        ("{{range .Config.Cmd}}<{{.}}>{{end}}", "</bin/sh><-c>"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "a.b=1 c=2 "),
        ("{{range $i, $c := .Config.Cmd}}{{if $i}},{{end}}{{$c}}{{end}}", "/bin/sh,-c"),
        ("{{range .None}}x{{else}}none{{end}}", "none"),
        ("{{if .Config.User}}a{{else if .Ok}}b{{else}}c{{end}}", "b"),
        ("{{with .Config}}{{.Cmd}} {{$.Id}}{{end}}", "[/bin/sh -c] sha256:0123"),
        ("{{with $x := .Config.User}}{{$x}}{{else}}root{{end}}", "root"),
        ("{{$x := .Size}}{{$x = 2}}{{$x}}", "2"),
        ("a {{- .Size -}} b", "a1234b"),
        ("a{{/* }} */}}b", "ab"),
        (r#"{{"}}"}}{{`\n`}}{{"\t"}}"#, "}}\\n\t"),
        (r#"{{if and .Ok (eq .Size 1 1234)}}yes{{end}}"#, "yes"),
        ("{{or .None .Config.User 3}} {{not .Ok}} {{lt 1 2}} {{ge 1 2}} {{ne 1 -1}}", "3 false true false true"),
        ("{{len .Config.Cmd}} {{len .Id}} {{len .None}}", "2 11 0"),
        ("{{upper .Id}} {{title \"two words\"}} {{lower \"AB\"}}", "SHA256:0123 Two Words ab"),
        (r#"{{(index .Config.Cmd 0)}} {{slice .Id 7}} {{slice .Id 7 9}}"#, "/bin/sh 0123 01"),
        (r#"{{range split "a/b" "/"}}[{{.}}]{{end}}"#, "[a][b]"),
        (
            r#"{{printf "%s|%5d|%-4s|%q|%.2s|%%|%v" .Id .Size "x" "y" "abc" .Config.Cmd}}"#,
            "sha256:0123| 1234|x   |\"y\"|ab|%|[/bin/sh -c]",
        ),
        (r#"{{printf "%d"}} {{printf "%d" "x"}}"#, "%!d(MISSING) %!d(x)"),
        ("{{truncate .Id 3}}{{pad \"x\" 1 2}}|{{print 1 2 \"a\" 3}}{{println 1 2}}", "sha x  |1 2a31 2\n"),
        ("{{(.Config).Cmd}} {{$.Config.User}}", "[/bin/sh -c] "),
    ] {
        assert_eq!(rendered(template), Ok(wanted.to_owned()), "{template}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (template, why) in [
        ("{{.Idd}}", "`.Idd`, which is not there"),
        ("{{.Config.Cmdx}}", "`.Cmdx`"),
        ("{{.Size.X}}", "take the field `.X` of a number"),
        ("{{.Id", "`{{` is not closed by `}}`, at character 1"),
        ("x {{\"a}}", "not closed"),
        ("{{if .Ok}}", "`{{if}}` is not ended by `{{end}}`, at character 1"),
        ("{{end}}", "ends nothing"),
        ("{{else}}", "belongs to nothing"),
        ("{{if .Ok}}{{else}}{{else}}{{end}}", "a second `{{else}}`"),
        ("{{}}", "a value is missing"),
        ("{{.Id | }}", "a value is missing"),
        ("{{(.Id}}", "`)` is missing"),
        ("{{jsn .}}", "`jsn`, which is no function"),
        ("{{$x}}", "`$x`, which is not declared"),
        ("{{$x = 1}}", "`$x`, which is not declared"),
        ("{{join .Id}}", "argument 1 is no list"),
        ("{{index .Config.Cmd 7}}", "the list has 2 items"),
        ("{{range .Size}}{{end}}", "range over a number"),
        ("{{.Id .Size}}", "give arguments to a value"),
        ("{{~}}", "`~` means nothing here"),
        ("{{1.2.3}}", "`1.2.3` is no number"),
        ("{{\"\\q\"}}", "an escape that is not known"),
        (&"{{if .Ok}}".repeat(100), "too much in one another"),
        (&format!("{{{{{}", "(".repeat(100_000)), "not closed"),
        (&format!("{{{{{}}}}}", "(".repeat(100_000)), "too much in one another"),
        (&format!("{{{{if .Ok}}}}{}", "{{else if .Ok}}".repeat(1000)), "too much in one another"),
    ] {
        let error = rendered(template).expect_err(template).to_string();
        assert!(error.contains(why), "{}: {error}", &template[..template.len().min(60)]);
    }
}

#[test]
fn near_names_are_proposed() {
    use builder::diagnostic::Diagnose;
    let help = |template| rendered(template).expect_err("wrong").diagnose().help;
    assert_eq!(help("{{.Idd}}").as_deref(), Some("did you mean `.Id`?"));
    assert_eq!(help("{{jsn .}}").as_deref(), Some("did you mean `json`?"));
    assert_eq!(help("{{.Config.Frobnicate}}").as_deref(), Some("there are: .Cmd, .Labels, .User"));
}

proptest::proptest! {
    /// No text makes it panic.
    #[test]
    fn any_text_is_taken_or_refused(text in "(\\{\\{|\\}\\}|-|\\$x|:=|\\.A|\"|`|if|end|else|range|\\(|\\)|[a-z .%é]){0,24}") {
        if let Ok(template) = Template::parse(&text) {
            drop(template.render(&image()));
        }
    }
}
