//! [`usage`]: what takes room in a store; [`prune`]: what of it goes.

use crate::cache::{CacheBackend, LocalCache, Record};
use crate::error::StepError;
use crate::exec::LazyWorker;
use crate::known_urls::KnownUrls;
use crate::maintain::{as_store_error, remove};
use crate::room::{Room, free};
use crate::worker::id_map::{Caller, IdMap};
use layerfs::cancel::Cancel;
use layerfs::digest::Digest;
use layerfs::error::StoreError;
use layerfs::layer::{Layer, LayerKey};
use layerfs::sealed;
use layerfs::store::{Found, GcOptions, GcReport, Kind, Reach, Store};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How long a record that was not used stays when nothing else is said.
const RECORD_AGE: Duration = Duration::from_secs(14 * 24 * 3600);
/// How long the index of a base stays after its blobs are gone.
const INDEX_AGE: Duration = Duration::from_secs(60 * 24 * 3600);

/// Which of what no image needs goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// All of it, however young, cache mounts included.
    pub all: bool,
    /// Only what is of these kinds; of any if there is none.
    pub kinds: BTreeSet<Kind>,
    /// Only what was not used for so long.
    pub unused_for: Option<Duration>,
    /// What was not used for longest, until the store takes no more room than this.
    pub room: Room,
}

/// Returns all that takes room in a store, every directory measured.
///
/// # Errors
/// The store's, the worker's.
pub fn usage(store: &Store, cancel: &Cancel) -> Result<Vec<Found>, StepError> {
    let map = IdMap::detect(&Caller::read(None));
    measured(store, &LazyWorker::new(store.root(), &map, cancel), cancel)
}

fn measured(store: &Store, worker: &LazyWorker<'_>, cancel: &Cancel) -> Result<Vec<Found>, StepError> {
    let mut found = store.found()?;
    for one in &mut found {
        if one.bytes.is_none() {
            let path = one.path.strip_prefix(store.root()).unwrap_or(&one.path);
            one.bytes = Some(worker.get()?.measure(vec![path.to_string_lossy().into_owned()], cancel)?);
        }
    }
    Ok(found)
}

/// Deletes what no image needs, as `options` say. What running builds hold stays, cache mounts stay while any runs.
///
/// # Errors
/// The store's, the worker's.
pub fn prune(store: &Store, options: &PruneOptions, cancel: &Cancel) -> Result<GcReport, StepError> {
    Ok(prune_measured(store, options, cancel)?.0)
}

/// Does what [`prune`] does, and returns how many bytes are left if `options` say how many may be; else 0.
///
/// # Errors
/// The store's, the worker's.
pub fn prune_to(store: &Store, options: &PruneOptions, cancel: &Cancel) -> Result<u64, StepError> {
    Ok(prune_measured(store, options, cancel)?.1)
}

fn prune_measured(store: &Store, options: &PruneOptions, cancel: &Cancel) -> Result<(GcReport, u64), StepError> {
    let map = IdMap::detect(&Caller::read(None));
    let worker = LazyWorker::new(store.root(), &map, cancel);
    let cache = LocalCache::new(store);
    let records = cache.list()?;
    let leaving = Leaving::choose(store, options, &worker, &records, cancel)?;
    let mut kept = Reach::default();
    let gone: Vec<_> = leaving.records.iter().map(|at| records[*at].0.execution).collect();
    if !gone.is_empty() {
        cache.strike(&gone)?;
    }
    cache.list()?.iter().for_each(|(record, _)| kept.add_stack(&record.stack));
    let mut bytes = 0;
    for path in &leaving.derivatives {
        bytes += path.metadata().map_or(0, |metadata| std::os::unix::fs::MetadataExt::blocks(&metadata) * 512);
        sealed::remove(path)?;
    }
    let derived = leaving.derivatives.len() as u64;
    if !options.collects() {
        return Ok((GcReport { derived, bytes, ..GcReport::default() }, leaving.left));
    }
    let index_age = if options.all { Duration::ZERO } else { INDEX_AGE };
    // What registries were asked for lately is not asked for again because of a gc.
    let oldest = SystemTime::now().checked_sub(index_age).unwrap_or(SystemTime::UNIX_EPOCH);
    kept.merge(&store.reach_of_remembered(oldest)?);
    let gc = GcOptions { records: kept, index_age, mounts: leaving.mounts };
    let mut remover = |paths: &[PathBuf]| remove(&worker, paths, cancel).map_err(as_store_error);
    let mut report = store.gc(&gc, &mut remover)?;
    let (urls, freed) = KnownUrls::of(store).forget_gone()?;
    report.leftovers += urls;
    report.bytes += freed;
    report.derived += derived;
    report.bytes += bytes;
    Ok((report, leaving.left))
}

impl PruneOptions {
    /// Reports whether things of `kind` may go; those that are `asked` for by name only, if they are.
    fn takes(&self, kind: Kind, asked: bool) -> bool {
        if self.kinds.is_empty() { !asked || self.all } else { self.kinds.contains(&kind) }
    }

    /// Reports whether what nothing needs is collected, and not only files of one kind deleted.
    fn collects(&self) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|kind| *kind != Kind::Derivatives)
    }

    fn is_old(&self, used: SystemTime, usual: Option<Duration>) -> bool {
        // A time in the future counts as now.
        let age = SystemTime::now().duration_since(used).unwrap_or_default();
        let wanted = if self.all || self.room.is_bounded() { self.unused_for } else { self.unused_for.or(usual) };
        wanted.is_none_or(|wanted| age >= wanted)
    }
}

/// What is to go.
#[derive(Debug, Default)]
struct Leaving {
    records: BTreeSet<usize>,
    mounts: Vec<PathBuf>,
    derivatives: Vec<PathBuf>,
    /// Bytes that stay, if they were counted.
    left: u64,
}

impl Leaving {
    fn choose(
        store: &Store,
        options: &PruneOptions,
        worker: &LazyWorker<'_>,
        records: &[(Record, SystemTime)],
        cancel: &Cancel,
    ) -> Result<Self, StepError> {
        if !options.room.is_bounded() {
            return Ok(Candidates::of(options, records, &store.found()?).all());
        }
        let found = measured(store, worker, cancel)?;
        let total = found.iter().filter_map(|one| one.bytes).sum();
        let most = options.room.limit(total, free(store.root()).map_err(StoreError::from)?);
        Candidates::of(options, records, &found).until(most, records, &found, store)
    }
}

/// What may go.
struct Candidates<'a> {
    records: Vec<(usize, SystemTime)>,
    files: Vec<&'a Found>,
}

impl<'a> Candidates<'a> {
    fn of(options: &PruneOptions, records: &[(Record, SystemTime)], found: &'a [Found]) -> Self {
        let old_records = records.iter().enumerate().map(|(at, (_, used))| (at, *used));
        let takes_records = options.takes(Kind::Records, false);
        let records =
            old_records.filter(|(_, used)| takes_records && options.is_old(*used, Some(RECORD_AGE))).collect();
        let takes = |one: &&Found| {
            let by_name = matches!(one.kind, Kind::Caches | Kind::Derivatives);
            by_name && options.takes(one.kind, true) && options.is_old(one.used, None)
        };
        Self { records, files: found.iter().filter(takes).collect() }
    }

    fn all(self) -> Leaving {
        let mut leaving = Leaving { records: self.records.iter().map(|(at, _)| *at).collect(), ..Leaving::default() };
        self.files.into_iter().for_each(|one| leaving.add(one));
        leaving
    }

    /// Returns what was not used for longest, until `most` bytes are left.
    fn until(
        self,
        most: u64,
        records: &[(Record, SystemTime)],
        found: &[Found],
        store: &Store,
    ) -> Result<Leaving, StepError> {
        let held = store.held()?;
        let mut ledger = Ledger::new(records, found, &held, store)?;
        let mut order: Vec<(SystemTime, Candidate<'_>)> =
            self.files.into_iter().map(|one| (one.used, Candidate::File(one))).collect();
        order.extend(self.records.into_iter().map(|(at, used)| (used, Candidate::Record(at))));
        order.sort_by_key(|(used, _)| *used);
        let mut leaving = Leaving::default();
        for (_, candidate) in order {
            if ledger.left <= most {
                break;
            }
            match candidate {
                Candidate::File(one) => {
                    ledger.left = ledger.left.saturating_sub(one.bytes.unwrap_or(0));
                    leaving.add(one);
                }
                // A running build needs it, and nothing would come free.
                Candidate::Record(at) if is_held(&records[at].0, &held) => {}
                Candidate::Record(at) => {
                    ledger.strike(&records[at].0);
                    leaving.records.insert(at);
                }
            }
        }
        Ok(Leaving { left: ledger.left, ..leaving })
    }
}

/// Reports whether a running build holds the layer that a record ends with.
fn is_held(record: &Record, held: &Reach) -> bool {
    match record.stack.last() {
        Some(Layer::Built { execution, .. }) => held.layers.contains(&LayerKey::Execution(*execution)),
        Some(Layer::Base { blob, .. }) => held.blobs.contains(&blob.digest),
        None => false,
    }
}

enum Candidate<'a> {
    Record(usize),
    File(&'a Found),
}

impl Leaving {
    fn add(&mut self, one: &Found) {
        match one.kind {
            Kind::Caches => self.mounts.push(one.path.clone()),
            _ => self.derivatives.push(one.path.clone()),
        }
    }
}

/// What would be left if some records were struck: a layer goes with the last record that needs it.
struct Ledger {
    left: u64,
    sizes: HashMap<Part, u64>,
    users: HashMap<Part, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Blob(Digest),
    Layer(LayerKey),
}

impl Ledger {
    /// What running builds hold goes with no record.
    fn new(records: &[(Record, SystemTime)], found: &[Found], held: &Reach, store: &Store) -> Result<Self, StepError> {
        let left: u64 = found.iter().filter_map(|one| one.bytes).sum();
        let is_held = |one: &&Found| one.layer.is_some_and(|key| held.layers.contains(&key));
        let unneeded =
            || found.iter().filter(|one| !one.needed && one.kind == Kind::Layers).filter(|one| !is_held(one));
        let mut sizes: HashMap<Part, u64> = HashMap::new();
        let mut tars: HashMap<Digest, LayerKey> = HashMap::new();
        for (one, key) in unneeded().filter_map(|one| Some((one, one.layer?))) {
            *sizes.entry(Part::Layer(key)).or_default() += one.bytes.unwrap_or(0);
            tars.extend(store.indexes().tar(&key)?.map(|tar| (tar.diff_id.0, key)));
        }
        for one in unneeded().filter(|one| one.layer.is_none()) {
            let name = one.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(digest) = Digest::from_hex(name) else { continue };
            if held.blobs.contains(&digest) {
                continue;
            }
            let part = tars.get(&digest).map_or(Part::Blob(digest), |key| Part::Layer(*key));
            *sizes.entry(part).or_default() += one.bytes.unwrap_or(0);
        }
        let mut users: HashMap<Part, usize> = HashMap::new();
        for part in records.iter().flat_map(|(record, _)| parts(record)) {
            *users.entry(part).or_default() += 1;
        }
        // What nothing uses goes in any case.
        let unused: u64 = sizes.iter().filter(|(part, _)| !users.contains_key(*part)).map(|(_, size)| size).sum();
        let left = left.saturating_sub(unused);
        Ok(Self { left, sizes, users })
    }

    fn strike(&mut self, record: &Record) {
        for part in parts(record) {
            let Some(users) = self.users.get_mut(&part) else { continue };
            *users -= 1;
            if *users == 0 {
                self.left = self.left.saturating_sub(self.sizes.get(&part).copied().unwrap_or(0));
            }
        }
    }
}

/// Returns what a record keeps from going.
fn parts(record: &Record) -> Vec<Part> {
    let mut reach = Reach::default();
    reach.add_stack(&record.stack);
    let layers = reach.layers.into_iter().map(Part::Layer);
    layers.chain(reach.blobs.into_iter().map(Part::Blob)).collect()
}
