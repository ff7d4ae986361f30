//! `--add-host`, `--shm-size` and `--ulimit`: what a RUN runs with.

use super::SettingsError;
use crate::args::Surroundings;
use builder::dockerfile::suggest::nearest;
use builder::plan::op::ExtraHost;
use builder::plan::size;
use builder::sandbox::limits::{ResourceLimit, RunLimits};
use std::net::{IpAddr, Ipv4Addr};

/// Returns the lines for /etc/hosts.
///
/// # Errors
/// [`SettingsError::Malformed`].
pub fn extra_hosts(args: &Surroundings) -> Result<Vec<ExtraHost>, SettingsError> {
    args.add_host.iter().map(|text| extra_host(text)).collect()
}

/// Reads `NAME:IP` or `NAME=IP`; an address of version 6 may stand in brackets.
fn extra_host(text: &str) -> Result<ExtraHost, SettingsError> {
    let wrong = |why: &str| malformed("--add-host", text, why);
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).unwrap_or((text, ""));
    if name.is_empty() || address.is_empty() || name.contains(char::is_whitespace) {
        return Err(wrong("write `NAME:IP`"));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address = match bare {
        // A RUN has the caller's network, where this machine is itself.
        "host-gateway" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => bare.parse().map_err(|_| wrong(&format!("`{bare}` is no IP address")))?,
    };
    Ok(ExtraHost { name: name.to_owned(), address })
}

/// Returns how much a RUN may have.
///
/// # Errors
/// [`SettingsError::Malformed`].
pub fn limits(args: &Surroundings) -> Result<RunLimits, SettingsError> {
    let shm_size = args.shm_size.as_ref().map(|text| shm_size(text)).transpose()?;
    let mut resources: Vec<ResourceLimit> = Vec::new();
    for text in &args.ulimit {
        let limit = resource(text)?;
        resources.retain(|earlier| earlier.name != limit.name);
        resources.push(limit);
    }
    Ok(RunLimits { shm_size, resources })
}

fn shm_size(text: &str) -> Result<u64, SettingsError> {
    let wrong = || malformed("--shm-size", text, "write a number of bytes, or one with a unit such as `128m`");
    size::parse(text).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// Reads `NAME=SOFT[:HARD]`; -1 is no limit.
fn resource(text: &str) -> Result<ResourceLimit, SettingsError> {
    let wrong = |why: &str| malformed("--ulimit", text, why);
    let (name, values) = text.split_once('=').ok_or_else(|| wrong("write `NAME=SOFT[:HARD]`"))?;
    let known: Vec<&str> = ResourceLimit::names().collect();
    if !known.contains(&name) {
        let cure = nearest(name, known.iter().copied())
            .map_or_else(|| known.join(", "), |near| format!("did you mean `{near}`?"));
        return Err(wrong(&format!("no limit is called `{name}`: {cure}")));
    }
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| wrong(&format!("`{text}` is no number"))),
    };
    let limit = ResourceLimit { name: name.to_owned(), soft: value(soft)?, hard: value(hard)? };
    let fits = limit.hard.is_none_or(|hard| limit.soft.is_some_and(|soft| soft <= hard));
    if fits { Ok(limit) } else { Err(wrong("what counts is more than what it may be raised to")) }
}

fn malformed(flag: &'static str, text: &str, why: &str) -> SettingsError {
    SettingsError::Malformed { flag, text: text.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FEATURES 3.1-14.
    #[test]
    fn hosts_have_a_name_and_an_address() {
        let host = |text: &str| extra_host(text).map(|host| (host.name, host.address.to_string()));
        for (text, name, address) in [
            ("db:10.0.0.7", "db", "10.0.0.7"),
            ("db=10.0.0.7", "db", "10.0.0.7"),
            ("db:::1", "db", "::1"),
            ("db=[2001:db8::1]", "db", "2001:db8::1"),
            ("host.docker.internal:host-gateway", "host.docker.internal", "127.0.0.1"),
        ] {
            assert_eq!(host(text).expect(text), (name.to_owned(), address.to_owned()));
        }
        for (text, why) in [
            ("db", "write `NAME:IP`"),
            (":1.2.3.4", "write `NAME:IP`"),
            ("a b:1.2.3.4", "write `NAME:IP`"),
            ("db:10.0.0", "`10.0.0` is no IP address"),
            ("db:1.2.3.4\n5", "`1.2.3.4\n5` is no IP address"),
        ] {
            assert_eq!(host(text).expect_err(text).to_string(), format!("`--add-host {text}`: {why}"));
        }
    }

    /// FEATURES 3.1-24.
    #[test]
    fn limits_are_numbers() {
        let limit = |text: &str| resource(text).map(|limit| (limit.name, limit.soft, limit.hard));
        for (text, soft, hard) in [
            ("nofile=1024", Some(1024), Some(1024)),
            ("nofile=1024:4096", Some(1024), Some(4096)),
            ("nofile=-1:-1", None, None),
            ("nofile=5:unlimited", Some(5), None),
        ] {
            assert_eq!(limit(text).expect(text), ("nofile".to_owned(), soft, hard));
        }
        for (text, why) in [
            ("nofile", "write `NAME=SOFT[:HARD]`"),
            ("nofiles=1", "no limit is called `nofiles`: did you mean `nofile`?"),
            ("nofile=x", "`x` is no number"),
            ("nofile=9:1", "what counts is more than what it may be raised to"),
            ("nofile=-1:1", "what counts is more than what it may be raised to"),
        ] {
            assert_eq!(limit(text).expect_err(text).to_string(), format!("`--ulimit {text}`: {why}"));
        }
        assert_eq!(shm_size("128m").expect("a size"), 128 << 20);
        assert!(shm_size("0").is_err() && shm_size("-1").is_err() && shm_size("big").is_err());
    }
}
