//! What went wrong, on the screen: the excerpt of the Dockerfile with the place marked, and the cure.
//!
//! A failing RUN ends as BuildKit's does (FEATURES 3.3-3): its last output, the lines around it, what it was.

use crate::exit::Exit;
use crate::ui::{FailedLog, visible};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use builder::diagnostic::{Diagnose, Diagnostic, Severity};
use builder::source::{Source, Span};
use std::io::Write;

/// Lines of the Dockerfile that are shown before and after a RUN that failed.
const AROUND: usize = 3;

/// So many errors are shown beside the first: a file that is no Dockerfile has one on each line.
const MOST_MORE: usize = 19;

/// What is wrong besides; mostly nothing.
#[derive(Debug, Default)]
pub struct More(pub Vec<Diagnostic>);

/// Why lbuild ends.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub diagnostic: Box<Diagnostic>,
    /// What else is wrong, in the order of the places.
    pub more: Box<More>,
    /// The text that its places are in.
    pub source: Option<Source>,
    /// The last output of the step that failed, if a command did.
    pub log: Option<Box<FailedLog>>,
    /// How lbuild ends.
    pub exit: Exit,
}

impl Failure {
    /// Returns the failure of something of lbuild's own.
    pub fn of(error: &impl Diagnose) -> Self {
        Self {
            diagnostic: Box::new(error.diagnose()),
            more: Box::default(),
            source: None,
            log: None,
            exit: Exit::Lbuild,
        }
    }

    /// Returns the failure of what the user ended.
    pub fn interrupted() -> Self {
        Self {
            diagnostic: Box::new(Diagnostic::error("interrupted")),
            more: Box::default(),
            source: None,
            log: None,
            exit: Exit::Interrupted,
        }
    }
}

impl<E: Diagnose> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

/// Prints a failure on standard error.
pub fn failure(failure: &Failure, color: bool) {
    let text = match (&failure.log, &failure.source) {
        (Some(log), Some(source)) => failed_command(&failure.diagnostic, source, log),
        _ => rendered(&failure.diagnostic, failure.source.as_ref(), color),
    };
    print(&text);
    for diagnostic in failure.more.0.iter().take(MOST_MORE) {
        print(&format!("\n{}", rendered(diagnostic, failure.source.as_ref(), color)));
    }
    if let Some(left) = failure.more.0.len().checked_sub(MOST_MORE).filter(|left| *left > 0) {
        print(&format!("\n{left} more errors are not shown; `lbuild parse` lists all of them"));
    }
}

fn print(text: &str) {
    if writeln!(std::io::stderr().lock(), "{text}").is_err() {
        // Standard error is gone: there is nobody left to tell.
    }
}

/// Returns the diagnostic as text.
pub fn rendered(diagnostic: &Diagnostic, source: Option<&Source>, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = multiline(&diagnostic.message);
    let labels: Vec<String> = diagnostic.labels.iter().map(|label| multiline(&label.text)).collect();
    let help = diagnostic.help.as_deref().map(multiline);
    let title = match diagnostic.rule {
        Some(rule) => level.primary_title(&message).id(rule),
        None => level.primary_title(&message),
    };
    let mut group = Group::with_title(title);
    let text = source.map(|source| blanked(&source.text));
    if let (Some(source), Some(text)) = (source, &text)
        && !diagnostic.labels.is_empty()
    {
        group = group.element(snippet(diagnostic, source, text, &labels));
    }
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group]).to_string()
}

fn snippet<'a>(
    diagnostic: &Diagnostic,
    source: &'a Source,
    text: &'a str,
    labels: &'a [String],
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let annotations = diagnostic.labels.iter().zip(labels).enumerate().map(|(at, (label, text))| {
        let kind = if at == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        kind.span(clamped(label.span, &source.text)).label(Some(text.as_str()).filter(|text| !text.is_empty()))
    });
    Snippet::source(text).path(source.name.as_str()).annotations(annotations)
}

/// Returns the span as a range that lies in `text`, without the line end it may stop at.
fn clamped(span: Span, text: &str) -> std::ops::Range<usize> {
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (boundary(span.start), boundary(span.end).max(boundary(span.start)));
    start..start + text[start..end].trim_end().len()
}

/// Returns `text` with its control characters replaced by spaces of the same length in bytes, so that places stay.
fn blanked(text: &str) -> String {
    let blank = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars().flat_map(|c| if blank(c) { vec![' '; c.len_utf8()] } else { vec![c] }).collect()
}

/// Returns `text` safe for a terminal, with its lines kept.
fn multiline(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

fn failed_command(diagnostic: &Diagnostic, source: &Source, log: &FailedLog) -> String {
    let mut text = format!("------\n > {}:\n", visible(&log.name));
    for line in &log.lines {
        text.push_str(&format!("{}\n", visible(line)));
    }
    text.push_str("------\n");
    if let Some(label) = diagnostic.labels.first() {
        text.push_str(&excerpt(source, label.span));
    }
    text.push_str(&format!("error: {}", multiline(&diagnostic.message)));
    if let Some(help) = &diagnostic.help {
        text.push_str(&format!("\nhelp: {}", multiline(help)));
    }
    if let Some(step) = &log.more {
        text.push_str(&format!("\nhelp: all that it wrote is in `lbuild logs {step}`"));
    }
    text
}

/// Returns the lines of `span` marked with `>>>`, and some around them.
fn excerpt(source: &Source, span: Span) -> String {
    let range = clamped(span, &source.text);
    let (first, last) = (source.line_of(range.start), source.line_of(range.end));
    let (from, to) = (first.saturating_sub(AROUND).max(1), last + AROUND);
    let mut text = format!("{}:{first}\n--------------------\n", visible(&source.name));
    for (at, line) in source.text.lines().enumerate().take(to).skip(from - 1) {
        let number = at + 1;
        let mark = if (first..=last).contains(&number) { ">>>" } else { "   " };
        text.push_str(format!("{number:4} | {mark} {}", visible(line)).trim_end());
        text.push('\n');
    }
    text.push_str("--------------------\n");
    text
}

#[cfg(test)]
mod tests;
