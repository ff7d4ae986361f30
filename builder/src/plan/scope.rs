//! [`Scope`]: what variables are worth at a place in a stage (1.3).

use std::collections::{BTreeSet, HashMap};

/// Arguments that never become variables of a command: they speak to the builder alone.
const BUILDER_ONLY: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// The variables and declared arguments of a stage, up to a place in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// ENV and ARG in the order in which they were first set; the last value counts.
    environment: Vec<(String, String)>,
    /// Where each variable stands among them.
    places: HashMap<String, usize>,
    /// Names of ARGs in the order in which they were declared; one may come again.
    arguments: Vec<String>,
    /// The last value that each argument was declared with.
    declared: HashMap<String, Option<String>>,
}

impl Scope {
    /// Returns the scope at the start of a stage whose image has `environment`.
    pub(super) fn of_image(environment: &[String]) -> Self {
        let mut scope = Self::default();
        scope.set_all(environment);
        scope
    }

    /// Sets the variables of an image, each `NAME=value`.
    pub(super) fn set_all(&mut self, environment: &[String]) {
        for variable in environment {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            self.set(name, value);
        }
    }

    /// Returns the value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|at| self.environment[*at].1.as_str())
    }

    /// Returns a lookup for expansion.
    pub(super) fn lookup(&self) -> impl Fn(&str) -> Option<String> {
        |name| self.get(name).map(str::to_owned)
    }

    /// Sets a variable; one that is set keeps its place.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.places.get(name) {
            Some(at) => value.clone_into(&mut self.environment[*at].1),
            None => {
                self.places.insert(name.to_owned(), self.environment.len());
                self.environment.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Declares an argument; without a value its variable stays as it is (1.3-2).
    pub(super) fn declare(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value
            && !BUILDER_ONLY.contains(&name)
        {
            self.set(name, value);
        }
        self.declared.insert(name.to_owned(), value.map(str::to_owned));
        self.arguments.push(name.to_owned());
    }

    /// Reports whether an ARG of this stage or of one it starts from declares `name`.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.declared.contains_key(name)
    }

    /// Returns the variables in order.
    pub(super) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Returns the names of the variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.environment.iter().map(|(name, _)| name.as_str())
    }

    /// Returns what history shows before a command: `|2 a=1 b=2`, each argument once, at its first place with the value
    /// that its variable has now (1.3-5); nothing if none is declared.
    pub(super) fn history_prefix(&self) -> Option<String> {
        let mut seen = BTreeSet::new();
        let shown: Vec<String> = self
            .arguments
            .iter()
            .filter(|name| seen.insert(*name))
            .map(|name| format!("{name}={}", self.shown_value(name)))
            .collect();
        (!shown.is_empty()).then(|| format!("|{} {}", shown.len(), shown.join(" ")))
    }

    fn shown_value(&self, name: &str) -> &str {
        let declared = || self.declared.get(name)?.as_deref();
        self.get(name).or_else(declared).unwrap_or_default()
    }
}
