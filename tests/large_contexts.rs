//! Contexts at the limits: of names, of directories, of files with holes.

use crate::harness::{Lab, output};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::{Command, Stdio};

/// Many more than are looked at in one share.
const MANY: usize = 65_000;

/// A directory of 65,000 files, one of which changes, beside names that come between it and what it holds.
#[test]
fn a_directory_of_65000_files_is_copied_whole() {
    let lab = Lab::with("FROM scratch\nCOPY data /data\n");
    lab.file("data/many-", "-").file("data/many.d/x", ".").file("data/many0", "0");
    let mut wanted: Vec<String> =
        ["data", "data/many", "data/many-", "data/many.d", "data/many.d/x", "data/many0"].map(str::to_owned).into();
    for number in 0..MANY {
        let name = format!("data/many/{number}");
        lab.file(&name, if number % 1000 == 0 { name.as_bytes() } else { b"" });
        wanted.push(name);
    }
    wanted.sort();
    let first = lab.id(&["-t", "x"]);
    assert!(lab.layer("x", 0) == wanted, "every name is there once");
    assert_eq!(lab.id(&["-t", "x"]), first);
    lab.file("data/many/64999", "changed");
    assert_ne!(lab.id(&["-t", "x"]), first);
    lab.fsck();
}

/// Two directories of thousands of files onto one: the later one's files count, and directories are merged.
#[test]
fn large_directories_are_merged_in_their_order() {
    let lab = Lab::with("FROM busybox\nCOPY a b c /to/\nRUN cat /to/d1/f1 /to/d0/f7 /to/d2/f3000 /to/link > /out\n");
    for (source, step) in [("a", 1), ("b", 2), ("c", 7)] {
        for number in (0..3500).step_by(step) {
            lab.file(&format!("{source}/d{}/f{number}", number % 7), source);
        }
    }
    lab.file("a/d1/f1", "one ").file("c/d2/f3000", "three ");
    fs::hard_link(lab.path("c/d0/f0"), lab.path("c/link")).unwrap();
    lab.build(&["-t", "x"]).ok();
    // `c` has every seventh file, which all lie in `d0`, and one that no other has.
    let script = "cat /out; ls /to/d*/* | wc -l; ls -l /to/d0/f0 | awk '{print $2}'";
    assert_eq!(lab.shell("x", script), "one cthree c3501\n2\n");
}

/// Hardlinks and clones of one file: its names stay names of one file, and a clone is a file of its own.
#[test]
fn hardlinked_and_cloned_sources_keep_what_they_are() {
    let lab = Lab::with("FROM busybox\nCOPY data /data\n");
    lab.file("data/first", "content\n");
    for name in ["again", "d/inside"] {
        fs::create_dir_all(lab.path("data/d")).unwrap();
        fs::hard_link(lab.path("data/first"), lab.path("data").join(name)).unwrap();
    }
    let clone = lab.path("data/clone").display().to_string();
    output("cp", &["--reflink=auto", &lab.path("data/first").display().to_string(), &clone]);
    lab.build(&["-t", "x"]).ok();
    let script = "cd /data && cat clone d/inside && ls -l again d/inside first clone | awk '{print $2, $9}'";
    assert_eq!(lab.shell("x", script), "content\ncontent\n3 again\n1 clone\n3 d/inside\n3 first\n");
}

/// The longest path that a system call takes, 4,095 bytes, below the context and in the image.
#[test]
fn a_path_of_4095_bytes_is_copied_and_unpacked() {
    let lab = Lab::with("FROM busybox\nCOPY . /\nRUN cd /nnn* && find . -type f | wc -c > /length\n");
    let name = "n".repeat(255);
    // From inside: the whole path is too long to be named from outside.
    let script = "i=0 && while [ $i -lt 15 ]; do mkdir $1 && cd -P ./$1 || exit 1; i=$((i+1)); done && echo deep > $1";
    let made = Command::new("bash").args(["-c", script, "bash", &name]).current_dir(lab.path("")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    lab.build(&["-t", "x"]).ok();
    let longest = lab.layer("x", 1).into_iter().map(|path| path.len()).max();
    assert_eq!(longest, Some(4095));
    assert_eq!(lab.shell("x", "cat /length"), format!("{}\n", "./".len() + 14 * 256 + 255 + 1));
    lab.fsck();
}

/// What is a hole in a context, or in what a command made, takes no room in the store, and comes out as zeros.
#[test]
fn userns_holes_of_files_take_no_room() {
    let lab = Lab::with(
        "FROM busybox AS made\nRUN truncate -s 90M /made && echo end >> /made\n\
         FROM busybox\nCOPY disk.img /\nCOPY --from=made /made /\nRUN cat /disk.img /made | tr -d '\\0' > /data\n",
    );
    lab.file("disk.img", "begin");
    let image = File::options().write(true).open(lab.path("disk.img")).unwrap();
    image.write_all_at(b"middle", 50 << 20).unwrap();
    image.set_len(90 << 20).unwrap();
    lab.build(&["-t", "x", "-o", "type=image", "-o", "type=oci,dest=x.tar"]);
    assert_eq!(lab.shell("x", "wc -c < /disk.img; wc -c < /made; cat /data"), "94371840\n94371844\nbeginmiddleend\n");
    let blobs = fs::read_dir(lab.store().join("blobs/sha256")).unwrap();
    let blobs: u64 = blobs.map(|blob| blob.unwrap().metadata().unwrap().blocks() * 512).sum();
    assert!(blobs < 10 << 20, "{blobs} bytes on disk");
    lab.fsck();
}

/// A terabyte of which one megabyte is on disk: who builds hears which file and which step it is, and can end it.
#[test]
fn a_file_of_a_terabyte_with_holes_is_told_before_it_is_read() {
    let lab = Lab::with("FROM scratch\nCOPY small /small\nCOPY data /data\n");
    lab.file("small", "s").file("data/disk.img", vec![1; 1 << 20]);
    let image = File::options().write(true).open(lab.path("data/disk.img")).unwrap();
    if let Err(error) = image.set_len(1 << 40) {
        return eprintln!("left out: no file of a terabyte here: {error}");
    }
    assert!(image.metadata().unwrap().blocks() * 512 < 2 << 20);
    let mut child = lab.building(&["-t", "x"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let said: Vec<String> = lines
        .inspect(|line| {
            if line.contains("has holes") {
                kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
            }
        })
        .collect();
    let said = said.join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("`/data/disk.img` has holes: 1048576 of its 1099511627776 bytes are on disk"), "{said}");
    assert!(said.contains("Dockerfile:3"), "{said}");
    lab.fsck();
}
