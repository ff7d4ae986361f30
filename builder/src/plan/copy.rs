//! COPY and ADD (1.6).

use super::PlanError;
use super::chmod;
use super::op::{CopyOp, From, Op, Remote, Script};
use super::run::script;
use super::stage::{StagePlanner, failed, source};
use crate::context::ignore::IgnoreRules;
use crate::dockerfile::instruction::{Add, Copy, Heredoc, Sources, Word};
use crate::dockerfile::{Expander, Parsed};
use crate::git_ref::{GitRef, is_git, is_url};
use crate::source::{Span, Spanned};
use layerfs::registry::web::without_user;
use std::collections::BTreeMap;

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
        let op = CopyOp {
            exclude,
            parents: copy.parents,
            link: linked(copy.link, &expanded),
            ..self.copy_op(&expanded, from)
        };
        let line = if copy.parents { "COPY --parents" } else { "COPY" };
        self.push_copy(line, &expanded, op, parsed.span, &shown);
        Ok(())
    }

    /// ADD.
    pub(super) fn add(&mut self, add: &Add, parsed: &Parsed) -> Result<(), PlanError> {
        let shown = self.shown(parsed);
        let expanded = self.copied(&add.sources, add.chown.as_ref(), add.chmod.as_ref())?;
        let remotes = self.remotes(add, &expanded)?;
        let exclude = excluded(&add.exclude)?;
        let (unpack_archives, unpack_remote) = (add.unpack.unwrap_or(true), add.unpack.unwrap_or(false));
        let op = self.copy_op(&expanded, From::Context);
        let op = CopyOp { exclude, link: linked(add.link, &expanded), unpack_archives, unpack_remote, remotes, ..op };
        self.push_copy("ADD", &expanded, op, parsed.span, &shown);
        Ok(())
    }

    /// Returns the sources that are fetched, by number (1.6-20 to 1.6-23).
    fn remotes(&mut self, add: &Add, expanded: &Expanded) -> Result<BTreeMap<usize, Remote>, PlanError> {
        let checksum = match &add.checksum {
            Some(word) => Some(Spanned::new(self.expand(word)?, word.span)).filter(|text| !text.value.is_empty()),
            None => None,
        };
        if let Some(checksum) = &checksum
            && expanded.sources.len() + expanded.heredocs.len() > 1
        {
            return Err(PlanError::ManyChecksums { span: checksum.span });
        }
        let mut remotes = BTreeMap::new();
        for (number, source) in expanded.sources.iter().enumerate() {
            if let Some(remote) = remote(source, add.keep_git_dir, checksum.as_ref())? {
                remotes.insert(number, remote);
            }
        }
        match checksum {
            Some(checksum) if remotes.is_empty() => Err(PlanError::LocalChecksum { span: checksum.span }),
            _ => Ok(remotes),
        }
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
            source_spans: expanded.sources.iter().map(|source| source.span).collect(),
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
            unpack_remote: false,
            remotes: BTreeMap::new(),
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
    words.extend(expanded.sources.iter().map(|source| shown_source(&source.value)));
    words.extend(expanded.heredocs.iter().map(|heredoc| format!("<<{}", heredoc.name)));
    words.push(expanded.destination.clone());
    words.push("# buildkit".to_owned());
    words.join(" ")
}

/// Reports whether a layer is made that knows nothing of what is below. As in BuildKit not with `--chmod`, whose mode
/// the directories above the destination would get, those of the base included (1.6-14).
fn linked(asked: bool, expanded: &Expanded) -> bool {
    asked && expanded.chmod.is_none()
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

/// Returns a source as history shows it: a URL without a password.
fn shown_source(source: &str) -> String {
    match source.split_once("://") {
        Some((_, rest)) if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) => {
            without_user(source)
        }
        _ => source.to_owned(),
    }
}

/// Returns what a source of ADD is, if it is fetched (1.6-20 to 1.6-23).
fn remote(
    source: &Spanned<String>,
    keep_git_dir: Option<bool>,
    checksum: Option<&Spanned<String>>,
) -> Result<Option<Remote>, PlanError> {
    if is_url(&source.value) {
        let digest = |text: &Spanned<String>| {
            let wrong = |_| PlanError::InvalidChecksum { text: text.value.clone(), span: text.span };
            text.value.parse().map_err(wrong)
        };
        let checksum = checksum.map(digest).transpose()?;
        return Ok(Some(Remote::File { url: source.value.clone(), checksum }));
    }
    if !is_git(&source.value) {
        return Ok(None);
    }
    let wrong = |why: String| PlanError::Git { why, span: source.span };
    let mut git = GitRef::parse(&source.value).map_err(|error| wrong(error.to_string()))?;
    if let (Some(flag), Some(query)) = (keep_git_dir, git.keep_git_dir)
        && flag != query
    {
        return Err(wrong("inconsistent keep-git-dir configuration".to_owned()));
    }
    if let Some(checksum) = checksum {
        if git.checksum.as_ref().is_some_and(|query| *query != checksum.value) {
            return Err(wrong(format!("checksum conflicts with the one in `{}`", source.value)));
        }
        git.checksum = Some(checksum.value.clone());
    }
    let keep = keep_git_dir.or(git.keep_git_dir).unwrap_or(false);
    Ok(Some(Remote::Repository { git, keep }))
}

fn refuse_remote(source: &Spanned<String>) -> Result<(), PlanError> {
    let (source_text, span) = (source.value.clone(), source.span);
    if is_url(&source.value) {
        return Err(PlanError::CopyUrl { source_text, span });
    }
    if is_git(&source.value) {
        return Err(PlanError::CopyGit { source_text, span });
    }
    Ok(())
}
