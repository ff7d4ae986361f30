//! [`Podman`]: what Podman's program tells and takes.

use super::{Door, Engine, Form, Passed};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::export::docker_archive::Archive;
use crate::io_error::IoContext;
use crate::reference::ImageRef;
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// Images that are looked at for layers.
const LOOKED_AT: usize = 500;

/// Podman, called as a program.
pub(super) struct Podman<'a> {
    pub engine: &'a Engine,
    pub program: &'a Path,
}

impl Podman<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs Podman, which must succeed, and returns what it prints.
    fn ask(&self, arguments: &[&str]) -> Result<String, StoreError> {
        let done = self.command(arguments).output().at("start", self.program)?;
        match done.status.success() {
            true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
            false => Err(self.engine.refused(&String::from_utf8_lossy(&done.stderr))),
        }
    }
}

impl Door for Podman<'_> {
    fn has(&self, image: &Passed<'_>) -> Result<bool, StoreError> {
        let asked = self.command(&["image", "exists", &image.id.hex()]).output().at("start", self.program)?;
        Ok(asked.status.success())
    }

    /// Podman finds a layer by its digest wherever it is, and opens no blob of a layout that it need not read.
    fn held(&self, image: &Passed<'_>) -> Result<HashSet<Digest>, StoreError> {
        let listed = self.ask(&["images", "--all", "--quiet", "--no-trunc"])?;
        let ids: Vec<&str> = listed.lines().take(LOOKED_AT).collect();
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let inspect = [&["image", "inspect", "--format", "{{json .RootFS.Layers}}"], &ids[..]].concat();
        let stacks = self.ask(&inspect)?;
        let layers = stacks.lines().filter_map(|line| serde_json::from_str::<Vec<String>>(line).ok()).flatten();
        let known: HashSet<String> = layers.collect();
        let held = image.layers.iter().filter(|layer| known.contains(&layer.diff_id.0.to_string()));
        Ok(held.map(|layer| layer.blob.digest).collect())
    }

    fn form(&self) -> Form {
        Form::Layout
    }

    /// Loads by `podman load`.
    fn load(&self, archive: &Archive) -> Result<(), StoreError> {
        let mut command = self.command(&["load", "--quiet"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().at("start", self.program)?;
        let mut errors = child.stderr.take();
        let said = std::thread::spawn(move || {
            let mut said = String::new();
            errors.as_mut().map(|errors| errors.read_to_string(&mut said));
            said
        });
        let sent = child.stdin.take().map_or(Ok(()), |mut stdin| archive.write_to(&mut stdin, self.program));
        let status = child.wait().at("wait for", self.program)?;
        let said = said.join().unwrap_or_default();
        if status.success() { sent } else { Err(self.engine.refused(&said)) }
    }

    fn name(&self, id: &Digest, name: &ImageRef) -> Result<(), StoreError> {
        let Some(tag) = &name.tag else { return Ok(()) };
        self.ask(&["tag", &id.hex(), &format!("{}:{tag}", name.name())]).map(|_| ())
    }
}
