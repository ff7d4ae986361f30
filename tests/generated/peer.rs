//! [`Peer`]: another builder.

use crate::containers::Containers;
use crate::harness::{Lab, Run};
use crate::tree::Tree;
use std::process::Command;

/// Another builder.
pub enum Peer {
    /// Buildah, with a storage of its own.
    Buildah(Containers),
    /// A Docker that has a BuildKit.
    BuildKit { socket: String },
}

impl Peer {
    /// Returns Buildah.
    pub fn buildah() -> Self {
        Self::Buildah(Containers::in_memory())
    }

    /// Returns its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Buildah(_) => "Buildah",
            Self::BuildKit { .. } => "BuildKit",
        }
    }

    /// Reports whether it unpacks archives of zstd.
    pub fn knows_zstd(&self) -> bool {
        matches!(self, Self::Buildah(_))
    }

    /// Returns the fault of the builder itself that an error is, if it is nothing else: it says nothing about the
    /// Dockerfile.
    pub fn own_fault(&self, error: &str) -> Option<&'static str> {
        // One of its two processes ended before the other. Where it says why, that line is beside this one.
        const PIPE: &str = "read/write on closed pipe";
        let mut reasons = error.lines().filter(|line| line.trim_start().starts_with("* ")).peekable();
        let named = reasons.peek().is_some() && reasons.all(|line| line.contains(PIPE));
        (matches!(self, Self::Buildah(_)) && named).then_some(PIPE)
    }

    /// Builds a Dockerfile in the lab's context and returns the tree, or what was said of the failure.
    pub fn build(&self, lab: &Lab, file: &str) -> Result<Tree, String> {
        match self {
            Self::Buildah(containers) => buildah(containers, lab, file),
            Self::BuildKit { socket } => buildkit(socket, lab, file),
        }
    }
}

fn buildah(containers: &Containers, lab: &Lab, file: &str) -> Result<Tree, String> {
    let layout = lab.home().join("theirs");
    let to = format!("oci:{}:latest", layout.display());
    let context = lab.path("").to_string_lossy().into_owned();
    let run = containers.try_buildah(&[
        "build",
        "--isolation",
        "chroot",
        "--network",
        "host",
        "-q",
        "-t",
        &to,
        "-f",
        file,
        &context,
    ]);
    if run.status != 0 {
        return Err(run.stderr);
    }
    let tree = Tree::umoci(lab, &layout, "latest");
    std::fs::remove_dir_all(layout).expect("removed");
    Ok(tree)
}

fn buildkit(socket: &str, lab: &Lab, file: &str) -> Result<Tree, String> {
    let archive = lab.home().join("theirs.tar");
    let mut command = Command::new("/usr/bin/docker");
    command.args(["-H", socket, "build", "--network", "host", "--no-cache", "-q", "-f", file, "-o"]);
    command.arg(format!("type=tar,dest={}", archive.display())).arg(lab.path("")).env("DOCKER_BUILDKIT", "1");
    let run = Run::within(&mut command, 900);
    if run.status != 0 {
        return Err(run.stderr);
    }
    Ok(Tree::archive(lab, &archive))
}
