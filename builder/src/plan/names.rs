//! [`StepNames`]: the names of steps to show, `[build 2/5] RUN make`.

use crate::dockerfile::instruction::{Heredoc, Instruction};
use crate::dockerfile::{Dockerfile, Parsed, Stage};
use crate::graph::{GraphStage, Origin};

/// Numbers the steps of one stage: FROM of an image, and each RUN, COPY, ADD and WORKDIR.
#[derive(Debug)]
pub(super) struct StepNames {
    stage: String,
    count: usize,
    next: usize,
}

impl StepNames {
    /// Returns the numbering of a stage; an unnamed stage shows its number unless it is the only one.
    pub(super) fn new(dockerfile: &Dockerfile, stage: &Stage, graph: &GraphStage) -> Self {
        let title = match &stage.from.value.name {
            Some(name) => format!("{} ", name.value),
            None if dockerfile.stages.len() == 1 => String::new(),
            None => format!("stage-{} ", graph.number),
        };
        let own = stage.instructions.iter().filter(|parsed| is_step(&parsed.instruction)).count();
        let count = usize::from(has_from_step(&graph.base)) + if graph.replaced { 0 } else { own };
        Self { stage: title, count, next: 0 }
    }

    /// Returns the name of the step that fetches the base, if there is one.
    pub(super) fn base(&mut self, graph: &GraphStage, image: &str) -> Option<String> {
        has_from_step(&graph.base).then(|| self.step(&format!("FROM {image}")))
    }

    /// Returns the name of the next step that does `text`.
    pub(super) fn step(&mut self, text: &str) -> String {
        self.next += 1;
        let width = self.count.to_string().len();
        format!("[{}{:>width$}/{}] {text}", self.stage, self.next, self.count)
    }
}

fn has_from_step(base: &Origin) -> bool {
    matches!(base, Origin::Image(_) | Origin::Directory(_))
}

fn is_step(instruction: &Instruction) -> bool {
    matches!(instruction, Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_) | Instruction::Workdir(_))
}

/// Returns an instruction as it is shown: its name in capitals, on one line, `text` being what was typed.
pub(super) fn shown(parsed: &Parsed, text: &str) -> String {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let line = format!("{} {}", name.to_uppercase(), rest).replace(['\n', '\r'], " ");
    match &parsed.instruction {
        Instruction::Run(run) if run.heredocs.len() == 1 => {
            format!("{} ({})", line.trim_end(), summary(&run.heredocs[0]))
        }
        _ => line.trim_end().to_owned(),
    }
}

/// Returns the first line of a heredoc's body, with dots if there is more.
fn summary(heredoc: &Heredoc) -> String {
    let mut lines = heredoc.body.value.trim().lines();
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() { format!("{first}...") } else { first.to_owned() }
}
