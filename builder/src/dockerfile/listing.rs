//! [`Listing`]: what the parser sees in a text, instruction by instruction, for editors and linters; also where the text
//! is wrong.

use super::arguments::{Json, json, list, list_with_heredocs, words};
use super::flags::{RawFlag, split_flag};
use super::instruction::{Heredoc, Word};
use super::joined::Slice;
use super::keyword::Keyword;
use super::lint::lint;
use super::statement::{Parts, Statement, Statements};
use super::{directives, parse};
use crate::diagnostic::{Diagnose, Diagnostic, Severity};
use crate::source::{Source, Span};
use serde::Serialize;

/// What the parser sees in a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The name of the text.
    pub file: String,
    /// Parser directives.
    pub directives: ListedDirectives,
    /// Every instruction, those that are wrong too.
    pub instructions: Vec<Listed>,
    /// Everything that is wrong, and what should be looked at, in the order of the places.
    pub diagnostics: Vec<ListedDiagnostic>,
}

/// Parser directives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedDirectives {
    /// `syntax`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syntax: Option<String>,
    /// `escape`, the default too.
    pub escape: char,
    /// `check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// How arguments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A JSON array.
    Json,
    /// Text for a shell: one argument.
    Shell,
    /// Words, split.
    Words,
    /// An instruction (ONBUILD).
    Trigger,
}

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name in capitals, known or not.
    pub name: String,
    /// Whether there is such an instruction.
    pub known: bool,
    /// Its flags in order.
    pub flags: Vec<ListedFlag>,
    /// How its arguments are written.
    pub form: Form,
    /// Its arguments before expansion; quotes and escapes of words stay.
    pub arguments: Vec<String>,
    /// Where each argument stands.
    pub argument_spans: Vec<Span>,
    /// Its heredocs in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heredocs: Vec<ListedHeredoc>,
    /// The instruction that ONBUILD keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Box<Listed>>,
    /// The comments right above it, without their marks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<String>,
    /// Its first line, from 1.
    pub start_line: usize,
    /// Its last line, heredocs included.
    pub end_line: usize,
    /// All of it in bytes, heredocs included.
    pub span: Span,
    /// Its name in bytes.
    pub name_span: Span,
}

/// A flag of an instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedFlag {
    /// Its name without `--`.
    pub name: String,
    /// Its value, quotes and escapes gone; none for a flag alone.
    pub value: Option<String>,
    /// All of it in bytes.
    pub span: Span,
}

/// A heredoc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedHeredoc {
    /// The delimiter without quotes.
    pub name: String,
    /// The body, leading tabs gone for `<<-`.
    pub body: String,
    /// Whether variables in it are replaced.
    pub expand: bool,
    /// Whether it was written `<<-`.
    pub chomp: bool,
    /// The file descriptor before `<<`, 0 if none.
    pub descriptor: u32,
    /// The body in bytes.
    pub span: Span,
}

/// Something that is wrong, or should be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedDiagnostic {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The rule, for warnings that are rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The place in bytes.
    pub span: Span,
}

impl Listing {
    /// Returns what the parser sees in `source`. Never stops at an error.
    pub fn new(source: &Source) -> Self {
        let outcome = parse(source.clone());
        // The parser says what is wrong; here only what it sees counts.
        let mut ignored = Vec::new();
        let parsed = directives::parse(&source.text, &mut ignored);
        let mut lines = LineNumbers { text: &source.text, offset: 0, line: 1 };
        let mut statements = Statements::new(&source.text, parsed.escape());
        let mut instructions = Vec::new();
        while let Some(statement) = statements.next(&mut ignored) {
            let parts = Parts::of(statement.joined.all());
            let start_line = lines.of(statement.span.start);
            let end_line = lines.of(statement.span.end.saturating_sub(1).max(statement.span.start));
            let listed = listed(&parts, &statement, parsed.escape());
            let comments = statement.comments.clone();
            instructions.push(Listed { comments, start_line, end_line, ..listed });
        }
        let lints = outcome.dockerfile.as_ref().map(lint).unwrap_or_default();
        let errors = outcome.errors.iter().map(Diagnose::diagnose);
        let mut all: Vec<Diagnostic> = errors.chain(outcome.warnings).chain(lints).collect();
        all.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| label.span));
        let mut lines = LineNumbers { text: &source.text, offset: 0, line: 1 };
        let diagnostics = all.into_iter().map(|diagnostic| diagnosed(diagnostic, source, &mut lines)).collect();
        let escape = parsed.escape();
        let directives = ListedDirectives { syntax: parsed.syntax, escape, check: parsed.check };
        Self { file: source.name.clone(), directives, instructions, diagnostics }
    }

    /// Reports whether something is wrong.
    pub fn is_wrong(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == "error")
    }
}

/// Numbers lines of places that come in order, each looked at once.
struct LineNumbers<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl LineNumbers<'_> {
    fn of(&mut self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        if offset < self.offset {
            (self.offset, self.line) = (0, 1);
        }
        self.line += self.text.as_bytes()[self.offset..offset].iter().filter(|&&b| b == b'\n').count();
        self.offset = offset;
        self.line
    }
}

fn diagnosed(diagnostic: Diagnostic, source: &Source, lines: &mut LineNumbers<'_>) -> ListedDiagnostic {
    let span = diagnostic.labels.first().map_or(Span::default(), |label| label.span);
    ListedDiagnostic {
        severity: if diagnostic.severity == Severity::Error { "error" } else { "warning" },
        rule: diagnostic.rule,
        message: diagnostic.message,
        help: diagnostic.help,
        line: lines.of(span.start),
        column: source.column_of(span.start),
        span,
    }
}

fn listed(parts: &Parts<'_>, statement: &Statement, escape: char) -> Listed {
    let keyword = Keyword::parse(parts.name.text());
    let trigger = (keyword == Some(Keyword::Onbuild)).then(|| Parts::of(parts.arguments));
    let (form, arguments) = match &trigger {
        Some(_) => (Form::Trigger, vec![parts.arguments.word()]),
        None => arguments(keyword, parts.arguments, statement, escape),
    };
    let trigger = trigger.filter(|trigger| Keyword::parse(trigger.name.text()) != Some(Keyword::Onbuild));
    Listed {
        name: parts.name.text().to_uppercase(),
        known: keyword.is_some(),
        flags: parts.flags.iter().map(flag).collect(),
        form,
        argument_spans: arguments.iter().map(|argument| argument.span).collect(),
        arguments: arguments.into_iter().map(|argument| argument.value).collect(),
        heredocs: statement.heredocs.iter().map(heredoc).collect(),
        trigger: trigger.map(|trigger| Box::new(listed(&trigger, statement, escape))),
        comments: Vec::new(),
        start_line: 0,
        end_line: 0,
        span: statement.span,
        name_span: parts.name.span(),
    }
}

/// Returns the arguments as the instruction takes them.
fn arguments(keyword: Option<Keyword>, arguments: Slice<'_>, statement: &Statement, escape: char) -> (Form, Vec<Word>) {
    use Keyword::{
        Add, Arg, Cmd, Copy, Entrypoint, Env, Expose, From, Healthcheck, Label, Maintainer, Onbuild, Run, Shell,
        Stopsignal, User, Volume, Workdir,
    };
    let all = |slices: Vec<Slice<'_>>| slices.iter().map(Slice::word).collect();
    let whole = || if arguments.text().is_empty() { Vec::new() } else { vec![arguments.word()] };
    let as_json = || match json(arguments) {
        Json::Strings(strings) => Some((Form::Json, strings)),
        Json::Mixed | Json::Not => None,
    };
    match keyword {
        Some(Run | Cmd | Entrypoint | Shell) => as_json().unwrap_or_else(|| (Form::Shell, whole())),
        Some(Healthcheck) => (Form::Shell, whole()),
        Some(Copy | Add | Volume) => {
            let listed = || (Form::Words, all(list_with_heredocs(arguments, &statement.announced)));
            as_json().unwrap_or_else(listed)
        }
        Some(Env | Label | Arg) => (Form::Words, all(words(arguments, escape))),
        Some(Maintainer | Stopsignal | User | Workdir) => (Form::Words, whole()),
        Some(Expose | From | Onbuild) | None => (Form::Words, all(list(arguments))),
    }
}

fn flag(raw: &RawFlag) -> ListedFlag {
    let (name, value, span) = split_flag(raw);
    ListedFlag { name: name.to_owned(), value: value.map(str::to_owned), span }
}

fn heredoc(heredoc: &Heredoc) -> ListedHeredoc {
    let Heredoc { name, body, expand, chomp, descriptor, with_tabs: _ } = heredoc.clone();
    ListedHeredoc { name, span: body.span, body: body.value, expand, chomp, descriptor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(text: &str) -> Listing {
        Listing::new(&Source::new("Dockerfile", text))
    }

    /// Name, form and arguments of each instruction.
    fn shown(text: &str) -> Vec<String> {
        let one = |listed: &Listed| format!("{} {:?} {:?}", listed.name, listed.form, listed.arguments);
        list_of(text).instructions.iter().map(one).collect()
    }

    #[test]
    fn arguments_are_what_the_parser_sees() {
        let text = "FROM a AS b\nRUN [\"x\", \"y z\"]\nRUN ['x']\nrun echo \\\n  \"a b\"\nENV a=\"b c\" d=$e\nCOPY [\"a b\", \"c\"]\nCOPY a  b c\nUSER a b\nEXPOSE 1 2\n";
        assert_eq!(
            shown(text),
            [
                r#"FROM Words ["a", "AS", "b"]"#,
                r#"RUN Json ["x", "y z"]"#,
                r#"RUN Shell ["['x']"]"#,
                r#"RUN Shell ["echo   \"a b\""]"#,
                r#"ENV Words ["a=\"b c\"", "d=$e"]"#,
                r#"COPY Json ["a b", "c"]"#,
                r#"COPY Words ["a", "b", "c"]"#,
                r#"USER Words ["a b"]"#,
                r#"EXPOSE Words ["1", "2"]"#,
            ]
        );
    }

    #[test]
    fn heredocs_flags_triggers_and_lines() {
        let text = "# top\n\n# of RUN\nFROM a\nRUN --mount=type=tmpfs,target=/x --network=none <<-\"E\" cat\n\tbody $x\n\tE\nONBUILD COPY --link <<F /f\nf\nF\n";
        let listing = list_of(text);
        let run = &listing.instructions[1];
        assert_eq!((run.start_line, run.end_line), (5, 7));
        let flags: Vec<_> = run.flags.iter().map(|flag| (flag.name.as_str(), flag.value.as_deref())).collect();
        assert_eq!(flags, [("mount", Some("type=tmpfs,target=/x")), ("network", Some("none"))]);
        let heredoc = &run.heredocs[0];
        assert_eq!((heredoc.name.as_str(), heredoc.body.as_str()), ("E", "body $x\n"));
        assert_eq!((heredoc.expand, heredoc.chomp, heredoc.descriptor), (false, true, 0));
        assert_eq!(&text[heredoc.span.range()], "\tbody $x\n");
        let onbuild = &listing.instructions[2];
        assert_eq!((onbuild.start_line, onbuild.end_line, onbuild.form), (8, 10, Form::Trigger));
        let trigger = onbuild.trigger.as_ref().expect("a trigger");
        assert_eq!((trigger.name.as_str(), trigger.flags[0].value.as_deref()), ("COPY", None));
        assert_eq!(trigger.arguments, ["<<F", "/f"]);
        assert_eq!(listing.instructions[0].comments, ["top", "of RUN"]);
    }

    #[test]
    fn nothing_stops_it() {
        let text = "RUN early\nFORM a\nFROM a\nCOPY x\nRUN --nmount=x <<E\nno end\n";
        let listing = list_of(text);
        assert!(listing.is_wrong());
        let names: Vec<_> = listing.instructions.iter().map(|listed| (listed.name.as_str(), listed.known)).collect();
        assert_eq!(names, [("RUN", true), ("FORM", false), ("FROM", true), ("COPY", true), ("RUN", true)]);
        let wrong: Vec<_> = listing.diagnostics.iter().map(|one| (one.line, one.column, one.severity)).collect();
        assert_eq!(wrong, [(1, 1, "error"), (2, 1, "error"), (4, 1, "error"), (5, 5, "error"), (5, 16, "error")]);
        for empty in ["", "\n", "# x\n", "\u{feff}", "[\"\\\n"] {
            assert!(list_of(empty).is_wrong(), "{empty:?}");
        }
    }
}
