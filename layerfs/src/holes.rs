//! Holes of files: [`HoleReader`] gives their zeros without reading them, [`HoleWriter`] leaves some where zeros are
//! written.
//! Both look only at what is all zeros as far as it was read or written at once, so that other bytes cost nothing.

use rustix::fs::SeekFrom as Seeking;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// So many zeros at once, in bytes, are worth a look for a hole, or are one: few enough for the buffers of readers and
/// writers, too many to cut ordinary files into pieces.
const LEAST: usize = 64 << 10;

/// Reads a file, its holes as zeros that are never read: they take no room in the page cache.
#[derive(Debug)]
pub struct HoleReader {
    file: File,
    /// Zeros that come before the file's position.
    zeros: u64,
}

/// Writes a file, runs of zeros as holes. Its last zeros are in the file only after [`Write::flush`].
#[derive(Debug)]
pub struct HoleWriter<F> {
    file: F,
    /// Zeros that were written and not seeked over yet.
    zeros: u64,
}

impl HoleReader {
    /// Returns a reader of `file` from its position.
    pub fn new(file: File) -> Self {
        Self { file, zeros: 0 }
    }

    /// Returns the file, to be asked about: what it is read from here on is not known to this reader.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Goes on to the next data of the file if a hole is at its position.
    fn skip_hole(&mut self) -> io::Result<()> {
        let at = self.file.stream_position()?;
        let next = match rustix::fs::seek(&self.file, Seeking::Data(at)) {
            Ok(next) => next,
            // Nothing but a hole until the end: lseek(2).
            Err(Errno::NXIO) => self.file.seek(SeekFrom::End(0))?,
            // The file system knows no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        self.zeros = next.saturating_sub(at);
        Ok(())
    }
}

impl Read for HoleReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.zeros > 0 {
            let count = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(buffer.len());
            buffer[..count].fill(0);
            self.zeros -= count as u64;
            return Ok(count);
        }
        let count = self.file.read(buffer)?;
        if is_long_and_zero(&buffer[..count]) {
            self.skip_hole()?;
        }
        Ok(count)
    }
}

impl<F: Write + Seek> HoleWriter<F> {
    /// Returns a writer to `file` from its position, which is to be its end.
    pub fn new(file: F) -> Self {
        Self { file, zeros: 0 }
    }
}

impl<F: Write + Seek> Write for HoleWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if is_long_and_zero(bytes) {
            self.zeros += bytes.len() as u64;
            return Ok(bytes.len());
        }
        if self.zeros > 0 {
            let zeros = i64::try_from(self.zeros).map_err(io::Error::other)?;
            self.file.seek(SeekFrom::Current(zeros))?;
            self.zeros = 0;
        }
        self.file.write(bytes)
    }

    /// Gives the file its length, if a hole is at its end.
    fn flush(&mut self) -> io::Result<()> {
        if self.zeros > 0 {
            let zeros = i64::try_from(self.zeros - 1).map_err(io::Error::other)?;
            self.file.seek(SeekFrom::Current(zeros))?;
            self.file.write_all(&[0])?;
            self.zeros = 0;
        }
        self.file.flush()
    }
}

fn is_long_and_zero(bytes: &[u8]) -> bool {
    // Most bytes that are no zeros show it at once.
    bytes.len() >= LEAST && bytes[0] == 0 && bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    const MIB: u64 = 1 << 20;

    /// A file of `size` bytes with `pieces` of `x` in it, at an offset and of a length each.
    fn file_with(size: u64, pieces: &[(u64, usize)]) -> File {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(size).expect("long enough");
        for (at, length) in pieces {
            file.write_all_at(&vec![b'x'; *length], *at).expect("written");
        }
        file
    }

    /// Holes at the start, in the middle, at the end, everywhere, nowhere; data that is shorter than a buffer.
    const SHAPES: [(u64, &[(u64, usize)]); 7] = [
        (8 * MIB, &[]),
        (8 * MIB + 5, &[(0, 10)]),
        (8 * MIB, &[(4 * MIB - 3, 6)]),
        (8 * MIB, &[(8 * MIB - 1, 1)]),
        (8 * MIB, &[(MIB, 300_000), (5 * MIB, 1), (7 * MIB, 70_000)]),
        (MIB, &[(0, 1 << 20)]),
        (100, &[]),
    ];

    #[test]
    fn every_byte_of_a_file_with_holes_is_read() {
        for (size, pieces) in SHAPES {
            let mut file = file_with(size, pieces);
            let mut plain = Vec::new();
            file.read_to_end(&mut plain).expect("read");
            for buffer in [1000, 65_536, 100_000, 262_144, 9 << 20] {
                file.rewind().expect("rewound");
                let mut reader = HoleReader::new(file.try_clone().expect("a descriptor"));
                let (mut read, mut buffer) = (Vec::new(), vec![1; buffer]);
                loop {
                    match reader.read(&mut buffer).expect("read") {
                        0 => break,
                        count => read.extend_from_slice(&buffer[..count]),
                    }
                }
                assert!(read == plain, "{size} {pieces:?} {}", buffer.len());
            }
        }
    }

    #[test]
    fn holes_are_not_read() {
        // A file of 8 EiB less a MiB: nobody reads that.
        let file = file_with(0, &[]);
        let size = [i64::MAX as u64 - MIB, 8 << 40, 1 << 40].into_iter().find(|size| file.set_len(*size).is_ok());
        let size = size.expect("some file system has long files");
        file.write_all_at(b"end", size - 3).expect("written");
        let mut reader = HoleReader::new(file);
        assert_eq!(reader.read(&mut [1; LEAST]).expect("read"), LEAST);
        assert!(reader.zeros > size / 2, "{} of {size}", reader.zeros);
        reader.zeros = 0;
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("read");
        assert!(rest.ends_with(b"\0end") && rest.len() < 1 << 20, "{}", rest.len());
    }

    #[test]
    fn zeros_become_holes_and_other_bytes_stay() {
        for (size, pieces) in SHAPES {
            let mut plain = Vec::new();
            file_with(size, pieces).read_to_end(&mut plain).expect("read");
            let file = tempfile::tempfile().expect("a file");
            let mut writer = HoleWriter::new(&file);
            for piece in plain.chunks(LEAST) {
                writer.write_all(piece).expect("written");
            }
            writer.flush().expect("flushed");
            let mut written = vec![1; plain.len()];
            file.read_exact_at(&mut written, 0).expect("read");
            assert!(written == plain, "{size} {pieces:?}");
            let metadata = file.metadata().expect("stat");
            assert_eq!(metadata.len(), size, "{pieces:?}");
            let data: usize = pieces.iter().map(|(_, length)| length + 2 * LEAST).sum();
            assert!(metadata.blocks() * 512 <= (data + 2 * LEAST) as u64, "{size} {pieces:?}: {}", metadata.blocks());
        }
    }
}
