//! `lbuild doctor`.

use super::{Scene, json, print};
use crate::args::{DoctorArgs, ShapeArg};
use crate::engine;
use crate::exit::Exit;
use crate::report::Failure;
use crate::settings;
use crate::ui::visible;
use builder::doctor::{Finding, Health};
use layerfs::platform::Platform;

/// Says what this machine allows, and what to do where it does not; fails if builds will.
pub fn run(args: &DoctorArgs, scene: &Scene) -> Result<Exit, Failure> {
    let mut findings = engine::examine(&scene.root, &scene.cancel)?;
    findings.push(platforms(&settings::emulated()));
    findings.push(registries(scene));
    let text = match args.format {
        ShapeArg::Table => findings.iter().map(line).collect(),
        ShapeArg::Json => json(&findings.iter().map(object).collect()),
    };
    print(&text)?;
    let bad = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if bad { Exit::Lbuild } else { Exit::Success })
}

/// Says for which processors a RUN can be.
fn platforms(emulated: &[Platform]) -> Finding {
    const WHAT: &str = "platforms of RUN";
    let host = Platform::host().to_string();
    let all: Vec<String> = std::iter::once(host.clone()).chain(emulated.iter().map(ToString::to_string)).collect();
    if all.len() > 1 {
        return Finding::good(WHAT, all.join(", "));
    }
    let cure = "for others: `sudo apt-get install qemu-user-static binfmt-support`".to_owned();
    Finding { cure: Some(cure), ..Finding::good(WHAT, host) }
}

fn registries(scene: &Scene) -> Finding {
    const WHAT: &str = "settings";
    match scene.registry_settings() {
        Err(error) => {
            let diagnostic = builder::diagnostic::Diagnose::diagnose(&error);
            Finding::wrong(WHAT, Health::Bad, diagnostic.message, diagnostic.help)
        }
        Ok(settings) => {
            let there = |path: &&std::path::PathBuf| path.exists();
            let files: Vec<String> = settings
                .auth_files
                .iter()
                .chain(&settings.registries_conf)
                .filter(there)
                .map(|path| path.display().to_string())
                .collect();
            let found = if files.is_empty() { "no files of registries".to_owned() } else { files.join(", ") };
            Finding::good(WHAT, found)
        }
    }
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Good => "good",
        Health::Limited => "limited",
        Health::Bad => "bad",
    }
}

fn line(finding: &Finding) -> String {
    let cure = finding.cure.as_ref().map(|cure| format!("         cure: {}\n", visible(cure))).unwrap_or_default();
    format!("{:<8} {}: {}\n{cure}", word(finding.health), finding.what, visible(&finding.found))
}

fn object(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "what": finding.what, "health": word(finding.health), "found": finding.found, "cure": finding.cure,
    })
}
