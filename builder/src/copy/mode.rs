//! [`ModeRule`]: what `--chmod` says, octal or as chmod(1) writes it.

/// The umask under which `--chmod` is read.
const UMASK: u32 = 0o022;

/// What `--chmod` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeRule {
    /// These bits, whatever stood before; at most 0o7777.
    Octal(u32),
    /// Clauses applied one after another.
    Symbolic(Vec<Clause>),
}

/// One act on the bits: `go` `-` `w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Whose bits: 0o700, 0o070 and 0o007, added up.
    who: u32,
    /// Bits that are left alone: those of the umask where nobody is named, as chmod(1) has it; BuildKit's umask is 022.
    masked: u32,
    /// `+`, `-` or `=`.
    act: u8,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// rwx as an octal digit; `X`; `s`; `t`.
    Bits { digit: u32, search: bool, set_id: bool, sticky: bool },
    /// Copied from the bits at this shift.
    Copy(u32),
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid chmod parameter: `{0}`; it should be octal and between 0 and 07777, or symbolic")]
pub struct ModeError(pub String);

impl ModeRule {
    /// Reads a mode.
    ///
    /// # Errors
    /// [`ModeError`].
    pub fn parse(text: &str) -> Result<Self, ModeError> {
        let bad = || ModeError(text.to_owned());
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).map_err(|_| bad())?;
            return if bits <= 0o7777 { Ok(Self::Octal(bits)) } else { Err(bad()) };
        }
        let parts: Option<Vec<_>> = text.split(',').map(|part| clauses(part.as_bytes())).collect();
        Ok(Self::Symbolic(parts.ok_or_else(bad)?.concat()))
    }

    /// Returns the octal mode, which directories that are made on the way get too.
    pub fn octal(&self) -> Option<u32> {
        match self {
            Self::Octal(bits) => Some(*bits),
            Self::Symbolic(_) => None,
        }
    }

    /// Returns the mode of a file or directory that had `mode`.
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Octal(bits) => *bits,
            Self::Symbolic(clauses) => clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let (digit, special) = match self.what {
            What::Copy(shift) => (mode >> shift & 7, 0),
            What::Bits { digit, search, set_id, sticky } => {
                let search = search && (is_directory || mode & 0o111 != 0);
                let set_id = if set_id { (self.who & 0o100) << 5 | (self.who & 0o010) << 7 } else { 0 };
                (digit | u32::from(search), set_id | if sticky { 0o1000 } else { 0 })
            }
        };
        let bits = self.who & !self.masked & (digit * 0o111) | special;
        match self.act {
            b'+' => mode | bits,
            b'-' => mode & !bits,
            // As chmod(1): `=` leaves a directory's set-id bits alone.
            _ if is_directory => mode & !self.who | bits,
            _ => mode & !(self.who | (self.who & 0o100) << 5 | (self.who & 0o010) << 7) | bits,
        }
    }
}

/// Reads `ugo+x-w=r`; nothing if it is malformed.
fn clauses(mut text: &[u8]) -> Option<Vec<Clause>> {
    let mut who = 0;
    while let Some((first, rest)) = text.split_first() {
        who |= match first {
            b'u' => 0o700,
            b'g' => 0o070,
            b'o' => 0o007,
            b'a' => 0o777,
            _ => break,
        };
        text = rest;
    }
    let (who, masked) = if who == 0 { (0o777, UMASK) } else { (who, 0) };
    let mut clauses = Vec::new();
    while let Some((act @ (b'+' | b'-' | b'='), rest)) = text.split_first() {
        let end = rest.iter().position(|b| b"+-=".contains(b)).unwrap_or(rest.len());
        clauses.push(Clause { who, masked, act: *act, what: what(&rest[..end])? });
        text = &rest[end..];
    }
    (text.is_empty() && !clauses.is_empty()).then_some(clauses)
}

fn what(text: &[u8]) -> Option<What> {
    match text {
        b"u" => return Some(What::Copy(6)),
        b"g" => return Some(What::Copy(3)),
        b"o" => return Some(What::Copy(0)),
        _ => {}
    }
    let known = text.iter().all(|b| b"rwxXst".contains(b));
    let has = |b: u8| text.contains(&b);
    let digit = u32::from(has(b'r')) << 2 | u32::from(has(b'w')) << 1 | u32::from(has(b'x'));
    known.then(|| What::Bits { digit, search: has(b'X'), set_id: has(b's'), sticky: has(b't') })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_1_6_13_octal_and_symbolic() {
        for (text, before, directory, wanted) in [
            ("0755", 0o4600, false, 0o755),
            ("7777", 0, true, 0o7777),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("+w", 0o444, false, 0o644),
            ("-w", 0o666, false, 0o466),
            ("=rw", 0o777, false, 0o644),
            ("=u", 0o600, false, 0o644),
            ("a+w", 0o444, false, 0o666),
            ("g=u", 0o640, false, 0o660),
            ("a-w+x", 0o666, false, 0o555),
            ("u+s,g+s,+t", 0o755, false, 0o7755),
            ("u=rx", 0o4755, false, 0o555),
            ("o=", 0o757, false, 0o750),
            ("u=rwx", 0o4700, true, 0o4700),
        ] {
            assert_eq!(ModeRule::parse(text).unwrap().apply(before, directory), wanted, "{text} {before:o}");
        }
        for text in ["", "8", "10000", "u", "u=q", "rw", "u=rw,", "0o7", "-", "u+x g+x"] {
            // A bare act, as in `-`, is what chmod(1) takes too.
            assert_eq!(ModeRule::parse(text).is_err(), text != "-", "{text}");
        }
    }
}
