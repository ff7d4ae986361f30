//! RUN (FEATURES 1.7).

use super::{Findings, Request};
use crate::dockerfile::error::ParseError;
use crate::dockerfile::instruction::{Mount, Run, Word};
use crate::dockerfile::mount;
use crate::dockerfile::suggest::nearest;
use crate::source::Spanned;

const NETWORKS: [&str; 3] = ["default", "none", "host"];
const SECURITIES: [&str; 2] = ["sandbox", "insecure"];

pub(super) fn parse(mut request: Request<'_>, findings: &mut Findings) -> Result<Run, ParseError> {
    let command = request.command()?;
    let flags = &mut request.flags;
    let mounts = flags.many("mount").into_iter().filter_map(|flag| mount(flag, findings)).collect();
    let (network, security) = (flags.one("network"), flags.one("security"));
    if let Some((found, suggestion)) = unknown(network.as_ref(), &NETWORKS) {
        findings.errors.push(ParseError::InvalidNetwork { found: found.value, suggestion, span: found.span });
    }
    if let Some((found, suggestion)) = unknown(security.as_ref(), &SECURITIES) {
        findings.errors.push(ParseError::InvalidSecurity { found: found.value, suggestion, span: found.span });
    }
    let devices = flags.many("device");
    Ok(Run { command, heredocs: request.heredocs.to_vec(), mounts, network, security, devices })
}

fn mount(flag: Word, findings: &mut Findings) -> Option<Spanned<Mount>> {
    let mount = mount::parse(flag, &mut findings.warnings);
    mount.map_err(|error| findings.errors.push(error)).ok()
}

/// Returns a value that is none of `known`, and the one that may be meant.
fn unknown(value: Option<&Word>, known: &[&'static str]) -> Option<(Word, Option<&'static str>)> {
    let value = value.filter(|value| !known.contains(&value.value.as_str()))?;
    Some((value.clone(), nearest(&value.value, known.iter().copied())))
}
