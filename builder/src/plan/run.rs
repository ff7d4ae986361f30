//! RUN and WORKDIR (1.7, 1.5-7).

use super::PlanError;
use super::mount::{Fields, Surroundings};
use super::op::{MountKind, MountOp, Network, Op, RunOp, Script, WorkdirOp};
use super::stage::{StagePlanner, check_value};
use crate::diagnostic::Diagnostic;
use crate::dockerfile::Parsed;
use crate::dockerfile::instruction::{CommandLine, Heredoc, Mount, Run, Word};
use crate::graph::globals::is_proxy;
use crate::source::{Span, Spanned};
use layerfs::path::is_plain_name;
use std::collections::BTreeMap;

/// The host name that BuildKit gives.
const HOST_NAME: &str = "buildkitsandbox";
/// The proxies in the order in which BuildKit hands them over.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

impl StagePlanner<'_> {
    /// RUN.
    pub(super) fn run(&mut self, run: &Run, parsed: &Parsed) -> Result<(), PlanError> {
        let insecure = self.insecure(run.security.as_ref())?;
        self.devices(&run.devices)?;
        let (arguments, script) = self.run_command(run, parsed.span)?;
        let mounts = self.mounts(&run.mounts)?;
        let prefix = self.state.scope.history_prefix().map(|prefix| format!("{prefix} ")).unwrap_or_default();
        let line = format!("RUN {prefix}{} # buildkit", arguments.join(" "));
        let op = RunOp {
            arguments,
            environment: self.environment_of(&mounts),
            proxies: self.proxies(),
            working_directory: self.working_directory(),
            user: self.state.image.config.user.clone(),
            network: self.network(run.network.as_ref())?,
            insecure,
            host_name: self.host_name(),
            extra_hosts: self.input.options.extra_hosts.clone(),
            mounts,
            script,
        };
        check_no_nul(&op, parsed.span)?;
        let shown = self.shown(parsed);
        let name = self.names.step(&shown);
        self.push_step(Op::Run(op), parsed.span, name);
        self.note_step(line);
        Ok(())
    }

    /// Returns the argument list of a RUN, and the script that it runs if it is one (1.7-2).
    fn run_command(&self, run: &Run, span: Span) -> Result<(Vec<String>, Option<Script>), PlanError> {
        let text = match &run.command {
            CommandLine::Exec(arguments) if arguments.is_empty() => return Err(PlanError::EmptyCommand { span }),
            CommandLine::Exec(arguments) => {
                arguments.iter().try_for_each(|argument| check_value("RUN", argument, span))?;
                return Ok((arguments.clone(), None));
            }
            CommandLine::Shell(text) => text,
        };
        let (text, script) = match run.heredocs.as_slice() {
            [] => (text.clone(), None),
            [only] if is_heredoc_alone(text) => script_or_text(only)?,
            all => (with_bodies(text, all), None),
        };
        check_value("RUN", &text, span)?;
        // A heredoc without a line is a command that does nothing, as in BuildKit.
        if text.trim().is_empty() && run.heredocs.is_empty() {
            return Err(PlanError::EmptyCommand { span });
        }
        Ok((self.in_shell(&text), script))
    }

    /// Returns the mounts in order; of two with one target the later is left (1.7-5).
    fn mounts(&mut self, mounts: &[Spanned<Mount>]) -> Result<Vec<MountOp>, PlanError> {
        let mut ops: Vec<MountOp> = Vec::with_capacity(mounts.len());
        for mount in mounts {
            let sockets = ops.iter().filter(|op| matches!(op.kind, MountKind::Ssh { .. })).count();
            let op = self.mount(&mount.value, mount.span, sockets)?;
            if op.kind.has_target() {
                ops.retain(|other| !other.kind.has_target() || other.target != op.target);
            }
            ops.push(op);
        }
        Ok(ops)
    }

    fn mount(&mut self, mount: &Mount, span: Span, sockets: usize) -> Result<MountOp, PlanError> {
        let kind = match &mount.kind {
            Some(kind) => self.expand_text(kind, span)?.to_lowercase(),
            None => "bind".to_owned(),
        };
        let mut values = BTreeMap::new();
        for (key, value) in &mount.fields {
            let value = match value {
                Some(value) if key != "from" => Some(self.expand_text(value, span)?),
                other => other.clone(),
            };
            values.insert(key.clone(), value);
        }
        let fields = Fields { kind, values };
        let wrong = |error| PlanError::Mount { error, span };
        fields.check().map_err(wrong)?;
        let cache_namespace = self.input.graph.globals.build_arg("BUILDKIT_CACHE_MOUNT_NS").unwrap_or_default();
        let around = Surroundings {
            working_directory: self.working_directory(),
            stage: self.graph,
            cache_namespace: cache_namespace.to_owned(),
            sockets,
        };
        fields.mount(&around).map_err(wrong)
    }

    /// Returns the variables of a command; the first socket of an agent is told by one, unless that is set (1.7-10).
    fn environment_of(&self, mounts: &[MountOp]) -> Vec<(String, String)> {
        const NAME: &str = "SSH_AUTH_SOCK";
        let mut environment = self.state.scope.environment().to_vec();
        let socket = mounts.iter().find(|mount| matches!(mount.kind, MountKind::Ssh { .. }));
        if let Some(socket) = socket.filter(|_| self.state.scope.get(NAME).is_none()) {
            environment.push((NAME.to_owned(), socket.target.to_string()));
        }
        environment
    }

    /// Returns whether a command runs without the sandbox's limits, which the caller must have allowed (1.7-12).
    fn insecure(&self, security: Option<&Word>) -> Result<bool, PlanError> {
        let Some(word) = security else { return Ok(false) };
        match word.value.as_str() {
            "sandbox" => Ok(false),
            "insecure" if self.input.options.allow_insecure => Ok(true),
            "insecure" => Err(PlanError::InsecureNotAllowed { span: word.span }),
            other => Err(PlanError::InvalidSecurity { mode: other.to_owned(), span: word.span }),
        }
    }

    /// No device is registered here: one that is required is refused, another left out with a warning (1.7-13).
    fn devices(&mut self, devices: &[Word]) -> Result<(), PlanError> {
        for word in devices {
            let invalid = || PlanError::InvalidDevice { text: word.value.clone(), span: word.span };
            let device = device(&word.value).ok_or_else(invalid)?;
            if device.required {
                return Err(PlanError::NoDevice { name: device.name.to_owned(), span: word.span });
            }
            let text = format!("device `{}` is left out: lbuild knows no CDI devices", device.name);
            let severity = crate::diagnostic::Severity::Warning;
            self.warnings.push(Diagnostic { severity, ..Diagnostic::error(text) }.at(word.span, ""));
        }
        Ok(())
    }

    fn network(&self, network: Option<&Word>) -> Result<Network, PlanError> {
        let Some(word) = network else { return Ok(self.input.options.network) };
        match word.value.as_str() {
            "default" => Ok(self.input.options.network),
            "none" => Ok(Network::None),
            "host" => Ok(Network::Host),
            other => Err(PlanError::InvalidNetwork { mode: other.to_owned(), span: word.span }),
        }
    }

    fn host_name(&self) -> String {
        let given = self.input.graph.globals.build_arg("BUILDKIT_SANDBOX_HOSTNAME").filter(|name| !name.is_empty());
        given.or(self.input.options.host_name.as_deref()).unwrap_or(HOST_NAME).to_owned()
    }

    /// Returns the proxy variables in both cases, build arguments before the caller's; what ENV or ARG set is theirs
    /// (1.3-6).
    fn proxies(&self) -> Vec<(String, String)> {
        let given = self.input.graph.globals.build_args().filter(|(name, _)| is_proxy(name));
        let callers = self.input.options.proxies.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = given.chain(callers).collect();
        let mut proxies = Vec::new();
        for upper in PROXIES {
            let Some((_, value)) = all.iter().find(|(name, _)| name.eq_ignore_ascii_case(upper)) else { continue };
            for name in [upper.to_owned(), upper.to_lowercase()] {
                if self.state.scope.get(&name).is_none() {
                    proxies.push((name, (*value).to_owned()));
                }
            }
        }
        proxies
    }

    /// WORKDIR: joined with the one in force; the root needs no step (1.5-7).
    pub(super) fn workdir(&mut self, word: &Word, parsed: &Parsed) -> Result<(), PlanError> {
        let shown = self.shown(parsed);
        let typed = self.expand(word)?;
        if !self.state.workdir_set && !typed.starts_with('/') {
            let text = format!("relative workdir `{typed}` can have unexpected results if the base image changes");
            self.warnings.push(Diagnostic::of_rule("WorkdirRelativePath", text, word.span));
        }
        self.state.workdir_set = true;
        let path = self.working_directory().join(typed.as_bytes());
        let text = path.to_string();
        self.state.image.config.working_dir = text.clone();
        if path.is_root() {
            self.note(format!("WORKDIR {text}"));
            return Ok(());
        }
        let name = self.names.step(&shown);
        let user = self.state.image.config.user.clone();
        self.push_step(Op::Workdir(WorkdirOp { path, user }), parsed.span, name);
        self.note_step(format!("WORKDIR {text}"));
        Ok(())
    }
}

impl super::op::MountKind {
    /// Reports whether something is mounted: not for a secret that is only a variable.
    fn has_target(&self) -> bool {
        !matches!(self, Self::Secret { file: false, .. })
    }
}

/// Refuses NUL bytes, which a base image or JSON text may hold and no program can be given.
fn check_no_nul(op: &RunOp, span: Span) -> Result<(), PlanError> {
    let variables = op.environment.iter().chain(&op.proxies).flat_map(|(name, value)| [name, value]);
    let mut texts = op.arguments.iter().chain(variables).chain([&op.user, &op.host_name]);
    if texts.any(|text| text.contains('\0')) || op.working_directory.as_bytes().contains(&0) {
        return Err(PlanError::NulByte { span });
    }
    Ok(())
}

/// What `--device` asks for.
struct Device<'a> {
    name: &'a str,
    required: bool,
}

/// Reads `--device`: a name, or `name=…`, and `required`, in CSV; nothing if it is malformed.
fn device(text: &str) -> Option<Device<'_>> {
    let (mut name, mut required) = (None, false);
    for field in text.split(',') {
        match field.split_once('=') {
            None if field.eq_ignore_ascii_case("required") => required = true,
            Some((key, value)) if key.eq_ignore_ascii_case("required") => required = value.parse().ok()?,
            Some((key, value)) if key.eq_ignore_ascii_case("name") && name.is_none() => name = Some(value),
            // `vendor.com/class=name` has a `=` of its own.
            _ if name.is_none() && !field.is_empty() => name = Some(field),
            _ => return None,
        }
    }
    name.filter(|name| !name.is_empty()).map(|name| Device { name, required })
}

/// Reports whether a RUN's own line is one heredoc and nothing else: `<<EOF`, `<<-EOF`, `3<<EOF`.
fn is_heredoc_alone(text: &str) -> bool {
    let text = text.trim().trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(rest) = text.strip_prefix("<<") else { return false };
    let name = rest.strip_prefix('-').unwrap_or(rest).trim_start();
    let quoted = name.chars().next().filter(|c| matches!(c, '"' | '\'')).map(|quote| name[1..].find(quote));
    match quoted {
        Some(end) => end.is_some_and(|end| end + 2 == name.len()),
        None => !name.is_empty() && !name.contains(char::is_whitespace) && !name.contains('<'),
    }
}

/// Returns what the shell is given for a heredoc alone: its body, or the path of the script that it is.
fn script_or_text(heredoc: &Heredoc) -> Result<(String, Option<Script>), PlanError> {
    let body = heredoc.body.value.clone();
    if !body.starts_with("#!") {
        return Ok((body, None));
    }
    let script = script(heredoc, body)?;
    Ok((format!("/dev/pipes/{}", script.name), Some(script)))
}

/// Returns a heredoc as a file; its delimiter must be able to name one.
pub(super) fn script(heredoc: &Heredoc, body: String) -> Result<Script, PlanError> {
    if !is_plain_name(heredoc.name.as_bytes()) {
        return Err(PlanError::InvalidHeredocName { name: heredoc.name.clone(), span: heredoc.body.span });
    }
    Ok(Script { name: heredoc.name.clone(), body })
}

/// Returns a command with the bodies of its heredocs behind it, tabs included, for the shell to read.
fn with_bodies(text: &str, heredocs: &[Heredoc]) -> String {
    let body = |heredoc: &Heredoc| heredoc.with_tabs.as_ref().unwrap_or(&heredoc.body.value).clone();
    heredocs.iter().fold(text.to_owned(), |text, heredoc| format!("{text}\n{}{}", body(heredoc), heredoc.name))
}
