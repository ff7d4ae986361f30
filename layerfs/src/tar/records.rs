//! [`Records`]: what PAX headers say of an entry.
//!
//! Values hold any bytes, newlines and NULs included: a record ends where its length says. Only known keys are kept.
//! `hdrcharset` changes nothing, since names are bytes here whatever their encoding.

use crate::base64;
use crate::meta::{Timestamp, Xattrs};
use crate::tar::encoding::{decimal, from_percent, time};
use crate::tar::sparse::{MAX_SEGMENTS, Segment};

/// A key with one value. Vendor keys are GNU tar's ("Sparse Formats").
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    Path,
    LinkPath,
    Size,
    Uid,
    Gid,
    Mtime,
    SparseMajor,
    SparseMinor,
    SparseName,
    SparseSize,
}

impl Key {
    const COUNT: usize = Self::SparseSize as usize + 1;

    fn of(text: &[u8]) -> Option<Self> {
        Some(match text {
            b"path" => Self::Path,
            b"linkpath" => Self::LinkPath,
            b"size" => Self::Size,
            b"uid" => Self::Uid,
            b"gid" => Self::Gid,
            b"mtime" => Self::Mtime,
            b"GNU.sparse.major" => Self::SparseMajor,
            b"GNU.sparse.minor" => Self::SparseMinor,
            b"GNU.sparse.name" => Self::SparseName,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => Self::SparseSize,
            _ => return None,
        })
    }
}

/// What PAX headers say of an entry, or of all that follow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    values: [Option<Box<[u8]>>; Key::COUNT],
    xattrs: Xattrs,
    libarchive_xattrs: Xattrs,
    segments: Vec<Segment>,
    segment_offset: Option<u64>,
}

impl Records {
    /// Adds the records in `bytes` to these; the later of two records of one key counts.
    pub(crate) fn merge(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let (key, value, rest) = split_record(bytes).ok_or("a PAX record is malformed")?;
            self.record(key, value)?;
            bytes = rest;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.insert(xattr_name(&from_percent(name))?, value.into());
        } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            let decoded = base64::decode(value).ok_or("a LIBARCHIVE.xattr value is no base64")?;
            self.libarchive_xattrs.insert(xattr_name(&from_percent(name))?, decoded.into());
        } else if let Some(key) = Key::of(key) {
            self.values[key as usize] = Some(value.into());
        } else {
            self.sparse_record(key, value).ok_or("a GNU.sparse record is malformed")?;
        }
        Ok(())
    }

    /// Takes the map of sparse format 0.0 (one record for each number) and 0.1 (all numbers in one).
    fn sparse_record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"GNU.sparse.offset" => self.segment_offset = Some(decimal(value)?),
            b"GNU.sparse.numbytes" => {
                let offset = self.segment_offset.take()?;
                self.push_segment(Segment { offset, length: decimal(value)? })?;
            }
            b"GNU.sparse.map" => {
                self.segments.clear();
                let mut numbers = value.split(|&b| b == b',').filter(|text| !text.is_empty());
                while let Some(offset) = numbers.next() {
                    let segment = Segment { offset: decimal(offset)?, length: decimal(numbers.next()?)? };
                    self.push_segment(segment)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    fn push_segment(&mut self, segment: Segment) -> Option<()> {
        if self.segments.len() == MAX_SEGMENTS {
            return None;
        }
        self.segments.push(segment);
        Some(())
    }

    /// Returns the value of `key`; an empty one takes back what a global header said (POSIX pax).
    pub(crate) fn get(&self, key: Key) -> Option<&[u8]> {
        self.values[key as usize].as_deref().filter(|value| !value.is_empty())
    }

    /// Returns the number that `key` states, at most `i64::MAX`.
    pub(crate) fn number(&self, key: Key) -> Result<Option<u64>, String> {
        let number = |text| decimal(text).filter(|&number| i64::try_from(number).is_ok());
        match self.get(key) {
            Some(text) => number(text).map(Some).ok_or_else(|| format!("PAX {key:?} is no number")),
            None => Ok(None),
        }
    }

    pub(crate) fn mtime(&self) -> Result<Option<Timestamp>, String> {
        match self.get(Key::Mtime) {
            Some(text) => time(text).map(Some).ok_or_else(|| "PAX mtime is no time".to_owned()),
            None => Ok(None),
        }
    }

    /// Takes the xattrs; of two forms of one, `SCHILY.xattr` counts.
    pub(crate) fn take_xattrs(&mut self) -> Xattrs {
        let mut xattrs = std::mem::take(&mut self.libarchive_xattrs);
        xattrs.append(&mut self.xattrs);
        xattrs
    }

    /// Takes the map of sparse formats 0.0 and 0.1.
    pub(crate) fn take_segments(&mut self) -> Vec<Segment> {
        std::mem::take(&mut self.segments)
    }
}

fn xattr_name(name: &[u8]) -> Result<Box<[u8]>, String> {
    if name.is_empty() || name.contains(&0) {
        return Err("the name of an extended attribute is empty or holds a NUL".to_owned());
    }
    Ok(name.into())
}

/// Splits `LENGTH KEY=VALUE\n` off the front of `bytes`: key, value, rest.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&b| b == b'=').filter(|&at| at > 0)?;
    Some((&body[..equals], &body[equals + 1..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Records, String> {
        let mut records = Records::default();
        records.merge(bytes).map(|()| records)
    }

    #[test]
    fn values_hold_newlines_and_nuls() {
        let mut records = parse(b"31 SCHILY.xattr.user.a=x\n9 y=\0\n15 path=a\nb=c\n\n").unwrap();
        assert_eq!(records.get(Key::Path), Some(&b"a\nb=c\n"[..]));
        assert_eq!(records.take_xattrs(), Xattrs::from([(b"user.a"[..].into(), b"x\n9 y=\0"[..].into())]));
    }

    #[test]
    fn malformed_records_are_refused() {
        let table: [&[u8]; 14] = [
            b"x",
            b"8 path=a\n",
            b"11 path=a\n",
            b"10 path=ab",
            b" path=a\n",
            b"7 path\n",
            b"4 =\n",
            b"0 path=a\n",
            b"2 ",
            b"99999999999999999999999 path=a\n",
            b"-5 a=b\n",
            b"18 SCHILY.xattr.=\n",
            b"25 GNU.sparse.numbytes=1\n",
            b"32 LIBARCHIVE.xattr.user.a=!!!!\n",
        ];
        for bytes in table {
            assert!(parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_empty_value_takes_back_a_global_one() {
        let mut records = parse(b"10 path=a\n").unwrap_or_default();
        records.merge(b"8 path=\n").unwrap();
        assert_eq!(records.get(Key::Path), None);
    }
}
