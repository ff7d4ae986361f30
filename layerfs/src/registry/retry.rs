//! [`Retry`]: what is tried again, when, and how often.

use super::error::RegistryError;
use super::observer::Observer;
use super::settings::Patience;
use super::transport::Response;
use crate::cancel::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::{Duration, Instant, SystemTime};

/// Times that one is asked where there are others to ask.
const ATTEMPTS_ELSE: u32 = 2;

/// Counts the failures of one request and waits after each.
#[derive(Debug)]
pub(super) struct Retry<'a> {
    /// How often, how long.
    pub patience: &'a Patience,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
    /// Ends every wait.
    pub cancel: &'a Cancel,
    /// Whom we ask, for the observer.
    pub host: &'a str,
    /// Whether nobody else can be asked: then all patience is for this one. Else neither 429 nor `Retry-After` is heeded, and
    /// one failure is forgiven.
    pub waits: bool,
    /// Failures since something went well.
    pub failures: u32,
}

impl Retry<'_> {
    /// Runs `attempt` until it succeeds, fails for good, or has failed too often. `known` reports whether the registry has
    /// answered before, so that one which cannot be reached has but gone away.
    ///
    /// # Errors
    /// The last failure; [`RegistryError::Cancelled`].
    pub fn run<T>(
        &mut self,
        known: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => self.again(error, known())?,
            }
        }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// `error`, if there is to be none; [`RegistryError::Cancelled`].
    pub fn again(&mut self, error: RegistryError, known: bool) -> Result<(), RegistryError> {
        self.failures += 1;
        let away = known && matches!(error, RegistryError::Unreachable { .. });
        let unwanted = !self.waits && (matches!(error, RegistryError::TooMany(_)) || error.retry_after().is_some());
        let attempts = if self.waits { self.patience.attempts } else { self.patience.attempts.min(ATTEMPTS_ELSE) };
        if !(error.is_transient() || away) || unwanted || self.failures >= attempts {
            return Err(error);
        }
        let wait = match error.retry_after() {
            // To come back earlier than we are told would only be refused again.
            Some(asked) if asked > self.patience.longest_wait => return Err(error),
            Some(asked) => asked,
            None => self.backoff(),
        };
        self.observer.waiting(self.host, &error.brief(), wait);
        pause(self.cancel, wait)
    }

    /// Returns the wait after so many failures: doubled each time, and between half of that and all of it.
    fn backoff(&self) -> Duration {
        let doubled = self.patience.first_wait.saturating_mul(1 << (self.failures - 1).min(16));
        let most = doubled.min(self.patience.longest_wait);
        most / 2 + most.mul_f64(random_share() / 2.0)
    }
}

/// Waits for `time`, or until the build is cancelled.
///
/// # Errors
/// [`RegistryError::Cancelled`].
pub(super) fn pause(cancel: &Cancel, time: Duration) -> Result<(), RegistryError> {
    let end = Instant::now() + time;
    loop {
        if cancel.is_cancelled() {
            return Err(RegistryError::Cancelled);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        // A signal ends the wait early, and the loop looks again.
        poll(&mut [PollFd::new(cancel, PollFlags::IN)], Some(&left)).ok();
    }
}

/// Returns a random number from 0 to 1.
fn random_share() -> f64 {
    let mut bytes = [0; 4];
    // Without random bytes all wait the same.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok();
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

/// Returns what the `Retry-After` of an answer asks for (RFC 9110, 10.2.3): seconds, or a date.
pub(super) fn after(response: &Response) -> Option<Duration> {
    parse_after(response.header("retry-after")?.trim(), SystemTime::now())
}

fn parse_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(parse_date(text)?);
    Some(date.duration_since(now).unwrap_or_default())
}

/// Returns the seconds since 1970 of a date (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`, or one of the two old forms
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
pub(super) fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split([' ', ',', ':', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time) = match words[..] {
        [_, day, month, year, hour, minute, second, "GMT"] => (day, month, year, [hour, minute, second]),
        [_, month, day, hour, minute, second, year] => (day, month, year, [hour, minute, second]),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let number = |text: &str, most: u64| text.parse::<u64>().ok().filter(|number| *number <= most);
    let (day, year) = (number(day, 31)?, full_year(number(year, 9999)?)?);
    let [hour, minute, second] = [number(time[0], 23)?, number(time[1], 59)?, number(time[2], 60)?];
    let days = days_since_1970(year, month, day)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Returns the year that is meant, of which the old form has but two digits; none before 1970.
fn full_year(year: u64) -> Option<u64> {
    match year {
        0..70 => Some(2000 + year),
        70..100 => Some(1900 + year),
        1970.. => Some(year),
        _ => None,
    }
}

/// Counts days in years that begin in March, so that the day of a leap year is the last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    // 1 January 1970 is day 719,469 of this count.
    days.checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_seconds_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let cases = [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
            ("Sun Nov  6 08:49:37 1994", Some(7)),
            ("Tuesday, 29-Feb-00 00:00:00 GMT", Some(951_782_400 - 784_111_770)),
            ("Sun Nov  6 08:49:37 1894", None),
            ("18446744073709551616", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400 - 784_111_770)),
            ("-1", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
            ("", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
