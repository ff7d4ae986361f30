//! Tests of the exporters.

use super::*;
use crate::blobs::BlobStore;
use crate::cancel::Cancel;
use crate::compress::{CompressOptions, Compression, compress_layer};
use crate::image::Index;
use crate::indexes::TarFacts;
use crate::reference::ImageRef;
use crate::refs::{FULL_NAME, REF_NAME};
use crate::testing::Tar;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("store")).expect("a store");
        Self { directory, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a layer with one file into the store, in the form that the media type states.
    fn layer(&self, content: &str, kind: &str) -> ExportLayer {
        let tar = Tar::default().file("file", content).end();
        let form = Compression::of_media_type(kind).expect("a layer");
        let mut bytes = Vec::new();
        compress_layer(&mut tar.as_slice(), &mut bytes, &CompressOptions::new(form), &Default::default())
            .expect("compressed");
        self.store.blobs().put(&bytes).expect("put");
        ExportLayer { diff_id: DiffId(Digest::of(&tar)), blob: Descriptor::of(kind, &bytes), source: None }
    }

    /// Returns an image: a base of Docker's with gzip, and two equal plain layers.
    fn image(&self) -> FinishedImage {
        let base = self.layer("base", media_type::DOCKER_LAYER_GZIP);
        let built = self.layer("built", media_type::OCI_LAYER);
        image(vec![base, built.clone(), built])
    }

    fn leftovers(&self) -> Vec<String> {
        crate::sealed::names(&self.store.temporary()).expect("listed")
    }
}

fn image(layers: Vec<ExportLayer>) -> FinishedImage {
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    let json = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": "2001-02-03T04:05:06Z",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = serde_json::from_value(json).expect("a config");
    FinishedImage::new(config, layers, BTreeMap::from([("key".to_owned(), "value".to_owned())]))
}

fn names(texts: &[&str]) -> Vec<ImageRef> {
    texts.iter().map(|text| text.parse().expect("a name")).collect()
}

fn to(path: &Path) -> Destination {
    Destination::Path(path.to_owned())
}

fn compression(form: Compression, force: bool) -> LayerCompression {
    LayerCompression { form, level: None, force }
}

/// Returns the entries of a tar by name, in their order.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        let facts = [header.mtime(), header.uid(), header.gid()].map(|number| number.expect("a number"));
        assert_eq!(facts, [0, 0, 0]);
        let mode = if header.entry_type().is_dir() { 0o755 } else { 0o644 };
        assert_eq!(header.mode().expect("a mode"), mode);
        let mut content = Vec::new();
        let name = entry.path().expect("a path").display().to_string();
        entry.read_to_end(&mut content).expect("read");
        (name, content)
    };
    archive.entries().expect("entries").map(read).collect()
}

fn shown(index: &Index) -> Vec<[Option<&str>; 2]> {
    let get = |entry: &'_ Descriptor, key: &str| -> Option<String> { entry.annotations.get(key).cloned() };
    let of = |entry| [get(entry, FULL_NAME), get(entry, REF_NAME)].map(|text| text.map(|text| &*text.leak()));
    index.manifests.iter().map(of).collect()
}

#[test]
fn the_store_gets_names_once_all_is_on_disk_11_12() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let manifest = StoreExporter { names: names(&["app", "app:2"]) }.export(&image, &fixture.store).expect("exported");
    let found = fixture.store.image(&manifest.digest).expect("an image");
    assert_eq!(found.id(), image.id());
    assert_eq!(found.platform(), image.platform());
    assert_eq!(found.manifest.annotations, image.annotations);
    let kinds: Vec<_> = found.manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
    assert_eq!(kinds, [media_type::OCI_LAYER_GZIP, media_type::OCI_LAYER, media_type::OCI_LAYER]);
    for name in names(&["app:latest", "app:2"]) {
        assert_eq!(fixture.store.refs().get(&name).expect("read"), Some(manifest.clone()));
    }
    for digest in fixture.store.blobs().list().expect("listed") {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(fixture.store.blobs().path(&digest)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o444, "{digest} is on disk");
    }
}

#[test]
fn an_image_with_a_blob_missing_or_cut_gets_no_name_and_no_file() {
    for damage in [
        (|path: &Path| fs::remove_file(path).expect("removed")) as fn(&Path),
        |path| fs::write(path, b"short").expect("written"),
        |path| {
            let mut bytes = fs::read(path).expect("read");
            bytes[0] ^= 1;
            fs::write(path, bytes).expect("written");
        },
    ] {
        let fixture = Fixture::new();
        let image = fixture.image();
        damage(&fixture.store.blobs().path(&image.layers[1].blob.digest));
        let out = fixture.path("out");
        fs::create_dir(&out).expect("made");
        let (oci, docker) = (out.join("oci.tar"), out.join("docker.tar"));
        fs::write(&oci, "what was there").expect("written");
        for form in [Compression::Plain, Compression::Gzip] {
            let compression = compression(form, false);
            let exporters: [Box<dyn Exporter>; 3] = [
                Box::new(OciArchive { destination: to(&oci), names: Vec::new(), compression }),
                Box::new(DockerArchive { destination: to(&docker), names: Vec::new(), compression }),
                Box::new(OciDirectory { path: fixture.path("layout"), names: Vec::new(), compression }),
            ];
            for exporter in exporters {
                exporter.export(&image, &fixture.store).expect_err("a damaged layer");
                assert!(!fixture.path("layout/index.json").exists());
                assert_eq!(crate::sealed::names(&out).expect("listed"), ["oci.tar"], "{exporter:?}");
                assert_eq!(fs::read(&oci).expect("read"), b"what was there");
            }
            assert_eq!(fixture.leftovers(), Vec::<String>::new());
            assert_eq!(crate::sealed::names(&fixture.store.derived()).expect("listed"), Vec::<String>::new());
        }
    }
    let fixture = Fixture::new();
    let image = fixture.image();
    fixture.store.blobs().remove(&image.layers[0].blob.digest).expect("removed");
    StoreExporter { names: names(&["app"]) }.export(&image, &fixture.store).expect_err("a missing layer");
    assert_eq!(fixture.store.refs().list().expect("read"), []);
}

#[test]
fn an_oci_archive_has_each_blob_once_and_the_same_bytes_again_4_19_9_9() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let export = |file: &str| {
        let path = fixture.path(file);
        let names = names(&["app", "quay.io/a/b:2", "app:latest"]);
        let exporter = OciArchive { destination: to(&path), names, compression: LayerCompression::KEEP };
        let manifest = exporter.export(&image, &fixture.store).expect("exported");
        (manifest, fs::read(path).expect("read"))
    };
    let (manifest, bytes) = export("1.tar");
    assert_eq!(export("2.tar"), (manifest.clone(), bytes.clone()));
    let entries = entries(&bytes);
    let mut digests = [manifest.digest, image.id(), image.layers[0].blob.digest, image.layers[1].blob.digest];
    digests.sort();
    let blobs = digests.iter().map(layout::blob_path);
    let wanted: Vec<String> = ["blobs/".to_owned(), "blobs/sha256/".to_owned()]
        .into_iter()
        .chain(blobs)
        .chain(["index.json".to_owned(), "oci-layout".to_owned()])
        .collect();
    assert_eq!(entries.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), wanted);
    for (name, content) in &entries[2..6] {
        assert_eq!(*name, layout::blob_path(&Digest::of(content)));
    }
    let index = Index::parse(&entries[6].1).expect("an index");
    let full = "docker.io/library/app:latest";
    assert_eq!(shown(&index), [[Some(full), Some("latest")], [Some("quay.io/a/b:2"), Some("2")]]);
    assert!(index.manifests.iter().all(|entry| entry.digest == manifest.digest));
    assert_eq!(index.manifests[0].platform, Some(image.platform()), "9-4");
    assert_eq!(index.manifests[0].annotations["org.opencontainers.image.created"], "2001-02-03T04:05:06Z");
}

#[test]
fn a_docker_archive_has_a_manifest_json_9_8() {
    let fixture = Fixture::new();
    let image = fixture.image();
    for (given, tags) in [(&["x", "quay.io/a/b:2", "x"][..], &["x:latest", "quay.io/a/b:2"][..]), (&[], &[])] {
        let path = fixture.path("x.tar");
        let compression = LayerCompression::KEEP;
        let exporter = DockerArchive { destination: to(&path), names: names(given), compression };
        exporter.export(&image, &fixture.store).expect("exported");
        let entries = entries(&fs::read(path).expect("read"));
        let found = entries.iter().find(|(name, _)| name == "manifest.json").expect("there");
        let layer = |number: usize| layout::blob_path(&image.layers[number].blob.digest);
        let wanted = serde_json::json!([{
            "Config": layout::blob_path(&image.id()), "RepoTags": tags, "Layers": [layer(0), layer(1), layer(1)],
        }]);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&found.1).expect("JSON"), wanted);
    }
}

#[test]
fn layers_leave_in_the_form_that_was_asked_for_4_11() {
    use Compression::{Gzip, Plain, Zstd};
    let fixture = Fixture::new();
    let stored = [
        fixture.layer("a", media_type::OCI_LAYER),
        fixture.layer("b", media_type::DOCKER_LAYER_GZIP),
        fixture.layer("c", media_type::OCI_LAYER_ZSTD),
    ];
    for (form, force, wanted) in [
        (Plain, false, [Plain, Gzip, Zstd]),
        (Plain, true, [Plain, Plain, Plain]),
        (Gzip, false, [Gzip, Gzip, Zstd]),
        (Gzip, true, [Gzip, Gzip, Gzip]),
        (Zstd, false, [Zstd, Gzip, Zstd]),
        (Zstd, true, [Zstd, Zstd, Zstd]),
    ] {
        for (layer, wanted) in stored.iter().zip(wanted) {
            let mut part = compression(form, force).apply(layer, &fixture.store).expect("a part");
            let mut bytes = Vec::new();
            part.file.read_to_end(&mut bytes).expect("read");
            assert_eq!(part.descriptor, Descriptor::of(wanted.oci_media_type(), &bytes), "{form:?} {force}");
            let mut plain = Vec::new();
            let mut tar = crate::compress::decompress(Box::new(bytes.as_slice())).expect("decompressed");
            tar.read_to_end(&mut plain).expect("read");
            assert_eq!(DiffId(Digest::of(plain)), layer.diff_id);
        }
    }
}

#[test]
fn a_compressed_form_is_kept_and_a_damaged_one_made_anew() {
    let fixture = Fixture::new();
    let layer = fixture.layer("a", media_type::OCI_LAYER);
    let gzip = LayerCompression { level: Some(9), ..compression(Compression::Gzip, false) };
    let made = gzip.apply(&layer, &fixture.store).expect("made").descriptor;
    let file = fixture.store.derived().join(format!("{}.gzip-9", layer.diff_id.0.hex()));
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&file).expect("there"));
    let first = inode();
    assert_eq!(gzip.apply(&layer, &fixture.store).expect("found").descriptor, made);
    assert_eq!(inode(), first, "read again, not made again");
    fs::write(&file, b"damaged").expect("written");
    let mut again = gzip.apply(&layer, &fixture.store).expect("made anew");
    let mut bytes = Vec::new();
    again.file.read_to_end(&mut bytes).expect("read");
    assert_eq!((again.descriptor, Digest::of(bytes)), (made.clone(), made.digest));
    let wrong = ExportLayer { diff_id: DiffId(Digest::of(b"other")), ..layer };
    assert!(matches!(gzip.apply(&wrong, &fixture.store), Err(StoreError::DigestMismatch { .. })));
    assert_eq!(crate::sealed::names(&fixture.store.derived()).expect("listed").len(), 3);
}

#[test]
fn a_layer_that_is_followed_is_compressed_before_anybody_asks() {
    let form = compression(Compression::Zstd, false);
    let content = "0123456789abcdef".repeat(3 << 16);
    let wanted = |fixture: &Fixture, layer: &ExportLayer| {
        form.apply(layer, &fixture.store).expect("made by the output").descriptor
    };
    let cancel = Cancel::new().expect("a flag");
    for (position, but_the_last, is_last) in [("below", true, false), ("top", false, true), ("left out", true, true)] {
        let plain = Fixture::new();
        let layer = plain.layer(&content, media_type::OCI_LAYER);
        let wanted = wanted(&plain, &layer);
        let fixture = Fixture::new();
        let early = EarlyForms::new(form, but_the_last, &fixture.store);
        let tar = Tar::default().file("file", &content).end();
        early.beside(&cancel, || {
            let mut file = tempfile::tempfile().expect("a file");
            let writing = early.follow(&file, "a layer".to_owned(), is_last).expect("followed");
            for piece in tar.chunks(1 << 16) {
                file.write_all(piece).expect("written");
            }
            if let Some(writing) = writing {
                writing.ended(TarFacts { diff_id: layer.diff_id, size: tar.len() as u64 });
            }
        });
        let known = form.known(&layer, &fixture.store).expect("read");
        assert_eq!(known, (position != "left out").then_some(wanted), "{position}");
        assert_eq!(fixture.leftovers(), Vec::<String>::new(), "{position}");
    }
}

#[test]
fn of_a_layer_that_is_given_up_nothing_is_kept() {
    let form = compression(Compression::Gzip, false);
    for cancelled in [false, true] {
        let (fixture, cancel) = (Fixture::new(), Cancel::new().expect("a flag"));
        let early = EarlyForms::new(form, false, &fixture.store);
        early.beside(&cancel, || {
            let mut file = tempfile::tempfile().expect("a file");
            let writing = early.follow(&file, "a layer".to_owned(), false).expect("followed");
            file.write_all(b"half a tar").expect("written");
            match cancelled {
                true => cancel.cancel(),
                false => drop(writing),
            }
        });
        assert_eq!(crate::sealed::names(&fixture.store.derived()).expect("listed"), Vec::<String>::new());
        assert_eq!(fixture.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn a_layer_takes_the_members_of_the_last_one_while_that_is_as_it_was_written() {
    let content = "0123456789abcdef".repeat(6 << 16);
    let gzip = compression(Compression::Gzip, false);
    // What the first layer is kept as is overwritten, so that members that were taken from it are seen.
    let second = |sealed_again: bool| {
        let fixture = Fixture::new();
        let first = fixture.layer(&content, media_type::OCI_LAYER);
        let kept = gzip.apply(&first, &fixture.store).expect("made").descriptor;
        let path = fixture.store.derived().join(format!("{}.gzip", first.diff_id.0.hex()));
        fs::write(&path, vec![b'!'; kept.size as usize]).expect("written");
        if sealed_again {
            let file = fs::File::options().write(true).open(&path).expect("opened");
            crate::blobs::seal::seal(&file, &kept.digest);
        }
        let layer = fixture.layer(&format!("{content}."), media_type::OCI_LAYER);
        let mut bytes = Vec::new();
        gzip.apply(&layer, &fixture.store).expect("made").file.read_to_end(&mut bytes).expect("read");
        bytes.iter().filter(|&&byte| byte == b'!').count() > bytes.len() / 2
    };
    assert!(second(true), "members were taken");
    assert!(!second(false), "what was written to is not taken from");
}

#[test]
fn a_directory_keeps_what_is_there_and_moves_names_4_19() {
    let fixture = Fixture::new();
    let path = fixture.path("new/layout");
    let export = |content: &str, given: &[&str]| {
        let image = image(vec![fixture.layer(content, media_type::OCI_LAYER)]);
        let exporter = OciDirectory { path: path.clone(), names: names(given), compression: LayerCompression::KEEP };
        exporter.export(&image, &fixture.store).expect("exported").digest
    };
    let index = || crate::refs::parse_index(&path.join("index.json")).expect("an index");
    let one = export("1", &["a", "b:1"]);
    let before = fs::read(path.join("index.json")).expect("read");
    assert_eq!(export("1", &["a", "b:1"]), one);
    assert_eq!(fs::read(path.join("index.json")).expect("read"), before, "the same again changes nothing");
    let two = export("2", &["a"]);
    let nameless = export("3", &[]);
    assert_eq!(export("3", &[]), nameless);
    let digests: Vec<_> = index().manifests.iter().map(|entry| entry.digest).collect();
    assert_eq!(digests, [one, two, nameless]);
    let (a, b) = ("docker.io/library/a:latest", "docker.io/library/b:1");
    assert_eq!(shown(&index()), [[Some(b), Some("1")], [Some(a), Some("latest")], [None, None]]);
    assert_eq!(fs::read(path.join("oci-layout")).expect("read"), layout::LAYOUT);
    assert_eq!(crate::sealed::names(&path).expect("listed"), ["blobs", "index.json", "oci-layout"]);
    let blob = path.join(layout::blob_path(&two));
    fs::remove_file(&blob).expect("removed");
    fs::write(&blob, b"damaged").expect("written");
    export("2", &["a"]);
    assert_eq!(Digest::of(fs::read(&blob).expect("read")), two, "a damaged blob is written again");
}

#[test]
fn archives_go_through_links_and_into_devices() {
    let fixture = Fixture::new();
    let image = fixture.image();
    let export = |path: &Path| {
        let compression = LayerCompression::KEEP;
        OciArchive { destination: to(path), names: Vec::new(), compression }.export(&image, &fixture.store)
    };
    let (file, link) = (fixture.path("file"), fixture.path("link"));
    fs::write(&file, "old").expect("written");
    std::os::unix::fs::symlink(&file, &link).expect("linked");
    export(&link).expect("exported");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert!(fs::metadata(&file).expect("there").len() > 1024);
    export(Path::new("/dev/null")).expect("exported");
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::metadata("/dev/null").expect("there").file_type().is_char_device());
    let error = export(fixture.directory.path()).expect_err("a directory").to_string();
    assert!(error.ends_with("Is a directory"), "{error}");
    let error = export(&fixture.path("missing/x.tar")).expect_err("no directory").to_string();
    assert!(error.ends_with("No such file or directory"), "{error}");
}

fn whole(image: &FinishedImage) -> crate::image::Image {
    let layers = image.layers.iter().map(|layer| layer.blob.clone()).collect();
    crate::image::Image::parse(image.manifest(layers).1, image.config_bytes.clone()).expect("an image")
}

/// FEATURES 3.5-8: one archive, shared blobs once, every name.
#[test]
fn several_images_are_saved_into_one_archive() {
    let fixture = Fixture::new();
    let base = fixture.layer("base", media_type::DOCKER_LAYER_GZIP);
    let one = image(vec![base.clone(), fixture.layer("1", media_type::OCI_LAYER)]);
    let two = image(vec![base, fixture.layer("2", media_type::OCI_LAYER)]);
    let images = [(whole(&one), names(&["a:1", "b"])), (whole(&two), Vec::new())];
    let path = fixture.path("x.tar");
    save(&images, &SaveTo::DockerArchive(to(&path)), &fixture.store).expect("saved");
    let found: BTreeMap<String, Vec<u8>> = entries(&fs::read(&path).expect("read")).into_iter().collect();
    let blobs = found.iter().filter(|(name, _)| name.len() > "blobs/sha256/".len());
    assert_eq!(blobs.count(), 7, "three layers, two configs, two manifests");
    let lines: serde_json::Value = serde_json::from_slice(&found["manifest.json"]).expect("JSON");
    assert_eq!(lines[0]["RepoTags"], serde_json::json!(["a:1", "b:latest"]));
    assert_eq!(lines[1]["RepoTags"], serde_json::json!([]));
    let config = |number: usize| lines[number]["Config"].as_str().expect("a name").to_owned();
    assert_eq!([config(0), config(1)], [one.id(), two.id()].map(|id| layout::blob_path(&id)));
    let index = Index::parse(&found["index.json"]).expect("an index");
    let full = "docker.io/library/";
    assert_eq!(
        shown(&index),
        [
            [Some(format!("{full}a:1").as_str()), Some("1")],
            [Some(format!("{full}b:latest").as_str()), Some("latest")],
            [None, None]
        ]
    );
    save(&images, &SaveTo::OciArchive(to(&path)), &fixture.store).expect("saved");
    let oci: BTreeMap<String, Vec<u8>> = entries(&fs::read(&path).expect("read")).into_iter().collect();
    assert!(oci.iter().all(|(name, bytes)| found[name] == *bytes) && oci.len() == found.len() - 1);
    let directory = fixture.path("layout");
    save(&images, &SaveTo::OciDirectory(directory.clone()), &fixture.store).expect("saved");
    assert_eq!(crate::refs::parse_index(&directory.join("index.json")).expect("an index"), index);
}

#[test]
fn a_single_saved_image_has_the_bytes_of_its_export() {
    let fixture = Fixture::new();
    let finished = fixture.image();
    let given = names(&["x"]);
    let (exported, saved) = (fixture.path("exported.tar"), fixture.path("saved.tar"));
    let compression = LayerCompression::KEEP;
    let exporter = DockerArchive { destination: to(&exported), names: given.clone(), compression };
    exporter.export(&finished, &fixture.store).expect("exported");
    save(&[(whole(&finished), given)], &SaveTo::DockerArchive(to(&saved)), &fixture.store).expect("saved");
    assert!(fs::read(exported).expect("read") == fs::read(saved).expect("read"));
    fixture.store.blobs().remove(&finished.layers[0].blob.digest).expect("removed");
    let gone = fixture.path("gone.tar");
    save(&[(whole(&finished), Vec::new())], &SaveTo::DockerArchive(to(&gone)), &fixture.store).expect_err("a layer");
    assert!(!gone.exists());
}
