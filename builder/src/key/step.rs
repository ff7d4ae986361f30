//! The keys of steps: which facts of an op go in, and which stay out (FEATURES 5-2 to 5-6).

use super::{CacheKey, Component, KeyBuilder};
use crate::plan::op::{CopyOp, MountKind, MountOp, Network, RunOp, Script, WorkdirOp};
use layerfs::digest::{DiffId, Digest};
use layerfs::platform::Platform;

/// The kind and version of the keys of bases; changing what they are made of must change it.
const BASE: &str = "lbuild base v1";
/// The kind and version of the keys of steps; changing what they are made of must change it.
const STEP: &str = "lbuild step v1";

/// What a RUN's key holds besides its op.
#[derive(Debug, Clone, Copy)]
pub struct RunInputs<'a> {
    /// How ids are mapped: `ranges` or `one id`. The same command leaves other owners in each.
    pub tier: &'a str,
    /// The platform it runs on.
    pub platform: &'a Platform,
    /// Digests of what its bind mounts show, in the order of the mounts.
    pub bind_digests: &'a [Digest],
}

/// Returns the key of an image as base: its layers say all.
pub fn base_key(diff_ids: &[DiffId], platform: &Platform) -> (CacheKey, Vec<Component>) {
    KeyBuilder::new(BASE)
        .part("platform", platform_text(platform))
        .list("layer", diff_ids.iter().map(ToString::to_string))
        .finish()
}

/// Returns the key of an empty base: that of an image without layers, which is the same file system.
pub fn scratch_key(platform: &Platform) -> (CacheKey, Vec<Component>) {
    base_key(&[], platform)
}

/// Returns the key of a RUN after `parent`. Left out: contents of secrets, proxies, addresses, ids and sharing of cache
/// mounts, and where a bind mount's files come from (their digest says what they are).
pub fn run_key(parent: CacheKey, op: &RunOp, inputs: &RunInputs<'_>) -> (CacheKey, Vec<Component>) {
    let RunOp {
        arguments,
        environment,
        proxies: _,
        working_directory,
        user,
        network,
        insecure,
        host_name,
        extra_hosts,
        mounts,
        script,
    } = op;
    let builder = KeyBuilder::new(STEP)
        .part("op", "run")
        .part("parent", parent.to_string())
        .part("platform", platform_text(inputs.platform))
        .part("id tier", inputs.tier)
        .list("argument", arguments.iter())
        .list("environment name", environment.iter().map(|(name, _)| name));
    let builder = environment
        .iter()
        .fold(builder, |builder, (name, value)| builder.part(&format!("environment {name}"), value))
        .part("working directory", working_directory.as_bytes())
        .part("user", user)
        .part("network", network_text(*network))
        .part("host name", host_name)
        .part("security", if *insecure { "insecure" } else { "sandbox" })
        .part("extra hosts count", extra_hosts.len().to_string());
    let builder = extra_hosts
        .iter()
        .fold(builder, |builder, host| builder.part("extra host", &host.name))
        .part("mounts", mounts.len().to_string());
    let builder = mounts.iter().fold(builder, mount_parts);
    scripts(builder, "script", script.as_slice())
        .list("bind digest", inputs.bind_digests.iter().map(ToString::to_string))
        .finish()
}

/// Returns the key of a COPY or ADD after `parent`, which copies files of the digest `content`. With `--link` the layer
/// does not depend on the parent, but the file system after the step does, so the parent is in the key.
pub fn copy_key(
    parent: CacheKey,
    op: &CopyOp,
    content: Digest,
    source_date_epoch: Option<i64>,
) -> (CacheKey, Vec<Component>) {
    let CopyOp {
        from: _,
        sources,
        // Where it stands changes nothing of what it does.
        source_spans: _,
        exclude,
        parents,
        heredocs,
        destination,
        destination_is_directory,
        chown,
        chmod,
        link,
        unpack_archives,
        unpack_remote,
        // What they hold is in the content digest.
        remotes: _,
    } = op;
    let builder = KeyBuilder::new(STEP)
        .part("op", "copy")
        .part("parent", parent.to_string())
        .list("source", sources.iter())
        .list_if_any("exclude", exclude.iter())
        .list_if_any("parents", parents.then_some("true").iter())
        .part("destination", destination.as_bytes())
        .part("destination is a directory", destination_is_directory.to_string())
        .option("chown", chown.as_ref())
        .option("chmod", chmod.as_ref())
        .part("link", link.to_string())
        .part("unpack archives", unpack_archives.to_string())
        .list_if_any("unpack remote", unpack_remote.then_some("true").iter());
    scripts(builder, "heredoc", heredocs)
        .part("content", content.to_string())
        .option("source date epoch", source_date_epoch.map(|epoch| epoch.to_string()))
        .finish()
}

/// Returns the key of a WORKDIR after `parent`.
pub fn workdir_key(parent: CacheKey, op: &WorkdirOp, source_date_epoch: Option<i64>) -> (CacheKey, Vec<Component>) {
    let WorkdirOp { path, user } = op;
    KeyBuilder::new(STEP)
        .part("op", "workdir")
        .part("parent", parent.to_string())
        .part("path", path.as_bytes())
        .part("user", user)
        .option("source date epoch", source_date_epoch.map(|epoch| epoch.to_string()))
        .finish()
}

fn platform_text(platform: &Platform) -> String {
    let Platform { os, architecture, variant, os_version } = platform;
    format!("{os}/{architecture}/{variant}/{os_version}")
}

fn network_text(network: Network) -> &'static str {
    match network {
        Network::Host => "host",
        Network::None => "none",
    }
}

fn scripts(builder: KeyBuilder, name: &str, scripts: &[Script]) -> KeyBuilder {
    let builder = builder.list(&format!("{name} name"), scripts.iter().map(|script| &script.name));
    builder.list(&format!("{name} body"), scripts.iter().map(|script| &script.body))
}

/// Adds what a command sees of a mount, apart from its files.
fn mount_parts(builder: KeyBuilder, mount: &MountOp) -> KeyBuilder {
    let builder = builder.part("mount target", mount.target.as_bytes());
    match &mount.kind {
        MountKind::Bind { from: _, source: _, writable } => {
            builder.part("mount type", "bind").part("mount writable", writable.to_string())
        }
        MountKind::Cache { id: _, sharing: _, readonly, seed, mode, uid, gid } => {
            let builder = builder
                .part("mount type", "cache")
                .part("mount readonly", readonly.to_string())
                .option("mount seed", seed.as_ref().map(|(_, source)| source.as_bytes()));
            owner(builder, *mode, *uid, *gid)
        }
        MountKind::Tmpfs { size } => {
            builder.part("mount type", "tmpfs").option("mount size", size.map(|size| size.to_string()))
        }
        MountKind::Secret { id, environment, file, required, mode, uid, gid } => {
            let builder = builder
                .part("mount type", "secret")
                .part("mount secret", id)
                .option("mount environment", environment.as_ref())
                .part("mount file", file.to_string())
                .part("mount required", required.to_string());
            owner(builder, *mode, *uid, *gid)
        }
        MountKind::Ssh { id, required, mode, uid, gid } => {
            let builder =
                builder.part("mount type", "ssh").part("mount agent", id).part("mount required", required.to_string());
            owner(builder, *mode, *uid, *gid)
        }
    }
}

fn owner(builder: KeyBuilder, mode: u32, uid: u32, gid: u32) -> KeyBuilder {
    builder
        .part("mount mode", format!("{mode:o}"))
        .part("mount user", uid.to_string())
        .part("mount group", gid.to_string())
}
