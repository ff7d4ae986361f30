//! FROM (FEATURES 1.4-1).

use super::Request;
use crate::dockerfile::arguments::list;
use crate::dockerfile::error::ParseError;
use crate::dockerfile::instruction::From;
use crate::dockerfile::joined::Slice;
use crate::source::Spanned;

pub(super) fn parse(mut request: Request<'_>) -> Result<From, ParseError> {
    let platform = request.flags.one("platform").filter(|platform| !platform.value.is_empty());
    let items = list(request.arguments);
    let (image, name) = match items.as_slice() {
        [image] => (image, None),
        [image, keyword, name] if keyword.text().eq_ignore_ascii_case("as") => (image, Some(stage_name(*name)?)),
        _ => {
            let comment = items.iter().any(|item| item.text().starts_with('#'));
            return Err(ParseError::FromArguments { comment, span: request.span });
        }
    };
    Ok(From { platform, image: image.word(), name })
}

fn stage_name(name: Slice<'_>) -> Result<Spanned<String>, ParseError> {
    let lower = name.text().to_lowercase();
    let belongs = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if !lower.starts_with(|first: char| first.is_ascii_lowercase()) || !lower.bytes().all(belongs) {
        return Err(ParseError::InvalidStageName { name: name.text().to_owned(), span: name.span() });
    }
    Ok(name.with(lower))
}
