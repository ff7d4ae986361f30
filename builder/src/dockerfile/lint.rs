//! [`lint()`]: the rules that need only what was parsed (FEATURES 1.8); each is a row of a table.

use super::instruction::{CommandLine, Instruction, KeyValue, Run, Sources, Word};
use super::{Dockerfile, Parsed, Stage};
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Span;
use std::collections::{HashMap, HashSet};

/// The rule that the lexer itself applies.
pub(super) const NO_EMPTY_CONTINUATION: &str = "NoEmptyContinuation";

/// A rule: its name, what to do about what it finds, and how it looks.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    help: &'static str,
    find: fn(&Dockerfile) -> Vec<(Span, String)>,
}

const RULES: [Rule; 10] = [
    Rule { name: "StageNameCasing", help: "write stage names in lower case", find: stage_name_casing },
    Rule { name: "FromAsCasing", help: "write both in the same case", find: from_as_casing },
    Rule {
        name: "ConsistentInstructionCasing",
        help: "write all instructions in the same case",
        find: consistent_instruction_casing,
    },
    Rule { name: "DuplicateStageName", help: "give each stage a name of its own", find: duplicate_stage_name },
    Rule { name: "ReservedStageName", help: "choose another name", find: reserved_stage_name },
    Rule {
        name: "JSONArgsRecommended",
        help: "write the command as a JSON array, so that it gets signals itself",
        find: json_args_recommended,
    },
    Rule {
        name: "MaintainerDeprecated",
        help: "use `LABEL org.opencontainers.image.authors=`",
        find: maintainer_deprecated,
    },
    Rule { name: "MultipleInstructionsDisallowed", help: "keep the last one", find: multiple_instructions_disallowed },
    Rule { name: "LegacyKeyValueFormat", help: "write `key=value`", find: legacy_key_value_format },
    Rule {
        name: "InvalidDefinitionDescription",
        help: "begin the comment with the name, or put an empty comment below it",
        find: invalid_definition_description,
    },
];

/// Returns the warnings of every rule, in the order of their places.
pub fn lint(dockerfile: &Dockerfile) -> Vec<Diagnostic> {
    let mut warnings: Vec<Diagnostic> = Vec::new();
    for rule in &RULES {
        let found = (rule.find)(dockerfile).into_iter();
        warnings.extend(found.map(|(span, message)| Diagnostic::of_rule(rule.name, message, span).help(rule.help)));
    }
    warnings.extend(instructions(dockerfile).filter_map(broken_json));
    warnings.sort_by_key(|warning| warning.labels.first().map(|label| label.span));
    warnings
}

/// Returns a warning, of no rule, about what was meant to be a JSON array of strings and is none.
fn broken_json(parsed: &Parsed) -> Option<Diagnostic> {
    use CommandLine::Shell;
    let joined = |words: &mut dyn Iterator<Item = &Word>| -> String {
        words.map(|word| word.value.as_str()).collect::<Vec<_>>().join(" ")
    };
    let sources = |sources: &Sources| joined(&mut sources.paths.iter().chain([&sources.destination]));
    let (text, read) = match &parsed.instruction {
        Instruction::Run(Run { command: Shell(text), heredocs, .. }) if heredocs.is_empty() => {
            (text.clone(), FOR_SHELL)
        }
        Instruction::Cmd(Shell(text)) | Instruction::Entrypoint(Shell(text)) => (text.clone(), FOR_SHELL),
        Instruction::Copy(copy) => (sources(&copy.sources), AS_WORDS),
        Instruction::Add(add) => (sources(&add.sources), AS_WORDS),
        Instruction::Volume(words) => (joined(&mut words.iter()), AS_WORDS),
        _ => return None,
    };
    let error = serde_json::from_str::<Vec<String>>(text.trim()).err().filter(|_| is_like_json(text.trim()))?;
    let why = error.to_string().replace(" at line 1 column ", " at character ");
    let message = format!("this looks like a JSON array and is none ({why}): {read}");
    let warning = Diagnostic { severity: Severity::Warning, ..Diagnostic::error(message) };
    Some(warning.at(parsed.span, "").help("write `[\"a\", \"b\"]`: double quotes, commas between them, `]` at the end"))
}

const FOR_SHELL: &str = "the shell gets it as text";
const AS_WORDS: &str = "it is split at blanks";

/// Reports whether a text begins as no shell's test does: a quote right after `[`, or a quoted word and a comma.
fn is_like_json(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('[') else { return false };
    let Some(quote) = rest.trim_start().chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return false;
    };
    let mut parts = rest.trim_start()[1..].splitn(2, quote);
    rest.starts_with(quote) || parts.nth(1).is_some_and(|behind| behind.trim_start().starts_with(','))
}

/// Rules that BuildKit applies while it goes through a stage, and so not to stages that the target does not need.
const OF_STAGES: [&str; 3] = ["JSONArgsRecommended", "MultipleInstructionsDisallowed", "LegacyKeyValueFormat"];

/// Returns what is told of a build that goes through the stages with these numbers only, in their order.
pub fn of_reached(
    mut warnings: Vec<Diagnostic>,
    dockerfile: &Dockerfile,
    reached: impl Iterator<Item = usize>,
) -> Vec<Diagnostic> {
    let starts: Vec<usize> = dockerfile.stages.iter().map(|stage| stage.from.span.start).collect();
    let reached: HashSet<usize> = reached.collect();
    let stage_of = |warning: &Diagnostic| {
        let place = warning.labels.first()?.span.start;
        starts.partition_point(|start| *start <= place).checked_sub(1)
    };
    warnings.retain(|warning| {
        let of_stage = warning.rule.is_some_and(|rule| OF_STAGES.contains(&rule));
        !of_stage || stage_of(warning).is_none_or(|stage| reached.contains(&stage))
    });
    warnings
}

fn text(dockerfile: &Dockerfile, span: Span) -> &str {
    &dockerfile.source.text[span.range()]
}

/// Returns stage names with their places.
fn names(dockerfile: &Dockerfile) -> impl Iterator<Item = (&str, Span)> {
    let names = dockerfile.stages.iter().filter_map(|stage| stage.from.value.name.as_ref());
    names.map(|name| (name.value.as_str(), name.span))
}

fn instructions(dockerfile: &Dockerfile) -> impl Iterator<Item = &Parsed> {
    dockerfile.stages.iter().flat_map(|stage| &stage.instructions)
}

fn stage_name_casing(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    let typed = names(dockerfile).map(|(name, span)| (name, text(dockerfile, span), span));
    let wrong = typed.filter(|(name, typed, _)| name != typed && typed.to_lowercase() == **name);
    wrong.map(|(_, typed, span)| (span, format!("stage name `{typed}` should be lowercase"))).collect()
}

fn from_as_casing(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    dockerfile.stages.iter().filter_map(|stage| differing_as(dockerfile, stage)).collect()
}

fn differing_as(dockerfile: &Dockerfile, stage: &Stage) -> Option<(Span, String)> {
    let from = &stage.from.value;
    let name = from.name.as_ref()?;
    let start = stage.from.span.start;
    let typed_from = dockerfile.source.text.get(start..start + "from".len())?;
    let between = Span::new(from.image.span.end, name.span.start.max(from.image.span.end));
    let at = between.start + text(dockerfile, between).to_ascii_lowercase().find("as")?;
    let span = Span::new(at, at + "as".len());
    let typed_as = text(dockerfile, span);
    // A FROM in both cases is one of `ConsistentInstructionCasing`.
    let mixed = !is_upper(typed_from) && !is_lower(typed_from);
    let agree = mixed || is_upper(typed_from) && is_upper(typed_as) || is_lower(typed_from) && is_lower(typed_as);
    (!agree).then(|| (span, format!("`{typed_as}` and `{typed_from}` keywords' casing do not match")))
}

fn consistent_instruction_casing(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    // What stands before the first stage is not looked at, as in BuildKit.
    let first = dockerfile.stages.first().map_or(0, |stage| stage.from.span.start);
    let counted = || dockerfile.keywords.iter().filter(move |span| span.start >= first);
    let typed = || counted().map(|&span| (span, text(dockerfile, span)));
    let count = |wanted: fn(&str) -> bool| typed().filter(|(_, name)| wanted(name)).count();
    let (majority, is_right): (_, fn(&str) -> bool) =
        if count(is_lower) > count(is_upper) { ("lowercase", is_lower) } else { ("uppercase", is_upper) };
    let wrong = typed().filter(|(_, name)| !is_right(name));
    let message = |name: &str| format!("command `{name}` should match the case of the command majority ({majority})");
    wrong.map(|(span, name)| (span, message(name))).collect()
}

fn is_upper(name: &str) -> bool {
    !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_lower(name: &str) -> bool {
    !name.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn duplicate_stage_name(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    let mut seen = HashSet::new();
    let again = names(dockerfile).filter(|(name, _)| !seen.insert(*name));
    again.map(|(name, span)| (span, format!("duplicate stage name `{name}`, stage names should be unique"))).collect()
}

fn reserved_stage_name(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    let reserved = names(dockerfile).filter(|(name, _)| matches!(*name, "scratch" | "context"));
    let message = |name: &str| format!("stage name should not use the same name as reserved stage `{name}`");
    reserved.map(|(name, span)| (span, message(name))).collect()
}

/// Finds CMD and ENTRYPOINT in shell form where no SHELL was chosen, in the stage or in those it starts from.
fn json_args_recommended(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    let mut found = Vec::new();
    let mut chose_shell: HashMap<&str, bool> = HashMap::new();
    for stage in &dockerfile.stages {
        let from = &stage.from.value;
        let base = from.image.value.to_lowercase();
        let mut shell = chose_shell.get(base.as_str()).copied().unwrap_or(false);
        for parsed in &stage.instructions {
            match &parsed.instruction {
                Instruction::Shell(_) => shell = true,
                Instruction::Cmd(CommandLine::Shell(_)) | Instruction::Entrypoint(CommandLine::Shell(_)) if !shell => {
                    found.push((parsed.span, json_message(dockerfile, parsed)));
                }
                _ => {}
            }
        }
        chose_shell.extend(from.name.as_ref().map(|name| (name.value.as_str(), shell)));
    }
    found
}

fn json_message(dockerfile: &Dockerfile, parsed: &Parsed) -> String {
    let name = text(dockerfile, parsed.name_span).to_uppercase();
    format!("JSON arguments recommended for {name} to prevent unintended behavior related to OS signals")
}

fn maintainer_deprecated(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    let found = instructions(dockerfile).filter(|parsed| matches!(parsed.instruction, Instruction::Maintainer(_)));
    let message = "maintainer instruction is deprecated in favor of using label";
    found.map(|parsed| (parsed.span, message.to_owned())).collect()
}

/// Finds CMD, ENTRYPOINT and HEALTHCHECK that a later one of the same stage replaces.
fn multiple_instructions_disallowed(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    let mut found = Vec::new();
    for stage in &dockerfile.stages {
        let mut last: HashMap<&str, Span> = HashMap::new();
        for parsed in &stage.instructions {
            let name = match parsed.instruction {
                Instruction::Cmd(_) => "CMD",
                Instruction::Entrypoint(_) => "ENTRYPOINT",
                Instruction::Healthcheck(_) => "HEALTHCHECK",
                _ => continue,
            };
            found.extend(last.insert(name, parsed.span).map(|span| (span, multiple(name))));
        }
    }
    found
}

fn multiple(name: &str) -> String {
    format!("multiple {name} instructions should not be used in the same stage because only the last one will be used")
}

fn legacy_key_value_format(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    let legacy = |pairs: &[KeyValue]| pairs.iter().any(|pair| pair.legacy);
    let found = instructions(dockerfile).filter_map(|parsed| match &parsed.instruction {
        Instruction::Env(pairs) if legacy(pairs) => Some((parsed.span, "ENV")),
        Instruction::Label(pairs) if legacy(pairs) => Some((parsed.span, "LABEL")),
        _ => None,
    });
    let message = |name| format!("`{name} key=value` should be used instead of legacy `{name} key value` format");
    found.map(|(span, name)| (span, message(name))).collect()
}

/// Finds comments right above a named stage or an ARG that do not begin with its name (1.8-20).
fn invalid_definition_description(dockerfile: &Dockerfile) -> Vec<(Span, String)> {
    let stages = dockerfile.stages.iter().filter_map(|stage| {
        let name = stage.from.value.name.as_ref()?;
        Some((stage.from.span, name.value.as_str()))
    });
    let arguments = instructions(dockerfile).filter_map(|parsed| match &parsed.instruction {
        Instruction::Arg(arguments) if arguments.len() == 1 => Some((parsed.span, arguments[0].name.value.as_str())),
        _ => None,
    });
    let globals = dockerfile.global_args.iter().map(|argument| (argument.span, argument.value.name.value.as_str()));
    let definitions = stages.map(|(span, name)| ("stage", span, name));
    let definitions = definitions.chain(arguments.chain(globals).map(|(span, name)| ("ARG", span, name)));
    definitions.filter_map(|(what, span, name)| undescribed(dockerfile, what, span, name)).collect()
}

fn undescribed(dockerfile: &Dockerfile, what: &str, span: Span, name: &str) -> Option<(Span, String)> {
    let below = dockerfile.comments.partition_point(|(whole, _)| whole.start <= span.start);
    let (whole, comments) = dockerfile.comments.get(below.checked_sub(1)?)?;
    if span.start >= whole.end {
        return None;
    }
    let mut texts = comments.iter().filter(|comment| !is_directive(comment)).peekable();
    texts.peek()?;
    let described = texts.any(|comment| comment.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    let message = format!("comment for {what} should follow the format: `# {name} <description>`");
    (!described).then_some((span, message))
}

fn is_directive(comment: &str) -> bool {
    ["syntax", "escape", "check"].iter().any(|name| {
        let rest = comment.strip_prefix(name).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with('='))
    })
}
