//! Typed forms of every instruction and flag. Texts are as typed (quotes kept) wherever expansion comes later.

use crate::source::Spanned;

/// Text that expansion still has to go over; quotes and escapes as typed.
pub type Word = Spanned<String>;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the instruction of its name")]
pub enum Instruction {
    Add(Add),
    Arg(Vec<Arg>),
    Cmd(CommandLine),
    Copy(Copy),
    Entrypoint(CommandLine),
    Env(Vec<KeyValue>),
    Expose(Vec<Word>),
    Healthcheck(Healthcheck),
    Label(Vec<KeyValue>),
    Maintainer(String),
    Onbuild(Onbuild),
    Run(Run),
    Shell(Vec<String>),
    Stopsignal(Word),
    User(Word),
    Volume(Vec<Word>),
    Workdir(Word),
}

/// `FROM [--platform=…] image [AS name]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `--platform`, expanded with global arguments later.
    pub platform: Option<Word>,
    /// Image, stage or context, expanded with global arguments later.
    pub image: Word,
    /// Stage name, lower case.
    pub name: Option<Spanned<String>>,
}

/// `NAME[=default]` of ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The name, as typed.
    pub name: Spanned<String>,
    /// The default, before expansion.
    pub default: Option<Word>,
}

/// `key=value` of ENV and LABEL, both before expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Word,
    /// The value.
    pub value: Word,
    /// True for the form `ENV key rest of the line`.
    pub legacy: bool,
}

/// A shell or exec form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Text for the shell, continued lines joined.
    Shell(String),
    /// A JSON array.
    Exec(Vec<String>),
}

/// A heredoc's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter, without quotes; for COPY also the file's name.
    pub name: String,
    /// The body, leading tabs removed for `<<-`.
    pub body: Spanned<String>,
    /// The body as typed, where tabs were removed from it.
    pub with_tabs: Option<String>,
    /// True unless any part of the delimiter was quoted.
    pub expand: bool,
    /// True for `<<-`.
    pub chomp: bool,
    /// File descriptor before `<<`; 0 if none was typed.
    pub descriptor: u32,
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command; with heredocs, the shell text of the instruction's own line.
    pub command: CommandLine,
    /// Heredocs in order.
    pub heredocs: Vec<Heredoc>,
    /// `--mount` in order.
    pub mounts: Vec<Spanned<Mount>>,
    /// `--network`, as typed.
    pub network: Option<Word>,
    /// `--security`, as typed.
    pub security: Option<Word>,
    /// `--device`, as typed.
    pub devices: Vec<Word>,
}

/// `--mount=…` of RUN: the fields as typed; values are expanded by the plan (`from` never is).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    /// `type`; bind by default. Checked while parsing unless it holds a variable.
    pub kind: Option<String>,
    /// The other fields, keys lower case and in their long form (`target` for dst and destination, `source` for src,
    /// `readonly` for ro, `readwrite` for rw), in order, values before expansion; a flag without value has none.
    pub fields: Vec<(String, Option<String>)>,
}

/// Where COPY and ADD copy from and to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Sources before expansion.
    pub paths: Vec<Word>,
    /// Heredocs that stand as sources.
    pub heredocs: Vec<Heredoc>,
    /// The destination before expansion.
    pub destination: Word,
}

/// COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What and where to.
    pub sources: Sources,
    /// `--from`, not expanded.
    pub from: Option<Spanned<String>>,
    /// `--chown`, before expansion.
    pub chown: Option<Word>,
    /// `--chmod`, before expansion.
    pub chmod: Option<Word>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, in order.
    pub exclude: Vec<Spanned<String>>,
}

/// ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What and where to.
    pub sources: Sources,
    /// `--chown`, before expansion.
    pub chown: Option<Word>,
    /// `--chmod`, before expansion.
    pub chmod: Option<Word>,
    /// `--link`.
    pub link: bool,
    /// `--exclude`, in order.
    pub exclude: Vec<Spanned<String>>,
    /// `--checksum`, before expansion.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`.
    pub unpack: Option<bool>,
}

/// HEALTHCHECK; durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `NONE`.
    None,
    /// `CMD`.
    Command {
        /// What to run.
        command: CommandLine,
        /// `--interval`.
        interval: Option<i64>,
        /// `--timeout`.
        timeout: Option<i64>,
        /// `--start-period`.
        start_period: Option<i64>,
        /// `--start-interval`.
        start_interval: Option<i64>,
        /// `--retries`.
        retries: Option<i64>,
    },
}

/// ONBUILD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The trigger as typed, heredoc bodies appended.
    pub text: String,
    /// The trigger, parsed.
    pub trigger: Box<Instruction>,
}
