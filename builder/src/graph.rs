//! [`StageGraph`]: which stages the target needs, in which order, and which images.
//!
//! ```text
//! Dockerfile -> globals (ARG before FROM) -> resolve (what each name means) -> order (cycles, reach) -> StageGraph
//! ```

mod error;
pub mod globals;
mod order;
mod resolve;
pub(crate) mod suggest;
#[cfg(test)]
mod tests;

pub use error::GraphError;

use crate::diagnostic::Diagnostic;
use crate::dockerfile::{Dockerfile, Stage};
use crate::source::Span;
use globals::Globals;
use layerfs::platform::Platform;
use resolve::{Place, Resolution, Resolver};
use std::collections::BTreeMap;

/// What a named build context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextKind {
    /// A local directory.
    Directory,
    /// An image: a layout or an archive.
    Image,
}

/// What the caller says about the graph.
#[derive(Debug, Clone)]
pub struct GraphOptions {
    /// `--target`: the name of a stage in any case, or its number; the last stage if there is none.
    pub target: Option<String>,
    /// `--build-arg`; those without a value count as not given.
    pub build_args: BTreeMap<String, Option<String>>,
    /// `--build-context` by name.
    pub named_contexts: BTreeMap<String, ContextKind>,
    /// The platform of the image.
    pub target_platform: Platform,
    /// The platform of this machine.
    pub build_platform: Platform,
}

/// The stages that the target needs.
#[derive(Debug, Clone)]
pub struct StageGraph {
    /// Those stages, in the order of the Dockerfile.
    pub stages: Vec<GraphStage>,
    /// Index into `stages` of the target.
    pub target: usize,
    /// The images that they need, in the order in which the Dockerfile names them; [`crate::bases::Bases`] has the same
    /// order.
    pub images: Vec<NeededImage>,
    /// Build arguments and ARGs before the first FROM.
    pub globals: Globals,
    /// The platform of the image.
    pub platform: Platform,
    /// What the user should look at.
    pub warnings: Vec<Diagnostic>,
}

/// A stage that the target needs.
#[derive(Debug, Clone)]
pub struct GraphStage {
    /// Its number in the Dockerfile, from 0.
    pub number: usize,
    /// What it starts from.
    pub base: Origin,
    /// The platform it is built for.
    pub platform: Platform,
    /// True if a named context stands in its place: its instructions do not count (1.4-2).
    pub replaced: bool,
    sources: BTreeMap<(SourceFlag, String), Origin>,
}

/// Where the files of a base or a source come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing.
    Scratch,
    /// Another stage: index into [`StageGraph::stages`].
    Stage(usize),
    /// An image: index into [`StageGraph::images`].
    Image(usize),
    /// The files of a named context that is a directory.
    Directory(String),
}

/// An image that a build needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededImage {
    /// The name as the Dockerfile has it, after expansion.
    pub name: String,
    /// The named context that stands in its place, if there is one.
    pub named_context: Option<String>,
    /// A stage or a named context that may have been meant.
    pub similar: Option<String>,
    /// The first place that names it.
    pub span: Span,
    /// The platform it is asked for.
    pub platform: Platform,
}

/// Which flag names a source: numbers mean stages in COPY only (1.4-8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SourceFlag {
    /// `COPY --from`.
    Copy,
    /// `RUN --mount from`.
    Mount,
}

impl GraphStage {
    /// Returns what `COPY --from=<name>` means in this stage.
    pub fn copy_source(&self, name: &str) -> Option<&Origin> {
        self.sources.get(&(SourceFlag::Copy, name.to_owned()))
    }

    /// Returns what `RUN --mount from=<name>` means in this stage.
    pub fn mount_source(&self, name: &str) -> Option<&Origin> {
        self.sources.get(&(SourceFlag::Mount, name.to_owned()))
    }
}

impl StageGraph {
    /// Returns the stages and images that the target of `dockerfile` needs.
    ///
    /// # Errors
    /// [`GraphError`]: a FROM that cannot be expanded, a name that means nothing, or stages that need each other.
    pub fn new(dockerfile: &Dockerfile, options: &GraphOptions) -> Result<Self, GraphError> {
        let globals = Globals::new(dockerfile, options)?;
        let resolution = Resolver::new(dockerfile, options, &globals).resolve()?;
        order::refuse_cycles(dockerfile, &resolution.stages)?;
        if let Some(error) = resolution.later {
            return Err(error);
        }
        let target = find_target(dockerfile, options)?;
        let reached = order::reached(&resolution.stages, target);
        let mut builder = Pruned::new(reached);
        let stages = builder.stages(&resolution);
        Ok(Self {
            target: builder.index(target),
            stages,
            images: builder.images,
            globals,
            platform: options.target_platform.clone(),
            warnings: resolution.warnings,
        })
    }
}

/// Returns the number of the target stage: by name, the last of that name, or by number; else the last stage.
fn find_target(dockerfile: &Dockerfile, options: &GraphOptions) -> Result<usize, GraphError> {
    let last = dockerfile.stages.len().checked_sub(1).ok_or(GraphError::NoStage)?;
    let Some(target) = &options.target else { return Ok(last) };
    let names: Vec<&str> = dockerfile.stages.iter().filter_map(resolve::name_of).collect();
    let is_named = |stage: &Stage| resolve::name_of(stage).is_some_and(|name| name.eq_ignore_ascii_case(target));
    if let Some(number) = dockerfile.stages.iter().rposition(is_named) {
        return Ok(number);
    }
    match target.parse::<usize>() {
        Ok(number) if number <= last => Ok(number),
        _ => Err(GraphError::UnknownTarget {
            target: target.clone(),
            suggestion: suggest::nearest(target, names.iter().copied()).map(str::to_owned),
            names: names.into_iter().map(str::to_owned).collect(),
        }),
    }
}

/// Numbers the reached stages anew and collects their images.
struct Pruned {
    reached: Vec<usize>,
    images: Vec<NeededImage>,
}

impl Pruned {
    fn new(reached: Vec<usize>) -> Self {
        Self { reached, images: Vec::new() }
    }

    fn stages(&mut self, resolution: &Resolution) -> Vec<GraphStage> {
        let numbers = self.reached.clone();
        numbers.into_iter().map(|number| self.stage(number, &resolution.stages[number])).collect()
    }

    fn stage(&mut self, number: usize, stage: &resolve::ResolvedStage) -> GraphStage {
        let base = self.origin(&stage.base);
        let sources = stage.sources.iter().map(|source| (source.key.clone(), self.origin(&source.place))).collect();
        GraphStage { number, base, platform: stage.platform.clone(), replaced: stage.replaced, sources }
    }

    fn origin(&mut self, place: &Place) -> Origin {
        match place {
            Place::Scratch => Origin::Scratch,
            Place::Stage(number) => Origin::Stage(self.index(*number)),
            Place::Image(image) => Origin::Image(self.image(image)),
            Place::Directory(name) => Origin::Directory(name.clone()),
        }
    }

    fn index(&self, number: usize) -> usize {
        self.reached.binary_search(&number).expect("what a reached stage needs is reached")
    }

    fn image(&mut self, wanted: &NeededImage) -> usize {
        let same = |image: &NeededImage| {
            (&image.name, &image.named_context, &image.platform)
                == (&wanted.name, &wanted.named_context, &wanted.platform)
        };
        self.images.iter().position(same).unwrap_or_else(|| {
            self.images.push(wanted.clone());
            self.images.len() - 1
        })
    }
}
