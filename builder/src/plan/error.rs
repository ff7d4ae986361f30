//! [`PlanError`]: why a Dockerfile has no plan.

use super::mount::MountError;
use crate::diagnostic::{Diagnose, Diagnostic};
use crate::dockerfile::ExpandError;
use crate::source::Span;

/// Why a Dockerfile has no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A word cannot be expanded.
    #[error("expand `{word}`: {error}")]
    Expansion {
        /// The word as typed.
        word: String,
        /// What is wrong.
        error: ExpandError,
        /// Where it stands.
        span: Span,
    },
    /// A value is longer than any program may be given.
    #[error("the value of `{word}` is {length} bytes long after expansion, more than {limit}")]
    TooLong {
        /// The word as typed, cut.
        word: String,
        /// Its length after expansion, in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
        /// Where it stands.
        span: Span,
    },
    /// More layers than an image can have.
    #[error("stage `{stage}` has more than {limit} steps, those of the stages that it starts from counted")]
    TooManySteps {
        /// The stage's name, else its number.
        stage: String,
        /// The most.
        limit: usize,
        /// The first step that is too many.
        span: Span,
    },
    /// A NUL byte, which no argument, variable or path can hold.
    #[error("a NUL byte cannot be part of an argument, a variable or a path")]
    NulByte {
        /// Where it stands.
        span: Span,
    },
    /// `--security=insecure` without leave.
    #[error("`RUN --security=insecure` needs the entitlement `security.insecure`")]
    InsecureNotAllowed {
        /// Where it stands.
        span: Span,
    },
    /// `--device` of what is no device.
    #[error("invalid device `{text}`")]
    InvalidDevice {
        /// The text.
        text: String,
        /// Where it stands.
        span: Span,
    },
    /// A device that is required and not there.
    #[error("required CDI device `{name}` is not registered")]
    NoDevice {
        /// The device.
        name: String,
        /// Where it stands.
        span: Span,
    },
    /// The caller resolved fewer images than the graph needs.
    #[error("image `{image}` was not resolved")]
    UnresolvedImage {
        /// The image.
        image: String,
        /// Where it is named.
        span: Span,
    },
    /// A source that the graph does not know.
    #[error("source `{name}` was not resolved")]
    UnresolvedSource {
        /// The source.
        name: String,
        /// Where it is named.
        span: Span,
    },
    /// ENV or LABEL with a blank name after expansion.
    #[error("{instruction} names cannot be blank")]
    BlankName {
        /// The instruction.
        instruction: &'static str,
        /// Where it stands.
        span: Span,
    },
    /// An ENV name with `=` in it after expansion.
    #[error("variable name `{name}` holds a `=`")]
    InvalidName {
        /// The name.
        name: String,
        /// Where it stands.
        span: Span,
    },
    /// EXPOSE of what is no port.
    #[error("invalid {what} in EXPOSE: `{text}`")]
    InvalidPort {
        /// Which part: `port`, `protocol`, `IP address`, `host port`.
        what: &'static str,
        /// The part as written.
        text: String,
        /// Where it stands.
        span: Span,
    },
    /// VOLUME of nothing.
    #[error("VOLUME cannot be an empty string")]
    EmptyVolume {
        /// Where it stands.
        span: Span,
    },
    /// STOPSIGNAL of what is no signal.
    #[error("invalid signal `{signal}`")]
    InvalidSignal {
        /// The signal as written.
        signal: String,
        /// Where it stands.
        span: Span,
    },
    /// RUN of nothing.
    #[error("RUN has no command")]
    EmptyCommand {
        /// Where it stands.
        span: Span,
    },
    /// A heredoc whose delimiter cannot name a file.
    #[error("heredoc delimiter `{name}` cannot be a file name")]
    InvalidHeredocName {
        /// The delimiter.
        name: String,
        /// Where it stands.
        span: Span,
    },
    /// `RUN --network` of none that there is.
    #[error("invalid network mode `{mode}`")]
    InvalidNetwork {
        /// The mode as written.
        mode: String,
        /// Where it stands.
        span: Span,
    },
    /// `RUN --security` of none that there is.
    #[error("invalid security mode `{mode}`")]
    InvalidSecurity {
        /// The mode as written.
        mode: String,
        /// Where it stands.
        span: Span,
    },
    /// A `--mount` that means nothing.
    #[error("invalid --mount: {error}")]
    Mount {
        /// What is wrong.
        error: MountError,
        /// Where it stands.
        span: Span,
    },
    /// A `--chmod` that is no mode.
    #[error("invalid --chmod `{mode}`")]
    InvalidMode {
        /// The mode after expansion.
        mode: String,
        /// Where it stands.
        span: Span,
    },
    /// `--exclude` of what is no pattern.
    #[error("invalid --exclude `{pattern}`: {why}")]
    InvalidExclude {
        /// The pattern as typed.
        pattern: String,
        /// What is wrong with it.
        why: String,
        /// Where it stands.
        span: Span,
    },
    /// `--checksum` with several sources.
    #[error("checksum can't be specified for multiple sources")]
    ManyChecksums {
        /// Where it stands.
        span: Span,
    },
    /// `--checksum` of what is no digest.
    #[error("invalid checksum `{text}`")]
    InvalidChecksum {
        /// The text.
        text: String,
        /// Where it stands.
        span: Span,
    },
    /// An address of a git repository that means nothing.
    #[error("{why}")]
    Git {
        /// What is wrong with it.
        why: String,
        /// Where it stands.
        span: Span,
    },
    /// COPY of an URL.
    #[error("source `{source_text}` of COPY cannot be a URL")]
    CopyUrl {
        /// The source.
        source_text: String,
        /// Where it stands.
        span: Span,
    },
    /// COPY of a git repository.
    #[error("source `{source_text}` of COPY cannot be a git repository")]
    CopyGit {
        /// The source.
        source_text: String,
        /// Where it stands.
        span: Span,
    },
    /// `ADD --checksum` of local files.
    #[error("--checksum needs an HTTP(S) or git source")]
    LocalChecksum {
        /// Where it stands.
        span: Span,
    },
    /// A RUN for a processor that this machine is not.
    #[error("this RUN is for {platform}, and this machine is {host}")]
    ForeignRun {
        /// The platform of its stage.
        platform: String,
        /// This machine's.
        host: String,
        /// Where it stands.
        span: Span,
    },
    /// SOURCE_DATE_EPOCH that is no number of seconds.
    #[error("invalid SOURCE_DATE_EPOCH `{value}`")]
    InvalidEpoch {
        /// The value.
        value: String,
    },
}

impl PlanError {
    /// Returns the place that the error is about.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Expansion { span, .. }
            | Self::TooLong { span, .. }
            | Self::NulByte { span }
            | Self::InsecureNotAllowed { span }
            | Self::InvalidDevice { span, .. }
            | Self::NoDevice { span, .. }
            | Self::UnresolvedImage { span, .. }
            | Self::UnresolvedSource { span, .. }
            | Self::BlankName { span, .. }
            | Self::InvalidName { span, .. }
            | Self::InvalidPort { span, .. }
            | Self::EmptyVolume { span }
            | Self::InvalidSignal { span, .. }
            | Self::EmptyCommand { span }
            | Self::TooManySteps { span, .. }
            | Self::InvalidHeredocName { span, .. }
            | Self::InvalidNetwork { span, .. }
            | Self::InvalidSecurity { span, .. }
            | Self::Mount { span, .. }
            | Self::InvalidMode { span, .. }
            | Self::InvalidExclude { span, .. }
            | Self::ManyChecksums { span }
            | Self::InvalidChecksum { span, .. }
            | Self::Git { span, .. }
            | Self::CopyUrl { span, .. }
            | Self::CopyGit { span, .. }
            | Self::LocalChecksum { span }
            | Self::ForeignRun { span, .. } => Some(*span),
            Self::InvalidEpoch { .. } => None,
        }
    }

    /// Returns what to do about it.
    fn cure(&self) -> Option<String> {
        let fixed = |text: &str| Some(text.to_owned());
        match self {
            Self::Expansion { error, .. } => error.cure(),
            Self::Mount { error, .. } => error.cure(),
            Self::InvalidPort { .. } => fixed("write `port[-port][/tcp|udp|sctp]` with ports from 0 to 65535"),
            Self::InvalidSignal { .. } => fixed("write a name such as `SIGTERM` or a number from 1 to 64"),
            Self::InvalidNetwork { .. } => fixed("use `default`, `none` or `host`"),
            Self::InvalidSecurity { .. } => fixed("use `sandbox` or `insecure`"),
            Self::InsecureNotAllowed { .. } => fixed("pass `--allow security.insecure`"),
            Self::InvalidDevice { .. } => fixed("write `vendor.com/class=name[,required]`"),
            Self::NoDevice { .. } => {
                fixed("lbuild knows no CDI devices; without `required` the step runs without the device")
            }
            Self::InvalidMode { .. } => {
                fixed("write an octal mode up to 07777, or a symbolic one such as `u=rwX,go=rX`")
            }
            Self::InvalidChecksum { .. } => fixed("write `sha256:` and 64 hexadecimal digits"),
            Self::CopyUrl { .. } | Self::CopyGit { .. } => fixed("use ADD"),
            Self::ForeignRun { host, .. } => Some(format!(
                "run it on this machine's with `FROM --platform=$BUILDPLATFORM`, build with `--platform {host}` or on such a \
                 machine, or install emulation: `sudo apt-get install qemu-user-static binfmt-support`"
            )),
            Self::InvalidEpoch { .. } => fixed("give a whole number of seconds since 1970"),
            _ => None,
        }
    }
}

impl Diagnose for PlanError {
    fn diagnose(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.to_string());
        let placed = match self.span() {
            Some(span) => diagnostic.at(span, ""),
            None => diagnostic,
        };
        match self.cure() {
            Some(cure) => placed.help(cure),
            None => placed,
        }
    }
}
