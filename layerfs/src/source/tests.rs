use super::*;
use crate::blobs::{BlobStore, DiskBlobs};
use crate::descriptor::media_type;
use crate::digest::Digest;
use crate::image::{Index, Manifest};
use crate::refs::{FULL_NAME, REF_NAME};
use crate::store::Store;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const LAYER: &[u8] = b"a layer";

fn amd64() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

fn config(architecture: &str, layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(Digest::of).collect();
    let rootfs = serde_json::json!({"type": "layers", "diff_ids": diff_ids});
    serde_json::json!({"architecture": architecture, "os": "linux", "rootfs": rootfs}).to_string().into_bytes()
}

/// An OCI layout with what a test puts in.
struct Layout {
    directory: tempfile::TempDir,
    blobs: DiskBlobs,
}

impl Layout {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(directory.path().join("blobs/sha256")).expect("a directory");
        fs::write(directory.path().join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
        let blobs = DiskBlobs::new(&directory.path().join("blobs"), directory.path());
        Self { directory, blobs }
    }

    fn image(&self, architecture: &str) -> Descriptor {
        let config = config(architecture, &[LAYER]);
        for bytes in [LAYER, &config] {
            self.blobs.put(bytes).expect("put");
        }
        let layer = Descriptor::of(media_type::OCI_LAYER, LAYER);
        let config = Descriptor::of(media_type::OCI_CONFIG, &config);
        self.put(media_type::OCI_MANIFEST, Manifest::new(config, vec![layer], BTreeMap::new()).print())
    }

    fn put(&self, kind: &str, bytes: Vec<u8>) -> Descriptor {
        self.blobs.put(&bytes).expect("put");
        Descriptor::of(kind, &bytes)
    }

    fn index(&self, entries: Vec<Descriptor>) {
        fs::write(self.directory.path().join("index.json"), Index::new(entries).print()).expect("written");
    }

    fn source(&self, reference: Option<&str>) -> LayoutSource {
        LayoutSource::new(self.directory.path().to_owned(), reference.map(str::to_owned))
    }

    fn error(&self, reference: Option<&str>) -> String {
        self.source(reference).resolve(&amd64()).expect_err("an error").to_string()
    }
}

fn annotated(mut entry: Descriptor, key: &str, value: &str) -> Descriptor {
    entry.annotations.insert(key.to_owned(), value.to_owned());
    entry
}

fn on(mut entry: Descriptor, platform: &str) -> Descriptor {
    entry.platform = Some(platform.parse().expect("a platform"));
    entry
}

/// What every [`ImageSource`] of the image that [`config`] makes does.
fn image_source_contract(source: &dyn ImageSource) {
    let image = source.resolve(&amd64()).expect("an image");
    assert_eq!(image.config.rootfs.diff_ids.len(), 1);
    let layer = &image.manifest.layers[0];
    for _ in 0..2 {
        let mut bytes = Vec::new();
        source.open(layer).expect("opened").read_to_end(&mut bytes).expect("read");
        assert_eq!(Digest::of(&bytes), layer.digest);
    }
    let longer = Descriptor { size: layer.size + 1, ..layer.clone() };
    assert!(source.open(&longer).expect("opened").read_to_end(&mut Vec::new()).is_err());
    assert!(source.open(&Descriptor::of("x", b"missing")).is_err());
    assert!(!source.location().is_empty());
}

#[test]
fn store_layout_and_archive_keep_the_contract() {
    let layout = Layout::new();
    let entry = layout.image("amd64");
    layout.index(vec![entry.clone()]);
    image_source_contract(&layout.source(None));

    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a store");
    for digest in layout.blobs.list().expect("listed") {
        store.blobs().put(&layout.blobs.read(&digest, 9999).expect("read")).expect("put");
    }
    image_source_contract(&StoreSource::new(store, entry));

    let file = docker_archive(directory.path(), &[("c.json", &config("amd64", &[LAYER])), ("l.tar", LAYER)], &[]);
    image_source_contract(&DockerArchiveSource::new(file, None));
}

#[test]
fn a_layouts_image_is_found_by_tag_name_or_digest() {
    let layout = Layout::new();
    let (one, two) = (layout.image("amd64"), layout.image("arm64"));
    layout.index(vec![
        annotated(one.clone(), REF_NAME, "1.0"),
        annotated(annotated(two.clone(), REF_NAME, "latest"), FULL_NAME, "docker.io/library/app:latest"),
    ]);
    let at = format!("@{}", one.digest);
    for (reference, wanted) in [
        (None, &two),
        (Some("1.0"), &one),
        (Some("latest"), &two),
        (Some("app"), &two),
        (Some(at.as_str()), &one),
        (Some(&at[1..]), &one),
    ] {
        let image = layout.source(reference).resolve(&amd64()).expect("an image");
        assert_eq!(image.descriptor().digest, wanted.digest, "{reference:?}");
    }
    let missing = layout.error(Some("2.0"));
    assert!(missing.ends_with("has no image `2.0`, only `1.0`, `latest`"), "{missing}");
    layout.index(vec![one, two]);
    assert!(layout.error(None).contains("has several images"));
    layout.index(Vec::new());
    assert!(layout.error(None).contains("has no image"));
}

#[test]
fn nested_indexes_are_searched_for_the_platform_6_8() {
    let layout = Layout::new();
    let (amd, arm) = (layout.image("amd64"), layout.image("arm64"));
    let attestation = on(layout.put(media_type::OCI_MANIFEST, b"{}".to_vec()), "unknown/unknown");
    let inner = Index::new(vec![attestation, on(arm.clone(), "linux/arm64/v8"), on(amd.clone(), "linux/amd64")]);
    let inner = layout.put(media_type::OCI_INDEX, inner.print());
    let outer = layout.put(media_type::DOCKER_INDEX, Index::new(vec![arm.clone(), inner]).print());
    layout.index(vec![outer]);
    for (platform, wanted) in [("linux/amd64", &amd), ("linux/arm64", &arm)] {
        let image = layout.source(None).resolve(&platform.parse().expect("a platform")).expect("an image");
        assert_eq!(image.descriptor().digest, wanted.digest, "{platform}");
    }
    let error = layout.source(None).resolve(&"linux/s390x".parse().expect("a platform")).expect_err("none");
    assert!(
        error.to_string().ends_with("no image for linux/s390x, only for linux/arm64, linux/arm64, linux/amd64"),
        "{error}"
    );
}

#[test]
fn hostile_layouts_are_errors() {
    let layout = Layout::new();
    let entry = layout.image("amd64");
    for (index, why) in
        [("", "image index"), ("[]", "image index"), ("{\"schemaVersion\":2,\"manifests\":[{}]}", "missing field")]
    {
        fs::write(layout.directory.path().join("index.json"), index).expect("written");
        assert!(layout.error(None).contains(why), "{index}: {}", layout.error(None));
    }
    layout.index(vec![Descriptor { size: 1, ..entry.clone() }]);
    assert!(layout.error(None).contains("its descriptor says 1"));
    layout.index(vec![Descriptor { media_type: "application/x".into(), ..entry.clone() }]);
    assert!(layout.error(None).contains("`application/x`"));
    layout.index(vec![entry.clone()]);
    fs::write(layout.blobs.path(&entry.digest), vec![b' '; usize::try_from(entry.size).expect("small")])
        .expect("written");
    assert!(layout.error(None).contains("has digest"));
    // An index cannot hold its own digest, but a wide and deep one fans out as badly.
    let mut level = layout.put(media_type::OCI_INDEX, Index::new(Vec::new()).print());
    for _ in 0..10 {
        level = layout.put(media_type::OCI_INDEX, Index::new(vec![level.clone(), level]).print());
    }
    layout.index(vec![level]);
    assert!(layout.error(None).contains("more than 64 indexes"));
    fs::write(layout.directory.path().join("oci-layout"), br#"{"imageLayoutVersion":"2.0.0"}"#).expect("written");
    assert!(layout.error(None).contains("version `2.0.0`"));
    fs::remove_file(layout.directory.path().join("oci-layout")).expect("removed");
    assert!(layout.error(None).contains("no file `oci-layout`"));
}

/// Writes a docker archive: files, then links, and a manifest of `c.json` and `l.tar` unless a file states another.
fn docker_archive(directory: &Path, files: &[(&str, &[u8])], links: &[(&str, &str)]) -> PathBuf {
    let path = directory.join("archive.tar");
    let mut tar = tar::Builder::new(fs::File::create(&path).expect("created"));
    let list = br#"[{"Config":"c.json","RepoTags":["app:1"],"Layers":["l.tar"]}]"#;
    let stated = files.iter().any(|(name, _)| *name == "manifest.json");
    let list: &[(&str, &[u8])] = if stated { &[] } else { &[("manifest.json", list)] };
    for (name, bytes) in files.iter().chain(list) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).expect("appended");
    }
    for (name, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, target).expect("appended");
    }
    tar.into_inner().expect("finished");
    path
}

fn resolved(path: &Path, tag: Option<&str>) -> Result<Image, StoreError> {
    DockerArchiveSource::new(path.to_owned(), tag.map(str::to_owned)).resolve(&amd64())
}

#[test]
fn old_and_new_docker_archives_are_read_3_5_8() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, LAYER).expect("compressed");
    let gzip = gzip.finish().expect("compressed");
    let config = config("arm64", &[LAYER, LAYER]);
    let blob = format!("blobs/sha256/{}", Digest::of(&config).hex());
    let list = |config: &str, layer: &str| {
        format!(r#"[{{"Config":"{config}","RepoTags":null,"Layers":["one/layer.tar","{layer}"]}}]"#).into_bytes()
    };
    let old = list("c.json", "two/layer.tar");
    let path = docker_archive(
        directory.path(),
        &[("manifest.json", &old), ("one/layer.tar", LAYER), ("c.json", &config)],
        &[("two/layer.tar", "../one/layer.tar")],
    );
    let image = resolved(&path, None).expect("an image");
    assert_eq!(image.manifest.layers, vec![Descriptor::of(media_type::DOCKER_LAYER, LAYER); 2]);
    assert_eq!((image.id(), image.platform().to_string()), (Digest::of(&config), "linux/arm64".to_owned()));
    let new = list(&blob, "gz");
    let path = docker_archive(
        directory.path(),
        &[("one/layer.tar", LAYER), ("gz", &gzip), (&blob, &config), ("manifest.json", &new)],
        &[],
    );
    let layers = resolved(&path, None).expect("an image").manifest.layers;
    assert_eq!(layers[1], Descriptor::of(media_type::DOCKER_LAYER_GZIP, &gzip));
}

#[test]
fn a_docker_archives_image_is_found_by_its_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config("amd64", &[]);
    let list = br#"[{"Config":"c.json","RepoTags":["app:1","app:latest"],"Layers":[]},{"Config":"d.json"}]"#;
    let path = docker_archive(directory.path(), &[("c.json", &config), ("manifest.json", list)], &[]);
    for tag in ["app:1", "app", "docker.io/library/app:1"] {
        assert_eq!(resolved(&path, Some(tag)).expect(tag).id(), Digest::of(&config));
    }
    assert!(matches!(resolved(&path, Some("app:2")), Err(StoreError::NoImage { there, .. }) if there.len() == 2));
    assert!(matches!(resolved(&path, None), Err(StoreError::SeveralImages { .. })));
}

#[test]
fn hostile_docker_archives_are_errors() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = config("amd64", &[LAYER]);
    let named = format!("{}.json", "0".repeat(64));
    let wrong_name = format!(r#"[{{"Config":"{named}","Layers":["l.tar"]}}]"#);
    let (none, loops): (&[(&str, &str)], _) = (&[], [("l.tar", "m.tar"), ("m.tar", "l.tar")]);
    type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 7] = [
        (&[("c.json", &good)], none, "no file `l.tar`"),
        (&[("l.tar", LAYER)], none, "no file `c.json`"),
        (&[("c.json", &good), ("l.tar", b"another")], none, "has digest"),
        (&[("c.json", b"{"), ("l.tar", LAYER)], none, "image config"),
        (&[("manifest.json", b"{}")], none, "`manifest.json`"),
        (&[("c.json", &good)], &loops, "more than 16 links"),
        (&[("manifest.json", wrong_name.as_bytes()), (&named, &good), ("l.tar", LAYER)], none, "has digest"),
    ];
    for (files, links, why) in cases {
        let error = resolved(&docker_archive(directory.path(), files, links), None).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
    let path = directory.path().join("archive.tar");
    fs::write(&path, [0x1f, 0x8b, 8, 0, 0, 0, 0]).expect("written");
    assert!(resolved(&path, None).expect_err("compressed").to_string().contains("compressed with gzip"));
    nix::unistd::mkfifo(&directory.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    assert!(resolved(&directory.path().join("pipe"), None).is_err());
}

#[test]
fn a_docker_archive_cut_short_anywhere_is_an_error_or_the_same_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = docker_archive(directory.path(), &[("c.json", &config("amd64", &[LAYER])), ("l.tar", LAYER)], &[]);
    let (whole, image) = (fs::read(&path).expect("read"), resolved(&path, None).expect("an image"));
    for length in (0..whole.len()).step_by(37) {
        fs::write(&path, &whole[..length]).expect("written");
        if let Ok(found) = resolved(&path, None) {
            assert_eq!(found, image, "{length} bytes");
        }
    }
}

/// FEATURES 3.5-8.
#[test]
fn a_collection_has_each_image_once_with_the_names_that_others_write() {
    let layout = Layout::new();
    let (one, two) = (layout.image("amd64"), layout.image("arm64"));
    let signature = Descriptor { media_type: "application/vnd.example.signature".into(), ..one.clone() };
    layout.index(vec![
        annotated(annotated(one.clone(), FULL_NAME, "docker.io/library/a:1"), REF_NAME, "1"),
        annotated(one.clone(), REF_NAME, "example.com/b:2"),
        annotated(one.clone(), REF_NAME, "example.com/b:2"),
        annotated(two, REF_NAME, "latest"),
        signature,
    ]);
    let temporary = tempfile::tempdir().expect("a directory");
    let images = |layout: &Layout| {
        let collection = Collection::open(layout.directory.path(), temporary.path()).expect("opened");
        collection.images().map(|images| {
            let names = |image: &CollectedImage| image.names.iter().map(ToString::to_string).collect::<Vec<_>>();
            images.iter().map(names).collect::<Vec<_>>()
        })
    };
    let wanted = [vec!["docker.io/library/a:1".to_owned(), "example.com/b:2".to_owned()], vec![]];
    assert_eq!(images(&layout).expect("images"), wanted);
    layout.index(vec![annotated(one, FULL_NAME, "../Evil")]);
    let error = images(&layout).expect_err("no name").to_string();
    assert!(error.contains("is called `../Evil`"), "{error}");
    layout.index(Vec::new());
    assert!(images(&layout).expect_err("nothing").to_string().contains("there is no image in it"));
}
