//! [`Supplies`]: the files that are made for one sandbox; their contents are computed without a look at the disk.

use crate::plan::op::{ExtraHost, Network};
use crate::sandbox::message::{Instructions, UserMountSource};
use std::net::IpAddr;

/// What a supplied file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What can be read from the descriptor of this number.
    Descriptor(usize),
    /// It is no file, but the socket that the descriptor of this number listens on.
    Socket(usize),
}

/// One supplied file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supply {
    /// What it holds.
    pub body: Body,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// The files that are made for one sandbox: hosts, resolv.conf, the script if there is one, then secrets and
/// sockets in the order of their mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supplies(pub Vec<Supply>);

/// The most bytes of a secret (row 1.7-9).
pub const SECRET_LIMIT: u64 = 500 << 10;

/// Name servers of a sandbox whose host has only local ones, as Docker's.
const PUBLIC_SERVERS: &str = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";

impl Supplies {
    /// Returns the files for `instructions`; `resolver` is the host's resolv.conf.
    pub fn new(instructions: &Instructions, resolver: &str) -> Self {
        let own = |text: String, mode| Supply { body: Body::Bytes(text.into_bytes()), mode, uid: 0, gid: 0 };
        let mut all = vec![
            own(hosts(&instructions.host_name, &instructions.extra_hosts), 0o644),
            own(resolv_conf(instructions.network, resolver), 0o644),
        ];
        all.extend(instructions.script.iter().map(|script| own(script.body.clone(), 0o755)));
        for mount in &instructions.mounts {
            match mount.source {
                UserMountSource::Secret { descriptor, mode, uid, gid } => {
                    all.push(Supply { body: Body::Descriptor(descriptor), mode, uid, gid });
                }
                UserMountSource::Socket { descriptor, mode, uid, gid } => {
                    all.push(Supply { body: Body::Socket(descriptor), mode, uid, gid });
                }
                _ => {}
            }
        }
        Self(all)
    }
}

/// Returns /etc/hosts (row 7-9), extra lines last (row 3.1-14).
fn hosts(host_name: &str, extra: &[ExtraHost]) -> String {
    let extra: String = extra.iter().map(|host| format!("{}\t{}\n", host.address, host.name)).collect();
    format!("127.0.0.1\tlocalhost {host_name}\n::1\tlocalhost ip6-localhost ip6-loopback\n{extra}")
}

/// Returns /etc/resolv.conf (row 7-8): with the host's network the host's own; without, servers on the host's loopback
/// make no sense and are left out.
fn resolv_conf(network: Network, resolver: &str) -> String {
    if network == Network::Host {
        return resolver.to_owned();
    }
    let kept: Vec<&str> = resolver.lines().filter(|line| !is_local_server(line)).collect();
    let mut text: String = kept.iter().map(|line| format!("{line}\n")).collect();
    if !kept.iter().any(|line| server(line).is_some()) {
        text.push_str(PUBLIC_SERVERS);
    }
    text
}

fn server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next()).flatten()
}

fn is_local_server(line: &str) -> bool {
    server(line).and_then(|address| address.parse::<IpAddr>().ok()).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 7-8.
    #[test]
    fn local_name_servers_are_for_the_hosts_network_only() {
        for (network, given, wanted) in [
            (Network::Host, "nameserver 127.0.0.53\noptions edns0\n", "nameserver 127.0.0.53\noptions edns0\n"),
            (Network::Host, "", ""),
            (
                Network::None,
                "nameserver 127.0.0.53\noptions edns0\n",
                "options edns0\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n",
            ),
            (Network::None, "nameserver ::1\nnameserver 10.0.0.1\n", "nameserver 10.0.0.1\n"),
        ] {
            assert_eq!(resolv_conf(network, given), wanted, "{network:?} {given:?}");
        }
    }

    /// Row 7-9.
    #[test]
    fn hosts_names_the_sandbox() {
        assert_eq!(
            hosts("buildkitsandbox", &[ExtraHost { name: "db".into(), address: [10, 0, 0, 7].into() }]),
            "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb\n"
        );
    }
}
