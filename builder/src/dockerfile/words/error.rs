//! [`ExpandError`]: why a word could not be expanded.

/// Why a word could not be expanded. Every variant holds the byte offset in the word of what caused it: a `$` or an
/// opening quote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// `${}`, `${{` or `${:`.
    #[error("syntax error: bad substitution")]
    BadSubstitution {
        /// Where the `$` stands.
        offset: usize,
    },
    /// `${` without its `}`.
    #[error("syntax error: missing '}}'")]
    MissingBrace {
        /// Where the `$` stands.
        offset: usize,
    },
    /// `${name/pattern` without the second `/`.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash {
        /// Where the `$` stands.
        offset: usize,
    },
    /// A modifier that is not known.
    #[error("unsupported modifier ({modifier}) in substitution")]
    UnsupportedModifier {
        /// The modifier.
        modifier: String,
        /// Where the `$` stands.
        offset: usize,
    },
    /// A quote that is never closed.
    #[error("unexpected end of statement while looking for matching {quote}")]
    UnbalancedQuote {
        /// `single-quote` or `double-quote`.
        quote: &'static str,
        /// Where the quote stands.
        offset: usize,
    },
    /// A variable that `${name?}` or `${name:?}` wants set.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message after the `?`, or a standard one.
        message: String,
        /// Where the `$` stands.
        offset: usize,
    },
    /// A pattern with an escape that means nothing.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    InvalidPattern {
        /// The pattern, expanded.
        pattern: String,
        /// The character after the `\`; empty at the pattern's end.
        escaped: String,
        /// Where the `$` stands.
        offset: usize,
    },
    /// `${…}` nested too deep.
    #[error("substitutions are nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
        /// Where the `$` stands.
        offset: usize,
    },
    /// A result that is too long.
    #[error("expansion is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
        /// Where expansion stood.
        offset: usize,
    },
    /// Too much work for one word.
    #[error("expansion takes too much work")]
    TooMuchWork {
        /// Where expansion stood.
        offset: usize,
    },
}

impl ExpandError {
    /// Returns the byte offset in the word of what caused the error.
    pub fn offset(&self) -> usize {
        match self {
            Self::BadSubstitution { offset }
            | Self::MissingBrace { offset }
            | Self::MissingSlash { offset }
            | Self::UnsupportedModifier { offset, .. }
            | Self::UnbalancedQuote { offset, .. }
            | Self::Required { offset, .. }
            | Self::InvalidPattern { offset, .. }
            | Self::TooDeep { offset, .. }
            | Self::TooLong { offset, .. }
            | Self::TooMuchWork { offset } => *offset,
        }
    }

    /// Returns what to do about it.
    pub(crate) fn cure(&self) -> Option<String> {
        Some(match self {
            Self::BadSubstitution { .. } => "write `${name}`; a `$` that is text is written `\\$`".to_owned(),
            Self::MissingBrace { .. } => {
                "write `${name}`, with its `}`; a `$` that is text is written `\\$`".to_owned()
            }
            Self::MissingSlash { .. } => "write `${name/pattern/replacement}`".to_owned(),
            Self::UnsupportedModifier { .. } => {
                "modifiers are `-`, `+` and `?`, with `:` or without, `#`, `##`, `%`, `%%`, `/` and `//`".to_owned()
            }
            Self::UnbalancedQuote { quote, .. } => {
                let sign = if *quote == "single-quote" { '\'' } else { '"' };
                format!("close the quote; one that is text is written `\\{sign}`")
            }
            Self::Required { name, .. } => format!("set `{name}` with ARG or ENV above, or pass --build-arg {name}=…"),
            _ => return None,
        })
    }

    /// Returns true for a bound that was passed, which no other error may hide.
    pub(super) fn is_limit(&self) -> bool {
        matches!(self, Self::TooDeep { .. } | Self::TooLong { .. } | Self::TooMuchWork { .. })
    }
}
