//! Instructions that change variables and the image config only (1.5).

use super::PlanError;
use super::history::{self, plain_list, quoted_list};
use super::stage::{StagePlanner, check_value, failed};
use super::{lint, ports, signal};
use crate::diagnostic::Diagnostic;
use crate::dockerfile::Expander;
use crate::dockerfile::instruction::{Arg, CommandLine, Healthcheck, KeyValue, Onbuild, Word};
use crate::source::Span;
use layerfs::image;
use serde_json::Value;
use std::collections::HashMap;

impl StagePlanner<'_> {
    /// ARG: one argument after another, each seeing those before it (1.3-2).
    pub(super) fn arguments(&mut self, arguments: &[Arg]) -> Result<(), PlanError> {
        let mut shown = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let name = &argument.name;
            self.warnings.extend(lint::secret_name("ARG", &name.value, name.span));
            let value = self.argument(argument)?;
            self.state.scope.declare(&name.value, value.as_deref());
            shown.push(value.map_or_else(|| name.value.clone(), |value| format!("{}={value}", name.value)));
        }
        self.note(format!("ARG {}", shown.join(" ")));
        Ok(())
    }

    /// Returns the value of an ARG: the build argument, else its default, else what stands before the first FROM.
    fn argument(&mut self, argument: &Arg) -> Result<Option<String>, PlanError> {
        let (name, globals) = (&argument.name, &self.input.graph.globals);
        if let Some(value) = globals.build_arg(&name.value) {
            check_value(&name.value, value, name.span)?;
            return Ok(Some(value.to_owned()));
        }
        match &argument.default {
            Some(default) => self.expand(default).map(Some),
            None => Ok(globals.get(&name.value).map(str::to_owned)),
        }
    }

    /// Returns names and values, all expanded with what stands before the instruction.
    fn pairs(&mut self, instruction: &'static str, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, PlanError> {
        let mut expanded = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let key = self.expand(&pair.key)?;
            if key.is_empty() {
                return Err(PlanError::BlankName { instruction, span: pair.key.span });
            }
            expanded.push((key, self.expand(&pair.value)?));
        }
        Ok(expanded)
    }

    /// ENV.
    pub(super) fn environment(&mut self, variables: &[KeyValue], span: Span) -> Result<(), PlanError> {
        let pairs = self.pairs("ENV", variables)?;
        for (name, value) in &pairs {
            if name.contains('=') {
                return Err(PlanError::InvalidName { name: name.clone(), span });
            }
            self.warnings.extend(lint::secret_name("ENV", name, span));
            self.state.scope.set(name, value);
            let environment = self.state.image.config.env.get_or_insert_default();
            set_variable(environment, &mut self.state.variables, name, value);
        }
        self.note(format!("ENV {}", shown_pairs(&pairs)));
        Ok(())
    }

    /// LABEL.
    pub(super) fn labels(&mut self, labels: &[KeyValue]) -> Result<(), PlanError> {
        let pairs = self.pairs("LABEL", labels)?;
        self.note(format!("LABEL {}", shown_pairs(&pairs)));
        self.state.image.config.labels.get_or_insert_default().extend(pairs);
        Ok(())
    }

    /// Returns the argument list of a shell or exec form.
    fn argument_list(&self, command: &CommandLine) -> Vec<String> {
        match command {
            CommandLine::Shell(text) => self.in_shell(text),
            CommandLine::Exec(arguments) => arguments.clone(),
        }
    }

    /// CMD.
    pub(super) fn command(&mut self, command: &CommandLine) -> Result<(), PlanError> {
        let arguments = self.argument_list(command);
        self.note(format!("CMD {}", quoted_list(&arguments)));
        let config = &mut self.state.image.config;
        config.cmd = some(arguments);
        config.args_escaped = Some(true);
        self.command_set = true;
        Ok(())
    }

    /// ENTRYPOINT; it drops the CMD of the base (1.5-10).
    pub(super) fn entrypoint(&mut self, command: &CommandLine) -> Result<(), PlanError> {
        let arguments = self.argument_list(command);
        self.note(format!("ENTRYPOINT {}", quoted_list(&arguments)));
        let config = &mut self.state.image.config;
        config.entrypoint = some(arguments);
        if !self.command_set {
            config.cmd = None;
        }
        Ok(())
    }

    /// EXPOSE: words as typed in the order of their bytes, then split after expansion (1.2-8).
    pub(super) fn expose(&mut self, words: &[Word]) -> Result<(), PlanError> {
        let mut words: Vec<&Word> = words.iter().collect();
        words.sort_by(|a, b| a.value.cmp(&b.value));
        let mut shown = Vec::new();
        for word in words {
            for text in self.expand_words(word)? {
                let ports = ports::parse(&text).map_err(|(what, text)| PlanError::InvalidPort {
                    what,
                    text,
                    span: word.span,
                })?;
                self.warn_ports(&text, &ports, word.span);
                shown.extend(ports.ports);
            }
        }
        self.note(format!("EXPOSE {}", plain_list(&shown)));
        let exposed = self.state.image.config.exposed_ports.get_or_insert_default();
        exposed.extend(shown.into_iter().map(|port| (port, nothing())));
        Ok(())
    }

    fn expand_words(&mut self, word: &Word) -> Result<Vec<String>, PlanError> {
        let expanded = Expander::new(self.escape(), &self.state.scope.lookup()).expand_words(&word.value);
        let expanded = expanded.map_err(|error| failed(&word.value, error, word.span))?;
        self.warn_unset(&expanded.unset, word.span);
        Ok(expanded.words)
    }

    fn warn_ports(&mut self, text: &str, ports: &ports::Ports, span: Span) {
        if ports.casing {
            let message = format!("protocol of `{text}` in EXPOSE should be in lower case");
            self.warnings.push(Diagnostic::of_rule("ExposeProtoCasing", message, span));
        }
        if ports.mapping {
            let message = format!("EXPOSE should not have an address or a host port, found `{text}`");
            self.warnings.push(Diagnostic::of_rule("ExposeInvalidFormat", message, span));
        }
    }

    /// HEALTHCHECK; its shell form is for the shell of the image's user, never for SHELL.
    pub(super) fn healthcheck(&mut self, check: &Healthcheck) -> Result<(), PlanError> {
        let check = match check {
            Healthcheck::None => image::Healthcheck { test: vec!["NONE".to_owned()], ..Default::default() },
            Healthcheck::Command { command, interval, timeout, start_period, start_interval, retries } => {
                image::Healthcheck {
                    test: health_test(command),
                    interval: interval.unwrap_or(0),
                    timeout: timeout.unwrap_or(0),
                    start_period: start_period.unwrap_or(0),
                    start_interval: start_interval.unwrap_or(0),
                    retries: retries.unwrap_or(0),
                }
            }
        };
        self.note(history::healthcheck(&check));
        self.state.image.config.healthcheck = Some(check);
        Ok(())
    }

    /// MAINTAINER.
    pub(super) fn maintainer(&mut self, name: &str) -> Result<(), PlanError> {
        self.note(format!("MAINTAINER {name}"));
        self.state.image.author = Some(name.to_owned());
        Ok(())
    }

    /// ONBUILD: recorded, without a history line (1.4-11).
    pub(super) fn onbuild(&mut self, onbuild: &Onbuild) -> Result<(), PlanError> {
        self.state.image.config.on_build.get_or_insert_default().push(onbuild.text.clone());
        Ok(())
    }

    /// SHELL.
    pub(super) fn shell(&mut self, shell: &[String]) -> Result<(), PlanError> {
        self.note(format!("SHELL {}", plain_list(shell)));
        self.state.image.config.shell = some(shell.to_vec());
        Ok(())
    }

    /// STOPSIGNAL.
    pub(super) fn stop_signal(&mut self, word: &Word) -> Result<(), PlanError> {
        let signal = self.expand(word)?;
        if !signal::is_signal(&signal) {
            return Err(PlanError::InvalidSignal { signal, span: word.span });
        }
        self.note(format!("STOPSIGNAL {signal}"));
        self.state.image.config.stop_signal = Some(signal);
        Ok(())
    }

    /// USER; who that is shows only when a command runs.
    pub(super) fn user(&mut self, word: &Word) -> Result<(), PlanError> {
        let user = self.expand(word)?;
        self.note(format!("USER {user}"));
        self.state.image.config.user = user;
        Ok(())
    }

    /// VOLUME.
    pub(super) fn volumes(&mut self, words: &[Word]) -> Result<(), PlanError> {
        let mut volumes = Vec::with_capacity(words.len());
        for word in words {
            let volume = self.expand(word)?;
            if volume.is_empty() {
                return Err(PlanError::EmptyVolume { span: word.span });
            }
            volumes.push(volume);
        }
        self.note(format!("VOLUME {}", plain_list(&volumes)));
        let all = self.state.image.config.volumes.get_or_insert_default();
        all.extend(volumes.into_iter().map(|volume| (volume, nothing())));
        Ok(())
    }
}

/// Returns the value that sets of the image config have.
fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Returns a list, or nothing if it is empty.
fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

fn health_test(command: &CommandLine) -> Vec<String> {
    match command {
        CommandLine::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
        CommandLine::Exec(arguments) => std::iter::once("CMD".to_owned()).chain(arguments.iter().cloned()).collect(),
    }
}

fn shown_pairs(pairs: &[(String, String)]) -> String {
    let shown: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    shown.join(" ")
}

/// Returns where each variable stands in the environment of an image config; of one that is there twice, the first.
pub(super) fn places(environment: &[String]) -> HashMap<String, usize> {
    let named = |(at, variable): (usize, &String)| (variable.split('=').next().unwrap_or_default().to_owned(), at);
    environment.iter().enumerate().rev().map(named).collect()
}

/// Sets a variable of an image config; one that is there keeps its place, which is found in `places`.
fn set_variable(environment: &mut Vec<String>, places: &mut HashMap<String, usize>, name: &str, value: &str) {
    let text = format!("{name}={value}");
    match places.get(name) {
        Some(at) => environment[*at] = text,
        None => {
            places.insert(name.to_owned(), environment.len());
            environment.push(text);
        }
    }
}
