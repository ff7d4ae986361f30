use super::*;
use crate::digest::{DiffId, Digest};
use crate::meta::{Kind, Metadata, Timestamp};
use crate::path::TreePath;
use crate::tar::TarWriter;
use std::io::{self, Read};

/// Bytes that compress a little, the same every time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8 & 0x3f
    };
    (0..length).map(|_| next()).collect()
}

fn layer(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (path, content) in files {
        let kind = Kind::File { size: content.len() as u64 };
        let metadata = Metadata { kind, mode: 0o644, ..Metadata::directory(Timestamp::from_seconds(1)) };
        tar.inode(&TreePath::from(path.as_str()), &metadata, &mut &content[..]).unwrap();
    }
    tar.finish().unwrap()
}

fn files() -> Vec<(String, Vec<u8>)> {
    let small = (0..400).map(|i| (format!("usr/share/file-{i}"), noise(i, 3000 + 37 * i as usize)));
    let large = ("usr/lib/large".to_owned(), noise(7, (5 << 20) / 2));
    let long = (format!("{}é", "long/".repeat(40)), noise(8, 10));
    small.clone().take(200).chain([large, long]).chain(small.skip(200)).collect()
}

fn compress(tar: &[u8], options: &CompressOptions) -> (Vec<u8>, Compressed) {
    let mut blob = Vec::new();
    let compressed = compress_layer(&mut &tar[..], &mut blob, options, &Known::default()).unwrap();
    (blob, compressed)
}

fn expand(blob: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    decompress(Box::new(blob))?.read_to_end(&mut plain)?;
    Ok(plain)
}

fn cut(tar: &[u8]) -> Vec<Vec<u8>> {
    let mut input = tar;
    let mut members = cuts::Cuts::new(&mut input);
    std::iter::from_fn(|| {
        let mut member = Vec::new();
        members.next(&mut member).unwrap().then_some(member)
    })
    .collect()
}

const FORMS: [Compression; 3] = [Compression::Plain, Compression::Gzip, Compression::Zstd];

#[test]
fn every_form_comes_back() {
    let tar = layer(&files());
    for form in FORMS {
        for single_member in [false, true] {
            let (blob, compressed) = compress(&tar, &CompressOptions { form, level: None, single_member });
            assert_eq!(Compression::sniff(&blob), form);
            assert_eq!(expand(&blob).unwrap(), tar, "{form:?}");
            let got = (compressed.digest, compressed.size, compressed.diff_id);
            assert_eq!(got, (Digest::of(&blob), blob.len() as u64, Some(DiffId(Digest::of(&tar)))));
        }
    }
}

#[test]
fn a_tar_whose_diff_id_is_known_is_not_hashed() {
    let tar = layer(&files());
    for form in FORMS {
        let options = CompressOptions::new(form);
        let mut blob = Vec::new();
        let known = Known { diff_id: true, ..Known::default() };
        let compressed = compress_layer(&mut &tar[..], &mut blob, &options, &known).unwrap();
        assert_eq!((compressed.diff_id, compressed.digest), (None, Digest::of(&blob)));
        assert!(blob == compress(&tar, &options).0, "{form:?}");
    }
}

/// A second layer of which one file changed takes the others' members, and has the bytes that it has without them.
#[test]
fn members_of_an_earlier_layer_come_again() {
    let file = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file
    };
    let mut files = files();
    let before = layer(&files);
    files[100].1.push(0);
    let after = layer(&files);
    for form in [Compression::Gzip, Compression::Zstd] {
        let options = CompressOptions::new(form);
        let (blob, compressed) = compress(&before, &options);
        let list = compressed.members.encode();
        // Members that are not what they were compressed from show which ones were taken.
        let mut known = Known::default();
        known.earlier.add(file(&before), file(&vec![b'!'; blob.len()]), &Members::decode(&list).unwrap());
        let mut taken = Vec::new();
        compress_layer(&mut &after[..], &mut taken, &options, &known).unwrap();
        let marks = taken.iter().filter(|&&byte| byte == b'!').count();
        assert!(marks > blob.len() / 2, "{form:?}: {marks} of {}", blob.len());
        known.earlier = Earlier::default();
        known.earlier.add(file(&before), file(&blob), &compressed.members);
        let mut taken = Vec::new();
        let again = compress_layer(&mut &after[..], &mut taken, &options, &known).unwrap();
        assert!((taken, again) == compress(&after, &options), "{form:?}");
    }
}

/// These bytes freeze with the first release.
#[test]
fn the_bytes_of_compressed_layers_are_fixed() {
    let tar = layer(&files());
    let digests: Vec<String> = FORMS[1..]
        .iter()
        .map(|&form| format!("{form:?} {}", compress(&tar, &CompressOptions::new(form)).1.digest))
        .collect();
    insta::assert_snapshot!(digests.join("\n"));
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let tar = layer(&files());
    for form in FORMS {
        let by = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| compress(&tar, &CompressOptions::new(form)))
        };
        assert!(by(1) == by(4), "{form:?}");
    }
}

#[test]
fn members_end_at_entries_and_have_bounds() {
    let tar = layer(&files());
    let members = cut(&tar);
    assert_eq!(members.concat(), tar);
    assert!(members.iter().all(|member| !member.is_empty() && member.len() as u64 <= cuts::MAX));
    assert!(members.len() > 8, "{}", members.len());
    let whole: Vec<usize> = (0..members.len()).filter(|&at| members[at].len() as u64 == cuts::MAX).collect();
    assert_eq!(whole.len(), 2, "the large file fills two members");
    assert!(members[whole[0]].starts_with(b"usr/lib/large"));
    let inside = |at: usize| at == whole[0] + 1 || at == whole[1] + 1;
    for (at, member) in members.iter().enumerate().filter(|(at, _)| !inside(*at)) {
        assert!(member.starts_with(b"usr/") || member.starts_with(b"PaxHeaders"), "member {at}");
    }
}

#[test]
fn distant_members_do_not_change() {
    let mut files = files();
    let before = cut(&layer(&files));
    files[100].1.push(0);
    files.insert(301, ("usr/share/new".to_owned(), noise(9, 70_000)));
    let after = cut(&layer(&files));
    let changed = before.iter().filter(|member| !after.contains(member)).count();
    assert!(changed > 0 && changed < before.len() / 2, "{changed} of {}", before.len());
    assert_eq!(before[0], after[0]);
    assert_eq!(before[before.len() - 1], after[after.len() - 1]);
}

#[test]
fn what_is_no_tar_is_compressed_all_the_same() {
    let tar = layer(&files());
    let mut extension = ::tar::Header::new_ustar();
    extension.set_entry_type(::tar::EntryType::XHeader);
    extension.set_size(0);
    extension.set_cksum();
    let extensions = extension.as_bytes().repeat(8000);
    assert!(cut(&extensions).iter().all(|member| member.len() <= 2 << 20));
    let damaged = [&tar[..5000], &noise(3, 3 << 20)[..]].concat();
    for bytes in
        [Vec::new(), vec![1], noise(1, 511), noise(1, 5 << 19), tar[..tar.len() - 5000].to_vec(), damaged, extensions]
    {
        assert_eq!(cut(&bytes).concat(), bytes);
        for form in FORMS {
            assert_eq!(expand(&compress(&bytes, &CompressOptions::new(form)).0).unwrap(), bytes);
        }
    }
}

#[test]
fn the_gzip_header_says_nothing() {
    for single_member in [false, true] {
        let (blob, _) = compress(b"x", &CompressOptions { single_member, ..CompressOptions::new(Compression::Gzip) });
        assert_eq!(blob[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }
}

#[test]
fn truncated_and_followed_streams_are_seen() {
    let tar = noise(1, 3 << 19);
    for form in [Compression::Gzip, Compression::Zstd] {
        let (blob, _) = compress(&tar, &CompressOptions::new(form));
        for end in [5, blob.len() / 3, blob.len() - 1] {
            assert!(expand(&blob[..end]).is_err(), "{form:?} {end}");
        }
        assert!(expand(&[&blob[..], b"garbage"].concat()).is_err(), "{form:?}");
        assert_eq!(expand(&[&blob[..], &blob[..]].concat()).unwrap(), [&tar[..], &tar[..]].concat(), "{form:?}");
    }
    let (blob, _) = compress(&tar, &CompressOptions::new(Compression::Gzip));
    assert_eq!(expand(&[&blob[..], &[0; 70_000]].concat()).unwrap(), tar);
    assert!(expand(&[&blob[..], &[0; 70_000], b"x"].concat()).is_err());
}

#[test]
fn levels_out_of_range_are_refused() {
    for (form, level, refused) in [
        (Compression::Gzip, 10, true),
        (Compression::Gzip, -1, true),
        (Compression::Gzip, 0, false),
        (Compression::Zstd, 23, true),
        (Compression::Zstd, 22, false),
        (Compression::Plain, 99, false),
    ] {
        let options = CompressOptions { level: Some(level), ..CompressOptions::new(form) };
        assert_eq!(
            compress_layer(&mut &b"x"[..], &mut Vec::new(), &options, &Known::default()).is_err(),
            refused,
            "{options:?}"
        );
    }
}

/// FEATURES 6-9, 9-6.
#[test]
fn media_types_of_layers() {
    for form in FORMS {
        assert_eq!(Compression::of_media_type(form.oci_media_type()), Some(form));
        assert_eq!(Compression::of_media_type(form.docker_media_type()), Some(form));
    }
    let table = [
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Some(Compression::Zstd)),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Some(Compression::Gzip)),
        ("application/vnd.oci.image.layer.v1.tar+br", None),
        ("application/vnd.oci.image.config.v1+json", None),
    ];
    for (media_type, wanted) in table {
        assert_eq!(Compression::of_media_type(media_type), wanted, "{media_type}");
    }
}
