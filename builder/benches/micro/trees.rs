//! What the benchmarks work on, the same bytes each time.

use layerfs::meta::{Kind, Metadata, Timestamp, Xattrs};
use layerfs::path::TreePath;
use layerfs::tar::TarWriter;
use std::fs;
use std::path::Path;

/// Files of a directory.
const IN_DIRECTORY: usize = 100;
/// Bytes of a large file.
const LARGE: usize = 1 << 20;

/// Numbers that look random (Marsaglia, "Xorshift RNGs").
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Returns a Dockerfile of `lines` lines that asks for no file.
pub fn dockerfile(lines: usize) -> String {
    let line = |number: usize| match number % 5 {
        // Few names: every RUN has the whole environment.
        0 => format!("ENV NAME{}=value{number}\n", number % 50),
        1 => format!("RUN --mount=type=cache,target=/c{number} make -C dir{number} \\\n"),
        2 => format!("    all install NUMBER={number}\n"),
        3 => format!("LABEL org.example.l{number}=\"some text ${{NAME{}}}\"\n", number % 50),
        _ => format!("# a comment {number}\n"),
    };
    // A line that goes on must not be the last.
    let whole = lines - lines % 5;
    format!("FROM scratch\n{}", (0..whole).map(line).collect::<String>())
}

/// Makes a tree of `count` files of up to 8 KiB.
pub fn small(place: &Path, count: usize) {
    let mut numbers = Numbers(1);
    let text = text(1 << 20);
    for number in 0..count {
        let directory = place.join(format!("d{:03}", number / IN_DIRECTORY));
        fs::create_dir_all(&directory).expect("made");
        let (from, length) = (numbers.next() as usize % (1 << 19), numbers.next() as usize % 8193);
        fs::write(directory.join(format!("f{number:06}")), &text[from..from + length]).expect("written");
    }
}

/// Returns bytes of which half are random, half are text, in turn by large files.
pub fn content(bytes: u64) -> Vec<u8> {
    let mut numbers = Numbers(2);
    let text = text(LARGE);
    let mut content = Vec::with_capacity(bytes as usize);
    while (content.len() as u64) < bytes {
        match content.len() / LARGE % 2 {
            0 => content.extend((0..LARGE / 8).flat_map(|_| numbers.next().to_le_bytes())),
            _ => content.extend_from_slice(&text),
        }
    }
    content.truncate(bytes as usize);
    content
}

/// Returns a tar of large files.
pub fn tar_of(content: &[u8]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::with_capacity(content.len() + content.len() / 100));
    for (number, bytes) in content.chunks(LARGE).enumerate() {
        let kind = Kind::File { size: bytes.len() as u64 };
        let mtime = Timestamp::from_seconds(0);
        let metadata = Metadata { kind, mode: 0o644, uid: 0, gid: 0, mtime, xattrs: Xattrs::new() };
        let path = TreePath::from(format!("f{number:06}").as_str());
        tar.inode(&path, &metadata, &mut &*bytes).expect("written");
    }
    tar.finish().expect("finished")
}

/// Returns text as compressible as source code is: words of a small vocabulary, the first ones often.
fn text(length: usize) -> Vec<u8> {
    let mut numbers = Numbers(3);
    let words: Vec<String> = (0..2000).map(|_| format!("{:x}", numbers.next() % (1 << 24))).collect();
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        let (left, right) = (numbers.next() as usize % words.len(), numbers.next() as usize % words.len());
        text.extend_from_slice(words[left * right / words.len()].as_bytes());
        text.push(if numbers.next().is_multiple_of(8) { b'\n' } else { b' ' });
    }
    text.truncate(length);
    text
}
