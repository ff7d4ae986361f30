//! Names and numbers of signals, as STOPSIGNAL takes them (1.5-12).

/// Signals of Linux by name, without `SIG`; real-time signals are counted from RTMIN (34) and RTMAX (64).
const NAMES: [&str; 37] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX", "UNUSED",
];

/// Reports whether `text` is a signal: `SIGTERM`, `term`, `15`, `RTMIN+3`.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || is_offset(name.strip_prefix("RTMIN+"), 15) || is_offset(name.strip_prefix("RTMAX-"), 14)
}

/// Reports whether `digits` are a number from 1 to `limit`.
fn is_offset(digits: Option<&str>, limit: u32) -> bool {
    digits.and_then(|digits| digits.parse().ok()).is_some_and(|number: u32| (1..=limit).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_1_5_12() {
        for good in ["SIGTERM", "TERM", "term", "sigusr1", "9", "64", "RTMIN+3", "SIGRTMAX-14"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "65", "-1", "SIGFOO", "SIG", "RTMIN+16", "SIG9", "TERM "] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
