//! [`IgnoreRules`]: what a `.dockerignore` says, as a value.
//!
//! The last line that matches a path, or a directory above it, decides. Patterns are those of moby/patternmatcher.

use super::glob::{Glob, GlobError};
use super::globs::{Globs, Reading};
use std::sync::Arc;

/// The lines of a `.dockerignore`, compiled.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    name: String,
    rules: Vec<Rule>,
    /// The pattern of each rule.
    globs: Arc<Globs>,
}

/// One line.
#[derive(Debug, Clone)]
struct Rule {
    /// Its number in the file, from 1.
    line: usize,
    /// The pattern as written, the `!` included.
    shown: String,
    /// True for `!`.
    exception: bool,
}

/// What the rules say of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decision {
    /// The build does not see it.
    pub ignored: bool,
    /// The line that decided, from 1; nothing if no line matched.
    pub by_line: Option<usize>,
}

/// What the rules make of a directory and those above it: what a walker hands down, so that each name is read once.
#[derive(Debug, Clone)]
pub struct Trail {
    /// What was read so far; nothing at the context's root.
    read: Option<Reading>,
    /// The last rule that matches one of them.
    matched: Option<usize>,
}

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
        let mut compiled = Vec::new();
        for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
            let fault = |why| IgnoreError {
                name: name.to_owned(),
                line: at + 1,
                pattern: String::from_utf8_lossy(line.trim_ascii()).into_owned(),
                why,
            };
            compiled.extend(Rule::parse(at + 1, line).map_err(fault)?);
        }
        Ok(Self::of(name, compiled))
    }

    /// Compiles patterns that stand in no file, as `--exclude` has them; they are numbered from 1. Unlike a line of a
    /// file, one that starts with `/` matches nothing, since paths are relative (moby/patternmatcher, `New`).
    ///
    /// # Errors
    /// [`IgnoreError`] at the first that is no pattern.
    pub fn of_patterns<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Result<Self, IgnoreError> {
        let name = "--exclude";
        let mut compiled = Vec::new();
        for (at, pattern) in patterns.into_iter().enumerate() {
            let (line, pattern) = (at + 1, pattern.as_ref().trim());
            let rule = Rule::of_pattern(line, pattern);
            compiled.extend(rule.map_err(|why| IgnoreError {
                name: name.to_owned(),
                line,
                pattern: pattern.to_owned(),
                why,
            })?);
        }
        Ok(Self::of(name, compiled))
    }

    /// Compiles the rules that hide everything but what `pattern` matches, and what is below that.
    ///
    /// # Errors
    /// [`GlobError`] if it is no pattern.
    pub fn all_but(pattern: &[u8]) -> Result<Self, GlobError> {
        let shown = String::from_utf8_lossy(pattern).into_owned();
        let all = Rule { line: 1, shown: "**".to_owned(), exception: false };
        let only = Rule { line: 2, shown, exception: true };
        let globs = [Glob::with_double_star(b"**")?, Glob::with_double_star(&clean(pattern))?];
        Ok(Self::of("", [all, only].into_iter().zip(globs).collect()))
    }

    fn of(name: &str, compiled: Vec<(Rule, Glob)>) -> Self {
        let (rules, globs) = compiled.into_iter().unzip();
        Self { name: name.to_owned(), rules, globs: Arc::new(Globs::new(globs)) }
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

    /// Returns what is decided about `path`, in normal form below the context, and its trail.
    pub fn decide(&self, path: &[u8]) -> (Decision, Trail) {
        let names = path.split(|b| *b == b'/').filter(|name| !name.is_empty());
        names.fold((Decision::default(), self.trail()), |(_, trail), name| self.enter(&trail, name))
    }

    /// Returns the trail of the context's root, which no pattern matches.
    pub fn trail(&self) -> Trail {
        Trail { read: None, matched: None }
    }

    /// Returns what is decided about `name`, and its own trail, from the `trail` of the directory that holds it.
    pub fn enter(&self, trail: &Trail, name: &[u8]) -> (Decision, Trail) {
        let read = match &trail.read {
            None => self.globs.read(self.globs.start(), name),
            Some(read) => self.globs.read(&self.globs.read(read, b"/"), name),
        };
        // The last rule decides, whether it matches the name or something above it.
        let matched = self.globs.last_match(&read).max(trail.matched);
        let rule = matched.map(|number| &self.rules[number]);
        let decision =
            Decision { ignored: rule.is_some_and(|rule| !rule.exception), by_line: rule.map(|rule| rule.line) };
        (decision, Trail { read: Some(read), matched })
    }

    /// Reports whether a `!` line may match something below the directory of `trail`, so that a walker may not skip it.
    pub fn may_hold_exceptions(&self, trail: &Trail) -> bool {
        let Some(read) = &trail.read else { return self.has_exceptions() };
        self.globs.may_go_on(&self.globs.read(read, b"/"), |number| self.rules[number].exception)
    }
}

impl Rule {
    /// Compiles line number `line`; nothing for an empty one and a comment.
    fn parse(line: usize, text: &[u8]) -> Result<Option<(Self, Glob)>, IgnoreFault> {
        let trimmed = text.trim_ascii();
        if text.starts_with(b"#") || trimmed.is_empty() {
            return Ok(None);
        }
        let exception = trimmed.starts_with(b"!");
        let pattern = trimmed[usize::from(exception)..].trim_ascii();
        if pattern.is_empty() {
            return Err(IgnoreFault::LoneException);
        }
        let glob = Glob::with_double_star(&clean(pattern))?;
        Ok(Some((Self { line, shown: String::from_utf8_lossy(trimmed).into_owned(), exception }, glob)))
    }
}

impl Rule {
    /// Compiles a pattern that stands in no file; nothing for an empty one.
    fn of_pattern(line: usize, text: &str) -> Result<Option<(Self, Glob)>, IgnoreFault> {
        if text.is_empty() {
            return Ok(None);
        }
        let exception = text.starts_with('!');
        let pattern = &text[usize::from(exception)..];
        if pattern.is_empty() {
            return Err(IgnoreFault::LoneException);
        }
        let rooted: &[u8] = if pattern.starts_with('/') { b"/" } else { b"" };
        let glob = Glob::with_double_star(&[rooted, &clean(pattern.as_bytes())].concat())?;
        Ok(Some((Self { line, shown: text.to_owned(), exception }, glob)))
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
            assert_eq!(IgnoreRules::parse("f", text.as_bytes()).map(|_| ()), Err(wanted), "{text}");
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
            assert_eq!(rules(text).decide(path.as_bytes()).0, Decision { ignored, by_line }, "{text:?} {path}");
        }
    }

    #[test]
    fn row_2_6_only_directories_that_may_hold_exceptions_are_entered() {
        let rules = rules("*\n!a/b/c\n!x*/y");
        for (directory, wanted) in [("a", true), ("a/b", true), ("b", false), ("xx", true), ("xx/y", false)] {
            assert_eq!(rules.may_hold_exceptions(&rules.decide(directory.as_bytes()).1), wanted, "{directory}");
        }
    }
}
