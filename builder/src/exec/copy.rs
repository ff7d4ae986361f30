//! COPY, ADD of local files, WORKDIR, and trees for bind mounts: layers that are written here, without a mount.

use crate::context::tree::{EmptyTree, SourceTree};
use crate::copy::archive::{Archive, read_archive};
use crate::copy::error::CopyError;
use crate::copy::mode::ModeRule;
use crate::copy::owner::{Owner, OwnerError, asks_accounts, owner_or_root, resolve_owner};
use crate::copy::plan::{CopyPlan, Target, plan};
use crate::copy::select::{Choice, Selection};
use crate::copy::workdir::plan_workdir;
use crate::copy::write::write_layer;
use crate::diagnostic::Diagnostic;
use crate::error::StepError;
use crate::exec::material::mount_pattern;
use crate::exec::remote::prefix;
use crate::exec::session::Session;
use crate::exec::step::StepRun;
use crate::plan::op::{CopyOp, From, Remote, WorkdirOp};
use crate::progress::Event;
use layerfs::behind::behind;
use layerfs::digest::{DiffId, HashWriter};
use layerfs::holes::HoleWriter;
use layerfs::indexes::TarFacts;
use layerfs::io_error::IoContext;
use layerfs::layer::{ExecutionId, Layer, LayerKey};
use layerfs::meta::Timestamp;
use layerfs::path::TreePath;
use layerfs::stack::Stack;
use layerfs::trace::Phase;
use std::collections::BTreeMap;
use std::io::Write;

/// The tree that a mount shows.
pub(super) enum TreeOf {
    /// A stage's or an image's.
    Stack(Vec<Layer>),
    /// A private copy of files of a context, with a directory under this name.
    Copied(LayerKey),
    /// Nothing.
    Empty,
}

impl StepRun<'_> {
    /// Copies; the layer is then kept under `key`.
    pub(super) fn copy(&self, op: &CopyOp, key: LayerKey) -> Result<(), StepError> {
        let session = self.session;
        let selected = session.selected(self.stage, self.at, op)?;
        let fetched = session.fetched(op, true)?;
        let all = op.remotes.values().all(|remote| matches!(remote, Remote::File { .. }));
        let selection = match selected.take().filter(|_| all) {
            Some(selection) => selection,
            None => session.select_op((self.stage, self.at), op, &fetched)?.0,
        };
        let below = match op.link && !op.chown.as_deref().is_some_and(asks_accounts) {
            // Nothing of the stack counts, so nothing of it needs to be here.
            true => Stack::default(),
            false => session.build.shelf.indexes(&self.state.stack)?,
        };
        let target = self.target(op, &below)?;
        session.with_sources(op, &fetched, |tree| {
            let archives = archives(op, &selection, tree, session)?;
            let onto = if op.link { Stack::default() } else { below.clone() };
            let plan = plan(selection, &op.heredocs, archives, &target, &onto)?;
            self.write_blob(plan, tree, key)
        })
    }

    fn target<'a>(&self, op: &'a CopyOp, below: &Stack) -> Result<Target<'a>, StepError> {
        Ok(Target {
            destination: &op.destination,
            is_directory: op.destination_is_directory,
            owner: op.chown.as_deref().map(|owner| owner_in(owner, below)).transpose()?,
            mode: op.chmod.as_deref().map(ModeRule::parse).transpose().map_err(CopyError::from)?,
            epoch: self.session.epoch(),
            now: (self.session.build.settings.now)(),
        })
    }

    /// Makes the working directory; the layer, which may be empty, is then kept under `key`.
    pub(super) fn workdir(&self, op: &WorkdirOp, key: LayerKey) -> Result<(), StepError> {
        let below = self.session.build.shelf.indexes(&self.state.stack)?;
        let (owner, missing) = working_owner(&op.user, &below);
        let plan = plan_workdir(&op.path, owner, self.session.epoch(), &below)?;
        if let Some(missing) = missing.filter(|_| !plan.is_empty()) {
            let text = format!("the working directory `{}` belongs to root: {missing}", op.path);
            let step = &self.session.build.plan.stages[self.stage].steps[self.at];
            let warning = Diagnostic::warning(text).at(step.span, "").help(missing.cure());
            self.session.build.sink.event(Event::Warning(warning));
        }
        self.write_blob(plan, &EmptyTree, key)
    }

    /// Writes a planned layer as a blob of the store, with its index and diff ID under `key`.
    fn write_blob(&self, plan: CopyPlan, tree: &dyn SourceTree, key: LayerKey) -> Result<(), StepError> {
        let session = self.session;
        let (shelf, indexes) = (session.build.shelf, session.build.store.indexes());
        let (index, accounts) = shelf.keep_tar(&key, session.position(self.stage, self.at), |file| {
            let mut writing = session.trace().begin(Phase::Writing, || format!("tar of {key}"));
            let mut index = indexes.begin(&key);
            // Files are read beside the hashing of the tar.
            let (written, tar) = behind(HashWriter::new(HoleWriter::new(file)), |out| {
                write_layer(&plan, tree, out, &mut |change| index.push(change)).map(|(_, accounts)| accounts)
            });
            let at = session.build.store.temporary();
            let (accounts, mut tar) = (written?, tar.at("write", &at)?);
            tar.flush().at("write", &at)?;
            let (_, digest, size) = tar.finish();
            writing.bytes(|| size);
            Ok((TarFacts { diff_id: DiffId(digest), size }, (index, accounts)))
        })?;
        Ok(indexes.put_draft(&key, index, accounts)?)
    }
}

/// Returns whom a working directory that is made belongs to, and the name in USER that the tree does not have.
fn working_owner(user: &str, below: &Stack) -> (Owner, Option<OwnerError>) {
    let account = |path: &str| below.account_file(&TreePath::from(path));
    match user {
        "" => (Owner::default(), None),
        user => owner_or_root(user, account("etc/passwd"), account("etc/group")),
    }
}

/// Returns the owner that `--chown` names in a tree.
fn owner_in(text: &str, below: &Stack) -> Result<Owner, StepError> {
    let account = |path: &str| below.account_file(&TreePath::from(path));
    Ok(resolve_owner(text, account("etc/passwd"), account("etc/group")).map_err(CopyError::from)?)
}

/// Returns the archives among what ADD names, by number of the item.
fn archives(
    op: &CopyOp,
    selection: &Selection,
    tree: &dyn SourceTree,
    session: &Session<'_>,
) -> Result<BTreeMap<usize, Archive>, StepError> {
    let (temporary, limits) = (session.build.store.temporary(), &session.build.settings.fetch_limits);
    let mut archives = BTreeMap::new();
    for (number, item) in selection.items.iter().enumerate() {
        let is_remote = op.remotes.keys().any(|number| item.root.is_within(&prefix(*number)));
        if !(if is_remote { op.unpack_remote } else { op.unpack_archives }) {
            continue;
        }
        let Some(file) = item.file() else { continue };
        if let Some(archive) = read_archive(tree, &item.root, file.digest, &temporary, limits)? {
            archives.insert(number, archive);
        }
    }
    Ok(archives)
}

impl Session<'_> {
    /// Returns SOURCE_DATE_EPOCH.
    fn epoch(&self) -> Option<Timestamp> {
        self.build.plan.source_date_epoch.map(Timestamp::from_seconds)
    }

    /// Returns the tree that a mount of `source` in `from` shows.
    ///
    /// # Errors
    /// What copying it failed with.
    pub(super) fn tree_of(&self, from: &From, source: &TreePath) -> Result<TreeOf, StepError> {
        match from {
            From::Stage(_) | From::Image(_) => Ok(TreeOf::Stack(self.layers_of(from))),
            From::Context | From::NamedContext(_) => Ok(TreeOf::Copied(self.copied_tree(from, source)?)),
            From::Scratch => Ok(TreeOf::Empty),
        }
    }

    /// Copies what a mount shows of a context into a layer directory of its own, which lasts from build to build while
    /// the files are the same: never the user's directory is mounted.
    fn copied_tree(&self, from: &From, source: &TreePath) -> Result<LayerKey, StepError> {
        let (selection, digest) = self.select(None, from, &Choice::of(&[mount_pattern(source)]), None)?;
        let name = crate::key::KeyBuilder::new("lbuild context mount v1")
            .part("source", source.as_bytes())
            .part("content", digest.to_string())
            .finish();
        let mut short = [0; 16];
        short.copy_from_slice(&name.0.0.as_bytes()[..16]);
        let key = LayerKey::Execution(ExecutionId(short));
        self.build.shelf.unpack_once(key, |worker| {
            let (epoch, now) = (self.epoch(), (self.build.settings.now)());
            let target = Target { destination: source, is_directory: false, owner: None, mode: None, epoch, now };
            let plan = plan(selection, &[], BTreeMap::new(), &target, &Stack::default())?;
            let (reader, writer) = std::io::pipe().at("create", "pipe")?;
            std::thread::scope(|scope| {
                let tree = self.build.contexts.tree(from);
                let writing = scope.spawn(move || write_layer(&plan, tree, writer, &mut |_| Ok(())).map(drop));
                let unpacked = worker.unpack_as(std::os::fd::AsFd::as_fd(&reader), key, self.build.cancel);
                drop(reader);
                let written = writing.join().expect("writing a layer does not panic");
                unpacked?;
                Ok(written?)
            })
        })
    }
}
