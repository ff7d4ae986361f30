//! Contexts that change under a build, and files whose times or inodes mislead: a file's bytes are all of one moment, or
//! the build fails and names it; what is remembered is never believed of another file.

use crate::harness::{Lab, Run, output};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of the file that changes: enough that reading it takes longer than a few changes.
const SIZE: u64 = 16 << 20;
/// Most builds beside one kind of change until one of them met it.
const ROUNDS: usize = 40;

/// Does something to a file; the number tells one time from the next.
type Act = fn(&Path, u64);

/// Returns a letter for a moment.
fn letter(moment: u64) -> u8 {
    b'a' + u8::try_from(moment % 26).expect("a letter")
}

/// Writes over the file in its place, its times put back to what they were: size and mtime say nothing.
fn change(path: &Path, moment: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("the file");
    let before = file.metadata().expect("metadata").modified().expect("a time");
    let part = vec![letter(moment); 1 << 20];
    (0..SIZE >> 20).for_each(|number| file.write_all_at(&part, number << 20).expect("written"));
    file.set_modified(before).expect("a time");
}

fn grow(path: &Path, moment: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("the file");
    file.write_all_at(b"aaaa", SIZE + 4 * moment).expect("written");
}

fn shrink(path: &Path, moment: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("the file");
    file.set_len(SIZE - moment).expect("a size");
}

fn vanish(path: &Path, _moment: u64) {
    let away = path.with_extension("away");
    fs::rename(path, &away).expect("renamed");
    std::thread::sleep(Duration::from_millis(5));
    fs::rename(&away, path).expect("renamed");
}

fn replace(path: &Path, moment: u64) {
    let new = path.with_extension("new");
    fs::write(&new, vec![letter(moment); SIZE as usize]).expect("written");
    fs::rename(&new, path).expect("renamed");
}

/// Builds while something is done to the file again and again.
fn beside(lab: &Lab, act: Act, moments: &AtomicU64, to: &str) -> Run {
    let (path, stop) = (lab.path("big"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                act(&path, moments.fetch_add(1, Ordering::Relaxed));
            }
        });
        let run = lab.lbuild_within(60, &["build", "-q", "-o", to, "."]);
        stop.store(true, Ordering::Relaxed);
        run
    })
}

/// Asserts that a file of an archive has one letter only.
#[track_caller]
fn is_of_one_moment(archive: &Path, what: &str) {
    let bytes = output("tar", &["-xOf", &archive.to_string_lossy(), "big"]).into_bytes();
    assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == bytes[0]), "{what}: a file of several moments");
}

/// What happens to a file while it is read is an error that names the file, or is not seen at all: no layer has bytes of
/// two moments, and no later build believes what was read meanwhile.
#[test]
fn files_that_change_while_they_are_copied_are_named_and_never_mixed() {
    let acts: [(&str, Act, &[&str]); 5] = [
        ("change", change, &["`/big` changed while"]),
        ("grow", grow, &["`/big` changed while"]),
        ("shrink", shrink, &["`/big` changed while"]),
        ("vanish", vanish, &["`big`: not found", "big: No such file"]),
        ("replace", replace, &["`/big` changed while"]),
    ];
    for (what, act, texts) in acts {
        let lab = Lab::with("FROM scratch\nCOPY big /\n");
        lab.file("big", vec![b'a'; SIZE as usize]);
        let archive = lab.home().join("out.tar");
        let to = format!("type=tar,dest={}", archive.display());
        let moments = AtomicU64::new(1);
        let met = (0..ROUNDS).any(|_| {
            let run = beside(&lab, act, &moments, &to);
            if run.status == 0 {
                is_of_one_moment(&archive, what);
                return false;
            }
            run.ends(125).says("Dockerfile:2:");
            assert!(texts.iter().any(|text| run.stderr.contains(text)), "{what}: {}", run.stderr);
            true
        });
        assert!(met, "{what}: no build of {ROUNDS} met it");
        lab.lbuild_within(60, &["build", "-q", "-o", &to, "."]).ok();
        let copied = output("tar", &["-xOf", &archive.to_string_lossy(), "big"]);
        assert_eq!(
            copied.as_bytes(),
            fs::read(lab.path("big")).expect("the file"),
            "{what}: what a later build copies"
        );
    }
}

/// Row 5-9: a file is known by its inode and both of its times: what has another's size and mtime, its name or its
/// blocks, or a time that is yet to come, is read.
#[test]
fn files_that_look_as_before_are_read() {
    let lab = Lab::with("FROM scratch\nCOPY f /\n");
    let archive = lab.home().join("out.tar").to_string_lossy().into_owned();
    let copied = || {
        lab.build(&["-q", "-o", &format!("type=tar,dest={archive}")]).ok();
        output("tar", &["-xOf", &archive, "f"])
    };
    let sh = |script: &str| output("sh", &["-ec", &format!("cd '{}'; {script}", lab.path("").display())]);
    for (before, after) in [
        ("printf one > f; touch -d @1000000000 f", "printf two > f; touch -d @1000000000 f"),
        ("printf one > f; touch -d 2100-01-01 f", "printf two > f; touch -d 2100-01-01 f"),
        ("printf one > f; touch -d 1950-01-01 f", "printf two > f; touch -d 1950-01-01 f"),
        // Another inode under the name, as old as the first.
        ("printf one > f; printf two > g; touch -r f g", "mv g f"),
        // The same inode under another name, and blocks that two inodes share.
        ("printf one > f; ln f h", "printf two > h"),
        ("printf one > f; cp --reflink=auto --preserve=all f h", "printf two > h; touch -r f h; mv h f"),
    ] {
        sh(&format!("rm -f f g h; {before}"));
        // What was written just now is not remembered in any case.
        std::thread::sleep(Duration::from_millis(2300));
        assert_eq!((copied(), copied()), ("one".to_owned(), "one".to_owned()), "{before}");
        sh(after);
        assert_eq!(copied(), "two", "{before}; {after}");
    }
}

/// Two names of one file are one file in the layer; a copy that shares its blocks is another.
#[test]
fn hardlinks_stay_and_shared_blocks_do_not_count() {
    let lab = Lab::with("FROM scratch\nCOPY d /\n");
    lab.file("d/a", vec![b'x'; 5000]);
    let sh = |script: &str| output("sh", &["-ec", &format!("cd '{}/d'; {script}", lab.path("").display())]);
    sh("ln a b; cp --reflink=auto a c; ln a ../outside");
    lab.build(&["-q", "-t", "x"]).ok();
    let archive = lab.home().join("out.tar");
    lab.build(&["-q", "-o", &format!("type=tar,dest={}", archive.display())]).ok();
    let told = output("tar", &["-tvf", &archive.to_string_lossy()]);
    assert_eq!(told.lines().filter(|line| line.starts_with('h')).count(), 1, "{told}");
    assert!(told.contains(" b link to a") && told.contains(" 5000 "), "{told}");
    // Through a name that is not copied.
    fs::write(lab.path("outside"), vec![b'y'; 5000]).expect("written");
    lab.build(&["-q", "-o", &format!("type=tar,dest={}", archive.display())]).ok();
    for (name, letter) in [("a", "y"), ("c", "x")] {
        let bytes = output("tar", &["-xOf", &archive.to_string_lossy(), name]);
        assert_eq!(bytes, letter.repeat(5000), "{name}");
    }
}

/// Most KiB that lbuild may take for an output that is not compressed.
const MEMORY: u64 = 96 << 10;

/// Returns the most KiB of memory that a build took, all of its processes asked one by one.
fn memory_of(lab: &Lab, arguments: &[&str]) -> u64 {
    const MEASURE: &str = "import resource, subprocess, sys\n\
        status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if status == 0 else 'failed')\n";
    let build = lab.building(arguments);
    let mut measured = std::process::Command::new("python3");
    measured.args(["-c", MEASURE]).arg(build.get_program()).args(build.get_args()).current_dir(lab.path(""));
    measured.env_clear().envs(build.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = Run::within(&mut measured, 300);
    run.ok();
    run.stdout.trim().parse().unwrap_or_else(|_| panic!("{}", run.stderr))
}

/// 65,000 entries of one directory take bounded memory, are all there, and are looked up once they are remembered.
#[test]
fn a_directory_of_65000_entries_is_copied_in_little_memory() {
    const COUNT: usize = 65_000;
    let lab = Lab::with("FROM scratch\nCOPY d /d\n");
    fs::create_dir(lab.path("d")).expect("a directory");
    for number in 0..COUNT {
        File::create(lab.path(&format!("d/a-name-that-is-no-short-one-{number:05}"))).expect("a file");
    }
    let archive = lab.home().join("out.tar");
    // The first build reads the files, the second knows them.
    for kind in ["oci", "tar"] {
        let most = memory_of(&lab, &["-q", "-o", &format!("type={kind},dest={}", archive.display())]);
        assert!(most <= MEMORY, "{most} KiB for type={kind}");
    }
    let told = output("tar", &["-tf", &archive.to_string_lossy()]);
    assert_eq!(told.lines().filter(|line| line.starts_with("d/a-name")).count(), COUNT);
}
