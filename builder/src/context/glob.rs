//! [`Glob`]: a shell pattern as Go's `filepath.Match` reads it, with the `**` of `.dockerignore` beside it.
//!
//! Matching walks the path once with the set of live places in the pattern, so a hostile pattern costs
//! pattern length times path length and never more.

/// Why a pattern is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// `[` without its `]`, or an empty class.
    #[error("a `[` is never closed, or closed before it names a character")]
    Class,
    /// `[z-a]`.
    #[error("a range in `[ ]` runs backwards")]
    Range,
    /// A `\` with nothing after it.
    #[error("a `\\` stands at the end and escapes nothing")]
    Escape,
}

/// One place in a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// This character.
    Literal(u32),
    /// Any character but `/`.
    One,
    /// Any run of characters without `/`.
    Run,
    /// No character: the next token may be left out.
    Optional,
    /// Anything up to and with a `/`: after [`Token::Optional`], the `**` inside a pattern.
    Directories,
    /// Anything at all: a final `**`, and a `**` that starts a literal.
    Anything,
    /// A class; matches `/` too if it says so, as Go's does.
    Class { negated: bool, ranges: Vec<(u32, u32)> },
    /// The end of the pattern: what leads here matches.
    End,
}

/// A compiled pattern; it matches whole paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// Its tokens; the last one alone is [`Token::End`].
    tokens: Vec<Token>,
}

/// The live places in a pattern: number n stands before token n.
type Places = Vec<bool>;

impl Glob {
    /// Compiles a pattern of `COPY`: `*`, `?`, `[…]` and `\`, as Go's `filepath.Match` has them.
    ///
    /// # Errors
    /// Each way of being malformed.
    pub fn plain(pattern: &[u8]) -> Result<Self, GlobError> {
        let mut rest = pattern;
        let mut tokens = Vec::new();
        while let Some(token) = next_token(&mut rest)? {
            tokens.push(token);
        }
        tokens.push(Token::End);
        Ok(Self { tokens })
    }

    /// Compiles a pattern of `.dockerignore`: as [`Glob::plain`], and `**` for any number of directories.
    ///
    /// # Errors
    /// As for [`Glob::plain`]; a range that runs backwards too.
    pub fn with_double_star(pattern: &[u8]) -> Result<Self, GlobError> {
        let mut rest = pattern;
        let mut tokens = Vec::new();
        while !rest.is_empty() {
            if rest.starts_with(b"**") {
                rest = &rest[2..];
                let first = tokens.is_empty();
                push_double_star(&mut tokens, &mut rest, first);
            } else if let Some(token) = next_token(&mut rest)? {
                tokens.push(token);
            }
        }
        tokens.push(Token::End);
        match tokens.iter().any(runs_backwards) {
            true => Err(GlobError::Range),
            false => Ok(Self { tokens }),
        }
    }

    /// Returns its tokens, [`Token::End`] last.
    pub(super) fn into_tokens(self) -> Vec<Token> {
        self.tokens
    }

    /// Reports whether the pattern matches the whole of `path`.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.run(path).last().copied().unwrap_or(false)
    }

    /// Returns the places that are live after all of `path`.
    pub(super) fn run(&self, path: &[u8]) -> Places {
        let mut live = vec![false; self.tokens.len()];
        live[0] = true;
        skip_empty(&self.tokens, &mut live);
        let mut next = vec![false; live.len()];
        let mut rest = path;
        while let Some(c) = next_character(&mut rest) {
            advance(&self.tokens, &live, c, &mut next);
            std::mem::swap(&mut live, &mut next);
            if !live.contains(&true) {
                break;
            }
        }
        live
    }
}

/// Makes `next` the places of `tokens` that are live after `c` where those in `live` are before it.
pub(super) fn advance(tokens: &[Token], live: &[bool], c: u32, next: &mut [bool]) {
    next.fill(false);
    for (at, token) in tokens.iter().enumerate().filter(|(at, _)| live[*at]) {
        let (stays, goes) = token.step(c);
        next[at] |= stays;
        if goes {
            // No way leads past an end.
            next[at + 1] = true;
        }
    }
    skip_empty(tokens, next);
}

/// Adds the places of `tokens` that are reached without a character.
pub(super) fn skip_empty(tokens: &[Token], live: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        if live[at] && matches!(token, Token::Run | Token::Anything | Token::Optional) {
            live[at + 1] = true;
            // An optional token always has one after it.
            live[at + 2 - usize::from(*token != Token::Optional)] = true;
        }
    }
}

impl Token {
    /// Returns whether the token may go on after `c`, and whether it may end with it.
    fn step(&self, c: u32) -> (bool, bool) {
        let slash = c == u32::from(b'/');
        match self {
            Token::Literal(wanted) => (false, *wanted == c),
            Token::One => (false, !slash),
            Token::Optional | Token::End => (false, false),
            Token::Run => (!slash, false),
            Token::Anything => (true, false),
            Token::Directories => (true, slash),
            Token::Class { negated, ranges } => {
                (false, ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated)
            }
        }
    }

    /// Returns the ranges of characters that it names.
    pub(super) fn characters(&self) -> Vec<(u32, u32)> {
        match self {
            Token::Literal(c) => vec![(*c, *c)],
            Token::Class { ranges, .. } => ranges.clone(),
            Token::One | Token::Run | Token::Optional | Token::Directories | Token::Anything | Token::End => Vec::new(),
        }
    }
}

/// Adds what a `**` means before `rest`. moby/patternmatcher: a final `**` takes anything, one that starts an otherwise
/// literal pattern takes any beginning, every other takes whole directories; a `/` after it belongs to it.
fn push_double_star(tokens: &mut Vec<Token>, rest: &mut &[u8], first: bool) {
    let had_slash = rest.first() == Some(&b'/');
    *rest = &rest[usize::from(had_slash)..];
    if rest.is_empty() || (first && !had_slash && !rest.iter().any(|b| b"*?[]\\".contains(b))) {
        tokens.push(Token::Anything);
    } else {
        tokens.extend([Token::Optional, Token::Directories]);
    }
}

/// Takes one token off `rest`.
fn next_token(rest: &mut &[u8]) -> Result<Option<Token>, GlobError> {
    let Some(c) = next_character(rest) else { return Ok(None) };
    Ok(Some(match u8::try_from(c) {
        Ok(b'*') => Token::Run,
        Ok(b'?') => Token::One,
        Ok(b'[') => class(rest)?,
        Ok(b'\\') => Token::Literal(next_character(rest).ok_or(GlobError::Escape)?),
        _ => Token::Literal(c),
    }))
}

/// Takes a class off `rest`, whose `[` is gone already.
fn class(rest: &mut &[u8]) -> Result<Token, GlobError> {
    let negated = rest.first() == Some(&b'^');
    *rest = &rest[usize::from(negated)..];
    let mut ranges = Vec::new();
    while rest.first() != Some(&b']') || ranges.is_empty() {
        let low = class_character(rest)?;
        let mut high = low;
        if rest.first() == Some(&b'-') {
            *rest = &rest[1..];
            high = class_character(rest)?;
        }
        ranges.push((low, high));
    }
    *rest = &rest[1..];
    Ok(Token::Class { negated, ranges })
}

/// Takes one end of a range off `rest`; as in Go, a bare `-` or `]` is none.
fn class_character(rest: &mut &[u8]) -> Result<u32, GlobError> {
    let c = next_character(rest).ok_or(GlobError::Class)?;
    match u8::try_from(c) {
        Ok(b'-' | b']') => Err(GlobError::Class),
        Ok(b'\\') => next_character(rest).ok_or(GlobError::Class),
        _ => Ok(c),
    }
}

/// Reports whether a token is a class with a range that runs backwards.
fn runs_backwards(token: &Token) -> bool {
    matches!(token, Token::Class { ranges, .. } if ranges.iter().any(|(low, high)| low > high))
}

/// Number from which bytes that are no UTF-8 count as characters of their own.
const RAW: u32 = 0x11_0000;

/// Takes one character off `rest`: a UTF-8 one, or a single byte where there is none.
pub(super) fn next_character(rest: &mut &[u8]) -> Option<u32> {
    let first = *rest.first()?;
    let length = match first {
        0..=0x7f => {
            *rest = &rest[1..];
            return Some(u32::from(first));
        }
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let decoded = rest.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|s| s.chars().next());
    let (c, length) = decoded.map_or((RAW + u32::from(first), 1), |c| (u32::from(c), length));
    *rest = &rest[length..];
    Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_1_6_6_plain_patterns_are_those_of_go() {
        for (pattern, path, wanted) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
            ("arr[[]0].txt", "arr[0].txt", true),
            ("a**b", "axb", true),
        ] {
            let glob = Glob::plain(pattern.as_bytes()).unwrap();
            assert_eq!(glob.matches(path.as_bytes()), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn row_1_6_6_malformed_patterns_are_known() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a[x"] {
            assert_eq!(Glob::plain(pattern.as_bytes()), Err(GlobError::Class), "{pattern}");
        }
        assert_eq!(Glob::plain(b"\\"), Err(GlobError::Escape));
        assert_eq!(Glob::with_double_star(b"[z-a]"), Err(GlobError::Range));
    }

    #[test]
    fn row_2_4_double_star_and_literals() {
        for (pattern, path, wanted) in [
            ("**", "file", true),
            ("**", "dir/file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("abc/**", "abc", false),
            ("**/dir", "dir", true),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/*", "dir/dir2/dir2/file", true),
            ("**file", "file", true),
            ("**file", "dir/xfile", true),
            ("**/file", "dir/dir/file", true),
            ("**/file", "xfile", false),
            ("**/file*", "dir/dir/file.txt", true),
            ("**/file*txt", "dir/dir/file.txt", true),
            ("**/**/*.txt", "dir/dir/file.txt", true),
            ("**/**/*.txt2", "dir/dir/file.txt", false),
            ("**/*.txt", "file.txt", true),
            ("a**/*.txt", "a/file.txt", true),
            ("a**/*.txt", "a/dir/dir/file.txt", true),
            ("a/*.txt", "a/dir/file.txt", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/b", true),
            ("a/**/b", "a/xb", false),
            ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
            ("a.c", "abc", false),
            ("dir1/dir2/**", "dir1/dir2x/a", false),
            (".*", ".foo", true),
            (".*", "foo", false),
            ("**/foo/bar", "dir/foo/bar", true),
            ("abc/**", "abcdef", false),
            ("[!a]", "!", true),
        ] {
            let glob = Glob::with_double_star(pattern.as_bytes()).unwrap();
            assert_eq!(glob.matches(path.as_bytes()), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_its_length_times_the_paths() {
        let glob = Glob::with_double_star("*a".repeat(500).as_bytes()).unwrap();
        assert!(!glob.matches("a".repeat(499).as_bytes()));
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern: Vec<u8>, path: Vec<u8>) {
            if let Ok(glob) = Glob::with_double_star(&pattern) {
                glob.matches(&path);
            }
        }
    }
}
