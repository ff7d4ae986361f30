//! [`settle`]: the triggers of ONBUILD put in their place, right after the FROM that sets them off (1.4-12).
//!
//! What a base's triggers are is known once the base is; what they need is known once they stand in their stage. So graph
//! and bases are worked out again until no stage has triggers left to take in, each stage taking them in once.

use crate::bases::Bases;
use crate::dockerfile::instruction::{Instruction, Onbuild};
use crate::dockerfile::{Dockerfile, Parsed, parse_instruction};
use crate::graph::{GraphError, GraphOptions, GraphStage, NeededImage, Origin, StageGraph};
use crate::source::{Source, Span};
use std::collections::BTreeSet;

/// A Dockerfile whose triggers are in place, with what follows from it.
#[derive(Debug)]
pub struct Settled {
    /// The Dockerfile.
    pub dockerfile: Dockerfile,
    /// Its graph.
    pub graph: StageGraph,
    /// The images of the graph.
    pub bases: Bases,
}

/// Puts the triggers of bases, stages and images, into the stages that start from them. `resolve` is called with the
/// images of each graph on the way, mostly the same ones.
///
/// # Errors
/// [`GraphError`]; what `resolve` fails with.
pub fn settle<E: From<GraphError>>(
    dockerfile: &Dockerfile,
    options: &GraphOptions,
    mut resolve: impl FnMut(&[NeededImage]) -> Result<Bases, E>,
) -> Result<Settled, E> {
    let mut dockerfile = dockerfile.clone();
    let mut done = BTreeSet::new();
    loop {
        let graph = StageGraph::new(&dockerfile, options)?;
        if take_in(&mut dockerfile, &graph, None, &mut done)? {
            continue;
        }
        let bases = resolve(&graph.images)?;
        if !take_in(&mut dockerfile, &graph, Some(&bases), &mut done)? {
            return Ok(Settled { dockerfile, graph, bases });
        }
    }
}

/// Takes triggers into every stage of `graph` that has not done so, those of images only with `bases`; reports whether
/// there were any.
fn take_in(
    dockerfile: &mut Dockerfile,
    graph: &StageGraph,
    bases: Option<&Bases>,
    done: &mut BTreeSet<usize>,
) -> Result<bool, GraphError> {
    let mut any = false;
    for stage in graph.stages.iter().filter(|stage| !stage.replaced) {
        if done.contains(&stage.number) {
            continue;
        }
        let Some(triggers) = triggers_of(dockerfile, graph, stage, bases)? else { continue };
        done.insert(stage.number);
        any |= !triggers.is_empty();
        dockerfile.stages[stage.number].instructions.splice(0..0, triggers);
    }
    Ok(any)
}

/// Returns the triggers that the base of a stage sets off; nothing if they are not known yet.
fn triggers_of(
    dockerfile: &Dockerfile,
    graph: &StageGraph,
    stage: &GraphStage,
    bases: Option<&Bases>,
) -> Result<Option<Vec<Parsed>>, GraphError> {
    let mut base = &stage.base;
    loop {
        match base {
            Origin::Scratch | Origin::Directory(_) => return Ok(Some(Vec::new())),
            // A context that stands in a stage's place brings triggers of its own.
            Origin::Stage(index) if graph.stages[*index].replaced => base = &graph.stages[*index].base,
            Origin::Stage(index) => {
                let instructions = &dockerfile.stages[graph.stages[*index].number].instructions;
                return Ok(Some(instructions.iter().filter_map(of_stage).collect()));
            }
            Origin::Image(number) => {
                let Some(bases) = bases else { return Ok(None) };
                let span = dockerfile.stages[stage.number].from.value.image.span;
                let image = &bases.images[*number];
                let texts = image.image.config.config.on_build.iter().flatten();
                return texts.map(|text| of_image(text, &image.name, span)).collect::<Result<_, _>>().map(Some);
            }
        }
    }
}

/// Returns the trigger of an ONBUILD in the same file; it keeps its place there.
fn of_stage(parsed: &Parsed) -> Option<Parsed> {
    let Instruction::Onbuild(Onbuild { trigger, .. }) = &parsed.instruction else { return None };
    Some(Parsed { instruction: (**trigger).clone(), ..parsed.clone() })
}

/// Returns a trigger of an image; its place is the FROM.
fn of_image(text: &str, image: &str, span: Span) -> Result<Parsed, GraphError> {
    let parsed = parse_instruction(&Source::new(image, text)).map_err(|errors| GraphError::Trigger {
        image: image.to_owned(),
        trigger: text.to_owned(),
        why: errors.first().map(ToString::to_string).unwrap_or_default(),
        span,
    })?;
    let original = format!("ONBUILD {}", parsed.original);
    Ok(Parsed { original, ..parsed.relocated(span) })
}

#[cfg(test)]
mod tests;
