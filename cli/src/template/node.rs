//! [`Node`]: the parts of a template.

use serde_json::Value;

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Text as it stands.
    Text(String),
    /// A value, printed.
    Print(Pipeline),
    /// A variable gets a value.
    Set {
        /// With its `$`.
        name: String,
        /// Whether it is a new one.
        is_new: bool,
        value: Pipeline,
    },
    If {
        condition: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        /// Variables for the key and the value.
        names: (Option<String>, Option<String>),
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        /// A variable for the value.
        name: Option<String>,
        value: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Calls, each of which hands its value to the next as its last argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline(pub Vec<Vec<Operand>>);

/// A word of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    pub kind: OperandKind,
    /// Fields that are taken of it.
    pub fields: Vec<String>,
}

/// What an [`Operand`] begins with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum OperandKind {
    Dot,
    /// With its `$`.
    Variable(String),
    Literal(Value),
    Function(String),
    Nested(Pipeline),
}
