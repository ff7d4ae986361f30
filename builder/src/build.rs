//! [`build`]: from a request to an image in its outputs.

use crate::assemble::{self, AssembledLayer};
use crate::attend::{Attendant, FailedStep};
use crate::bases::{Base, Bases};
use crate::cache::{CacheBackend, LocalCache};
use crate::diagnostic::Diagnostic;
use crate::dockerfile::Dockerfile;
use crate::error::{BuildError, StepError};
use crate::exec::{Build, Contexts, LazyWorker, Session, Settings, Shelf, State};
use crate::fit::{refuse_foreign, unknown_stages};
use crate::listener::{Client, with_registries};
use crate::onbuild::{Settled, settle};
use crate::output::Exported;
use crate::plan::{Plan, PlanBase, PlanOptions, PlannedStage};
use crate::progress::{Event, ProgressSink};
use crate::push::Places;
use crate::reading::{Reading, graph_options};
use crate::request::{BuildRequest, Output};
use crate::resolve::resolve;
use crate::rework::Finished;
use crate::several::build_several;
use crate::shared::Shared;
use crate::with_contexts::named;
use crate::worker::id_map::{Caller, IdMap};
use layerfs::cancel::Cancel;
use layerfs::digest::Digest;
use layerfs::export::{EarlyForms, ExportLayer, FinishedImage, Rework};
use layerfs::layer::{ExecutionId, Layer};
use layerfs::meta::Timestamp;
use layerfs::store::Store;
use std::collections::{BTreeMap, HashSet};
use std::sync::Once;

/// What a build came to.
#[derive(Debug, Clone)]
pub struct BuildResult {
    /// The image ID: digest of its config.
    pub id: Digest,
    /// What it became in each output, in the order of the request.
    pub outputs: Vec<Exported>,
    /// The sizes in bytes of its layers as they are kept, the lowest first.
    pub layer_sizes: Vec<u64>,
}

/// Builds an image and writes it to its outputs.
///
/// # Errors
/// [`BuildError`]; whatever was finished before stays in the cache, and no output is half-written.
pub fn build(
    request: &BuildRequest,
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<BuildResult, BuildError> {
    build_attended(request, store, sink, cancel, None)
}

/// Builds as [`build`] does; what a failed command leaves is kept until `attendant` has looked at it.
///
/// # Errors
/// As [`build`].
pub fn build_attended(
    request: &BuildRequest,
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
    attendant: Option<&dyn Attendant>,
) -> Result<BuildResult, BuildError> {
    if !request.more_platforms.is_empty() {
        return build_several(request, store, sink, cancel, attendant);
    }
    let reading = Reading::of(request, sink)?;
    build_one(request, &Shared { reading, store, cancel, attendant, made: None })
}

/// Builds the image for one platform.
pub(crate) fn build_one(request: &BuildRequest, shared: &Shared<'_>) -> Result<BuildResult, BuildError> {
    let Shared { reading, store, cancel, .. } = shared;
    reading.check_graph(request)?;
    let sink = reading.sink;
    let cache = LocalCache::new(store);
    let once = Once::new();
    let mut again = false;
    loop {
        let ends = cancel.child().map_err(|error| StepError::io("create", "eventfd", &error))?;
        let outcome = with_registries(&request.registries, sink, &ends, |client| {
            let (cache, once) = (&cache, &once);
            Asked { request, shared, client, cache, once }.build(again, &ends)
        });
        match outcome {
            Err(error) if error.gone().is_some() && !cancel.is_cancelled() => strike(&cache, error)?,
            Err(_) if cancel.is_cancelled() => return Err(BuildError::Cancelled),
            other => return other,
        }
        again = true;
    }
}

/// What a build would do.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The images that it starts from, in the order of their numbers.
    pub images: Vec<PlannedImage>,
}

/// An image that a plan starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedImage {
    /// Its name, as the Dockerfile has it.
    pub name: String,
    /// Where it is.
    pub location: String,
}

/// Returns what [`build`] would do. Registries are asked for manifests and configs; nothing is run, and no layer read.
///
/// # Errors
/// [`BuildError`].
pub fn plan(
    request: &BuildRequest,
    store: &Store,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<Planned, BuildError> {
    let reading = Reading::of(request, sink)?;
    reading.check_graph(request)?;
    with_registries(&request.registries, sink, cancel, |client| {
        let (plan, bases, warnings) = planned(&reading.dockerfile, request, store, client)?;
        reading.tell(warnings);
        let image = |base: &Base| PlannedImage { name: base.name.clone(), location: base.source.location() };
        Ok(Planned { plan, images: bases.images.iter().map(image).collect() })
    })
}

/// What is asked for, and all that is there to do it with.
struct Asked<'a> {
    request: &'a BuildRequest,
    shared: &'a Shared<'a>,
    client: &'a Client,
    cache: &'a dyn CacheBackend,
    once: &'a Once,
}

impl Asked<'_> {
    /// Tries once, or `again`: what is to be told is told the first time.
    fn build(&self, again: bool, ends: &Cancel) -> Result<BuildResult, BuildError> {
        let Self { request, shared, client, cache, once } = *self;
        let Shared { reading, store, cancel, .. } = shared;
        let sink = reading.sink;
        let (plan, bases, warnings) = planned(&reading.dockerfile, request, store, client)?;
        if !again {
            reading.tell(warnings);
            reading.judge()?;
            sink.event(Event::PlanReady { steps: plan.step_names(), edges: plan.edges() });
        }
        let fetched = named(&plan, request, store, (client, sink, ends))?;
        let contexts = Contexts::open(request, store, &plan.named_contexts(), &fetched).map_err(BuildError::Context)?;
        let (plan, bases, contexts) = (&plan, &bases, &contexts);
        let outcome =
            Attempt { request, shared, store, sink, client, plan, bases, contexts, cache, told: once }.run(ends);
        let ended = outcome.as_ref().err().is_some_and(|error| error.gone().is_some() || cancel.is_cancelled());
        if !ended {
            tell_sockets(&contexts.sockets(), sink);
            remember(contexts, sink);
        }
        outcome
    }
}

/// Returns the plan of a Dockerfile with the triggers of its bases in place, the bases, each asked for once, and what
/// the user should look at.
pub(crate) fn planned(
    dockerfile: &Dockerfile,
    request: &BuildRequest,
    store: &Store,
    client: &Client,
) -> Result<(Plan, Bases, Vec<Diagnostic>), BuildError> {
    let mut known = Bases::default();
    let settled = settle(dockerfile, &graph_options(request), |images| {
        known = resolve(images, &known, request, store, client)?;
        Ok::<_, BuildError>(known.clone())
    });
    let Settled { dockerfile, graph, bases } = settled?;
    let (plan, warnings) = Plan::new(&dockerfile, &graph, &bases, &plan_options(request))?;
    refuse_foreign(&plan, &graph, &request.emulated)?;
    let unknown = unknown_stages(&dockerfile, request);
    let warnings = graph.warnings.into_iter().chain(warnings).chain(unknown).collect();
    Ok((plan, bases, warnings))
}

/// Strikes every record that holds the layer that is gone; the caller then starts again, which ends, since no record
/// is struck twice.
fn strike(cache: &dyn CacheBackend, error: BuildError) -> Result<(), BuildError> {
    let Some(execution) = error.gone() else { return Err(error) };
    match cache.strike(&[execution]) {
        Ok(0) => Err(error),
        Ok(_) => Ok(()),
        Err(error) => Err(BuildError::Output(error.into())),
    }
}

/// Says which sockets of the contexts became files, the first few by name.
fn tell_sockets(sockets: &[String], sink: &dyn ProgressSink) {
    const SHOWN: usize = 3;
    if sockets.is_empty() {
        return;
    }
    let mut names: Vec<String> = sockets.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if sockets.len() > SHOWN {
        names.push(format!("and {} more", sockets.len() - SHOWN));
    }
    let text =
        format!("no layer can hold sockets: those of the build context are empty files in it: {}", names.join(", "));
    sink.event(Event::Warning(Diagnostic::warning(text)));
}

/// Keeps what was learned of the context's files. Without it the next build reads them again, which is no reason to fail.
fn remember(contexts: &Contexts, sink: &dyn ProgressSink) {
    if let Err(error) = contexts.save() {
        let text = format!("the digests of the context's files could not be kept for the next build: {error}");
        sink.event(Event::Warning(Diagnostic::warning(text)));
    }
}

fn plan_options(request: &BuildRequest) -> PlanOptions {
    PlanOptions {
        proxies: request.proxies.clone(),
        network: request.network,
        labels: request.labels.clone(),
        host_name: None,
        extra_hosts: request.extra_hosts.clone(),
        source_date_epoch: request.source_date_epoch.and_then(|epoch| i64::try_from(epoch).ok()),
        allow_insecure: request.allow_insecure,
    }
}

/// One try at a plan; another follows only if a layer that a record holds turned out to be gone.
struct Attempt<'a> {
    request: &'a BuildRequest,
    shared: &'a Shared<'a>,
    store: &'a Store,
    sink: &'a dyn ProgressSink,
    client: &'a Client,
    plan: &'a Plan,
    bases: &'a Bases,
    contexts: &'a Contexts,
    cache: &'a dyn CacheBackend,
    told: &'a Once,
}

impl Attempt<'_> {
    fn run(&self, cancel: &Cancel) -> Result<BuildResult, BuildError> {
        let caller = Caller::read(None);
        let map = IdMap::detect(&caller);
        let worker = LazyWorker::new(self.store.root(), &map, cancel).traced(self.store.trace());
        let directories = self.store.directories(&map.digest).map_err(StepError::from)?;
        let lease = self.store.lease().map_err(StepError::from)?;
        let shelf = Shelf::new(self.store, directories, &worker, self.bases, &lease);
        let early = self.early_forms();
        let shelf = shelf.telling(self.sink).wanting(&self.wanted()).followed_by(early.as_ref());
        let settings = Settings {
            no_cache: self.stages_without_cache(),
            made: self.shared.made.as_ref(),
            limits: self.request.limits.clone(),
            fetch_limits: self.request.fetch_limits.clone(),
            keep_failed: self.shared.attendant.is_some(),
            jobs: self.request.jobs.map(Into::into),
            secrets: &self.request.secrets,
            git_environment: &self.request.git_environment,
            ssh: &self.request.ssh,
            ca_file: self.request.registries.ca_file.as_deref(),
            tier: if map.is_single() { "one id" } else { "ranges" },
            now: Timestamp::now,
            random,
            before_commands: (self.told, map.kept_groups(&caller).map(Diagnostic::warning)),
        };
        let session = Session::new(Build {
            plan: self.plan,
            bases: self.bases,
            settings: &settings,
            contexts: self.contexts,
            store: self.store,
            shelf: &shelf,
            worker: &worker,
            cache: self.cache,
            registries: &self.client.registries,
            sink: self.sink,
            cancel,
        });
        // Whoever fails ends what is done beside.
        let run = || session.run().inspect_err(|_| cancel.cancel());
        let outcome = self.beside_fetching(&shelf, cancel, || match &early {
            Some(early) => early.beside(cancel, run),
            None => run(),
        });
        let state = outcome.inspect_err(|error| self.attend(error, &session, &worker, &map))?;
        let image = self.finish(&shelf, &state)?;
        let base = state.stack.iter().filter(|layer| matches!(layer, Layer::Base { .. })).count();
        let rework = Rework { store: self.store, lease: &lease, cancel };
        let finished = Finished { image, base, epoch: self.request.source_date_epoch, rework };
        let finished = if self.request.squash { finished.squashed().map_err(StepError::from)? } else { finished };
        let places = Places { store: self.store, client: self.client, sink: self.sink };
        let outputs = places.write(&self.request.outputs, &finished, cancel)?;
        let layer_sizes = finished.image.layers.iter().map(|layer| layer.blob.size).collect();
        Ok(BuildResult { id: finished.image.id(), outputs, layer_sizes })
    }

    /// Shows a command that failed to the attendant, while what it left is still there.
    fn attend(&self, error: &BuildError, session: &Session<'_>, worker: &LazyWorker<'_>, map: &IdMap) {
        let (Some(attendant), BuildError::Step { name, id, .. }) = (self.shared.attendant, error) else { return };
        let Some(run) = session.take_failed(*id) else { return };
        let (store, bases, cancel) = (self.store, self.bases, self.shared.cancel);
        attendant.failed(FailedStep { name: name.clone(), run, worker, store, bases, map, cancel });
    }

    /// Returns the stages whose steps all run again.
    fn stages_without_cache(&self) -> HashSet<usize> {
        let named = |stage: &PlannedStage| {
            let name = stage.name.as_deref();
            let is = |wanted: &String| name.is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            self.request.no_cache || self.request.no_cache_stages.iter().any(is)
        };
        let stages = self.plan.stages.iter().enumerate();
        stages.filter(|(_, stage)| named(stage)).map(|(number, _)| number).collect()
    }

    fn needs_bytes(&self) -> bool {
        self.request.squash || self.request.outputs.iter().any(Output::needs_bytes)
    }

    /// Returns what compresses layers while they are written, for the first output that wants them compressed as they
    /// are. A registry gets the last one while it is compressed.
    fn early_forms(&self) -> Option<EarlyForms<'_>> {
        let as_they_are = |output: &&Output| !self.request.squash && !output.look().rewrite_timestamp;
        let mut asking = self.request.outputs.iter().filter(as_they_are);
        let (output, form) = asking.find_map(|output| Some((output, output.compression()?)))?;
        Some(EarlyForms::new(form, matches!(output, Output::Registry { .. }), self.store))
    }

    /// Returns the images whose layers are to be kept once they have been fetched.
    fn wanted(&self) -> HashSet<usize> {
        let mut wanted = self.plan.images_read();
        wanted.extend(self.plan.image_of(self.plan.target).filter(|_| self.needs_bytes()));
        wanted
    }

    /// Does `work`, which ends all if it fails, and fetches meanwhile what an output needs of the base, whatever the steps
    /// need.
    fn beside_fetching(
        &self,
        shelf: &Shelf<'_>,
        cancel: &Cancel,
        work: impl FnOnce() -> Result<State, BuildError>,
    ) -> Result<State, BuildError> {
        let base = self.plan.image_of(self.plan.target).filter(|_| self.needs_bytes());
        let layers = base.map(|number| self.bases.images[number].image.manifest.layers.as_slice()).unwrap_or_default();
        std::thread::scope(|scope| {
            let fetch = |blob| move || shelf.import(blob).inspect_err(|_| cancel.cancel());
            let fetching: Vec<_> = layers.iter().map(|blob| scope.spawn(fetch(blob))).collect();
            let result = work();
            let fetched = fetching.into_iter().map(|thread| thread.join().expect("fetching does not panic"));
            let failure = fetched.filter_map(Result::err).find(|error| !matches!(error, StepError::Cancelled));
            match (result, failure) {
                // What was ended for another's failure says nothing.
                (Err(error), Some(failure)) if error.rank().0 => Err(failure.into()),
                (Err(error), _) => Err(error),
                (Ok(_), Some(failure)) => Err(failure.into()),
                (Ok(state), None) => Ok(state),
            }
        })
    }

    /// Returns the image of a finished target: every layer that an output needs as a blob in the store, and the config.
    fn finish(&self, shelf: &Shelf<'_>, state: &State) -> Result<FinishedImage, BuildError> {
        let layers = shelf.blobs(&state.stack, self.needs_bytes())?;
        let base =
            match assemble::chain(self.plan, self.plan.target).first().map(|stage| &self.plan.stages[*stage].base) {
                Some(PlanBase::Image(number)) => Some(&self.bases.images[*number].image.config),
                _ => None,
            };
        let built = assembled(&state.stack, &layers);
        let config = assemble::image_config(self.plan, self.plan.target, base, &built)?;
        Ok(FinishedImage::new(config, layers, BTreeMap::new()))
    }
}

/// Returns diff IDs and times of the layers that were built, the lowest first.
fn assembled(stack: &[Layer], layers: &[ExportLayer]) -> Vec<AssembledLayer> {
    let built = |(layer, export): (&Layer, &ExportLayer)| match layer {
        Layer::Built { created, .. } => Some(AssembledLayer { diff_id: export.diff_id, created: *created }),
        Layer::Base { .. } => None,
    };
    stack.iter().zip(layers).filter_map(built).collect()
}

/// Returns a random name for an execution.
pub(crate) fn random() -> ExecutionId {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel gives 16 random bytes at once");
    ExecutionId(bytes)
}
