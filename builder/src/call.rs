//! What can be said of a build without doing it: [`check`], [`outline`], [`targets`] (`--call`).

use crate::build::planned;
use crate::context::tree::SourceTree;
use crate::diagnostic::Diagnostic;
use crate::dockerfile::checks::Checks;
use crate::dockerfile::instruction::{Arg, Instruction, Mount};
use crate::dockerfile::{Dockerfile, Expander, Stage};
use crate::error::BuildError;
use crate::exec::Contexts;
use crate::graph::StageGraph;
use crate::listener::with_registries;
use crate::plan::Plan;
use crate::plan::op::{From, Op};
use crate::progress::ProgressSink;
use crate::reading::{check_argument, graph_options, parse};
use crate::request::BuildRequest;
use crate::source::Span;
use layerfs::cancel::Cancel;
use layerfs::path::TreePath;
use layerfs::store::Store;
use std::collections::BTreeMap;

/// What the build checks found.
#[derive(Debug)]
pub struct Checked {
    /// Violations of rules, in the order of their places.
    pub warnings: Vec<Diagnostic>,
    /// Why the build could not be planned to its end; what stands before it was checked.
    pub error: Option<BuildError>,
}

/// Checks a build: everything that the plan tells, nothing is run.
pub fn check(request: &BuildRequest, store: &Store, sink: &dyn ProgressSink, cancel: &Cancel) -> Checked {
    let (dockerfile, mut warnings) = match parse(request) {
        Ok(parsed) => parsed,
        Err(error) => return Checked { warnings: Vec::new(), error: Some(error) },
    };
    let found = with_registries(&request.registries, sink, cancel, |client| {
        let (plan, _, warnings) = planned(&dockerfile, request, store, client)?;
        // Only the build context is looked at.
        let (none, fetched) = (BTreeMap::new(), BTreeMap::new());
        let contexts = Contexts::open(request, store, &none, &fetched).map_err(BuildError::Context)?;
        Ok::<_, BuildError>(warnings.into_iter().chain(ignored_copies(&plan, &contexts)).collect::<Vec<_>>())
    });
    let error = match found {
        Ok(found) => {
            warnings.extend(found);
            None
        }
        Err(error) => {
            // What the graph alone tells is there in any case.
            let graph = StageGraph::new(&dockerfile, &graph_options(request));
            warnings.extend(graph.map(|graph| graph.warnings).unwrap_or_default());
            Some(error)
        }
    };
    let checks = Checks::new(&dockerfile, check_argument(request));
    warnings.retain(|warning| warning.rule.is_some() && checks.keep(warning));
    warnings.sort_by_key(|warning| warning.labels.first().map(|label| label.span));
    Checked { warnings, error }
}

/// Finds sources of COPY and ADD that an ignore file hides (1.8-19); files that lines with `!` bring back are not told
/// from others, so a file with such a line is left out, as BuildKit does.
fn ignored_copies(plan: &Plan, contexts: &Contexts) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
        let Op::Copy(copy) = &step.op else { continue };
        if copy.from != From::Context || contexts.has_exceptions() {
            continue;
        }
        let tree: &dyn SourceTree = contexts.tree(&copy.from);
        for source in &copy.sources {
            let path = TreePath::normalize(source.as_bytes());
            if let Some(exclusion) = tree.excluded_by(&path) {
                let place = format!("{}:{} `{}`", exclusion.file, exclusion.line, exclusion.pattern);
                let text = format!("attempting to copy file `{source}` that is excluded by {place}");
                found.push(
                    Diagnostic::of_rule("CopyIgnoredFile", text, step.span).help("take the line out, or the source"),
                );
            }
        }
    }
    found
}

/// What a target takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// The target's name; empty if it has none.
    pub name: String,
    /// What the comment above it says.
    pub description: String,
    /// Build arguments that the target and the stages it needs declare, in the order of the Dockerfile.
    pub arguments: Vec<OutlineArgument>,
    /// Secrets that they mount.
    pub secrets: Vec<OutlineMount>,
    /// SSH agents that they mount.
    pub agents: Vec<OutlineMount>,
}

/// A build argument of an [`Outline`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineArgument {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    pub description: String,
    /// Its value in this build, as far as it is known without running anything.
    pub value: String,
    /// Where it is declared.
    pub span: Span,
}

/// A secret or an agent of an [`Outline`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineMount {
    /// Its id.
    pub name: String,
    /// Whether some step fails without it.
    pub required: bool,
    /// Where it is first mounted.
    pub span: Span,
}

/// A stage that can be a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name; empty if it has none.
    pub name: String,
    /// Whether it is the one that is built where none is named.
    pub default: bool,
    /// What the comment above it says.
    pub description: String,
    /// What it starts from, as typed.
    pub base: String,
    /// Its platform, as typed; empty for the target's.
    pub platform: String,
    /// Its FROM.
    pub span: Span,
}

/// Returns the stages of a Dockerfile.
///
/// # Errors
/// [`BuildError::Parse`].
pub fn targets(request: &BuildRequest) -> Result<Vec<Target>, BuildError> {
    let (dockerfile, _) = parse(request)?;
    let last = dockerfile.stages.len().saturating_sub(1);
    Ok(dockerfile.stages.iter().enumerate().map(|(number, stage)| target(stage, number == last)).collect())
}

fn target(stage: &Stage, default: bool) -> Target {
    let from = &stage.from.value;
    Target {
        name: from.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        default,
        description: stage.comment.clone().unwrap_or_default(),
        base: from.image.value.clone(),
        platform: from.platform.as_ref().map(|platform| platform.value.clone()).unwrap_or_default(),
        span: stage.from.span,
    }
}

/// Returns what the target of a build takes.
///
/// # Errors
/// [`BuildError::Parse`], [`BuildError::Graph`].
pub fn outline(request: &BuildRequest) -> Result<Outline, BuildError> {
    let (dockerfile, _) = parse(request)?;
    let graph = StageGraph::new(&dockerfile, &graph_options(request))?;
    let target = &dockerfile.stages[graph.stages[graph.target].number];
    let mut outline =
        Outliner { dockerfile: &dockerfile, graph: &graph, values: BTreeMap::new(), outline: Outline::default() };
    outline.globals();
    for stage in &graph.stages {
        outline.stage(&dockerfile.stages[stage.number]);
    }
    let mut outline = outline.outline;
    outline.name = target.from.value.name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
    outline.description = target.comment.clone().unwrap_or_default();
    Ok(outline)
}

struct Outliner<'a> {
    dockerfile: &'a Dockerfile,
    graph: &'a StageGraph,
    values: BTreeMap<String, String>,
    outline: Outline,
}

impl Outliner<'_> {
    fn globals(&mut self) {
        for argument in &self.dockerfile.global_args {
            let name = &argument.value.name.value;
            let value = self.graph.globals.get(name).unwrap_or_default().to_owned();
            self.argument(&argument.value, argument.span, value);
        }
    }

    fn stage(&mut self, stage: &Stage) {
        for parsed in &stage.instructions {
            match &parsed.instruction {
                Instruction::Arg(arguments) => {
                    for argument in arguments {
                        let value = self.value(argument);
                        self.argument(argument, parsed.span, value);
                    }
                }
                Instruction::Run(run) => run.mounts.iter().for_each(|mount| self.mount(&mount.value, mount.span)),
                _ => {}
            }
        }
    }

    /// Returns the build argument, else the default, else the value of the ARG before the first FROM.
    fn value(&self, argument: &Arg) -> String {
        let name = &argument.name.value;
        let globals = &self.graph.globals;
        if let Some(value) = globals.build_arg(name) {
            return value.to_owned();
        }
        let Some(default) = &argument.default else { return globals.get(name).unwrap_or_default().to_owned() };
        let known = |name: &str| self.values.get(name).cloned().or_else(|| globals.get(name).map(str::to_owned));
        let expanded = Expander::new(self.dockerfile.directives.escape(), &known).expand(&default.value);
        // What cannot be expanded is shown as typed; a build says what is wrong with it.
        expanded.map_or_else(|_| default.value.clone(), |expanded| expanded.text)
    }

    fn argument(&mut self, argument: &Arg, span: Span, value: String) {
        let name = argument.name.value.clone();
        self.values.insert(name.clone(), value.clone());
        let description = self.description(&name, span);
        match self.outline.arguments.iter_mut().find(|known| known.name == name) {
            Some(known) if known.description.is_empty() => known.description = description,
            Some(_) => {}
            None => self.outline.arguments.push(OutlineArgument { name, description, value, span }),
        }
    }

    /// Returns what a comment above says of `name`.
    fn description(&self, name: &str, span: Span) -> String {
        let comments = &self.dockerfile.comments;
        let below = comments.partition_point(|(whole, _)| whole.start <= span.start);
        let Some((whole, texts)) = below.checked_sub(1).map(|at| &comments[at]) else { return String::new() };
        let of_name = |text: &String| Some(text.strip_prefix(name)?.strip_prefix(' ')?.trim().to_owned());
        let told = texts.iter().filter(|_| span.start < whole.end).filter_map(of_name).next();
        told.unwrap_or_default()
    }

    fn mount(&mut self, mount: &Mount, span: Span) {
        let field = |wanted: &str| mount.fields.iter().rev().find(|(key, _)| key == wanted);
        let text = |wanted: &str| field(wanted).and_then(|(_, value)| value.clone()).filter(|text| !text.is_empty());
        let required = field("required")
            .is_some_and(|(_, value)| value.as_deref().is_none_or(|text| text != "false" && text != "0"));
        let id = text("id").or_else(|| text("source"));
        let of_target = || {
            text("target").map(|target| target.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned())
        };
        let (list, id) = match mount.kind.as_deref() {
            Some("secret") => (&mut self.outline.secrets, id.or_else(of_target)),
            Some("ssh") => (&mut self.outline.agents, Some(id.unwrap_or_else(|| "default".to_owned()))),
            _ => return,
        };
        let Some(name) = id else { return };
        match list.iter_mut().find(|known| known.name == name) {
            Some(known) => known.required |= required,
            None => list.push(OutlineMount { name, required, span }),
        }
    }
}
