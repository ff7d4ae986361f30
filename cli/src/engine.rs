//! The one place where commands call `builder` and `layerfs`.

use crate::exit::Exit;
use crate::report::{Failure, More};
use builder::annotation::Annotation;
use builder::attend::Attendant;
use builder::call::{Checked, Outline, Target};
use builder::diagnostic::Diagnostic;
use builder::doctor::Finding;
use builder::error::{BuildError, StepError};
use builder::listener::{Client, with_registries};
use builder::progress::ProgressSink;
use builder::request::{BuildRequest, RunRequest};
use builder::{
    BuildResult, Bundle, DockerfilePlace, ManifestBytes, Places, Planned, PruneOptions, PullRequest, Pulled, Pushed,
};
use layerfs::cancel::Cancel;
use layerfs::compare::{Difference, Side};
use layerfs::digest::Digest;
use layerfs::error::StoreError;
use layerfs::export::{ExportLayer, FinishedImage, LayerCompression, SaveTo};
use layerfs::image::Image;
use layerfs::load::Loaded;
use layerfs::platform::Platform;
use layerfs::reference::ImageRef;
use layerfs::registry::Registries;
use layerfs::registry::credentials::{Credential, Credentials, Keeper};
use layerfs::registry::observer::Silent;
use layerfs::registry::settings::RegistrySettings;
use layerfs::source::Collection;
use layerfs::store::{Found, FsckReport, ImageSummary, Store};
use layerfs::trace::Trace;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

/// An image of the store.
#[derive(Debug)]
pub struct StoredImage {
    /// Config and manifest.
    pub image: Image,
    /// Its names; none if only its ID is left.
    pub names: Vec<ImageRef>,
    /// Bytes of its layers, uncompressed as far as the store knows.
    pub size: u64,
    /// Whether some of them may be in a registry only.
    pub is_sparse: bool,
}

/// What `rmi` did.
#[derive(Debug, Default)]
pub struct Removed {
    /// Names that are gone.
    pub names: Vec<ImageRef>,
    /// Images that no name is left for.
    pub images: Vec<Digest>,
}

/// What `prune` did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Objects that are gone.
    pub objects: u64,
    /// Bytes that were theirs.
    pub bytes: u64,
}

/// The store of a build.
#[derive(Debug)]
pub struct Place<'a> {
    /// Its directory.
    pub root: &'a Path,
    /// Who is told where the time goes.
    pub trace: Trace,
}

/// Fetches the build context if it is no directory of the user, and the Dockerfile if it is in one or at a URL.
///
/// # Errors
/// [`Failure`] if one cannot be had.
pub fn with_contexts(
    request: BuildRequest,
    dockerfile: Option<&DockerfilePlace>,
    root: &Path,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<BuildRequest, Failure> {
    Ok(builder::with_contexts(request, dockerfile, &open(root)?, sink, cancel)?)
}

/// Builds; returns what it came to. What a failed command leaves is shown to `attendant`.
///
/// # Errors
/// [`Failure`] with the exit status of a RUN that failed; the log is added by the caller.
pub fn build(
    request: &BuildRequest,
    place: &Place<'_>,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
    attendant: Option<&dyn Attendant>,
) -> Result<BuildResult, Failure> {
    let store = open(place.root)?.traced(place.trace.clone());
    let result = builder::build_attended(request, &store, sink, cancel, attendant);
    result.map_err(|error| of_build(&error))
}

/// Checks a build.
///
/// # Errors
/// A store that cannot be opened; what is wrong with the build is in what comes back.
pub fn build_checks(
    request: &BuildRequest,
    root: &Path,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<Checked, Failure> {
    Ok(builder::call::check(request, &open(root)?, sink, cancel))
}

/// Returns what the target of a build takes.
///
/// # Errors
/// [`Failure`], without the Dockerfile.
pub fn outline(request: &BuildRequest) -> Result<Outline, Failure> {
    builder::call::outline(request).map_err(|error| of_build(&error))
}

/// Returns the stages that can be targets.
///
/// # Errors
/// [`Failure`], without the Dockerfile.
pub fn targets(request: &BuildRequest) -> Result<Vec<Target>, Failure> {
    builder::call::targets(request).map_err(|error| of_build(&error))
}

/// Returns the failure of a build: the first diagnostic, and how a command ended.
pub fn of_build(error: &BuildError) -> Failure {
    let mut diagnostics = error.diagnostics().into_iter();
    let diagnostic = diagnostics.next().unwrap_or_else(|| Diagnostic::error(error.to_string()));
    let more = Box::new(More(diagnostics.collect()));
    let exit = error.exit().map_or(Exit::Lbuild, of_command);
    Failure { diagnostic: Box::new(diagnostic), more, source: None, log: None, exit }
}

/// Returns how lbuild ends if a command ended so.
fn of_command(exit: builder::worker::protocol::Exit) -> Exit {
    match exit {
        builder::worker::protocol::Exit::Status(0) => Exit::Success,
        builder::worker::protocol::Exit::Status(status) => Exit::Command(u8::try_from(status).unwrap_or(u8::MAX)),
        builder::worker::protocol::Exit::Signal(signal) => Exit::Signal(u8::try_from(signal).unwrap_or(u8::MAX)),
    }
}

/// Runs a command in an image; its output comes as events of one step.
///
/// # Errors
/// [`Failure`] if it could not be started, with the status that a shell would give.
pub fn run(
    request: &RunRequest,
    image: &StoredImage,
    root: &Path,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<Exit, Failure> {
    let store = open(root)?;
    match builder::run_image(request, &image.image.descriptor(), &store, sink, cancel) {
        Ok(exit) => Ok(of_command(exit)),
        Err(error) => Err(Failure { exit: error.exit().map_or(Exit::Lbuild, of_command), ..Failure::of(&error) }),
    }
}

/// Runs a command, or a shell, in a failed step's file system.
///
/// # Errors
/// [`Failure`] if it could not be started, with the status that a shell would give.
pub fn shell(
    bundle: &Bundle,
    command: &[String],
    allow_insecure: bool,
    terminal: Option<BorrowedFd<'_>>,
    root: &Path,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
) -> Result<Exit, Failure> {
    match bundle.enter(command, allow_insecure, terminal, &open(root)?, sink, cancel) {
        Ok(exit) => Ok(of_command(exit)),
        Err(error) => Err(Failure { exit: error.exit().map_or(Exit::Lbuild, of_command), ..Failure::of(&error) }),
    }
}

/// Returns what a build would do.
///
/// # Errors
/// [`Failure`].
pub fn plan(request: &BuildRequest, root: &Path, sink: &dyn ProgressSink, cancel: &Cancel) -> Result<Planned, Failure> {
    builder::plan_build(request, &open(root)?, sink, cancel).map_err(|error| of_build(&error))
}

/// Looks at what this machine allows.
///
/// # Errors
/// [`Failure`] if there can be no store.
pub fn examine(root: &Path, cancel: &Cancel) -> Result<Vec<Finding>, Failure> {
    Ok(builder::doctor::examine(&open(root)?, cancel))
}

/// What commands that speak to registries are given.
pub struct Registry<'a> {
    /// The store's directory.
    pub root: &'a Path,
    /// How registries are spoken to.
    pub settings: RegistrySettings,
    /// Who is told how it goes on.
    pub sink: &'a dyn ProgressSink,
    /// Ends it.
    pub cancel: &'a Cancel,
}

impl Registry<'_> {
    fn with<T>(&self, work: impl FnOnce(Places<'_>) -> Result<T, StepError>) -> Result<T, Failure> {
        let store = open(self.root)?;
        let at = |client: &Client| work(Places { store: &store, client, sink: self.sink });
        Ok(with_registries(&self.settings, self.sink, self.cancel, at)?)
    }

    /// Brings images into the store.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn pull(&self, names: Vec<ImageRef>, platform: Platform) -> Result<Vec<Pulled>, Failure> {
        let request = PullRequest { names, platform, registries: self.settings.clone() };
        Ok(builder::pull(&request, &open(self.root)?, self.sink, self.cancel)?)
    }

    /// Brings what is missing of an image into the store: everything, or blobs that are in a registry only.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn complete(&self, name: &ImageRef) -> Result<(), Failure> {
        let store = open(self.root)?;
        if !builder::complete(name, &self.settings, &store, self.sink, self.cancel)? {
            self.pull(vec![name.clone()], Platform::host())?;
        }
        Ok(())
    }

    /// Pushes images of the store; with `all_tags` every name that it has in their repositories.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn push(&self, names: &[ImageRef], all_tags: bool) -> Result<Vec<Pushed>, Failure> {
        self.with(|places| {
            let names = if all_tags { places.all_tags(names)? } else { names.to_vec() };
            places.push(&names, LayerCompression::REGISTRY)
        })
    }

    /// Returns what a name leads to in its registry.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn manifest(&self, name: &ImageRef) -> Result<ManifestBytes, Failure> {
        self.with(|places| places.fetch_manifest(name))
    }

    /// Makes an index of images, and pushes it if that is wanted.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn create_index(
        &self,
        name: &ImageRef,
        images: &[ImageRef],
        annotations: &[Annotation],
        push: bool,
    ) -> Result<ManifestBytes, Failure> {
        self.with(|places| places.create_index(name, images, annotations, push))
    }
}

/// Returns the images of the store, the newest first.
///
/// # Errors
/// [`Failure`].
pub fn images(root: &Path) -> Result<Vec<StoredImage>, Failure> {
    let store = open(root)?;
    let stored = |summary: ImageSummary| -> Result<StoredImage, Failure> {
        let image = store.image(&summary.manifest)?;
        Ok(StoredImage { image, names: summary.names, size: summary.size, is_sparse: summary.is_sparse })
    };
    store.images()?.into_iter().map(stored).collect()
}

/// Returns the image with this name, ID, or beginning of an ID.
///
/// # Errors
/// [`Failure`] if there is none, or more than one.
pub fn find(root: &Path, name: &str) -> Result<StoredImage, Failure> {
    let store = open(root)?;
    let manifest = store.find(name)?;
    let image = store.image(&manifest.digest)?;
    let named = store.images()?.into_iter().find(|summary| summary.manifest == manifest.digest);
    let Some(ImageSummary { names, size, is_sparse, .. }) = named else {
        return Ok(StoredImage { image, names: Vec::new(), size: 0, is_sparse: false });
    };
    Ok(StoredImage { image, names, size, is_sparse })
}

/// Gives the image that `image` means the names `names`.
///
/// # Errors
/// [`Failure`].
pub fn tag(root: &Path, image: &str, names: &[ImageRef]) -> Result<(), Failure> {
    Ok(open(root)?.tag(image, names)?)
}

/// Returns the image with this name, ID, or beginning of an ID, if there is one.
///
/// # Errors
/// [`Failure`] if there is more than one, or it is damaged.
pub fn find_if_there(root: &Path, name: &str) -> Result<Option<StoredImage>, Failure> {
    match open(root)?.find(name) {
        Err(StoreError::NoImage { .. }) => Ok(None),
        _ => find(root, name).map(Some),
    }
}

/// Writes images, each with names of its own, to one place.
///
/// # Errors
/// [`Failure`].
pub fn save(root: &Path, images: &[(Image, Vec<ImageRef>)], to: &SaveTo) -> Result<(), Failure> {
    Ok(layerfs::export::save(images, to, &open(root)?)?)
}

/// Compares two images or layers; times count only if `times` is set.
///
/// # Errors
/// [`Failure`].
pub fn compare(
    root: &Path,
    (left, right): (&Compared, &Compared),
    times: bool,
    cancel: &Cancel,
) -> Result<Vec<Difference>, Failure> {
    let store = open(root)?;
    let side = |compared: &Compared| match compared {
        Compared::Image(image) => Side::image(&layers(image), &store, cancel),
        Compared::Layer(image, number) => Side::layer(&layers(image)[..=*number], &store, cancel),
    };
    Ok(layerfs::compare::compare(&side(left)?, &side(right)?, times)?)
}

/// What can be compared.
#[derive(Debug)]
pub enum Compared {
    /// The files of an image.
    Image(Image),
    /// What one layer of an image says, by its number from the lowest.
    Layer(Image, usize),
}

fn layers(image: &Image) -> Vec<ExportLayer> {
    FinishedImage::whole(image.clone(), None).layers
}

/// Brings the images of a file or directory into the store; those of standard input where none is given.
///
/// # Errors
/// [`Failure`].
pub fn load(root: &Path, from: Option<&Path>, platform: &Platform, cancel: &Cancel) -> Result<Vec<Loaded>, Failure> {
    let store = open(root)?;
    let temporary = store.temporary();
    let bundle = match from {
        Some(path) => Collection::open(path, &temporary)?,
        None => Collection::read(cancel.watch(std::io::stdin()), Path::new("standard input"), &temporary)?,
    };
    Ok(layerfs::load::load(&bundle.images()?, platform, &store, cancel)?)
}

/// Takes a name away, or all names of an image that is given by its ID.
///
/// # Errors
/// [`Failure`].
pub fn remove(root: &Path, name: &str) -> Result<Removed, Failure> {
    let store = open(root)?;
    let manifest = store.find(name)?;
    // A damaged image has no ID to tell, and is one to be rid of.
    let id = store.image(&manifest.digest).ok().map(|image| image.id());
    let names = store.remove(name)?;
    let left = store.refs().list()?.iter().any(|(_, other)| other.digest == manifest.digest);
    Ok(Removed { names, images: id.filter(|_| !left).into_iter().collect() })
}

/// Checks every object; with `repair`, removes what is damaged.
///
/// # Errors
/// [`Failure`] if the store cannot be read at all.
pub fn check(root: &Path, repair: bool, cancel: &Cancel) -> Result<FsckReport, Failure> {
    Ok(builder::check(&open(root)?, repair, cancel)?)
}

/// Returns all that takes room in the store.
///
/// # Errors
/// [`Failure`].
pub fn usage(root: &Path, cancel: &Cancel) -> Result<Vec<Found>, Failure> {
    Ok(builder::usage(&open(root)?, cancel)?)
}

/// Removes what no image needs, as `options` say.
///
/// # Errors
/// [`Failure`].
pub fn prune(root: &Path, options: &PruneOptions, cancel: &Cancel) -> Result<Pruned, Failure> {
    let report = builder::prune(&open(root)?, options, cancel)?;
    let objects = report.blobs + report.layers + report.indexes + report.derived + report.leftovers;
    Ok(Pruned { objects, bytes: report.bytes })
}

/// Removes what no image and no running build needs until so much is left as `options` say; returns how many bytes are.
///
/// # Errors
/// [`StepError`].
pub fn prune_to(root: &Path, options: &PruneOptions, cancel: &Cancel) -> Result<u64, StepError> {
    builder::prune_to(&Store::open(root)?, options, cancel)
}

/// Asks the registry `host` whether it takes `credential`, and keeps it; returns where.
///
/// # Errors
/// [`Failure`]; then nothing is kept.
pub fn login(
    settings: &RegistrySettings,
    host: &str,
    credential: &Credential,
    cancel: &Cancel,
) -> Result<Keeper, Failure> {
    Registries::new(settings.clone(), Arc::new(Silent), cancel).check_credential(host, credential)?;
    Ok(Credentials::new(settings).ended_by(cancel).store(host, credential)?)
}

/// Forgets the credentials for the registry `host`; reports whether there were any.
///
/// # Errors
/// [`Failure`].
pub fn logout(settings: &RegistrySettings, host: &str, cancel: &Cancel) -> Result<bool, Failure> {
    Ok(Credentials::new(settings).ended_by(cancel).erase(host)?)
}

fn open(root: &Path) -> Result<Store, Failure> {
    Ok(Store::open(root)?)
}
