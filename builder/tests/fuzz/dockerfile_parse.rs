//! No text makes parser or planner panic, and every place that they name lies in the text.

use builder::bases::{Base, Bases};
use builder::diagnostic::{Diagnose, Diagnostic};
use builder::dockerfile::listing::{Listed, Listing};
use builder::dockerfile::{Dockerfile, lint, parse, parse_instruction};
use builder::graph::{GraphOptions, StageGraph};
use builder::plan::{Plan, PlanOptions};
use builder::source::{Source, Span};
use layerfs::descriptor::{Descriptor, media_type};
use layerfs::error::StoreError;
use layerfs::image::{Image, Manifest};
use layerfs::platform::Platform;
use layerfs::source::ImageSource;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let outcome = parse(Source::new("Dockerfile", text));
    assert_eq!(outcome.dockerfile.is_some(), outcome.errors.is_empty());
    outcome.errors.iter().for_each(|error| check(text, &error.diagnose()));
    outcome.warnings.iter().for_each(|warning| check(text, warning));
    if let Some(dockerfile) = &outcome.dockerfile {
        lint(dockerfile).iter().for_each(|warning| check(text, warning));
        for stage in &dockerfile.stages {
            assert!(text.get(stage.from.span.range()).is_some());
            for parsed in &stage.instructions {
                assert!(text.get(parsed.span.range()).is_some());
                assert!(text.get(parsed.name_span.range()).is_some());
            }
        }
        plan(text, dockerfile);
    }
    list(text, outcome.dockerfile.is_none());
    if let Err(errors) = parse_instruction(&Source::new("trigger", text)) {
        errors.iter().for_each(|error| check(text, &error.diagnose()));
    }
}

fn check(text: &str, diagnostic: &Diagnostic) {
    for label in &diagnostic.labels {
        assert!(text.get(label.span.range()).is_some(), "{diagnostic:?}");
    }
}

/// What editors are told agrees with the parser, and each place lies in the text, those of an instruction in its own.
fn list(text: &str, wrong: bool) {
    let listing = Listing::new(&Source::new("Dockerfile", text));
    assert_eq!(listing.is_wrong(), wrong);
    for diagnostic in &listing.diagnostics {
        assert!(text.get(diagnostic.span.range()).is_some(), "{diagnostic:?}");
    }
    let mut end = 0;
    for instruction in &listing.instructions {
        assert!(end <= instruction.span.start, "{instruction:?} overlaps the one before");
        end = instruction.span.end;
        listed(text, instruction);
    }
}

fn listed(text: &str, instruction: &Listed) {
    let whole = instruction.span;
    assert!(text.get(whole.range()).is_some(), "{instruction:?}");
    let within = |span: Span| {
        let inside = whole.start <= span.start && span.end <= whole.end;
        assert!(inside && text.get(span.range()).is_some(), "{span:?} of {instruction:?}");
    };
    within(instruction.name_span);
    instruction.argument_spans.iter().copied().for_each(within);
    instruction.flags.iter().map(|flag| flag.span).for_each(within);
    instruction.heredocs.iter().map(|heredoc| heredoc.span).for_each(within);
    assert_eq!(instruction.arguments.len(), instruction.argument_spans.len());
    if let Some(trigger) = &instruction.trigger {
        listed(text, trigger);
    }
}

fn plan(text: &str, dockerfile: &Dockerfile) {
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    let options = GraphOptions {
        target: None,
        build_args: BTreeMap::new(),
        named_contexts: BTreeMap::new(),
        target_platform: platform.clone(),
        build_platform: platform.clone(),
    };
    let graph = match StageGraph::new(dockerfile, &options) {
        Ok(graph) => graph,
        Err(error) => return check(text, &error.diagnose()),
    };
    graph.warnings.iter().for_each(|warning| check(text, warning));
    let base = |needed: &builder::graph::NeededImage| Base {
        name: needed.name.clone(),
        span: needed.span,
        image: image(),
        source: Arc::new(NoSource),
        platform: platform.clone(),
        named_context: None,
    };
    let bases = Bases { images: graph.images.iter().map(base).collect() };
    match Plan::new(dockerfile, &graph, &bases, &PlanOptions::default()) {
        Ok((_, warnings)) => warnings.iter().for_each(|warning| check(text, warning)),
        Err(error) => check(text, &error.diagnose()),
    }
}

/// Returns an image without layers.
fn image() -> Image {
    let config =
        br#"{"architecture":"amd64","os":"linux","config":{"Env":["A=1"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let manifest = Manifest::new(Descriptor::of(media_type::OCI_CONFIG, config), Vec::new(), BTreeMap::new());
    Image::parse(manifest.print(), config.to_vec()).expect("an image")
}

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
