//! What tests of the plan and of what follows it need: plans from text, bases made by hand.

use super::{Plan, PlanError, PlanOptions};
use crate::bases::{Base, Bases};
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::dockerfile::{Dockerfile, parse};
use crate::graph::{GraphError, GraphOptions, NeededImage, StageGraph};
use crate::onbuild::{Settled, settle};
use crate::source::Source;
use layerfs::descriptor::Descriptor;
use layerfs::digest::{DiffId, Digest};
use layerfs::error::StoreError;
use layerfs::image::{Image, ImageConfig, Manifest};
use layerfs::platform::Platform;
use layerfs::source::ImageSource;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

/// A source of images without any.
#[derive(Debug)]
struct NoSource;

impl ImageSource for NoSource {
    fn resolve(&self, _platform: &Platform) -> Result<Image, StoreError> {
        unreachable!("a plan resolves nothing")
    }

    fn open(&self, _blob: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        unreachable!("a plan reads no blob")
    }

    fn location(&self) -> String {
        "nowhere".to_owned()
    }
}

/// Returns the platform of all tests.
pub(crate) fn platform() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

/// Returns the config of an image with one layer and the `config` object of this JSON text.
pub(crate) fn image_config(config: &str) -> ImageConfig {
    let diff_id = DiffId(Digest::of("base"));
    let text = format!(
        r#"{{"created":"2020-01-01T00:00:00Z","architecture":"amd64","os":"linux","unknown":1,"config":{config},
        "rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}},
        "history":[{{"created":"2020-01-01T00:00:00Z","created_by":"base"}}]}}"#
    );
    serde_json::from_str(&text).expect("a config")
}

fn image(config: ImageConfig) -> Image {
    let config_bytes = serde_json::to_vec(&config).expect("a config");
    let manifest = Manifest {
        schema_version: 2,
        media_type: String::new(),
        config: Descriptor::of("config", &config_bytes),
        layers: Vec::new(),
        annotations: BTreeMap::new(),
        extra: BTreeMap::default(),
    };
    Image { config, config_bytes, manifest, manifest_bytes: Vec::new() }
}

/// A build to be planned.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub text: String,
    pub graph: GraphOptions,
    pub plan: PlanOptions,
    /// The `config` object of every base image, as JSON.
    pub base: String,
    /// The architecture of every base image.
    pub architecture: &'static str,
}

/// Returns the case of a Dockerfile with default options.
pub(crate) fn case(text: &str) -> Case {
    let graph = GraphOptions {
        target: None,
        build_args: BTreeMap::new(),
        named_contexts: BTreeMap::new(),
        target_platform: platform(),
        build_platform: platform(),
    };
    Case { text: text.to_owned(), graph, plan: PlanOptions::default(), base: "{}".to_owned(), architecture: "amd64" }
}

impl Case {
    /// Returns the case with a build argument.
    pub(crate) fn build_arg(mut self, name: &str, value: &str) -> Self {
        self.graph.build_args.insert(name.to_owned(), Some(value.to_owned()));
        self
    }

    /// Returns the case with another target.
    pub(crate) fn target(mut self, target: &str) -> Self {
        self.graph.target = Some(target.to_owned());
        self
    }

    /// Returns the case with another config of its base images.
    pub(crate) fn base(mut self, config: &str) -> Self {
        config.clone_into(&mut self.base);
        self
    }

    pub(crate) fn dockerfile(&self) -> Dockerfile {
        let outcome = parse(Source::new("Dockerfile", self.text.clone()));
        assert!(outcome.errors.is_empty(), "{}\n{:?}", self.text, outcome.errors);
        outcome.dockerfile.expect("no errors, so a Dockerfile")
    }

    pub(crate) fn graph(&self) -> Result<StageGraph, GraphError> {
        StageGraph::new(&self.dockerfile(), &self.graph)
    }

    /// Returns the plan and all warnings of graph and plan.
    pub(crate) fn plan(&self) -> Result<(Plan, Vec<Diagnostic>), Box<dyn Diagnose>> {
        let settled = settle(&self.dockerfile(), &self.graph, |images| Ok::<_, GraphError>(self.bases(images)));
        let Settled { dockerfile, graph, bases } = settled.map_err(boxed::<GraphError>)?;
        let (plan, warnings) = Plan::new(&dockerfile, &graph, &bases, &self.plan).map_err(boxed::<PlanError>)?;
        Ok((plan, graph.warnings.into_iter().chain(warnings).collect()))
    }

    fn bases(&self, images: &[NeededImage]) -> Bases {
        let base = |needed: &NeededImage| Base {
            name: needed.name.clone(),
            span: needed.span,
            image: image(ImageConfig { architecture: self.architecture.to_owned(), ..image_config(&self.base) }),
            source: Arc::new(NoSource),
            platform: needed.platform.clone(),
            named_context: needed.named_context.clone(),
        };
        Bases { images: images.iter().map(base).collect() }
    }

    /// Returns the plan of a case that has one.
    pub(crate) fn good(&self) -> Plan {
        self.plan().map_err(|error| error.diagnose()).expect("a plan").0
    }

    /// Returns the text of the error and what its main place says, of a case that has no plan.
    pub(crate) fn bad(&self) -> (String, String) {
        let error = self.plan().err().unwrap_or_else(|| panic!("no error: {}", self.text)).diagnose();
        let place = error.labels.first().map(|label| self.text[label.span.range()].to_owned());
        (error.message, place.unwrap_or_default())
    }

    /// Returns rule and message of every warning.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let (_, warnings) = self.plan().map_err(|error| error.diagnose()).expect("a plan");
        warnings.iter().map(|warning| format!("{}: {}", warning.rule.unwrap_or("-"), warning.message)).collect()
    }
}

fn boxed<E: Diagnose + 'static>(error: E) -> Box<dyn Diagnose> {
    Box::new(error)
}

/// Returns the history lines of a stage.
pub(crate) fn history(plan: &Plan, stage: usize) -> Vec<String> {
    plan.stages[stage].history.iter().map(|line| line.line.created_by.clone().unwrap_or_default()).collect()
}
