//! The Dockerfile language: text in, [`Dockerfile`] out; pure.
//!
//! ```text
//! &str -> directives -> lines (continuations, comments, heredocs) -> flags, words -> Instruction
//! ```

pub mod instruction;

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
