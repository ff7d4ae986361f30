//! HEALTHCHECK (FEATURES 1.5-11).

use super::{Findings, Request, command};
use crate::dockerfile::duration;
use crate::dockerfile::error::ParseError;
use crate::dockerfile::instruction::{Healthcheck, Word};

/// Shortest duration that is not zero, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

pub(super) fn parse(mut request: Request<'_>, findings: &mut Findings) -> Result<Healthcheck, ParseError> {
    let (kind, rest) = request.arguments.split_blank();
    match kind.text().to_ascii_uppercase().as_str() {
        "" => Err(ParseError::AtLeastOneArgument { keyword: request.keyword, span: request.span }),
        "NONE" if rest.text().is_empty() => Ok(Healthcheck::None),
        "NONE" => Err(ParseError::HealthcheckNone { span: rest.span() }),
        "CMD" if rest.text().is_empty() => Err(ParseError::HealthcheckCommand { span: request.span }),
        "CMD" => Ok(Healthcheck::Command {
            command: command(rest)?,
            interval: request.duration("interval", findings),
            timeout: request.duration("timeout", findings),
            start_period: request.duration("start-period", findings),
            start_interval: request.duration("start-interval", findings),
            retries: request.retries(findings),
        }),
        _ => Err(ParseError::HealthcheckType { found: kind.text().to_owned(), span: kind.span() }),
    }
}

impl Request<'_> {
    /// Takes a duration in nanoseconds; zero means that none is set.
    fn duration(&mut self, flag: &'static str, findings: &mut Findings) -> Option<i64> {
        let value = self.flags.one(flag).filter(|value| !value.value.is_empty())?;
        let duration = checked(flag, &value).map_err(|error| findings.errors.push(error)).ok()?;
        Some(duration).filter(|&duration| duration != 0)
    }

    /// Takes the number of retries; zero means that none is set.
    fn retries(&mut self, findings: &mut Findings) -> Option<i64> {
        let Word { value, span } = self.flags.one("retries").filter(|value| !value.value.is_empty())?;
        match value.parse::<i32>() {
            Ok(retries) if retries >= 0 => Some(i64::from(retries)).filter(|&retries| retries != 0),
            _ => {
                findings.errors.push(ParseError::InvalidRetries { found: value, span });
                None
            }
        }
    }
}

fn checked(flag: &'static str, value: &Word) -> Result<i64, ParseError> {
    match duration::parse(&value.value) {
        None => Err(ParseError::InvalidDuration { flag, found: value.value.clone(), span: value.span }),
        Some(duration) if duration != 0 && duration < SHORTEST => {
            Err(ParseError::ShortDuration { flag, span: value.span })
        }
        Some(duration) => Ok(duration),
    }
}
