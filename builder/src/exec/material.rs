//! What a step reads from outside, as digests: the material of its key.

use crate::context::tree::{LayerFiles, SourceTree, StackTree};
use crate::copy::digest::{Hollow, content_digest};
use crate::copy::error::CopyError;
use crate::copy::select::{Choice, Selection, select};
use crate::diagnostic::Diagnostic;
use crate::error::StepError;
use crate::exec::remote::{Fetched, JoinedTree, prefix};
use crate::exec::session::Session;
use crate::exec::stage::StepKey;
use crate::exec::watched::WatchedTree;
use crate::key::{self, CacheKey, KeyBuilder, RunInputs};
use crate::plan::op::{CopyOp, From, MountKind, Op, Remote, RunOp};
use crate::progress::Event;
use crate::worker::files_at_once;
use layerfs::digest::Digest;
use layerfs::layer::{Layer, LayerKey};
use layerfs::path::TreePath;
use layerfs::trace::Phase;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

impl Session<'_> {
    /// Returns the key of a step that comes after `parent`.
    ///
    /// # Errors
    /// What reading its sources failed with.
    pub(super) fn step_key(&self, stage: usize, at: usize, parent: CacheKey) -> Result<StepKey, StepError> {
        let epoch = self.build.plan.source_date_epoch;
        let (key, components) = match &self.build.plan.stages[stage].steps[at].op {
            Op::Run(run) => self.run_key(stage, at, run, parent)?,
            Op::Copy(copy) => key::copy_key(parent, copy, self.copy_digest(stage, at, copy)?, epoch),
            Op::Workdir(workdir) => key::workdir_key(parent, workdir, epoch),
        };
        Ok(StepKey { key, components })
    }

    fn run_key(
        &self,
        stage: usize,
        at: usize,
        run: &RunOp,
        parent: CacheKey,
    ) -> Result<(CacheKey, Vec<key::Component>), StepError> {
        let mut bind_digests = Vec::new();
        for mount in &run.mounts {
            if let MountKind::Bind { from, source, .. } = &mount.kind {
                bind_digests.push(self.mount_digest((stage, at), from, source)?);
            }
        }
        let inputs = RunInputs {
            tier: self.build.settings.tier,
            platform: &self.build.plan.stages[stage].platform,
            bind_digests: &bind_digests,
        };
        Ok(key::run_key(parent, run, &inputs))
    }

    /// Returns the digest of what a COPY reads; worked out once in a build.
    fn copy_digest(&self, stage: usize, at: usize, copy: &CopyOp) -> Result<Digest, StepError> {
        match &copy.from {
            From::Image(number) => Ok(self.image_digest(*number, &copy.choice())),
            From::Stage(source) => {
                self.stage_digest(*source, &copy.choice(), || Ok(self.selected(stage, at, copy)?.digest))
            }
            From::Context | From::NamedContext(_) | From::Scratch => Ok(self.selected(stage, at, copy)?.digest),
        }
    }

    /// Returns the digest of a choice of an image's files: its layers and the choice say all, nothing is read.
    pub(super) fn image_digest(&self, number: usize, choice: &Choice<'_>) -> Digest {
        let diff_ids = &self.build.bases.images[number].image.config.rootfs.diff_ids;
        let builder = KeyBuilder::new("lbuild image content v1");
        let builder = builder.list("layer", diff_ids.iter().map(ToString::to_string));
        chosen(builder, choice).finish().0.0
    }

    /// Returns the digest of a choice of a stage's files, remembered for the execution that the stage ended with.
    pub(super) fn stage_digest(
        &self,
        stage: usize,
        choice: &Choice<'_>,
        read: impl FnOnce() -> Result<Digest, StepError>,
    ) -> Result<Digest, StepError> {
        let state = self.cells[stage].peek().expect("keys are asked for once the stages they read have ended");
        let builder = match state.execution() {
            Some(execution) => KeyBuilder::new("lbuild stage content v1").part("execution", execution.to_string()),
            None => KeyBuilder::new("lbuild base content v1").part("base", state.key.to_string()),
        };
        let name = chosen(builder, choice).finish().0.0;
        if let Some(known) = self.build.cache.memo_get(&name)?.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            return Ok(Digest::from_bytes(known));
        }
        let digest = read()?;
        self.build.cache.memo_put(&name, digest.as_bytes())?;
        Ok(digest)
    }

    /// Returns the layers of a stage that has ended, or of an image.
    pub(super) fn layers_of(&self, from: &From) -> Vec<Layer> {
        match from {
            From::Image(number) => self.base_layers(*number),
            From::Stage(stage) => self.cells[*stage].peek().expect("what a step reads has ended before it runs").stack,
            From::Context | From::NamedContext(_) | From::Scratch => Vec::new(),
        }
    }
}

/// What a COPY names, with the digest of it.
#[derive(Debug)]
pub(super) struct Selected {
    /// The digest of all of it.
    pub(super) digest: Digest,
    selection: Mutex<Option<Selection>>,
}

impl Selected {
    /// Takes the selection, once: it may be large.
    pub(super) fn take(&self) -> Option<Selection> {
        self.selection.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Session<'_> {
    /// Returns what a COPY names, with the digest of it; worked out once in a build.
    ///
    /// # Errors
    /// [`StepError::Copy`]; what the worker fails with for files of a stage.
    pub(super) fn selected(&self, stage: usize, at: usize, copy: &CopyOp) -> Result<Arc<Selected>, StepError> {
        self.selections.get_or_try((stage, at), || {
            let fetched = self.fetched(copy, false)?;
            let hashing = self.trace().begin(Phase::Hashing, || copy.sources.join(" "));
            let mut hashing = hashing.on_all_cores();
            let (selection, digest) = self.select_op((stage, at), copy, &fetched)?;
            hashing.bytes(|| selection.bytes());
            Ok(Arc::new(Selected { digest, selection: Mutex::new(Some(selection)) }))
        })
    }

    /// Returns what the sources of a COPY or ADD name, with the digest of it all. Repositories that are not among what
    /// was `fetched` are stood for by their commits.
    pub(super) fn select_op(
        &self,
        step: (usize, usize),
        op: &CopyOp,
        fetched: &[(usize, Arc<Fetched>)],
    ) -> Result<(Selection, Digest), StepError> {
        let mut sources = Vec::with_capacity(op.sources.len());
        let mut commits = Vec::new();
        for (number, source) in op.sources.iter().enumerate() {
            let found = fetched.iter().find(|(other, _)| *other == number);
            match (op.remotes.get(&number), found) {
                (None, _) => sources.push(source.clone()),
                (Some(_), Some((_, fetched))) => {
                    sources.push(mount_pattern(&prefix(number).join(fetched.path().as_bytes())));
                }
                (Some(Remote::Repository { git, keep }), None) => {
                    commits.push(format!(
                        "{} {} {keep} {:?}",
                        self.commit(git)?,
                        git.subdirectory.as_deref().unwrap_or_default(),
                        git.submodules
                    ));
                }
                (Some(Remote::File { .. }), None) => {}
            }
        }
        let choice = Choice { sources: &sources, ..op.choice() };
        self.with_sources(op, fetched, |tree| {
            let mut selection = select(&choice, tree).map_err(|error| named(error, op, &sources))?;
            let memo = self.build.contexts.memo(&op.from);
            let content =
                content_digest(&mut selection, op.chown.as_deref(), tree, memo, &|hollow| self.tell(step, hollow))?;
            if commits.is_empty() {
                return Ok((selection, content));
            }
            let builder = KeyBuilder::new("lbuild git content v1").list("commit", commits.iter());
            Ok((selection, builder.part("content", content.to_string()).finish().0.0))
        })
    }

    /// Warns of a long file with holes that `step` is about to read.
    fn tell(&self, (stage, at): (usize, usize), hollow: Hollow<'_>) {
        let Hollow { path, size, allocated } = hollow;
        let text =
            format!("`{path}` has holes: {allocated} of its {size} bytes are on disk, and a layer has all of them");
        let span = self.build.plan.stages[stage].steps[at].span;
        let cure = "zeros are hashed and sent as other bytes are; leave the file out, or make it where it is used";
        self.build.sink.event(Event::Warning(Diagnostic::warning(text).at(span, "").help(cure)));
    }

    /// Calls `read` with the tree of a COPY's or ADD's sources.
    pub(super) fn with_sources<T>(
        &self,
        op: &CopyOp,
        fetched: &[(usize, Arc<Fetched>)],
        read: impl FnOnce(&dyn SourceTree) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        if fetched.is_empty() {
            return self.with_tree(&op.from, read);
        }
        let tree = |(number, fetched): &(usize, Arc<Fetched>)| {
            Ok::<_, StepError>((prefix(*number), fetched.tree(self.build.store.blobs())?))
        };
        let remotes: Vec<_> = fetched.iter().map(tree).collect::<Result<_, _>>()?;
        self.with_tree(&op.from, |main| read(&JoinedTree { main, remotes }))
    }

    /// Returns what `choice` names in `from`, every file's digest noted, and the digest of it all; what there is to be
    /// said of it is said of `step`.
    pub(super) fn select(
        &self,
        step: Option<(usize, usize)>,
        from: &From,
        choice: &Choice<'_>,
        owner: Option<&str>,
    ) -> Result<(Selection, Digest), StepError> {
        self.with_tree(from, |tree| {
            let hashing = self.trace().begin(Phase::Hashing, || choice.sources.join(" "));
            let mut hashing = hashing.on_all_cores();
            let mut selection = select(choice, tree)?;
            hashing.bytes(|| selection.bytes());
            let memo = self.build.contexts.memo(from);
            let digest = content_digest(&mut selection, owner, tree, memo, &|hollow| {
                step.into_iter().for_each(|step| self.tell(step, hollow));
            })?;
            Ok((selection, digest))
        })
    }

    /// Calls `read` with the tree of `from`, the files of stages and images opened by the worker.
    pub(super) fn with_tree<T>(
        &self,
        from: &From,
        read: impl FnOnce(&dyn SourceTree) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        if !matches!(from, From::Stage(_) | From::Image(_)) {
            return self.watching(self.build.contexts.tree(from), read);
        }
        let layers = self.layers_of(from);
        let stack = self.build.shelf.indexes(&layers)?;
        let files = WorkerFiles { session: self, layers: &layers, keys: OnceLock::new(), failure: Mutex::new(None) };
        let result = self.watching(&StackTree::new(&stack, &files), read);
        match files.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => result,
        }
    }

    /// Calls `read` with `tree`, whose files end with the build.
    fn watching<T>(
        &self,
        tree: &dyn SourceTree,
        read: impl FnOnce(&dyn SourceTree) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let cancel = self.build.cancel;
        read(&WatchedTree { tree, cancel }).map_err(
            |error| {
                if cancel.is_cancelled() { StepError::Cancelled } else { error }
            },
        )
    }

    /// Returns the digest of what a bind mount shows.
    fn mount_digest(&self, step: (usize, usize), from: &From, source: &TreePath) -> Result<Digest, StepError> {
        let sources = [mount_pattern(source)];
        let choice = Choice::of(&sources);
        let selected = || Ok(self.select(Some(step), from, &choice, None).map_err(of_mount)?.1);
        match from {
            From::Image(number) => Ok(self.image_digest(*number, &choice)),
            From::Stage(stage) => self.stage_digest(*stage, &choice, selected),
            From::Context | From::NamedContext(_) | From::Scratch => selected(),
        }
    }
}

/// Returns an error in the words of a mount.
fn of_mount(error: StepError) -> StepError {
    match error {
        StepError::Copy(CopyError::NotFound { source_text, similar }) => {
            StepError::MountSource { source_text, similar }
        }
        other => other,
    }
}

/// Returns an error with a remote source as it was typed.
fn named(error: CopyError, op: &CopyOp, sources: &[String]) -> CopyError {
    match error {
        CopyError::NotFound { source_text, .. } if source_text.starts_with('\0') => {
            let number = sources.iter().position(|source| *source == source_text);
            let source_text = number.and_then(|number| op.sources.get(number)).cloned().unwrap_or_default();
            CopyError::NotFound { source_text, similar: None }
        }
        other => other,
    }
}

/// Adds a choice to what names its digest.
fn chosen(builder: KeyBuilder, choice: &Choice<'_>) -> KeyBuilder {
    let builder = builder.list("source", choice.sources.iter()).list_if_any("exclude", choice.exclude.iter());
    builder.list_if_any("parents", choice.parents.then_some("true").iter())
}

/// Returns a mount's source as a COPY's source that names just this path.
pub(super) fn mount_pattern(source: &TreePath) -> String {
    let text = source.to_string();
    text.chars().fold(String::with_capacity(text.len()), |mut pattern, c| {
        if matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
        pattern
    })
}

/// Opens files of layers through the worker; the layers' directories are made ready by the first.
struct WorkerFiles<'a> {
    session: &'a Session<'a>,
    layers: &'a [Layer],
    keys: OnceLock<Option<Vec<LayerKey>>>,
    failure: Mutex<Option<StepError>>,
}

impl LayerFiles for WorkerFiles<'_> {
    fn at_once(&self) -> usize {
        files_at_once()
    }

    fn open(&self, files: &[(usize, &TreePath)]) -> io::Result<Vec<File>> {
        let keys = self.keys.get_or_init(|| match self.session.build.shelf.directories(self.layers) {
            Ok(keys) => Some(keys),
            Err(error) => {
                self.fail(error);
                None
            }
        });
        let Some(keys) = keys else { return Err(io::Error::other("the layers cannot be unpacked")) };
        let files = files.iter().map(|(layer, path)| (keys[*layer], (*path).clone())).collect();
        self.ask(files).map_err(|error| {
            let text = error.to_string();
            self.fail(error);
            io::Error::other(text)
        })
    }
}

impl WorkerFiles<'_> {
    fn ask(&self, files: Vec<(LayerKey, TreePath)>) -> Result<Vec<File>, StepError> {
        Ok(self.session.build.worker.get()?.open_files(files, self.session.build.cancel)?)
    }

    /// Keeps the first error: it says more than what comes of it.
    fn fail(&self, error: StepError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}
