//! [`IgnoreRules`]: what a `.dockerignore` says, as a value.
//!
//! The last line that matches a path, or a directory above it, decides. Patterns are those of moby/patternmatcher.

use super::glob::{Glob, GlobError};

/// The lines of a `.dockerignore`, compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnoreRules {
    name: String,
    rules: Vec<Rule>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// Its number in the file, from 1.
    line: usize,
    /// The pattern as written, the `!` included.
    shown: String,
    /// True for `!`.
    exception: bool,
    matcher: Matcher,
}

/// A pattern; most lines are plain names, which a comparison of bytes answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Matcher {
    Exact(Vec<u8>),
    Glob(Glob),
}

/// What the rules say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The build does not see it.
    pub ignored: bool,
    /// The line that decided, from 1; nothing if no line matched.
    pub by_line: Option<usize>,
}

/// Which rules match a directory or one above it: what a walker hands down, so that each name is matched once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail(Vec<bool>);

/// A line that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}: pattern `{pattern}`: {why}")]
pub struct IgnoreError {
    /// The file.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub why: IgnoreFault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreFault {
    /// A lone `!`.
    #[error("`!` without a pattern excludes nothing from nothing")]
    LoneException,
    /// The pattern is malformed.
    #[error("{0}")]
    Syntax(#[from] GlobError),
}

impl IgnoreRules {
    /// Compiles the text of the file called `name`; the name is for messages.
    ///
    /// # Errors
    /// [`IgnoreError`] at the first line that is no pattern.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, IgnoreError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut rules = Vec::new();
        for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
            let fault = |why| IgnoreError {
                name: name.to_owned(),
                line: at + 1,
                pattern: String::from_utf8_lossy(line.trim_ascii()).into_owned(),
                why,
            };
            rules.extend(Rule::parse(at + 1, line).map_err(fault)?);
        }
        Ok(Self { name: name.to_owned(), rules })
    }

    /// Compiles patterns that stand in no file, as `--exclude` has them; they are numbered from 1. Unlike a line of a
    /// file, one that starts with `/` matches nothing, since paths are relative (moby/patternmatcher, `New`).
    ///
    /// # Errors
    /// [`IgnoreError`] at the first that is no pattern.
    pub fn of_patterns<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Result<Self, IgnoreError> {
        let name = "--exclude".to_owned();
        let mut rules = Vec::new();
        for (at, pattern) in patterns.into_iter().enumerate() {
            let (line, pattern) = (at + 1, pattern.as_ref().trim());
            let rule = Rule::of_pattern(line, pattern);
            rules.extend(rule.map_err(|why| IgnoreError {
                name: name.clone(),
                line,
                pattern: pattern.to_owned(),
                why,
            })?);
        }
        Ok(Self { name, rules })
    }

    /// Compiles the rules that hide everything but what `pattern` matches, and what is below that.
    ///
    /// # Errors
    /// [`GlobError`] if it is no pattern.
    pub fn all_but(pattern: &[u8]) -> Result<Self, GlobError> {
        let shown = String::from_utf8_lossy(pattern).into_owned();
        let all = Rule { line: 1, shown: "**".to_owned(), exception: false, matcher: Matcher::compile(b"**")? };
        let only = Rule { line: 2, shown, exception: true, matcher: Matcher::compile(&clean(pattern))? };
        Ok(Self { name: String::new(), rules: vec![all, only] })
    }

    /// Returns the name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reports whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Reports whether a line begins with `!`.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }

    /// Returns the pattern of line `line` as written.
    pub fn pattern_of(&self, line: usize) -> Option<&str> {
        self.rules.iter().find(|rule| rule.line == line).map(|rule| rule.shown.as_str())
    }

    /// Returns what is decided about `path`, in normal form below the context. Whether it is a directory makes no
    /// difference to the patterns; the parameter is there so that callers need not know this.
    pub fn decide(&self, path: &[u8], _is_directory: bool) -> Decision {
        let mut trail = self.trail();
        for end in path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at) {
            trail = self.enter(&trail, &path[..end]).1;
        }
        self.enter(&trail, path).0
    }

    /// Returns the trail of the context's root, which no pattern matches.
    pub fn trail(&self) -> Trail {
        Trail(vec![false; self.rules.len()])
    }

    /// Returns what is decided about `path`, and its own trail, from the `trail` of the directory that holds it.
    pub fn enter(&self, trail: &Trail, path: &[u8]) -> (Decision, Trail) {
        let mut decision = Decision { ignored: false, by_line: None };
        if path.is_empty() {
            return (decision, trail.clone());
        }
        let mut own = trail.clone();
        for (rule, matched) in self.rules.iter().zip(&mut own.0) {
            *matched = *matched || rule.matcher.matches(path);
            if *matched {
                decision = Decision { ignored: !rule.exception, by_line: Some(rule.line) };
            }
        }
        (decision, own)
    }

    /// Reports whether a `!` line may match something below `directory`, so that a walker may not skip it.
    pub fn may_hold_exceptions(&self, directory: &[u8]) -> bool {
        self.rules.iter().any(|rule| rule.exception && rule.matcher.may_match_below(directory))
    }
}

impl Rule {
    /// Compiles line number `line`; nothing for an empty one and a comment.
    fn parse(line: usize, text: &[u8]) -> Result<Option<Self>, IgnoreFault> {
        let trimmed = text.trim_ascii();
        if text.starts_with(b"#") || trimmed.is_empty() {
            return Ok(None);
        }
        let exception = trimmed.starts_with(b"!");
        let pattern = trimmed[usize::from(exception)..].trim_ascii();
        if pattern.is_empty() {
            return Err(IgnoreFault::LoneException);
        }
        let matcher = Matcher::compile(&clean(pattern))?;
        Ok(Some(Self { line, shown: String::from_utf8_lossy(trimmed).into_owned(), exception, matcher }))
    }
}

impl Rule {
    /// Compiles a pattern that stands in no file; nothing for an empty one.
    fn of_pattern(line: usize, text: &str) -> Result<Option<Self>, IgnoreFault> {
        if text.is_empty() {
            return Ok(None);
        }
        let exception = text.starts_with('!');
        let pattern = &text[usize::from(exception)..];
        if pattern.is_empty() {
            return Err(IgnoreFault::LoneException);
        }
        let rooted: &[u8] = if pattern.starts_with('/') { b"/" } else { b"" };
        let matcher = Matcher::compile(&[rooted, &clean(pattern.as_bytes())].concat())?;
        Ok(Some(Self { line, shown: text.to_owned(), exception, matcher }))
    }
}

impl Matcher {
    fn compile(pattern: &[u8]) -> Result<Self, GlobError> {
        let glob = Glob::with_double_star(pattern)?;
        Ok(glob.literal().map_or(Self::Glob(glob), Self::Exact))
    }

    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(name) => name == path,
            Self::Glob(glob) => glob.matches(path),
        }
    }

    fn may_match_below(&self, directory: &[u8]) -> bool {
        match self {
            Self::Exact(name) => name.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/")),
            Self::Glob(glob) => glob.may_match_below(directory),
        }
    }
}

/// Returns `pattern` as Go's `filepath.Clean` has it, without a leading `/`. A `..` that nothing precedes stays, and
/// so matches nothing.
fn clean(pattern: &[u8]) -> Vec<u8> {
    let rooted = pattern.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in pattern.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".") {
        match (part, parts.last()) {
            (b"..", Some(last)) if *last != b".." => {
                parts.pop();
            }
            (b"..", None) if rooted => {}
            _ => parts.push(part),
        }
    }
    match parts.is_empty() {
        true if rooted => b"/".to_vec(),
        true => b".".to_vec(),
        false => parts.join(&b'/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> IgnoreRules {
        IgnoreRules::parse(".dockerignore", text.as_bytes()).unwrap()
    }

    fn shown(text: &str) -> Vec<(usize, String, bool)> {
        rules(text).rules.into_iter().map(|rule| (rule.line, rule.shown, rule.exception)).collect()
    }

    #[test]
    fn row_2_2_lines_are_trimmed_and_comments_stand_at_column_0() {
        let text = "\u{feff}# no\n\n  # yes \r\n!  a/\n/b/../c//\n";
        let wanted = [(3, "# yes", false), (4, "!  a/", true), (5, "/b/../c//", false)];
        assert_eq!(shown(text), wanted.map(|(line, text, exception)| (line, text.to_owned(), exception)));
        for (pattern, wanted) in [
            ("/a", "a"),
            ("a/", "a"),
            ("a//b/./c", "a/b/c"),
            ("/..", "/"),
            ("./", "."),
            ("../x", "../x"),
            ("a/..", "."),
        ] {
            assert_eq!(clean(pattern.as_bytes()), wanted.as_bytes(), "{pattern}");
        }
    }

    #[test]
    fn row_2_3_malformed_lines_are_refused_by_number() {
        for (text, line, pattern, why) in [
            ("a\n!\n", 2, "!", IgnoreFault::LoneException),
            ("! ", 1, "!", IgnoreFault::LoneException),
            ("[", 1, "[", GlobError::Class.into()),
            ("x\n\n a[ \n", 3, "a[", GlobError::Class.into()),
            ("\\", 1, "\\", GlobError::Escape.into()),
            ("[z-a]", 1, "[z-a]", GlobError::Range.into()),
        ] {
            let wanted = IgnoreError { name: "f".to_owned(), line, pattern: pattern.to_owned(), why };
            assert_eq!(IgnoreRules::parse("f", text.as_bytes()), Err(wanted), "{text}");
        }
    }

    #[test]
    fn rows_2_5_to_2_8_the_last_matching_line_decides() {
        for (text, path, ignored, by_line) in [
            ("docs", "docs/a/b", true, Some(1)),
            ("docs", "docs2", false, None),
            ("docs\n!docs/a", "docs/a/b", false, Some(2)),
            ("docs\n!docs/a", "docs/c", true, Some(1)),
            ("docs\n!docs/a\ndocs/a/b", "docs/a/b", true, Some(3)),
            ("!docs/a\ndocs", "docs/a", true, Some(2)),
            ("**\n!folder1/file1", "folder1/file1", false, Some(2)),
            ("**\n!folder1/file1", "folder1/file2", true, Some(1)),
            ("*\n!a\na/b\n!a/b/c\na/b/c/d", "a/b/c/e", false, Some(4)),
            ("*\n!a\na/b\n!a/b/c\na/b/c/d", "a/b/c/d", true, Some(5)),
            ("*", "a/b", true, Some(1)),
            ("*", "", false, None),
            (".", "a", false, None),
            ("/", "a", false, None),
            ("/a", "a", true, Some(1)),
            ("*.md\n!README.md", "README.md", false, Some(2)),
            ("*.md", "a/x.md", false, None),
            ("a\n!a/b/c\na/b", "a/b/c", true, Some(3)),
        ] {
            assert_eq!(rules(text).decide(path.as_bytes(), false), Decision { ignored, by_line }, "{text:?} {path}");
        }
    }

    #[test]
    fn row_2_6_only_directories_that_may_hold_exceptions_are_entered() {
        let rules = rules("*\n!a/b/c\n!x*/y");
        for (directory, wanted) in [("a", true), ("a/b", true), ("b", false), ("xx", true), ("xx/y", false)] {
            assert_eq!(rules.may_hold_exceptions(directory.as_bytes()), wanted, "{directory}");
        }
    }
}
