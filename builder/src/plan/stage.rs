//! [`StagePlanner`]: plans one stage, one instruction after another.

use super::op::{CopyOp, From, Op};
use super::scope::Scope;
use super::{HistoryLine, PlanBase, PlanError, PlanOptions, PlannedStage, Step};
use super::{base, config, history, lint, names};
use crate::bases::Bases;
use crate::diagnostic::Diagnostic;
use crate::dockerfile::instruction::{Instruction, Word};
use crate::dockerfile::{Dockerfile, ExpandError, Expander, Parsed, Stage};
use crate::graph::{GraphStage, Origin, StageGraph};
use crate::source::Span;
use layerfs::image::ImageConfig;
use layerfs::path::TreePath;
use names::StepNames;
use std::collections::HashMap;

/// Longest value of a variable, in bytes: Linux hands no longer string to a program (MAX_ARG_STRLEN, execve(2)).
const MAXIMUM_VALUE: usize = 128 * 1024;

/// Most steps of a stage and those that it starts from, each of which makes a layer: engines take 127 at most.
const MAXIMUM_STEPS: usize = 1_000;

/// What all stages of a plan are made from.
pub(super) struct Input<'a> {
    pub dockerfile: &'a Dockerfile,
    pub graph: &'a StageGraph,
    pub bases: &'a Bases,
    pub options: &'a PlanOptions,
    pub source_date_epoch: Option<i64>,
}

impl<'a> Input<'a> {
    /// Returns the input of a plan.
    pub(super) fn new(
        dockerfile: &'a Dockerfile,
        graph: &'a StageGraph,
        bases: &'a Bases,
        options: &'a PlanOptions,
    ) -> Result<Self, PlanError> {
        let source_date_epoch = match graph.globals.build_arg("SOURCE_DATE_EPOCH") {
            None | Some("") => options.source_date_epoch,
            Some(value) => Some(value.parse().map_err(|_| PlanError::InvalidEpoch { value: value.to_owned() })?),
        };
        Ok(Self { dockerfile, graph, bases, options, source_date_epoch })
    }
}

/// What a stage hands on to stages that start from it.
#[derive(Debug, Clone)]
pub(super) struct StageState {
    pub scope: Scope,
    pub image: ImageConfig,
    /// Where each variable stands in the environment of the image.
    pub variables: HashMap<String, usize>,
    /// Whether a WORKDIR of the Dockerfile set the working directory.
    pub workdir_set: bool,
    /// How many steps the stage and those that it starts from have.
    pub steps: usize,
}

/// A planned stage with what it hands on.
pub(super) struct Planned {
    pub stage: PlannedStage,
    pub state: StageState,
    pub warnings: Vec<Diagnostic>,
}

/// Plans one stage.
pub(super) struct StagePlanner<'a> {
    pub input: &'a Input<'a>,
    pub graph: &'a GraphStage,
    pub stage: &'a Stage,
    pub state: StageState,
    /// Whether this stage has a CMD.
    pub command_set: bool,
    pub names: StepNames,
    pub steps: Vec<Step>,
    pub history: Vec<HistoryLine>,
    pub warnings: Vec<Diagnostic>,
}

impl<'a> StagePlanner<'a> {
    /// Returns the planner of a stage; `states` are those of the stages before it.
    pub(super) fn new(input: &'a Input<'a>, graph: &'a GraphStage, states: &[StageState]) -> Result<Self, PlanError> {
        let stage = &input.dockerfile.stages[graph.number];
        let state = starting_state(input, graph, stage, states)?;
        let span = stage.from.value.image.span;
        let warnings = match graph.base {
            Origin::Image(index) => lint::other_platform(&input.bases.images[index], &graph.platform, span),
            _ => None,
        };
        Ok(Self {
            input,
            graph,
            stage,
            state,
            command_set: false,
            names: StepNames::new(input.dockerfile, stage, graph),
            steps: Vec::new(),
            history: Vec::new(),
            warnings: warnings.into_iter().collect(),
        })
    }

    /// Returns the plan of the stage.
    pub(super) fn plan(mut self) -> Result<Planned, PlanError> {
        let base_name = self.base_name();
        if !self.graph.replaced {
            let stage = self.stage;
            stage.instructions.iter().try_for_each(|parsed| {
                self.instruction(parsed)?;
                self.check_steps(parsed.span)
            })?;
        }
        self.state.steps += self.steps.len();
        let stage = PlannedStage {
            number: self.graph.number,
            name: self.stage.from.value.name.as_ref().map(|name| name.value.clone()),
            platform: self.graph.platform.clone(),
            base: plan_base(&self.graph.base),
            span: self.stage.from.span,
            base_name,
            steps: self.steps,
            config: self.state.image.clone(),
            history: self.history,
        };
        Ok(Planned { stage, state: self.state, warnings: self.warnings })
    }

    /// Refuses a stage that no image could be made of.
    fn check_steps(&self, span: Span) -> Result<(), PlanError> {
        if self.state.steps + self.steps.len() <= MAXIMUM_STEPS {
            return Ok(());
        }
        let name = self.stage.from.value.name.as_ref().map(|name| name.value.clone());
        let stage = name.unwrap_or_else(|| self.graph.number.to_string());
        Err(PlanError::TooManySteps { stage, limit: MAXIMUM_STEPS, span })
    }

    /// Names the step of the base; a directory as base becomes a step that copies it.
    fn base_name(&mut self) -> Option<String> {
        match &self.graph.base {
            Origin::Image(image) => self.names.base(self.graph, &self.input.graph.images[*image].name),
            Origin::Directory(name) => {
                let line = format!("FROM {name}");
                let shown = self.names.step(&line);
                self.push_step(Op::Copy(whole_directory(name)), self.stage.from.span, shown);
                let step = Some(self.steps.len() - 1);
                self.history.push(HistoryLine { line: history::synthesised(Some(line)), step });
                None
            }
            Origin::Scratch | Origin::Stage(_) => None,
        }
    }

    fn instruction(&mut self, parsed: &Parsed) -> Result<(), PlanError> {
        let span = parsed.span;
        match &parsed.instruction {
            Instruction::Run(run) => self.run(run, parsed),
            Instruction::Copy(copy) => self.copy(copy, parsed),
            Instruction::Add(add) => self.add(add, parsed),
            Instruction::Workdir(path) => self.workdir(path, parsed),
            Instruction::Arg(arguments) => self.arguments(arguments),
            Instruction::Env(variables) => self.environment(variables, span),
            Instruction::Label(labels) => self.labels(labels),
            Instruction::Cmd(command) => self.command(command),
            Instruction::Entrypoint(command) => self.entrypoint(command),
            Instruction::Expose(ports) => self.expose(ports),
            Instruction::Healthcheck(check) => self.healthcheck(check),
            Instruction::Maintainer(name) => self.maintainer(name),
            Instruction::Onbuild(onbuild) => self.onbuild(onbuild),
            Instruction::Shell(shell) => self.shell(shell),
            Instruction::Stopsignal(signal) => self.stop_signal(signal),
            Instruction::User(user) => self.user(user),
            Instruction::Volume(volumes) => self.volumes(volumes),
        }
    }

    /// Returns `word` with the variables that stand before this instruction (1.2-2).
    pub(super) fn expand(&mut self, word: &Word) -> Result<String, PlanError> {
        self.expand_text(&word.value, word.span)
    }

    /// Returns the text of a word at `span`, expanded.
    pub(super) fn expand_text(&mut self, text: &str, span: Span) -> Result<String, PlanError> {
        let expanded = Expander::new(self.escape(), &self.state.scope.lookup()).expand(text);
        let expanded = expanded.map_err(|error| failed(text, error, span))?;
        self.warn_unset(&expanded.unset, span);
        check_value(text, &expanded.text, span)?;
        Ok(expanded.text)
    }

    /// Returns the escape character of the Dockerfile.
    pub(super) fn escape(&self) -> char {
        self.input.dockerfile.directives.escape()
    }

    /// Returns an instruction's name and text as it is shown, its variables replaced where that can be done.
    pub(super) fn shown(&self, parsed: &Parsed) -> String {
        match Expander::new(self.escape(), &self.state.scope.lookup()).expand_display(&parsed.original) {
            Ok(expanded) => names::shown(parsed, &expanded.text),
            Err(_) => names::shown(parsed, &parsed.original),
        }
    }

    /// Warns of variables that are not set, unless an ARG declares them (1.2-10).
    pub(super) fn warn_unset(&mut self, unset: &[String], span: Span) {
        for name in unset.iter().filter(|name| !self.state.scope.declares(name)) {
            self.warnings.push(lint::undefined_variable(name, self.state.scope.names(), span));
        }
    }

    /// Adds a step.
    pub(super) fn push_step(&mut self, op: Op, span: Span, name: String) {
        self.steps.push(Step { op, span, name });
    }

    /// Adds a history line of what has no layer.
    pub(super) fn note(&mut self, text: String) {
        self.history.push(HistoryLine { line: history::line(text, false), step: None });
    }

    /// Adds a history line of the step that was added last.
    pub(super) fn note_step(&mut self, text: String) {
        let step = self.steps.len().checked_sub(1);
        self.history.push(HistoryLine { line: history::line(text, true), step });
    }

    /// Returns the working directory.
    pub(super) fn working_directory(&self) -> TreePath {
        TreePath::from(self.state.image.config.working_dir.as_str())
    }

    /// Returns the arguments that run `text` in the shell in force.
    pub(super) fn in_shell(&self, text: &str) -> Vec<String> {
        let shell = self.state.image.config.shell.clone().filter(|shell| !shell.is_empty());
        let mut arguments = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        arguments.push(text.to_owned());
        arguments
    }
}

/// Returns the error of a word that cannot be expanded.
pub(super) fn failed(word: &str, error: ExpandError, span: Span) -> PlanError {
    PlanError::Expansion { word: word.to_owned(), error, span }
}

/// Refuses values that no program or path can take.
pub(super) fn check_value(word: &str, value: &str, span: Span) -> Result<(), PlanError> {
    if value.contains('\0') {
        return Err(PlanError::NulByte { span });
    }
    if value.len() >= MAXIMUM_VALUE {
        let word = word.chars().take(40).collect();
        return Err(PlanError::TooLong { word, length: value.len(), limit: MAXIMUM_VALUE - 1, span });
    }
    Ok(())
}

fn plan_base(base: &Origin) -> PlanBase {
    match base {
        Origin::Scratch | Origin::Directory(_) => PlanBase::Scratch,
        Origin::Stage(stage) => PlanBase::Stage(*stage),
        Origin::Image(image) => PlanBase::Image(*image),
    }
}

/// Returns what an op reads from.
pub(super) fn source(origin: &Origin) -> From {
    match origin {
        Origin::Scratch => From::Scratch,
        Origin::Stage(stage) => From::Stage(*stage),
        Origin::Image(image) => From::Image(*image),
        Origin::Directory(name) => From::NamedContext(name.clone()),
    }
}

/// Returns the COPY of all of a named context.
fn whole_directory(name: &str) -> CopyOp {
    CopyOp {
        from: From::NamedContext(name.to_owned()),
        sources: vec![".".to_owned()],
        source_spans: Vec::new(),
        exclude: Vec::new(),
        parents: false,
        heredocs: Vec::new(),
        destination: TreePath::root(),
        destination_is_directory: true,
        chown: None,
        chmod: None,
        link: false,
        unpack_archives: false,
        unpack_remote: false,
        remotes: std::collections::BTreeMap::new(),
    }
}

fn starting_state(
    input: &Input<'_>,
    graph: &GraphStage,
    stage: &Stage,
    states: &[StageState],
) -> Result<StageState, PlanError> {
    let image = match &graph.base {
        // What has no base is for the platform of the image, whatever FROM says (1.4-5).
        Origin::Scratch => base::empty(&input.graph.platform),
        Origin::Directory(_) => base::empty(&graph.platform),
        Origin::Image(index) => base_image(input, *index, stage.from.value.image.span)?,
        Origin::Stage(index) => {
            // A stage starts only from an earlier one, so its state is there.
            let parent = &states[*index];
            let mut state = StageState { image: base::inherited(&parent.image), ..parent.clone() };
            let environment = state.image.config.env.as_deref().unwrap_or_default();
            state.scope.set_all(environment);
            state.variables = config::places(environment);
            return Ok(state);
        }
    };
    let environment = image.config.env.as_deref().unwrap_or_default();
    let (scope, variables) = (Scope::of_image(environment), config::places(environment));
    Ok(StageState { scope, image, variables, workdir_set: false, steps: 0 })
}

/// Returns the config that a stage takes over from an image.
fn base_image(input: &Input<'_>, index: usize, span: Span) -> Result<ImageConfig, PlanError> {
    let name = || input.graph.images[index].name.clone();
    let Some(base) = input.bases.images.get(index) else {
        return Err(PlanError::UnresolvedImage { image: name(), span });
    };
    Ok(base::inherited(&base.image.config))
}
