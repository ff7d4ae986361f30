//! [`Earlier`]: members of earlier layers, taken as they are where a layer has the same bytes again.

use libdeflater::Crc;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What a list begins with. It changes with whatever decides on the bytes of a member: the compressors, the cuts.
const VERSION: &[u8] = b"lbuild members 1\n";
/// Bytes of a member in a list.
const ENTRY: usize = 12;

/// One member: what it holds, and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// CRC-32 of the plain bytes.
    pub crc: u32,
    /// Number of the plain bytes.
    pub plain: u32,
    /// Number of the compressed bytes.
    pub compressed: u32,
}

/// The members of a compressed layer, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(Vec<Member>);

impl Members {
    pub(super) fn push(&mut self, member: Member) {
        self.0.push(member);
    }

    /// Returns the size of the plain tar in bytes.
    pub fn plain_size(&self) -> u64 {
        self.0.iter().map(|member| u64::from(member.plain)).sum()
    }

    /// Returns the list as bytes: numbers of 32 bits, little-endian, three for each member.
    pub fn encode(&self) -> Vec<u8> {
        let numbers = self.0.iter().flat_map(|member| [member.crc, member.plain, member.compressed]);
        VERSION.iter().copied().chain(numbers.flat_map(u32::to_le_bytes)).collect()
    }

    /// Returns the list that [`Self::encode`] wrote; nothing if it is of another version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).ok();
        let entries = bytes.strip_prefix(VERSION)?.chunks(ENTRY);
        let member = |entry: &[u8]| {
            let mut numbers = entry.chunks(4).map(number);
            let (crc, plain, compressed) = (numbers.next()??, numbers.next()??, numbers.next()??);
            Some(Member { crc, plain, compressed })
        };
        entries.map(member).collect::<Option<_>>().map(Self)
    }
}

/// Earlier layers in the form that is to be made.
#[derive(Debug, Default)]
pub struct Earlier {
    layers: Vec<Files>,
    places: HashMap<(u32, u32), Place>,
}

/// A layer's plain tar and what it was compressed to.
#[derive(Debug)]
struct Files {
    plain: File,
    compressed: File,
}

/// Where a member is.
#[derive(Debug, Clone, Copy)]
struct Place {
    layer: usize,
    plain: u64,
    compressed: u64,
    length: u32,
}

impl Earlier {
    /// Adds a layer: its plain tar and what `members` were written to, at the level that is asked for.
    pub fn add(&mut self, plain: File, compressed: File, members: &Members) {
        let layer = self.layers.len();
        let (mut at_plain, mut at_compressed) = (0, 0);
        for member in &members.0 {
            let place = Place { layer, plain: at_plain, compressed: at_compressed, length: member.compressed };
            self.places.entry((member.crc, member.plain)).or_insert(place);
            at_plain += u64::from(member.plain);
            at_compressed += u64::from(member.compressed);
        }
        self.layers.push(Files { plain, compressed });
    }

    /// Returns the member of `plain`, whose CRC-32 is `crc`, if an earlier layer has it. The plain bytes are compared: a
    /// CRC is no proof. What cannot be read is compressed anew.
    pub(super) fn find(&self, plain: &[u8], crc: u32) -> Option<Vec<u8>> {
        let place = self.places.get(&(crc, u32::try_from(plain.len()).ok()?))?;
        let files = &self.layers[place.layer];
        let mut bytes = vec![0; plain.len()];
        files.plain.read_exact_at(&mut bytes, place.plain).ok()?;
        if bytes != plain {
            return None;
        }
        bytes.resize(place.length as usize, 0);
        files.compressed.read_exact_at(&mut bytes, place.compressed).ok()?;
        Some(bytes)
    }
}

/// Returns the CRC-32 of `bytes`, as gzip has it.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn lists_come_back_and_others_are_no_lists() {
        let mut members = Members::default();
        members.push(Member { crc: 1, plain: 2, compressed: 3 });
        members.push(Member { crc: u32::MAX, plain: 0, compressed: 4 });
        let bytes = members.encode();
        assert_eq!(Members::decode(&bytes), Some(members));
        assert_eq!(Members::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Members::decode(&bytes[1..]), None);
    }

    #[test]
    fn a_member_is_found_by_its_bytes_not_by_its_crc() {
        let mut members = Members::default();
        for plain in [&b"one"[..], b"two"] {
            members.push(Member { crc: crc(plain), plain: 3, compressed: 4 });
        }
        let mut earlier = Earlier::default();
        earlier.add(file(b"onetwo"), file(b"1...2..."), &members);
        assert_eq!(earlier.find(b"two", crc(b"two")), Some(b"2...".to_vec()));
        assert_eq!(earlier.find(b"owt", crc(b"two")), None, "another text of that CRC");
        assert_eq!(earlier.find(b"three", crc(b"three")), None);
        let mut torn = Earlier::default();
        torn.add(file(b"one"), file(b"1"), &members);
        assert_eq!(torn.find(b"one", crc(b"one")), None, "not all of the member is there");
        assert_eq!(torn.find(b"two", crc(b"two")), None);
    }
}
