//! The Dockerfile language: text in, [`Dockerfile`] out; pure.
//!
//! ```text
//! &str -> directives -> lines, joined (continuations, comments, heredocs) -> flags, words -> Instruction
//!         directives.rs lines.rs statement.rs joined.rs heredoc.rs    flags.rs arguments.rs typed.rs
//! ```
//!
//! Parsing goes on after an error, so that one run reports all of them. [`words`] expands variables later, when the
//! plan knows their values; [`lint()`] looks at what was parsed.

mod arguments;
pub mod checks;
mod directives;
mod duration;
pub mod error;
mod flags;
pub(crate) mod front_end;
mod heredoc;
pub mod instruction;
mod joined;
pub mod keyword;
mod lines;
pub mod lint;
pub mod listing;
mod mount;
mod parser;
mod relocate;
mod statement;
pub mod suggest;
#[cfg(test)]
mod tests;
mod typed;
pub mod words;

pub use error::ParseError;
pub use lint::lint;
pub use parser::{ParseOutcome, parse, parse_instruction};
pub use words::{ExpandError, Expanded, ExpandedWords, Expander};

use crate::source::{Source, Span, Spanned};
use instruction::Instruction;

/// A Dockerfile, parsed: what was typed, nothing expanded.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// The text.
    pub source: Source,
    /// Parser directives.
    pub directives: Directives,
    /// ARG instructions before the first FROM.
    pub global_args: Vec<Spanned<instruction::Arg>>,
    /// The stages in order; at least one.
    pub stages: Vec<Stage>,
    /// Where the name of each instruction stands, in order, FROM and the ARGs before it included.
    pub keywords: Vec<Span>,
    /// The comments right above instructions, without their marks, each with all of its instruction.
    pub comments: Vec<(Span, Vec<String>)>,
}

/// Parser directives (`# syntax=`, `# escape=`, `# check=`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// The front end that the text asks for; kept, never fetched.
    pub syntax: Option<String>,
    /// The escape character: `\` (the default, `None`) or a backtick.
    pub escape: Option<char>,
    /// The text of `# check=`.
    pub check: Option<String>,
}

impl Directives {
    /// Returns the escape character.
    pub fn escape(&self) -> char {
        self.escape.unwrap_or('\\')
    }
}

/// A stage: FROM and what follows it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The FROM.
    pub from: Spanned<instruction::From>,
    /// Comment above the FROM, if it describes the stage.
    pub comment: Option<String>,
    /// The instructions after it.
    pub instructions: Vec<Parsed>,
}

/// An instruction where it stands.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The instruction.
    pub instruction: Instruction,
    /// All of it: first character of its name to the last of its last line, heredocs included.
    pub span: Span,
    /// The name alone.
    pub name_span: Span,
    /// The text as typed after joining continued lines, name included (for progress: `RUN make -j2`).
    pub original: String,
}
