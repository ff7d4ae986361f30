"""lbuild and its peers, each as the commands that it wants for the same work."""
import os, shutil, subprocess, tempfile
from . import process

#: The name of the copy of itself that lbuild starts sandboxes from.
COPIES = "lbuild-sandbox"
IMAGE = "localhost/bench"


class Work:
    """What is built: a context, where the result goes, and whether the cache counts. Without an archive, and if `named`
    with one, too, the image is IMAGE afterwards."""

    def __init__(self, context, archive=None, compression="uncompressed", cached=True, named=False):
        self.context, self.archive, self.compression, self.cached = context, archive, compression, cached
        self.named = named


class Builder:
    #: What it said when it failed: the rest of its group is measured without it.
    failure = None


class Lbuild(Builder):
    name = "lbuild"

    def __init__(self, where, program, bases, group=""):
        self.where, self.program, self.bases = where, program, bases
        self.root = os.path.join(where, f"lbuild-{group}")

    def empty(self, bases=True):
        # Its bases are layouts beside it.
        process.remove(self.root)

    remove = empty

    def places(self):
        return [self.root]

    def command(self, *words):
        return [self.program, "--root", self.root, *words]

    def build(self, work):
        contexts = [f"--build-context={name}=oci-layout://{self.bases}/{name}" for name in ("busybox", "debian")]
        cache = [] if work.cached else ["--no-cache"]
        to = ["-o", f"type=oci,dest={work.archive},compression={work.compression}"] if work.archive else []
        to += ["-o", f"type=image,name={IMAGE}"] if work.named or not work.archive else []
        return [self.command("build", "-q", *contexts, *cache, *to, work.context)]

    def from_registry(self, context, registry, name, push):
        to = ["-o", f"type=registry,name={name}"] if push else ["-t", name]
        return [self.command("build", "-q", "--build-arg", f"REGISTRY={registry}", *to, context)]

    def forget_forms(self):
        """What makes it compress again what it compressed in an earlier run."""
        return [self.command("prune", "--kind", "derivatives")]

    def tag(self, name):
        return [self.command("tag", IMAGE, name)]

    def push(self, name):
        return [self.command("push", name)]

    def prune(self):
        return [self.command("rmi", IMAGE), self.command("prune", "-a")]


class Buildah(Builder):
    name = "buildah"

    def __init__(self, where, bases, group=""):
        self.where, self.bases, self.group = where, os.path.realpath(bases), group
        self.flags = None

    @staticmethod
    def is_here():
        return shutil.which("buildah") is not None

    def empty(self, bases=True):
        """Starts with a new place: a store in use is mounted on itself."""
        self.remove()
        at = tempfile.mkdtemp(prefix=f"buildah-{self.group}-", dir=self.where)
        # Its own choice for a plain user is to copy every file of every layer.
        self.flags = ["--root", at, "--runroot", at + "-run", "--storage-driver", "overlay"]
        for name in ("busybox", "debian") if bases else ():
            pulled = process.output(["buildah", *self.flags, "pull", "-q", f"oci:{self.bases}/{name}:latest"]).split()[-1]
            process.seconds(["buildah", *self.flags, "tag", pulled, f"docker.io/library/{name}:latest"])

    def remove(self):
        for place in self.places():
            for mounted in (place, os.path.join(place, "overlay")):
                subprocess.run(["umount", mounted], stderr=subprocess.DEVNULL)
            process.remove(place)

    def places(self):
        return [self.flags[1], self.flags[3]] if self.flags else []

    def command(self, *words):
        return ["buildah", *self.flags, *words]

    def building(self, *words):
        return self.command("build", "-q", "--isolation", "chroot", "--network", "host", "--layers", "--jobs", "8", *words)

    def build(self, work):
        commands = [self.building(*([] if work.cached else ["--no-cache"]), "-t", IMAGE, work.context)]
        if work.archive:
            form = {"uncompressed": ["--disable-compression"], "gzip": [], "zstd": ["--compression-format", "zstd"]}[work.compression]
            commands.append(self.command("push", "-q", *form, IMAGE, f"oci-archive:{work.archive}"))
        return commands

    def from_registry(self, context, registry, name, push):
        commands = [self.building("--tls-verify=false", "--build-arg", f"REGISTRY={registry}", "-t", name, context)]
        return commands + (self.push(name) if push else [])

    def forget_forms(self):
        """It keeps no compressed layers."""
        return []

    def tag(self, name):
        return [self.command("tag", IMAGE, name)]

    def push(self, name):
        return [self.command("push", "-q", "--tls-verify=false", name, f"docker://{name}")]


class BuildKit(Builder):
    """BuildKit inside a Docker daemon that listens on `socket`; its archives are those of `docker save`, never compressed."""

    name = "buildkit"

    def __init__(self, socket, data, bases):
        self.socket, self.data, self.bases = socket, data, os.path.realpath(bases)
        # Credentials and plug-ins of the caller's do not count.
        self.config = tempfile.mkdtemp(prefix="lbuild-bench-docker.")
        os.environ["DOCKER_BUILDKIT"] = "1"
        # Debian's client, where there is one: later ones want a plug-in for BuildKit.
        self.client = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"

    def command(self, *words):
        return [self.client, "--config", self.config, "-H", f"unix://{self.socket}", *words]

    def empty(self, bases=True):
        self.remove()
        for name in ("busybox", "debian") if bases else ():
            process.seconds(["skopeo", "--insecure-policy", "copy", "-q", "--dest-daemon-host", f"unix://{self.socket}",
                             f"oci:{self.bases}/{name}:latest", f"docker-daemon:{name}:latest"])

    def remove(self):
        process.seconds(self.command("builder", "prune", "-af"))
        for image in set(process.output(self.command("images", "-aq")).split()):
            subprocess.run(self.command("rmi", "-f", image), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def places(self):
        return [self.data]

    def build(self, work):
        cache = [] if work.cached else ["--no-cache"]
        commands = [self.command("build", "-q", "--network", "host", *cache, "-t", IMAGE, work.context)]
        return commands + ([self.command("save", "-o", work.archive, IMAGE)] if work.archive else [])

    def from_registry(self, context, registry, name, push):
        build = self.command("build", "-q", "--network", "host", "--build-arg", f"REGISTRY={registry}", "-t", name, context)
        return [build] + (self.push(name) if push else [])

    def forget_forms(self):
        """What it keeps comes with --no-cache anew."""
        return []

    def tag(self, name):
        return [self.command("tag", IMAGE, name)]

    def push(self, name):
        return [self.command("push", name)]
