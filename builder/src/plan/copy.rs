//! COPY and ADD (1.6).

use super::PlanError;
use super::chmod;
use super::op::{CopyOp, From, Op, Script};
use super::run::script;
use super::stage::{StagePlanner, failed, source};
use crate::context::ignore::IgnoreRules;
use crate::dockerfile::instruction::{Add, Copy, Heredoc, Sources, Word};
use crate::dockerfile::{Expander, Parsed};
use crate::source::{Span, Spanned};

/// COPY or ADD, its words expanded.
struct Expanded {
    sources: Vec<Spanned<String>>,
    heredocs: Vec<Script>,
    destination: String,
    chown: Option<String>,
    chmod: Option<String>,
}

impl StagePlanner<'_> {
    /// COPY.
    pub(super) fn copy(&mut self, copy: &Copy, parsed: &Parsed) -> Result<(), PlanError> {
        let from = self.copy_from(copy.from.as_ref())?;
        let shown = self.shown(parsed);
        let expanded = self.copied(&copy.sources, copy.chown.as_ref(), copy.chmod.as_ref())?;
        if copy.from.is_none() {
            expanded.sources.iter().try_for_each(refuse_remote)?;
        }
        let exclude = excluded(&copy.exclude)?;
        let op = CopyOp { exclude, parents: copy.parents, link: copy.link, ..self.copy_op(&expanded, from) };
        let line = if copy.parents { "COPY --parents" } else { "COPY" };
        self.push_copy(line, &expanded, op, parsed.span, &shown);
        Ok(())
    }

    /// ADD of local files.
    pub(super) fn add(&mut self, add: &Add, parsed: &Parsed) -> Result<(), PlanError> {
        let shown = self.shown(parsed);
        let expanded = self.copied(&add.sources, add.chown.as_ref(), add.chmod.as_ref())?;
        for source in &expanded.sources {
            if let Some(what) = remote(&source.value) {
                return Err(PlanError::Unsupported { what: what.of_add(), span: source.span });
            }
        }
        if let Some(checksum) = &add.checksum {
            return Err(PlanError::LocalChecksum { span: checksum.span });
        }
        let (exclude, unpack_archives) = (excluded(&add.exclude)?, add.unpack.unwrap_or(true));
        let op = self.copy_op(&expanded, From::Context);
        let op = CopyOp { exclude, link: add.link, unpack_archives, ..op };
        self.push_copy("ADD", &expanded, op, parsed.span, &shown);
        Ok(())
    }

    fn copy_from(&self, from: Option<&Spanned<String>>) -> Result<From, PlanError> {
        let Some(from) = from else { return Ok(From::Context) };
        let unresolved = || PlanError::UnresolvedSource { name: from.value.clone(), span: from.span };
        self.graph.copy_source(&from.value).map(source).ok_or_else(unresolved)
    }

    fn copied(&mut self, sources: &Sources, chown: Option<&Word>, chmod: Option<&Word>) -> Result<Expanded, PlanError> {
        let mut paths = Vec::with_capacity(sources.paths.len());
        for word in &sources.paths {
            paths.push(Spanned::new(self.expand(word)?, word.span));
        }
        Ok(Expanded {
            sources: paths,
            destination: self.expand(&sources.destination)?,
            chown: self.expand_flag(chown)?,
            chmod: self.mode(chmod)?,
            heredocs: sources.heredocs.iter().map(|heredoc| self.heredoc(heredoc)).collect::<Result<_, _>>()?,
        })
    }

    /// Returns the value of a flag; a blank one counts as none.
    fn expand_flag(&mut self, word: Option<&Word>) -> Result<Option<String>, PlanError> {
        let value = word.map(|word| self.expand(word)).transpose()?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    fn mode(&mut self, word: Option<&Word>) -> Result<Option<String>, PlanError> {
        let mode = self.expand_flag(word)?;
        match (&mode, word) {
            (Some(mode), Some(word)) if !chmod::is_mode(mode) => {
                Err(PlanError::InvalidMode { mode: mode.clone(), span: word.span })
            }
            _ => Ok(mode),
        }
    }

    /// Returns a heredoc as a file, its body expanded unless the delimiter was quoted (1.2-9).
    fn heredoc(&mut self, heredoc: &Heredoc) -> Result<Script, PlanError> {
        let body = &heredoc.body;
        if !heredoc.expand {
            return script(heredoc, body.value.clone());
        }
        let expanded = Expander::new(self.escape(), &self.state.scope.lookup()).expand_heredoc(&body.value);
        let expanded = expanded.map_err(|error| failed(&format!("<<{}", heredoc.name), error, body.span))?;
        self.warn_unset(&expanded.unset, body.span);
        script(heredoc, expanded.text)
    }

    fn copy_op(&self, expanded: &Expanded, from: From) -> CopyOp {
        let typed = &expanded.destination;
        CopyOp {
            from,
            sources: expanded.sources.iter().map(|source| source.value.clone()).collect(),
            exclude: Vec::new(),
            parents: false,
            heredocs: expanded.heredocs.clone(),
            destination: self.working_directory().join(typed.as_bytes()),
            destination_is_directory: matches!(typed.as_str(), "" | ".")
                || typed.ends_with('/')
                || typed.ends_with("/."),
            chown: expanded.chown.clone(),
            chmod: expanded.chmod.clone(),
            link: false,
            unpack_archives: false,
        }
    }

    fn push_copy(&mut self, instruction: &str, expanded: &Expanded, op: CopyOp, span: Span, shown: &str) {
        let name = self.names.step(shown);
        self.push_step(Op::Copy(op), span, name);
        self.note_step(history_line(instruction, expanded));
    }
}

/// Returns the history line of COPY and ADD: flags, sources, heredocs, destination (1.5-16).
fn history_line(instruction: &str, expanded: &Expanded) -> String {
    let mut words = vec![instruction.to_owned()];
    words.extend(expanded.chown.iter().map(|owner| format!("--chown={owner}")));
    words.extend(expanded.chmod.iter().map(|mode| format!("--chmod={mode}")));
    words.extend(expanded.sources.iter().map(|source| source.value.clone()));
    words.extend(expanded.heredocs.iter().map(|heredoc| format!("<<{}", heredoc.name)));
    words.push(expanded.destination.clone());
    words.push("# buildkit".to_owned());
    words.join(" ")
}

/// Returns the patterns of `--exclude`, which are never expanded (1.2-1); a malformed one is refused.
fn excluded(patterns: &[Spanned<String>]) -> Result<Vec<String>, PlanError> {
    for pattern in patterns {
        IgnoreRules::of_patterns([&pattern.value]).map_err(|error| PlanError::InvalidExclude {
            pattern: pattern.value.clone(),
            why: error.why.to_string(),
            span: pattern.span,
        })?;
    }
    Ok(patterns.iter().map(|pattern| pattern.value.clone()).collect())
}

/// What a source that is no local path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remote {
    Url,
    Git,
}

impl Remote {
    fn of_add(self) -> &'static str {
        match self {
            Self::Url => "ADD of a URL",
            Self::Git => "ADD of a git repository",
        }
    }
}

/// Returns what kind of remote source `source` is, if it is one (1.6-22).
fn remote(source: &str) -> Option<Remote> {
    let lower = source.to_ascii_lowercase();
    if lower.starts_with("git@") || lower.starts_with("ssh://") || lower.starts_with("git://") {
        return Some(Remote::Git);
    }
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return None;
    }
    let path = lower.split(['#', '?']).next().unwrap_or_default();
    Some(if path.ends_with(".git") { Remote::Git } else { Remote::Url })
}

fn refuse_remote(source: &Spanned<String>) -> Result<(), PlanError> {
    let (source_text, span) = (source.value.clone(), source.span);
    match remote(&source.value) {
        None => Ok(()),
        Some(Remote::Url) => Err(PlanError::CopyUrl { source_text, span }),
        Some(Remote::Git) => Err(PlanError::CopyGit { source_text, span }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_sources_of_1_6_22_are_told_from_paths() {
        for (source, wanted) in [
            ("a/b", None),
            ("git@host:a/b", Some(Remote::Git)),
            ("ssh://git@host/a", Some(Remote::Git)),
            ("git://host/a", Some(Remote::Git)),
            ("https://host/a.git#main:sub", Some(Remote::Git)),
            ("HTTPS://host/a.tar.gz", Some(Remote::Url)),
            ("http://host/a.git/b", Some(Remote::Url)),
            ("https", None),
            ("a.git", None),
        ] {
            assert_eq!(remote(source), wanted, "{source}");
        }
    }
}
