//! [`EngineExporter`]: an image to Docker or Podman on this machine.

mod http;

use super::docker_archive::Archive;
use super::layout::NamedImage;
use super::{Exporter, FinishedImage, LayerCompression};
use crate::descriptor::Descriptor;
use crate::error::StoreError;
use crate::io_error::{IoContext, IoError};
use crate::reference::ImageRef;
use crate::store::Store;
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An engine that keeps images of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// Docker, or what speaks its language, at a unix socket.
    Socket(PathBuf),
    /// The same at `HOST:PORT`, unencrypted.
    Tcp(String),
    /// Podman, by its program.
    Podman(PathBuf),
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "Docker at `{}`", path.display()),
            Self::Tcp(address) => write!(f, "Docker at `{address}`"),
            Self::Podman(program) => write!(f, "Podman (`{}`)", program.display()),
        }
    }
}

/// Hands an image to an engine as a Docker archive; nothing is written on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineExporter {
    /// Who gets it.
    pub engine: Engine,
    /// The names to give.
    pub names: Vec<ImageRef>,
}

impl Exporter for EngineExporter {
    fn export(&self, image: &FinishedImage, store: &Store) -> Result<Descriptor, StoreError> {
        let named = NamedImage { image, names: &self.names };
        let archive = Archive::of(&[named], LayerCompression::KEEP, store)?;
        match &self.engine {
            Engine::Socket(path) => self.post(UnixStream::connect(path).at("connect", path)?, &archive)?,
            Engine::Tcp(address) => self.post(TcpStream::connect(address).at("connect", address)?, &archive)?,
            Engine::Podman(program) => self.pipe(program, &archive)?,
        }
        Ok(archive.manifests().remove(0))
    }
}

impl EngineExporter {
    fn refused(&self, why: &str) -> StoreError {
        StoreError::Engine { engine: self.engine.to_string(), why: why.trim().to_owned() }
    }

    /// Loads by Docker's API: `POST /images/load`.
    fn post(&self, mut stream: impl Read + Write, archive: &Archive) -> Result<(), StoreError> {
        let place = PathBuf::from(self.engine.to_string());
        let failed = |error| IoError::new("speak to", &place, &error);
        http::begin(&mut stream).map_err(failed)?;
        let mut body = http::Chunks::new(&mut stream);
        let sent = archive.write_to(&mut body, &place).and_then(|()| Ok(body.finish().map_err(failed)?));
        // Who refuses says why before all has been sent, and listens no longer.
        let answer = match http::answer(&mut stream) {
            Ok(answer) => answer,
            Err(error) => return sent.and(Err(failed(error).into())),
        };
        match answer.refusal() {
            Some(why) => Err(self.refused(&why)),
            None => sent,
        }
    }

    /// Loads by `podman load`.
    fn pipe(&self, program: &Path, archive: &Archive) -> Result<(), StoreError> {
        let mut command = Command::new(program);
        command.args(["load", "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().at("start", program)?;
        let mut errors = child.stderr.take();
        let said = std::thread::spawn(move || {
            let mut said = String::new();
            errors.as_mut().map(|errors| errors.read_to_string(&mut said));
            said
        });
        let sent = child.stdin.take().map_or(Ok(()), |mut stdin| archive.write_to(&mut stdin, program));
        let status = child.wait().at("wait for", program)?;
        let said = said.join().unwrap_or_default();
        if status.success() { sent } else { Err(self.refused(&said)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// A stream that takes everything and answers `answer`.
    struct Fake {
        got: Vec<u8>,
        answer: io::Cursor<Vec<u8>>,
    }

    impl Read for Fake {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.answer.read(buffer)
        }
    }

    impl Write for Fake {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.got.write(buffer)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn loaded(answer: &str) -> Result<(), String> {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("store")).expect("a store");
        let config = serde_json::json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
        let config = serde_json::from_value(config).expect("a config");
        let image = FinishedImage::new(config, Vec::new(), Default::default());
        let named = NamedImage { image: &image, names: &[] };
        let archive = Archive::of(&[named], LayerCompression::KEEP, &store).expect("an archive");
        let exporter = EngineExporter { engine: Engine::Socket("/d.sock".into()), names: Vec::new() };
        let mut fake = Fake { got: Vec::new(), answer: io::Cursor::new(answer.into()) };
        let result = exporter.post(&mut fake, &archive).map_err(|error| error.to_string());
        let got = String::from_utf8_lossy(&fake.got).into_owned();
        assert!(got.starts_with("POST /images/load?quiet=1 HTTP/1.1\r\n"), "{got}");
        assert!(got.ends_with("\r\n0\r\n\r\n"));
        result
    }

    #[test]
    fn what_docker_answers_is_heard() {
        for (answer, wanted) in [
            ("HTTP/1.1 200 OK\r\n\r\n{\"stream\":\"Loaded image: x\\n\"}\n", None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"str\r\n8\r\neam\":1}\n\r\n0\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\n\r\n{\"error\":\"no space left\"}\n", Some("no space left")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\n{\"er\r\nb\r\nror\":\"bad\"}\n\r\n0\r\n\r\n",
                Some("bad"),
            ),
            ("HTTP/1.1 400 Bad Request\r\n\r\n{\"message\":\"invalid archive\"}\n", Some("invalid archive")),
            ("HTTP/1.1 500 Oops\r\n\r\nnonsense", Some("it answered 500: nonsense")),
            ("SSH-2.0-x\r\n", Some("speak to")),
            ("", Some("speak to")),
        ] {
            let error = loaded(answer).err();
            match wanted {
                None => assert_eq!(error, None, "{answer}"),
                Some(wanted) => {
                    assert!(error.as_ref().is_some_and(|error| error.contains(wanted)), "{answer}: {error:?}")
                }
            }
        }
    }
}
