//! Whether a plan fits the machine and what the caller said of stages: looked at before anything runs.

use crate::diagnostic::Diagnostic;
use crate::dockerfile::Dockerfile;
use crate::dockerfile::suggest::nearest;
use crate::graph::StageGraph;
use crate::plan::op::Op;
use crate::plan::{Plan, PlanError};
use crate::request::BuildRequest;
use layerfs::platform::Platform;

/// Refuses a RUN for a processor that this machine neither is nor emulates (3.1-7).
///
/// # Errors
/// [`PlanError::ForeignRun`] at the first such RUN.
pub(crate) fn refuse_foreign(plan: &Plan, graph: &StageGraph, emulated: &[Platform]) -> Result<(), PlanError> {
    let host = Platform::host();
    let runs = |platform: &Platform| {
        host.rank(platform).is_some() || emulated.iter().any(|machine| machine.rank(platform).is_some())
    };
    for (stage, planned) in graph.stages.iter().zip(&plan.stages) {
        let step = planned.steps.iter().find(|step| matches!(step.op, Op::Run(_)));
        if let Some(step) = step.filter(|_| !runs(&stage.platform)) {
            return Err(PlanError::ForeignRun {
                platform: stage.platform.to_string(),
                host: host.to_string(),
                span: step.span,
            });
        }
    }
    Ok(())
}

/// Returns a warning for each name of `--no-cache-filter` that no stage has.
pub(crate) fn unknown_stages(dockerfile: &Dockerfile, request: &BuildRequest) -> Vec<Diagnostic> {
    let names = || dockerfile.stages.iter().filter_map(|stage| stage.from.value.name.as_ref());
    let known = |wanted: &&String| names().any(|name| name.value.eq_ignore_ascii_case(wanted));
    let told = |wanted: &String| {
        let near = nearest(wanted, names().map(|name| name.value.as_str()));
        let cure = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
        Diagnostic::warning(format!("`--no-cache-filter {wanted}`: no stage is called that{cure}"))
    };
    request.no_cache_stages.iter().filter(|wanted| !known(wanted)).map(told).collect()
}
