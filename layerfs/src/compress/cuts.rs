//! [`Cuts`]: a layer tar, cut where gzip members (or zstd frames) end.
//!
//! The cuts are part of the format of our blobs: they freeze with the first release. An entry reaches from its first
//! extended header to the padding of its content. In order:
//!
//! 1. An entry of more than 1 MiB begins a member, and a member ends at every whole MiB from the entry's start; what is
//!    left of it begins a member that goes on with the entries behind it.
//! 2. Else a member ends before an entry with which it would hold more than 1 MiB.
//! 3. Else a member of 64 KiB or more ends before an entry if the lowest four bits of the hash of its path are 0.
//!
//! So a cut depends on the paths nearby, never on threads, and changed bytes are forgotten at the next cut by hash.
//! From where a tar cannot be understood, and from its closing zeros on, a member ends every whole MiB.

use crate::tar::{BLOCK, Block, Key, MAX_EXTENSION, Records, padding};
use std::io::{self, Read};

/// Smallest member that ends at a hash, in bytes.
const MIN: u64 = 64 << 10;

/// Largest member, in bytes.
pub(super) const MAX: u64 = 1 << 20;

const HASH_MASK: u64 = 0xf;

/// Cuts a tar into members.
pub(super) struct Cuts<'a> {
    tar: &'a mut dyn Read,
    /// Headers of the next entry, which begins a member of its own.
    pending: Vec<u8>,
    /// Bytes of the entry begun that are still to come.
    entry_left: u64,
    /// Bytes of a large entry up to its next cut; `None` in a small one.
    until_cut: Option<u64>,
    /// The rest is no tar that is understood.
    unknown: bool,
    ended: bool,
}

/// The headers of one entry: all their bytes, and what they say.
struct Head {
    path: Vec<u8>,
    content: u64,
}

impl<'a> Cuts<'a> {
    pub(super) fn new(tar: &'a mut dyn Read) -> Self {
        Self { tar, pending: Vec::new(), entry_left: 0, until_cut: None, unknown: false, ended: false }
    }

    /// Puts the next member's plain bytes into `member`, at most 1 MiB; reports whether there were any.
    pub(super) fn next(&mut self, member: &mut Vec<u8>) -> io::Result<bool> {
        member.clear();
        member.append(&mut self.pending);
        let mut head = std::mem::take(&mut self.pending);
        while !self.ended {
            if self.fill(member)? {
                break;
            }
            if self.ended || self.entry_left > 0 || self.unknown {
                continue;
            }
            let entry = self.head(&mut head)?;
            if self.begin(entry, member, &head) {
                self.pending = head;
                break;
            }
            member.append(&mut head);
        }
        Ok(!member.is_empty())
    }

    /// Reads what is left of the entry begun into `member`; reports whether the member ends here.
    fn fill(&mut self, member: &mut Vec<u8>) -> io::Result<bool> {
        let room = MAX.saturating_sub(member.len() as u64);
        let wanted = if self.unknown { room } else { self.entry_left.min(self.until_cut.unwrap_or(u64::MAX)) };
        let got = self.take(wanted, member)?;
        self.entry_left = self.entry_left.saturating_sub(got);
        if got < wanted {
            self.ended = true;
            return Ok(false);
        }
        if self.unknown {
            return Ok(true);
        }
        match &mut self.until_cut {
            Some(left) => {
                *left -= got;
                let cut = *left == 0;
                if cut {
                    *left = MAX;
                }
                if self.entry_left < MAX && cut || self.entry_left == 0 {
                    self.until_cut = None;
                }
                Ok(cut)
            }
            None => Ok(false),
        }
    }

    /// Takes note of the entry whose headers are `head`; reports whether `member` ends before it.
    fn begin(&mut self, entry: Option<Head>, member: &[u8], head: &[u8]) -> bool {
        let Some(Head { path, content }) = entry else {
            self.unknown = true;
            return !member.is_empty() && (member.len() + head.len()) as u64 > MAX;
        };
        let (filled, headers) = (member.len() as u64, head.len() as u64);
        self.entry_left = content.saturating_add(padding(content));
        let total = headers.saturating_add(self.entry_left);
        if total > MAX {
            // Headers alone may pass 1 MiB; the first member then holds no more than them.
            self.until_cut = Some(MAX.saturating_sub(headers));
            return filled > 0;
        }
        filled > 0 && (filled + total > MAX || (filled >= MIN && hash(&path) & HASH_MASK == 0))
    }

    /// Reads the headers of an entry into `bytes`; nothing if they are none.
    fn head(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<Head>> {
        let (mut records, mut long_name) = (Records::default(), None);
        loop {
            let Some(block) = self.block(bytes)?.filter(|block| !block.is_zero() && block.has_right_checksum()) else {
                return Ok(None);
            };
            let flag = block.type_flag();
            if !matches!(flag, b'x' | b'X' | b'g' | b'L' | b'K') {
                let content = block.content_size(&records).ok();
                let stated = || records.get(Key::Path).map(<[u8]>::to_vec);
                let path = long_name.or_else(stated).unwrap_or_else(|| block.name());
                // The map of an old sparse file goes on outside the size: its cuts are no entry's.
                return Ok(content.filter(|_| flag != b'S').map(|content| Head { path, content }));
            }
            let Some(extension) = self.extension(&block, bytes)? else {
                return Ok(None);
            };
            match flag {
                b'L' => long_name = Some(extension),
                b'x' | b'X' if records.merge(&extension).is_err() => return Ok(None),
                _ => {}
            }
        }
    }

    fn extension(&mut self, block: &Block, bytes: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        // Empty extensions without end must not fill memory either.
        let room = MAX_EXTENSION.checked_sub(bytes.len() as u64);
        let Some(size) = block.size().filter(|&size| room.is_some_and(|room| size <= room)) else {
            return Ok(None);
        };
        let start = bytes.len();
        let wanted = size + padding(size);
        if self.take(wanted, bytes)? < wanted {
            self.ended = true;
            return Ok(None);
        }
        Ok(Some(bytes[start..][..size as usize].to_vec()))
    }

    fn block(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<Block>> {
        let start = bytes.len();
        if self.take(BLOCK as u64, bytes)? < BLOCK as u64 {
            self.ended = true;
            return Ok(None);
        }
        let mut block = Block([0; BLOCK]);
        block.0.copy_from_slice(&bytes[start..]);
        Ok(Some(block))
    }

    /// Appends the next `count` bytes to `bytes`, fewer only at the end of the stream.
    fn take(&mut self, count: u64, bytes: &mut Vec<u8>) -> io::Result<u64> {
        (&mut *self.tar).take(count).read_to_end(bytes).map(|got| got as u64)
    }
}

/// FNV-1a of 64 bits, its high half folded into the low one.
fn hash(path: &[u8]) -> u64 {
    let fnv = path
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    fnv ^ (fnv >> 32)
}
