//! [`Statement`]: one instruction's lines, joined, with its heredocs; the lexical half of the parser.

use super::arguments::{Json, json};
use super::error::ParseError;
use super::flags::{self, RawFlag};
use super::heredoc::{self, HeredocWord};
use super::instruction::Heredoc;
use super::joined::{Joined, Slice};
use super::keyword::Keyword;
use super::lines::{Line, Lines};
use crate::source::Span;

/// One instruction as lines give it.
#[derive(Debug)]
pub(super) struct Statement {
    /// Its own lines.
    pub(super) joined: Joined,
    /// Words that announce heredocs; as many as `heredocs` unless one has no end.
    pub(super) announced: Vec<HeredocWord>,
    /// The heredocs.
    pub(super) heredocs: Vec<Heredoc>,
    /// The heredocs as typed, tabs included, as an ONBUILD trigger keeps them: for each a line feed, body and name.
    pub(super) raw_heredocs: String,
    /// All of it, last heredoc's end included.
    pub(super) span: Span,
    /// The first empty line among continued ones.
    pub(super) empty_continuation: Option<Span>,
    /// Comments above it.
    pub(super) comments: Vec<String>,
}

/// Name, flags and arguments of a statement or of an ONBUILD trigger.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) name: Slice<'a>,
    pub(super) flags: Vec<RawFlag>,
    pub(super) arguments: Slice<'a>,
}

/// Reads statements off a text.
#[derive(Debug)]
pub(super) struct Statements<'a> {
    source: &'a str,
    lines: Lines<'a>,
    escape: char,
    comments: Vec<String>,
}

impl<'a> Parts<'a> {
    /// Splits a line.
    pub(super) fn of(line: Slice<'a>) -> Self {
        let (name, rest) = line.trim().split_blank();
        let (flags, arguments) = flags::split(rest);
        Self { name, flags, arguments }
    }

    /// Returns the instruction, or for a name that is not known the one that may be meant.
    pub(super) fn likely_keyword(&self) -> Option<Keyword> {
        Keyword::parse(self.name.text()).or_else(|| Keyword::nearest(self.name.text()))
    }
}

impl<'a> Statements<'a> {
    /// Returns the statements of `source`.
    pub(super) fn new(source: &'a str, escape: char) -> Self {
        Self { source, lines: Lines::new(source), escape, comments: Vec::new() }
    }

    /// Returns the next statement; a heredoc without end becomes an error, and the statement goes without it.
    pub(super) fn next(&mut self, errors: &mut Vec<ParseError>) -> Option<Statement> {
        let first = self.first_line()?.trim_start();
        let mut statement = self.join(first);
        self.read_heredocs(&mut statement, errors);
        Some(statement)
    }

    /// Skips blank lines and comments up to an instruction's first line.
    fn first_line(&mut self) -> Option<Line<'a>> {
        loop {
            let line = self.lines.next()?;
            if line.is_comment() {
                self.note_comment(line);
            } else if !line.is_blank() {
                return Some(line);
            }
        }
    }

    /// Keeps a comment for the instruction below; an empty one starts afresh.
    fn note_comment(&mut self, line: Line<'_>) {
        let text = line.text.trim_start();
        let comment = text.strip_prefix('#').unwrap_or(text).trim();
        if comment.is_empty() {
            self.comments.clear();
        } else {
            self.comments.push(comment.to_owned());
        }
    }

    /// Joins an instruction's lines: comments and empty lines between them are left out, white space that begins a
    /// continued line stays.
    fn join(&mut self, first: Line<'a>) -> Statement {
        let mut statement = Statement {
            joined: Joined::default(),
            announced: Vec::new(),
            heredocs: Vec::new(),
            raw_heredocs: String::new(),
            span: first.span(),
            empty_continuation: None,
            comments: std::mem::take(&mut self.comments),
        };
        let (text, mut continued) = first.continuation(self.escape);
        statement.joined.push(text, first.start);
        while continued && let Some(line) = self.lines.next() {
            if line.is_comment() {
                continue;
            }
            if line.is_blank() {
                statement.empty_continuation = statement.empty_continuation.or(Some(line.span()));
                continue;
            }
            let text;
            (text, continued) = line.continuation(self.escape);
            statement.joined.push(text, line.start);
            statement.span.end = line.span().end;
        }
        statement
    }

    fn read_heredocs(&mut self, statement: &mut Statement, errors: &mut Vec<ParseError>) {
        let line = statement.joined.all();
        if !line.text().contains("<<") || !takes_heredocs(line) {
            return;
        }
        statement.announced = heredoc::announced(line);
        for word in &statement.announced {
            match heredoc::read_body(word, &mut self.lines, self.source) {
                Ok(heredoc) => {
                    statement.span.end = heredoc_end(self.source, &heredoc);
                    let raw = &self.source[heredoc.body.span.range()];
                    statement.raw_heredocs.extend(["\n", raw, &heredoc.name]);
                    statement.heredocs.push(heredoc);
                }
                Err(unterminated) => {
                    let heredoc::Unterminated { name, chomp, span } = unterminated;
                    errors.push(ParseError::UnterminatedHeredoc { name, chomp, span });
                    return;
                }
            }
        }
    }
}

/// Returns the end of the line that ends a heredoc.
fn heredoc_end(source: &str, heredoc: &Heredoc) -> usize {
    let start = heredoc.body.span.end;
    let line = source[start..].split('\n').next().unwrap_or_default();
    start + line.trim_end_matches('\r').len()
}

/// Returns whether the instruction may hold heredocs: RUN, COPY or ADD, or ONBUILD with one of them, not in JSON
/// form. A misspelt name counts as what it may mean, so that a body is not taken for instructions.
fn takes_heredocs(line: Slice<'_>) -> bool {
    let mut parts = Parts::of(line);
    if parts.likely_keyword() == Some(Keyword::Onbuild) {
        parts = Parts::of(parts.arguments);
    }
    parts.likely_keyword().is_some_and(Keyword::takes_heredocs) && !matches!(json(parts.arguments), Json::Strings(_))
}
