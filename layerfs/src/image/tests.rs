use super::*;
use crate::digest::DiffId;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn config_of(layers: usize) -> Value {
    let diff_ids: Vec<String> = (0..layers).map(|number| Digest::of(number.to_string()).to_string()).collect();
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
}

fn manifest_of(config: &[u8], layers: usize) -> Value {
    let layer = json!({"mediaType": media_type::OCI_LAYER, "digest": Digest::of("x"), "size": 1});
    json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "layers": vec![layer; layers],
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": Digest::of(config), "size": config.len()},
    })
}

fn parse(config: &Value, layers: usize, edit: impl FnOnce(&mut Value)) -> Result<Image, ImageError> {
    let config = config.to_string().into_bytes();
    let mut manifest = manifest_of(&config, layers);
    edit(&mut manifest);
    Image::parse(manifest.to_string().into_bytes(), config)
}

#[test]
fn an_image_keeps_its_bytes() {
    let image = parse(&config_of(2), 2, |_| ()).expect("an image");
    assert_eq!(image.id(), Digest::of(&image.config_bytes));
    assert_eq!(image.descriptor().digest, Digest::of(&image.manifest_bytes));
    assert_eq!(image.platform().to_string(), "linux/amd64");
}

#[test]
fn images_that_contradict_themselves_are_refused_6_9() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 7] = [
        ("schemaVersion` is 3", |m| m["schemaVersion"] = json!(3)),
        ("schemaVersion` is missing", |m| m["schemaVersion"] = Value::Null),
        ("schema 1", |m| m["schemaVersion"] = json!(1)),
        ("`application/x`", |m| m["mediaType"] = json!("application/x")),
        ("`application/vnd.example`", |m| m["config"]["mediaType"] = json!("application/vnd.example")),
        ("manifest states", |m| m["config"]["size"] = json!(1)),
        ("invalid value", |m| m["config"]["size"] = json!(-1)),
    ];
    for (wanted, edit) in edits {
        let error = parse(&config_of(1), 1, edit).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}");
    }
    for (layers, diff_ids) in [(0, 1), (1, 0), (2, 1)] {
        let error = parse(&config_of(diff_ids), layers, |_| ()).expect_err("a mismatch");
        assert_eq!(error, ImageError::LayerCount { layers, diff_ids });
    }
}

/// Row 9-2: some tools write a line for several layers, or more lines than layers.
#[test]
fn histories_may_have_more_or_fewer_lines_than_layers() {
    for history in [json!([{}]), json!([{"empty_layer": true}, {}, {}, {"empty_layer": false}]), json!([])] {
        let mut config = config_of(2);
        config["history"] = history.clone();
        let image = parse(&config, 2, |_| ()).expect("an image");
        assert_eq!(json!(image.config.history.len()), json!(history.as_array().map(Vec::len)));
    }
}

#[test]
fn null_is_nothing() {
    let mut config = config_of(0);
    config["config"] = json!({
        "Labels": null, "Env": null, "Volumes": null, "Healthcheck": null, "User": null, "WorkingDir": null,
        "ExposedPorts": null, "Cmd": null, "OnBuild": null,
    });
    config["history"] = Value::Null;
    config["rootfs"]["diff_ids"] = Value::Null;
    let image = parse(&config, 0, |m| m["layers"] = Value::Null).expect("an image");
    assert_eq!(image.config.config, RunConfig::default());
    let mut config = config_of(0);
    config["config"] = Value::Null;
    assert_eq!(parse(&config, 0, |_| ()).expect("an image").config.config, RunConfig::default());
    config["config"] = json!({"Healthcheck": {"Test": null, "Interval": null, "Retries": 3}});
    let image = parse(&config, 0, |_| ()).expect("an image");
    assert_eq!(image.config.config.healthcheck, Some(Healthcheck { retries: 3, ..Healthcheck::default() }));
}

#[test]
fn a_config_prints_in_one_order_and_keeps_unknown_keys() {
    let text = concat!(
        r#"{"created":"2024-01-01T00:00:00Z","architecture":"arm64","variant":"v8","os":"linux","#,
        r#""config":{"ExposedPorts":{"80/tcp":{}},"Env":["B=1","A=2"],"Cmd":["sh"],"#,
        r#""Healthcheck":{"Test":["NONE"],"Interval":30000000000},"Labels":{"a":"1","b":"<&>"},"Shell":["sh","-c"],"#,
        r#""Unknown":[1]},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x","empty_layer":true}],"#,
        r#""moby.buildkit.cache.v0":"AA=="}"#
    );
    let config: ImageConfig = serde_json::from_str(text).expect("a config");
    assert_eq!(String::from_utf8(config.print()).expect("utf-8"), text);
}

#[test]
fn a_manifest_is_indented_by_two_9_7() {
    let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
    let layer = Descriptor::of(media_type::OCI_LAYER, b"");
    let manifest = Manifest::new(config, vec![layer], BTreeMap::from([("k".to_owned(), "v".to_owned())]));
    let text = String::from_utf8(manifest.print()).expect("utf-8");
    insta::assert_snapshot!(text, @r#"
    {
      "schemaVersion": 2,
      "mediaType": "application/vnd.oci.image.manifest.v1+json",
      "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2
      },
      "layers": [
        {
          "mediaType": "application/vnd.oci.image.layer.v1.tar",
          "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          "size": 0
        }
      ],
      "annotations": {
        "k": "v"
      }
    }
    "#);
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
}

#[test]
fn an_index_gives_the_best_platform_6_8() {
    let entry = |number: u8, kind: &str, platform: Option<&str>| Descriptor {
        platform: platform.map(|text| text.parse().expect("a platform")),
        ..Descriptor::of(kind, &[number])
    };
    let index = Index::new(vec![
        entry(0, media_type::OCI_MANIFEST, Some("unknown/unknown")),
        entry(1, media_type::OCI_MANIFEST, Some("linux/amd64")),
        entry(2, media_type::DOCKER_MANIFEST, Some("linux/amd64/v3")),
        entry(3, media_type::OCI_INDEX, None),
        entry(4, "application/x", Some("linux/arm64")),
        entry(5, media_type::OCI_MANIFEST, Some("linux/amd64")),
    ]);
    for (wish, wanted) in
        [("linux/amd64", vec![1, 5, 3]), ("linux/amd64/v3", vec![2, 1, 5, 3]), ("linux/arm64", vec![3])]
    {
        let wish = wish.parse().expect("a platform");
        let found: Vec<Digest> = index.candidates(&wish).iter().map(|entry| entry.digest).collect();
        assert_eq!(found, wanted.iter().map(|&number: &u8| Digest::of([number])).collect::<Vec<_>>(), "{wish}");
    }
    assert_eq!(Index::parse(&index.print()), Ok(index));
}

#[test]
fn a_diff_id_is_a_digest_in_json() {
    let text = format!("\"{}\"", Digest::of("a"));
    assert_eq!(serde_json::from_str::<DiffId>(&text).expect("a diff ID"), DiffId(Digest::of("a")));
}

#[test]
fn an_independent_reader_takes_our_manifests_and_indexes() {
    let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
    let layers = vec![
        Descriptor::of(media_type::OCI_LAYER, b"1"),
        Descriptor::of(media_type::OCI_LAYER_GZIP, b"2"),
        Descriptor::of(media_type::OCI_LAYER_ZSTD, b"3"),
    ];
    let manifest = Manifest::new(config, layers.clone(), BTreeMap::from([("k".into(), "v".into())]));
    let read = oci_spec::image::ImageManifest::from_reader(manifest.print().as_slice()).expect("a manifest");
    let digests: Vec<String> = read.layers().iter().map(|layer| layer.digest().to_string()).collect();
    assert_eq!(digests, layers.iter().map(|layer| layer.digest.to_string()).collect::<Vec<_>>());
    assert_eq!(read.annotations().as_ref().and_then(|all| all.get("k")).map(String::as_str), Some("v"));
    let platform = Some("linux/arm64".parse().expect("a platform"));
    let entry = Descriptor { platform, ..Descriptor::of(media_type::OCI_MANIFEST, &manifest.print()) };
    let index = oci_spec::image::ImageIndex::from_reader(Index::new(vec![entry]).print().as_slice()).expect("an index");
    let platform = index.manifests()[0].platform().as_ref().expect("a platform");
    assert_eq!((platform.os().to_string(), platform.architecture().to_string()), ("linux".into(), "arm64".into()));
}
