use super::*;

/// Returns a certificate in PEM form whose bytes are `content`: nobody looks into it here.
fn pem(kind: &str, content: u8) -> String {
    let text = crate::base64::encode(&[content, content, content]);
    format!("some words\n-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
}

fn certificate(content: u8) -> String {
    pem("CERTIFICATE", content)
}

/// Makes `files` in a directory, with settings that have it as `certs.d` and its `ca.pem` in the system's place.
fn scene(files: &[(&str, &str)]) -> (tempfile::TempDir, RegistrySettings) {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files.iter().chain(&[("ca.pem", certificate(0).as_str())]) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(path, text).expect("write");
    }
    let settings = RegistrySettings {
        ca_file: Some(dir.path().join("ca.pem")),
        certificate_directories: vec![dir.path().join("one"), dir.path().join("two")],
        ..RegistrySettings::default()
    };
    (dir, settings)
}

/// Returns the first byte of each authority, and of the client's certificates.
fn read(settings: &RegistrySettings, host: &str) -> Result<(Vec<u8>, Vec<u8>), String> {
    let trust = Trust::read(settings, host).map_err(|error| error.to_string())?;
    let first = |certificates: &[Certificate<'_>]| certificates.iter().map(|one| one.der()[0]).collect();
    let client = trust.client.as_ref().map(|client| first(client.certs()));
    Ok((first(&trust.authorities), client.unwrap_or_default()))
}

/// FEATURES 6-6.
#[test]
fn the_directories_of_a_host_are_added() {
    let two = certificate(2) + &certificate(3);
    let key = pem("PRIVATE KEY", 9);
    let (dir, settings) = scene(&[
        ("one/h.example:5000/ca.crt", &certificate(1)),
        ("one/h.example:5000/notes.txt", "nothing"),
        ("two/h.example:5000/ca.crt", &two),
        ("two/h.example:5000/client.cert", &(certificate(4) + &certificate(5))),
        ("two/h.example:5000/client.key", &key),
        ("two/h.example:5000/other.cert", &certificate(6)),
        ("two/h.example:5000/other.key", &pem("EC PRIVATE KEY", 9)),
        ("one/h.example/ca.crt", &certificate(7)),
        ("one/docker.io/ca.crt", &certificate(8)),
        ("two/registry-1.docker.io/ca.crt", &certificate(9)),
        ("one/[::1]:5000/ca.crt", &certificate(10)),
    ]);
    for (host, wanted) in [
        ("h.example:5000", (vec![0, 1, 2, 3], vec![4, 5])),
        ("h.example", (vec![0, 7], vec![])),
        ("h.example:5001", (vec![0], vec![])),
        ("docker.io", (vec![0, 8, 9], vec![])),
        ("registry-1.docker.io", (vec![0, 8, 9], vec![])),
        ("[::1]:5000", (vec![0, 10], vec![])),
    ] {
        assert_eq!(read(&settings, host), Ok(wanted), "{host}");
    }
    let at = |name: &str| dir.path().join(name);
    let looked = Trust::read(&settings, "x:1").map(|trust| trust.read).ok();
    assert_eq!(looked, Some(vec![at("ca.pem"), at("one/x:1"), at("two/x:1")]));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let (good, key) = (certificate(1), pem("RSA PRIVATE KEY", 1));
    let damaged = good.replace("AQEB", "A!!");
    let locked = pem("ENCRYPTED PRIVATE KEY", 1);
    for (files, place, why) in [
        (vec![("ca.crt", "hush")], "ca.crt", "it holds no certificate in PEM form"),
        (vec![("ca.crt", key.as_str())], "ca.crt", "it holds no certificate in PEM form"),
        (vec![("ca.crt", damaged.as_str())], "ca.crt", "it is damaged: what is in it is not PEM"),
        (
            vec![("a.cert", good.as_str())],
            "a.cert",
            "there is no `.key` of that name beside this client certificate (a `.crt` is an authority's)",
        ),
        (vec![("a.key", key.as_str())], "a.key", "there is no `.cert` of that name beside this key"),
        (
            vec![("a.cert", &good), ("a.key", &locked)],
            "a.key",
            "it holds no private key in PEM form, or one that needs a password",
        ),
        (vec![("a.cert", "hush"), ("a.key", &key)], "a.cert", "it holds no certificate in PEM form"),
    ] {
        let files: Vec<(String, &str)> = files.iter().map(|(name, text)| (format!("one/h/{name}"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let (dir, settings) = scene(&files);
        let path = dir.path().join("one/h").join(place);
        assert_eq!(read(&settings, "h"), Err(format!("`{}`: {why}", path.display())));
    }
}

#[test]
fn the_user_s_authorities_stand_in_the_system_s_place() {
    let (dir, settings) = scene(&[("a/1.pem", &certificate(1)), ("b/2.pem", &certificate(2)), ("b/x", "nothing")]);
    let directories = format!("{0}/a:{0}/b:{0}/absent", dir.path().display());
    let both = RegistrySettings { ca_directory: Some(directories.into()), ..settings.clone() };
    assert_eq!(read(&both, "h"), Ok((vec![0, 1, 2], vec![])));
    let only = RegistrySettings { ca_file: None, ..both };
    assert_eq!(read(&only, "h"), Ok((vec![1, 2], vec![])));
    let absent = RegistrySettings { ca_file: Some(dir.path().join("absent")), ..settings };
    assert_eq!(read(&absent, "h"), Err(format!("`{}/absent`: it is not there", dir.path().display())));
    let system = Trust::read(&RegistrySettings::default(), "h").map(|trust| trust.read.len());
    assert!(system.is_ok_and(|looked| looked <= 2));
}

#[test]
fn the_systems_directory_is_read_only_if_its_file_says_nothing() {
    let (dir, _) = scene(&[("file", &certificate(1)), ("empty", "nothing"), ("certs/2.pem", &certificate(2))]);
    let at = |name: &str| dir.path().join(name);
    for (file, wanted) in [("file", vec![1]), ("empty", vec![2]), ("missing", vec![2])] {
        let mut trust = Trust { authorities: Vec::new(), client: None, read: Vec::new() };
        trust.add_first_of(&[&at("gone"), &at(file)], &[&at("none"), &at("certs")]);
        assert_eq!(trust.authorities.iter().map(|one| one.der()[0]).collect::<Vec<_>>(), wanted, "{file}");
    }
}
