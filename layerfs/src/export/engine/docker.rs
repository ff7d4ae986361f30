//! [`Docker`]: what Docker's API tells and takes.

use super::http::{self, Answer, Chunks};
use super::{Door, Engine, Form, Passed};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::export::ExportLayer;
use crate::export::docker_archive::Archive;
use crate::io_error::{IoContext, IoError};
use crate::reference::ImageRef;
use serde_json::Value;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Images that are looked at for layers, those that were made last first.
const LOOKED_AT: usize = 500;
/// What `GET /info` says of a Docker that keeps its images in containerd. That one takes an archive without a layer and
/// has a broken image then.
const CONTAINERD: &str = "io.containerd.snapshotter.v1";

/// A Docker that listens.
pub(super) struct Docker<'a>(pub &'a Engine);

/// A connection.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Docker<'_> {
    fn connect(&self) -> Result<Box<dyn Stream>, StoreError> {
        Ok(match self.0 {
            Engine::Tcp(address) => Box::new(TcpStream::connect(address).at("connect", address)?),
            Engine::Socket(path) | Engine::Podman(path) => Box::new(UnixStream::connect(path).at("connect", path)?),
        })
    }

    fn place(&self) -> PathBuf {
        PathBuf::from(self.0.to_string())
    }

    fn ask(&self, method: &str, path: &str) -> Result<Answer, StoreError> {
        let mut stream = self.connect()?;
        let asked = http::ask(&mut stream, method, path).and_then(|()| http::answer(&mut stream));
        Ok(asked.at("speak to", self.place())?)
    }

    fn get(&self, path: &str) -> Result<Value, StoreError> {
        Ok(self.ask("GET", path)?.json())
    }

    /// Loads by `POST /images/load`.
    pub(super) fn post(&self, stream: &mut (impl Read + Write), archive: &Archive) -> Result<(), StoreError> {
        let place = self.place();
        let failed = |error| IoError::new("speak to", &place, &error);
        http::begin(stream, "/images/load?quiet=1").map_err(failed)?;
        let mut body = Chunks::new(stream);
        let sent = archive.write_to(&mut body, &place).and_then(|()| Ok(body.finish().map_err(failed)?));
        // Who refuses says why before all has been sent, and listens no longer.
        let answer = match http::answer(stream) {
            Ok(answer) => answer,
            Err(error) => return sent.and(Err(failed(error).into())),
        };
        match answer.refusal() {
            Some(why) => Err(self.0.refused(&why)),
            None => sent,
        }
    }

    /// Returns the diff IDs of the images, those that were made last first.
    fn stacks(&self) -> Result<Vec<Vec<String>>, StoreError> {
        let listed = self.get("/images/json?all=1")?;
        let mut images: Vec<(i64, &str)> = listed
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|image| Some((image["Created"].as_i64().unwrap_or(0), image["Id"].as_str()?)))
            .collect();
        images.sort_unstable_by_key(|(created, _)| std::cmp::Reverse(*created));
        let stack = |(_, id): &(i64, &str)| Ok(diff_ids(&self.get(&format!("/images/{id}/json"))?));
        images.iter().take(LOOKED_AT).map(stack).collect()
    }
}

fn diff_ids(image: &Value) -> Vec<String> {
    let layers = image["RootFS"]["Layers"].as_array().into_iter().flatten();
    layers.filter_map(|layer| Some(layer.as_str()?.to_owned())).collect()
}

/// Returns how many layers two stacks share, from the lowest.
fn shared(one: &[String], other: &[String]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

impl Door for Docker<'_> {
    /// One that keeps its images in containerd calls them by their manifest.
    fn has(&self, image: &Passed<'_>) -> Result<bool, StoreError> {
        let ids = [image.id, image.manifest];
        let found = ids.iter().map(|id| Ok(self.get(&format!("/images/{id}/json"))?["Id"] == id.to_string()));
        Ok(found.collect::<Result<Vec<bool>, StoreError>>()?.contains(&true))
    }

    /// Docker takes a layer by its place in a stack and looks at the archive only for those that it lacks, so what it has
    /// is the lowest layers.
    fn held(&self, image: &Passed<'_>) -> Result<HashSet<Digest>, StoreError> {
        if self.get("/info")?["DriverStatus"].to_string().contains(CONTAINERD) {
            return Ok(HashSet::new());
        }
        let wanted: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.0.to_string()).collect();
        let known = self.stacks()?.iter().map(|stack| shared(stack, &wanted)).max().unwrap_or(0);
        let digests = |layers: &[ExportLayer]| layers.iter().map(|layer| layer.blob.digest).collect();
        let (lowest, rest): (HashSet<Digest>, HashSet<Digest>) =
            (digests(&image.layers[..known]), digests(&image.layers[known..]));
        Ok(&lowest - &rest)
    }

    fn load(&self, archive: &Archive) -> Result<(), StoreError> {
        self.post(&mut self.connect()?, archive)
    }

    fn name(&self, id: &Digest, name: &ImageRef) -> Result<(), StoreError> {
        let Some(tag) = &name.tag else { return Ok(()) };
        let path = format!("/images/{id}/tag?repo={}&tag={tag}", name.familiar_name());
        self.ask("POST", &path)?.refusal().map_or(Ok(()), |why| Err(self.0.refused(&why)))
    }

    fn form(&self) -> Form {
        Form::Docker
    }
}
