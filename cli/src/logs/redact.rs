//! [`Redactor`]: takes secrets out of a stream of bytes, wherever it is cut.

use std::borrow::Cow;

/// Shortest text that is taken out: shorter ones are everywhere.
const SHORTEST: usize = 4;
/// What stands in place of a secret.
const MARK: &[u8] = b"***";

/// The texts that may not be kept.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Longest first, so that a secret in another one leaves no rest.
    texts: Vec<Vec<u8>>,
    /// For each byte, whether any of them begins with it.
    begins: Vec<bool>,
}

impl Secrets {
    /// Returns the texts of these secrets: each whole, and each line of one that has several.
    pub fn of(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for value in values {
            let lines: Vec<&[u8]> = value.split(|byte| *byte == b'\n').collect();
            let all = lines.into_iter().chain([value.as_slice()]).map(<[u8]>::trim_ascii);
            texts.extend(all.filter(|text| text.len() >= SHORTEST).map(<[u8]>::to_vec));
        }
        texts.sort_by_key(|text| (std::cmp::Reverse(text.len()), text.clone()));
        texts.dedup();
        let begins = (0..=u8::MAX).map(|byte| texts.iter().any(|text| text[0] == byte)).collect();
        Self { texts, begins }
    }

    /// Returns how many of `bytes` no secret begins at.
    fn plain(&self, bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| self.begins[usize::from(*byte)]).unwrap_or(bytes.len())
    }

    /// Returns the length of the secret that `bytes` begin with.
    fn at(&self, bytes: &[u8]) -> Option<usize> {
        self.texts.iter().find(|text| bytes.starts_with(text)).map(Vec::len)
    }

    /// Reports whether more bytes could make a secret of `bytes`.
    fn may_begin(&self, bytes: &[u8]) -> bool {
        self.texts.iter().any(|text| text.len() > bytes.len() && text.starts_with(bytes))
    }
}

/// Takes secrets out of one stream.
#[derive(Debug)]
pub struct Redactor {
    /// Bytes that could be the beginning of a secret.
    held: Vec<u8>,
}

impl Redactor {
    /// Returns one that holds nothing back yet.
    pub fn new() -> Self {
        Self { held: Vec::new() }
    }

    /// Takes `bytes` and returns what can be kept of them.
    pub fn push<'a>(&mut self, secrets: &Secrets, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if secrets.texts.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut kept = Vec::with_capacity(all.len());
        let mut at = 0;
        loop {
            let plain = secrets.plain(&all[at..]);
            kept.extend_from_slice(&all[at..at + plain]);
            at += plain;
            let rest = &all[at..];
            if rest.is_empty() {
                break;
            }
            // What may still become a longer secret is not decided by a shorter one.
            if secrets.may_begin(rest) {
                self.held = rest.to_vec();
                break;
            }
            match secrets.at(rest) {
                Some(length) => {
                    kept.extend_from_slice(MARK);
                    at += length;
                }
                None => {
                    kept.push(rest[0]);
                    at += 1;
                }
            }
        }
        Cow::Owned(kept)
    }

    /// Returns what was held back at the end of the stream.
    pub fn finish(&mut self, secrets: &Secrets) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut kept = Vec::new();
        let mut at = 0;
        while at < held.len() {
            match secrets.at(&held[at..]) {
                Some(length) => {
                    kept.extend_from_slice(MARK);
                    at += length;
                }
                None => {
                    kept.push(held[at]);
                    at += 1;
                }
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(secrets: &Secrets, pieces: &[&str]) -> String {
        let mut redactor = Redactor::new();
        let mut kept: Vec<u8> =
            pieces.iter().flat_map(|piece| redactor.push(secrets, piece.as_bytes()).into_owned()).collect();
        kept.extend(redactor.finish(secrets));
        String::from_utf8(kept).expect("text")
    }

    #[test]
    fn secrets_are_taken_out_wherever_the_stream_is_cut() {
        let secrets =
            Secrets::of([b"hunter2\n".to_vec(), b"hunter22x".to_vec(), b"abc".to_vec(), b"one1\ntwo2\n".to_vec()]);
        for (text, wanted) in [
            ("a hunter2 b", "a *** b"),
            ("hunter22x", "***"),
            ("hunter22", "***2"),
            ("hunthunter2", "hunt***"),
            ("abc stays: too short", "abc stays: too short"),
            ("two2 alone, one1\ntwo2 together", "*** alone, *** together"),
            ("hunter", "hunter"),
        ] {
            assert_eq!(redacted(&secrets, &[text]), wanted);
            for cut in 1..text.len() {
                assert_eq!(redacted(&secrets, &[&text[..cut], &text[cut..]]), wanted, "{text} cut at {cut}");
            }
            let letters: Vec<String> = text.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            assert_eq!(redacted(&secrets, &letters), wanted, "{text} letter by letter");
        }
        assert_eq!(redacted(&Secrets::default(), &["as it is"]), "as it is");
    }
}
