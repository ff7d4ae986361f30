//! [`FetchLimits`]: how much of what others wrote a build takes in; `Meter`: one archive, measured while it is read.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

/// How much of what others wrote a build takes in: downloads, contexts, archives of ADD. What is above fails the build
/// while it is read; memory and disk are bounded by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchLimits {
    /// Most bytes of one file of the web, or of a context on standard input.
    pub download: u64,
    /// Most bytes that an archive may unpack to.
    pub archive_bytes: u64,
    /// Most entries of an archive.
    pub archive_entries: u64,
    /// How many times its own size an archive may unpack to.
    pub archive_ratio: u64,
    /// Bytes up to which the ratio does not count.
    pub ratio_from: u64,
}

impl Default for FetchLimits {
    /// 16 GiB, 64 GiB, a million entries, 200 times from 1 GiB on.
    fn default() -> Self {
        Self {
            download: 16 << 30,
            archive_bytes: 64 << 30,
            archive_entries: 1_000_000,
            archive_ratio: 200,
            ratio_from: 1 << 30,
        }
    }
}

/// Bytes of names, link targets and attributes that entries may have on average, where there are as many as may be.
const TEXT_PER_ENTRY: u64 = 256;

/// In which way an archive is bigger than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// More entries.
    Entries(u64),
    /// More bytes of names and attributes.
    Text(u64),
    /// More bytes unpacked.
    Bytes(u64),
    /// More bytes unpacked than so many times its own.
    Ratio(u64),
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(most) => write!(f, "it has more than {most} entries"),
            Self::Text(most) => write!(f, "names and attributes of its entries have more than {most} bytes"),
            Self::Bytes(most) => write!(f, "it unpacks to more than {most} bytes"),
            Self::Ratio(most) => write!(f, "it unpacks to more than {most} times its own size"),
        }
    }
}

impl std::error::Error for Excess {}

impl Excess {
    /// Returns what to do about it.
    pub fn cure(self) -> String {
        let limit = match self {
            Self::Entries(_) | Self::Text(_) => "archive-entries=NUMBER",
            Self::Bytes(_) => "archive-bytes=SIZE",
            Self::Ratio(_) => "archive-ratio=NUMBER",
        };
        format!("if the archive is what you want, allow more with `--limit {limit}`; COPY does not unpack")
    }
}

/// One archive, measured while it is read.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: FetchLimits,
    packed: Cell<u64>,
    unpacked: Cell<u64>,
    content: Cell<u64>,
    entries: Cell<u64>,
    text: Cell<u64>,
    excess: Cell<Option<Excess>>,
}

impl Meter {
    /// Returns a meter at the start of an archive.
    pub(crate) fn new(limits: &FetchLimits) -> Self {
        let zero = || Cell::new(0);
        let (packed, unpacked, content, entries, text) = (zero(), zero(), zero(), zero(), zero());
        Self { limits: limits.clone(), packed, unpacked, content, entries, text, excess: Cell::new(None) }
    }

    /// Returns what an archive had too much of, if it had.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.excess.get()
    }

    /// Returns a reader that measures the archive as it lies in its file.
    pub(crate) fn packed<'a, R: Read + 'a>(&'a self, inner: R) -> impl Read + 'a {
        Measured {
            inner,
            take: move |count| {
                self.packed.set(self.packed.get() + count);
                Ok(())
            },
        }
    }

    /// Returns a reader that measures the plain archive.
    pub(crate) fn unpacked<'a, R: Read + 'a>(&'a self, inner: R) -> impl Read + 'a {
        Measured { inner, take: move |count| self.bytes(&self.unpacked, count) }
    }

    /// Takes in an entry whose texts have so many bytes.
    pub(crate) fn entry(&self, text: u64) -> Result<(), Excess> {
        let most = self.limits.archive_entries;
        self.entries.set(self.entries.get() + 1);
        self.text.set(self.text.get().saturating_add(text));
        if self.entries.get() > most {
            return self.over(Excess::Entries(most));
        }
        let text = most.saturating_mul(TEXT_PER_ENTRY);
        if self.text.get() > text { self.over(Excess::Text(text)) } else { Ok(()) }
    }

    /// Takes in a file of so many bytes.
    pub(crate) fn content(&self, size: u64) -> Result<(), Excess> {
        self.bytes(&self.content, size)
    }

    fn bytes(&self, counter: &Cell<u64>, count: u64) -> Result<(), Excess> {
        counter.set(counter.get().saturating_add(count));
        let (all, limits) = (counter.get(), &self.limits);
        if all > limits.archive_bytes {
            return self.over(Excess::Bytes(limits.archive_bytes));
        }
        let most = self.packed.get().saturating_mul(limits.archive_ratio);
        if all > limits.ratio_from && all > most { self.over(Excess::Ratio(limits.archive_ratio)) } else { Ok(()) }
    }

    fn over(&self, excess: Excess) -> Result<(), Excess> {
        self.excess.set(Some(excess));
        Err(excess)
    }
}

/// Hands the number of bytes that are read to `take`, which may refuse more.
struct Measured<R, F> {
    inner: R,
    take: F,
}

impl<R: Read, F: Fn(u64) -> Result<(), Excess>> Read for Measured<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.take)(count as u64).map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> FetchLimits {
        FetchLimits {
            archive_bytes: 1000,
            archive_entries: 2,
            archive_ratio: 10,
            ratio_from: 50,
            ..FetchLimits::default()
        }
    }

    #[test]
    fn each_limit_is_kept_and_none_is_met_early() {
        let read = |packed: u64, unpacked: u64| {
            let meter = Meter::new(&limits());
            io::copy(&mut meter.packed(io::repeat(0).take(packed)), &mut io::sink()).expect("no limit");
            let read = io::copy(&mut meter.unpacked(io::repeat(0).take(unpacked)), &mut io::sink());
            assert_eq!(read.is_err(), meter.excess().is_some());
            meter.excess()
        };
        assert_eq!(read(100, 1000), None);
        assert_eq!(read(1000, 1001), Some(Excess::Bytes(1000)));
        assert_eq!(read(1, 50), None, "so little may be packed ever so well");
        assert_eq!(read(1, 51), Some(Excess::Ratio(10)));
        assert_eq!(read(6, 60), None);
    }

    #[test]
    fn entries_and_their_texts_are_counted() {
        let meter = Meter::new(&limits());
        assert_eq!((meter.entry(256), meter.entry(256)), (Ok(()), Ok(())));
        assert_eq!(meter.entry(0), Err(Excess::Entries(2)));
        assert_eq!(meter.excess(), Some(Excess::Entries(2)));
        let meter = Meter::new(&limits());
        assert_eq!(meter.entry(513), Err(Excess::Text(512)));
        let meter = Meter::new(&limits());
        assert_eq!(meter.content(u64::MAX), Err(Excess::Bytes(1000)), "what a sparse file claims");
    }

    #[test]
    fn every_excess_says_how_to_allow_more() {
        for (excess, text, cure) in [
            (Excess::Entries(5), "it has more than 5 entries", "--limit archive-entries="),
            (Excess::Text(5), "names and attributes of its entries have more than 5 bytes", "--limit archive-entries="),
            (Excess::Bytes(5), "it unpacks to more than 5 bytes", "--limit archive-bytes="),
            (Excess::Ratio(5), "it unpacks to more than 5 times its own size", "--limit archive-ratio="),
        ] {
            assert_eq!(excess.to_string(), text);
            assert!(excess.cure().contains(cure), "{}", excess.cure());
        }
    }
}
