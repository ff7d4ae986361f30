//! [`Template`]: what `--format` takes, the part of Go's text/template that Docker's and Podman's users write.
//!
//! ```text
//! {{.A.B}} {{$}} {{"text"}} {{1}} {{(…).A}}        values; a field that is not there is an error
//! {{f x y | g}} {{$x := …}}                        functions, pipelines, variables
//! {{if}} {{else if}} {{range $i, $v := …}} {{with}} {{else}} {{end}} {{/* comment */}} {{- trimmed -}}
//! ```
//! Functions: `and eq ge gt index join json le len lower lt ne not or pad print printf println slice split title truncate
//! upper`.

mod error;
mod functions;
mod lexer;
mod node;
mod parser;
mod printf;
mod render;
#[cfg(test)]
mod tests;
mod text;

pub use error::TemplateError;

use node::Node;
use serde_json::Value;

/// A template that was parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
}

impl Template {
    /// Returns the template that `text` is.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        parser::parse(lexer::tokens(text)?).map(|nodes| Self { nodes })
    }

    /// Returns the text that it makes of `value`.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn render(&self, value: &Value) -> Result<String, TemplateError> {
        render::render(&self.nodes, value)
    }
}
