//! `lbuild build --check` and `--call`: what can be said of a build without doing it.

use super::{color, json, print};
use crate::engine;
use crate::exit::Exit;
use crate::report::{self, Failure};
use crate::settings::{BuildSettings, Call, Method};
use builder::call::{Checked, Outline, OutlineMount, Target};
use builder::diagnostic::Diagnostic;
use builder::dockerfile::checks::Rule;
use builder::progress::ProgressSink;
use builder::source::{Source, Span};
use layerfs::cancel::Cancel;
use serde_json::{Value, json};
use std::path::Path;

/// Blanks between columns.
const GAP: usize = 4;

/// Says what was asked for.
pub fn run(
    call: &Call,
    settings: &BuildSettings,
    root: &Path,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<Exit, Failure> {
    let request = &settings.request;
    let source = &request.dockerfile;
    let placed = |failure: Failure| Failure { source: Some(source.clone()), ..failure };
    match call.method {
        Method::Check => return checks(&engine::build_checks(request, root, sink, cancel)?, source, call.json),
        Method::Outline => {
            let outline = engine::outline(request).map_err(placed)?;
            print(&if call.json { json(&outline_json(&outline, source)) } else { outline_text(&outline) })?;
        }
        Method::Targets => {
            let targets = engine::targets(request).map_err(placed)?;
            print(&if call.json { json(&targets_json(&targets, source)) } else { targets_text(&targets) })?;
        }
    }
    Ok(Exit::Success)
}

/// Prints what the checks found; status 1 if they found anything, as buildx has it.
fn checks(checked: &Checked, source: &Source, as_json: bool) -> Result<Exit, Failure> {
    let failure = checked.error.as_ref().map(engine::of_build);
    match as_json {
        true => print(&json(&checks_json(checked, failure.as_ref(), source)))?,
        false => print(&checks_text(checked, source))?,
    }
    match failure {
        Some(failure) if !as_json => Err(Failure { source: Some(source.clone()), ..failure }),
        None if checked.warnings.is_empty() => Ok(Exit::Success),
        _ => Ok(Exit::Command(1)),
    }
}

fn checks_text(checked: &Checked, source: &Source) -> String {
    let shown = |warning: &Diagnostic| format!("{}\n\n", report::rendered(warning, Some(source), color()));
    let mut text: String = checked.warnings.iter().map(shown).collect();
    if checked.error.is_none() {
        text.push_str(&match checked.warnings.len() {
            0 => "Check complete, no warnings found.\n".to_owned(),
            1 => "Check complete, 1 warning has been found!\n".to_owned(),
            count => format!("Check complete, {count} warnings have been found!\n"),
        });
    }
    text
}

fn checks_json(checked: &Checked, failure: Option<&Failure>, source: &Source) -> Value {
    let warnings: Vec<Value> = checked.warnings.iter().map(|warning| warning_json(warning, source)).collect();
    let mut value = json!({ "warnings": warnings, "sources": [source_json(source)] });
    if let Some(failure) = failure {
        let diagnostic = &failure.diagnostic;
        let place = location(diagnostic.labels.first().map(|label| label.span), source);
        value["buildError"] = json!({ "message": diagnostic.message, "help": diagnostic.help, "location": place });
    }
    value
}

fn warning_json(warning: &Diagnostic, source: &Source) -> Value {
    let rule = warning.rule.and_then(Rule::named);
    json!({
        "ruleName": warning.rule,
        "description": rule.map(|rule| rule.description),
        "url": rule.map(Rule::url),
        "detail": warning.message,
        "help": warning.help,
        "location": location(warning.labels.first().map(|label| label.span), source),
    })
}

fn source_json(source: &Source) -> Value {
    let data = layerfs::base64::encode(source.text.as_bytes());
    json!({ "filename": source.name, "language": "Dockerfile", "data": data })
}

/// Returns a place as BuildKit has it: lines from 1, characters from 0.
fn location(span: Option<Span>, source: &Source) -> Value {
    let Some(span) = span else { return json!({}) };
    let point = |at: usize| json!({ "line": source.line_of(at), "character": source.column_of(at) - 1 });
    json!({ "sourceIndex": 0, "ranges": [{ "start": point(span.start), "end": point(span.end) }] })
}

fn outline_json(outline: &Outline, source: &Source) -> Value {
    let mounts = |mounts: &[OutlineMount]| -> Vec<Value> {
        let place = |mount: &OutlineMount| location(Some(mount.span), source);
        let one =
            |mount: &OutlineMount| json!({ "name": mount.name, "required": mount.required, "location": place(mount) });
        mounts.iter().map(one).collect()
    };
    let arguments = outline.arguments.iter().map(|argument| {
        let place = location(Some(argument.span), source);
        let (name, description, value) = (&argument.name, &argument.description, &argument.value);
        json!({ "name": name, "description": description, "value": value, "location": place })
    });
    json!({
        "name": outline.name,
        "description": outline.description,
        "args": arguments.collect::<Vec<_>>(),
        "secrets": mounts(&outline.secrets),
        "ssh": mounts(&outline.agents),
        "sources": [source_json(source)],
    })
}

fn outline_text(outline: &Outline) -> String {
    let name = if outline.name.is_empty() { "default" } else { &outline.name };
    let mut text = format!("TARGET:       {name}\n");
    if !outline.description.is_empty() {
        text.push_str(&format!("DESCRIPTION:  {}\n", outline.description));
    }
    let rows = outline.arguments.iter().map(|argument| {
        let builder::call::OutlineArgument { name, value, description, .. } = argument.clone();
        vec![name, value, description]
    });
    text.push_str(&table(&["BUILD ARG", "VALUE", "DESCRIPTION"], rows));
    for (title, mounts) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
        let rows = mounts.iter().map(|mount| vec![mount.name.clone(), mount.required.to_string()]);
        text.push_str(&table(&[title, "REQUIRED"], rows));
    }
    text
}

fn targets_json(targets: &[Target], source: &Source) -> Value {
    let one = |target: &Target| {
        json!({
            "name": target.name,
            "default": target.default,
            "description": target.description,
            "base": target.base,
            "platform": target.platform,
            "location": location(Some(target.span), source),
        })
    };
    json!({ "targets": targets.iter().map(one).collect::<Vec<_>>(), "sources": [source_json(source)] })
}

fn targets_text(targets: &[Target]) -> String {
    let row = |target: &Target| {
        let name = match (target.name.as_str(), target.default) {
            ("", true) => "(default)".to_owned(),
            ("", false) => return None,
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        };
        Some(vec![name, target.description.clone()])
    };
    table(&["TARGET", "DESCRIPTION"], targets.iter().filter_map(row)).trim_start().to_owned()
}

/// Returns rows under their titles, set apart by an empty line; nothing for no rows.
fn table(titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    if all.len() == 1 {
        return String::new();
    }
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + GAP;
    let widths: Vec<usize> = (0..all[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    format!("\n{}", all.iter().map(line).collect::<String>())
}
