//! [`render`]: from [`Node`]s and a value to text.

use super::node::{Node, Operand, OperandKind, Pipeline};
use super::{TemplateError, functions, text};
use serde_json::Value;

/// Returns the text that the parts make of `value`.
///
/// # Errors
/// [`TemplateError`].
pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, TemplateError> {
    let mut renderer = Renderer { variables: vec![("$".to_owned(), value.clone())], out: String::new() };
    renderer.nodes(nodes, value)?;
    Ok(renderer.out)
}

struct Renderer {
    /// The innermost last.
    variables: Vec<(String, Value)>,
    out: String,
}

impl Renderer {
    /// Renders parts in a scope of their own.
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), TemplateError> {
        let outer = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.variables.truncate(outer);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), TemplateError> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let printed = text::of(&self.pipeline(pipeline, dot)?);
                self.out.push_str(&printed);
            }
            Node::Set { name, is_new, value } => {
                let value = self.pipeline(value, dot)?;
                self.set(name, *is_new, value)?;
            }
            Node::If { condition, then, otherwise } => {
                let holds = text::is_true(&self.pipeline(condition, dot)?);
                self.nodes(if holds { then } else { otherwise }, dot)?;
            }
            Node::With { name, value, body, otherwise } => {
                let value = self.pipeline(value, dot)?;
                if !text::is_true(&value) {
                    return self.nodes(otherwise, dot);
                }
                self.body([(name.as_ref(), value.clone())], body, &value)?;
            }
            Node::Range { names, over, body, otherwise } => {
                let items = items(self.pipeline(over, dot)?)?;
                if items.is_empty() {
                    return self.nodes(otherwise, dot);
                }
                for (key, value) in items {
                    self.body([(names.0.as_ref(), key), (names.1.as_ref(), value.clone())], body, &value)?;
                }
            }
        }
        Ok(())
    }

    /// Renders parts with variables of their own.
    fn body<const N: usize>(
        &mut self,
        variables: [(Option<&String>, Value); N],
        body: &[Node],
        dot: &Value,
    ) -> Result<(), TemplateError> {
        let outer = self.variables.len();
        for (name, value) in variables {
            self.variables.extend(name.map(|name| (name.clone(), value)));
        }
        self.nodes(body, dot)?;
        self.variables.truncate(outer);
        Ok(())
    }

    fn set(&mut self, name: &str, is_new: bool, value: Value) -> Result<(), TemplateError> {
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some(known) if !is_new => known.1 = value,
            None if !is_new => return Err(TemplateError::NoVariable(name.to_owned())),
            _ => self.variables.push((name.to_owned(), value)),
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut last = None;
        for call in &pipeline.0 {
            last = Some(self.call(call, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Null))
    }

    fn call(&self, call: &[Operand], dot: &Value, piped: Option<Value>) -> Result<Value, TemplateError> {
        let Some((first, rest)) = call.split_first() else { return Ok(Value::Null) };
        let OperandKind::Function(name) = &first.kind else {
            return match (rest.is_empty(), piped) {
                (true, None) => self.operand(first, dot),
                _ => Err(TemplateError::Kind { act: "give arguments to".to_owned(), what: "a value" }),
            };
        };
        let mut arguments = rest.iter().map(|word| self.operand(word, dot)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(piped);
        fields(functions::call(name, &arguments)?, &first.fields)
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        let value = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Literal(value) => value.clone(),
            OperandKind::Nested(pipeline) => self.pipeline(pipeline, dot)?,
            OperandKind::Function(name) => functions::call(name, &[])?,
            OperandKind::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                known.map(|(_, value)| value.clone()).ok_or_else(|| TemplateError::NoVariable(name.clone()))?
            }
        };
        fields(value, &operand.fields)
    }
}

fn fields(value: Value, names: &[String]) -> Result<Value, TemplateError> {
    names.iter().try_fold(value, |value, name| match value {
        Value::Object(mut map) => match map.remove(name) {
            Some(value) => Ok(value),
            None => Err(TemplateError::NoField { name: name.clone(), there: map.keys().cloned().collect() }),
        },
        other => Err(TemplateError::Kind { act: format!("take the field `.{name}` of"), what: text::kind(&other) }),
    })
}

/// Returns keys and values of what `range` goes over.
fn items(value: Value) -> Result<Vec<(Value, Value)>, TemplateError> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => Ok(items.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect()),
        Value::Object(map) => Ok(map.into_iter().map(|(key, item)| (key.into(), item)).collect()),
        other => Err(TemplateError::Kind { act: "range over".to_owned(), what: text::kind(&other) }),
    }
}
