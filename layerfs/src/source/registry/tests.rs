use super::*;
use crate::descriptor::media_type;
use crate::image::{Index, Manifest};
use crate::registry::error::{Refusal, RegistryError, Said};
use crate::registry::observer::Silent;
use crate::registry::routing::Serves;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a fake registry answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Fine,
    Down,
    /// Every blob breaks off in the middle.
    Cuts,
    /// Every blob has one wrong byte.
    Lies,
}

/// A registry in memory; clones are the same one.
#[derive(Debug, Clone)]
struct Fake {
    host: &'static str,
    serves: Serves,
    mood: Arc<Mutex<Mood>>,
    tag: Arc<Mutex<Option<Descriptor>>>,
    bytes: Arc<BTreeMap<Digest, (String, Vec<u8>)>>,
    asked: Arc<AtomicUsize>,
}

fn missing(what: &str) -> RegistryError {
    let (act, url, said) = (format!("reading `{what}`"), "https://x/v2/".to_owned(), Said::default());
    let (credential, host) = (String::new(), String::new());
    let refusal = Refusal { act, url, status: 404, said, credential, host, retry_after: None };
    RegistryError::NotFound { refusal: Box::new(refusal), near: vec!["1.1".to_owned()] }
}

impl Fake {
    fn answer<T>(&self, answer: impl FnOnce(Mood) -> Result<T, RegistryError>) -> Result<T, RegistryError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match *self.mood.lock().expect("a mood") {
            Mood::Down => {
                let (act, url, why) = ("asking".to_owned(), self.host.to_owned(), "refused".to_owned());
                Err(RegistryError::Unreachable { act, url, why })
            }
            mood => answer(mood),
        }
    }

    fn feel(&self, mood: Mood) {
        *self.mood.lock().expect("a mood") = mood;
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

impl Place for Fake {
    fn name(&self) -> String {
        format!("{}/app", self.host)
    }

    fn serves(&self) -> Serves {
        self.serves
    }

    fn head(&self, _: &str) -> Result<Option<Descriptor>, RegistryError> {
        self.answer(|_| Ok(self.tag.lock().expect("a tag").clone()))
    }

    fn manifest(&self, reference: &str) -> Result<RemoteManifest, RegistryError> {
        self.answer(|_| {
            let digest = match reference.parse::<Digest>() {
                Ok(digest) => Some(digest),
                Err(_) => self.tag.lock().expect("a tag").as_ref().map(|tag| tag.digest),
            };
            let found = digest.and_then(|digest| self.bytes.get(&digest)).ok_or_else(|| missing(reference))?;
            Ok(RemoteManifest { descriptor: Descriptor::of(&found.0, &found.1), bytes: found.1.clone() })
        })
    }

    fn blob(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, RegistryError> {
        self.answer(|mood| {
            let (_, bytes) = self.bytes.get(&blob.digest).ok_or_else(|| missing("blob"))?;
            let offset = usize::try_from(offset).expect("small");
            let (mut rest, end) = (bytes[offset..].to_vec(), bytes.len() / 2);
            match mood {
                Mood::Lies => rest[0] ^= 1,
                Mood::Cuts => rest.truncate(end.saturating_sub(offset)),
                Mood::Fine | Mood::Down => {}
            }
            Ok(Box::new(std::io::Cursor::new(rest)) as Box<dyn Read + Send>)
        })
    }
}

struct World {
    _directory: tempfile::TempDir,
    store: Store,
    layer: Descriptor,
    manifest: Descriptor,
    host: Fake,
    mirror: Fake,
}

fn amd64() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

impl World {
    /// An image behind an index, at a host and at its mirror.
    fn new() -> Self {
        let mut bytes = BTreeMap::new();
        let mut put = |kind: &str, content: &[u8]| {
            let descriptor = Descriptor::of(kind, content);
            bytes.insert(descriptor.digest, (kind.to_owned(), content.to_vec()));
            descriptor
        };
        let layer = put(media_type::OCI_LAYER, b"a layer of some bytes");
        let rootfs = format!(r#"{{"type":"layers","diff_ids":["{}"]}}"#, layer.digest);
        let config = format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{rootfs}}}"#);
        let config = put(media_type::OCI_CONFIG, config.as_bytes());
        let manifest = Manifest::new(config, vec![layer.clone()], BTreeMap::new()).print();
        let manifest = put(media_type::OCI_MANIFEST, &manifest);
        let entry = Descriptor { platform: Some(amd64()), ..manifest.clone() };
        let index = put(media_type::DOCKER_INDEX, &Index::new(vec![entry]).print());
        let bytes = Arc::new(bytes);
        let fake = |host| Fake {
            host,
            serves: Serves::All,
            mood: Arc::new(Mutex::new(Mood::Fine)),
            tag: Arc::new(Mutex::new(Some(index.clone()))),
            bytes: Arc::clone(&bytes),
            asked: Arc::default(),
        };
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("a store");
        Self { _directory: directory, store, layer, manifest, host: fake("host"), mirror: fake("mirror") }
    }

    fn source(&self, name: &str, places: &[&Fake]) -> RegistrySource {
        let places = places.iter().map(|fake| Box::new((*fake).clone()) as Box<dyn Place>).collect();
        RegistrySource::at(name.parse().expect("a name"), self.store.clone(), places, Arc::new(Silent))
    }

    fn resolves(&self, source: &RegistrySource) {
        let image = source.resolve(&amd64()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(image.descriptor(), self.manifest);
    }

    fn read(&self, source: &RegistrySource) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut reader = source.open(&self.layer).map_err(|error| error.to_string())?;
        reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

/// The layers are left where they are (6-15).
#[test]
fn an_image_is_resolved_by_three_questions_6_15() {
    let world = World::new();
    world.resolves(&world.source("host/app", &[&world.host]));
    assert_eq!(world.host.asked(), 3, "index, manifest, config: a GET each, no HEAD, no layer");
}

#[test]
fn a_tag_is_asked_for_again_and_a_digest_is_not_6_16() {
    let world = World::new();
    world.resolves(&world.source("host/app", &[&world.host]));
    world.host.asked();
    world.resolves(&world.source("host/app", &[&world.host]));
    assert_eq!(world.host.asked(), 1);
    let by_digest = format!("host/app@{}", world.manifest.digest);
    world.resolves(&world.source(&by_digest, &[&world.host]));
    assert_eq!(world.host.asked(), 1, "the name is new");
    world.host.feel(Mood::Down);
    world.resolves(&world.source(&by_digest, &[&world.host]));
    assert_eq!(world.host.asked(), 0);
}

#[test]
fn a_tag_that_moved_is_followed() {
    let world = World::new();
    world.resolves(&world.source("host/app", &[&world.host]));
    *world.host.tag.lock().expect("a tag") = Some(world.manifest.clone());
    let source = world.source("host/app", &[&world.host]);
    assert_eq!(source.top().expect("an answer"), world.manifest);
    assert_eq!(world.store.remembered().get(&source.name).expect("get"), Some(world.manifest.clone()));
}

#[test]
fn a_mirror_that_fails_is_passed_over_and_asked_last_6_4() {
    let world = World::new();
    world.mirror.feel(Mood::Down);
    let source = world.source("host/app", &[&world.mirror, &world.host]);
    world.resolves(&source);
    assert_eq!(world.read(&source).expect("read"), b"a layer of some bytes");
    assert_eq!(world.mirror.asked(), 1);
    world.host.feel(Mood::Cuts);
    world.mirror.feel(Mood::Fine);
    assert_eq!(world.read(&source).expect("read"), b"a layer of some bytes", "the second half is the mirror's");
}

#[test]
fn a_mirror_for_digests_is_not_asked_for_tags() {
    let mut world = World::new();
    world.mirror.serves = Serves::Digests;
    world.host.feel(Mood::Down);
    let source = world.source("host/app", &[&world.mirror, &world.host]);
    assert!(matches!(source.resolve(&amd64()), Err(StoreError::Pull(_))));
    assert_eq!((world.mirror.asked(), world.host.asked()), (0, 1));
    let pinned = format!("host/app:1@{}", world.manifest.digest);
    world.resolves(&world.source(&pinned, &[&world.mirror, &world.host]));
    assert!(world.mirror.asked() > 0 && world.host.asked() == 0);
}

#[test]
fn what_a_name_led_to_serves_where_nobody_answers() {
    let world = World::new();
    world.resolves(&world.source("host/app", &[&world.host]));
    world.host.feel(Mood::Down);
    world.resolves(&world.source("host/app", &[&world.host]));
    let strict = world.source("host/app", &[&world.host]).fresh();
    assert!(matches!(strict.resolve(&amd64()), Err(StoreError::Pull(_))));
    world.host.feel(Mood::Fine);
    *world.host.tag.lock().expect("a tag") = None;
    let error = world.source("host/app", &[&world.host]).resolve(&amd64()).expect_err("the tag is gone");
    assert!(error.help().is_some_and(|help| help.contains("`1.1`")), "{error}");
}

#[test]
fn nobody_asked_and_everybody_failing_are_told() {
    let world = World::new();
    let error = world.source("host/app", &[]).resolve(&amd64()).expect_err("nobody");
    assert_eq!(error.to_string(), "no registry may be asked for `docker.io/host/app:latest`");
    world.host.feel(Mood::Down);
    *world.mirror.tag.lock().expect("a tag") = None;
    let error = world.source("h.io/app", &[&world.mirror, &world.host]).resolve(&amd64()).expect_err("nobody");
    let text = error.to_string();
    assert!(text.starts_with("none of 2 places gave `h.io/app:latest`; `mirror/app`: reading"), "{text}");
    assert!(text.ends_with("`host/app`: asking: `host` cannot be reached: refused"), "{text}");
}

#[test]
fn wrong_bytes_are_rejected_place_by_place_6_7() {
    let world = World::new();
    world.mirror.feel(Mood::Lies);
    let source = world.source("host/app", &[&world.mirror, &world.host]);
    assert!(world.read(&source).expect_err("a lie").contains("has digest"));
    assert!(source.reject(&world.layer), "the host is left");
    assert_eq!(world.read(&source).expect("read"), b"a layer of some bytes");
    assert!(!source.reject(&world.layer), "nobody is left");
    assert!(world.read(&source).is_err());
}

#[test]
fn documents_are_of_known_types_and_sizes() {
    let world = World::new();
    let wrong = Descriptor { media_type: "application/x".into(), ..world.manifest.clone() };
    let mut bytes = (*world.host.bytes).clone();
    bytes.get_mut(&world.manifest.digest).expect("the manifest").0 = "application/x".into();
    let fake = Fake { bytes: Arc::new(bytes), tag: Arc::new(Mutex::new(Some(wrong))), ..world.host.clone() };
    let error = world.source("host/app", &[&fake]).resolve(&amd64()).expect_err("no image");
    assert!(error.to_string().contains("media type `application/x` is not supported"), "{error}");
    let longer = Descriptor { size: world.manifest.size + 1, ..world.manifest.clone() };
    let source = world.source("host/app", &[&world.host]);
    assert!(matches!(Documents::read(&source, &longer, 1 << 20), Err(StoreError::SizeMismatch { .. })));
    assert!(matches!(Documents::read(&source, &longer, 1), Err(StoreError::TooLong { .. })));
}
