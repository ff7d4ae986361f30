//! [`Resolver`]: what each name of a Dockerfile means (1.4-2, 1.4-8).

use super::error::Unset;
use super::globals::{Globals, in_map};
use super::suggest::{did_you_mean, nearest};
use super::{ContextKind, GraphError, GraphOptions, NeededImage, SourceFlag};
use crate::diagnostic::Diagnostic;
use crate::dockerfile::instruction::{Instruction, Mount, Word};
use crate::dockerfile::{Dockerfile, Expanded, Expander, Stage};
use crate::source::Span;
use layerfs::platform::Platform;
use layerfs::reference::ImageRef;
use std::collections::BTreeMap;

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Scratch,
    /// A stage by its number.
    Stage(usize),
    /// An image.
    Image(NeededImage),
    /// A named context that is a directory.
    Directory(String),
}

/// A dependency of a stage.
#[derive(Debug)]
pub(super) struct Edge {
    /// The stage that is needed.
    pub to: usize,
    /// Where it is named.
    pub span: Span,
}

/// A source that COPY or a mount names.
#[derive(Debug)]
pub(super) struct ResolvedSource {
    /// The name as typed, and whose.
    pub key: (SourceFlag, String),
    /// What it means.
    pub place: Place,
}

/// A stage whose names are resolved.
#[derive(Debug)]
pub(super) struct ResolvedStage {
    /// What it starts from.
    pub base: Place,
    /// Its platform.
    pub platform: Platform,
    /// Whether a named context stands in its place.
    pub replaced: bool,
    /// What COPY and mounts read, in order.
    pub sources: Vec<ResolvedSource>,
    /// The stages it needs.
    pub edges: Vec<Edge>,
}

/// All stages with their names resolved.
#[derive(Debug)]
pub(super) struct Resolution {
    /// The stages.
    pub stages: Vec<ResolvedStage>,
    /// What the user should look at.
    pub warnings: Vec<Diagnostic>,
    /// The first COPY from a later stage: an error unless a circle is the better word for it.
    pub later: Option<GraphError>,
}

/// Resolves the names of a Dockerfile, stage by stage.
pub(super) struct Resolver<'a> {
    dockerfile: &'a Dockerfile,
    options: &'a GraphOptions,
    globals: &'a Globals,
    contexts: BTreeMap<String, (&'a str, ContextKind)>,
    /// Numbers of the stages of each name, in order.
    numbers: BTreeMap<String, Vec<usize>>,
    /// Platforms of the stages that are resolved.
    platforms: Vec<Platform>,
    warnings: Vec<Diagnostic>,
    later: Option<GraphError>,
}

/// Returns the name of a stage.
pub(super) fn name_of(stage: &Stage) -> Option<&str> {
    stage.from.value.name.as_ref().map(|name| name.value.as_str())
}

/// Returns what to call a stage in messages: its name, else its number.
pub(super) fn title(dockerfile: &Dockerfile, number: usize) -> String {
    name_of(&dockerfile.stages[number]).map_or_else(|| number.to_string(), str::to_owned)
}

impl<'a> Resolver<'a> {
    pub(super) fn new(dockerfile: &'a Dockerfile, options: &'a GraphOptions, globals: &'a Globals) -> Self {
        let contexts =
            options.named_contexts.iter().map(|(name, kind)| (familiar(name), (name.as_str(), *kind))).collect();
        let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, stage) in dockerfile.stages.iter().enumerate() {
            if let Some(name) = name_of(stage) {
                numbers.entry(name.to_lowercase()).or_default().push(number);
            }
        }
        Self {
            dockerfile,
            options,
            globals,
            contexts,
            numbers,
            platforms: Vec::new(),
            warnings: Vec::new(),
            later: None,
        }
    }

    /// Resolves every stage.
    pub(super) fn resolve(mut self) -> Result<Resolution, GraphError> {
        let dockerfile = self.dockerfile;
        let stages = dockerfile
            .stages
            .iter()
            .enumerate()
            .map(|(number, stage)| self.stage(number, stage))
            .collect::<Result<_, _>>()?;
        Ok(Resolution { stages, warnings: self.warnings, later: self.later })
    }

    fn stage(&mut self, number: usize, stage: &Stage) -> Result<ResolvedStage, GraphError> {
        let from = &stage.from.value;
        let platform = self.platform(stage)?;
        let image = self.expand(&from.image)?;
        self.check_image(&from.image, &image);
        let context = name_of(stage).and_then(|name| self.context(name, from.image.span, &platform));
        let replaced = context.is_some();
        let base = match context {
            Some(place) => place,
            None if image.text.trim().is_empty() => {
                let (word, span) = (from.image.value.clone(), from.image.span);
                return Err(GraphError::BlankBase { word, unset: self.unset(&image), span });
            }
            None => self.base(number, &image.text, from.image.span, &platform),
        };
        self.refuse_unset(&base, &from.image, &image)?;
        // A stage that starts from another is for that one's platform, whatever it says (1.4-4).
        let platform = match base {
            Place::Stage(to) => self.platforms[to].clone(),
            _ => platform,
        };
        self.platforms.push(platform.clone());
        let mut resolved = ResolvedStage { base, platform, replaced, sources: Vec::new(), edges: Vec::new() };
        if let Place::Stage(to) = resolved.base {
            resolved.edges.push(Edge { to, span: from.image.span });
        }
        if !replaced {
            self.instructions(number, stage, &mut resolved)?;
        }
        Ok(resolved)
    }

    /// Returns what `FROM name` means: an earlier stage, nothing, a named context, an image.
    fn base(&self, number: usize, name: &str, span: Span, platform: &Platform) -> Place {
        match self.earlier(name, number) {
            Some(stage) => Place::Stage(stage),
            None => self.outside(name, span, platform),
        }
    }

    /// Returns what `name` means if it is no stage.
    fn outside(&self, name: &str, span: Span, platform: &Platform) -> Place {
        if name == "scratch" {
            return Place::Scratch;
        }
        self.context(name, span, platform).unwrap_or_else(|| {
            let (similar, platform) = (self.similar(name), platform.clone());
            Place::Image(NeededImage { name: name.to_owned(), named_context: None, similar, span, platform })
        })
    }

    /// Returns the stage or named context that may have been meant by the name of an image.
    fn similar(&self, name: &str) -> Option<String> {
        let stages = self.numbers.keys().map(AsRef::as_ref);
        let contexts = self.contexts.keys().map(AsRef::as_ref);
        nearest(name, stages.chain(contexts).filter(|known| *known != name)).map(str::to_owned)
    }

    /// Returns the named context that stands for `name`; one for the platform (`name::linux/arm64`) goes first.
    fn context(&self, name: &str, span: Span, platform: &Platform) -> Option<Place> {
        let name = familiar(name);
        let (context, kind) =
            self.contexts.get(&format!("{name}::{platform}")).or_else(|| self.contexts.get(&name)).copied()?;
        Some(match kind {
            ContextKind::Directory => Place::Directory(context.to_owned()),
            ContextKind::Image => {
                let named_context = Some(context.to_owned());
                let platform = platform.clone();
                Place::Image(NeededImage { name, named_context, similar: None, span, platform })
            }
        })
    }

    /// Returns the last stage called `name` before stage `number`.
    fn earlier(&self, name: &str, number: usize) -> Option<usize> {
        self.numbers.get(&name.to_lowercase())?.iter().rev().copied().find(|other| *other < number)
    }

    /// Returns the stage called `name`: the last before `number`, else the first from it on.
    fn anywhere(&self, name: &str, number: usize) -> Option<usize> {
        let numbers = self.numbers.get(&name.to_lowercase())?;
        self.earlier(name, number).or_else(|| numbers.iter().copied().find(|other| *other >= number))
    }

    fn instructions(&mut self, number: usize, stage: &Stage, into: &mut ResolvedStage) -> Result<(), GraphError> {
        for parsed in &stage.instructions {
            match &parsed.instruction {
                Instruction::Copy(copy) => {
                    if let Some(from) = &copy.from {
                        self.copy_source(number, &from.value, from.span, into)?;
                    }
                }
                Instruction::Run(run) => {
                    for mount in &run.mounts {
                        self.mount_source(number, &mount.value, mount.span, into)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn copy_source(
        &mut self,
        number: usize,
        name: &str,
        span: Span,
        into: &mut ResolvedStage,
    ) -> Result<(), GraphError> {
        refuse_variable("COPY --from", name, span)?;
        let place = match self.copy_stage(name, number, span)? {
            Some(to) => {
                into.edges.push(Edge { to, span });
                self.note_later(number, to, span);
                Place::Stage(to)
            }
            None => self.outside(name, span, &self.options.target_platform),
        };
        into.sources.push(ResolvedSource { key: (SourceFlag::Copy, name.to_owned()), place });
        Ok(())
    }

    /// Returns the stage that `COPY --from=name` means, by number or name.
    fn copy_stage(&self, name: &str, number: usize, span: Span) -> Result<Option<usize>, GraphError> {
        let count = self.dockerfile.stages.len();
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
            return match name.parse() {
                Ok(index) if index < count => Ok(Some(index)),
                _ => Err(GraphError::StageIndex { index: name.to_owned(), count, span }),
            };
        }
        Ok(self.anywhere(name, number))
    }

    fn note_later(&mut self, number: usize, to: usize, span: Span) {
        if to >= number && self.later.is_none() {
            let (from, stage) = (title(self.dockerfile, to), title(self.dockerfile, number));
            let defined = self.dockerfile.stages[to].from.span;
            self.later = Some(GraphError::LaterStage { from, stage, span, defined });
        }
    }

    fn mount_source(
        &mut self,
        number: usize,
        mount: &Mount,
        span: Span,
        into: &mut ResolvedStage,
    ) -> Result<(), GraphError> {
        let named = mount.fields.iter().rev().find(|(key, _)| key == "from");
        let Some((_, Some(name))) = named.filter(|(_, name)| name.as_deref() != Some("")) else { return Ok(()) };
        refuse_variable("RUN --mount from", name, span)?;
        let place = match self.anywhere(name, number) {
            Some(to) => {
                into.edges.push(Edge { to, span });
                Place::Stage(to)
            }
            None => self.outside(name, span, &self.options.target_platform),
        };
        into.sources.push(ResolvedSource { key: (SourceFlag::Mount, name.to_owned()), place });
        Ok(())
    }

    fn expand(&self, word: &Word) -> Result<Expanded, GraphError> {
        Expander::new(self.dockerfile.directives.escape(), &in_map(self.globals.values()))
            .expand(&word.value)
            .map_err(|error| GraphError::Expansion { word: word.value.clone(), error, span: word.span })
    }

    /// Returns a variable of a word that nothing sets.
    fn unset(&self, expanded: &Expanded) -> Option<Unset> {
        let name = expanded.unset.first()?;
        let suggestion = nearest(name, self.globals.names().filter(|other| other != name)).map(str::to_owned);
        Some(Unset { name: name.clone(), suggestion })
    }

    /// Refuses a base that an unset variable leaves without an image's name.
    fn refuse_unset(&self, base: &Place, word: &Word, expanded: &Expanded) -> Result<(), GraphError> {
        let Place::Image(NeededImage { named_context: None, .. }) = base else { return Ok(()) };
        match (self.unset(expanded), expanded.text.parse::<ImageRef>()) {
            (Some(unset), Err(error)) => Err(GraphError::InvalidBase {
                word: word.value.clone(),
                error,
                unset: Box::new(unset),
                span: word.span,
            }),
            _ => Ok(()),
        }
    }

    /// Returns the platform of a stage: `--platform`, else the target's.
    fn platform(&mut self, stage: &Stage) -> Result<Platform, GraphError> {
        let Some(word) = &stage.from.value.platform else { return Ok(self.options.target_platform.clone()) };
        let expanded = self.expand(word)?;
        self.warn_undeclared(&expanded, word.span);
        if expanded.text.is_empty() {
            let (word, span) = (word.value.clone(), word.span);
            return Err(GraphError::BlankPlatform { word, unset: self.unset(&expanded), span });
        }
        let platform: Platform = expanded.text.parse().map_err(|error| GraphError::InvalidPlatform {
            word: word.value.clone(),
            error,
            span: word.span,
        })?;
        self.check_platform(stage, word, &expanded, &platform);
        Ok(platform)
    }

    /// Warns of a platform that says nothing new, and of one that is written out (1.8-15, 1.8-18).
    fn check_platform(&mut self, stage: &Stage, word: &Word, expanded: &Expanded, platform: &Platform) {
        let constant = expanded.used.is_empty() && expanded.unset.is_empty();
        let is_target = expanded.used.iter().eq(["TARGETPLATFORM"]);
        if is_target && self.globals.get("TARGETPLATFORM") == Some(&expanded.text) {
            let text = format!("platform `{}` in FROM is redundant: it is the default", word.value);
            self.warnings.push(Diagnostic::of_rule("RedundantTargetPlatform", text, word.span));
        } else if constant && !names_platform(name_of(stage), platform) {
            let text = format!("FROM --platform should not use the constant value `{}`", word.value);
            self.warnings.push(Diagnostic::of_rule("FromPlatformFlagConstDisallowed", text, word.span));
        }
    }

    /// Warns of undeclared arguments in the base, and of a base that its defaults leave without a name (1.8-9, 1.8-17).
    fn check_image(&mut self, word: &Word, expanded: &Expanded) {
        self.warn_undeclared(expanded, word.span);
        let escape = self.dockerfile.directives.escape();
        let default = Expander::new(escape, &in_map(self.globals.defaults())).expand(&word.value);
        let Ok(default) = default else { return };
        let undeclared = default.unset.iter().any(|name| !self.globals.declares(name));
        let varies = !default.used.is_empty() || !default.unset.is_empty();
        if varies && !undeclared && !looks_like_image(&default.text) {
            let text = format!("default values leave `{}` without a valid base image name", word.value);
            self.warnings.push(Diagnostic::of_rule("InvalidDefaultArgInFrom", text, word.span));
        }
    }

    fn warn_undeclared(&mut self, expanded: &Expanded, span: Span) {
        for name in expanded.unset.iter().filter(|name| !self.globals.declares(name)) {
            let text = format!("FROM argument `{name}` is not declared");
            let mut warning = Diagnostic::of_rule("UndefinedArgInFrom", text, span);
            warning.help = did_you_mean(nearest(name, self.globals.names()));
            self.warnings.push(warning);
        }
    }
}

fn refuse_variable(flag: &'static str, text: &str, span: Span) -> Result<(), GraphError> {
    if text.contains('$') {
        return Err(GraphError::VariableInFrom { flag, text: text.to_owned(), span });
    }
    Ok(())
}

/// Reports whether the name of a stage tells its platform: then a constant is meant.
fn names_platform(name: Option<&str>, platform: &Platform) -> bool {
    name.is_some_and(|name| name.contains(&platform.os) || name.contains(&platform.architecture))
}

/// Returns a name as named contexts are compared: Docker's short form without `:latest`.
fn familiar(name: &str) -> String {
    let (name, platform) = name.split_once("::").map_or((name, None), |(name, platform)| (name, Some(platform)));
    let name = name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let name = name.strip_suffix(":latest").unwrap_or(name).to_lowercase();
    platform.map_or_else(|| name.clone(), |platform| format!("{name}::{platform}"))
}

/// Reports whether a text has the shape of an image name: no blank, no empty component, tag or digest.
fn looks_like_image(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '[' | ']');
    !text.is_empty()
        && text.chars().all(plain)
        && !text.ends_with([':', '@', '/'])
        && !text.starts_with([':', '@', '/'])
        && !text.contains("//")
        && !text.contains("/:")
}
