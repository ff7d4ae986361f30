//! From a statement's parts to typed instructions: the grammatical half of the parser.

mod copy;
mod from;
mod healthcheck;
mod pairs;
mod run;

use super::arguments::{Json, json, list};
use super::error::ParseError;
use super::flags::Flags;
use super::heredoc::HeredocWord;
use super::instruction::{CommandLine, From, Heredoc, Instruction, Onbuild, Word};
use super::joined::Slice;
use super::keyword::Keyword;
use super::statement::{Parts, Statement};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// What a statement says.
#[derive(Debug)]
pub(super) enum Typed {
    /// FROM.
    From(From),
    /// Any other instruction.
    Instruction(Instruction),
}

/// What is found wrong while statements are typed.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Errors, as found.
    pub(super) errors: Vec<ParseError>,
    /// Warnings, as found.
    pub(super) warnings: Vec<Diagnostic>,
}

/// An instruction being typed.
#[derive(Debug)]
struct Request<'a> {
    keyword: Keyword,
    flags: Flags,
    arguments: Slice<'a>,
    announced: &'a [HeredocWord],
    heredocs: &'a [Heredoc],
    /// Name and arguments, for errors about the whole.
    span: Span,
    escape: char,
}

/// Types a statement; nothing if it is wrong.
pub(super) fn statement(statement: &Statement, escape: char, findings: &mut Findings) -> Option<Typed> {
    let parts = Parts::of(statement.joined.all());
    let before = findings.errors.len();
    let typed = typed(parts, statement, escape, findings);
    let typed = typed.map_err(|error| findings.errors.push(error)).ok()?;
    (findings.errors.len() == before).then_some(typed)
}

fn typed(parts: Parts<'_>, statement: &Statement, escape: char, findings: &mut Findings) -> Result<Typed, ParseError> {
    let keyword = keyword(parts.name)?;
    let flags = Flags::check(keyword, &parts.flags, &mut findings.errors);
    let span = parts.name.span().to(parts.arguments.span());
    let request = Request {
        keyword,
        flags,
        arguments: parts.arguments,
        announced: &statement.announced,
        heredocs: &statement.heredocs,
        span,
        escape,
    };
    match keyword {
        Keyword::From => from::parse(request).map(Typed::From),
        Keyword::Onbuild => onbuild(request, statement, findings).map(Typed::Instruction),
        _ => instruction(request, findings).map(Typed::Instruction),
    }
}

/// Returns the instruction of a name.
fn keyword(name: Slice<'_>) -> Result<Keyword, ParseError> {
    let text = name.text();
    if text.is_empty() {
        return Err(ParseError::NoInstruction { span: name.span() });
    }
    Keyword::parse(text).ok_or_else(|| ParseError::UnknownInstruction {
        name: text.to_owned(),
        suggestion: Keyword::nearest(text).map(Keyword::name),
        span: name.span(),
    })
}

fn instruction(request: Request<'_>, findings: &mut Findings) -> Result<Instruction, ParseError> {
    Ok(match request.keyword {
        Keyword::Add => Instruction::Add(copy::add(request)?),
        Keyword::Arg => Instruction::Arg(pairs::arguments(&request)?),
        Keyword::Cmd => Instruction::Cmd(request.command()?),
        Keyword::Copy => Instruction::Copy(copy::copy(request)?),
        Keyword::Entrypoint => Instruction::Entrypoint(request.command()?),
        Keyword::Env => Instruction::Env(pairs::pairs(&request)?),
        Keyword::Expose => Instruction::Expose(request.at_least_one(words_of(list(request.arguments)))?),
        Keyword::Healthcheck => Instruction::Healthcheck(healthcheck::parse(request, findings)?),
        Keyword::Label => Instruction::Label(pairs::pairs(&request)?),
        Keyword::Maintainer => Instruction::Maintainer(request.exactly_one()?.value),
        Keyword::Run => Instruction::Run(run::parse(request, findings)?),
        Keyword::Shell => Instruction::Shell(shell(&request)?),
        Keyword::Stopsignal => Instruction::Stopsignal(request.exactly_one()?),
        Keyword::User => Instruction::User(request.exactly_one()?),
        Keyword::Volume => Instruction::Volume(volumes(&request)?),
        Keyword::Workdir => Instruction::Workdir(request.exactly_one()?),
        // Both are typed by `typed`, which knows the whole statement; here they stand as triggers of ONBUILD.
        keyword @ (Keyword::From | Keyword::Onbuild) => {
            return Err(ParseError::ForbiddenTrigger { keyword, span: request.span });
        }
    })
}

/// Types ONBUILD: the trigger is parsed, and kept as typed for the base image's config.
fn onbuild(request: Request<'_>, statement: &Statement, findings: &mut Findings) -> Result<Instruction, ParseError> {
    if request.arguments.text().is_empty() {
        return Err(ParseError::AtLeastOneArgument { keyword: Keyword::Onbuild, span: request.span });
    }
    let parts = Parts::of(request.arguments);
    let span = parts.name.span();
    match keyword(parts.name)? {
        Keyword::Onbuild => return Err(ParseError::ChainedOnbuild { span }),
        keyword @ (Keyword::From | Keyword::Maintainer) => return Err(ParseError::ForbiddenTrigger { keyword, span }),
        _ => {}
    }
    let text = [request.arguments.text(), &statement.raw_heredocs].concat();
    match typed(parts, statement, request.escape, findings)? {
        Typed::Instruction(trigger) => Ok(Instruction::Onbuild(Onbuild { text, trigger: Box::new(trigger) })),
        Typed::From(_) => Err(ParseError::ForbiddenTrigger { keyword: Keyword::From, span }),
    }
}

fn shell(request: &Request<'_>) -> Result<Vec<String>, ParseError> {
    if request.arguments.text().is_empty() {
        return Err(ParseError::AtLeastOneArgument { keyword: request.keyword, span: request.span });
    }
    match json(request.arguments) {
        Json::Strings(words) if words.is_empty() => {
            Err(ParseError::AtLeastOneArgument { keyword: request.keyword, span: request.span })
        }
        Json::Strings(words) => Ok(words.into_iter().map(|word| word.value).collect()),
        Json::Mixed => Err(ParseError::JsonNotStrings { span: request.arguments.span() }),
        Json::Not => Err(ParseError::ShellNotJson { span: request.arguments.span() }),
    }
}

fn volumes(request: &Request<'_>) -> Result<Vec<Word>, ParseError> {
    let volumes = request.at_least_one(request.json_or_list()?)?;
    match volumes.iter().find(|volume| volume.value.trim().is_empty()) {
        Some(empty) => Err(ParseError::EmptyVolume { span: empty.span }),
        None => Ok(volumes),
    }
}

fn words_of(slices: Vec<Slice<'_>>) -> Vec<Word> {
    slices.iter().map(Slice::word).collect()
}

impl Request<'_> {
    /// Returns the arguments as a command in shell or exec form.
    fn command(&self) -> Result<CommandLine, ParseError> {
        command(self.arguments)
    }

    /// Returns the arguments as one word, spaces included.
    fn exactly_one(&self) -> Result<Word, ParseError> {
        if self.arguments.text().is_empty() {
            return Err(ParseError::ExactlyOneArgument { keyword: self.keyword, span: self.span });
        }
        Ok(self.arguments.word())
    }

    fn at_least_one<T>(&self, items: Vec<T>) -> Result<Vec<T>, ParseError> {
        if items.is_empty() {
            return Err(ParseError::AtLeastOneArgument { keyword: self.keyword, span: self.span });
        }
        Ok(items)
    }

    /// Returns the arguments as the strings of a JSON array, or else split at blanks.
    fn json_or_list(&self) -> Result<Vec<Word>, ParseError> {
        match json(self.arguments) {
            Json::Strings(words) => Ok(words),
            Json::Mixed => Err(ParseError::JsonNotStrings { span: self.arguments.span() }),
            Json::Not => Ok(words_of(list(self.arguments))),
        }
    }
}

/// Returns a command in shell or exec form.
fn command(arguments: Slice<'_>) -> Result<CommandLine, ParseError> {
    match json(arguments) {
        Json::Strings(words) => Ok(CommandLine::Exec(words.into_iter().map(|word| word.value).collect())),
        Json::Mixed => Err(ParseError::JsonNotStrings { span: arguments.span() }),
        Json::Not => Ok(CommandLine::Shell(arguments.text().to_owned())),
    }
}
