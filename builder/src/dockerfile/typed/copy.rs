//! COPY and ADD (FEATURES 1.6).

use super::Request;
use crate::dockerfile::arguments::{Json, json, list_with_heredocs};
use crate::dockerfile::error::ParseError;
use crate::dockerfile::instruction::{Add, Copy, Heredoc, Sources, Word};
use std::collections::HashMap;

pub(super) fn copy(mut request: Request<'_>) -> Result<Copy, ParseError> {
    let sources = sources(&request)?;
    let flags = &mut request.flags;
    Ok(Copy {
        sources,
        from: flags.one("from").filter(|from| !from.value.is_empty()),
        chown: flags.one("chown"),
        chmod: flags.one("chmod"),
        link: flags.boolean("link").unwrap_or(false),
        parents: flags.boolean("parents").unwrap_or(false),
        exclude: flags.many("exclude"),
    })
}

pub(super) fn add(mut request: Request<'_>) -> Result<Add, ParseError> {
    let sources = sources(&request)?;
    let flags = &mut request.flags;
    Ok(Add {
        sources,
        chown: flags.one("chown"),
        chmod: flags.one("chmod"),
        link: flags.boolean("link").unwrap_or(false),
        exclude: flags.many("exclude"),
        checksum: flags.one("checksum"),
        keep_git_dir: flags.boolean("keep-git-dir"),
        unpack: flags.boolean("unpack"),
    })
}

fn sources(request: &Request<'_>) -> Result<Sources, ParseError> {
    let (mut paths, heredocs) = match json(request.arguments) {
        Json::Strings(words) => (words, Vec::new()),
        Json::Mixed => return Err(ParseError::JsonNotStrings { span: request.arguments.span() }),
        Json::Not => from_list(request)?,
    };
    let given = paths.len() + heredocs.len();
    let missing = || {
        let given = if given == 0 { "none was" } else { "only one was" };
        ParseError::NoDestination { keyword: request.keyword, given, span: request.span }
    };
    match paths.pop() {
        Some(destination) if given > 1 => Ok(Sources { paths, heredocs, destination }),
        _ => Err(missing()),
    }
}

/// Splits the arguments at blanks, heredocs apart.
fn from_list(request: &Request<'_>) -> Result<(Vec<Word>, Vec<Heredoc>), ParseError> {
    let items = list_with_heredocs(request.arguments, request.announced);
    let announced: HashMap<usize, usize> =
        request.announced.iter().enumerate().map(|(number, word)| (word.start, number)).collect();
    let mut words = Vec::new();
    let mut heredocs = Vec::new();
    let count = items.len();
    for (index, item) in items.iter().enumerate() {
        match announced.get(&item.offset()) {
            None => words.push(item.word()),
            Some(_) if index + 1 == count && count > 1 => {
                return Err(ParseError::HeredocDestination { keyword: request.keyword, span: item.span() });
            }
            // One without a body has been reported.
            Some(&number) => heredocs.extend(request.heredocs.get(number).cloned()),
        }
    }
    Ok((words, heredocs))
}
