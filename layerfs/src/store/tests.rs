use super::*;
use crate::descriptor::media_type;
use crate::digest::DiffId;
use crate::indexes::TarFacts;
use crate::layer::{ExecutionId, LayerKey};
use crate::lease::Held;
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("store")).expect("a store");
    (directory, store)
}

/// Stores an image of one plain layer and gives it a name.
pub(crate) fn put_image(store: &Store, name: &str, layer: &[u8]) -> Descriptor {
    let layer = Descriptor::new(media_type::OCI_LAYER, store.blobs().put(layer).expect("put"), layer.len() as u64);
    let config = format!(
        r#"{{"created":"2024-01-01T00:00:00Z","architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        layer.digest
    );
    store.blobs().put(config.as_bytes()).expect("put");
    let config = Descriptor::of(media_type::OCI_CONFIG, config.as_bytes());
    let manifest = Manifest::new(config, vec![layer], BTreeMap::new()).print();
    store.blobs().put(&manifest).expect("put");
    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    store.refs().set(&[name.parse().expect("a name")], &descriptor).expect("set");
    descriptor
}

fn key(number: u8) -> LayerKey {
    LayerKey::Execution(ExecutionId([number; 16]))
}

fn publish(store: &Store, key: &LayerKey) {
    let directories = store.directories("map").expect("opened");
    let name = directories.fresh_name();
    fs::create_dir(directories.root().join(&name)).expect("a directory");
    directories.publish(&name, key).expect("published");
}

fn layers(store: &Store) -> BTreeSet<LayerKey> {
    store.directories("map").expect("opened").list().expect("listed").into_iter().map(|(key, _)| key).collect()
}

fn collect(store: &Store, options: &GcOptions) -> GcReport {
    let root = store.root().to_owned();
    let mut remover = |paths: &[PathBuf]| {
        paths.iter().for_each(|path| fs::remove_dir_all(root.join(path)).expect("removed"));
        Ok(0)
    };
    GcReport { bytes: 0, ..store.gc(options, &mut remover).expect("collected") }
}

fn check(store: &Store) -> FsckReport {
    store.fsck(&mut |_, _| Ok(Vec::new()), None).expect("checked")
}

fn repair(store: &Store, check_layer: &mut LayerCheck<'_>) -> FsckReport {
    let root = store.root().to_owned();
    let mut remover = |paths: &[PathBuf]| {
        paths.iter().for_each(|path| fs::remove_dir_all(root.join(path)).expect("removed"));
        Ok(0)
    };
    store.fsck(check_layer, Some(&mut remover)).expect("repaired")
}

fn texts(report: &FsckReport) -> Vec<&str> {
    report.problems.iter().map(|problem| problem.text.as_str()).collect()
}

#[test]
fn an_image_gets_further_names_all_at_once() {
    let (_directory, store) = store();
    let names = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a name")).collect::<Vec<ImageRef>>();
    let one = put_image(&store, "one", b"1");
    put_image(&store, "two", b"2");
    store.tag("one", &names(&["two", "a/b:3"])).expect("tagged");
    assert_eq!(store.images().expect("listed").len(), 1, "a name that moves is taken from what had it");
    assert_eq!(store.find("a/b:3").expect("found"), one);
    assert!(matches!(store.tag("three", &names(&["x"])), Err(StoreError::NoImage { .. })));
    let layer = store.image(&one.digest).expect("an image").manifest.layers[0].digest;
    store.blobs().remove(&layer).expect("removed");
    assert!(matches!(store.tag("one", &names(&["x"])), Err(StoreError::NoBlob(_))));
    assert!(store.find("x").is_err());
}

#[test]
fn a_store_is_made_once_and_by_many() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("deep/store");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| Store::open(&root).expect("a store"));
        }
    });
    assert_eq!(fs::read(root.join("oci-layout")).expect("read"), LAYOUT);
    assert_eq!(check(&Store::open(&root).expect("a store")), FsckReport::default());
}

#[test]
fn what_is_no_store_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let refused = |why: &str| {
        let error = Store::open(directory.path()).expect_err(why);
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.help().is_some());
    };
    fs::write(directory.path().join("letter.txt"), b"").expect("written");
    refused("it has `letter.txt`");
    fs::remove_file(directory.path().join("letter.txt")).expect("removed");
    fs::write(directory.path().join("index.json"), b"").expect("written");
    refused("image layout of another tool");
    for (text, why) in [("{\"version\":2}", "has version 2"), ("{}", "states no version"), ("", "states no version")] {
        fs::write(directory.path().join(VERSION_FILE), text).expect("written");
        refused(why);
    }
    assert!(matches!(Store::open(Path::new("/proc/none")), Err(StoreError::Unusable { .. })));
}

#[test]
fn a_store_that_lost_its_version_is_made_whole_with_all_it_holds() {
    let (directory, store) = store();
    let one = put_image(&store, "one", b"1");
    for name in LOCKS {
        fs::write(store.root().join(name), b"").expect("written");
    }
    fs::remove_file(store.root().join(VERSION_FILE)).expect("removed");
    assert_eq!(Store::open(store.root()).expect("a store").find("one").expect("found"), one);
    drop(directory);
}

#[test]
fn images_are_listed_found_and_removed_3_5_7() {
    let (_directory, store) = store();
    let one = put_image(&store, "one", b"1");
    store.refs().set(&["other:2".parse().expect("a name")], &one).expect("set");
    put_image(&store, "two", b"2");
    let images = store.images().expect("listed");
    let names: Vec<Vec<String>> =
        images.iter().map(|image| image.names.iter().map(ImageRef::familiar).collect()).collect();
    assert_eq!(names, [vec!["one:latest", "other:2"], vec!["two:latest"]]);
    assert_eq!(images[0].manifest, one.digest);
    let id = images[0].id.hex();
    for text in ["one", "one:latest", "docker.io/library/other:2", &id, &id[..12], &one.digest.to_string()] {
        assert_eq!(store.find(text).expect(text), one, "{text}");
    }
    assert!(matches!(store.find("three"), Err(StoreError::NoImage { there, .. }) if there.len() == 3));
    assert_eq!(store.remove("other:2").expect("removed").len(), 1);
    assert_eq!(store.remove(&id[..12]).expect("removed"), ["one".parse().expect("a name")]);
    assert!(store.remove("one").is_err());
}

#[test]
fn gc_keeps_what_is_named_recorded_or_leased() {
    let (_directory, store) = store();
    put_image(&store, "named", b"layer");
    let before: BTreeSet<Digest> = store.blobs().list().expect("listed").into_iter().collect();
    let facts = TarFacts { diff_id: DiffId(Digest::of("layer")), size: 5 };
    store.indexes().put_tar(&key(1), facts).expect("put");
    let leased = store.blobs().put(b"leased").expect("put");
    store.blobs().put(b"unneeded").expect("put");
    (1..=4).for_each(|number| publish(&store, &key(number)));
    publish(&store, &LayerKey::Diff(facts.diff_id));
    fs::write(store.temporary().join("left"), b"").expect("written");
    let lease = store.lease().expect("a lease");
    lease.hold(&[Held::Blob(leased), Held::Layer(key(2))]).expect("noted");
    let records = Reach { layers: [key(3)].into(), ..Reach::default() };
    let options = GcOptions { records, ..GcOptions::default() };

    let report = collect(&store, &options);
    assert_eq!(report, GcReport { blobs: 1, layers: 1, ..GcReport::default() });
    assert_eq!(layers(&store), [key(1), key(2), key(3), LayerKey::Diff(facts.diff_id)].into());
    drop(lease);
    let report = collect(&store, &options);
    assert_eq!(report, GcReport { blobs: 1, layers: 1, leftovers: 1, ..GcReport::default() });
    assert_eq!(store.blobs().list().expect("listed").into_iter().collect::<BTreeSet<_>>(), before);
    store.remove("named").expect("removed");
    collect(&store, &GcOptions::default());
    assert_eq!((store.blobs().list().expect("listed"), layers(&store)), (vec![], BTreeSet::new()));
}

#[test]
fn gc_deletes_nothing_where_an_image_is_damaged() {
    let (_directory, store) = store();
    let manifest = put_image(&store, "named", b"layer");
    fs::write(store.blobs().path(&manifest.digest), b"{").expect("written");
    store.blobs().put(b"unneeded").expect("put");
    assert!(store.gc(&GcOptions::default(), &mut |_| Ok(0)).is_err());
    assert!(store.blobs().size(&Digest::of("unneeded")).expect("size").is_some());
    let error = store.images().expect_err("damaged").to_string();
    assert!(error.starts_with("image `named:latest`: "), "{error}");
    assert_eq!(store.remove(&manifest.digest.hex()[..8]).expect("removed").len(), 1);
    assert_eq!(collect(&store, &GcOptions::default()).blobs, 4);
}

#[test]
fn an_index_of_a_base_outlives_its_blobs() {
    let (_directory, store) = store();
    let base = LayerKey::Diff(DiffId(Digest::of("base")));
    store.indexes().put(&base, std::sync::Arc::default()).expect("put");
    collect(&store, &GcOptions { index_age: Duration::from_secs(3600), ..GcOptions::default() });
    assert!(store.indexes().get(&base).expect("get").is_some());
    assert_eq!(collect(&store, &GcOptions::default()).indexes, 1);
}

#[test]
fn fsck_finds_every_damage() {
    let (_directory, store) = store();
    let manifest = put_image(&store, "named", b"layer");
    publish(&store, &key(1));
    assert_eq!(check(&store).problems, []);
    assert_eq!(check(&store).counted.blobs, 3);

    let index = store.indexes().path(&key(1));
    fs::write(&index, b"damaged").expect("written");
    fs::write(store.temporary().join("left"), b"").expect("written");
    let report = store.fsck(&mut |map, key| Ok(vec![format!("checked {map}/{key}")]), None).expect("checked");
    let layer = format!("layer {}: checked map/{}", key(1), key(1));
    assert_eq!(texts(&report), [&format!("`index/{}` is damaged", key(1)), &layer]);
    assert_eq!((report.leftovers.as_slice(), report.is_well()), (&["tmp/left".to_owned()][..], false));
    assert_eq!(layers(&store), [key(1)].into(), "a check removes nothing");

    for digest in store.blobs().list().expect("listed") {
        let whole = fs::read(store.blobs().path(&digest)).expect("read");
        store.blobs().remove(&digest).expect("removed");
        assert!(!check(&store).is_well(), "{digest} is missing");
        fs::write(store.blobs().path(&digest), &whole[1..]).expect("written");
        assert!(!check(&store).is_well(), "{digest} is damaged");
        store.blobs().put(&whole).expect("put");
    }
    store.fsck(&mut |_, _| Ok(Vec::new()), Some(&mut |_| Ok(0))).expect("repaired");
    assert_eq!(check(&store).problems, []);
    fs::write(store.root().join("index.json"), b"{").expect("written");
    assert_eq!(check(&store).problems.len(), 1, "{}", manifest.digest);
}

#[test]
fn a_repair_removes_what_is_damaged() {
    let (_directory, store) = store();
    let manifest = put_image(&store, "named", b"layer");
    store.refs().set(&["other:2".parse().expect("a name")], &manifest).expect("set");
    publish(&store, &key(1));
    publish(&store, &key(2));
    fs::write(store.indexes().path(&key(1)), b"damaged").expect("written");
    let stray = store.blobs().put(b"stray").expect("put");
    let layer = Digest::of("layer");
    for digest in [&stray, &layer] {
        fs::write(store.blobs().path(digest), b"wrong").expect("written");
    }

    let mut damaged_layer = |_: &str, key: &LayerKey| {
        Ok(if *key == self::key(2) { vec!["`a` is missing".to_owned(), "`b` is missing".to_owned()] } else { vec![] })
    };
    let report = repair(&store, &mut damaged_layer);
    let mended: Vec<bool> = report.problems.iter().map(|problem| problem.mended).collect();
    assert_eq!(mended, [true, true, false, true, true, true], "{report:?}");
    assert_eq!(
        report.problems[2],
        Problem {
            text: format!("image `named:latest`, `other:2`: layer {layer} of 5 bytes is damaged"),
            cure: Some(
                "build it again (`lbuild -t named:latest -t other:2 …`), or give its names up (`lbuild rmi \
                 named:latest other:2`)"
                    .to_owned()
            ),
            mended: false,
        }
    );
    assert_eq!(layers(&store), [key(1)].into());
    assert_eq!(store.directories("map").expect("opened").unpublished().expect("listed"), Vec::<PathBuf>::new());
    assert_eq!((store.blobs().size(&stray).expect("size"), store.blobs().size(&layer).expect("size")), (None, None));

    // The names stay, until the image is whole again.
    assert_eq!(store.refs().list().expect("listed").len(), 2);
    let lost = format!("image `named:latest`, `other:2`: layer {layer} of 5 bytes is not in the store");
    assert_eq!(texts(&check(&store)), [&lost]);
    store.blobs().put(b"layer").expect("put");
    assert_eq!(check(&store).problems, []);
}

#[test]
fn a_layer_that_cannot_be_looked_at_is_not_damaged() {
    let (_directory, store) = store();
    publish(&store, &key(1));
    let mut blind = |_: &str, _: &LayerKey| Err(StoreError::NoBlob(Digest::of("blind")));
    assert!(matches!(store.fsck(&mut blind, Some(&mut |_| Ok(0))), Err(StoreError::NoBlob(_))));
    assert_eq!(layers(&store), [key(1)].into());
}

/// Frozen with the first release: what stands where in a new store.
#[test]
fn a_new_store_has_this_layout() {
    let place = tempfile::tempdir().expect("a directory");
    let root = place.path().join("store");
    Store::open(&root).expect("a store");
    let mut names: Vec<String> = walkdir_names(&root, &root);
    names.sort();
    insta::assert_snapshot!(names.join("\n"));
    insta::assert_snapshot!(std::fs::read_to_string(root.join("lbuild-store.json")).expect("a version"));
}

fn walkdir_names(root: &std::path::Path, at: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(at).expect("a directory") {
        let path = entry.expect("an entry").path();
        let is_directory = path.is_dir();
        let shown = path.strip_prefix(root).expect("below").display().to_string();
        names.push(if is_directory { format!("{shown}/") } else { shown });
        if is_directory {
            names.extend(walkdir_names(root, &path));
        }
    }
    names
}
