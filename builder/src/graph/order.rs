//! The order of stages: refuses circles, finds what a target reaches. Without recursion: a Dockerfile may chain any
//! number of stages.

use super::GraphError;
use super::resolve::{Edge, ResolvedStage, title};
use crate::dockerfile::Dockerfile;

/// Refuses stages that need each other, naming each place of the circle.
pub(super) fn refuse_cycles(dockerfile: &Dockerfile, stages: &[ResolvedStage]) -> Result<(), GraphError> {
    let left = in_circles(stages);
    let Some(start) = left.iter().position(|left| *left) else { return Ok(()) };
    let circle = walk(stages, &left, start);
    let first = circle[0].0;
    let places = circle
        .iter()
        .map(|(number, edge)| {
            let text = format!("stage `{}` needs stage `{}`", title(dockerfile, *number), title(dockerfile, edge.to));
            (edge.span, text)
        })
        .collect();
    Err(GraphError::Cycle { stage: title(dockerfile, first), places })
}

/// Returns which stages are in a circle or need one: what is left when stages that need nothing are taken away.
fn in_circles(stages: &[ResolvedStage]) -> Vec<bool> {
    let mut needs: Vec<usize> = stages.iter().map(|stage| stage.edges.len()).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); stages.len()];
    for (number, stage) in stages.iter().enumerate() {
        stage.edges.iter().for_each(|edge| needed_by[edge.to].push(number));
    }
    let mut free: Vec<usize> = (0..stages.len()).filter(|number| needs[*number] == 0).collect();
    let mut left = vec![true; stages.len()];
    while let Some(number) = free.pop() {
        left[number] = false;
        for &other in &needed_by[number] {
            needs[other] -= 1;
            if needs[other] == 0 {
                free.push(other);
            }
        }
    }
    left
}

/// Follows dependencies among the stages `left` from `start` until a stage comes again; returns the circle.
fn walk<'a>(stages: &'a [ResolvedStage], left: &[bool], start: usize) -> Vec<(usize, &'a Edge)> {
    let mut path: Vec<(usize, &Edge)> = Vec::new();
    let mut at = start;
    loop {
        if let Some(again) = path.iter().position(|(number, _)| *number == at) {
            return path.split_off(again);
        }
        let edge = stages[at].edges.iter().find(|edge| left[edge.to]).expect("a stage that is left needs one that is");
        path.push((at, edge));
        at = edge.to;
    }
}

/// Returns the numbers of the stages that `target` needs, itself included, in order.
pub(super) fn reached(stages: &[ResolvedStage], target: usize) -> Vec<usize> {
    let mut seen = vec![false; stages.len()];
    let mut open = vec![target];
    while let Some(number) = open.pop() {
        if !std::mem::replace(&mut seen[number], true) {
            open.extend(stages[number].edges.iter().map(|edge| edge.to));
        }
    }
    (0..stages.len()).filter(|number| seen[*number]).collect()
}
