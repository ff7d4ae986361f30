//! [`Checks`]: the build checks as data, and which of them count for a Dockerfile (FEATURES 1.1-9, 1.8).

use super::Dockerfile;
use super::directives::is_boolean;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use std::collections::BTreeSet;

/// A build check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as `# check=skip=` has it.
    pub name: &'static str,
    /// What it is about.
    pub description: &'static str,
    /// Whether it counts only where `experimental=` names it.
    pub experimental: bool,
}

const fn rule(name: &'static str, description: &'static str) -> Rule {
    Rule { name, description, experimental: false }
}

/// Every rule, in BuildKit's order.
pub const RULES: [Rule; 22] = [
    rule("StageNameCasing", "stage names should be lowercase"),
    rule("FromAsCasing", "the 'as' keyword should match the case of the 'from' keyword"),
    rule("NoEmptyContinuation", "empty continuation lines will become errors in a future release"),
    rule("ConsistentInstructionCasing", "all commands should be in the same case"),
    rule("DuplicateStageName", "stage names should be unique"),
    rule("ReservedStageName", "reserved words should not be used as stage names"),
    rule("JSONArgsRecommended", "commands in JSON form get signals themselves"),
    rule("MaintainerDeprecated", "a label tells authors, MAINTAINER is deprecated"),
    rule("UndefinedArgInFrom", "FROM should use declared arguments"),
    rule("WorkdirRelativePath", "a relative WORKDIR depends on the base image"),
    rule("UndefinedVar", "variables should be defined before their use"),
    rule("MultipleInstructionsDisallowed", "only the last of some instructions counts in a stage"),
    rule("LegacyKeyValueFormat", "keys and values should be joined by `=`"),
    rule("InvalidBaseImagePlatform", "base images should be for the platform of the build"),
    rule("RedundantTargetPlatform", "the target platform is the default of FROM"),
    rule("SecretsUsedInArgOrEnv", "ARG and ENV stay in the image or its history"),
    rule("InvalidDefaultArgInFrom", "defaults of arguments should lead to a valid base"),
    rule("FromPlatformFlagConstDisallowed", "FROM --platform should not use a constant"),
    rule("CopyIgnoredFile", "what .dockerignore excludes cannot be copied"),
    Rule {
        name: "InvalidDefinitionDescription",
        description: "comments above definitions should begin with their name",
        experimental: true,
    },
    rule("ExposeProtoCasing", "protocols in EXPOSE should be lowercase"),
    rule("ExposeInvalidFormat", "EXPOSE takes no address and no port of the host"),
];

impl Rule {
    /// Returns the rule of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.name == name)
    }

    /// Returns where Docker explains the rule.
    pub fn url(&self) -> String {
        let mut words = String::new();
        let letters: Vec<char> = self.name.chars().collect();
        for (at, letter) in letters.iter().enumerate() {
            let begins = letter.is_ascii_uppercase()
                && at > 0
                && (letters[at - 1].is_ascii_lowercase() || letters.get(at + 1).is_some_and(char::is_ascii_lowercase));
            if begins {
                words.push('-');
            }
            words.push(letter.to_ascii_lowercase());
        }
        format!("https://docs.docker.com/go/dockerfile/rule/{words}/")
    }
}

/// Names of rules, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Names {
    all: bool,
    names: BTreeSet<String>,
}

impl Names {
    fn add(&mut self, text: &str) {
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "all" => self.all = true,
                name => drop(self.names.insert(name.to_owned())),
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }
}

/// What `check=` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Options {
    skip: Names,
    experimental: Names,
    error: bool,
}

impl Options {
    /// Reads `skip=a,b;error=true;experimental=c`; what is malformed was reported by the parser.
    fn parse(text: &str) -> Self {
        let mut options = Self::default();
        for option in text.splitn(3, ';') {
            match option.trim().split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some(("skip", names)) => options.skip.add(names),
                Some(("experimental", names)) => options.experimental.add(names),
                Some(("error", flag)) => options.error = is_boolean(flag) && flag.starts_with(['1', 't', 'T']),
                _ => {}
            }
        }
        options
    }
}

/// Which checks count for a Dockerfile, and where not.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    whole: Options,
    /// What comments right above an instruction say, with all of the instruction.
    instructions: Vec<(Span, Options)>,
}

impl Checks {
    /// Returns the checks of a Dockerfile: those of its directive, or of `given` (BUILDKIT_DOCKERFILE_CHECK) instead.
    pub fn new(dockerfile: &Dockerfile, given: Option<&str>) -> Self {
        let whole = given.filter(|given| !given.is_empty()).or(dockerfile.directives.check.as_deref());
        let above = |comment: &String| comment.strip_prefix("check=").map(Options::parse);
        let instructions = dockerfile.comments.iter().flat_map(|(span, comments)| {
            let last = comments.iter().filter_map(above).next_back();
            last.map(|options| (*span, options))
        });
        Self { whole: whole.map(Options::parse).unwrap_or_default(), instructions: instructions.collect() }
    }

    /// Reports whether a warning is to be told.
    pub fn keep(&self, warning: &Diagnostic) -> bool {
        let Some(name) = warning.rule else { return true };
        let experimental = Rule::named(name).is_some_and(|rule| rule.experimental);
        let skipped = self.whole.skip.has(name) || self.above(warning).is_some_and(|options| options.skip.has(name));
        !skipped && (!experimental || self.whole.experimental.has(name))
    }

    /// Reports whether a build with violations fails.
    pub fn fail(&self) -> bool {
        self.whole.error
    }

    /// Returns what the comments above the instruction say that a warning is about.
    fn above(&self, warning: &Diagnostic) -> Option<&Options> {
        let place = warning.labels.first()?.span.start;
        let below = self.instructions.partition_point(|(span, _)| span.start <= place);
        let (span, options) = self.instructions.get(below.checked_sub(1)?)?;
        (place <= span.end).then_some(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::{lint, parse};
    use crate::source::Source;

    fn kept(text: &str, given: Option<&str>) -> Vec<&'static str> {
        let outcome = parse(Source::new("Dockerfile", text));
        let dockerfile = outcome.dockerfile.expect(text);
        let checks = Checks::new(&dockerfile, given);
        let all = outcome.warnings.into_iter().chain(lint(&dockerfile));
        all.filter(|warning| checks.keep(warning)).filter_map(|warning| warning.rule).collect()
    }

    #[test]
    fn directives_and_comments_skip_1_1_9() {
        let body = "FROM a AS B\nMAINTAINER x\nCMD x\n";
        let all = ["StageNameCasing", "MaintainerDeprecated", "JSONArgsRecommended"];
        for (top, given, wanted) in [
            ("", None, &all[..]),
            ("# check=skip=StageNameCasing\n", None, &all[1..]),
            ("# check=skip=StageNameCasing, MaintainerDeprecated;error=true\n", None, &all[2..]),
            ("# check=skip=all\n", None, &[]),
            ("# check=skip=all\n", Some("skip=StageNameCasing"), &all[1..]),
            ("# check=skip=all\n", Some(""), &[]),
        ] {
            assert_eq!(kept(&format!("{top}{body}"), given), wanted, "{top} {given:?}");
        }
        let local = "FROM a AS B\n# check=skip=MaintainerDeprecated\nMAINTAINER x\nCMD x\n";
        assert_eq!(kept(local, None), ["StageNameCasing", "JSONArgsRecommended"]);
        let other = "FROM a AS B\n# check=skip=MaintainerDeprecated\nCMD x\nMAINTAINER x\n";
        assert_eq!(kept(other, None), ["StageNameCasing", "JSONArgsRecommended", "MaintainerDeprecated"]);
    }

    /// Row 1.8-20.
    #[test]
    fn experimental_rules_count_where_they_are_named() {
        let text = "# no name\nARG x\n# a the base\nFROM b AS a\n# other\nARG y z\n# check=skip=x\nARG w\n\n#\nARG v\n";
        assert_eq!(kept(text, None), [""; 0]);
        assert_eq!(kept(text, Some("experimental=all")), ["InvalidDefinitionDescription"]);
        assert_eq!(kept(text, Some("experimental=InvalidDefinitionDescription")), ["InvalidDefinitionDescription"]);
    }

    #[test]
    fn addresses_are_dockers() {
        for (name, wanted) in [
            ("JSONArgsRecommended", "json-args-recommended"),
            ("StageNameCasing", "stage-name-casing"),
            ("FromAsCasing", "from-as-casing"),
            ("ExposeProtoCasing", "expose-proto-casing"),
        ] {
            let url = Rule::named(name).expect(name).url();
            assert_eq!(url, format!("https://docs.docker.com/go/dockerfile/rule/{wanted}/"));
        }
    }
}
