//! [`CopyError`]: what can go wrong with a COPY, an ADD of local files or a WORKDIR.

use super::mode::ModeError;
use super::owner::OwnerError;
use crate::context::glob::GlobError;
use crate::context::ignore::IgnoreError;
use crate::context::tree::{Exclusion, TreeError};
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::fetch_limits::Excess;
use layerfs::io_error::{CURE_OF_FULL_DISK, IoError};
use layerfs::path::TreePath;
use layerfs::stack::StackError;
use layerfs::tar::TarError;

/// What can go wrong with a COPY, an ADD of local files or a WORKDIR.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source is not there.
    #[error("copy `{source_text}`: not found")]
    NotFound {
        /// The source as typed.
        source_text: String,
        /// A name beside it that is much like it.
        similar: Option<String>,
    },
    /// A source is a link that leads nowhere.
    #[error("copy `{source_text}`: a link leads to `{target}`, which is not there")]
    Dangling {
        /// The source as typed.
        source_text: String,
        /// Where it leads in the context or stage.
        target: TreePath,
    },
    /// A source is hidden by the ignore file.
    #[error("copy `{source_text}`: excluded by {}:{} `{}`", exclusion.file, exclusion.line, exclusion.pattern)]
    Excluded {
        /// The source as typed.
        source_text: String,
        /// What hides it.
        exclusion: Exclusion,
    },
    /// A source is a malformed pattern.
    #[error("copy `{source_text}`: {why}")]
    Pattern {
        /// The source as typed.
        source_text: String,
        /// In which way.
        why: GlobError,
    },
    /// A pattern of `--exclude` is malformed.
    #[error(transparent)]
    Exclude(IgnoreError),
    /// A directory of the source meets something else.
    #[error("cannot copy to non-directory: `{path}`")]
    NotADirectory {
        /// Where.
        path: TreePath,
    },
    /// Something that is no directory would take a directory's place.
    #[error("cannot replace to directory `{path}` with file")]
    IsADirectory {
        /// Where.
        path: TreePath,
    },
    /// A file of a name that marks deletions in layers.
    #[error("copy `{path}`: names that start with `.wh.` mark deletions in layers")]
    WhiteoutName {
        /// Where it would stand.
        path: TreePath,
    },
    /// A file changed between hashing and writing.
    #[error("`{path}` changed while it was copied")]
    Changed {
        /// The file in the source.
        path: TreePath,
    },
    /// A local archive broke off or was malformed after its first entry.
    #[error("unpack `{path}`: {why}")]
    Archive {
        /// The archive in the source.
        path: TreePath,
        /// What is wrong.
        why: String,
    },
    /// An archive is bigger than it may be.
    #[error("unpack `{path}`: {excess}")]
    TooBig {
        /// The archive in the source.
        path: TreePath,
        /// In which way.
        excess: Excess,
    },
    /// The owner is unknown.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The mode is none.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] TreeError),
    /// The destination could not be resolved.
    #[error("destination: {0}")]
    Destination(#[from] StackError),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The layer could not be written.
    #[error(transparent)]
    Tar(#[from] TarError),
}

impl Diagnose for CopyError {
    fn diagnose(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.to_string());
        match self.cure() {
            Some(cure) => diagnostic.help(cure),
            None => diagnostic,
        }
    }
}

/// Returns what to do about a source that is not there.
fn not_found_cure(source: &str) -> String {
    if let Some(flag) = source.strip_prefix(['-', '–', '—']) {
        return format!("a flag begins with two dashes: `--{}`", flag.trim_start_matches(['-', '–', '—']));
    }
    if source.split('/').any(|component| component == "..") {
        return "`..` does not lead out of the build context: build with a directory above as the context, or pass that one \
                with `--build-context name=DIR` and use `--from=name`"
            .to_owned();
    }
    "sources are looked up from the root of the build context or stage".to_owned()
}

impl CopyError {
    /// Returns the source that the error is about, as typed.
    pub(crate) fn source_text(&self) -> Option<&str> {
        match self {
            Self::NotFound { source_text, .. }
            | Self::Dangling { source_text, .. }
            | Self::Excluded { source_text, .. }
            | Self::Pattern { source_text, .. } => Some(source_text),
            _ => None,
        }
    }

    fn cure(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { similar: Some(similar), .. } => format!("did you mean `{similar}`?"),
            Self::NotFound { source_text, .. } => not_found_cure(source_text),
            Self::Dangling { .. } => "links are followed inside the build context or stage, never out of it".to_owned(),
            Self::Excluded { exclusion, source_text } => {
                let name = TreePath::normalize(source_text.as_bytes());
                let name = String::from_utf8_lossy(name.as_bytes());
                format!("remove the line, or add `!{name}` below it in {}", exclusion.file)
            }
            Self::Pattern { source_text, .. } if source_text.starts_with('[') => {
                "a `[` that is part of a name is written `[[]`; the JSON form is `[\"source\", \"destination\"]`"
                    .to_owned()
            }
            Self::Pattern { .. } => "a `[` that is part of a name is written `[[]`".to_owned(),
            Self::NotADirectory { path } => {
                format!("copy to another place than `{path}`, or remove what stands there with a RUN before")
            }
            Self::IsADirectory { path } => {
                format!("remove the directory `{path}` with a RUN before, or rename the file")
            }
            Self::Destination(_) => "choose another place, or remove what stands there with a RUN before".to_owned(),
            Self::WhiteoutName { .. } => "rename the file".to_owned(),
            Self::Changed { .. } => "build again once nothing writes to the context".to_owned(),
            Self::Archive { .. } => "repair the archive, or use COPY, which does not unpack".to_owned(),
            Self::TooBig { excess, .. } => excess.cure(),
            Self::Owner(error) => error.cure(),
            Self::Io(error) if error.is_full() => CURE_OF_FULL_DISK.to_owned(),
            Self::Tar(error) if error.is_full() => CURE_OF_FULL_DISK.to_owned(),
            Self::Mode(_) => "give octal digits (`0755`) or chmod(1) symbols (`u=rwX,go=rX`)".to_owned(),
            _ => return None,
        })
    }
}
