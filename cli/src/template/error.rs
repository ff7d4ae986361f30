//! [`TemplateError`]: what can be wrong with a template.

use builder::diagnostic::{Diagnose, Diagnostic};
use builder::dockerfile::suggest::nearest;

/// What can be wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not parse.
    #[error("the template does not parse: {why}, at character {at}")]
    Syntax {
        /// What is wrong.
        why: String,
        /// Where, in characters from 1.
        at: usize,
    },
    /// A field is not there.
    #[error("the template asks for `.{name}`, which is not there")]
    NoField {
        /// The field.
        name: String,
        /// Fields that are.
        there: Vec<String>,
    },
    /// A function does not exist.
    #[error("the template calls `{name}`, which is no function")]
    NoFunction {
        /// Its name.
        name: String,
    },
    /// A variable was not declared.
    #[error("the template uses the variable `{0}`, which is not declared")]
    NoVariable(String),
    /// A function cannot take what it was given.
    #[error("`{function}` in the template: {why}")]
    Arguments {
        /// Its name.
        function: String,
        /// What is wrong.
        why: String,
    },
    /// Something cannot be done with a value.
    #[error("the template cannot {act} {what}")]
    Kind {
        /// What it tries: `take the field `.A` of`.
        act: String,
        /// Kind of the value.
        what: &'static str,
    },
}

impl TemplateError {
    /// Returns an error of the syntax.
    pub(super) fn syntax(why: impl Into<String>, at: usize) -> Self {
        Self::Syntax { why: why.into(), at: at + 1 }
    }

    fn cure(&self) -> Option<String> {
        match self {
            Self::NoField { name, there } => {
                let names: Vec<&str> = there.iter().map(String::as_str).collect();
                match nearest(name, names.iter().copied()) {
                    Some(near) => Some(format!("did you mean `.{near}`?")),
                    None if names.is_empty() => None,
                    None => Some(format!("there are: .{}", names.join(", ."))),
                }
            }
            Self::NoFunction { name } => Some(match nearest(name, super::functions::NAMES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are: {}", super::functions::NAMES.join(", ")),
            }),
            _ => None,
        }
    }
}

impl Diagnose for TemplateError {
    fn diagnose(&self) -> Diagnostic {
        Diagnostic { help: self.cure(), ..Diagnostic::error(self.to_string()) }
    }
}
