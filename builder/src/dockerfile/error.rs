//! [`ParseError`]: what is wrong with a Dockerfile's text.

use super::keyword::Keyword;
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::source::Span;

/// What is wrong with a Dockerfile's text; each variant knows its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is and names its fields")]
pub enum ParseError {
    #[error("the Dockerfile cannot be empty")]
    Empty { span: Span },
    #[error("file with no instructions")]
    NoInstructions { span: Span },
    #[error("the Dockerfile has no stage to build")]
    NoStages { span: Span },
    #[error("no build stage in current context: `{}` stands before the first `FROM`", keyword.name())]
    BeforeFrom { keyword: Keyword, span: Span },
    #[error("dockerfile line greater than max allowed size of {}: it has {length} bytes", super::lines::MAX_LINE)]
    LineTooLong { length: usize, span: Span },
    #[error("a Dockerfile has at most {limit} instructions")]
    TooManyInstructions { limit: usize, span: Span },
    #[error("only one `{name}` parser directive can be used")]
    DuplicateDirective { name: String, span: Span },
    #[error("invalid escape token `{found}` does not match `` ` `` or `\\`")]
    InvalidEscape { found: String, span: Span },
    #[error("invalid check option `{found}`")]
    InvalidCheck { found: String, span: Span },
    #[error("unterminated heredoc: no line reads `{name}`")]
    UnterminatedHeredoc { name: String, chomp: bool, span: Span },
    #[error("the continued line holds no instruction")]
    NoInstruction { span: Span },
    #[error("unknown instruction: `{name}`")]
    UnknownInstruction { name: String, suggestion: Option<&'static str>, span: Span },
    #[error("unknown flag: `--{flag}`")]
    UnknownFlag { keyword: Keyword, flag: String, suggestion: Option<&'static str>, span: Span },
    #[error("duplicate flag specified: `--{flag}`")]
    DuplicateFlag { flag: &'static str, span: Span },
    #[error("missing a value on flag: `--{flag}`")]
    MissingFlagValue { flag: &'static str, span: Span },
    #[error("expecting boolean value for flag `--{flag}`, not: `{found}`")]
    NotBoolean { flag: &'static str, found: String, span: Span },
    #[error("invalid network mode `{found}`")]
    InvalidNetwork { found: String, suggestion: Option<&'static str>, span: Span },
    #[error("security `{found}` is not valid")]
    InvalidSecurity { found: String, suggestion: Option<&'static str>, span: Span },
    #[error("{error}")]
    Mount {
        #[source]
        error: MountError,
        span: Span,
    },
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    JsonNotStrings { span: Span },
    #[error("{} requires exactly one argument", keyword.name())]
    ExactlyOneArgument { keyword: Keyword, span: Span },
    #[error("{} requires at least one argument", keyword.name())]
    AtLeastOneArgument { keyword: Keyword, span: Span },
    #[error("{} requires at least two arguments, but {given} provided; destination could not be determined", keyword.name())]
    NoDestination { keyword: Keyword, given: &'static str, span: Span },
    #[error("{} cannot accept a heredoc as a destination", keyword.name())]
    HeredocDestination { keyword: Keyword, span: Span },
    #[error("FROM requires either one or three arguments")]
    FromArguments { comment: bool, span: Span },
    #[error("invalid name for build stage: `{name}`, name can't start with a number or contain symbols")]
    InvalidStageName { name: String, span: Span },
    #[error("{} must have two arguments", keyword.name())]
    NoValue { keyword: Keyword, span: Span },
    #[error("syntax error: can't find `=` in `{word}`, must be of the form `name=value`")]
    NoEquals { word: String, span: Span },
    #[error("{} names can not be blank", keyword.name())]
    BlankName { keyword: Keyword, span: Span },
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume { span: Span },
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellNotJson { span: Span },
    #[error("unknown type `{found}` in HEALTHCHECK (try CMD)")]
    HealthcheckType { found: String, span: Span },
    #[error("missing command after HEALTHCHECK CMD")]
    HealthcheckCommand { span: Span },
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone { span: Span },
    #[error("invalid duration `{found}` of flag `--{flag}`")]
    InvalidDuration { flag: &'static str, found: String, span: Span },
    #[error("interval `{flag}` cannot be less than 1ms")]
    ShortDuration { flag: &'static str, span: Span },
    #[error("`--retries` must be a whole number of at least 0, not `{found}`")]
    InvalidRetries { found: String, span: Span },
    #[error("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    ChainedOnbuild { span: Span },
    #[error("{} isn't allowed as an ONBUILD trigger", keyword.name())]
    ForbiddenTrigger { keyword: Keyword, span: Span },
    #[error("an ONBUILD trigger must be a single instruction")]
    NotOneInstruction { span: Span },
}

/// What is wrong with a `--mount`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is and names its fields")]
pub enum MountError {
    #[error("a quote in `--mount` is not closed or does not enclose a whole field")]
    Quote,
    #[error("invalid field `{field}` must be a key=value pair")]
    NoValue { field: String },
    #[error("unexpected key `{key}` in `{field}`")]
    UnknownKey { key: String, field: String, suggestion: Option<&'static str> },
    #[error("unsupported mount type `{found}`")]
    UnknownType { found: String, suggestion: Option<&'static str> },
    #[error("`{key}` not allowed for `{kind}` type mounts")]
    KeyNotAllowed { key: String, kind: String },
    #[error("`from` doesn't support variable expansion, found `{value}`")]
    VariableInFrom { value: String },
    #[error("invalid value `{value}` for `{key}`")]
    InvalidValue { key: String, value: String },
}

impl ParseError {
    /// Returns where the error stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Empty { span }
            | Self::NoInstructions { span }
            | Self::NoStages { span }
            | Self::BeforeFrom { span, .. }
            | Self::LineTooLong { span, .. }
            | Self::TooManyInstructions { span, .. }
            | Self::DuplicateDirective { span, .. }
            | Self::InvalidEscape { span, .. }
            | Self::InvalidCheck { span, .. }
            | Self::UnterminatedHeredoc { span, .. }
            | Self::NoInstruction { span }
            | Self::UnknownInstruction { span, .. }
            | Self::UnknownFlag { span, .. }
            | Self::DuplicateFlag { span, .. }
            | Self::MissingFlagValue { span, .. }
            | Self::NotBoolean { span, .. }
            | Self::InvalidNetwork { span, .. }
            | Self::InvalidSecurity { span, .. }
            | Self::Mount { span, .. }
            | Self::JsonNotStrings { span }
            | Self::ExactlyOneArgument { span, .. }
            | Self::AtLeastOneArgument { span, .. }
            | Self::NoDestination { span, .. }
            | Self::HeredocDestination { span, .. }
            | Self::FromArguments { span, .. }
            | Self::InvalidStageName { span, .. }
            | Self::NoValue { span, .. }
            | Self::NoEquals { span, .. }
            | Self::BlankName { span, .. }
            | Self::EmptyVolume { span }
            | Self::ShellNotJson { span }
            | Self::HealthcheckType { span, .. }
            | Self::HealthcheckCommand { span }
            | Self::HealthcheckNone { span }
            | Self::InvalidDuration { span, .. }
            | Self::ShortDuration { span, .. }
            | Self::InvalidRetries { span, .. }
            | Self::ChainedOnbuild { span }
            | Self::ForbiddenTrigger { span, .. }
            | Self::NotOneInstruction { span } => *span,
        }
    }

    /// Returns what to do about it, where that is not plain from the message.
    fn cure(&self) -> Option<String> {
        let cure = match self {
            Self::Empty { .. } | Self::NoInstructions { .. } | Self::NoStages { .. } => {
                "a Dockerfile starts with `FROM image`, or with `FROM scratch`"
            }
            Self::BeforeFrom { .. } => "only `ARG` may stand before the first `FROM`",
            Self::LineTooLong { .. } => "split the line with continuations, or copy a file into the image",
            Self::InvalidCheck { .. } => "options are `skip=`, `error=` and `experimental=`, separated by `;`",
            Self::UnterminatedHeredoc { name, chomp, .. } => return Some(heredoc_cure(name, *chomp)),
            Self::UnknownInstruction { suggestion: None, name, .. } => return Some(instruction_cure(name)),
            Self::UnknownInstruction { suggestion, .. } => return meant(suggestion.as_ref()),
            Self::MissingFlagValue { flag, .. } => {
                return Some(format!("write `--{flag}=…`, with no blank before the value"));
            }
            Self::NoDestination { keyword, .. } => {
                return Some(format!(
                    "write `{} SOURCE… DESTINATION`, such as `.` or `/app/` at the end",
                    keyword.name()
                ));
            }
            Self::NoValue { keyword, .. } => return Some(format!("write `{} name=value`", keyword.name())),
            Self::UnknownFlag { keyword, suggestion, .. } => {
                return suggestion.map(|flag| format!("did you mean `--{flag}`?")).or_else(|| flags_of(*keyword));
            }
            Self::NotBoolean { .. } => "write the flag alone, or with `=true` or `=false`",
            Self::InvalidNetwork { suggestion, .. } => {
                return meant(suggestion.as_ref()).or_else(|| Some("modes are `default`, `none` and `host`".into()));
            }
            Self::InvalidSecurity { suggestion, .. } => {
                return meant(suggestion.as_ref()).or_else(|| Some("modes are `sandbox` and `insecure`".into()));
            }
            Self::Mount { error, .. } => return error.cure(),
            Self::JsonNotStrings { .. } => "put every element between double quotes",
            Self::FromArguments { comment: true, .. } => "a comment cannot follow an instruction on its line",
            Self::FromArguments { .. } => "write `FROM image` or `FROM image AS name`",
            Self::InvalidStageName { .. } => "start with a letter, and use letters, digits, `-`, `_` and `.` only",
            Self::ShellNotJson { .. } => "write it as `SHELL [\"/bin/sh\", \"-c\"]`",
            Self::NoEquals { .. } => "put a value that holds spaces between quotes",
            Self::InvalidDuration { .. } => "durations are numbers with a unit, such as `30s` or `1m30s`",
            _ => return None,
        };
        Some(cure.to_owned())
    }
}

impl MountError {
    fn cure(&self) -> Option<String> {
        let cure = match self {
            Self::UnknownKey { suggestion, .. } => return meant(suggestion.as_ref()),
            Self::UnknownType { suggestion, .. } => {
                let types = "types are `bind`, `cache`, `tmpfs`, `secret` and `ssh`";
                return meant(suggestion.as_ref()).or_else(|| Some(types.to_owned()));
            }
            Self::VariableInFrom { .. } => "define a stage with `FROM $name AS alias` and use its name",
            Self::InvalidValue { key, .. } if key == "sharing" => "values are `shared`, `private` and `locked`",
            Self::InvalidValue { key, .. } if key == "mode" => "write the mode in octal digits",
            Self::InvalidValue { key, .. } if matches!(key.as_str(), "uid" | "gid") => "write a number",
            Self::InvalidValue { key, .. } if matches!(key.as_str(), "required" | "readonly" | "readwrite") => {
                "write the key alone, or with `=true` or `=false`"
            }
            Self::NoValue { .. } => "fields are separated by commas: `--mount=type=cache,target=/path`",
            _ => return None,
        };
        Some(cure.to_owned())
    }
}

fn meant(suggestion: Option<&&'static str>) -> Option<String> {
    suggestion.map(|suggestion| format!("did you mean `{suggestion}`?"))
}

fn flags_of(keyword: Keyword) -> Option<String> {
    let flags: Vec<String> = keyword.flags().iter().map(|(flag, _)| format!("`--{flag}`")).collect();
    if flags.is_empty() {
        return Some(format!("{} takes no flags", keyword.name()));
    }
    Some(format!("{} takes {}", keyword.name(), flags.join(", ")))
}

/// Returns the cure for a line that begins with something else than an instruction: a forgotten RUN or continuation.
fn instruction_cure(name: &str) -> String {
    let name: String = name.chars().take(40).collect();
    format!("commands are run with `RUN {name} …`; what belongs to the line above needs a `\\` at the end of that one")
}

fn heredoc_cure(name: &str, chomp: bool) -> String {
    let tabs = if chomp { ", tabs before it allowed" } else { "" };
    format!("end the heredoc with a line that holds `{name}` and nothing else{tabs}")
}

impl Diagnose for ParseError {
    fn diagnose(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.to_string()).at(self.span(), "");
        match self.cure() {
            Some(cure) => diagnostic.help(cure),
            None => diagnostic,
        }
    }
}
