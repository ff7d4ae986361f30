//! [`Diagnostic`]: what is wrong, where, and what to do about it; [`Diagnose`] turns any error into one.

use crate::source::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The build cannot go on.
    Error,
    /// The build goes on; the user should look.
    Warning,
}

/// A remark about a place in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The remark; may be empty for the main place.
    pub text: String,
}

/// What is wrong, where, and what to do about it. `cli` renders it with the source's excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the lint rule (`StageNameCasing`), for warnings that are rules.
    pub rule: Option<&'static str>,
    /// What is wrong: lower case, no full stop, literals in backticks.
    pub message: String,
    /// Places in the Dockerfile, the main one first; empty if it is not about the Dockerfile.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Returns an error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, rule: None, message: message.into(), labels: Vec::new(), help: None }
    }

    /// Returns a warning without a place.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Returns a warning of `rule` at `span`.
    pub fn of_rule(rule: &'static str, message: impl Into<String>, span: Span) -> Self {
        let mut warning = Self { rule: Some(rule), ..Self::warning(message) };
        warning.labels.push(Label { span, text: String::new() });
        warning
    }

    /// Returns this with one more place.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Returns this with a cure.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Turns an error into message, place and cure.
pub trait Diagnose {
    /// Returns the diagnostic.
    fn diagnose(&self) -> Diagnostic;
}
