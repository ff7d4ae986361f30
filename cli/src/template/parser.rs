//! [`parse`]: from words to [`Node`]s.

use super::TemplateError;
use super::lexer::{Token, TokenKind};
use super::node::{Node, Operand, OperandKind, Pipeline};
use std::iter::Peekable;
use std::vec::IntoIter;

/// Blocks and parentheses that may stand in one another.
const DEEPEST: usize = 64;

/// Returns the parts that the words make.
///
/// # Errors
/// [`TemplateError::Syntax`].
pub(super) fn parse(tokens: Vec<Token>) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), depth: 0, at: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        End::Template => Ok(nodes),
        End::Else { at, .. } => Err(TemplateError::syntax("`{{else}}` belongs to nothing", at)),
        End::Closed { at } => Err(TemplateError::syntax("`{{end}}` ends nothing", at)),
    }
}

/// What a block ends with.
enum End {
    Template,
    /// The word after `else`, if there is one.
    Else {
        word: Option<String>,
        at: usize,
    },
    Closed {
        at: usize,
    },
}

struct Parser {
    tokens: Peekable<IntoIter<Token>>,
    depth: usize,
    /// Where the last word began.
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<TokenKind> {
        let token = self.tokens.next()?;
        self.at = token.at;
        Some(token.kind)
    }

    fn next_if(&mut self, kind: &TokenKind) -> bool {
        let hit = self.tokens.next_if(|token| token.kind == *kind);
        hit.inspect(|token| self.at = token.at).is_some()
    }

    fn next_word(&mut self, among: &[&str]) -> Option<String> {
        let hit = |token: &Token| matches!(&token.kind, TokenKind::Word(word) if among.contains(&word.as_str()));
        match self.tokens.next_if(hit)?.kind {
            TokenKind::Word(word) => Some(word),
            _ => None,
        }
    }

    fn wrong<T>(&self, why: &str) -> Result<T, TemplateError> {
        Err(TemplateError::syntax(why, self.at))
    }

    fn deeper(&mut self) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > DEEPEST { self.wrong("there is too much in one another") } else { Ok(()) }
    }

    /// Reads parts up to the `else` or `end` that does not belong to any of them.
    fn block(&mut self) -> Result<(Vec<Node>, End), TemplateError> {
        self.deeper()?;
        let mut nodes = Vec::new();
        while let Some(kind) = self.next() {
            let begin = self.at;
            let TokenKind::Open = kind else {
                nodes.extend(match kind {
                    TokenKind::Text(text) => Some(Node::Text(text)),
                    _ => None,
                });
                continue;
            };
            match self.next_word(&["if", "range", "with", "else", "end"]).as_deref() {
                Some("else") => {
                    let word = self.next_word(&["if", "with"]);
                    if word.is_none() {
                        self.close()?;
                    }
                    self.depth -= 1;
                    return Ok((nodes, End::Else { word, at: begin }));
                }
                Some("end") => {
                    self.close()?;
                    self.depth -= 1;
                    return Ok((nodes, End::Closed { at: begin }));
                }
                Some(word) => nodes.push(self.control(word, begin)?),
                None => nodes.push(self.action()?),
            }
        }
        self.depth -= 1;
        Ok((nodes, End::Template))
    }

    fn close(&mut self) -> Result<(), TemplateError> {
        if self.next_if(&TokenKind::Close) { Ok(()) } else { self.wrong("`}}` is missing") }
    }

    fn control(&mut self, word: &str, begin: usize) -> Result<Node, TemplateError> {
        let names = self.names(word)?;
        let value = self.pipeline()?;
        self.close()?;
        let (body, end) = self.block()?;
        let otherwise = self.otherwise(word, end, begin)?;
        Ok(match word {
            "if" => Node::If { condition: value, then: body, otherwise },
            "with" => Node::With { name: names.1, value, body, otherwise },
            _ => Node::Range { names, over: value, body, otherwise },
        })
    }

    /// Reads what stands after `else`, up to the end of the whole.
    fn otherwise(&mut self, word: &str, end: End, begin: usize) -> Result<Vec<Node>, TemplateError> {
        match end {
            End::Closed { .. } => Ok(Vec::new()),
            End::Template => {
                Err(TemplateError::syntax(format!("`{{{{{word}}}}}` is not ended by `{{{{end}}}}`"), begin))
            }
            End::Else { word: Some(next), at } => {
                self.deeper()?;
                let node = self.control(&next, at)?;
                self.depth -= 1;
                Ok(vec![node])
            }
            End::Else { word: None, at } => match self.block()? {
                (nodes, End::Closed { .. }) => Ok(nodes),
                (_, End::Else { at, .. }) => Err(TemplateError::syntax("a second `{{else}}`", at)),
                (_, End::Template) => Err(TemplateError::syntax("`{{else}}` is not ended by `{{end}}`", at)),
            },
        }
    }

    /// Reads `$value :=` or `$key, $value :=`.
    fn names(&mut self, word: &str) -> Result<(Option<String>, Option<String>), TemplateError> {
        let Some(first) = self.declared()? else { return Ok((None, None)) };
        match first {
            (name, false) => Ok((None, Some(name))),
            (key, true) if word == "range" => match self.declared()? {
                Some((value, false)) => Ok((Some(key), Some(value))),
                _ => self.wrong("`range` takes one or two variables"),
            },
            _ => self.wrong("one variable is enough here"),
        }
    }

    /// Reads a variable that `:=` or, as told with it, a comma follows.
    fn declared(&mut self) -> Result<Option<(String, bool)>, TemplateError> {
        let mut ahead = self.tokens.clone();
        let Some(TokenKind::Variable(name)) = ahead.next().map(|token| token.kind) else { return Ok(None) };
        let comma = match ahead.next().map(|token| token.kind) {
            Some(TokenKind::Declare) => false,
            Some(TokenKind::Comma) => true,
            _ => return Ok(None),
        };
        self.tokens = ahead;
        Ok(Some((name, comma)))
    }

    fn action(&mut self) -> Result<Node, TemplateError> {
        let mut ahead = self.tokens.clone();
        if let Some(TokenKind::Variable(name)) = ahead.next().map(|token| token.kind)
            && let Some(kind @ (TokenKind::Declare | TokenKind::Assign)) = ahead.next().map(|token| token.kind)
        {
            self.tokens = ahead;
            let value = self.pipeline()?;
            self.close()?;
            return Ok(Node::Set { name, is_new: kind == TokenKind::Declare, value });
        }
        let pipeline = self.pipeline()?;
        self.close()?;
        Ok(Node::Print(pipeline))
    }

    fn pipeline(&mut self) -> Result<Pipeline, TemplateError> {
        let mut calls = vec![self.call()?];
        while self.next_if(&TokenKind::Pipe) {
            calls.push(self.call()?);
        }
        Ok(Pipeline(calls))
    }

    fn call(&mut self) -> Result<Vec<Operand>, TemplateError> {
        let mut operands = Vec::new();
        while let Some(operand) = self.operand()? {
            operands.push(operand);
        }
        if operands.is_empty() { self.wrong("a value is missing") } else { Ok(operands) }
    }

    fn operand(&mut self) -> Result<Option<Operand>, TemplateError> {
        use TokenKind::{Close, Pipe, RightParenthesis};
        if self.tokens.peek().is_none_or(|token| matches!(token.kind, Close | Pipe | RightParenthesis)) {
            return Ok(None);
        }
        let mut fields = Vec::new();
        let kind = match self.next() {
            Some(TokenKind::Dot) => OperandKind::Dot,
            Some(TokenKind::Field(name)) => {
                fields.push(name);
                OperandKind::Dot
            }
            Some(TokenKind::Variable(name)) => OperandKind::Variable(name),
            Some(TokenKind::Literal(value)) => OperandKind::Literal(value),
            Some(TokenKind::Word(name)) => OperandKind::Function(name),
            Some(TokenKind::LeftParenthesis) => OperandKind::Nested(self.nested()?),
            _ => return self.wrong("a value is missing"),
        };
        while let Some(token) = self.tokens.next_if(|token| token.glued && matches!(token.kind, TokenKind::Field(_))) {
            fields.extend(match token.kind {
                TokenKind::Field(name) => Some(name),
                _ => None,
            });
        }
        Ok(Some(Operand { kind, fields }))
    }

    fn nested(&mut self) -> Result<Pipeline, TemplateError> {
        self.deeper()?;
        let pipeline = self.pipeline()?;
        self.depth -= 1;
        if self.next_if(&TokenKind::RightParenthesis) { Ok(pipeline) } else { self.wrong("`)` is missing") }
    }
}
