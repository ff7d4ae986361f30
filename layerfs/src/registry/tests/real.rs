//! The client against `docker-registry`, which set-up installs.

use super::super::observer::{Direction, Observer};
use super::super::remote::{Remote, Start, Upload};
use super::super::testing::{client, endpoint};
use crate::cancel::Cancel;
use crate::descriptor::{Descriptor, media_type};
use crate::digest::Digest;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Registry {
    child: Child,
    host: String,
    _directory: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let host = format!("127.0.0.1:{port}");
        let config = directory.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{host}', secret: s}}\n",
            directory.path().join("data").display()
        );
        std::fs::write(&config, text).expect("write");
        let mut command = Command::new("docker-registry");
        let child = command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("docker-registry, which tests/setup installs");
        for _ in 0..500 {
            if TcpStream::connect(&host).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, host, _directory: directory }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("end the registry");
    }
}

fn push(remote: &Remote, bytes: &[u8]) {
    let Start::Upload(mut upload) = remote.start(None, None).expect("start") else { panic!("not mounted") };
    for chunk in bytes.chunks(Upload::CHUNK) {
        upload.chunk(chunk).expect("a chunk");
    }
    upload.finish(&Digest::of(bytes)).expect("finish");
}

fn pull(remote: &Remote, blob: &Descriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    remote.blob(blob).expect("open").read_to_end(&mut bytes).expect("read");
    bytes
}

#[test]
fn a_real_registry_takes_and_gives_everything() {
    let registry = Registry::start();
    let cancel = Cancel::new().expect("an eventfd");
    let (client, observer) = client(&cancel);
    let remote = client.pusher(endpoint(&registry.host, "a/b"), &[]);
    let large: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for bytes in [&b""[..], b"x", b"small", &large[..64 << 10], &large] {
        let blob = Descriptor::of("x", bytes);
        assert!(!remote.has_blob(&blob.digest).expect("ask"));
        push(&remote, bytes);
        assert!(remote.has_blob(&blob.digest).expect("ask"));
        assert!(pull(&remote, &blob) == bytes, "{} bytes", bytes.len());
    }
    let other = client.pusher(endpoint(&registry.host, "c"), &["a/b".to_owned()]);
    let large_digest = Digest::of(&large);
    assert!(matches!(other.start(Some(&large_digest), Some("a/b")), Ok(Start::Mounted)));
    assert!(matches!(other.start(Some(&Digest::of(b"no such")), Some("a/b")), Ok(Start::Upload(_))));
    let whole = Digest::of(b"whole");
    other.upload_whole(&whole, 5, &|| Ok(Box::new(&b"whole"[..]))).expect("push whole");
    assert!(other.has_blob(&whole).expect("ask"));

    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"x","digest":"{large_digest}","size":{}}},"layers":[]}}"#,
        media_type::OCI_MANIFEST,
        large.len()
    );
    assert_eq!(remote.head_manifest("1.0").expect("ask"), None);
    remote.put_manifest("1.0", media_type::OCI_MANIFEST, manifest.as_bytes()).expect("put");
    let wanted = Descriptor::of(media_type::OCI_MANIFEST, manifest.as_bytes());
    assert_eq!(remote.head_manifest("1.0").expect("ask"), Some(wanted.clone()));
    for reference in ["1.0".to_owned(), wanted.digest.to_string()] {
        let got = remote.manifest(&reference).expect("read");
        assert_eq!((&got.descriptor, got.bytes.as_slice()), (&wanted, manifest.as_bytes()));
    }
    assert_eq!(remote.tags().expect("list"), ["1.0"]);
    let error = remote.manifest("1.1").expect_err("no such tag");
    assert_eq!(error.help().as_deref(), Some("there is `1.0`"), "{error}");
    assert!(error.to_string().contains("MANIFEST_UNKNOWN"), "{error}");
    assert!(observer.said().is_empty(), "{:?}", observer.said());
    observer.transfer(&whole, Direction::Pull, 0, None);
}
