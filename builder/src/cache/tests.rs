use super::*;
use layerfs::meta::Timestamp;
use layerfs::store::Store;

fn record(key: &str, execution: u8, ancestors: &[(&str, u8)]) -> Record {
    let link = |(name, number): &(&str, u8)| (CacheKey(Digest::of(name)), ExecutionId([*number; 16]));
    let built = |execution| Layer::Built { execution, created: Timestamp::from_seconds(7) };
    let ancestors: Vec<_> = ancestors.iter().map(link).collect();
    let own = ExecutionId([execution; 16]);
    Record {
        version: RECORD_VERSION,
        key: CacheKey(Digest::of(key)),
        execution: own,
        stack: ancestors.iter().map(|link| built(link.1)).chain([built(own)]).collect(),
        ancestors,
        components: vec![Component { name: "op".into(), value: "run".into() }],
    }
}

fn contract(cache: &dyn CacheBackend) {
    let (one, two, other) = (record("one", 1, &[]), record("two", 2, &[("one", 1)]), record("other", 3, &[]));
    assert_eq!(cache.get(&one.key), Ok(None));
    for made in [&one, &two, &other] {
        assert_eq!(cache.put(made), Ok(()));
        assert_eq!(cache.get(&made.key), Ok(Some(made.clone())));
    }
    let again = record("one", 9, &[]);
    assert_eq!(cache.put(&again), Ok(()));
    assert_eq!(cache.get(&one.key), Ok(Some(again)), "the last put counts");
    assert_eq!(cache.strike(&[ExecutionId([1; 16])]), Ok(1), "two stood on the first execution of one");
    assert_eq!(cache.get(&two.key), Ok(None));
    assert_eq!(cache.get(&other.key), Ok(Some(other.clone())));
    let name = Digest::of("memo");
    assert_eq!(cache.memo_get(&name), Ok(None));
    assert_eq!(cache.memo_put(&name, b"value"), Ok(()));
    assert_eq!(cache.memo_get(&name), Ok(Some(b"value".to_vec())));
    assert!(cache.lock(&one.key, &|| false).expect("locks").is_some());
}

#[test]
fn memory_cache_keeps_the_contract() {
    contract(&MemoryCache::default());
}

#[test]
fn local_cache_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    contract(&LocalCache::new(&Store::open(&folder.path().join("store")).expect("a store")));
}

#[test]
fn a_damaged_record_is_no_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("store")).expect("a store");
    let (cache, made) = (LocalCache::new(&store), record("one", 1, &[]));
    cache.put(&made).expect("put");
    let hex = made.key.to_string();
    let path = store.cache().join("records").join(&hex[..2]).join(&hex);
    let whole = std::fs::read(&path).expect("read");
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).expect("write");
        assert_eq!(cache.get(&made.key), Ok(None), "cut at {length}");
    }
}

#[test]
fn a_key_is_locked_for_one_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = LocalCache::new(&Store::open(&folder.path().join("store")).expect("a store"));
    let (one, two) = (CacheKey(Digest::of("one")), CacheKey(Digest::of("two")));
    let held = cache.lock(&one, &|| false).expect("lock").expect("free");
    assert!(cache.lock(&one, &|| true).expect("lock").is_none(), "held");
    assert!(cache.lock(&two, &|| true).expect("lock").is_some(), "another key");
    drop(held);
    assert!(cache.lock(&one, &|| true).expect("lock").is_some(), "free again");
}

/// Frozen with the first release: a record that another lbuild wrote must be read, or have another version.
#[test]
fn a_record_has_this_form() {
    let json = serde_json::to_string_pretty(&record("two", 2, &[("one", 1)])).expect("JSON");
    insta::assert_snapshot!(json);
}

#[test]
fn a_record_that_is_used_is_young_again() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(&root.path().join("store")).expect("a store");
    let cache = LocalCache::new(&store);
    let made = record("one", 1, &[]);
    cache.put(&made).expect("put");
    let hex = made.key.to_string();
    let path = store.cache().join("records").join(&hex[..2]).join(&hex);
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(48 * 3600);
    std::fs::File::open(&path).and_then(|file| file.set_modified(then)).expect("aged");
    let used = || cache.list().expect("listed")[0].1;
    assert!(used() <= then + std::time::Duration::from_secs(1));
    cache.get(&made.key).expect("got");
    assert!(used().elapsed().unwrap_or_default() < std::time::Duration::from_secs(60));
}
