//! [`parse`]: statements to stages, with recovery after errors.

use super::directives;
use super::error::ParseError;
use super::instruction::{Arg, From, Instruction};
use super::keyword::Keyword;
use super::lint::NO_EMPTY_CONTINUATION;
use super::statement::{Parts, Statement, Statements};
use super::typed::{self, Findings, Typed};
use super::{Directives, Dockerfile, Parsed, Stage};
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span, Spanned};

/// Most instructions of a Dockerfile: many times more than any has, few enough that all that follows ends soon.
const MAX_INSTRUCTIONS: usize = 50_000;

/// What parsing gave.
#[derive(Debug, Clone)]
pub struct ParseOutcome {
    /// The Dockerfile; there exactly if there are no errors.
    pub dockerfile: Option<Dockerfile>,
    /// Every error, the earliest first.
    pub errors: Vec<ParseError>,
    /// Warnings that only the lexer can give, the earliest first; the other rules are in [`super::lint()`].
    pub warnings: Vec<Diagnostic>,
}

/// Parses a Dockerfile. Never panics; takes time in proportion to the text.
pub fn parse(source: Source) -> ParseOutcome {
    let mut findings = Findings::default();
    directives::check_lengths(&source.text, &mut findings.errors);
    let directives = directives::parse(&source.text, &mut findings.errors);
    let mut builder = Builder::default();
    let mut statements = Statements::new(&source.text, directives.escape());
    loop {
        let known = findings.errors.len();
        let Some(statement) = statements.next(&mut findings.errors) else { break };
        let unterminated = findings.errors.len() > known;
        if builder.keywords.len() == MAX_INSTRUCTIONS {
            let error = ParseError::TooManyInstructions { limit: MAX_INSTRUCTIONS, span: statement.span };
            findings.errors.push(error);
            break;
        }
        builder.add(&statement, directives.escape(), &mut findings);
        if unterminated {
            // The heredoc is the source that COPY seems to lack.
            findings
                .errors
                .retain(|error| !matches!(error, ParseError::NoDestination { span, .. } if *span == statement.span));
        }
    }
    builder.finish(source, directives, findings)
}

/// Parses the text of an ONBUILD trigger: one instruction, heredoc bodies below it. Spans are places in that text.
///
/// # Errors
/// What [`parse`] would report, or [`ParseError::NotOneInstruction`].
pub fn parse_instruction(source: &Source) -> Result<Parsed, Vec<ParseError>> {
    let mut findings = Findings::default();
    directives::check_lengths(&source.text, &mut findings.errors);
    let escape = Directives::default().escape();
    let mut statements = Statements::new(&source.text, escape);
    let first = statements.next(&mut findings.errors);
    let parsed = first.as_ref().and_then(|first| trigger(first, escape, &mut findings));
    match (parsed, statements.next(&mut findings.errors)) {
        (Some(parsed), None) if findings.errors.is_empty() => return Ok(parsed),
        (None, _) if !findings.errors.is_empty() => {}
        (_, second) => {
            let span = second.map_or(Span::default(), |second| second.span);
            findings.errors.push(ParseError::NotOneInstruction { span });
        }
    }
    Err(sorted(findings.errors))
}

fn trigger(statement: &Statement, escape: char, findings: &mut Findings) -> Option<Parsed> {
    match typed::statement(statement, escape, findings)? {
        Typed::Instruction(Instruction::Onbuild(_)) => {
            findings.errors.push(ParseError::ChainedOnbuild { span: statement.span });
            None
        }
        Typed::Instruction(instruction) => Some(parsed(statement, instruction)),
        Typed::From(_) => {
            findings.errors.push(ParseError::ForbiddenTrigger { keyword: Keyword::From, span: statement.span });
            None
        }
    }
}

/// Gathers statements into stages.
#[derive(Debug, Default)]
struct Builder {
    global_args: Vec<Spanned<Arg>>,
    stages: Vec<Stage>,
    keywords: Vec<Span>,
    comments: Vec<(Span, Vec<String>)>,
    /// A FROM was seen, well formed or not.
    in_stage: bool,
    /// That an instruction stands before FROM was said.
    said_before_from: bool,
}

impl Builder {
    fn add(&mut self, statement: &Statement, escape: char, findings: &mut Findings) {
        let parts = Parts::of(statement.joined.all());
        self.keywords.push(parts.name.span());
        if !statement.comments.is_empty() {
            self.comments.push((statement.span, statement.comments.clone()));
        }
        self.in_stage |= parts.likely_keyword() == Some(Keyword::From);
        if let Some(span) = statement.empty_continuation {
            findings.warnings.push(Diagnostic::of_rule(NO_EMPTY_CONTINUATION, "empty continuation line", span));
        }
        match typed::statement(statement, escape, findings) {
            Some(Typed::From(from)) => self.stages.push(stage(statement, from)),
            Some(Typed::Instruction(Instruction::Arg(arguments))) if !self.in_stage => self.globals(arguments),
            Some(Typed::Instruction(_)) if !self.in_stage => self.before_from(&parts, findings),
            Some(Typed::Instruction(instruction)) => {
                // Without a stage its FROM was wrong, and that has been reported.
                if let Some(stage) = self.stages.last_mut() {
                    stage.instructions.push(parsed(statement, instruction));
                }
            }
            None => {}
        }
    }

    fn globals(&mut self, arguments: Vec<Arg>) {
        self.global_args.extend(arguments.into_iter().map(|argument| {
            let span = argument.default.iter().fold(argument.name.span, |span, default| span.to(default.span));
            Spanned::new(argument, span)
        }));
    }

    /// Reports the first instruction that stands before FROM; the others have the same cause.
    fn before_from(&mut self, parts: &Parts<'_>, findings: &mut Findings) {
        if !std::mem::replace(&mut self.said_before_from, true)
            && let Some(keyword) = parts.likely_keyword()
        {
            findings.errors.push(ParseError::BeforeFrom { keyword, span: parts.name.span() });
        }
    }

    fn finish(self, source: Source, directives: Directives, mut findings: Findings) -> ParseOutcome {
        if findings.errors.is_empty() && self.stages.is_empty() {
            findings.errors.push(self.nothing(&source));
        }
        findings.warnings.sort_by_key(|warning| warning.labels.first().map(|label| label.span));
        let Self { global_args, stages, keywords, comments, .. } = self;
        let good = findings.errors.is_empty();
        let dockerfile = good.then_some(Dockerfile { source, directives, global_args, stages, keywords, comments });
        ParseOutcome { dockerfile, errors: sorted(findings.errors), warnings: findings.warnings }
    }

    /// Returns why there is no stage.
    fn nothing(&self, source: &Source) -> ParseError {
        let span = Span::default();
        if source.text.is_empty() {
            ParseError::Empty { span }
        } else if self.keywords.is_empty() {
            ParseError::NoInstructions { span }
        } else {
            let end = source.text.len();
            ParseError::NoStages { span: self.keywords.last().map_or(Span::new(end, end), |&keyword| keyword) }
        }
    }
}

fn sorted(mut errors: Vec<ParseError>) -> Vec<ParseError> {
    errors.sort_by_key(ParseError::span);
    errors
}

fn stage(statement: &Statement, from: From) -> Stage {
    let name = from.name.as_ref().map(|name| name.value.as_str());
    let comment = name.and_then(|name| described(&statement.comments, name));
    Stage { from: Spanned::new(from, statement.span), comment, instructions: Vec::new() }
}

/// Returns what a comment of the form `name text` says of `name`.
fn described(comments: &[String], name: &str) -> Option<String> {
    let texts = comments.iter().filter_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '));
    texts.map(str::to_owned).next()
}

fn parsed(statement: &Statement, instruction: Instruction) -> Parsed {
    let line = statement.joined.all();
    let name_span = Parts::of(line).name.span();
    Parsed { instruction, span: statement.span, name_span, original: line.trim().text().to_owned() }
}
